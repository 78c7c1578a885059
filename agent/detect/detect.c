/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See detect.h. Every leaf of a policy's `when` has, for every target, a latch: raised after its condition held for its time,
 * lowered at its clear level. The tree above the latches is Kleene's three-valued logic.
 */
#include "detect/detect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/condition.h"
#include "detect/foretime.h"
#include "detect/latch.h"

enum { MAX_TRACKED = MAX_FINDINGS };

const char *const verdict_names[VERDICT_COUNT] = { "unknown", "false", "true" };

/* A target of which something was said: it must be said again when it is over, also when the target is gone. */
struct tracked {
	bool used, visited;
	uint32_t policy;
	struct finding last;
};

struct detector {
	struct latch_pool latches;
	struct tracked tracked[MAX_TRACKED];
	struct foretime_log *foretime; /* is not of policies, and outlives a reload */
};

struct detector *detector_new(void)
{
	struct detector *detector = calloc(1, sizeof(*detector));
	if (!detector)
		return NULL;
	detector->foretime = foretime_new();
	if (!detector->foretime) {
		free(detector);
		return NULL;
	}
	return detector;
}

void detector_free(struct detector *detector)
{
	if (!detector)
		return;
	foretime_free(detector->foretime);
	free(detector);
}

const struct foretime_log *detector_foretime(const struct detector *detector)
{
	return detector->foretime;
}

void detector_reset(struct detector *detector)
{
	memset(&detector->latches, 0, sizeof(detector->latches));
	memset(detector->tracked, 0, sizeof(detector->tracked));
}

const struct condition *policy_primary(const struct policy *policy)
{
	for (uint32_t i = 0; i < policy->when_count; i++)
		if (policy->when[i].op == PREDICATE_LEAF)
			return &policy->when[i].condition;
	return NULL;
}

/* --- latches ----------------------------------------------------------------------------------------------------------- */

static uint64_t latch_key(uint32_t policy, uint32_t leaf, const char *target)
{
	uint64_t hash = 0xcbf29ce484222325ULL ^ ((uint64_t)policy << 32 | leaf);
	for (; *target; target++)
		hash = (hash ^ (unsigned char)*target) * 0x100000001b3ULL;
	return hash ? hash : 1;
}

struct evaluation {
	struct detector *detector;
	const struct snapshot *snap;
	const struct config *config;
	struct findings *findings;
	uint32_t policy;
	bool tracks;                   /* something was said of one of the policy's targets */
	enum severity severity;        /* of what is found: the policy's, or the worst level crossed of its first condition */
	double primary;       /* the last value of the policy's first leaf; NAN: unknown */
};

struct opinion {
	enum verdict verdict;
	bool pending;
	enum severity level;           /* TRUE: of a graded threshold, the worst that is crossed */
	uint64_t since_ns;
	char why[WHY_LEN];             /* UNKNOWN: what is missing; FALSE and pending: why it waits */
};

static struct opinion unknown_because(const char *why)
{
	struct opinion opinion = { .verdict = VERDICT_UNKNOWN };
	snprintf(opinion.why, sizeof(opinion.why), "%s", why);
	return opinion;
}

static uint64_t key_of(const struct evaluation *evaluation, uint32_t leaf, const struct target *target)
{
	char key[KEY_LEN];
	target_key(target, key);
	return latch_key(evaluation->policy, leaf, key);
}

static struct opinion latch_opinion(struct evaluation *evaluation, uint32_t leaf, const struct condition *condition, const struct target *target,
				    const struct reading *reading)
{
	struct latched latched;
	latch_take(&evaluation->detector->latches, key_of(evaluation, leaf, target), condition, reading->value, evaluation->snap->boot_ns,
		   evaluation->snap->interval_ns, &latched);
	if (latched.full)
		return unknown_because("too many targets are watched at once");

	struct opinion opinion = {
		.verdict = latched.raised ? VERDICT_TRUE : VERDICT_FALSE, .pending = latched.pending, .level = latched.level, .since_ns = latched.since_ns,
	};
	if (latched.falling)
		snprintf(opinion.why, sizeof(opinion.why), "on its way back by itself: %+.3g a second, past its clear level in %.0f s", latched.per_second,
			 latched.back_in_s);
	return opinion;
}

/* How near a figure that can run away within one interval is to its threshold. */
static void note_nearness(struct findings *findings, const struct condition *condition, double value)
{
	if (!condition_runs_away(condition))
		return;
	double raise = condition->threshold.raise, ratio = 0;
	if (condition->threshold.above && raise > 0)
		ratio = value / raise;
	else if (!condition->threshold.above && value > 0)
		ratio = raise / value;
	uint32_t permille = ratio >= 1 ? 1000 : (uint32_t)(ratio * 1000);
	if (permille > findings->nearest_permille)
		findings->nearest_permille = permille;
}

static struct opinion leaf_on_target(struct evaluation *evaluation, uint32_t leaf, const struct condition *condition, const struct target *target,
				     struct reading *ret_reading)
{
	condition_read(condition, evaluation->snap, target, ret_reading);
	if (condition == policy_primary(&evaluation->config->policies[evaluation->policy]))
		evaluation->primary = ret_reading->state == READING_KNOWN ? ret_reading->value : NAN;
	if (ret_reading->state == READING_UNKNOWN) {
		latch_forget_run(&evaluation->detector->latches, key_of(evaluation, leaf, target));
		return unknown_because(ret_reading->why);
	}
	if (ret_reading->state == READING_GONE)
		return (struct opinion){ .verdict = VERDICT_FALSE };
	note_nearness(evaluation->findings, condition, ret_reading->value);
	return latch_opinion(evaluation, leaf, condition, target, ret_reading);
}

/* --- the tree ---------------------------------------------------------------------------------------------------------- */

struct any_target {
	struct evaluation *evaluation;
	uint32_t leaf;
	const struct condition *condition;
	struct opinion opinion;
	bool found;
};

static bool any_target_visit(const struct target *target, void *context)
{
	struct any_target *any = context;
	struct reading reading;
	struct opinion opinion = leaf_on_target(any->evaluation, any->leaf, any->condition, target, &reading);
	any->found = true;
	if (opinion.verdict == VERDICT_TRUE || any->opinion.verdict == VERDICT_FALSE) {
		bool pending = any->opinion.pending || opinion.pending;
		if (opinion.verdict != VERDICT_FALSE)
			any->opinion = opinion;
		any->opinion.pending = pending;
	}
	return any->opinion.verdict != VERDICT_TRUE;
}

/* A leaf about something else than the policy's target holds when it holds for anything it selects. */
static struct opinion leaf_on_any(struct evaluation *evaluation, uint32_t leaf, const struct condition *condition)
{
	struct any_target any = { .evaluation = evaluation, .leaf = leaf, .condition = condition, .opinion = { .verdict = VERDICT_FALSE } };
	condition_targets(condition, evaluation->snap, any_target_visit, &any);
	if (!any.found && condition_nobody(condition))
		return unknown_because(condition_nobody(condition));
	return any.opinion;
}

static struct opinion evaluate(struct evaluation *evaluation, uint32_t node, const struct target *target)
{
	const struct policy *policy = &evaluation->config->policies[evaluation->policy];
	const struct predicate *predicate = &policy->when[node];

	if (predicate->op == PREDICATE_LEAF) {
		struct reading reading;
		const struct condition *condition = &predicate->condition;
		bool on_target = condition == policy_primary(policy) || condition_selects(condition, evaluation->snap, target);
		if (!on_target)
			return leaf_on_any(evaluation, node, condition);
		struct opinion opinion = leaf_on_target(evaluation, node, condition, target, &reading);
		if (condition == policy_primary(policy) && condition->threshold.graded && opinion.verdict == VERDICT_TRUE)
			evaluation->severity = opinion.level;
		return opinion;
	}

	/* all: the weakest child counts (false < unknown < true); any: the strongest. Every child is evaluated: latches must see every tick. */
	static const int strength[VERDICT_COUNT] = { [VERDICT_FALSE] = 0, [VERDICT_UNKNOWN] = 1, [VERDICT_TRUE] = 2 };
	bool all = predicate->op == PREDICATE_ALL, first = true, pending = false;
	struct opinion result = unknown_because("an empty list");
	for (uint32_t child = predicate->first_child; child; child = policy->when[child].next_sibling) {
		struct opinion opinion = evaluate(evaluation, child, target);
		pending |= opinion.pending;
		bool takes = all ? strength[opinion.verdict] < strength[result.verdict] : strength[opinion.verdict] > strength[result.verdict];
		if (!first && all && opinion.verdict == VERDICT_TRUE && result.verdict == VERDICT_TRUE && opinion.since_ns > result.since_ns)
			takes = true; /* all hold only since the last one does */
		if (first || takes)
			result = opinion;
		first = false;
	}
	result.pending = pending && result.verdict == VERDICT_FALSE;
	return result;
}

/* --- findings ---------------------------------------------------------------------------------------------------------- */

static struct tracked *find_tracked(struct detector *detector, uint32_t policy, const char *key)
{
	for (size_t i = 0; i < MAX_TRACKED; i++) {
		struct tracked *tracked = &detector->tracked[i];
		if (tracked->used && tracked->policy == policy && strcmp(tracked->last.key, key) == 0)
			return tracked;
	}
	return NULL;
}

static bool tracks_any(const struct detector *detector, uint32_t policy)
{
	for (size_t i = 0; i < MAX_TRACKED; i++)
		if (detector->tracked[i].used && detector->tracked[i].policy == policy)
			return true;
	return false;
}

static struct tracked *new_tracked(struct detector *detector)
{
	for (size_t i = 0; i < MAX_TRACKED; i++)
		if (!detector->tracked[i].used)
			return &detector->tracked[i];
	return NULL;
}

void detector_track(struct detector *detector, uint32_t policy, const struct target *target, enum incident_kind kind)
{
	char key[KEY_LEN];
	target_key(target, key);
	struct tracked *tracked = find_tracked(detector, policy, key) ? NULL : new_tracked(detector);
	if (!tracked)
		return;
	*tracked = (struct tracked){ .used = true, .policy = policy };
	tracked->last.policy = policy;
	tracked->last.kind = kind;
	tracked->last.target = *target;
	tracked->last.signal.exhausted_in_ns = UNKNOWN;
	snprintf(tracked->last.key, sizeof(tracked->last.key), "%s", key);
}

static void emit(struct findings *findings, const struct finding *finding)
{
	if (findings->count == MAX_FINDINGS)
		findings->cut++;
	else
		findings->each[findings->count++] = *finding;
}

/* For whoever asks later how it came about. Of processes there are too many: theirs begins halfway to the threshold. */
static void note_past(struct evaluation *evaluation, const struct condition *condition, const struct target *target, double value)
{
	if (condition->measure == MEASURE_FULL_WITHIN) /* mostly "never" */
		return;
	if (target->type == TARGET_PROCESS && condition->threshold.above && value * 2 < condition->threshold.raise)
		return;
	char key[KEY_LEN];
	target_key(target, key);
	foretime_note(evaluation->detector->foretime, condition_metric(condition), key, evaluation->snap->boot_ns, evaluation->snap->interval_ns, value);
}

/* One condition, not crossed, and nothing said of any target before: of many processes or cgroups this is nearly all of them. */
static bool is_plainly_quiet(struct evaluation *evaluation, const struct policy *policy, const struct target *target)
{
	const struct condition *condition = &policy->when[0].condition;
	if (evaluation->tracks || policy->when[0].op != PREDICATE_LEAF)
		return false;

	struct reading reading;
	condition_read(condition, evaluation->snap, target, &reading);
	if (reading.state != READING_KNOWN || latch_crosses(condition, reading.value))
		return false;
	note_nearness(evaluation->findings, condition, reading.value);
	note_past(evaluation, condition, target, reading.value);
	return true;
}

static bool visit_target(const struct target *target, void *context)
{
	struct evaluation *evaluation = context;
	const struct policy *policy = &evaluation->config->policies[evaluation->policy];
	const struct condition *primary = policy_primary(policy);

	evaluation->primary = NAN;
	if (is_plainly_quiet(evaluation, policy, target))
		return true;
	evaluation->severity = policy->severity;
	struct opinion opinion = evaluate(evaluation, 0, target);
	char key[KEY_LEN];
	target_key(target, key);
	if (isfinite(evaluation->primary))
		note_past(evaluation, primary, target, evaluation->primary);
	struct tracked *tracked = find_tracked(evaluation->detector, evaluation->policy, key);
	bool quiet = opinion.verdict == VERDICT_FALSE && !opinion.pending;
	if (quiet && !tracked)
		return true; /* the usual case: nothing to say of this target, and nothing was said */

	struct finding finding = {
		.policy = evaluation->policy, .target = *target, .kind = condition_incident_kind(primary), .verdict = opinion.verdict,
		.pending = opinion.pending, .since_boot_ns = opinion.since_ns, .severity = evaluation->severity,
	};
	snprintf(finding.key, sizeof(finding.key), "%s", key);
	snprintf(finding.why, sizeof(finding.why), "%s", opinion.why);
	struct reading reading;
	condition_read(primary, evaluation->snap, target, &reading);
	snprintf(finding.signal.metric, sizeof(finding.signal.metric), "%s", condition_metric(primary));
	finding.signal.value = reading.state == READING_KNOWN ? reading.value : 0;
	finding.signal.threshold = primary->threshold.graded && opinion.verdict == VERDICT_TRUE ? primary->threshold.levels[finding.severity].raise :
												  primary->threshold.raise;
	if (opinion.verdict == VERDICT_TRUE)
		snprintf(finding.why, sizeof(finding.why), "%s", reading.detail);
	finding.signal.exhausted_in_ns = reading.exhausted_in_ns;
	finding.signal.confidence_permille = reading.confidence_permille;
	snprintf(finding.evidence, sizeof(finding.evidence), "%s", reading.evidence ? reading.evidence : "");
	if (primary->measure == MEASURE_FULL_WITHIN) {
		finding.signal.value = reading.exhausted_in_ns == UNKNOWN ? -1 : reading.value / (double)NSEC_PER_SEC;
		finding.signal.threshold /= (double)NSEC_PER_SEC;
	}
	emit(evaluation->findings, &finding);

	if (!tracked)
		tracked = new_tracked(evaluation->detector);
	if (!tracked) {
		evaluation->findings->cut++;
		return true;
	}
	*tracked = (struct tracked){ .used = !quiet, .visited = true, .policy = evaluation->policy, .last = finding };
	evaluation->tracks = true;
	return true;
}

/* Targets of which something was said and which this tick did not meet: gone where that is known, else unknown. */
static void visit_missing(struct evaluation *evaluation)
{
	const struct policy *policy = &evaluation->config->policies[evaluation->policy];
	for (size_t i = 0; i < MAX_TRACKED; i++) {
		struct tracked *tracked = &evaluation->detector->tracked[i];
		if (!tracked->used || tracked->visited || tracked->policy != evaluation->policy)
			continue;
		const struct condition *primary = policy_primary(policy);
		struct reading reading;
		condition_read(primary, evaluation->snap, &tracked->last.target, &reading);
		struct finding finding = tracked->last;
		finding.pending = false;
		/* Read, yet not selected any more (an exec changed its name, a remount its flags): the policy does not speak of it. */
		finding.verdict = reading.state == READING_UNKNOWN ? VERDICT_UNKNOWN : VERDICT_FALSE;
		snprintf(finding.why, sizeof(finding.why), "%s", reading.state == READING_UNKNOWN ? reading.why : "the target is gone");
		emit(evaluation->findings, &finding);
		tracked->used = finding.verdict == VERDICT_UNKNOWN;
		for (uint32_t leaf = 0; !tracked->used && leaf < policy->when_count; leaf++)
			latch_drop(&evaluation->detector->latches, key_of(evaluation, leaf, &finding.target));
		tracked->last = finding;
	}
}

void detect(struct detector *detector, const struct snapshot *snap, const struct config *config, struct findings *ret)
{
	ret->count = ret->cut = 0;
	ret->nearest_permille = 0;
	for (size_t i = 0; i < MAX_TRACKED; i++)
		detector->tracked[i].visited = false;

	for (uint32_t i = 0; i < config->policy_count; i++) {
		const struct condition *primary = policy_primary(&config->policies[i]);
		if (!primary)
			continue;
		struct evaluation evaluation = { .detector = detector, .snap = snap, .config = config, .findings = ret, .policy = i, .primary = NAN };
		evaluation.tracks = tracks_any(detector, i);
		condition_targets(primary, snap, visit_target, &evaluation);
		visit_missing(&evaluation);
	}
}
