/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an order to its end: the intent goes to the scribe, and once it is durable (or the disk has had its time) the engine is
 * asked again on fresh numbers and the request goes to the hands. Nothing here allocates or waits.
 */
#include "agent.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/value.h"
#include "decide/hands.h"
#include "keep/scribe.h"
#include "lease.h"

/* How long an act waits for its intent to be on disk: a kill can wait no longer than it takes to run out of memory. */
static const uint64_t written_within_ns[LANE_COUNT] = { [LANE_KILL] = 50 * NSEC_PER_MSEC, [LANE_SLOW] = 5 * NSEC_PER_SEC,
							    [LANE_LEASE] = 500 * NSEC_PER_MSEC };
/* Beyond a request's own deadline, for the step that was under way when it passed. */
#define HANDS_GRACE_NS (20 * NSEC_PER_SEC)
#define CHECK_EVERY_NS (24 * 3600 * NSEC_PER_SEC)

static int on_hands(sd_event_source *source, int fd, uint32_t events, void *context);

static int watch_hands(struct agent *agent, enum lane lane)
{
	struct worker *worker = &agent->hands[lane];
	int error = worker_start(worker);
	if (error < 0)
		return error;
	agent->lane_slot[lane] = UINT32_MAX;
	agent->hands_source[lane] = sd_event_source_unref(agent->hands_source[lane]);
	return sd_event_add_io(agent->event, &agent->hands_source[lane], worker->fd, EPOLLIN, on_hands, agent);
}

int act_open(struct agent *agent)
{
	for (enum lane lane = 0; lane < LANE_COUNT; lane++) {
		hands_init(&agent->hands[lane], lane);
		int error = watch_hands(agent, lane);
		if (error < 0)
			return error;
	}
	return 0;
}

void act_close(struct agent *agent)
{
	for (enum lane lane = 0; lane < LANE_COUNT; lane++) {
		agent->hands_source[lane] = sd_event_source_unref(agent->hands_source[lane]);
		worker_stop(&agent->hands[lane]);
	}
	/* An end in order leaves nothing turned. */
	struct lease_report leases;
	int error = leases_return(agent->lease_book, LEASES_ALL, NULL, clock_boot_ns(), NULL, NULL, &leases);
	if (error < 0 || leases.failed)
		log_warning("leases: not all could be turned back: %s; `nodemend undo --all` does it later", error < 0 ? strerror(-error) : "the kernel would not");
}

static void restart_hands(struct agent *agent, enum lane lane, const char *why)
{
	uint32_t slot = agent->lane_slot[lane];
	log_warning("hands: the %s lane %s: started anew", agent->hands[lane].name, why);
	agent->hands_source[lane] = sd_event_source_unref(agent->hands_source[lane]);
	worker_stop(&agent->hands[lane]);
	agent->hands[lane].restarts++;
	int error = watch_hands(agent, lane);
	if (error < 0)
		log_error("hands: cannot start the worker, this lane does nothing: %s", strerror(-error));
	if (lane == LANE_SLOW)
		agent->cordon_sweep_at_ns = 0;
	if (lane == LANE_LEASE)
		agent->sweep_at_ns = 0; /* it may have turned something before it ended */
	if (slot == UINT32_MAX)
		return;
	struct circumstances now;
	wheel_circumstances(agent, &now);
	engine_abandon(&agent->engine, slot, why, agent->config, &now, agent->changes);
	act_take_changes(agent);
}

/* What a sweep that could not be done waits for the next try; well under the 30 s in which a lease must be back. */
#define SWEEP_AGAIN_NS (5 * NSEC_PER_SEC)
#define CORDON_SWEEP_NS (10 * NSEC_PER_SEC)

static void take_sweep(struct agent *agent)
{
	const struct remedy_result *answer = &agent->answer;
	const struct lease_report *leases = &answer->leases;
	if (leases->returned || leases->foreign || leases->gone || leases->failed)
		log_info("leases: %u turned back, %u not ours any more, %u gone, %u failed; %u held", leases->returned, leases->foreign, leases->gone,
			 leases->failed, leases->held);
	if (answer->outcome == OUTCOME_FAILED)
		log_warning("leases: %s", answer->why);
	agent->leases = *leases;
	agent->sweep_at_ns = answer->outcome == OUTCOME_FAILED ? clock_boot_ns() + SWEEP_AGAIN_NS : leases->next_boot_ns;
}

/* Whatever is on lease beyond its time is turned back, whoever took it: this agent or one before it. */
static void send_sweep(struct agent *agent)
{
	struct worker *worker = &agent->hands[LANE_LEASE];
	uint64_t now_ns = clock_boot_ns();
	if (now_ns < agent->sweep_at_ns || worker->busy)
		return;
	struct remedy_request request = { .verb = REMEDY_VERB_SWEEP, .deadline_boot_ns = now_ns + SWEEP_AGAIN_NS };
	effect_clear(&request.expect);
	memcpy(request.lease_book, agent->lease_book, sizeof(request.lease_book));
	worker->give_up_ns = SWEEP_AGAIN_NS + HANDS_GRACE_NS;
	if (worker_send(worker, &request, sizeof(request), now_ns) == 0)
		agent->sweep_at_ns = now_ns + SWEEP_AGAIN_NS + HANDS_GRACE_NS; /* until it answers */
}

/* The same for what is on lease at the API server, which may be slow, and so is not asked by the lane of throttles. */
static void send_cordon_sweep(struct agent *agent)
{
	struct worker *worker = &agent->hands[LANE_SLOW];
	uint64_t now_ns = clock_boot_ns();
	if (now_ns < agent->cordon_sweep_at_ns || worker->busy || agent->next_check <= (uint32_t)REMEDY_CORDON)
		return;
	if (!agent->armed[REMEDY_CORDON].armed) {
		agent->cordon_sweep_at_ns = UNKNOWN; /* no cluster */
		return;
	}
	struct remedy_request request = { .verb = REMEDY_VERB_SWEEP, .remedy = REMEDY_CORDON, .deadline_boot_ns = now_ns + CORDON_SWEEP_NS };
	effect_clear(&request.expect);
	worker->give_up_ns = CORDON_SWEEP_NS + HANDS_GRACE_NS;
	if (worker_send(worker, &request, sizeof(request), now_ns) == 0)
		agent->cordon_sweep_at_ns = now_ns + CORDON_SWEEP_NS + HANDS_GRACE_NS; /* until it answers */
}

static void take_cordon_sweep(struct agent *agent)
{
	const struct lease_report *leases = &agent->answer.leases;
	if (leases->returned || leases->foreign)
		log_info("cordon: %s", leases->returned ? "turned back" : "somebody has turned it back already");
	if (agent->answer.outcome == OUTCOME_FAILED)
		log_warning("cordon: %s", agent->answer.why);
	agent->cordon_sweep_at_ns = leases->next_boot_ns;
}

static void take_answer(struct agent *agent, enum lane lane)
{
	const struct remedy_result *answer = &agent->answer;
	if (answer->verb == REMEDY_VERB_CHECK) {
		if (agent->check_at < REMEDY_COUNT)
			agent->armed[agent->check_at++] = *answer;
		if (agent->check_at > agent->next_check)
			agent->next_check = agent->check_at;
		return;
	}
	if (answer->verb == REMEDY_VERB_SWEEP) {
		if (lane == LANE_SLOW)
			take_cordon_sweep(agent);
		else
			take_sweep(agent);
		return;
	}
	if (answer->verb == REMEDY_VERB_PREPARE) {
		prepare_take(agent);
		return;
	}
	uint32_t slot = agent->lane_slot[lane];
	agent->lane_slot[lane] = UINT32_MAX;
	if (slot == UINT32_MAX)
		return;
	if (remedies[agent->engine.orders[slot].remedy]->reversible)
		agent->sweep_at_ns = 0; /* what it turned has an end: ask when */
	if (agent->engine.orders[slot].remedy == REMEDY_CORDON)
		agent->cordon_sweep_at_ns = 0;
	task_take(agent, &agent->engine.orders[slot], &agent->answer);
	struct circumstances now;
	wheel_circumstances(agent, &now);
	engine_result(&agent->engine, slot, answer, agent->config, &now, agent->changes);
	act_take_changes(agent);
}

static int on_hands(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct agent *agent = context;
	for (enum lane lane = 0; lane < LANE_COUNT; lane++) {
		if (agent->hands_source[lane] != source)
			continue;
		int got = worker_receive(&agent->hands[lane], &agent->answer, sizeof(agent->answer));
		if (got > 0)
			take_answer(agent, lane);
		else if (got < 0)
			restart_hands(agent, lane, "died");
	}
	act_pump(agent);
	wheel_schedule_fast(agent);
	return 0;
}

static bool is_acting(const struct agent *agent)
{
	for (uint32_t i = 0; i < MAX_ORDERS; i++) {
		const struct order *order = &agent->engine.orders[i];
		if (order->phase != ORDER_FREE && order->phase != ORDER_VERIFYING && !order->dry_run)
			return true;
	}
	return false;
}

/* Each remedy is asked at the start and every day whether it would work here, by doing it to something of our own: one that is not armed says so
 * before it is needed. Nothing that is needed waits for it. */
static void send_check(struct agent *agent)
{
	uint64_t now_ns = clock_boot_ns();
	if (agent->check_at >= REMEDY_COUNT && now_ns >= agent->check_again_ns) {
		agent->check_at = agent->check_again_ns ? 0 : REMEDY_COUNT;
		agent->check_again_ns = now_ns + CHECK_EVERY_NS;
	}
	if (agent->check_at >= REMEDY_COUNT || is_acting(agent))
		return;
	struct worker *worker = &agent->hands[remedies[agent->check_at]->lane];
	if (worker->busy)
		return;
	struct remedy_request request = { .verb = REMEDY_VERB_CHECK, .remedy = remedies[agent->check_at]->id };
	request.protect = agent->config->protect;
	request.deadline_boot_ns = clock_boot_ns() + 5 * NSEC_PER_SEC;
	effect_clear(&request.expect);
	memcpy(request.systemd_bus, agent->config->systemd_bus, sizeof(request.systemd_bus));
	memcpy(request.kill_switch, agent->kill_switch, sizeof(request.kill_switch));
	/* A place that is no plain path is none: then it is not tried there. */
	if (!path_problem(agent->lease_book))
		memcpy(request.lease_book, agent->lease_book, sizeof(request.lease_book));
	if (!path_problem(agent->state_dir))
		memcpy(request.scratch, agent->state_dir, sizeof(request.scratch));
	worker->give_up_ns = 5 * NSEC_PER_SEC + HANDS_GRACE_NS;
	(void)worker_send(worker, &request, sizeof(request), clock_boot_ns()); /* not sent: asked again at the next turn */
}

/* No guard is asked: turning back is what they would ask for. */
static bool send_revert(struct agent *agent, uint32_t slot)
{
	struct order *order = &agent->engine.orders[slot];
	enum lane lane = remedies[order->remedy]->lane;
	uint64_t now_ns = clock_boot_ns();
	agent->hands[lane].give_up_ns = SWEEP_AGAIN_NS + HANDS_GRACE_NS;
	order->request.deadline_boot_ns = now_ns + SWEEP_AGAIN_NS;
	if (worker_send(&agent->hands[lane], &order->request, sizeof(order->request), now_ns) == 0) {
		agent->lane_slot[lane] = slot;
		return true;
	}
	struct circumstances now;
	wheel_circumstances(agent, &now);
	engine_abandon(&agent->engine, slot, "the hands cannot be reached; the lease ends by itself", agent->config, &now, agent->changes);
	return true;
}

/* true when the order has left the waiting room, one way or the other. */
static bool dispatch_one(struct agent *agent, uint32_t slot)
{
	struct order *order = &agent->engine.orders[slot];
	struct dispatch *dispatch = &agent->dispatch[slot];
	enum lane lane = remedies[order->remedy]->lane;
	struct worker *worker = &agent->hands[lane];
	if (worker->busy)
		return false;
	uint64_t now_ns = clock_boot_ns();
	if (order->phase == ORDER_REVERTING)
		return send_revert(agent, slot);
	if (dispatch->ticket && scribe_done_through(agent->scribe) < dispatch->ticket) {
		if (now_ns < dispatch->written_by_ns)
			return false;
		agent->intents_late++;
		log_warning("journal: the intent of %s is not on disk yet, acting all the same: the disk does not answer", order->action.id);
	}

	if (!order->manual && !order->dry_run)
		wheel_look_again(agent);
	struct circumstances now;
	wheel_circumstances(agent, &now);
	const char *guard = engine_still_wanted(&agent->engine, slot, agent->findings, agent->config, &now, agent->changes);
	if (guard)
		return true;
	now_ns = clock_boot_ns();
	uint64_t allowed = order->request.expect.within_ns == UNKNOWN ? 60 * NSEC_PER_SEC : order->request.expect.within_ns;
	order->request.deadline_boot_ns = now_ns + allowed;
	worker->give_up_ns = allowed + HANDS_GRACE_NS;
	int error = worker_send(worker, &order->request, sizeof(order->request), now_ns);
	if (error == 0) {
		agent->lane_slot[lane] = slot;
		return true;
	}
	engine_abandon(&agent->engine, slot, "the hands cannot be reached", agent->config, &now, agent->changes);
	return true;
}

void act_pump(struct agent *agent)
{
	uint64_t now_ns = clock_boot_ns();
	for (enum lane lane = 0; lane < LANE_COUNT; lane++)
		if (worker_is_stuck(&agent->hands[lane], now_ns))
			restart_hands(agent, lane, "overstayed its deadline");
	send_sweep(agent);
	send_cordon_sweep(agent);
	for (uint32_t slot = 0; slot < MAX_ORDERS; slot++)
		if (agent->dispatch[slot].waiting && dispatch_one(agent, slot))
			agent->dispatch[slot].waiting = false;
	act_take_changes(agent);
	send_check(agent);
	prepare_pump(agent);
}

static void keep_intent(struct agent *agent, uint32_t slot)
{
	struct order *order = &agent->engine.orders[slot];
	struct dispatch *dispatch = &agent->dispatch[slot];
	*dispatch = (struct dispatch){ .waiting = true };
	tell_action(agent, &order->action);
	if (order->dry_run)
		return;
	struct action kept = order->action;
	action_mask(&kept);
	dispatch->written_by_ns = clock_boot_ns() + written_within_ns[remedies[order->remedy]->lane];
	if (scribe_action(agent->scribe, &kept, &dispatch->ticket) < 0)
		dispatch->ticket = UINT64_MAX; /* its queue is full: wait for the deadline, then act and be counted as late */
}

static bool is_news(struct agent *agent, const struct incident *incident)
{
	uint32_t entries = incident->history_count + incident->history_cut;
	for (uint32_t i = 0; i < MAX_OPEN_INCIDENTS; i++) {
		if (strcmp(agent->logged[i].id, incident->id) != 0)
			continue;
		bool news = agent->logged[i].entries != entries;
		agent->logged[i].entries = entries;
		return news;
	}
	uint32_t slot = agent->logged_next++ % MAX_OPEN_INCIDENTS;
	memcpy(agent->logged[slot].id, incident->id, ID_LEN);
	agent->logged[slot].entries = entries;
	return true;
}

static void log_incident(struct agent *agent, const struct incident *incident)
{
	if (!is_news(agent, incident))
		return;
	const struct cause *cause = incident->cause_count ? &incident->causes[0] : NULL;
	const char *why = incident->history_count ? incident->history[incident->history_count - 1].why : "";
	const struct log_fields fields = { .incident = incident->id, .policy = incident->policy };
	if (cause && cause->pid)
		log_with(LOG_LEVEL_INFO, &fields, "incident %s: %s of %s: %s: %s (cause: %s, pid %d, share %u.%u %%)", incident->id, incident_kind_names[incident->kind],
			 incident->resource.name, incident_state_names[incident->state], why, cause->comm, cause->pid, cause->share_permille / 10,
			 cause->share_permille % 10);
	else
		log_with(LOG_LEVEL_INFO, &fields, "incident %s: %s of %s: %s: %s", incident->id, incident_kind_names[incident->kind], incident->resource.name,
			 incident_state_names[incident->state], why);
}

static void log_action(const struct action *action)
{
	const char *outcome = action->outcome == OUTCOME_NONE ? "planned" : outcome_names[action->outcome];
	const struct log_fields fields = { .incident = action->incident, .action = action->id, .policy = action->policy, .remedy = action->remedy,
					   .outcome = outcome };
	log_with(LOG_LEVEL_INFO, &fields, "action %s: %s on %s (%s): %s%s%s", action->id, action->remedy, action->target.name,
		 mode_names[action->mode], outcome, action->refused_by[0] ? " by " : "", action->refused_by);
}

void act_take_changes(struct agent *agent)
{
	struct changes *changes = agent->changes;
	for (uint32_t i = 0; i < changes->incident_count; i++) {
		tell_incident(agent, &changes->incidents[i]);
		log_incident(agent, &changes->incidents[i]);
	}
	for (uint32_t i = 0; i < changes->action_count; i++) {
		struct action *action = &changes->actions[i];
		uint64_t ticket;
		action_mask(action);
		tell_action(agent, action);
		if (!action->dry_run && scribe_action(agent->scribe, action, &ticket) < 0)
			log_error("journal: the result of %s is lost: its queue is full", action->id);
		log_action(action);
	}
	for (uint32_t i = 0; i < changes->order_count; i++)
		keep_intent(agent, changes->orders[i]);
	for (uint32_t i = 0; i < changes->revert_count; i++)
		agent->dispatch[changes->reverts[i]] = (struct dispatch){ .waiting = true };

	if (changes->state_changed) {
		agent->saved->saved_boot_ns = (int64_t)clock_boot_ns();
		agent->saved->saved_wall_ns = clock_wall_ns();
		memcpy(agent->saved->boot_id, agent->boot_id, sizeof(agent->saved->boot_id));
		if (scribe_state(agent->scribe, agent->saved) < 0)
			log_warning("state: not saved this time: the scribe is busy");
	}
	agent->records_dropped += changes->cut;
	changes->incident_count = changes->action_count = changes->order_count = changes->revert_count = changes->cut = 0;
	changes->state_changed = false;
}
