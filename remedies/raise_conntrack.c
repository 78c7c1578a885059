/* SPDX-License-Identifier: Apache-2.0 */
/* More room in the table of tracked connections, for a time: when it is full the kernel drops what is new. */
#include "remedy.h"

#include "core/value.h"
#include "remedies/act.h"
#include "remedies/raise_limit.h"
#include "remedies/registry.h"

/* 256 bytes an entry (object_size of the slab nf_conntrack, 6.18), and as many again at most for what modules hang on it. The number of
 * buckets stays: to write it makes the whole table anew, and a chain of a few more entries is no loss beside a dropped connection. */
static const struct raise_row rows[] = {
	{ .what = "tracked connections", .limit = "net/netfilter/nf_conntrack_max", .entries = "/proc/sys/net/netfilter/nf_conntrack_count", .entry_bytes = 512 },
};
static const struct raise raise = { .rows = rows, .count = sizeof(rows) / sizeof(rows[0]) };

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	return raise_run(&raise, request, result);
}

static int check(const struct remedy_request *request, struct remedy_result *result)
{
	return raise_check(&raise, request, result);
}

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)

static const struct setting raise_conntrack_settings[] = {
	{ .name = "times", .type = VALUE_TIMES, ARGUMENT(raise_limit.times), .min = 1.1, .max = 10, .initial = "2x",
	  .help = "so many times what it is, where memory allows" },
	{ .name = "memory_percent", .type = VALUE_PERCENT, ARGUMENT(raise_limit.memory_percent), .min = 0.1, .max = 50, .initial = "5",
	  .help = "no further than that a full table takes so much of the memory" },
	{ .name = "full_percent", .type = VALUE_PERCENT, ARGUMENT(raise_limit.full_percent), .max = 100, .initial = "75",
	  .help = "not where less than this is used" },
	{ .name = "for", .type = VALUE_DURATION, ARGUMENT(raise_limit.for_ns), .min = 1.0 * NSEC_PER_SEC, .max = LONGEST_WAIT_S * 1e9, .initial = "1h",
	  .help = "after which it is turned back, whatever becomes of the agent" },
};
static const struct section arguments = SECTION("raise-conntrack", "Raises the limit of tracked connections, for a time.", raise_conntrack_settings);

const struct remedy raise_conntrack = {
	.name = "raise-conntrack",
	.id = REMEDY_RAISE_CONNTRACK,
	.lane = LANE_LEASE,
	.help = "Raises the limit of tracked connections when their table is nearly full, for a time.",
	.undo = "a lease: turned back when its time is over, by the agent, the next one, or `nodemend undo`",
	.reversible = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_NODE,
	.effects = EFFECT_USE | EFFECT_WITHIN,
	.expect_example = "{use_percent: 60, within: 5s}",
	.arguments = &arguments,
	.problem = raise_problem,
	.check = check,
	.plan = run,
	.apply = run,
};
