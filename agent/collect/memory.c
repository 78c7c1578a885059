/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: /proc/meminfo and the few lines of /proc/vmstat that say whether it runs short. A line the kernel lacks is UNKNOWN. */
#include "collect/procfs.h"
#include "collector.h"
#include "core/pages.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct field {
	const char *name;
	size_t offset;
};
#define FIELD(member) offsetof(struct memory_section, member)

static const struct field meminfo_fields[] = {
	{ "Active:", FIELD(active) },
	{ "AnonPages:", FIELD(anon) },
	{ "Buffers:", FIELD(buffers) },
	{ "Cached:", FIELD(cached) },
	{ "CommitLimit:", FIELD(commit_limit) },
	{ "Committed_AS:", FIELD(committed_as) },
	{ "Dirty:", FIELD(dirty) },
	{ "Inactive:", FIELD(inactive) },
	{ "KernelStack:", FIELD(kernel_stack) },
	{ "Mapped:", FIELD(mapped) },
	{ "MemAvailable:", FIELD(available) },
	{ "MemFree:", FIELD(free) },
	{ "MemTotal:", FIELD(total) },
	{ "PageTables:", FIELD(page_tables) },
	{ "SReclaimable:", FIELD(sreclaimable) },
	{ "SUnreclaim:", FIELD(sunreclaim) },
	{ "Shmem:", FIELD(shmem) },
	{ "Slab:", FIELD(slab) },
	{ "SwapFree:", FIELD(swap_free) },
	{ "SwapTotal:", FIELD(swap_total) },
	{ "Writeback:", FIELD(writeback) },
};

static const struct field vmstat_fields[] = {
	{ "nr_dirtied", FIELD(nr_dirtied) }, { "pgpgin", FIELD(pgpgin) },
	{ "oom_kill", FIELD(oom_kill) }, { "pgfault", FIELD(pgfault) }, { "pgmajfault", FIELD(pgmajfault) },
	{ "pswpin", FIELD(pswpin) },	 { "pswpout", FIELD(pswpout) },
	{ "workingset_refault_anon", FIELD(refault_anon) },
	{ "workingset_refault_file", FIELD(refault_file) },
};
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct memory_state {
	int meminfo_fd, vmstat_fd;
	char buffer[PROCFS_BUFFER];
};

static uint64_t *member(struct memory_section *section, const struct field *field)
{
	return (uint64_t *)((char *)section + field->offset);
}

static const struct field *find(const struct field *table, size_t count, const struct span *name)
{
	for (size_t i = 0; i < count; i++)
		if (span_is(name, table[i].name))
			return &table[i];
	return NULL;
}

/* Each line a name and a number, in units of `scale` bytes where it ends in " kB". */
static int parse_table(const char *text, size_t size, const struct field *table, size_t count, struct memory_section *ret)
{
	struct span whole, line, word;

	int error = span_of(text, size, &whole);
	if (error)
		return error;

	for (size_t i = 0; i < count; i++)
		*member(ret, &table[i]) = UNKNOWN;
	while (span_line(&whole, &line)) {
		const struct field *field = span_word(&line, &word) ? find(table, count, &word) : NULL;
		uint64_t value;
		if (!field)
			continue;
		if (!span_next_number(&line, &value))
			return -EINVAL;
		if (span_word(&line, &word) && (!span_is(&word, "kB") || __builtin_mul_overflow(value, 1024, &value)))
			return -EINVAL;
		*member(ret, field) = value;
	}
	return 0;
}

int memory_parse_meminfo(const char *text, size_t size, struct memory_section *ret)
{
	int error = parse_table(text, size, meminfo_fields, COUNT(meminfo_fields), ret);
	if (error)
		return error;
	/* Nothing can be said of a node whose memory has no size, or more of it left than there is. */
	if (ret->total == UNKNOWN || ret->total == 0 || (ret->available != UNKNOWN && ret->available > ret->total))
		return -EINVAL;
	return 0;
}

int memory_parse_vmstat(const char *text, size_t size, struct memory_section *ret)
{
	return parse_table(text, size, vmstat_fields, COUNT(vmstat_fields), ret);
}

static void memory_close(void *opaque)
{
	struct memory_state *state = opaque;
	if (!state)
		return;
	if (state->meminfo_fd >= 0)
		close(state->meminfo_fd);
	if (state->vmstat_fd >= 0)
		close(state->vmstat_fd);
	pages_free(state);
}

static int memory_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct memory_state *state = pages_new(1, sizeof(*state));
	if (!state)
		return -ENOMEM;

	snprintf(status->source, sizeof(status->source), "procfs");
	state->meminfo_fd = procfs_open(env->proc_fd, "meminfo");
	state->vmstat_fd = procfs_open(env->proc_fd, "vmstat");
	if (state->meminfo_fd < 0) {
		int error = state->meminfo_fd;
		snprintf(status->why, sizeof(status->why), "/proc/meminfo: %s", strerror(-error));
		memory_close(state);
		return error;
	}

	status->state = COLLECTOR_UP;
	if (state->vmstat_fd < 0) {
		status->state = COLLECTOR_DEGRADED;
		snprintf(status->why, sizeof(status->why), "no faults, swapping and OOM kills: /proc/vmstat: %s",
			 strerror(-state->vmstat_fd));
	}
	*ret_state = state;
	return 0;
}

static int memory_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct memory_state *state = opaque;
	struct memory_section next = {
		.pgfault = UNKNOWN, .pgmajfault = UNKNOWN, .pswpin = UNKNOWN, .pswpout = UNKNOWN, .oom_kill = UNKNOWN,
		.refault_anon = UNKNOWN, .refault_file = UNKNOWN,
	};

	ssize_t length = procfs_read(state->meminfo_fd, state->buffer, sizeof(state->buffer));
	if (length < 0)
		return (int)length;
	int error = memory_parse_meminfo(state->buffer, (size_t)length, &next);
	if (error)
		return error;

	if (state->vmstat_fd >= 0) {
		length = procfs_read(state->vmstat_fd, state->buffer, sizeof(state->buffer));
		error = length < 0 ? (int)length : memory_parse_vmstat(state->buffer, (size_t)length, &next);
		if (error)
			return error;
	}

	next.measured_ns = snap->boot_ns;
	snap->memory = next;
	return 0;
}

const struct collector collector_memory = {
	.name = "memory", .id = COLLECTOR_MEMORY, .fast = true, .open = memory_open, .collect = memory_collect, .close = memory_close,
};
