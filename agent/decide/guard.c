/* SPDX-License-Identifier: Apache-2.0 */
/* See guard.h. The order of the table is the order of the questions: what stops everything comes first. */
#include "decide/guard.h"

#include <string.h>

#include "decide/foreign.h"
#include "decide/knowledge.h"
#include "decide/ledger.h"
#include "decide/signs.h"

enum mode effective_mode(const struct config *config, const struct policy *policy)
{
	return policy->mode < config->mode ? policy->mode : config->mode;
}

static bool kill_switch(const struct guard_question *q)
{
	return q->now->kill_switch;
}

static bool paused(const struct guard_question *q)
{
	const struct pause *pause = &q->engine->saved->pause;
	return pause->paused && (!pause->until_boot_ns || (int64_t)q->now->boot_ns < pause->until_boot_ns);
}

static bool ceiling(const struct guard_question *q)
{
	return (q->policy ? effective_mode(q->config, q->policy) : q->config->mode) != MODE_ENFORCE;
}

static bool startup_grace(const struct guard_question *q)
{
	return q->policy && q->now->boot_ns - q->now->agent_started_boot_ns < q->config->startup_grace_ns;
}

static bool blocked_by_file(const struct guard_question *q)
{
	return q->policy && q->now->blocked[q->policy_index];
}

/* [from, to) of the local day; a window may span midnight. */
static bool blocked_by_window(const struct guard_question *q)
{
	if (!q->policy || !q->policy->blocked_by.has_window)
		return false;
	uint16_t from = q->policy->blocked_by.window_from_min, to = q->policy->blocked_by.window_to_min, at = q->now->local_minute;
	return from <= to ? at >= from && at < to : at >= from || at < to;
}

/* An incident of that kind, or opened by that policy; the one that this is about is no reason not to mend it. */
static bool blocked_by_alert(const struct guard_question *q)
{
	const char *alert = q->policy ? q->policy->blocked_by.alert : "";
	for (uint32_t i = 0; alert[0] && i < q->engine->saved->incident_count; i++) {
		const struct incident *incident = &q->engine->saved->incidents[i];
		bool named = strcmp(incident_kind_names[incident->kind], alert) == 0 || strcmp(incident->policy, alert) == 0;
		if (named && (!q->incident || strcmp(incident->id, q->incident->id) != 0))
			return true;
	}
	return false;
}

/* A unit of which nobody knows the state is taken for one that is in it. */
static bool blocked_by_unit(const struct guard_question *q)
{
	const char *unit = q->policy ? q->policy->blocked_by.unit : "";
	uint32_t states = q->policy ? q->policy->blocked_by.unit_states : 0;
	if (!unit[0])
		return false;
	if (!states)
		states = 1U << UNIT_ACTIVE | 1U << UNIT_RELOADING | 1U << UNIT_ACTIVATING;
	for (uint32_t i = 0; q->snap && i < q->snap->units.count; i++) {
		const struct unit_sample *sample = &q->snap->units.each[i];
		if (!sample->alone && strcmp(sample->name, unit) == 0)
			return !snapshot_is_fresh(q->snap, sample->measured_ns) || sample->state == UNIT_UNKNOWN || states >> sample->state & 1;
	}
	return true;
}

static bool blocked_by_package_manager(const struct guard_question *q)
{
	return q->policy && q->policy->blocked_by.package_manager && q->now->package_manager;
}

static bool blocked_by_person(const struct guard_question *q)
{
	return q->policy && q->policy->blocked_by.logged_in && q->now->logged_in;
}

static bool quarantined(const struct guard_question *q)
{
	return q->machine && q->machine->state == ENGINE_QUARANTINED;
}

static bool target_busy(const struct guard_question *q)
{
	for (uint32_t i = 0; i < MAX_ORDERS; i++) {
		const struct order *order = &q->engine->orders[i];
		if (i != q->own_slot && order->phase != ORDER_FREE && !order->dry_run && strcmp(order->key, q->act_key) == 0)
			return true;
	}
	return false;
}

/*
 * Killed is not freed: one that hangs in the kernel keeps what it held for a while after its act was judged. It is back when the process is
 * gone, or holds a tenth at most of what it did: process_mrelease takes the memory of one that cannot end.
 */
static bool is_still_held(const struct ended_one *ended, const struct snapshot *snap)
{
	uint64_t holds = 0;
	if ((!ended->pid && !ended->cgroup_id) || !ended->rss_bytes)
		return false;
	if (!snap || !snapshot_is_fresh(snap, snap->processes.measured_ns))
		return true;
	const struct process *process = ended->pid ? snapshot_process(snap, ended->pid) : NULL;
	const struct cgroup *group = ended->pid ? NULL : snapshot_cgroup(snap, ended->cgroup_id);
	if (process && process->start_ns == ended->start_ns)
		holds = process->rss_bytes;
	else if (group && group->processes)
		holds = group->rss_bytes;
	return holds > ended->rss_bytes / 10;
}

/* Memory of the first victim comes back only after its exit; a second one chosen before that dies for nothing. */
static bool victim_pending(const struct guard_question *q)
{
	if (remedies[q->remedy]->ends_processes && q->policy && is_still_held(&q->engine->last_ended, q->snap))
		return true;
	for (uint32_t i = 0; remedies[q->remedy]->ends_processes && i < MAX_ORDERS; i++) {
		const struct order *order = &q->engine->orders[i];
		if (i != q->own_slot && order->phase != ORDER_FREE && !order->dry_run && remedies[order->remedy]->ends_processes)
			return true;
	}
	return false;
}

/* Backing off after a round in which nothing helped. Anchored to our own last act, on the clock that also runs in suspend. */
static bool cooldown(const struct guard_question *q)
{
	if (!q->machine)
		return false;
	if ((int64_t)q->now->boot_ns < q->machine->hold_until_boot_ns)
		return true;
	if (q->machine->tried)
		return false; /* the next remedy of the same round: the one before did not help */
	const struct saved_state *saved = q->engine->saved;
	for (uint32_t i = 0; i < saved->act_count; i++) {
		const struct act *act = &saved->acts[i];
		if (strcmp(act->policy, q->policy->name) == 0 && strcmp(act->target_key, q->key) == 0 &&
		    (int64_t)q->now->boot_ns - act->boot_ns < (int64_t)q->policy->limits.cooldown_ns)
			return true;
	}
	return false;
}

/* Somebody else has just ended what this would end, or one like it: it counts as if we had. */
static bool foreign_kill(const struct guard_question *q)
{
	return q->finding && q->policy && remedies[q->remedy]->ends_processes &&
	       foreign_since(q->engine->saved, q->finding, q->incident, (int64_t)q->now->boot_ns - (int64_t)q->policy->limits.cooldown_ns);
}

static bool ineffective_here(const struct guard_question *q)
{
	return q->incident && q->policy && knowledge_sets_aside(q->engine->saved, q->incident, remedies[q->remedy]->name, (int64_t)q->now->boot_ns);
}

static bool too_few_signs(const struct guard_question *q)
{
	return q->policy && remedies[q->remedy]->ends_processes && !signs_suffice(q->policy, q->finding, q->snap);
}

static bool over_target_budget(const struct guard_question *q)
{
	return q->policy && !budget_left(q->engine->saved, q->policy, q->key, (int64_t)q->now->boot_ns);
}

static bool over_node_budget(const struct guard_question *q)
{
	return q->policy && !budget_left(q->engine->saved, q->policy, NULL, (int64_t)q->now->boot_ns);
}

static bool over_remedy_budget(const struct guard_question *q)
{
	const struct budget *budget = &q->config->acts_per_remedy;
	return q->policy && acts_within(q->engine->saved, remedies[q->remedy]->name, budget->per_ns, (int64_t)q->now->boot_ns) >= budget->count;
}

static bool over_all_budget(const struct guard_question *q)
{
	const struct budget *budget = &q->config->acts_per_node;
	return q->policy && acts_within(q->engine->saved, NULL, budget->per_ns, (int64_t)q->now->boot_ns) >= budget->count;
}

/* A ledger that is full cannot say what was spent: then nothing more is. */
static bool ledger_full(const struct guard_question *q)
{
	const struct saved_state *saved = q->engine->saved;
	return saved->act_count == MAX_ACTS && (int64_t)q->now->boot_ns - saved->acts[0].boot_ns < (int64_t)(3600 * NSEC_PER_SEC);
}

static const struct guard {
	const char *name;
	bool for_looking; /* also holds back a dry run */
	bool counts;      /* what is on the ledger: asked at the order, and not again once the ledger holds it */
	bool (*holds)(const struct guard_question *);
} guards[] = {
	{ "kill-switch", false, false, kill_switch },
	{ "pause", false, false, paused },
	{ "mode", false, false, ceiling },
	{ "startup-grace", true, false, startup_grace },
	{ "blocked-by-file", false, false, blocked_by_file },
	{ "blocked-by-window", false, false, blocked_by_window },
	{ "blocked-by-alert", false, false, blocked_by_alert },
	{ "blocked-by-unit", false, false, blocked_by_unit },
	{ "blocked-by-package-manager", false, false, blocked_by_package_manager },
	{ "blocked-by-person", false, false, blocked_by_person },
	{ "quarantine", false, false, quarantined },
	{ "target-busy", false, false, target_busy },
	{ "victim-pending", false, false, victim_pending },
	{ "foreign-kill", false, false, foreign_kill },
	{ "second-sign", false, false, too_few_signs },
	{ "cooldown", true, false, cooldown },
	{ "ineffective-here", false, false, ineffective_here },
	{ "per-target-budget", false, true, over_target_budget },
	{ "per-node-budget", false, true, over_node_budget },
	{ "remedy-budget", false, true, over_remedy_budget },
	{ "node-budget", false, true, over_all_budget },
	{ "ledger-full", false, true, ledger_full },
};

const char *guard_against(const struct guard_question *question)
{
	for (size_t i = 0; i < sizeof(guards) / sizeof(guards[0]); i++) {
		if ((question->dry_run && !guards[i].for_looking) || (question->counted && guards[i].counts))
			continue;
		if (guards[i].holds(question))
			return guards[i].name;
	}
	return NULL;
}
