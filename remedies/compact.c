/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the kernel move pages together (vm.compact_memory) where memory is free but in pieces: no large blocks are left, those who want one stall or
 * fail, and there is enough in smaller ones to make some. Without all three signs it is refused, and the figures say why.
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
static const char file[] = "sys/vm/compact_memory";

static uint64_t last_boot_ns; /* of this worker: the policy's own budget holds over restarts */

static uint64_t blocks_from(const struct node_memory *memory, uint32_t order)
{
	uint64_t count = 0;
	for (uint32_t i = order; i < memory->orders; i++)
		count += memory->blocks[i];
	return count;
}

static void judge(const struct remedy_request *request, const struct node_memory *before, const struct node_memory *after, struct remedy_result *result)
{
	uint32_t order = request->args.compact.order;
	uint64_t had = node_memory_in_blocks(before, order), has = node_memory_in_blocks(after, order), promised = request->expect.available_bytes;
	uint64_t gained = has > had ? has - had : 0;
	bool enough = gained && (promised == UNKNOWN || gained >= promised);
	result->observed.available_bytes = gained;
	step_end(result_step(result, "compact"), enough, "in blocks of order %u and above are %.1f MiB, and were %.1f MiB", order, (double)has / MIB, (double)had / MIB);
	result->outcome = enough ? OUTCOME_FIXED : gained ? OUTCOME_IMPROVED : OUTCOME_NO_EFFECT;
	if (!enough)
		snprintf(result->why, sizeof(result->why), "%.1f MiB more are in large blocks", (double)gained / MIB);
}

static void act(int proc_fd, const struct remedy_request *request, const struct node_memory *before, struct remedy_result *result)
{
	struct node_memory after;
	const char *halted = act_halted(request);
	if (halted) {
		act_refuse(result, halted, "stopped by the %s", halted);
		return;
	}
	int error = node_memory_write(proc_fd, request, file, "1\n");
	if (error && error != -EINTR) { /* ended in time: what it did so far is done */
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

int compact_in(int proc_fd, const struct remedy_request *request, struct remedy_result *result)
{
	const struct compact_args *args = &request->args.compact;
	struct node_memory first, now;
	if (node_memory_not_again(request, last_boot_ns, args->every_ns, result) < 0)
		return 0;
	int error = node_memory_read(proc_fd, &first);
	node_memory_watch(request, error ? 0 : args->watch_ns);
	if (error == 0)
		error = node_memory_read(proc_fd, &now);
	if (error == 0 && (now.compact_stalls == UNKNOWN || now.compact_fails == UNKNOWN || args->order >= now.orders))
		error = -EOPNOTSUPP;
	if (error) {
		act_refuse(result, "no-measure", "whether memory is in pieces cannot be seen: %s", strerror(-error));
		return 0;
	}
	uint64_t large = blocks_from(&now, args->order), free_percent = now.total_bytes ? now.free_bytes * 100 / now.total_bytes : 0;
	uint64_t stalls = now.compact_stalls - first.compact_stalls, fails = now.compact_fails - first.compact_fails;
	bool evident = large == 0 && free_percent >= args->min_free_percent && stalls + fails > 0;
	step_end(result_step(result, "look"), evident, "%" PRIu64 " free blocks of order %u and above, %" PRIu64 " %% free, %" PRIu64 " stalls and %" PRIu64 " failures meanwhile",
		 large, args->order, free_percent, stalls, fails);
	if (!evident) {
		act_refuse(result, "no-evidence",
			   "%" PRIu64 " free blocks of order %u and above (0 wanted), %" PRIu64 " %% of memory free (at least %u), %" PRIu64 " stalls and failures meanwhile (at least 1)",
			   large, args->order, free_percent, args->min_free_percent, stalls + fails);
		return 0;
	}
	result_plan(result, "compact the node's memory: %.1f MiB are free, and none of it in blocks of order %u", (double)now.free_bytes / MIB, args->order);
	result->expected.available_bytes = (uint64_t)sysconf(_SC_PAGESIZE) << args->order; /* one block: what it brings beyond is not to be known beforehand */
	if (request->verb == REMEDY_VERB_APPLY)
		act(proc_fd, request, &now, result);
	return 0;
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	return node_memory_run(compact_in, request, result);
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	return node_memory_check("/proc/sys/vm/compact_memory", result);
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)
enum { MOST_ORDER = MAX_ORDERS_OF_BUDDY - 1 };

static const struct setting compact_settings[] = {
	{ .name = "order", .type = VALUE_COUNT, ARGUMENT(compact.order), .min = 1, .max = MOST_ORDER, .initial = "9",
	  .help = "blocks of 2^order pages must be missing; 9 is a huge page of x86" },
	{ .name = "min_free", .type = VALUE_COUNT, ARGUMENT(compact.min_free_percent), .max = 100, .initial = "5",
	  .help = "percent of all memory that is free, in pieces; less is no evidence: there would be nothing to put together" },
	{ .name = "watch", .type = VALUE_DURATION, ARGUMENT(compact.watch_ns), .min = 10.0 * NSEC_PER_MSEC, .max = 60.0 * NSEC_PER_SEC, .initial = "2s",
	  .help = "within which somebody must be seen to stall or fail for want of a large block" },
	{ .name = "every", .type = VALUE_DURATION, ARGUMENT(compact.every_ns), .max = LONGEST_WAIT_S * 1e9, .initial = "1h",
	  .help = "at most once in so long, beside the policy's own limits" },
};
static const struct section arguments = SECTION("compact", "Has the kernel put free memory together, where it is in pieces.", compact_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct compact_args *args = &all->compact;
	if (args->order < 1 || args->order > MOST_ORDER || args->min_free_percent > 100)
		return "order or min_free is out of its range";
	return args->watch_ns > 60 * NSEC_PER_SEC || args->every_ns > LONGEST_WAIT_S * NSEC_PER_SEC ? "a time is out of its range" : NULL;
}

const struct remedy compact = {
	.name = "compact",
	.id = REMEDY_COMPACT,
	.lane = LANE_SLOW,
	.help = "Has the kernel put free memory together, where it is in pieces and somebody stalls or fails for want of a large block.",
	.undo = "none is needed",
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_NODE,
	.effects = EFFECT_AVAILABLE | EFFECT_WITHIN,
	.expect_example = "{available: 2MiB, within: 30s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
