/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who suffers: the cgroups whose waiting rose with the trouble, apart from those who make it. By the kernel's own accounts of waiting: run
 * queue, block I/O, direct reclaim. One that waits at its own limit or quota is shown, and as doing it to itself.
 */
#include <stdio.h>

#include "detect/cause.h"

/* What is waited for, and what is like it and one's own doing. USE_COUNT: there is no such thing. */
struct waiting {
	enum use use, own;
	const char *words, *own_words;
};

static const struct waiting waitings[KIND_COUNT] = {
	[KIND_CPU_EXHAUSTION] = { USE_WAIT, USE_THROTTLED, "for a processor", "for its own quota of processor time" },
	[KIND_IO_SATURATION] = { USE_BLOCKED, USE_COUNT, "for block I/O", "" },
	[KIND_DISK_EXHAUSTION] = { USE_BLOCKED, USE_COUNT, "for block I/O", "" },
	[KIND_MEMORY_EXHAUSTION] = { USE_STALLED_NODE, USE_STALLED_LIMIT, "to find memory", "at its own limit of memory" },
	[KIND_OOM_KILL] = { USE_STALLED_NODE, USE_STALLED_LIMIT, "to find memory", "at its own limit of memory" },
};

/* A hundredth of a second in a second, all threads together. */
#define WAIT_THAT_COUNTS_NS (10.0 * NSEC_PER_MSEC)

static bool is_cause(const struct cause *causes, uint32_t count, uint64_t cgroup_id)
{
	for (uint32_t i = 0; i < count; i++)
		if (causes[i].cgroup_id == cgroup_id && (causes[i].explains || causes[i].self_inflicted))
			return true;
	return false;
}

/* Whom it had to give way to most; NULL: not said. */
static const struct cgroup *aggressor_of(const struct snapshot *snap, uint64_t victim)
{
	const struct preemption *most = NULL;
	for (uint32_t i = 0; i < snap->preemptions.count; i++) {
		const struct preemption *preemption = &snap->preemptions.each[i];
		if (preemption->victim == victim && preemption->aggressor != victim && (!most || preemption->wait_ns > most->wait_ns))
			most = preemption;
	}
	return most ? snapshot_cgroup(snap, most->aggressor) : NULL;
}

static void say(const struct ranking *ranking, const struct waiting *waiting, const struct usage_view *view, bool own, uint64_t id, struct cause *victim)
{
	const struct cgroup *aggressor = waiting->use == USE_WAIT && !own ? aggressor_of(ranking->snap, id) : NULL;
	int length = snprintf(victim->evidence, sizeof(victim->evidence), "its threads waited %.2f s a second %s, %.2f in the ten minutes before",
			      view->now / (double)NSEC_PER_SEC, own ? waiting->own_words : waiting->words, view->base / (double)NSEC_PER_SEC);
	if (aggressor && aggressor->path[0] && length < (int)sizeof(victim->evidence))
		snprintf(victim->evidence + length, sizeof(victim->evidence) - (size_t)length, "; most often had to give way to %s", aggressor->path);
}

static void place(struct ranking *ranking, const struct waiting *waiting, const struct cgroup *cgroup, bool own)
{
	struct usage_view view;
	if (!baseline_cgroup(ranking->baseline, cgroup->id, own ? waiting->own : waiting->use, &view) || view.now - view.base < WAIT_THAT_COUNTS_NS)
		return;
	struct cause *victim = ranking_place(ranking, view.now - view.base, view.now - view.base);
	if (!victim)
		return;
	ranking_name_group(ranking->snap, cgroup->id, victim);
	victim->self_inflicted = own;
	say(ranking, waiting, &view, own, cgroup->id, victim);
}

uint32_t rank_victims(const struct snapshot *snap, const struct baseline *baseline, const struct finding *finding, const struct cause *causes,
		      uint32_t cause_count, struct cause ret[MAX_VICTIMS])
{
	struct ranking ranking = { .snap = snap, .baseline = baseline, .finding = finding, .room = MAX_VICTIMS, .causes = ret };
	const struct waiting *waiting = finding->kind < KIND_COUNT ? &waitings[finding->kind] : NULL;
	if (!waiting || !waiting->words)
		return 0;
	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		if (!cgroup->path[0] || is_cause(causes, cause_count, cgroup->id))
			continue;
		place(&ranking, waiting, cgroup, false);
		if (waiting->own != USE_COUNT)
			place(&ranking, waiting, cgroup, true);
	}
	for (uint32_t i = 0; i < ranking.count; i++) {
		ret[i].rank = i + 1;
		ret[i].share_permille = (uint32_t)(ranking.rows[i].amount * 1000.0 / ranking.total + 0.5);
	}
	return ranking.count;
}
