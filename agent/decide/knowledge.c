/* SPDX-License-Identifier: Apache-2.0 */
/* See knowledge.h. */
#include "decide/knowledge.h"

#include <stdio.h>
#include <string.h>

const char *cause_class(const struct incident *incident)
{
	const struct cause *cause = &incident->causes[0];
	if (!incident->cause_count)
		return "";
	return cause->unit[0] ? cause->unit : cause->container[0] ? cause->container : cause->comm;
}

/* --- the lessons ------------------------------------------------------------------------------------------------------- */

static struct lesson *find(struct saved_state *saved, enum incident_kind kind, const char *cause, const char *remedy)
{
	for (uint32_t i = 0; i < saved->lesson_count; i++) {
		struct lesson *lesson = &saved->lessons[i];
		if (lesson->kind == kind && strcmp(lesson->cause, cause) == 0 && strcmp(lesson->remedy, remedy) == 0)
			return lesson;
	}
	return NULL;
}

static const struct lesson *lesson_of(const struct saved_state *saved, const struct incident *incident, const char *remedy)
{
	return find((struct saved_state *)saved, incident->kind, cause_class(incident), remedy);
}

/* The one that was just used goes to the end: what was used longest ago is what falls off. */
static struct lesson *take(struct saved_state *saved, const struct incident *incident, const char *remedy)
{
	struct lesson *found = find(saved, incident->kind, cause_class(incident), remedy), lesson;
	if (found) {
		lesson = *found;
	} else {
		lesson = (struct lesson){ .kind = incident->kind };
		snprintf(lesson.cause, sizeof(lesson.cause), "%s", cause_class(incident));
		snprintf(lesson.remedy, sizeof(lesson.remedy), "%s", remedy);
		found = saved->lesson_count == MAX_LESSONS ? &saved->lessons[0] : &saved->lessons[saved->lesson_count++];
	}
	struct lesson *last = &saved->lessons[saved->lesson_count - 1];
	memmove(found, found + 1, (size_t)(last - found) * sizeof(*found));
	*last = lesson;
	return last;
}

void knowledge_learn(struct saved_state *saved, const struct incident *incident, const char *remedy, enum outcome outcome, const struct circumstances *now)
{
	bool worked = outcome == OUTCOME_FIXED, failed = outcome == OUTCOME_NO_EFFECT || outcome == OUTCOME_FAILED || outcome == OUTCOME_ROLLED_BACK;
	if (!worked && !failed)
		return;
	struct lesson *lesson = take(saved, incident, remedy);
	lesson->worked += worked;
	lesson->failed += failed;
	lesson->failed_in_a_row = failed ? lesson->failed_in_a_row + 1 : 0;
	lesson->boot_ns = (int64_t)now->boot_ns;
	lesson->wall_ns = now->wall_ns;
}

bool lesson_sets_aside(const struct lesson *lesson, int64_t boot_ns)
{
	return lesson->failed_in_a_row >= FAILURES_UNTIL_SET_ASIDE && boot_ns - lesson->boot_ns < (int64_t)SET_ASIDE_NS;
}

bool knowledge_sets_aside(const struct saved_state *saved, const struct incident *incident, const char *remedy, int64_t boot_ns)
{
	const struct lesson *lesson = lesson_of(saved, incident, remedy);
	return lesson && lesson_sets_aside(lesson, boot_ns);
}

uint32_t knowledge_lift(struct saved_state *saved, int64_t boot_ns)
{
	uint32_t lifted = 0;
	for (uint32_t i = 0; i < saved->lesson_count; i++) {
		lifted += lesson_sets_aside(&saved->lessons[i], boot_ns);
		saved->lessons[i].failed_in_a_row = 0;
	}
	return lifted;
}

/* --- the order of steps ------------------------------------------------------------------------------------------------ */

/* As destructive as each other, by all that says so: only such steps may change places. */
static bool as_safe(const struct remedy_step *a, const struct remedy_step *b)
{
	const struct remedy *first = remedies[a->remedy], *second = remedies[b->remedy];
	return first->destructive == second->destructive && first->reversible == second->reversible && first->ends_processes == second->ends_processes;
}

/* How often it worked, of those times it was tried, with one of each assumed beforehand (Laplace): the untried stands between the two. */
static uint32_t success_permille(const struct saved_state *saved, const struct incident *incident, const struct remedy_step *step)
{
	const struct lesson *lesson = lesson_of(saved, incident, remedies[step->remedy]->name);
	uint64_t worked = lesson ? lesson->worked : 0, failed = lesson ? lesson->failed : 0;
	return (uint32_t)((worked + 1) * 1000 / (worked + failed + 2));
}

/* Not tried in this round, and not set aside. */
static bool may(const struct saved_state *saved, const struct policy *policy, const struct incident *incident, uint32_t tried, uint32_t at, int64_t boot_ns)
{
	return !(tried >> at & 1) && !(incident && knowledge_sets_aside(saved, incident, remedies[policy->steps[at].remedy]->name, boot_ns));
}

static uint32_t best_neighbour(const struct saved_state *saved, const struct policy *policy, const struct incident *incident, uint32_t tried, uint32_t first,
			       int64_t boot_ns)
{
	uint32_t best = first;
	for (uint32_t i = first + 1; i < policy->step_count && as_safe(&policy->steps[first], &policy->steps[i]); i++)
		if (may(saved, policy, incident, tried, i, boot_ns) &&
		    success_permille(saved, incident, &policy->steps[i]) > success_permille(saved, incident, &policy->steps[best]))
			best = i;
	return best;
}

uint32_t knowledge_next_step(const struct saved_state *saved, const struct policy *policy, const struct incident *incident, uint32_t tried, int64_t boot_ns)
{
	for (uint32_t i = 0; i < policy->step_count; i++)
		if (may(saved, policy, incident, tried, i, boot_ns))
			return incident && policy->order == STEPS_LEARNED ? best_neighbour(saved, policy, incident, tried, i, boot_ns) : i;
	return policy->step_count;
}
