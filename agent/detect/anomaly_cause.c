/* SPDX-License-Identifier: Apache-2.0 */
/* What an anomaly consists of: the series that brought the evidence, as the causes of its incident. */
#include "detect/anomaly_cause.h"

#include <stdio.h>
#include <string.h>

const struct anomaly_scope *anomaly_of(const struct snapshot *snap, const struct target *target)
{
	uint64_t id = target->type == TARGET_CGROUP ? target->cgroup_id : 0;
	for (uint32_t i = 0; i < snap->anomaly.count; i++)
		if (snap->anomaly.each[i].cgroup_id == id)
			return &snap->anomaly.each[i];
	return NULL;
}

uint32_t anomaly_causes(const struct snapshot *snap, const struct target *target, struct cause ret[MAX_CAUSES])
{
	_Static_assert((int)ANOMALY_TOP <= (int)MAX_CAUSES, "each sign has a row");
	const struct anomaly_scope *scope = anomaly_of(snap, target);
	float sum = 0;

	for (uint32_t i = 0; scope && i < scope->top_count; i++)
		sum += scope->top[i].share;
	for (uint32_t i = 0; scope && i < scope->top_count; i++) {
		const struct anomaly_sign *sign = &scope->top[i];
		struct cause *cause = &ret[i];
		memset(cause, 0, sizeof(*cause));
		cause->rank = i + 1;
		cause->cgroup_id = scope->cgroup_id;
		if (target->type == TARGET_CGROUP)
			snprintf(cause->cgroup, sizeof(cause->cgroup), "%s", target->name);
		cause->share_permille = (uint32_t)(sign->share * 1000 / sum);
		snprintf(cause->evidence, sizeof(cause->evidence), "%s: %s to %.4g where %.4g is usual", sign->series, sign->feature, sign->seen, sign->expected);
	}
	return scope ? scope->top_count : 0;
}
