/* SPDX-License-Identifier: Apache-2.0 */
/* The guards that look beyond one policy and its target: blockers, budgets of the node, the second sign, others' kills, memory that is not back. */
#include "engine_bench.h"

#include <signal.h>

#include "decide/foreign.h"
#include "decide/signs.h"

/* The first policy wants to act; which guard holds it back, NULL: none. */
static const char *held(struct bench *bench)
{
	set_finding(bench, 0, VERDICT_TRUE);
	bench->findings->count = 1;
	bench->now.snap = bench->snap;
	if (tick(bench, 1))
		return NULL;
	return bench->engine->refusals[0];
}

/* Everything was measured now. */
static void measure(struct bench *bench)
{
	scene_at(bench->snap, bench->now.boot_ns + SECONDS(1));
}

/* --- blockers ------------------------------------------------------------------------------------------------------------ */

/* An incident that nobody can say is over. */
static void open_another(struct bench *bench)
{
	struct finding *finding = &bench->findings->each[1];
	bench->saved->incidents[bench->saved->incident_count++] =
		(struct incident){ .id = "i9-9", .kind = KIND_DISK_EXHAUSTION, .policy = "disks", .resource = { .type = TARGET_NODE, .name = "x" } };
	*finding = (struct finding){ .policy = 1, .kind = KIND_DISK_EXHAUSTION, .verdict = VERDICT_UNKNOWN, .target = { .type = TARGET_NODE, .name = "x" } };
	snprintf(finding->key, sizeof(finding->key), "node:x");
	bench->findings->count = 2;
}

static void another_alert_holds_it_back(void **state)
{
	static const struct { const char *alert; bool holds; } cases[] = { { "disk_exhaustion", true }, { "disks", true }, { "cpu_exhaustion", false } };
	struct bench bench = set_up(two_policies);
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reset(&bench);
		set_finding(&bench, 0, VERDICT_TRUE);
		open_another(&bench);
		strcpy(bench.config->policies[0].blocked_by.alert, cases[i].alert);
		assert_int_equal(tick(&bench, 1), cases[i].holds ? 0 : 1);
		if (cases[i].holds)
			assert_string_equal(bench.engine->refusals[0], "blocked-by-alert");
	}
	tear_down(&bench);
}

/* The very incident that is to be mended is of that kind. */
static void its_own_incident_is_no_other_alert(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	strcpy(bench.config->policies[0].blocked_by.alert, "memory_exhaustion");
	assert_null(held(&bench));
	tear_down(&bench);
}

static void a_unit_at_work_holds_it_back(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	struct blockers *blockers = &bench.config->policies[0].blocked_by;
	strcpy(blockers->unit, "backup.service");
	measure(&bench);
	assert_string_equal(held(&bench), "blocked-by-unit"); /* nobody knows it */

	struct unit_sample *unit = &bench.snap->units.each[bench.snap->units.count++];
	strcpy(unit->name, "backup.service");
	static const struct { enum unit_state state; uint32_t states; bool holds; } cases[] = {
		{ UNIT_ACTIVE, 0, true }, { UNIT_ACTIVATING, 0, true }, { UNIT_INACTIVE, 0, false }, { UNIT_FAILED, 0, false }, { UNIT_UNKNOWN, 0, true },
		{ UNIT_FAILED, 1U << UNIT_FAILED, true }, { UNIT_ACTIVE, 1U << UNIT_FAILED, false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reset(&bench);
		measure(&bench);
		unit->state = cases[i].state;
		blockers->unit_states = cases[i].states;
		const char *guard = held(&bench);
		assert_true(cases[i].holds == (guard && strcmp(guard, "blocked-by-unit") == 0));
	}
	reset(&bench);
	unit->state = UNIT_INACTIVE;
	unit->measured_ns = 1;
	assert_string_equal(held(&bench), "blocked-by-unit"); /* long ago */
	tear_down(&bench);
}

static void a_package_manager_or_a_person_holds_it_back_where_asked(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	struct blockers *blockers = &bench.config->policies[0].blocked_by;
	bench.now.package_manager = bench.now.logged_in = true;
	blockers->package_manager = true;
	assert_string_equal(held(&bench), "blocked-by-package-manager");
	blockers->package_manager = false;
	blockers->logged_in = true;
	bench.engine->refusals[0][0] = '\0';
	assert_string_equal(held(&bench), "blocked-by-person");
	blockers->logged_in = false;
	assert_null(held(&bench));
	tear_down(&bench);
}

/* What came between the order and the act counts, too. */
static void blockers_are_asked_again_right_before_the_act(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	bench.config->policies[0].blocked_by.package_manager = true;
	assert_null(held(&bench));
	bench.now.package_manager = true;
	assert_string_equal(dispatch(&bench, bench.changes->orders[0]), "blocked-by-package-manager");
	tear_down(&bench);
}

/* --- budgets of the node ------------------------------------------------------------------------------------------------- */

static void spend(struct bench *bench, uint32_t count, const char *policy, const char *remedy, uint64_t ago_s)
{
	for (uint32_t i = 0; i < count; i++) {
		struct act *act = &bench->saved->acts[bench->saved->act_count++];
		*act = (struct act){ .boot_ns = (int64_t)(bench->now.boot_ns - SECONDS(ago_s)), .outcome = OUTCOME_FIXED };
		snprintf(act->policy, sizeof(act->policy), "%s", policy);
		snprintf(act->remedy, sizeof(act->remedy), "%s", remedy);
		snprintf(act->target_key, sizeof(act->target_key), "process:%u:9", i);
	}
}

static void a_remedy_has_a_budget_over_all_policies(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	bench.config->acts_per_remedy = (struct budget){ 4, SECONDS(3600) };
	spend(&bench, 3, "elsewhere", "terminate", 60);
	spend(&bench, 9, "elsewhere", "clean-files", 60);
	spend(&bench, 1, "by hand", "terminate", 60); /* a person's act is one of them */
	assert_string_equal(held(&bench), "remedy-budget");
	bench.saved->acts[0].boot_ns = (int64_t)(bench.now.boot_ns - SECONDS(3700));
	assert_null(held(&bench));
	tear_down(&bench);
}

static void the_node_has_a_budget_over_all_policies(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	bench.config->acts_per_node = (struct budget){ 5, SECONDS(3600) };
	spend(&bench, 5, "elsewhere", "clean-files", 60);
	assert_string_equal(held(&bench), "node-budget");
	bench.saved->acts[0].boot_ns = (int64_t)(bench.now.boot_ns - SECONDS(3700));
	assert_null(held(&bench));
	assert_null(dispatch(&bench, bench.changes->orders[0])); /* which the act itself has filled again */
	tear_down(&bench);
}

/* --- two signs ----------------------------------------------------------------------------------------------------------- */

static uint32_t signs_of(const char *when)
{
	char yaml[512];
	snprintf(yaml, sizeof(yaml), "policies: [{name: p, when: {%s}}]\n", when);
	struct config *config = scene_config(yaml);
	uint32_t signs = signs_of_policy(&config->policies[0]);
	free(config);
	return signs;
}

static void what_a_policy_brings_of_signs(void **state)
{
	(void)state;
	assert_int_equal(signs_of("psi: {resource: memory, some: 20}"), SIGN_STALL);
	assert_int_equal(signs_of("psi: {resource: memory, some: 20, cgroup: /x, window: 10s}"), SIGN_STALL); /* it suffers; that makes it no cause */
	assert_int_equal(signs_of("memory: {available_percent: 5}"), SIGN_LEVEL);
	assert_int_equal(signs_of("memory: {swap_used_percent: 90}"), SIGN_SWAP);
	assert_int_equal(signs_of("process: {comm: hog, memory: 1GiB}"), SIGN_LEVEL | SIGN_NAMED);
	assert_int_equal(signs_of("process: {unit: a.service, growth_bytes: 1GiB}"), SIGN_GROWTH | SIGN_NAMED);
	assert_int_equal(signs_of("all: [{memory: {available_percent: 5}}, {memory: {used_percent: 90}}]"), SIGN_LEVEL); /* the same said twice */
	assert_int_equal(signs_of("all: [{memory: {available_percent: 5}}, {psi: {resource: memory, some: 20}}]"), SIGN_LEVEL | SIGN_STALL);
	/* Of alternatives the weakest is what is sure. */
	assert_int_equal(signs_of("any: [{process: {comm: hog, memory: 1GiB}}, {psi: {resource: memory, some: 20}}]"), SIGN_STALL);
}

static const char by_pressure[] =
	"policies:\n"
	"  - name: first\n"
	"    mode: enforce\n"
	"    when: {psi: {resource: memory, some: 20, window: interval}}\n"
	"    do:\n"
	"      - terminate: {scope: process}\n"
	"        expect: {exited: 1, within: 5s}\n"
	"    limits: {cooldown: 60s, per_target: 3/1h, per_node: 5/1d}\n";

static const char *held_by_pressure(struct bench *bench)
{
	struct finding *finding = &bench->findings->each[0];
	*finding = (struct finding){ .kind = KIND_MEMORY_EXHAUSTION, .verdict = VERDICT_TRUE, .target = { .type = TARGET_NODE, .name = "memory" } };
	snprintf(finding->key, sizeof(finding->key), "node:memory");
	bench->findings->count = 1;
	bench->now.snap = bench->snap;
	return tick(bench, 1) ? NULL : bench->engine->refusals[0];
}

static void pressure_alone_ends_nobody(void **state)
{
	struct bench bench = set_up(by_pressure);
	struct snapshot *snap = bench.snap;
	(void)state;
	snap->memory.total = MIB(1000);
	snap->memory.available = MIB(500);
	snap->memory.swap_total = MIB(100);
	snap->memory.swap_free = MIB(90);
	for (uint32_t i = 0; i < snap->processes.count; i++)
		snap->processes.each[i].rss_growth_bytes = snap->processes.each[i].rss_growing_bytes = 0;
	snap->psi.some[PSI_MEMORY].recent_permille = 900; /* the same sign again */
	measure(&bench);
	assert_string_equal(held_by_pressure(&bench), "second-sign");

	uint64_t *const figures[] = { &snap->memory.available, &snap->memory.swap_free };
	for (size_t i = 0; i < 2; i++) {
		uint64_t before = *figures[i];
		reset(&bench);
		*figures[i] = MIB(5);
		measure(&bench);
		assert_null(held_by_pressure(&bench));
		reset(&bench);
		snap->memory.measured_ns = 1; /* of long ago: no sign */
		assert_string_equal(held_by_pressure(&bench), "second-sign");
		*figures[i] = before;
	}
	reset(&bench);
	snap->processes.each[0].rss_growth_bytes = (int64_t)MIB(64);
	snap->processes.each[0].rss_growing_bytes = (int64_t)MIB(4);
	measure(&bench);
	assert_null(held_by_pressure(&bench));
	tear_down(&bench);
}

static void the_second_sign_is_asked_again_right_before_the_act(void **state)
{
	struct bench bench = set_up(by_pressure);
	(void)state;
	bench.snap->memory.total = MIB(1000);
	bench.snap->memory.available = MIB(5);
	measure(&bench);
	assert_null(held_by_pressure(&bench));
	bench.snap->memory.available = MIB(500);
	for (uint32_t i = 0; i < bench.snap->processes.count; i++)
		bench.snap->processes.each[i].rss_growth_bytes = 0;
	assert_string_equal(dispatch(&bench, bench.changes->orders[0]), "second-sign");
	tear_down(&bench);
}

static void signs_of_the_other_kinds(void **state)
{
	struct snapshot *snap = scene_new();
	(void)state;
	snap->cpu.used_permille = UINT32_MAX;
	scene_at(snap, SECONDS(1000));
	assert_int_equal(signs_of_node(KIND_CPU_EXHAUSTION, snap), 0);
	snap->cpu.used_permille = 900;
	snap->psi.some[PSI_CPU].recent_permille = 60;
	assert_int_equal(signs_of_node(KIND_CPU_EXHAUSTION, snap), SIGN_LEVEL | SIGN_STALL);
	snap->psi.some[PSI_IO].recent_permille = 60;
	snap->disks.count = 1;
	snap->disks.each[0].busy_permille = 950;
	assert_int_equal(signs_of_node(KIND_IO_SATURATION, snap), SIGN_LEVEL | SIGN_STALL);
	snap->processes.threads = 1000;
	scene_cgroup(snap, 7, "/bomb", 0)->threads = 100;
	assert_int_equal(signs_of_node(KIND_PID_EXHAUSTION, snap), 0);
	snap->cgroups.each[0].threads = 400;
	assert_int_equal(signs_of_node(KIND_PID_EXHAUSTION, snap), SIGN_GROWTH);
	assert_int_equal(signs_of_node(KIND_LOG_PATTERN, snap), 0);
	free(snap);
}

/* --- memory that is not back --------------------------------------------------------------------------------------------- */

static void no_second_victim_before_the_first_ones_memory_is_back(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	struct process *first = scene_process(bench.snap, 43, "hung", MIB(200), 0);
	bench.engine->last_ended = (struct ended_one){ .pid = 43, .start_ns = first->start_ns, .rss_bytes = MIB(200) };
	measure(&bench);
	assert_string_equal(held(&bench), "victim-pending");

	first->start_ns++; /* another one has its number */
	measure(&bench);
	assert_null(held(&bench));
	first->start_ns--;
	reset(&bench);
	bench.engine->last_ended = (struct ended_one){ .pid = 43, .start_ns = first->start_ns, .rss_bytes = MIB(200) };
	first->rss_bytes = MIB(10); /* process_mrelease took it */
	measure(&bench);
	assert_null(held(&bench));
	reset(&bench);
	bench.engine->last_ended = (struct ended_one){ .pid = 44, .start_ns = 1, .rss_bytes = MIB(200) };
	measure(&bench);
	assert_null(held(&bench)); /* gone */
	reset(&bench);
	bench.engine->last_ended = (struct ended_one){ .pid = 44, .start_ns = 1, .rss_bytes = MIB(200) };
	bench.snap->processes.measured_ns = 1;
	assert_string_equal(held(&bench), "victim-pending"); /* nobody can tell */
	tear_down(&bench);
}

static void a_cgroup_must_be_empty_or_small_before_the_next_victim(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	struct cgroup *group = scene_cgroup(bench.snap, 9, "/pod", MIB(150));
	const struct ended_one ended = { .cgroup_id = 9, .rss_bytes = MIB(200) };
	bench.engine->last_ended = ended;
	measure(&bench);
	assert_string_equal(held(&bench), "victim-pending");
	group->processes = 0;
	measure(&bench);
	assert_null(held(&bench));
	tear_down(&bench);
}

static void whom_the_hands_ended_is_remembered(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	assert_null(held(&bench));
	uint32_t slot = bench.changes->orders[0];
	assert_null(dispatch(&bench, slot));
	struct remedy_result result = { .verb = REMEDY_VERB_APPLY, .outcome = OUTCOME_NO_EFFECT, .ended = { .pid = 41, .start_ns = 41000, .rss_bytes = MIB(200) } };
	memcpy(result.action_id, bench.engine->orders[slot].action.id, ID_LEN);
	engine_result(bench.engine, slot, &result, bench.config, &bench.now, bench.changes);
	assert_int_equal(bench.engine->last_ended.pid, 41);
	tear_down(&bench);
}

/* --- kills by others ------------------------------------------------------------------------------------------------------ */

static struct event *killed(struct bench *bench, enum killer killer, int32_t pid, uint64_t cgroup_id, int signal)
{
	struct event *event = event_add(&bench->snap->events, EVENT_FATAL_SIGNAL);
	event->at_ns = bench->now.boot_ns;
	event->of.fatal = (struct fatal_signal){
		.killer = killer,
		.record = { .at_ns = event->at_ns, .signal = (uint32_t)signal, .target = { .pid = pid, .start_ns = (uint64_t)pid * 1000, .cgroup_id = cgroup_id, .comm = "hog" } },
	};
	return event;
}

static void in_cgroup(struct bench *bench, uint64_t cgroup_id)
{
	set_finding(bench, 0, VERDICT_TRUE);
	bench->findings->each[0].target.cgroup_id = cgroup_id;
	bench->findings->count = 1;
}

static void kills_by_others_start_the_same_cooldown(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	static const struct { enum killer killer; int signal; bool counts; } cases[] = {
		{ KILLER_SYSTEMD_OOMD, SIGKILL, true }, { KILLER_KUBELET, SIGKILL, true }, { KILLER_EARLYOOM, SIGTERM, true }, { KILLER_OPERATOR, SIGTERM, true },
		{ KILLER_CONTAINER_RUNTIME, SIGKILL, true }, { KILLER_KERNEL_OOM, SIGKILL, true }, { KILLER_SELF, SIGKILL, false }, { KILLER_NODEMEND, SIGKILL, false },
		{ KILLER_SYSTEMD, SIGTERM, false }, { KILLER_OTHER, SIGKILL, false }, { KILLER_KERNEL_FAULT, SIGSEGV, false }, { KILLER_OPERATOR, SIGINT, false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reset(&bench);
		killed(&bench, cases[i].killer, 77, 9, cases[i].signal); /* another process of the same cgroup */
		in_cgroup(&bench, 9);
		uint32_t orders = tick(&bench, 1);
		assert_int_equal(orders, cases[i].counts ? 0 : 1);
		if (!cases[i].counts)
			continue;
		assert_string_equal(bench.engine->refusals[0], "foreign-kill");
		assert_int_equal(tick(&bench, 58), 0);
		assert_int_equal(tick(&bench, 2), 1); /* as long as the policy's cooldown, from the kill on */
	}
	tear_down(&bench);
}

static void a_kill_elsewhere_is_none_of_it(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	killed(&bench, KILLER_OPERATOR, 77, 10, SIGKILL);
	in_cgroup(&bench, 9);
	assert_int_equal(tick(&bench, 1), 1);
	tear_down(&bench);
}

/* Right before the act: an OOM kill of a moment ago is in the events that were read for that. */
static void a_kill_between_order_and_act_counts(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	in_cgroup(&bench, 9);
	bench.now.snap = bench.snap;
	assert_int_equal(tick(&bench, 1), 1);
	uint32_t slot = bench.changes->orders[0];
	killed(&bench, KILLER_KERNEL_OOM, 77, 9, SIGKILL);
	assert_string_equal(dispatch(&bench, slot), "foreign-kill");
	tear_down(&bench);
}

static void the_killer_is_credited_in_the_record(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	bench.now.kill_switch = true;
	in_cgroup(&bench, 9);
	tick(&bench, 1);
	killed(&bench, KILLER_SYSTEMD_OOMD, 77, 9, SIGKILL);
	tick(&bench, 1);
	const struct incident *incident = &bench.saved->incidents[0];
	const char *last = incident->history[incident->history_count - 1].why;
	assert_non_null(strstr(last, "process 77 (hog) was ended by systemd-oomd"));
	assert_int_equal(bench.saved->foreign_count, 1);
	assert_int_equal(bench.saved->foreign[0].killer, KILLER_SYSTEMD_OOMD);
	assert_true(bench.changes->state_changed);
	uint32_t entries = incident->history_count;
	tick(&bench, 1);
	assert_int_equal(incident->history_count, entries); /* once */
	tear_down(&bench);
}

/* The kernel decides, and later the process dies of it: one kill. Its scope says whether the node was short. */
static void an_oom_kill_is_one_kill_and_has_a_scope(void **state)
{
	struct bench bench = set_up(by_pressure);
	(void)state;
	bench.snap->memory.total = MIB(1000);
	bench.snap->memory.available = MIB(5);
	measure(&bench);
	static const enum oom_scope scopes[] = { OOM_SCOPE_CGROUP, OOM_SCOPE_NODE };
	for (size_t i = 0; i < 2; i++) {
		reset(&bench);
		measure(&bench);
		struct event *event = event_add(&bench.snap->events, EVENT_OOM_KILL);
		event->at_ns = bench.now.boot_ns;
		event->of.oom = (struct oom_record){ .victim = { .pid = 77, .start_ns = 77000, .cgroup_id = 9 }, .scope = scopes[i] };
		killed(&bench, KILLER_KERNEL_OOM, 77, 9, SIGKILL);
		const char *guard = held_by_pressure(&bench);
		assert_int_equal(bench.saved->foreign_count, 1);
		if (scopes[i] == OOM_SCOPE_NODE)
			assert_string_equal(guard, "foreign-kill");
		else
			assert_null(guard); /* a limit of one cgroup that has no part in the node's trouble */
	}
	tear_down(&bench);
}

/* What is only restarted is not ended: a service that was killed is to come back. */
static void what_ends_nobody_does_not_wait_for_it(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	bench.config->policies[0].steps[0] = bench.config->policies[0].steps[1];
	bench.config->policies[0].step_count = 1;
	killed(&bench, KILLER_KERNEL_OOM, 77, 9, SIGKILL);
	in_cgroup(&bench, 9);
	assert_int_equal(tick(&bench, 1), 1);
	tear_down(&bench);
}

static void the_ledger_of_others_is_bounded(void **state)
{
	struct bench bench = set_up(two_policies);
	(void)state;
	for (int32_t i = 0; i < MAX_FOREIGN + 5; i++)
		killed(&bench, KILLER_OPERATOR, 100 + i, 10, SIGKILL);
	tick(&bench, 1);
	assert_int_equal(bench.saved->foreign_count, MAX_FOREIGN);
	assert_int_equal(bench.saved->foreign[MAX_FOREIGN - 1].pid, 100 + MAX_FOREIGN + 4);
	assert_int_equal(bench.engine->foreign_total, MAX_FOREIGN + 5);
	tear_down(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_alert_holds_it_back),
		cmocka_unit_test(its_own_incident_is_no_other_alert),
		cmocka_unit_test(a_unit_at_work_holds_it_back),
		cmocka_unit_test(a_package_manager_or_a_person_holds_it_back_where_asked),
		cmocka_unit_test(blockers_are_asked_again_right_before_the_act),
		cmocka_unit_test(a_remedy_has_a_budget_over_all_policies),
		cmocka_unit_test(the_node_has_a_budget_over_all_policies),
		cmocka_unit_test(what_a_policy_brings_of_signs),
		cmocka_unit_test(pressure_alone_ends_nobody),
		cmocka_unit_test(the_second_sign_is_asked_again_right_before_the_act),
		cmocka_unit_test(signs_of_the_other_kinds),
		cmocka_unit_test(no_second_victim_before_the_first_ones_memory_is_back),
		cmocka_unit_test(a_cgroup_must_be_empty_or_small_before_the_next_victim),
		cmocka_unit_test(whom_the_hands_ended_is_remembered),
		cmocka_unit_test(kills_by_others_start_the_same_cooldown),
		cmocka_unit_test(a_kill_elsewhere_is_none_of_it),
		cmocka_unit_test(a_kill_between_order_and_act_counts),
		cmocka_unit_test(the_killer_is_credited_in_the_record),
		cmocka_unit_test(an_oom_kill_is_one_kill_and_has_a_scope),
		cmocka_unit_test(what_ends_nobody_does_not_wait_for_it),
		cmocka_unit_test(the_ledger_of_others_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
