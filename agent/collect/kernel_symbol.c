/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel_symbol.h. */
#include "collect/kernel_symbol.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snapshot.h"

enum { KEPT = 512, NEW_AT_ONCE = 32, SYMBOL_LEN = 48 };
/* 50 ms in 10 s are half a percent of a processor, at worst. */
#define BETWEEN_READS_NS (10 * NSEC_PER_SEC)

struct symbol {
	uint64_t frame, start; /* start 0: it has no name */
	char name[SYMBOL_LEN];
};

struct kernel_symbols {
	int proc_fd;
	uint64_t last_read_ns;
	uint32_t count;         /* the oldest goes when it is full */
	struct symbol each[KEPT];
};

struct kernel_symbols *kernel_symbols_new(int proc_fd)
{
	struct kernel_symbols *symbols = calloc(1, sizeof(*symbols));

	if (!symbols)
		return NULL;
	symbols->proc_fd = fcntl(proc_fd, F_DUPFD_CLOEXEC, 3);
	return symbols;
}

void kernel_symbols_free(struct kernel_symbols *symbols)
{
	if (!symbols)
		return;
	if (symbols->proc_fd >= 0)
		close(symbols->proc_fd);
	free(symbols);
}

static struct symbol *find(struct kernel_symbols *symbols, uint64_t frame)
{
	uint32_t kept = symbols->count < KEPT ? symbols->count : KEPT;

	for (uint32_t i = 0; i < kept; i++)
		if (symbols->each[i].frame == frame)
			return &symbols->each[i];
	return NULL;
}

/* `ffffffff81000000 T _text [module]`: the nearest one at or below. */
static void offer(struct symbol **wanted, uint32_t count, const char *line)
{
	char *end;
	uint64_t start = strtoull(line, &end, 16);

	if (!start || end[0] != ' ' || !strchr("tTwW", end[1]) || end[2] != ' ')
		return;
	for (uint32_t i = 0; i < count; i++) {
		if (start > wanted[i]->frame || start < wanted[i]->start)
			continue;
		wanted[i]->start = start;
		snprintf(wanted[i]->name, sizeof(wanted[i]->name), "%.*s", (int)strcspn(end + 3, "\t\n "), end + 3);
	}
}

static void read_names(struct kernel_symbols *symbols, struct symbol **wanted, uint32_t count)
{
	int fd = openat(symbols->proc_fd, "kallsyms", O_RDONLY | O_CLOEXEC);
	FILE *file = fd >= 0 ? fdopen(fd, "re") : NULL;
	char line[256];

	if (!file) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (fgets(line, sizeof(line), file))
		offer(wanted, count, line);
	fclose(file);
}

static void learn(struct kernel_symbols *symbols, const uint64_t *frames, uint32_t count, uint64_t now_ns)
{
	struct symbol *wanted[NEW_AT_ONCE];
	uint32_t wants = 0;

	if (symbols->last_read_ns && now_ns - symbols->last_read_ns < BETWEEN_READS_NS)
		return;
	for (uint32_t i = 0; i < count && wants < NEW_AT_ONCE; i++) {
		if (!frames[i] || find(symbols, frames[i]))
			continue;
		wanted[wants] = &symbols->each[symbols->count++ % KEPT];
		*wanted[wants++] = (struct symbol){ .frame = frames[i] };
	}
	if (!wants)
		return;
	symbols->last_read_ns = now_ns;
	read_names(symbols, wanted, wants);
}

void kernel_symbols_stack(struct kernel_symbols *symbols, const uint64_t *frames, uint32_t count, uint64_t now_ns, char *ret, size_t size)
{
	size_t used = 0;

	ret[0] = '\0';
	learn(symbols, frames, count, now_ns);
	for (uint32_t i = 0; i < count; i++) {
		const struct symbol *symbol = find(symbols, frames[i]);
		if (!symbol || !symbol->start)
			continue;
		int wrote = snprintf(ret + used, size - used, "%s%s", used ? " < " : "", symbol->name);
		if ((size_t)wrote >= size - used) {
			ret[used] = '\0'; /* no half names */
			return;
		}
		used += (size_t)wrote;
	}
}
