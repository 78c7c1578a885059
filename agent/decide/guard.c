/* SPDX-License-Identifier: Apache-2.0 */
/* See guard.h. The order of the table is the order of the questions: what stops everything comes first. */
#include "decide/guard.h"

#include <string.h>

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

/* Memory of the first victim comes back only after its exit; a second one chosen before that dies for nothing. */
static bool victim_pending(const struct guard_question *q)
{
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
	if (q->machine->step > 0)
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

static bool over_target_budget(const struct guard_question *q)
{
	return q->policy && !budget_left(q->engine->saved, q->policy, q->key, (int64_t)q->now->boot_ns);
}

static bool over_node_budget(const struct guard_question *q)
{
	return q->policy && !budget_left(q->engine->saved, q->policy, NULL, (int64_t)q->now->boot_ns);
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
	bool (*holds)(const struct guard_question *);
} guards[] = {
	{ "kill-switch", false, kill_switch },
	{ "pause", false, paused },
	{ "mode", false, ceiling },
	{ "startup-grace", true, startup_grace },
	{ "blocked-by-file", false, blocked_by_file },
	{ "blocked-by-window", false, blocked_by_window },
	{ "quarantine", false, quarantined },
	{ "target-busy", false, target_busy },
	{ "victim-pending", false, victim_pending },
	{ "cooldown", true, cooldown },
	{ "per-target-budget", false, over_target_budget },
	{ "per-node-budget", false, over_node_budget },
	{ "ledger-full", false, ledger_full },
};

const char *guard_against(const struct guard_question *question)
{
	for (size_t i = 0; i < sizeof(guards) / sizeof(guards[0]); i++)
		if ((!question->dry_run || guards[i].for_looking) && guards[i].holds(question))
			return guards[i].name;
	return NULL;
}
