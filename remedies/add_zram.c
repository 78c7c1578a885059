/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives the node compressed memory to swap to, for a time. What is rarely used takes a third or so of its place, at the cost of processor time; it
 * needs no disk. The module must be there already: nothing here loads one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/value.h"
#include "remedies/act.h"
#include "remedies/figure.h"
#include "remedies/registry.h"
#include "remedies/swap.h"

#define MIB (1024.0 * 1024.0)
enum { MOST_PERCENT = 100 };
static const char hot_add[] = "/sys/class/zram-control/hot_add";

static const char *const algorithm_choices[] = { "default", "lzo", "lzo-rle", "lz4", "zstd" };

static void judge(const struct remedy_request *request, uint64_t before, struct remedy_result *result)
{
	uint64_t after = before, promised = request->expect.available_bytes;
	int error = figure_named(AT_FDCWD, "/proc/meminfo", "SwapTotal", &after);
	uint64_t more = after > before ? after - before : 0;
	bool enough = more && more >= (promised == UNKNOWN ? result->expected.available_bytes : promised);
	step_end(result_step(result, "swap"), error == 0 && enough, "SwapTotal went from %.1f to %.1f MiB", (double)before / MIB, (double)after / MIB);
	if (error == 0)
		result->observed.available_bytes = more;
	result->outcome = error ? OUTCOME_IMPROVED : enough ? OUTCOME_FIXED : more ? OUTCOME_IMPROVED : OUTCOME_NO_EFFECT;
}

static void act(const struct remedy_request *request, struct remedy_result *result)
{
	const struct add_zram_args *args = &request->args.add_zram;
	struct knob knob = { .kind = KNOB_ZRAM };
	uint64_t before = 0;
	uint32_t number = 0;
	const char *halted = act_halted(request);
	if (halted) {
		act_refuse(result, halted, "stopped by the %s", halted);
		return;
	}
	int error = figure_named(AT_FDCWD, "/proc/meminfo", "SwapTotal", &before);
	if (error == 0)
		error = zram_add(&number); /* an empty device: nothing to turn back yet */
	if (error) {
		act_fail(result, "no zram device: %s", strerror(-error));
		return;
	}
	snprintf(knob.file, sizeof(knob.file), "/dev/zram%u", number);
	swap_key(knob.key, args->size_bytes, args->priority);
	if (args->algorithm)
		snprintf(knob.absent, sizeof(knob.absent), "%s", algorithm_choices[args->algorithm]);
	error = lease_take(request, &knob, "on", args->for_ns, result);
	if (error == 0) {
		judge(request, before, result);
		return;
	}
	(void)zram_remove(number);
	if (error == -ENOSPC || error == -EBUSY)
		act_refuse(result, "lease-book", "the book of leases has no place or is held: nothing is turned that is not written down");
	else
		act_fail(result, "no swap on zram: %s", strerror(-error));
}

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	const struct add_zram_args *args = &request->args.add_zram;
	uint64_t total = 0;
	if (access(hot_add, R_OK) < 0) {
		act_refuse(result, "no-zram", "%s: %s; the module zram must be loaded", hot_add, strerror(errno));
		return 0;
	}
	if (figure_named(AT_FDCWD, "/proc/meminfo", "MemTotal", &total) < 0 || args->size_bytes > total / 100 * MOST_PERCENT) {
		act_refuse(result, "too-large", "more than all of the node's memory: what does not compress would take it");
		return 0;
	}
	result_plan(result, "make a zram device of %.1f MiB (%s), and swap to it with priority %u, for %llu s", (double)args->size_bytes / MIB,
		    algorithm_choices[args->algorithm], args->priority, (unsigned long long)(args->for_ns / NSEC_PER_SEC));
	result->expected.available_bytes = (args->size_bytes & ~((1ULL << 20) - 1)) - (uint64_t)sysconf(_SC_PAGESIZE); /* the header's page */
	if (request->verb == REMEDY_VERB_APPLY)
		act(request, result);
	return 0;
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	(void)request;
	result->armed = access(hot_add, R_OK) == 0;
	if (!result->armed)
		snprintf(result->why, sizeof(result->why), "%s: %s; the module zram must be loaded", hot_add, strerror(errno));
	return 0;
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting add_zram_settings[] = {
	{ .name = "size", .type = VALUE_BYTES, .required = true, ARGUMENT(add_zram.size_bytes), .min = (double)SWAP_LEAST_BYTES, .max = (double)SWAP_MOST_BYTES,
	  .help = "of what fits in before it is compressed, in whole MiB; at most all of the node's memory" },
	{ .name = "algorithm", .type = VALUE_CHOICE, ARGUMENT(add_zram.algorithm), CHOICES(algorithm_choices), .initial = "default",
	  .help = "of those that the kernel has; default is its own choice" },
	{ .name = "priority", .type = VALUE_COUNT, ARGUMENT(add_zram.priority), .max = SWAP_MOST_PRIORITY, .initial = "100",
	  .help = "among all swap: higher is used first" },
	{ .name = "for", .type = VALUE_DURATION, ARGUMENT(add_zram.for_ns), .min = 1.0 * NSEC_PER_SEC, .max = LONGEST_WAIT_S * 1e9, .initial = "6h",
	  .help = "after which it is read back and removed, once memory allows" },
};
static const struct section arguments = SECTION("add-zram", "Gives the node compressed memory to swap to, for a time.", add_zram_settings);

static const char *problem_of(const union remedy_args *all)
{
	const struct add_zram_args *args = &all->add_zram;
	if (args->size_bytes < SWAP_LEAST_BYTES || args->size_bytes > SWAP_MOST_BYTES || args->priority > SWAP_MOST_PRIORITY)
		return "size or priority is out of its range";
	if (args->algorithm >= sizeof(algorithm_choices) / sizeof(algorithm_choices[0]))
		return "the algorithm is unknown";
	return args->for_ns < NSEC_PER_SEC || args->for_ns > LONGEST_WAIT_S * NSEC_PER_SEC ? "for is out of its range" : NULL;
}

const struct remedy add_zram = {
	.name = "add-zram",
	.id = REMEDY_ADD_ZRAM,
	.lane = LANE_SLOW,
	.help = "Gives the node compressed memory to swap to, for a time.",
	.undo = "a lease: read back and removed when its time is over and memory allows, by the agent, the next one, or `nodemend undo`",
	.reversible = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_NODE,
	.effects = EFFECT_AVAILABLE | EFFECT_WITHIN,
	.expect_example = "{available: 1GiB, within: 30s}",
	.arguments = &arguments,
	.problem = problem_of,
	.check = check,
	.plan = run,
	.apply = run,
};
