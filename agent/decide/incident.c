/* SPDX-License-Identifier: Apache-2.0 */
/* See incident.h. */
#include "decide/incident.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "decide/lifecycle.h"
#include "detect/condition.h"
#include "detect/foretime.h"

/* A share that moved by less is the same story, not a change worth telling. */
#define SHARE_STEP_PERMILLE 20

static void tell(struct changes *ret, const struct incident *incident)
{
	ret->state_changed = true;
	for (uint32_t i = 0; i < ret->incident_count; i++) {
		if (strcmp(ret->incidents[i].id, incident->id) == 0) {
			ret->incidents[i] = *incident;
			return;
		}
	}
	if (ret->incident_count < MAX_CHANGES)
		ret->incidents[ret->incident_count++] = *incident;
	else
		ret->cut++;
}

struct incident *incident_by_id(struct engine *engine, const char *id)
{
	for (uint32_t i = 0; i < engine->saved->incident_count; i++)
		if (strcmp(engine->saved->incidents[i].id, id) == 0)
			return &engine->saved->incidents[i];
	return NULL;
}

struct incident *incident_of(struct engine *engine, enum incident_kind kind, const char *key)
{
	for (uint32_t i = 0; i < engine->saved->incident_count; i++) {
		struct incident *incident = &engine->saved->incidents[i];
		char own[KEY_LEN];
		target_key(&incident->resource, own);
		if (incident->kind == kind && strcmp(own, key) == 0)
			return incident;
	}
	return NULL;
}

void incident_enter(struct incident *incident, enum incident_state state, const struct circumstances *now, struct changes *ret, const char *format, ...)
{
	/* The beginning of a story is kept and its end; what is cut is the middle. */
	if (incident->history_count == MAX_INCIDENT_HISTORY) {
		uint32_t kept = MAX_INCIDENT_HISTORY / 2;
		memmove(&incident->history[kept], &incident->history[kept + 1], (MAX_INCIDENT_HISTORY - kept - 1) * sizeof(incident->history[0]));
		incident->history_count--;
		incident->history_cut++;
	}
	struct history_entry *entry = &incident->history[incident->history_count++];
	*entry = (struct history_entry){ .wall_ns = now->wall_ns, .state = state };
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(entry->why, sizeof(entry->why), format, arguments);
	va_end(arguments);

	incident->state = state;
	tell(ret, incident);
}

void incident_add_action(struct incident *incident, const char *action_id)
{
	if (incident->action_count == MAX_INCIDENT_ACTIONS) {
		memmove(incident->actions[1], incident->actions[2], (MAX_INCIDENT_ACTIONS - 2) * sizeof(incident->actions[0]));
		incident->action_count--;
	}
	snprintf(incident->actions[incident->action_count++], ID_LEN, "%s", action_id);
}

void incident_close(struct engine *engine, struct incident *incident, const struct circumstances *now, struct changes *ret, const char *why)
{
	incident->resolved_wall_ns = now->wall_ns;
	incident_enter(incident, INCIDENT_RESOLVED, now, ret, "%s", why);
	engine->recent_incidents[engine->recent_incident_count++ % MAX_RECENT] = *incident;

	struct saved_state *saved = engine->saved;
	size_t at = (size_t)(incident - saved->incidents);
	saved->incidents[at] = saved->incidents[--saved->incident_count];
}

/* Who causes it, who suffers, what changed shortly before. False: nothing is known, and what was known stays. */
static bool explain(const struct engine *engine, struct incident *incident, const struct snapshot *snap, const struct finding *finding,
		    const struct policy *policy)
{
	struct cause causes[MAX_CAUSES];
	uint32_t count = rank_causes(snap, engine->baseline, policy_primary(policy), finding, causes);
	if (!count)
		return false;
	incident->cause_count = count;
	memcpy(incident->causes, causes, count * sizeof(causes[0]));
	incident->victim_count = rank_victims(snap, engine->baseline, finding, incident->causes, count, incident->victims);
	return true;
}

static void open_incident(struct engine *engine, const struct snapshot *snap, const struct finding *finding, const struct policy *policy,
			  uint64_t hold_down_ns, const struct circumstances *now, struct changes *ret)
{
	struct saved_state *saved = engine->saved;
	if (saved->incident_count == MAX_OPEN_INCIDENTS) {
		engine->incidents_folded++;
		return;
	}

	struct incident *incident = &saved->incidents[saved->incident_count++];
	bool again = lifecycle_reopen(engine, finding->kind, finding->key, hold_down_ns, now, incident);
	if (!again) {
		*incident = (struct incident){ .opened_wall_ns = now->wall_ns, .opened_boot_ns = now->boot_ns };
		snprintf(incident->id, sizeof(incident->id), "i%llx-%llu", (unsigned long long)(now->wall_ns / (int64_t)NSEC_PER_SEC),
			 (unsigned long long)++saved->next_incident);
	}
	incident->kind = finding->kind;
	incident->severity = finding->severity;
	incident->phase_boot_ns = now->boot_ns;
	incident->resource = finding->target;
	incident->signal = finding->signal;
	snprintf(incident->policy, sizeof(incident->policy), "%s", policy->name);
	(void)explain(engine, incident, snap, finding, policy);
	incident->change_count = changes_before(snap, incident->causes, incident->cause_count, incident->changes);
	if (!again)
		foretime_read(engine->foretime, finding->signal.metric, finding->key, &incident->before);
	incident_enter(incident, INCIDENT_OPEN, now, ret, "%spolicy %s: %s is %.6g, threshold %.6g", again ? "reopened: " : "", policy->name,
		       finding->signal.metric, finding->signal.value, finding->signal.threshold);
	if (incident->flapping)
		incident_enter(incident, INCIDENT_OPEN, now, ret, "flapping: it has come back %u times; held open until it has been calm for %u minutes",
			       incident->reopened, (unsigned)(hold_down_ns / (60 * NSEC_PER_SEC)));
	if (finding->why[0])
		incident_enter(incident, INCIDENT_OPEN, now, ret, "%s", finding->why);
	if (finding->evidence[0])
		incident_enter(incident, INCIDENT_OPEN, now, ret, "%s", finding->evidence);
}

static bool same_story(const struct incident *incident, const struct cause *causes, uint32_t count)
{
	if (count != incident->cause_count)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t old = incident->causes[i].share_permille, new = causes[i].share_permille;
		if (incident->causes[i].pid != causes[i].pid || incident->causes[i].start_ns != causes[i].start_ns ||
		    incident->causes[i].cgroup_id != causes[i].cgroup_id || (!causes[i].pid && !causes[i].cgroup_id && strcmp(incident->causes[i].evidence, causes[i].evidence) != 0) || (old > new ? old - new : new - old) > SHARE_STEP_PERMILLE)
			return false;
	}
	return true;
}

static void update_incident(const struct engine *engine, struct incident *incident, const struct snapshot *snap, const struct finding *finding, const struct policy *policy,
			    const struct circumstances *now, struct changes *ret)
{
	if (finding->severity > incident->severity) {
		incident->severity = finding->severity;
		snprintf(incident->policy, sizeof(incident->policy), "%s", policy->name);
		incident_enter(incident, incident->state, now, ret, "worse: policy %s: %s is %.6g, threshold %.6g", policy->name, finding->signal.metric,
			       finding->signal.value, finding->signal.threshold);
	}
	if (finding->severity == incident->severity)
		incident->signal = finding->signal;

	/* Once something was done the ranking is evidence: it is kept as it stood when it was acted on. And what it goes by is measured at full
	 * ticks: twenty times a second it would walk all processes for the same answer. */
	if (incident->state != INCIDENT_OPEN || engine->ranked_seq == snap->seq)
		return;
	struct cause causes[MAX_CAUSES];
	uint32_t count = rank_causes(snap, engine->baseline, policy_primary(policy), finding, causes);
	if (count == 0 || same_story(incident, causes, count))
		return;
	if (explain(engine, incident, snap, finding, policy))
		tell(ret, incident);
}

/* The worst that is still found of it. NULL: nothing, or somebody cannot tell, and then it stays as bad as it was. */
static const struct finding *worst_of(const struct incident *incident, const struct findings *findings)
{
	const struct finding *worst = NULL;
	char key[KEY_LEN];
	target_key(&incident->resource, key);
	for (uint32_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->each[i];
		if (finding->kind != incident->kind || strcmp(finding->key, key) != 0)
			continue;
		if (finding->verdict == VERDICT_UNKNOWN)
			return NULL;
		if (finding->verdict == VERDICT_TRUE && (!worst || finding->severity > worst->severity))
			worst = finding;
	}
	return worst;
}

/* The worse levels have cleared at levels of their own, and a milder one has not. */
static void ease_incident(struct incident *incident, const struct findings *findings, const struct config *config, const struct circumstances *now,
			  struct changes *ret)
{
	const struct finding *worst = findings->cut ? NULL : worst_of(incident, findings);
	if (!worst || worst->severity >= incident->severity)
		return;
	incident->severity = worst->severity;
	incident->signal = worst->signal;
	snprintf(incident->policy, sizeof(incident->policy), "%s", config->policies[worst->policy].name);
	incident_enter(incident, incident->state, now, ret, "eases to %s: policy %s: %s is %.6g, threshold %.6g", severity_names[worst->severity],
		       incident->policy, worst->signal.metric, worst->signal.value, worst->signal.threshold);
}

static bool is_acted_on(const struct engine *engine, const struct incident *incident)
{
	for (uint32_t i = 0; i < MAX_ORDERS; i++) {
		const struct order *order = &engine->orders[i];
		if (order->phase != ORDER_FREE && !order->dry_run && strcmp(order->action.incident, incident->id) == 0)
			return true;
	}
	return false;
}

/*
 * Over: nobody sees it, nobody cannot tell, and no act is under way whose end belongs to the story. Detection speaks of whatever it has
 * found until it has said once that it is over, and of what was open before a restart from its first tick on: silence is "no". What is true again
 * and not yet for long enough is not over: after a restart or a reload everything begins so.
 */
static bool is_over(const struct engine *engine, const struct incident *incident, const struct findings *findings)
{
	if (findings->cut || is_acted_on(engine, incident))
		return false;
	char key[KEY_LEN];
	target_key(&incident->resource, key);
	for (uint32_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->each[i];
		if (finding->kind == incident->kind && strcmp(finding->key, key) == 0 && (finding->verdict != VERDICT_FALSE || finding->pending))
			return false;
	}
	return true;
}

void incidents_update(struct engine *engine, const struct snapshot *snap, const struct findings *findings, const struct config *config,
		      const struct circumstances *now, struct changes *ret)
{
	for (uint32_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->each[i];
		if (finding->verdict != VERDICT_TRUE)
			continue;
		const struct policy *policy = &config->policies[finding->policy];
		struct incident *incident = incident_of(engine, finding->kind, finding->key);
		if (incident)
			incident->quiet_boot_ns = 0;
		if (incident)
			update_incident(engine, incident, snap, finding, policy, now, ret);
		else
			open_incident(engine, snap, finding, policy, config->hold_down_ns, now, ret);
	}

	engine->ranked_seq = snap->seq;
	for (uint32_t i = engine->saved->incident_count; i-- > 0;) {
		struct incident *incident = &engine->saved->incidents[i];
		if (!is_over(engine, incident, findings)) {
			incident->quiet_boot_ns = 0; /* also where nobody can tell: calm is what was seen to be calm */
			ease_incident(incident, findings, config, now, ret);
			continue;
		}
		if (!lifecycle_may_end(incident, config->hold_down_ns, now))
			continue;
		lifecycle_note_end(engine->saved, incident, config->hold_down_ns, now);
		incident_close(engine, incident, now, ret, "the condition cleared");
	}
}
