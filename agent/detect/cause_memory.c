/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: who grows at this moment, and with less weight who has grown in the last ten minutes; else who has brought files in and pushed others out; else
 * who is large. A cgroup that stalls at its own limit is asked about itself alone: what others hold has nothing to do with it.
 */
#include <math.h>
#include <stdio.h>

#include "detect/cause.h"
#include "policy.h"

/* Under this much growth in the window memory is not filling up by anyone, it is full: then size is all the evidence there is. */
#define GROWTH_THAT_COUNTS (16ULL << 20)

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static uint64_t above_zero(int64_t bytes)
{
	return bytes > 0 ? (uint64_t)bytes : 0;
}

/*
 * What it added in the last 15 s, as far as it still adds: one that started a while ago, took its memory and stands still has grown
 * just as much as the leak beside it. The factor is the window over the moment, so that a steady grower keeps all of its growth.
 */
static uint64_t growth(const struct process *process)
{
	uint64_t lately = above_zero(process->rss_growing_bytes) * 16, window = above_zero(process->rss_growth_bytes);
	return lately < window ? lately : window;
}

/* Against what it is used to; 0 where that is not known. */
static uint64_t settled(const struct ranking *ranking, const struct process *process, struct usage_view *ret)
{
	bool known = baseline_process(ranking->baseline, process->pid, process->start_ns, USE_MEMORY, ret) && ret->has_base;
	return known && (double)process->rss_bytes > ret->base ? process->rss_bytes - (uint64_t)ret->base : 0;
}

enum tier { TIER_GROWS, TIER_IS_LARGE };

/* What was taken and is held counts a quarter of what is still being taken: it is part of the change, and ending it would not end the leak. */
static uint64_t change_of(const struct ranking *ranking, const struct process *process)
{
	struct usage_view view;
	uint64_t now = growth(process), held = settled(ranking, process, &view) / 4;
	return now > held ? now : held;
}

static uint64_t amount_of(const struct ranking *ranking, const struct process *process, enum tier tier)
{
	return tier == TIER_GROWS ? change_of(ranking, process) : process->rss_bytes;
}

static bool takes_part(const struct ranking *ranking, const struct process *process, double limited_from)
{
	return ranking_asks_for(ranking, process) && (!isfinite(limited_from) || is_self_limited(ranking, process->cgroup_id, limited_from));
}

static void say(const struct ranking *ranking, const struct process *process, enum tier tier, bool limited, struct cause *cause)
{
	struct usage_view view;
	const char *tail = limited ? "; its cgroup waits at its own limit" : "";
	if (tier == TIER_GROWS && growth(process) >= settled(ranking, process, &view) / 4) {
		snprintf(cause->evidence, sizeof(cause->evidence), "grew by %.1f MiB to %.1f MiB%s", mib(above_zero(process->rss_growth_bytes)),
			 mib(process->rss_bytes), tail);
	} else if (tier == TIER_GROWS) {
		snprintf(cause->evidence, sizeof(cause->evidence), "holds %.1f MiB, %.1f MiB in the ten minutes before%s", mib(process->rss_bytes),
			 view.base / (1 << 20), tail);
	} else {
		snprintf(cause->evidence, sizeof(cause->evidence), "holds %.1f MiB; nobody grew by much%s", mib(process->rss_bytes), tail);
	}
}

static void rank_tier(struct ranking *ranking, enum tier tier, double limited_from)
{
	const struct process_section *processes = &ranking->snap->processes;
	for (uint32_t i = 0; i < processes->count; i++) {
		const struct process *process = &processes->each[i];
		uint64_t amount = takes_part(ranking, process, limited_from) ? amount_of(ranking, process, tier) : 0;
		struct cause *cause = amount ? ranking_place(ranking, (double)amount, (double)amount) : NULL;
		if (!cause)
			continue;
		ranking_name_process(ranking->snap, process, cause);
		cause->self_inflicted = isfinite(limited_from);
		say(ranking, process, tier, cause->self_inflicted, cause);
	}
}

/* Whether there is a change to speak of, of whichever kind. */
static bool any_change(const struct ranking *ranking, double limited_from)
{
	const struct process_section *processes = &ranking->snap->processes;
	uint64_t growing = 0, held = 0;
	struct usage_view view;
	for (uint32_t i = 0; i < processes->count; i++) {
		if (!takes_part(ranking, &processes->each[i], limited_from))
			continue;
		growing += growth(&processes->each[i]);
		held += settled(ranking, &processes->each[i], &view);
	}
	return growing >= GROWTH_THAT_COUNTS || held >= GROWTH_THAT_COUNTS;
}

/* Asked only of pressure: a node that is full is full, whoever else is at a limit, too. INFINITY: nobody is. */
static double limited_from_of(const struct ranking *ranking, bool pressure)
{
	double from = pressure ? self_limited_from(ranking) : INFINITY;
	for (uint32_t i = 0; isfinite(from) && i < ranking->snap->cgroups.count; i++)
		if (is_self_limited(ranking, ranking->snap->cgroups.each[i].id, from))
			return from;
	return INFINITY;
}

void rank_memory(struct ranking *ranking)
{
	/* Reading files through the page cache makes pressure without anybody holding more. */
	static const struct additive filling = {
		USE_FILLED, USE_READ, USE_COUNT, "brought in", "MiB of files a second", 1 << 20, 8 << 20,
	};
	bool pressure = ranking->condition && ranking->condition->kind == CONDITION_PSI;
	double limited = limited_from_of(ranking, pressure);
	if (any_change(ranking, limited))
		rank_tier(ranking, TIER_GROWS, limited);
	else if (!pressure || isfinite(limited) || !rank_by_change(ranking, &filling))
		rank_tier(ranking, TIER_IS_LARGE, limited);
}
