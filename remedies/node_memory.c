/* SPDX-License-Identifier: Apache-2.0 */
/* See node_memory.h. */
#include "remedies/node_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "remedies/figure.h"
#include "remedies/time_limit.h"

/* --- reading ------------------------------------------------------------------------------------------------------------- */

/* "Node 0, zone   Normal    417   1012 …": free blocks of 1, 2, 4 … pages. DMA is kept for devices, and is nobody's memory. */
static int read_blocks(int proc_fd, struct node_memory *ret)
{
	char text[FIGURE_TEXT_LEN], *save = NULL;
	int error = figure_text(proc_fd, "buddyinfo", text, sizeof(text));
	if (error)
		return error;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *at = strstr(line, "zone"), *end;
		if (!at)
			continue;
		at += strlen("zone");
		at += strspn(at, " ");
		if (strncmp(at, "DMA ", 4) == 0)
			continue;
		at += strcspn(at, " ");
		for (uint32_t order = 0; order < MAX_ORDERS_OF_BUDDY; order++, at = end) {
			uint64_t count = strtoull(at, &end, 10);
			if (end == at)
				break;
			ret->blocks[order] += count;
			ret->orders = order + 1 > ret->orders ? order + 1 : ret->orders;
		}
	}
	return ret->orders ? 0 : -EINVAL;
}

/* Its names differ between kernels: what is not there counts nothing, but some of it must be there. */
static int read_sum(int proc_fd, const char *const *names, size_t count, uint64_t *ret)
{
	uint64_t value;
	int found = 0;
	*ret = 0;
	for (size_t i = 0; i < count; i++)
		if (figure_named(proc_fd, "vmstat", names[i], &value) == 0) {
			*ret += value;
			found++;
		}
	return found ? 0 : -ENOENT;
}

int node_memory_read(int proc_fd, struct node_memory *ret)
{
	static const char *const scans[] = { "pgscan_kswapd", "pgscan_direct" };
	const struct { const char *name; uint64_t *to; } figures[] = {
		{ "MemTotal", &ret->total_bytes }, { "MemFree", &ret->free_bytes }, { "MemAvailable", &ret->available_bytes }, { "Cached", &ret->cached_bytes },
		{ "Shmem", &ret->shared_bytes }, { "Mapped", &ret->mapped_bytes }, { "Dirty", &ret->dirty_bytes }, { "SReclaimable", &ret->slab_bytes },
	};
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		int error = figure_named(proc_fd, "meminfo", figures[i].name, figures[i].to);
		if (error)
			return error;
	}
	int error = read_sum(proc_fd, scans, sizeof(scans) / sizeof(scans[0]), &ret->scanned_pages);
	/* A kernel that cannot compact has neither. */
	if (figure_named(proc_fd, "vmstat", "compact_stall", &ret->compact_stalls) < 0)
		ret->compact_stalls = UNKNOWN;
	if (figure_named(proc_fd, "vmstat", "compact_fail", &ret->compact_fails) < 0)
		ret->compact_fails = UNKNOWN;
	return error ? error : read_blocks(proc_fd, ret);
}

uint64_t node_memory_in_blocks(const struct node_memory *memory, uint32_t order)
{
	uint64_t pages = 0;
	for (uint32_t i = order; i < memory->orders && i < MAX_ORDERS_OF_BUDDY; i++)
		pages += memory->blocks[i] << i;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* --- acting -------------------------------------------------------------------------------------------------------------- */

void node_memory_watch(const struct remedy_request *request, uint64_t ns)
{
	uint64_t now = clock_boot_ns(), left = request->deadline_boot_ns > now ? request->deadline_boot_ns - now : 0;
	ns = ns < left ? ns : left;
	struct timespec time = { .tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC) };
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

int node_memory_write(int proc_fd, const struct remedy_request *request, const char *file, const char *text)
{
	struct time_limit limit;
	uint64_t now = clock_boot_ns();
	int fd = openat(proc_fd, file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = time_limit_begin(&limit, request->deadline_boot_ns > now ? request->deadline_boot_ns - now : 0);
	if (error == 0) {
		error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
		time_limit_end(&limit);
	}
	close(fd);
	return error;
}

int node_memory_not_again(const struct remedy_request *request, uint64_t last_boot_ns, uint64_t every_ns, struct remedy_result *result)
{
	uint64_t ago = clock_boot_ns() - last_boot_ns;
	if (request->verb != REMEDY_VERB_APPLY || !last_boot_ns || ago >= every_ns)
		return 0;
	act_refuse(result, "too-soon", "the last time was %llu s ago, and once in %llu s is enough", (unsigned long long)(ago / NSEC_PER_SEC),
		   (unsigned long long)(every_ns / NSEC_PER_SEC));
	return -ECANCELED;
}

int node_memory_run(node_memory_act *act, const struct remedy_request *request, struct remedy_result *result)
{
	int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc_fd < 0)
		return -errno;
	int error = act(proc_fd, request, result);
	close(proc_fd);
	return error;
}

int node_memory_check(const char *file, struct remedy_result *result)
{
	result->armed = access(file, W_OK) == 0;
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "%s: %s", file, strerror(errno));
	return 0;
}
