/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drops the node's page cache and slabs (vm.drop_caches). The kernel gives both up by itself when memory is wanted, so this is no cure for a full
 * memory; it helps where reclaim has become the load itself: much is cached, little is available, and pages are scanned all the time. Without all
 * three signs it is refused, and the figures say why.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/node_memory.h"
#include "remedies/registry.h"

#define MIB (1024.0 * 1024.0)
static const char file[] = "sys/vm/drop_caches";

static uint64_t last_boot_ns; /* of this worker: the policy's own budget holds over restarts */

static uint64_t percent_of(uint64_t part, uint64_t whole)
{
	return whole ? part * 100 / whole : 0;
}

/* Neither shared memory nor what is mapped or not yet written goes. */
static uint64_t droppable(const struct node_memory *memory, uint32_t what)
{
	uint64_t stays = memory->shared_bytes + memory->mapped_bytes + memory->dirty_bytes;
	uint64_t pages = memory->cached_bytes > stays ? memory->cached_bytes - stays : 0;
	return (what & 1 ? pages : 0) + (what & 2 ? memory->slab_bytes : 0);
}

static void judge(const struct remedy_request *request, const struct node_memory *before, const struct node_memory *after, struct remedy_result *result)
{
	uint64_t freed = after->free_bytes > before->free_bytes ? after->free_bytes - before->free_bytes : 0, promised = request->expect.freed_bytes;
	bool enough = freed && (promised == UNKNOWN || freed >= promised);
	result->observed.freed_bytes = freed;
	step_end(result_step(result, "drop"), enough, "MemFree went from %.1f to %.1f MiB, MemAvailable from %.1f to %.1f MiB, Cached from %.1f to %.1f MiB",
		 (double)before->free_bytes / MIB, (double)after->free_bytes / MIB, (double)before->available_bytes / MIB, (double)after->available_bytes / MIB,
		 (double)before->cached_bytes / MIB, (double)after->cached_bytes / MIB);
	result->outcome = enough ? OUTCOME_FIXED : freed ? OUTCOME_IMPROVED : OUTCOME_NO_EFFECT;
	if (!enough)
		snprintf(result->why, sizeof(result->why), "%.1f MiB became free", (double)freed / MIB);
}

static void act(int proc_fd, const struct remedy_request *request, const struct node_memory *before, struct remedy_result *result)
{
	char text[16];
	struct node_memory after;
	const char *halted = act_halted(request);
	if (halted) {
		act_refuse(result, halted, "stopped by the %s", halted);
		return;
	}
	snprintf(text, sizeof(text), "%u\n", request->args.drop_caches.what);
	int error = node_memory_write(proc_fd, request, file, text);
	if (error) {
		act_fail(result, "%s: %s", file, strerror(-error));
		return;
	}
	last_boot_ns = clock_boot_ns();
	error = node_memory_read(proc_fd, &after);
	if (error)
		act_fail(result, "what it brought cannot be seen: %s", strerror(-error));
	else
		judge(request, before, &after, result);
}

int drop_caches_in(int proc_fd, const struct remedy_request *request, struct remedy_result *result)
{
	const struct drop_caches_args *args = &request->args.drop_caches;
	struct node_memory first, now;
	if (node_memory_not_again(request, last_boot_ns, args->every_ns, result) < 0)
		return 0;
	int error = node_memory_read(proc_fd, &first);
	node_memory_watch(request, error ? 0 : args->watch_ns);
	if (error == 0)
		error = node_memory_read(proc_fd, &now);
	if (error) {
		act_refuse(result, "no-measure", "the node's memory cannot be seen: %s", strerror(-error));
		return 0;
	}
	uint64_t cached = percent_of(droppable(&now, args->what), now.total_bytes), available = percent_of(now.available_bytes, now.total_bytes);
	uint64_t scanned = now.scanned_pages - first.scanned_pages;
	bool evident = cached >= args->min_cached_percent && available <= args->max_available_percent && scanned > 0;
	step_end(result_step(result, "look"), evident, "%" PRIu64 " %% of memory could be dropped, %" PRIu64 " %% are available, %" PRIu64 " pages were scanned meanwhile",
		 cached, available, scanned);
	if (!evident) {
		act_refuse(result, "no-evidence",
			   "%" PRIu64 " %% could be dropped (at least %u), %" PRIu64 " %% are available (at most %u), %" PRIu64 " pages scanned by reclaim meanwhile (at least 1)",
			   cached, args->min_cached_percent, available, args->max_available_percent, scanned);
		return 0;
	}
	static const char *const names[] = { [1] = "the page cache", [2] = "slabs", [3] = "the page cache and slabs" };
	result_plan(result, "drop %s: up to %.1f MiB", names[args->what], (double)droppable(&now, args->what) / MIB);
	result->expected.freed_bytes = droppable(&now, args->what);
	if (request->verb == REMEDY_VERB_APPLY)
		act(proc_fd, request, &now, result);
	return 0;
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	return node_memory_run(drop_caches_in, request, result);
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	return node_memory_check("/proc/sys/vm/drop_caches", result);
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)
static const char *const what_choices[] = { "pagecache", "slab", "both" };
static const uint32_t what_values[] = { 1, 2, 3 };

static const struct setting drop_caches_settings[] = {
	{ .name = "what", .type = VALUE_CHOICE, ARGUMENT(drop_caches.what), CHOICES(what_choices), .choice_values = what_values, .initial = "both",
	  .help = "the page cache, the slabs (dentries, inodes), or both" },
	{ .name = "min_cached", .type = VALUE_COUNT, ARGUMENT(drop_caches.min_cached_percent), .min = 1, .max = 100, .initial = "40",
	  .help = "percent of all memory that could be dropped; less is no evidence" },
	{ .name = "max_available", .type = VALUE_COUNT, ARGUMENT(drop_caches.max_available_percent), .max = 100, .initial = "10",
	  .help = "percent of all memory that is available; more is no evidence" },
	{ .name = "watch", .type = VALUE_DURATION, ARGUMENT(drop_caches.watch_ns), .min = 10.0 * NSEC_PER_MSEC, .max = 60.0 * NSEC_PER_SEC, .initial = "1s",
	  .help = "within which reclaim must be seen to scan" },
	{ .name = "every", .type = VALUE_DURATION, ARGUMENT(drop_caches.every_ns), .max = LONGEST_WAIT_S * 1e9, .initial = "1h",
	  .help = "at most once in so long, beside the policy's own limits" },
};
static const struct section arguments = SECTION("drop-caches", "Drops the node's page cache and slabs, where reclaim has become the load itself.",
	drop_caches_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct drop_caches_args *args = &all->drop_caches;
	if (args->what < 1 || args->what > 3)
		return "what is to be dropped is unknown";
	if (args->min_cached_percent < 1 || args->min_cached_percent > 100 || args->max_available_percent > 100)
		return "a percentage is out of its range";
	return args->watch_ns > 60 * NSEC_PER_SEC || args->every_ns > LONGEST_WAIT_S * NSEC_PER_SEC ? "a time is out of its range" : NULL;
}

const struct remedy drop_caches = {
	.name = "drop-caches",
	.id = REMEDY_DROP_CACHES,
	.lane = LANE_SLOW,
	.help = "Drops the node's page cache and slabs, where much is cached, little is available, and reclaim scans all the time.",
	.undo = "none is needed: what is wanted again is read again",
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_NODE,
	.effects = EFFECT_FREED | EFFECT_WITHIN,
	.expect_example = "{freed: 500MiB, within: 30s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
