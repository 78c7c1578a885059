/* SPDX-License-Identifier: Apache-2.0 */
/* See choose.h. */
#include "decide/choose.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

struct scored {
	struct cause cause;
	double weight;
	char why[EVIDENCE_LEN];
};

/* --- weights ----------------------------------------------------------------------------------------------------------- */

static bool matches(const char *pattern, const struct cause *cause)
{
	if (pattern[0] != '/')
		return (cause->comm[0] && fnmatch(pattern, cause->comm, 0) == 0) || (cause->unit[0] && fnmatch(pattern, cause->unit, 0) == 0);
	return cause->cgroup[0] && fnmatch(pattern, cause->cgroup, FNM_PATHNAME | FNM_LEADING_DIR) == 0;
}

static bool any_matches(const char (*patterns)[NAME_LEN], uint32_t count, const struct cause *cause)
{
	for (uint32_t i = 0; i < count; i++)
		if (matches(patterns[i], cause))
			return true;
	return false;
}

static double preferred(const struct choosing *choosing, const struct cause *cause)
{
	const struct preferences *victims = &choosing->policy->victims;
	return any_matches(victims->prefer, victims->prefer_count, cause) ? 4 : 1;
}

static double avoided(const struct choosing *choosing, const struct cause *cause)
{
	const struct preferences *victims = &choosing->policy->victims;
	return any_matches(victims->avoid, victims->avoid_count, cause) ? 1 / 8.0 : 1;
}

/* The classes of Kubernetes, as the kubelet writes them into the path. A pod of class guaranteed has none there. */
static double class_of_service(const struct choosing *choosing, const struct cause *cause)
{
	(void)choosing;
	if (!strstr(cause->cgroup, "kubepods"))
		return 1;
	return strstr(cause->cgroup, "besteffort") ? 1.5 : strstr(cause->cgroup, "burstable") ? 1 : 0.5;
}

/* What the kernel's own killer would go by: -1000 it never takes. */
static double kernel_says(const struct choosing *choosing, const struct cause *cause)
{
	return choosing->ends_processes && cause->pid ? (1000 + cause->oom_score_adj) / 1000.0 : 1;
}

/* Within what it was promised it is not what the node lacks. */
static double promised(const struct choosing *choosing, const struct cause *cause)
{
	const struct cgroup *group = choosing->ends_processes ? snapshot_cgroup(choosing->snap, cause->cgroup_id) : NULL;
	bool within = group && choosing->finding->kind == KIND_MEMORY_EXHAUSTION && group->memory_low != UNKNOWN && group->memory_low &&
		      group->memory_current != UNKNOWN && group->memory_current <= group->memory_low;
	return within ? 0.25 : 1;
}

static const struct weight {
	const char *words;
	double (*of)(const struct choosing *choosing, const struct cause *cause);
} weights[] = {
	{ "preferred", preferred },
	{ "avoided", avoided },
	{ "class of service", class_of_service },
	{ "oom_score_adj", kernel_says },
	{ "within memory.low", promised },
};

static void weigh(const struct choosing *choosing, struct scored *scored)
{
	size_t used = 0;
	scored->weight = 1;
	scored->why[0] = '\0';
	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
		double weight = weights[i].of(choosing, &scored->cause);
		scored->weight *= weight;
		if (weight != 1 && used < sizeof(scored->why))
			used += (size_t)snprintf(scored->why + used, sizeof(scored->why) - used, "%s%s: times %.3g", used ? ", " : "", weights[i].words, weight);
	}
}

/* --- choosing ---------------------------------------------------------------------------------------------------------- */

static double score_of(const struct scored *scored)
{
	return scored->cause.share_permille * scored->weight;
}

/* Of what is about one process or cgroup, nobody else is to be had: weights do not spare it. */
static bool is_out(const struct choosing *choosing, const struct scored *scored)
{
	return choosing->finding->target.type == TARGET_NODE && (scored->cause.self_inflicted || scored->weight <= 0);
}

static void place(struct scored *rows, uint32_t count, const struct scored *scored)
{
	uint32_t at = count;
	for (; at > 0 && score_of(&rows[at - 1]) < score_of(scored); at--)
		rows[at] = rows[at - 1];
	rows[at] = *scored;
}

static const char *name_of(const struct cause *cause)
{
	return cause->comm[0] ? cause->comm : cause->unit[0] ? cause->unit : cause->cgroup;
}

static void say_otherwise(const struct scored *rows, uint32_t count, struct selection *ret)
{
	if (count < 2) {
		snprintf(ret->otherwise, sizeof(ret->otherwise), "nobody else was to be had");
		return;
	}
	const struct scored *first = &rows[0], *second = &rows[1];
	double needed = second->weight > 0 ? score_of(first) / second->weight : 0;
	if (needed > second->cause.share_permille && needed <= 1000)
		snprintf(ret->otherwise, sizeof(ret->otherwise), "%.40s would have been chosen from a share of %.1f %% on, and had %.1f %%", name_of(&second->cause),
			 needed / 10, second->cause.share_permille / 10.0);
	else if (first->weight > second->weight)
		snprintf(ret->otherwise, sizeof(ret->otherwise), "with equal weights %.40s (%.3g against %.3g), shares would have decided: %.1f %% against %.1f %%",
			 name_of(&first->cause), first->weight, second->weight, first->cause.share_permille / 10.0, second->cause.share_permille / 10.0);
	else
		snprintf(ret->otherwise, sizeof(ret->otherwise), "no share of %.40s would have: it weighs %.3g against %.3g", name_of(&second->cause),
			 second->weight, first->weight);
}

static void record(const struct scored *rows, uint32_t count, struct selection *ret)
{
	ret->count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct candidate *candidate = &ret->each[i];
		candidate->pid = rows[i].cause.pid;
		memcpy(candidate->comm, rows[i].cause.comm, sizeof(candidate->comm));
		memcpy(candidate->cgroup, rows[i].cause.cgroup, sizeof(candidate->cgroup));
		candidate->share_permille = rows[i].cause.share_permille;
		candidate->score = (uint32_t)(score_of(&rows[i]) + 0.5);
		memcpy(candidate->why, rows[i].why, sizeof(candidate->why));
	}
	double first = count ? score_of(&rows[0]) : 0, second = count > 1 ? score_of(&rows[1]) : 0;
	ret->margin_permille = first > 0 ? (uint32_t)((first - second) * 1000 / first + 0.5) : 0;
	if (count)
		say_otherwise(rows, count, ret);
}

uint32_t choose(const struct choosing *choosing, struct cause causes[MAX_CAUSES], uint32_t count, struct selection *ret)
{
	struct scored rows[MAX_CAUSES];
	uint32_t left = 0;
	*ret = (struct selection){ 0 };
	for (uint32_t i = 0; i < count; i++) {
		struct scored scored = { .cause = causes[i] };
		weigh(choosing, &scored);
		if (!is_out(choosing, &scored))
			place(rows, left++, &scored);
	}
	for (uint32_t i = 0; i < left; i++) {
		causes[i] = rows[i].cause;
		causes[i].rank = i + 1;
	}
	record(rows, left, ret);
	return left;
}
