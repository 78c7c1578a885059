/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting that nobody else inflicts: a cgroup that is held by its own quota of processor time, or reclaims at its own limit of memory. The
 * kernel's pressure figures count it like any other wait, and whoever blames others for it ends the wrong ones.
 */
#include <math.h>
#include <stdio.h>

#include "detect/cause.h"
#include "policy.h"

/* Ten milliseconds a second, one percent, is not yet a wait that anybody would notice. */
#define WAIT_THAT_COUNTS_NS (10.0 * NSEC_PER_MSEC)

static double now_of(const struct ranking *ranking, uint64_t cgroup_id, enum use use)
{
	struct usage_view view;
	return baseline_cgroup(ranking->baseline, cgroup_id, use, &view) ? view.now : 0;
}

static double sum_of(const struct ranking *ranking, enum use use)
{
	double sum = 0;
	for (uint32_t i = 0; i < ranking->snap->cgroups.count; i++)
		sum += now_of(ranking, ranking->snap->cgroups.each[i].id, use);
	return sum;
}

/* Where most of the reclaiming is done at limits, those who do at least a quarter of that. */
double self_limited_from(const struct ranking *ranking)
{
	double limits = sum_of(ranking, USE_STALLED_LIMIT), node = sum_of(ranking, USE_STALLED_NODE);
	if (limits <= node)
		return INFINITY;
	return limits / 4 > WAIT_THAT_COUNTS_NS ? limits / 4 : WAIT_THAT_COUNTS_NS;
}

bool is_self_limited(const struct ranking *ranking, uint64_t cgroup_id, double from_ns)
{
	return isfinite(from_ns) && now_of(ranking, cgroup_id, USE_STALLED_LIMIT) >= from_ns;
}

bool rank_self_inflicted_cpu(struct ranking *ranking)
{
	if (!ranking->condition || ranking->condition->kind != CONDITION_PSI)
		return false;
	double held = sum_of(ranking, USE_THROTTLED), waited = sum_of(ranking, USE_WAIT);
	if (held < WAIT_THAT_COUNTS_NS || held < waited)
		return false;
	for (uint32_t i = 0; i < ranking->snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &ranking->snap->cgroups.each[i];
		double own = now_of(ranking, cgroup->id, USE_THROTTLED);
		struct cause *cause = own > 0 ? ranking_place(ranking, own, own) : NULL;
		if (!cause)
			continue;
		ranking_name_group(ranking->snap, cgroup->id, cause);
		cause->self_inflicted = true;
		snprintf(cause->evidence, sizeof(cause->evidence), "its threads are held by their own quota for %.2f s a second; nobody else takes the time from them",
			 own / (double)NSEC_PER_SEC);
	}
	return ranking->count > 0;
}
