/* SPDX-License-Identifier: Apache-2.0 */
/* Hung told from slow, crashes counted, units that flap, lines and probes as conditions: on hand-made nodes. */
#include "tests/unit/scene.h"

#include "collect/crash.h"
#include "detect/life.h"

struct world {
	struct snapshot *snap;
	struct config *config;
	struct life_watch *watch;
	struct detector *detector;
	struct findings *findings;
};

static struct world world_of(const char *yaml)
{
	struct world world = { scene_new(), scene_config(yaml), life_watch_new(), detector_new(), calloc(1, sizeof(struct findings)) };
	assert_non_null(world.watch);
	assert_non_null(world.findings);
	return world;
}

static void end(struct world *world)
{
	free(world->snap);
	free(world->config);
	free(world->findings);
	life_watch_free(world->watch);
	detector_free(world->detector);
}

static void tick(struct world *world)
{
	scene_at(world->snap, world->snap->boot_ns + SECONDS(1));
	world->snap->crashes.measured_ns = world->snap->logs.measured_ns = world->snap->listeners.measured_ns = world->snap->boot_ns;
	life_tick(world->watch, world->snap, world->config);
	detect(world->detector, world->snap, world->config, world->findings);
}

static const struct finding *raised(const struct world *world)
{
	for (uint32_t i = 0; i < world->findings->count; i++)
		if (world->findings->each[i].verdict == VERDICT_TRUE)
			return &world->findings->each[i];
	return NULL;
}

#define HUNG "policies: [{name: p, when: {hung: {unit: app.service, for: 5s}}}]"

static struct process *add_service(struct world *world)
{
	struct cgroup *cgroup = scene_cgroup(world->snap, 77, "/system.slice/app.service", 0);
	snprintf(cgroup->unit, sizeof(cgroup->unit), "app.service");
	struct process *process = scene_process(world->snap, 100, "app", 0, 0);
	process->cgroup_id = 77;
	process->state = 'S';
	return process;
}

static void wait_in_its_queue(struct world *world, uint64_t backlog)
{
	world->snap->listeners.count = 1;
	world->snap->listeners.each[0] = (struct listener){ .cgroup_id = 77, .port = 80, .backlog = backlog };
}

static void test_idle_is_not_hung(void **state)
{
	struct world world = world_of(HUNG);
	(void)state;
	add_service(&world);
	for (int i = 0; i < 20; i++)
		tick(&world);
	assert_null(raised(&world));
	end(&world);
}

static void test_still_while_its_queue_grows_is_hung(void **state)
{
	struct world world = world_of(HUNG);
	(void)state;
	add_service(&world);
	wait_in_its_queue(&world, 3);
	for (int i = 0; i < 5; i++)
		tick(&world);
	assert_null(raised(&world)); /* not for long enough */
	tick(&world);
	const struct finding *finding = raised(&world);
	assert_non_null(finding);
	assert_int_equal(finding->kind, KIND_SERVICE_HUNG);
	assert_int_equal(finding->target.type, TARGET_UNIT);
	assert_string_equal(finding->target.name, "app.service");
	assert_non_null(strstr(finding->evidence, "app[100] has used no CPU"));
	assert_non_null(strstr(finding->evidence, "3 connections wait"));
	end(&world);
}

/* Each of its own counters alone is a sign of life: slow at most, however long its queue. */
static void test_whatever_moves_is_not_hung(void **state)
{
	(void)state;
	for (int sign = 0; sign < USAGE_COUNT; sign++) {
		struct world world = world_of(HUNG);
		add_service(&world);
		wait_in_its_queue(&world, 1000);
		for (int i = 0; i < 20; i++) {
			world.snap->cgroups.each[0].used.each[sign]++;
			tick(&world);
			assert_null(raised(&world));
		}
		assert_non_null(strstr(world.snap->life.each[0].line, "slow at most, not hung"));
		end(&world);
	}
}

static void test_a_queue_that_shrinks_is_served(void **state)
{
	struct world world = world_of(HUNG);
	(void)state;
	add_service(&world);
	for (int i = 0; i < 20; i++) {
		wait_in_its_queue(&world, 1000 - (uint64_t)i);
		tick(&world);
	}
	assert_null(raised(&world));
	end(&world);
}

static void test_held_in_the_kernel_is_hung_whoever_waits(void **state)
{
	struct world world = world_of(HUNG);
	(void)state;
	struct process *process = add_service(&world);
	process->state = 'D';
	for (int i = 0; i < 7; i++)
		tick(&world);
	assert_non_null(raised(&world));
	assert_non_null(strstr(raised(&world)->evidence, "sleeps uninterruptibly"));
	process->voluntary_switches++; /* it ran: from here on anew */
	tick(&world);
	assert_null(raised(&world));
	end(&world);
}

/* CLOCK_BOOTTIME goes on while the node sleeps; nobody moved in that time, and nobody could. */
static void test_a_node_that_slept_hung_nobody(void **state)
{
	(void)state;
	for (int held = 0; held < 2; held++) {
		struct world world = world_of(HUNG);
		struct process *process = add_service(&world);
		process->state = held ? 'D' : 'S';
		wait_in_its_queue(&world, 3);
		tick(&world);
		tick(&world);
		world.snap->boot_ns += SECONDS(3600);
		tick(&world);
		assert_null(raised(&world));
		for (int i = 0; i < 6; i++)
			tick(&world);
		assert_non_null(raised(&world));
		end(&world);
	}
}

/* Rows of a stale table say nothing of who is gone: what was hung stays so until it is known. */
static void test_a_stale_table_ends_nothing(void **state)
{
	struct world world = world_of(HUNG);
	(void)state;
	add_service(&world);
	wait_in_its_queue(&world, 3);
	for (int i = 0; i < 7; i++)
		tick(&world);
	assert_non_null(raised(&world));
	uint64_t measured_ns = world.snap->processes.measured_ns;
	for (int i = 0; i < 4; i++) {
		scene_at(world.snap, world.snap->boot_ns + SECONDS(1));
		world.snap->processes.measured_ns = measured_ns;
		life_tick(world.watch, world.snap, world.config);
		detect(world.detector, world.snap, world.config, world.findings);
	}
	assert_int_equal(world.findings->count, 1);
	assert_int_equal(world.findings->each[0].verdict, VERDICT_UNKNOWN);
	end(&world);
}

/* Rows beyond the table: the one that found no room is unknown as long as it is there. */
static void test_one_without_a_row_is_unknown(void **state)
{
	struct world world = world_of(HUNG);
	(void)state;
	add_service(&world);
	wait_in_its_queue(&world, 3);
	for (int i = 0; i < 7; i++)
		tick(&world);
	assert_non_null(raised(&world));
	world.snap->life.count = 0;
	world.snap->life.cut = 1;
	detect(world.detector, world.snap, world.config, world.findings);
	assert_int_equal(world.findings->each[0].verdict, VERDICT_UNKNOWN);
	world.snap->cgroups.each[0].processes = 0;
	detect(world.detector, world.snap, world.config, world.findings);
	assert_int_equal(world.findings->each[0].verdict, VERDICT_FALSE);
	end(&world);
}

static void test_its_probe_fails(void **state)
{
	struct world world = world_of("policies: [{name: p, when: {hung: {unit: app.service, for: 5s}}}, "
				      "{name: q, when: {probe: {tcp: '127.0.0.1:80', unit: app.service}}}]");
	(void)state;
	add_service(&world);
	world.snap->units.count = 1;
	struct unit_sample *row = &world.snap->units.each[0];
	row->alone = true;
	probe_name(&world.config->policies[1].when[0].condition.probe, row->name);
	row->probe = PROBE_FAILING;
	snprintf(row->probe_why, sizeof(row->probe_why), "refused");
	for (int i = 0; i < 4; i++)
		tick(&world);
	const struct finding *finding = raised(&world);
	assert_non_null(finding); /* the probe itself: down, at once */
	assert_int_equal(finding->kind, KIND_SERVICE_DOWN);
	assert_string_equal(finding->evidence, "refused");
	tick(&world);
	tick(&world);
	assert_int_equal(raised(&world)->kind, KIND_SERVICE_HUNG);
	end(&world);
}

/* --- crashes ------------------------------------------------------------------------------------------------------------- */

static void add_crash(struct world *world, uint64_t ago_s, uint32_t signal, uint32_t code, const char *comm)
{
	struct crash *crash = &world->snap->crashes.each[world->snap->crashes.count++];
	*crash = (struct crash){ .at_ns = world->snap->boot_ns - SECONDS(ago_s), .pid = 5, .start_ns = 6, .signal = signal, .exit_code = code, .cgroup_id = 77 };
	snprintf(crash->comm, sizeof(crash->comm), "%s", comm);
	snprintf(crash->cgroup, sizeof(crash->cgroup), "/system.slice/app.service");
	snprintf(crash->unit, sizeof(crash->unit), "app.service");
	snprintf(crash->line, sizeof(crash->line), "%s ended", comm);
}

static void test_so_many_crashes_in_a_time(void **state)
{
	struct world world = world_of("policies: [{name: p, when: {crash: {comm: 'ap*', times: 2, within: 60s}}}]");
	(void)state;
	tick(&world);
	world.snap->crashes.since_ns = 1;
	add_crash(&world, 70, 11, 0, "app");  /* too long ago */
	add_crash(&world, 10, 15, 0, "app");  /* SIGTERM is no crash */
	add_crash(&world, 9, 11, 0, "other");
	add_crash(&world, 8, 0, 1, "app");    /* an exit code that nobody asked for */
	add_crash(&world, 7, 11, 0, "app");
	tick(&world);
	assert_null(raised(&world));
	add_crash(&world, 0, 6, 0, "app");
	tick(&world);
	const struct finding *finding = raised(&world);
	assert_non_null(finding);
	assert_int_equal(finding->kind, KIND_PROCESS_CRASH);
	assert_int_equal(finding->target.type, TARGET_UNIT);
	assert_string_equal(finding->evidence, "app ended");
	assert_true(finding->signal.value == 2 && finding->signal.threshold == 2);
	world.snap->boot_ns += SECONDS(60);
	tick(&world);
	assert_null(raised(&world));
	end(&world);
}

/* A reload that asks for the same goes on with what was counted; one that asks for something else does not. */
static void test_filters_are_compared_by_what_they_ask(void **state)
{
	static const char *const texts[] = {
		"policies: [{name: p, when: {crash: {comm: 'ap*', times: 2, within: 60s}}}]",
		"policies: [{name: q, when: {crash: {comm: 'ap*', times: 3, within: 90s}}}]",
		"policies: [{name: p, when: {crash: {comm: 'bp*', times: 2, within: 60s}}}]",
		"policies: [{name: p, when: {crash: {comm: 'ap*', signals: [SIGSEGV], times: 2, within: 60s}}}]",
		"policies: [{name: p, when: {memory: {used_percent: 90}}}]",
	};
	struct crash_filter *filters[5];
	(void)state;
	for (int i = 0; i < 5; i++) {
		struct config *config = scene_config(texts[i]);
		filters[i] = crash_filter_new(config);
		free(config);
	}
	assert_true(crash_filter_same(filters[0], filters[1]));
	assert_true(crash_filter_same(NULL, filters[4]));
	for (int i = 2; i < 5; i++)
		assert_false(crash_filter_same(filters[0], filters[i]));
	for (int i = 0; i < 5; i++)
		crash_filter_free(filters[i]);
}

/* Fewer than asked for, and none before the start was seen: not "no". */
static void test_a_restarted_agent_does_not_know_yet(void **state)
{
	struct world world = world_of("policies: [{name: p, when: {crash: {comm: 'ap*', times: 2, within: 60s}}}]");
	(void)state;
	world.snap->crashes.since_ns = world.snap->boot_ns;
	add_crash(&world, 0, 11, 0, "app");
	tick(&world);
	assert_int_equal(world.findings->count, 1);
	assert_int_equal(world.findings->each[0].verdict, VERDICT_UNKNOWN);
	end(&world);
}

/* --- lines and units ----------------------------------------------------------------------------------------------------- */

static void test_lines(void **state)
{
	struct world world = world_of("policies: [{name: p, when: {log: {source: kernel, pattern: oom-kill, times: 3}}}]");
	(void)state;
	struct log_row *row = &world.snap->logs.each[0];
	*row = (struct log_row){ .rule = log_query_hash(&world.config->policies[0].when[0].condition), .about = TARGET_LOG, .matches = 2, .name = "kernel: oom-kill",
				 .line = "Out of memory" };
	world.snap->logs.count = 1;
	tick(&world);
	assert_null(raised(&world));
	row->matches = 3; /* …and cleared by a line since: not raised */
	tick(&world);
	assert_null(raised(&world));
	row->raised = true;
	tick(&world);
	assert_non_null(raised(&world));
	assert_int_equal(raised(&world)->kind, KIND_OOM_KILL);
	assert_string_equal(raised(&world)->evidence, "Out of memory");
	/* The reader is silent: nobody knows, and what was true stays. */
	scene_at(world.snap, world.snap->boot_ns + SECONDS(10));
	detect(world.detector, world.snap, world.config, world.findings);
	assert_int_equal(world.findings->each[0].verdict, VERDICT_UNKNOWN);
	world.snap->logs.count = 0; /* it speaks again, and the row is gone */
	tick(&world);
	assert_int_equal(world.findings->each[0].verdict, VERDICT_FALSE);
	end(&world);
}

static void test_a_unit_that_flaps(void **state)
{
	struct world world = world_of("policies: [{name: p, when: {unit: {name: app.service, restarts: 3, within: 60s}}}]");
	(void)state;
	world.snap->units.count = 1;
	struct unit_sample *unit = &world.snap->units.each[0];
	snprintf(unit->name, sizeof(unit->name), "app.service");
	unit->state = UNIT_ACTIVE;
	for (int i = 0; i < 3; i++)
		unit->start_ns[unit->starts++] = world.snap->boot_ns;
	tick(&world);
	assert_null(raised(&world));
	unit->start_ns[unit->starts++] = world.snap->boot_ns;
	tick(&world);
	assert_non_null(raised(&world));
	assert_int_equal(raised(&world)->kind, KIND_SERVICE_DOWN);
	world.snap->boot_ns += SECONDS(60);
	tick(&world);
	assert_null(raised(&world));
	end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_is_not_hung),
		cmocka_unit_test(test_still_while_its_queue_grows_is_hung),
		cmocka_unit_test(test_whatever_moves_is_not_hung),
		cmocka_unit_test(test_a_queue_that_shrinks_is_served),
		cmocka_unit_test(test_held_in_the_kernel_is_hung_whoever_waits),
		cmocka_unit_test(test_a_node_that_slept_hung_nobody),
		cmocka_unit_test(test_a_stale_table_ends_nothing),
		cmocka_unit_test(test_one_without_a_row_is_unknown),
		cmocka_unit_test(test_its_probe_fails),
		cmocka_unit_test(test_so_many_crashes_in_a_time),
		cmocka_unit_test(test_filters_are_compared_by_what_they_ask),
		cmocka_unit_test(test_a_restarted_agent_does_not_know_yet),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_a_unit_that_flaps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
