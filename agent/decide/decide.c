/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See decide.h. A machine is a (policy, target) that is not at rest; an order is one act of it. Machines walk
 * PENDING -> ARMED -> ACTING(i) -> VERIFYING(i) -> gone | ACTING(i+1) | QUARANTINED.
 */
#include "decide/decide.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "decide/choose.h"
#include "decide/foreign.h"
#include "decide/guard.h"
#include "decide/incident.h"
#include "decide/knowledge.h"
#include "decide/ledger.h"
#include "decide/machine.h"
#include "decide/story.h"
#include "detect/condition.h"

#define NONE UINT32_MAX
/* Backing off doubles with every round in which nothing helped, up to a day. */
#define LONGEST_HOLD_NS (24 * 3600 * NSEC_PER_SEC)

/* --- orders ------------------------------------------------------------------------------------------------------------ */

static uint32_t free_slot(const struct engine *engine)
{
	for (uint32_t i = 0; i < MAX_ORDERS; i++)
		if (engine->orders[i].phase == ORDER_FREE)
			return i;
	return NONE;
}

/* What the remedy is aimed at: a unit is restarted whatever the trouble was; the others act where the trouble is. */
static void act_target(const struct remedy_step *step, const struct target *found, struct target *ret)
{
	const char *unit = remedy_unit(step->remedy, &step->args);
	*ret = *found;
	if (!unit)
		return;
	*ret = (struct target){ .type = TARGET_UNIT };
	snprintf(ret->name, sizeof(ret->name), "%s", unit);
}

static void fill_request(struct order *order, const struct remedy_step *step, const struct config *config, const struct circumstances *now)
{
	struct remedy_request *request = &order->request;
	request->verb = order->dry_run ? REMEDY_VERB_PLAN : REMEDY_VERB_APPLY;
	request->remedy = step->remedy;
	request->target = order->action.target;
	request->args = step->args;
	request->expect = step->expect;
	/* Half of the promised time for the polite word, half for the other: a deadline that passes in the wait would leave a victim that
	 * ignores TERM alive. */
	if (step->remedy == REMEDY_TERMINATE && step->expect.within_ns != UNKNOWN && step->args.terminate.term_wait_ns > step->expect.within_ns / 2)
		request->args.terminate.term_wait_ns = step->expect.within_ns / 2;
	request->protect = config->protect;
	request->deadline_boot_ns = now->boot_ns + (step->expect.within_ns == UNKNOWN ? 60 * NSEC_PER_SEC : step->expect.within_ns);
	snprintf(request->action_id, sizeof(request->action_id), "%s", order->action.id);
	snprintf(request->kill_switch, sizeof(request->kill_switch), "%s", now->kill_switch_path ? now->kill_switch_path : "");
	snprintf(request->systemd_bus, sizeof(request->systemd_bus), "%s", config->systemd_bus);
	snprintf(request->lease_book, sizeof(request->lease_book), "%s", now->lease_book_path ? now->lease_book_path : "");
}

static void fill_story(struct order *order, const struct policy *policy, const struct finding *finding)
{
	struct remedy_story *story = &order->request.story;
	snprintf(story->policy, sizeof(story->policy), "%s", policy->name);
	snprintf(story->incident, sizeof(story->incident), "%s", order->action.incident);
	story->kind = finding->kind;
	story->severity = finding->severity;
	story->signal = finding->signal;
}

/* Those who cause it, in the order in which they are to be tried. */
struct aimed {
	uint32_t ranked, count;
	struct cause each[MAX_CAUSES];
	struct selection choice;
};

static void aim(const struct engine *engine, const struct snapshot *snap, const struct policy *policy, enum remedy_id remedy, const struct finding *finding,
		struct aimed *ret)
{
	const struct choosing choosing = { .policy = policy, .snap = snap, .finding = finding, .ends_processes = remedies[remedy]->ends_processes };
	ret->ranked = rank_causes(snap, engine->baseline, policy_primary(policy), finding, ret->each);
	ret->count = choose(&choosing, ret->each, ret->ranked, &ret->choice);
}

static void fill_candidates(struct order *order, const struct snapshot *snap, const struct aimed *aimed)
{
	struct remedy_request *request = &order->request;
	memcpy(request->candidates, aimed->each, aimed->count * sizeof(aimed->each[0]));
	request->candidate_count = aimed->count;
	order->action.choice = aimed->choice;
	/* With memory.oom.group it has said itself that one of its processes is no use without the others. */
	const struct cgroup *group = aimed->count ? snapshot_cgroup(snap, aimed->each[0].cgroup_id) : NULL;
	if (request->remedy == REMEDY_TERMINATE && group && group->oom_group)
		request->args.terminate.scope = TERMINATE_CGROUP;
}

static void begin(struct engine *engine, uint32_t slot, uint32_t machine_at, const struct snapshot *snap, const struct finding *finding,
		  const struct aimed *aimed, const struct config *config, bool dry_run, const struct circumstances *now, struct changes *ret)
{
	struct machine *machine = &engine->saved->machines[machine_at];
	const struct policy *policy = &config->policies[finding->policy];
	const struct remedy_step *step = &policy->steps[machine->step];

	struct order *order = &engine->orders[slot];
	memset(order, 0, sizeof(*order));
	order->phase = ORDER_NEW;
	order->dry_run = dry_run;
	order->policy = finding->policy;
	order->machine = machine_at;
	order->remedy = step->remedy;

	struct action *action = &order->action;
	action->mode = dry_run ? MODE_SHADOW : MODE_ENFORCE;
	action->expected = step->expect;
	effect_clear(&action->observed);
	act_target(step, &finding->target, &action->target);
	target_key(&action->target, order->key);
	snprintf(action->incident, sizeof(action->incident), "%s", machine->incident);
	snprintf(action->policy, sizeof(action->policy), "%s", policy->name);
	snprintf(action->remedy, sizeof(action->remedy), "%s", remedies[step->remedy]->name);
	action_name(engine, action, now);
	fill_request(order, step, config, now);
	fill_story(order, policy, finding);
	if (aimed)
		fill_candidates(order, snap, aimed);

	machine_enter(machine, ENGINE_ACTING, now, ret);
	engine->refusals[machine_at][0] = '\0';
	if (!dry_run)
		ledger_add(engine->saved, action, machine->target_key, machine->step, now);
	action_remember(engine, action);
	struct incident *incident = incident_by_id(engine, machine->incident);
	if (incident) {
		incident_add_action(incident, action->id);
		incident_enter(incident, dry_run ? incident->state : INCIDENT_MENDING, now, ret, "policy %s: %s%s", policy->name,
			       dry_run ? "in shadow, looks at what it would do by " : "", action->remedy);
	}
	ret->orders[ret->order_count++] = slot;
	ret->state_changed = true;
}

/* Nothing is left to be tried: what helped nobody waits, longer each time. */
static void end_round(struct engine *engine, uint32_t machine_at, const struct policy *policy, bool dry_run, const struct circumstances *now,
		      struct changes *ret)
{
	struct machine *machine = &engine->saved->machines[machine_at];
	machine->step = machine->tried = 0;
	uint64_t hold = policy->limits.cooldown_ns;
	if (!dry_run) {
		for (uint32_t i = 0; i < machine->failed_rounds && hold < LONGEST_HOLD_NS; i++)
			hold *= 2;
		machine->failed_rounds++;
	}
	machine->hold_until_boot_ns = (int64_t)(now->boot_ns + (hold < LONGEST_HOLD_NS ? hold : LONGEST_HOLD_NS));
	if (!dry_run && !budget_left(engine->saved, policy, machine->target_key, (int64_t)now->boot_ns))
		machine_quarantine(engine, machine_at, now, ret, "it was tried as often as the policy allows and did not help");
}

/* Goes to the step that is next in this round. False: none was left, and the round is over. */
static bool choose_step(struct engine *engine, uint32_t machine_at, const struct policy *policy, bool dry_run, const struct circumstances *now,
			struct changes *ret)
{
	struct machine *machine = &engine->saved->machines[machine_at];
	uint32_t next = knowledge_next_step(engine->saved, policy, incident_by_id(engine, machine->incident), machine->tried, (int64_t)now->boot_ns);
	if (next < policy->step_count)
		machine->step = next;
	else if (machine->tried)
		end_round(engine, machine_at, policy, dry_run, now, ret);
	else
		machine->step = 0; /* all is set aside: the guard says so of the first */
	return next < policy->step_count || !machine->tried;
}

static void next_step(struct engine *engine, uint32_t machine_at, const struct policy *policy, bool dry_run, const struct circumstances *now,
		      struct changes *ret)
{
	struct machine *machine = &engine->saved->machines[machine_at];
	machine_enter(machine, ENGINE_ARMED, now, ret);
	ret->state_changed = true;
	machine->tried |= 1U << machine->step;
	(void)choose_step(engine, machine_at, policy, dry_run, now, ret);
}

/* What it brought is remembered, and where that was nothing, the record says so. */
static void learn(struct engine *engine, struct order *order, struct incident *incident, const struct circumstances *now, struct changes *ret)
{
	const char *remedy = order->action.remedy;
	enum outcome outcome = order->action.outcome;
	bool aside = knowledge_sets_aside(engine->saved, incident, remedy, (int64_t)now->boot_ns);
	knowledge_learn(engine->saved, incident, remedy, outcome, now);
	if (outcome == OUTCOME_NO_EFFECT || outcome == OUTCOME_ROLLED_BACK || outcome == OUTCOME_IMPROVED)
		action_note(&order->action, "verify", false, now, "ineffective here: the condition still holds%s",
			    outcome == OUTCOME_IMPROVED ? ", though it did what it promised" : "");
	if (!aside && knowledge_sets_aside(engine->saved, incident, remedy, (int64_t)now->boot_ns))
		incident_enter(incident, incident->state, now, ret, "%s is set aside for a day: it has failed %u times in a row against this here; `nodemend resume` lifts it",
			       remedy, FAILURES_UNTIL_SET_ASIDE);
}

static void finish(struct engine *engine, struct order *order, enum outcome outcome, const struct circumstances *now, struct changes *ret)
{
	struct incident *incident = incident_by_id(engine, order->action.incident);
	order->action.outcome = outcome;
	order->action.ended_wall_ns = now->wall_ns;
	if (!order->dry_run)
		ledger_close(engine->saved, &order->action);
	if (!order->dry_run && !order->manual && incident)
		learn(engine, order, incident, now, ret);
	action_tell(engine, &order->action, ret);
	if (incident && !order->dry_run)
		incident_enter(incident, incident->state, now, ret, "%s: %s%s%s", order->action.remedy, outcome_names[outcome],
			       order->action.refused_by[0] ? " by " : "", order->action.refused_by);
	else if (incident)
		incident_enter(incident, incident->state, now, ret, "%s in shadow: planned, nothing done", order->action.remedy);
	order->phase = ORDER_FREE;
	ret->state_changed = true;
}

static void close_and_advance(struct engine *engine, struct order *order, enum outcome outcome, const struct config *config,
			      const struct circumstances *now, struct changes *ret)
{
	uint32_t machine_at = order->machine, policy = order->policy;
	bool dry_run = order->dry_run, manual = order->manual;
	finish(engine, order, outcome, now, ret);
	if (!manual)
		next_step(engine, machine_at, &config->policies[policy], dry_run, now, ret);
}

/* --- each tick --------------------------------------------------------------------------------------------------------- */

static const struct finding *finding_of(const struct findings *findings, uint32_t policy, const char *key)
{
	for (uint32_t i = 0; i < findings->count; i++)
		if (findings->each[i].policy == policy && strcmp(findings->each[i].key, key) == 0)
			return &findings->each[i];
	return NULL;
}

/* It promised that the condition would clear, and that did not come: what it turned is turned back before anything else is tried. */
static void revert(struct engine *engine, uint32_t slot, const struct circumstances *now, struct changes *ret)
{
	struct order *order = &engine->orders[slot];
	order->phase = ORDER_REVERTING;
	order->request.verb = REMEDY_VERB_REVERT;
	machine_enter(&engine->saved->machines[order->machine], ENGINE_ROLLBACK, now, ret);
	ret->reverts[ret->revert_count++] = slot;
	ret->state_changed = true;
}

/* Each tick of an act under way. A clean-up frees long before its hands are done measuring, and what made the trouble goes on meanwhile: it
 * has helped once the condition was seen to clear, even where it holds again by the time of the answer. */
static void watch(struct engine *engine, struct order *order, const struct findings *findings, const struct config *config,
		  const struct circumstances *now, struct changes *ret)
{
	struct machine *machine = &engine->saved->machines[order->machine];
	const struct finding *finding = finding_of(findings, order->policy, machine->target_key);
	order->cleared |= !finding || finding->verdict == VERDICT_FALSE;
	if (order->phase != ORDER_VERIFYING)
		return;
	if (order->cleared) {
		uint32_t machine_at = order->machine;
		order->action.observed.cleared = 1;
		finish(engine, order, OUTCOME_FIXED, now, ret);
		machine_drop(engine, machine_at, ret);
		return;
	}
	if (now->boot_ns < order->verify_until_boot_ns)
		return;
	order->action.observed.cleared = 0;
	if (remedies[order->remedy]->reversible && order->action.expected.cleared != UNKNOWN) {
		revert(engine, (uint32_t)(order - engine->orders), now, ret);
		return;
	}
	close_and_advance(engine, order, had_effect(&order->action.observed) ? OUTCOME_IMPROVED : OUTCOME_NO_EFFECT, config, now, ret);
}

static void consider(struct engine *engine, uint32_t machine_at, const struct snapshot *snap, const struct finding *finding, const struct config *config,
		     const struct circumstances *now, struct changes *ret)
{
	struct machine *machine = &engine->saved->machines[machine_at];
	const struct policy *policy = &config->policies[finding->policy];
	const struct incident *incident = incident_of(engine, finding->kind, finding->key);
	snprintf(machine->incident, sizeof(machine->incident), "%s", incident ? incident->id : "");

	machine_enter(machine, ENGINE_ARMED, now, ret);
	if (machine->step >= policy->step_count)
		machine->step = machine->tried = 0;
	/* A round begins, or what was under way when the agent ended has had its turn. */
	bool dry_run = effective_mode(config, policy) == MODE_SHADOW;
	if ((!machine->tried || machine->tried >> machine->step & 1) && !choose_step(engine, machine_at, policy, dry_run, now, ret))
		return;
	struct target target;
	act_target(&policy->steps[machine->step], &finding->target, &target);
	char act_key[KEY_LEN];
	target_key(&target, act_key);
	struct guard_question question = {
		.engine = engine, .config = config, .policy = policy, .policy_index = finding->policy, .key = machine->target_key, .act_key = act_key,
		.machine = machine, .finding = finding, .incident = incident, .snap = snap, .remedy = policy->steps[machine->step].remedy,
		.dry_run = dry_run, .own_slot = NONE, .now = now,
	};
	const char *guard = guard_against(&question);
	if (guard && strcmp(guard, "per-target-budget") == 0)
		machine_quarantine(engine, machine_at, now, ret, "it was tried as often as the policy allows, and the trouble came back");
	else if (guard)
		refusal_tell(engine, machine_at, policy, finding, guard, now, ret);

	uint32_t slot = guard ? NONE : free_slot(engine);
	if (slot == NONE)
		return;
	struct aimed aimed;
	bool aims = remedies[question.remedy]->aim == AIM_CAUSE, tells = remedies[question.remedy]->wants_causes;
	if (aims && engine->held_seq[machine_at] == snap->seq && strcmp(engine->refusals[machine_at], "self-inflicted") == 0)
		return; /* looked at in this tick already */
	if (aims || tells)
		aim(engine, snap, policy, question.remedy, finding, &aimed);
	if (aims && aimed.ranked && !aimed.count) {
		engine->held_seq[machine_at] = snap->seq;
		refusal_tell(engine, machine_at, policy, finding, "self-inflicted", now, ret);
		return;
	}
	begin(engine, slot, machine_at, snap, finding, aims || tells ? &aimed : NULL, config, dry_run, now, ret);
}

/* The trouble of a quarantined target has opened a new incident: it needs a person from the start. */
static void call_for_human(struct engine *engine, struct machine *machine, const struct finding *finding, const struct circumstances *now,
			   struct changes *ret)
{
	struct incident *incident = incident_of(engine, finding->kind, finding->key);
	if (!incident || incident->state == INCIDENT_NEEDS_HUMAN)
		return;
	snprintf(machine->incident, sizeof(machine->incident), "%s", incident->id);
	incident_enter(incident, INCIDENT_NEEDS_HUMAN, now, ret, "policy %s is quarantined here and will not act; `nodemend resume` lifts it", machine->policy);
}

static void step_machine(struct engine *engine, const struct snapshot *snap, const struct finding *finding, const struct config *config,
			 const struct circumstances *now, struct changes *ret)
{
	const struct policy *policy = &config->policies[finding->policy];
	uint32_t at = machine_find(engine, policy->name, finding->key);
	bool active = finding->verdict == VERDICT_TRUE || finding->pending;
	if (at == NO_MACHINE && active && policy->step_count && effective_mode(config, policy) != MODE_OBSERVE)
		at = machine_new(engine, policy->name, finding->key, now);
	if (at == NO_MACHINE)
		return;

	struct machine *machine = &engine->saved->machines[at];
	if (machine->state == ENGINE_QUARANTINED && finding->verdict == VERDICT_TRUE)
		call_for_human(engine, machine, finding, now, ret);
	if (machine->state == ENGINE_ACTING || machine->state == ENGINE_VERIFYING || machine->state == ENGINE_ROLLBACK || machine->state == ENGINE_QUARANTINED)
		return; /* its order, or a person, moves it on */
	if (finding->verdict == VERDICT_FALSE && !finding->pending)
		machine_drop(engine, at, ret);
	else if (finding->verdict == VERDICT_TRUE && policy->step_count && effective_mode(config, policy) != MODE_OBSERVE)
		consider(engine, at, snap, finding, config, now, ret);
}

static void expire_pause(struct engine *engine, const struct circumstances *now, struct changes *ret)
{
	struct pause *pause = &engine->saved->pause;
	if (pause->paused && pause->until_boot_ns && (int64_t)now->boot_ns >= pause->until_boot_ns) {
		memset(pause, 0, sizeof(*pause));
		ret->state_changed = true;
	}
}

/*
 * Detection speaks of whatever it has found until it is over, but not of what was over before a restart or a reload. Such a machine would stay for
 * ever. A minute after the start everything has been measured.
 */
static void drop_forgotten(struct engine *engine, const struct findings *findings, const struct config *config, const struct circumstances *now,
			   struct changes *ret)
{
	if (findings->cut || now->boot_ns - now->agent_started_boot_ns < 60 * NSEC_PER_SEC)
		return;
	for (uint32_t at = engine->saved->machine_count; at-- > 0;) {
		const struct machine *machine = &engine->saved->machines[at];
		if (machine->state != ENGINE_PENDING && machine->state != ENGINE_ARMED)
			continue;
		bool spoken_of = false;
		for (uint32_t i = 0; i < findings->count && !spoken_of; i++)
			spoken_of = strcmp(findings->each[i].key, machine->target_key) == 0 &&
				    strcmp(config->policies[findings->each[i].policy].name, machine->policy) == 0;
		if (!spoken_of)
			machine_drop(engine, at, ret);
	}
}

void engine_decide(struct engine *engine, const struct snapshot *snap, const struct findings *findings, const struct config *config,
		   const struct circumstances *now, struct changes *ret)
{
	expire_pause(engine, now, ret);
	foreign_take(engine, snap, now, ret);
	for (uint32_t i = 0; i < MAX_ORDERS; i++)
		if ((engine->orders[i].phase == ORDER_RUNNING || engine->orders[i].phase == ORDER_VERIFYING) && !engine->orders[i].manual && !engine->orders[i].dry_run)
			watch(engine, &engine->orders[i], findings, config, now, ret);
	incidents_update(engine, snap, findings, config, now, ret);
	stories_update(engine, snap, now, ret);
	for (uint32_t i = 0; i < findings->count; i++)
		step_machine(engine, snap, &findings->each[i], config, now, ret);
	drop_forgotten(engine, findings, config, now, ret);
}

/* --- events ------------------------------------------------------------------------------------------------------------ */

const char *engine_still_wanted(struct engine *engine, uint32_t slot, const struct findings *findings, const struct config *config,
				const struct circumstances *now, struct changes *ret)
{
	struct order *order = &engine->orders[slot];
	const struct finding *finding = NULL;
	const char *guard = NULL;
	if (!order->manual) {
		const struct machine *machine = &engine->saved->machines[order->machine];
		finding = finding_of(findings, order->policy, machine->target_key);
		if (!finding || finding->verdict != VERDICT_TRUE)
			guard = "recheck";
	}
	if (now->snap)
		foreign_take(engine, now->snap, now, ret);
	/* Budgets and cooldown were asked at the order and hold this very act now; what may have changed since stands before them. */
	struct guard_question question = {
		.engine = engine, .config = config, .policy = order->manual ? NULL : &config->policies[order->policy], .policy_index = order->policy,
		.key = order->key, .act_key = order->key, .machine = NULL, .finding = finding, .incident = incident_by_id(engine, order->action.incident),
		.snap = now->snap, .remedy = order->remedy, .dry_run = order->dry_run, .counted = true, .own_slot = slot, .now = now,
	};
	if (!guard)
		guard = guard_against(&question);
	if (!guard) {
		order->phase = ORDER_RUNNING;
		ledger_begin(engine->saved, &order->action, now);
		return NULL;
	}

	snprintf(order->action.refused_by, sizeof(order->action.refused_by), "%s", guard);
	bool manual = order->manual;
	uint32_t machine_at = order->machine;
	finish(engine, order, OUTCOME_REFUSED, now, ret);
	if (!manual) {
		machine_enter(&engine->saved->machines[machine_at], ENGINE_ARMED, now, ret);
		snprintf(engine->refusals[machine_at], NAME_LEN, "%s", guard);
	}
	return guard;
}

/* How long a condition needs to show that it cleared: some ticks, and what its own figure lags behind. */
static uint64_t settle_ns(const struct config *config, const struct order *order)
{
	return 3 * config->interval_ns + condition_lag_ns(policy_primary(&config->policies[order->policy]));
}

static void copy_result(struct action *action, const struct remedy_result *result)
{
	action->plan_count = result->plan_count;
	action->plan_cut = result->plan_cut;
	memcpy(action->plan, result->plan, sizeof(action->plan));
	action->observed = result->observed;
	action->step_count = result->step_count;
	memcpy(action->steps, result->steps, sizeof(action->steps));
	memcpy(action->refused_by, result->refused_by, sizeof(action->refused_by));
	/* The plan's own figures are nearer the truth than the policy's wish; the deadline stays the policy's. */
	if (result->expected.freed_bytes != UNKNOWN)
		action->expected.freed_bytes = result->expected.freed_bytes;
	if (result->expected.freed_files != UNKNOWN)
		action->expected.freed_files = result->expected.freed_files;
	if (result->expected.exited != UNKNOWN)
		action->expected.exited = result->expected.exited;
}

/* Why it was refused, failed or brought nothing, in the hands' own sentence. */
static void add_reason(struct action *action, const struct remedy_result *result, const struct circumstances *now)
{
	if (!result->why[0] || action->step_count == MAX_ACTION_STEPS)
		return;
	struct action_step *step = &action->steps[action->step_count++];
	*step = (struct action_step){ .started_wall_ns = now->wall_ns, .ended_wall_ns = now->wall_ns };
	snprintf(step->name, sizeof(step->name), "why");
	snprintf(step->detail, sizeof(step->detail), "%s", result->why);
}

static void append_steps(struct action *action, const struct remedy_result *result)
{
	for (uint32_t i = 0; i < result->step_count && action->step_count < MAX_ACTION_STEPS; i++)
		action->steps[action->step_count++] = result->steps[i];
}

void engine_result(struct engine *engine, uint32_t slot, const struct remedy_result *result, const struct config *config,
		   const struct circumstances *now, struct changes *ret)
{
	struct order *order = &engine->orders[slot];
	if ((order->phase != ORDER_RUNNING && order->phase != ORDER_REVERTING) || strcmp(result->action_id, order->action.id) != 0)
		return; /* the late answer of an order that was given up */
	if (order->phase == ORDER_REVERTING) {
		append_steps(&order->action, result);
		close_and_advance(engine, order, result->outcome == OUTCOME_ROLLED_BACK ? OUTCOME_ROLLED_BACK : OUTCOME_FAILED, config, now, ret);
		return;
	}

	copy_result(&order->action, result);
	if (!order->dry_run && (result->ended.pid || result->ended.cgroup_id))
		engine->last_ended = result->ended;
	add_reason(&order->action, result, now);
	bool worked = result->outcome == OUTCOME_FIXED || result->outcome == OUTCOME_IMPROVED;
	if (order->dry_run || order->manual || !worked) {
		close_and_advance(engine, order, order->dry_run && result->outcome != OUTCOME_REFUSED && result->outcome != OUTCOME_FAILED ? OUTCOME_NONE : result->outcome,
				  config, now, ret);
		return;
	}
	order->phase = ORDER_VERIFYING;
	order->verify_until_boot_ns = now->boot_ns + settle_ns(config, order);
	uint64_t promised = order->action.started_boot_ns + order->action.expected.within_ns;
	if (order->action.expected.cleared != UNKNOWN && promised > order->verify_until_boot_ns)
		order->verify_until_boot_ns = promised;
	machine_enter(&engine->saved->machines[order->machine], ENGINE_VERIFYING, now, ret);
	action_remember(engine, &order->action);
}

void engine_abandon(struct engine *engine, uint32_t slot, const char *why, const struct config *config, const struct circumstances *now,
		    struct changes *ret)
{
	struct order *order = &engine->orders[slot];
	if (order->phase != ORDER_NEW && order->phase != ORDER_RUNNING && order->phase != ORDER_REVERTING)
		return; /* what is on lease after that is turned back when its time is over */
	if (order->action.step_count < MAX_ACTION_STEPS) {
		struct action_step *step = &order->action.steps[order->action.step_count++];
		*step = (struct action_step){ .started_wall_ns = order->action.started_wall_ns, .ended_wall_ns = now->wall_ns };
		snprintf(step->name, sizeof(step->name), "hands");
		snprintf(step->detail, sizeof(step->detail), "%s", why);
	}
	close_and_advance(engine, order, OUTCOME_FAILED, config, now, ret);
}

int engine_manual(struct engine *engine, enum remedy_id remedy, const struct target *target, const union remedy_args *args, bool dry_run,
		  const struct config *config, const struct circumstances *now, uint32_t *ret_slot, char *why, size_t why_size, struct changes *ret)
{
	char key[KEY_LEN];
	target_key(target, key);
	struct guard_question question = {
		.engine = engine, .config = config, .key = key, .act_key = key, .snap = now->snap, .remedy = remedy, .dry_run = dry_run, .own_slot = NONE,
		.now = now,
	};
	const char *guard = guard_against(&question);
	if (guard) {
		snprintf(why, why_size, "%s", guard);
		return -EPERM;
	}
	uint32_t slot = free_slot(engine);
	if (slot == NONE) {
		snprintf(why, why_size, "%u acts are under way already", (unsigned)MAX_ORDERS);
		return -EBUSY;
	}

	struct order *order = &engine->orders[slot];
	memset(order, 0, sizeof(*order));
	*order = (struct order){ .phase = ORDER_NEW, .dry_run = dry_run, .manual = true, .policy = NONE, .machine = NONE, .remedy = remedy };
	memcpy(order->key, key, sizeof(key));
	struct remedy_step step = { .remedy = remedy, .args = *args };
	effect_clear(&step.expect);
	step.expect.within_ns = 60 * NSEC_PER_SEC;
	order->action.mode = dry_run ? MODE_SHADOW : MODE_ENFORCE;
	order->action.dry_run = dry_run;
	order->action.expected = step.expect;
	effect_clear(&order->action.observed);
	order->action.target = *target;
	snprintf(order->action.policy, sizeof(order->action.policy), "by hand");
	snprintf(order->action.remedy, sizeof(order->action.remedy), "%s", remedies[remedy]->name);
	action_name(engine, &order->action, now);
	fill_request(order, &step, config, now);
	if (!dry_run)
		ledger_add(engine->saved, &order->action, key, 0, now);
	action_remember(engine, &order->action);
	ret->orders[ret->order_count++] = slot;
	ret->state_changed = true;
	*ret_slot = slot;
	return 0;
}
