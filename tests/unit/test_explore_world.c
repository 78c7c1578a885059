/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine in a world that does not only answer: leases that must be turned back, restarts in the middle of an act, processes that somebody else
 * ended, victims that keep their memory, locks of package managers, remedies that keep failing. Every short sequence, and long random ones, with
 * invariants that are checked against what was seen from outside, never against the engine's own books.
 */
#include "engine_bench.h"

#include <signal.h>

static const char world_policies[] =
	"policies:\n"
	"  - name: first\n"
	"    mode: enforce\n"
	"    when: {process: {comm: hog, memory: {above: 100MiB}}}\n"
	"    do:\n"
	"      - limit-cpu: {percent: 10}\n"
	"        expect: {clears: true, within: 8s}\n"
	"      - terminate: {scope: process}\n"
	"        expect: {exited: 1, within: 5s}\n"
	"    limits: {cooldown: 60s, per_target: 100/1h, per_node: 100/1d}\n"
	"    blocked_by: {package_manager: true}\n"
	"  - name: second\n"
	"    mode: enforce\n"
	"    when: {process: {comm: pig, memory: {above: 100MiB}}}\n"
	"    do:\n"
	"      - terminate: {scope: process}\n"
	"        expect: {exited: 1, within: 5s}\n"
	"    limits: {cooldown: 60s, per_target: 100/1h, per_node: 100/1d}\n";

enum move {
	SAY_TRUE, SAY_FALSE, SAY_UNKNOWN, DISPATCH, ANSWER_GOOD, ANSWER_BAD, TOGGLE_PAUSE, TOGGLE_STOP, TOGGLE_LOCK, TOGGLE_HUNG, FOREIGN_KILL, RESTART, WAIT_PROMISE,
	WAIT_COOLDOWN, MOVE_COUNT,
};

enum { MAX_LOG = 512, HUNG_PID = 900, POLICIES = 2 };

struct witness {
	uint32_t count;
	struct { uint64_t boot_ns; uint32_t policy; enum remedy_id remedy; } acts[MAX_LOG];
	uint64_t foreign_ns;                           /* in the cgroup of the first policy's target; 0 = none yet */
	uint32_t failed_in_a_row[POLICIES][REMEDY_COUNT];
	bool hung, ended;                              /* the victim keeps its memory; somebody was ended at all */
	enum order_phase phases[MAX_ORDERS];
	uint64_t turned_back;
};

/* --- what must hold ------------------------------------------------------------------------------------------------------ */

static void witness_act(const struct bench *bench, struct witness *witness, const struct order *order)
{
	uint64_t now = bench->now.boot_ns;
	bool kills = order->remedy == REMEDY_TERMINATE;
	assert_false(bench->saved->pause.paused);
	assert_false(bench->now.kill_switch);
	assert_int_equal(bench->findings->each[order->policy].verdict, VERDICT_TRUE);
	assert_false(order->policy == 0 && bench->now.package_manager);
	/* Not the same again within the cooldown, whatever happened in between: a restart, a clearing, a rollback. */
	for (uint32_t i = 0; i < witness->count; i++)
		if (witness->acts[i].policy == order->policy && witness->acts[i].remedy == order->remedy)
			assert_true(now - witness->acts[i].boot_ns >= SECONDS(60));
	if (kills && order->policy == 0 && witness->foreign_ns)
		assert_true(now - witness->foreign_ns > SECONDS(60));
	assert_false(kills && witness->ended && witness->hung);
	assert_true(witness->failed_in_a_row[order->policy][order->remedy] < 3);
	assert_true(witness->count < MAX_LOG);
	witness->acts[witness->count].boot_ns = now;
	witness->acts[witness->count].policy = order->policy;
	witness->acts[witness->count++].remedy = order->remedy;
}

/* The records that leave the engine, as a reader of the journal has them. */
static void read_records(const struct bench *bench, struct witness *witness)
{
	for (uint32_t i = 0; i < bench->changes->action_count; i++) {
		const struct action *action = &bench->changes->actions[i];
		uint32_t policy = strcmp(action->policy, "second") == 0;
		const struct remedy *remedy = remedy_by_name(action->remedy);
		if (action->mode != MODE_ENFORCE || !remedy)
			continue;
		if (action->outcome == OUTCOME_FIXED)
			witness->failed_in_a_row[policy][remedy->id] = 0;
		else if (action->outcome == OUTCOME_NO_EFFECT || action->outcome == OUTCOME_FAILED || action->outcome == OUTCOME_ROLLED_BACK)
			witness->failed_in_a_row[policy][remedy->id]++;
	}
}

static void look(const struct bench *bench, struct witness *witness)
{
	uint32_t victims = 0;
	for (uint32_t i = 0; i < MAX_ORDERS; i++) {
		const struct order *order = &bench->engine->orders[i];
		bool turns_back = order->phase == ORDER_REVERTING && witness->phases[i] != ORDER_REVERTING, told = false;
		for (uint32_t r = 0; r < bench->changes->revert_count; r++)
			told |= bench->changes->reverts[r] == i;
		assert_int_equal(turns_back, told); /* whatever the guards say, and once */
		witness->turned_back += turns_back;
		witness->phases[i] = order->phase;
		victims += order->phase != ORDER_FREE && order->remedy == REMEDY_TERMINATE;
		for (uint32_t j = 0; order->phase != ORDER_FREE && j < i; j++)
			if (bench->engine->orders[j].phase != ORDER_FREE)
				assert_string_not_equal(order->key, bench->engine->orders[j].key);
	}
	assert_true(victims <= 1);
	read_records(bench, witness);
}

/* --- what happens -------------------------------------------------------------------------------------------------------- */

static void measure(struct bench *bench, const struct witness *witness)
{
	struct snapshot *snap = bench->snap;
	snap->processes.count = witness->hung ? 3 : 2;
	snap->boot_ns = snap->processes.measured_ns = bench->now.boot_ns;
	bench->now.snap = snap;
}

static void say(struct bench *bench, struct witness *witness, enum verdict verdict)
{
	for (uint32_t policy = 0; policy < POLICIES; policy++) {
		set_finding(bench, policy, verdict);
		bench->findings->each[policy].target.cgroup_id = 7 + policy;
	}
	bench->now.boot_ns += SECONDS(1);
	measure(bench, witness);
	bench->now.boot_ns -= SECONDS(1);
	tick(bench, 1);
}

static void answer_all(struct bench *bench, struct witness *witness, bool good)
{
	for (uint32_t i = 0; i < MAX_ORDERS; i++) {
		struct order *order = &bench->engine->orders[i];
		if (order->phase != ORDER_RUNNING && order->phase != ORDER_REVERTING)
			continue;
		bool back = order->phase == ORDER_REVERTING, kills = order->remedy == REMEDY_TERMINATE;
		struct remedy_result result = { .verb = back ? REMEDY_VERB_REVERT : REMEDY_VERB_APPLY };
		effect_clear(&result.expected);
		effect_clear(&result.observed);
		result.outcome = back ? (good ? OUTCOME_ROLLED_BACK : OUTCOME_FAILED) : good ? OUTCOME_FIXED : OUTCOME_NO_EFFECT;
		if (kills && !back) {
			result.ended = (struct ended_one){ .pid = HUNG_PID, .start_ns = HUNG_PID * 1000, .rss_bytes = MIB(200) };
			result.observed.exited = good;
			witness->ended = true;
		}
		memcpy(result.action_id, order->action.id, ID_LEN);
		clear_changes(bench);
		engine_result(bench->engine, i, &result, bench->config, &bench->now, bench->changes);
		look(bench, witness);
	}
	clear_changes(bench);
}

static void dispatch_all(struct bench *bench, struct witness *witness)
{
	measure(bench, witness);
	clear_changes(bench);
	for (uint32_t i = 0; i < MAX_ORDERS; i++) {
		const struct order *order = &bench->engine->orders[i];
		if (order->phase == ORDER_NEW && !dispatch(bench, i))
			witness_act(bench, witness, order);
	}
}

static void kill_by_another(struct bench *bench, struct witness *witness)
{
	struct event *event = event_add(&bench->snap->events, EVENT_FATAL_SIGNAL);
	event->at_ns = witness->foreign_ns = bench->now.boot_ns;
	event->of.fatal = (struct fatal_signal){
		.killer = KILLER_SYSTEMD_OOMD,
		.record = { .signal = SIGKILL, .target = { .pid = 500 + (int32_t)(event->seq % 1000), .start_ns = event->seq, .cgroup_id = 7 } },
	};
}

/* The hands end with the agent, and whoever comes next has the saved state alone; what was on lease is swept by its time. */
static void start_anew(struct bench *bench, struct witness *witness)
{
	for (uint32_t i = 0; i < MAX_ORDERS; i++) {
		const struct order *order = &bench->engine->orders[i];
		bool acted = order->phase == ORDER_RUNNING || order->phase == ORDER_REVERTING || order->phase == ORDER_VERIFYING;
		/* The caller journals it as failed; the engine that did not see its end learns nothing of it. */
		(void)acted;
		witness->phases[i] = ORDER_FREE;
		bench->engine->orders[i].phase = ORDER_FREE;
	}
	bench->engine->last_ended = (struct ended_one){ 0 };
	witness->ended = false; /* a startup grace follows: who was ended before is another story */
	engine_init(bench->engine, bench->saved);
}

static void move(struct bench *bench, struct witness *witness, enum move what)
{
	clear_changes(bench);
	switch (what) {
	case SAY_TRUE:
		say(bench, witness, VERDICT_TRUE);
		break;
	case SAY_FALSE:
		say(bench, witness, VERDICT_FALSE);
		break;
	case SAY_UNKNOWN:
		say(bench, witness, VERDICT_UNKNOWN);
		break;
	case DISPATCH:
		dispatch_all(bench, witness);
		break;
	case ANSWER_GOOD:
	case ANSWER_BAD:
		answer_all(bench, witness, what == ANSWER_GOOD);
		break;
	case TOGGLE_PAUSE:
		bench->saved->pause.paused = !bench->saved->pause.paused;
		break;
	case TOGGLE_STOP:
		bench->now.kill_switch = !bench->now.kill_switch;
		break;
	case TOGGLE_LOCK:
		bench->now.package_manager = !bench->now.package_manager;
		break;
	case TOGGLE_HUNG:
		witness->hung = !witness->hung;
		break;
	case FOREIGN_KILL:
		kill_by_another(bench, witness);
		break;
	case RESTART:
		start_anew(bench, witness);
		break;
	case WAIT_PROMISE:
		bench->now.boot_ns += SECONDS(9);
		break;
	case WAIT_COOLDOWN:
		bench->now.boot_ns += SECONDS(61);
		break;
	case MOVE_COUNT:
		break;
	}
	look(bench, witness);
}

/* --- the walks ----------------------------------------------------------------------------------------------------------- */

static struct bench open_world(void)
{
	struct bench bench = set_up(world_policies);
	struct process *hung = scene_process(bench.snap, HUNG_PID, "hung", MIB(200), 0);
	hung->start_ns = HUNG_PID * 1000;
	return bench;
}

static void begin_anew(struct bench *bench)
{
	reset(bench);
	bench->engine->events_seen = bench->snap->events.total = 0;
}

static uint64_t depth_from_environment(uint64_t otherwise)
{
	const char *text = getenv("NODEMEND_EXPLORE_WORLD_DEPTH");
	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void every_short_sequence_holds_the_invariants(void **state)
{
	struct bench bench = open_world();
	uint64_t depth = depth_from_environment(4), sequences = 1, acted = 0;
	(void)state;
	for (uint64_t i = 0; i < depth; i++)
		sequences *= MOVE_COUNT;
	for (uint64_t sequence = 0; sequence < sequences; sequence++) {
		struct witness witness = { 0 };
		begin_anew(&bench);
		uint64_t rest = sequence;
		for (uint64_t i = 0; i < depth; i++, rest /= MOVE_COUNT)
			move(&bench, &witness, (enum move)(rest % MOVE_COUNT));
		acted += witness.count;
	}
	assert_true(acted > 0);
	tear_down(&bench);
}

static void long_random_walks_hold_the_invariants(void **state)
{
	static const enum move likely[] = {
		SAY_TRUE, SAY_TRUE, SAY_TRUE, SAY_TRUE, SAY_TRUE, SAY_TRUE, SAY_FALSE, SAY_UNKNOWN, DISPATCH, DISPATCH, DISPATCH, DISPATCH, ANSWER_GOOD, ANSWER_GOOD,
		ANSWER_GOOD, ANSWER_BAD, ANSWER_BAD, TOGGLE_PAUSE, TOGGLE_STOP, TOGGLE_LOCK, TOGGLE_HUNG, FOREIGN_KILL, RESTART, WAIT_PROMISE, WAIT_PROMISE,
		WAIT_COOLDOWN, WAIT_COOLDOWN, WAIT_COOLDOWN,
	};
	struct bench bench = open_world();
	uint64_t random = 0x9e3779b97f4a7c15ULL, acted = 0, turned_back = 0, limited = 0;
	(void)state;
	for (int walk = 0; walk < 250; walk++) {
		struct witness witness = { 0 };
		begin_anew(&bench);
		for (int i = 0; i < 300; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			move(&bench, &witness, likely[random % (sizeof(likely) / sizeof(likely[0]))]);
		}
		acted += witness.count;
		turned_back += witness.turned_back;
		for (uint32_t i = 0; i < witness.count; i++)
			limited += witness.acts[i].remedy == REMEDY_LIMIT_CPU;
	}
	/* It came to all of it, else nothing was shown. */
	assert_true(acted > 500);
	assert_true(limited > 100);
	assert_true(turned_back > 20);
	tear_down(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_short_sequence_holds_the_invariants),
		cmocka_unit_test(long_random_walks_hold_the_invariants),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
