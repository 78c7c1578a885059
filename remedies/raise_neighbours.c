/* SPDX-License-Identifier: Apache-2.0 */
/* More room in the tables of neighbours (ARP, NDP), for a time: when one is full nobody new on the link is reached. */
#include "remedy.h"

#include "core/value.h"
#include "remedies/act.h"
#include "remedies/raise_limit.h"
#include "remedies/registry.h"

/* gc_thresh3 alone: at it the kernel refuses, while gc_thresh2 only says when it begins to look for old ones (neigh_alloc, net/core/neighbour.c).
 * An entry is an allocation of 512 bytes: struct neighbour, its key, and the driver's part. */
static const struct raise_row rows[] = {
	{ .what = "neighbours of IPv4", .limit = "net/ipv4/neigh/default/gc_thresh3", .entries = "/proc/net/stat/arp_cache", .statistics = true, .entry_bytes = 512 },
	{ .what = "neighbours of IPv6", .limit = "net/ipv6/neigh/default/gc_thresh3", .entries = "/proc/net/stat/ndisc_cache", .statistics = true, .entry_bytes = 512 },
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

static const struct setting raise_neighbours_settings[] = {
	{ .name = "times", .type = VALUE_TIMES, ARGUMENT(raise_limit.times), .min = 1.1, .max = 10, .initial = "2x",
	  .help = "so many times what it is, where memory allows" },
	{ .name = "memory_percent", .type = VALUE_PERCENT, ARGUMENT(raise_limit.memory_percent), .min = 0.1, .max = 50, .initial = "2",
	  .help = "no further than that a full table takes so much of the memory" },
	{ .name = "full_percent", .type = VALUE_PERCENT, ARGUMENT(raise_limit.full_percent), .max = 100, .initial = "75",
	  .help = "not where less than this is used" },
	{ .name = "for", .type = VALUE_DURATION, ARGUMENT(raise_limit.for_ns), .min = 1.0 * NSEC_PER_SEC, .max = LONGEST_WAIT_S * 1e9, .initial = "1h",
	  .help = "after which it is turned back, whatever becomes of the agent" },
};
static const struct section arguments = SECTION("raise-neighbours", "Raises the limit of neighbours, for a time.", raise_neighbours_settings);

const struct remedy raise_neighbours = {
	.name = "raise-neighbours",
	.id = REMEDY_RAISE_NEIGHBOURS,
	.lane = LANE_LEASE,
	.help = "Raises the limit of neighbours (ARP, NDP) of the table that is nearly full, for a time.",
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
