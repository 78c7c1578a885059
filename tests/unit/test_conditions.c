/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of exhaustion: which targets there are, the number that is compared, and when it is not known. */
#include "scene.h"

#include "detect/condition.h"
#include "signals/process.h"

struct found {
	const struct condition *condition;
	const struct snapshot *snap;
	char text[512];
};

static bool tell(const struct target *target, void *context)
{
	struct found *found = context;
	size_t used = strlen(found->text);
	struct reading reading;

	condition_read(found->condition, found->snap, target, &reading);
	used += (size_t)snprintf(found->text + used, sizeof(found->text) - used, "%s%s ", used ? "; " : "", target->name);
	if (reading.state == READING_KNOWN)
		snprintf(found->text + used, sizeof(found->text) - used, "%.6g", reading.value);
	else
		snprintf(found->text + used, sizeof(found->text) - used, "%s", reading.state == READING_GONE ? "gone" : reading.why);
	return true;
}

/* "target value; target value" of the condition, which is written as a user would. */
static void assert_found(struct snapshot *snap, const char *condition, enum incident_kind kind, const char *expected)
{
	char yaml[512];
	snprintf(yaml, sizeof(yaml), "policies: [{name: p, when: {%s}}]\n", condition);
	struct config *config = scene_config(yaml);
	struct found found = { .condition = policy_primary(&config->policies[0]), .snap = snap };
	condition_targets(found.condition, snap, tell, &found);
	assert_string_equal(found.text, expected);
	assert_int_equal(condition_incident_kind(found.condition), kind);
	assert_string_not_equal(condition_metric(found.condition), "unknown");
	free(config);
}

static struct snapshot *fresh(void)
{
	struct snapshot *snap = scene_new();
	scene_at(snap, SECONDS(1000));
	return snap;
}

static void a_group_is_measured_by_its_own_limit(void **state)
{
	static const char memory[] = "cgroup: {cgroup: /app, memory_used_percent: 90}", pids[] = "cgroup: {pids_used_percent: 90}";
	struct snapshot *snap = fresh();
	struct cgroup *a = scene_cgroup(snap, 5, "/app/a", MIB(90)), *b = scene_cgroup(snap, 6, "/app/b", MIB(900));
	scene_cgroup(snap, 7, "/other", MIB(1))->memory_max = MIB(1);
	a->memory_current = MIB(95);
	a->memory_max = MIB(100);
	b->memory_current = MIB(900); /* much more, and no limit */
	assert_found(snap, memory, KIND_MEMORY_EXHAUSTION, "/app/a 95");
	a->memory_file = MIB(60); /* a reader of files, and well */
	assert_found(snap, memory, KIND_MEMORY_EXHAUSTION, "/app/a 35");

	assert_found(snap, pids, KIND_PID_EXHAUSTION, "");
	b->pids_current = 30;
	b->pids_max = 40;
	assert_found(snap, pids, KIND_PID_EXHAUSTION, "/app/b 75");
	b->pids_current = UNKNOWN;
	assert_found(snap, pids, KIND_PID_EXHAUSTION, "/app/b the cgroup has no pids limit");
	snap->cgroups.measured_ns = SECONDS(900);
	assert_found(snap, memory, KIND_MEMORY_EXHAUSTION, "/app/a the cgroups are stale");
	free(snap);
}

static void pids_are_threads_of_the_lesser_limit(void **state)
{
	struct snapshot *snap = fresh();
	snap->processes.threads = 600;
	snap->processes.pid_max = 4000;
	snap->processes.threads_max = 1000;
	assert_found(snap, "pids: {used_percent: 90}", KIND_PID_EXHAUSTION, "pids 60");
	snap->processes.threads_max = UNKNOWN;
	assert_found(snap, "pids: {used_percent: 90}", KIND_PID_EXHAUSTION, "pids 15");
	snap->processes.pid_max = UNKNOWN;
	assert_found(snap, "pids: {used_percent: 90}", KIND_PID_EXHAUSTION, "pids the kernel does not say pid_max");
	free(snap);
}

static void files_of_the_node_and_of_a_process(void **state)
{
	struct snapshot *snap = fresh();
	scene_process(snap, 10, "full", 1, 0)->files = 980;
	scene_process(snap, 11, "new", 1, 0)->files = FILES_UNKNOWN;
	scene_process(snap, 12, "free", 1, 0)->files = 5000;
	scene_process(snap, 13, "kthread", 1, 0)->kernel_thread = true;
	for (uint32_t i = 0; i < 4; i++)
		snap->processes.each[i].files_max = 1000;
	snap->processes.each[2].files_max = UNKNOWN;
	snap->processes.files_allocated = 2000;
	snap->processes.files_max = 8000;
	assert_found(snap, "files: {used_percent: 90}", KIND_FD_EXHAUSTION, "files 25");
	assert_found(snap, "files: {process_used_percent: 90}", KIND_FD_EXHAUSTION, "full 98");
	snap->processes.each[0].files = 350; /* far below: nobody is asked */
	assert_found(snap, "files: {process_used_percent: {above: 90, clear: 80}}", KIND_FD_EXHAUSTION, "");
	assert_found(snap, "files: {process_used_percent: {above: 90, clear: 70}}", KIND_FD_EXHAUSTION, "full 35");
	assert_found(snap, "files: {comm: fr*, process_used_percent: 90}", KIND_FD_EXHAUSTION, "");
	snap->processes.files_max = UNKNOWN;
	assert_found(snap, "files: {used_percent: 90}", KIND_FD_EXHAUSTION, "files the kernel does not say file-nr");
	free(snap);
}

static void zombies_are_their_parent_s(void **state)
{
	struct snapshot *snap = fresh();
	struct zombie_parent *parents = snap->processes.zombie_parents;
	scene_process(snap, 10, "neglecter", 1, 0);
	scene_process(snap, 11, "other", 1, 0);
	assert_found(snap, "process: {comm: '*', zombies: {above: 20, clear: 5}}", KIND_PID_EXHAUSTION, "");
	parents[0] = (struct zombie_parent){ .pid = 10, .zombies = 40 };
	parents[1] = (struct zombie_parent){ .pid = 99, .zombies = 30 }; /* not in the table of processes: nobody who could be told to let them go */
	snap->processes.zombie_parent_count = 2;
	assert_found(snap, "process: {comm: '*', zombies: {above: 20, clear: 5}}", KIND_PID_EXHAUSTION, "neglecter 40");
	assert_found(snap, "process: {comm: other, zombies: 20}", KIND_PID_EXHAUSTION, "");
	free(snap);
}

static void tables_of_the_network(void **state)
{
	struct snapshot *snap = fresh();
	snap->interfaces.conntrack = snap->interfaces.conntrack_max = UNKNOWN;
	snap->interfaces.neighbours = 900;
	snap->interfaces.neighbours_max = 1000;
	assert_found(snap, "conntrack: {used_percent: 90}", KIND_NETWORK_SATURATION, "conntrack connections are not tracked on this node");
	assert_found(snap, "neighbours: {used_percent: 80}", KIND_NETWORK_SATURATION, "neighbours 90");
	snap->interfaces.conntrack = 0;
	snap->interfaces.conntrack_max = 65536;
	assert_found(snap, "conntrack: {used_percent: 90}", KIND_NETWORK_SATURATION, "conntrack 0");
	snap->interfaces.measured_ns = 0;
	assert_found(snap, "neighbours: {used_percent: 80}", KIND_NETWORK_SATURATION, "neighbours the network's figures are stale");
	free(snap);
}

static void interfaces_against_their_speed(void **state)
{
	struct snapshot *snap = fresh();
	snap->interfaces.count = 3;
	snap->interfaces.each[0] = (struct interface){ .name = "lo", .up = true, .speed_bits = UNKNOWN, .rx_delta_bytes = 7000000 };
	snap->interfaces.each[1] = (struct interface){ .name = "eth0", .up = true, .speed_bits = 100000000, .rx_delta_bytes = 1000000, .tx_delta_bytes = 10000000 };
	snap->interfaces.each[2] = (struct interface){ .name = "eth1", .speed_bits = 1000000000, .rx_delta_bytes = 1 };
	assert_found(snap, "interface: {used_percent: 70}", KIND_NETWORK_SATURATION, "eth0 80");
	assert_found(snap, "interface: {name: lo, used_percent: 70}", KIND_NETWORK_SATURATION, "lo the driver does not say the speed of the link");
	assert_found(snap, "interface: {name: \"*\", bytes_per_second: 1MB}", KIND_NETWORK_SATURATION, "lo 7e+06; eth0 1e+07");
	snap->elapsed_ns = SECONDS(2);
	assert_found(snap, "interface: {used_percent: 70}", KIND_NETWORK_SATURATION, "eth0 40");
	/* eth0 was answered; eth2 was not; lo sent nothing. */
	snap->interfaces.count = 4;
	snap->interfaces.each[3] = (struct interface){ .name = "eth2", .up = true, .speed_bits = UNKNOWN, .tx_delta_bytes = 2000 };
	assert_found(snap, "interface: {name: \"eth[02]\", unanswered_bytes_per_second: 1000}", KIND_NETWORK_SATURATION, "eth0 0; eth2 1000");
	free(snap);
}

static void listeners_by_port_and_group(void **state)
{
	struct snapshot *snap = fresh();
	scene_cgroup(snap, 5, "/web.service", 1);
	scene_cgroup(snap, 6, "/db.service", 1);
	snap->listeners.count = 3;
	snap->listeners.each[0] = (struct listener){ .cgroup_id = 5, .port = 80, .sockets = 1, .backlog = 128, .limit = 128 };
	snap->listeners.each[1] = (struct listener){ .cgroup_id = 5, .port = 443, .sockets = 1, .backlog = 1, .limit = 4 };
	snap->listeners.each[2] = (struct listener){ .cgroup_id = 6, .port = 443, .sockets = 1, .backlog = 0, .limit = 0 };
	assert_found(snap, "listener: {backlog_percent: 80}", KIND_NETWORK_SATURATION,
		     "port 80 of /web.service 100; port 443 of /web.service 25; port 443 of /db.service the socket has no backlog");
	assert_found(snap, "listener: {port: 443, cgroup: /web.service, backlog_percent: 80}", KIND_NETWORK_SATURATION, "port 443 of /web.service 25");
	free(snap);
}

static void dependencies_of_which_enough_is_known(void **state)
{
	struct snapshot *snap = fresh();
	scene_cgroup(snap, 5, "/web.service", 1);
	snap->dependencies.count = 2;
	snap->dependencies.each[0] = (struct dependency){ .name = "10.0.0.5:5432", .attempts = 20, .failures = 15, .ended = 8, .resets = 2,
							  .user_count = 1, .users = { 5 } };
	snap->dependencies.each[1] = (struct dependency){ .name = "dns:10.0.0.2", .attempts = 4, .failures = 4, .times_slower = 3.5 };
	assert_found(snap, "dependency: {fails_percent: 50}", KIND_DEPENDENCY_DOWN, "10.0.0.5:5432 75");
	assert_found(snap, "dependency: {resets_percent: 50}", KIND_DEPENDENCY_DOWN, "10.0.0.5:5432 25");
	assert_found(snap, "dependency: {slower_than_usual: 3x}", KIND_DEPENDENCY_DOWN, "dns:10.0.0.2 3.5");
	assert_found(snap, "dependency: {peer: \"dns:*\", fails_percent: 50}", KIND_DEPENDENCY_DOWN, "");

	/* One that was found and of which too little is known now is unknown, not gone. */
	struct condition condition = { .kind = CONDITION_DEPENDENCY, .measure = MEASURE_FAILS_PERCENT };
	struct target target = { .type = TARGET_PEER, .name = "dns:10.0.0.2" };
	struct reading reading;
	condition_read(&condition, snap, &target, &reading);
	assert_int_equal(reading.state, READING_UNKNOWN);
	strcpy(target.name, "10.0.0.5:5432");
	condition_read(&condition, snap, &target, &reading);
	assert_string_equal(reading.detail, "of late 20 attempts, 15 failed; needed by /web.service");
	strcpy(target.name, "10.0.0.6:5432");
	condition_read(&condition, snap, &target, &reading);
	assert_int_equal(reading.state, READING_GONE);
	free(snap);
}

static void pressure_by_the_kernels_own_word(void **state)
{
	static const char node[] = "psi: {resource: io, some: 20, window: 2s}", group[] = "psi: {resource: memory, full: 5, window: 2s, cgroup: /app}";
	struct snapshot *snap = fresh();
	snap->psi.some[PSI_IO].recent_permille = 125;
	assert_found(snap, node, KIND_IO_SATURATION, "io 12.5");
	snap->triggers.count = 2;
	snap->triggers.each[0] = (struct trigger){ .resource = PSI_IO, .permille = 200, .fired_ns = SECONDS(1000) };
	snap->triggers.each[1] = (struct trigger){ .cgroup = "/app", .resource = PSI_MEMORY, .full = true, .permille = 50, .fired_ns = SECONDS(1000) };
	assert_found(snap, node, KIND_IO_SATURATION, "io 20"); /* and above: what it crosses is for the next test */
	snap->psi.some[PSI_IO].recent_permille = 300;
	assert_found(snap, node, KIND_IO_SATURATION, "io 30");
	snap->psi.some[PSI_IO].recent_permille = 0;
	assert_found(snap, "psi: {resource: io, some: 30, window: 2s}", KIND_IO_SATURATION, "io 0"); /* another policy's trigger */
	assert_found(snap, "psi: {resource: cpu, some: 20, window: 2s}", KIND_CPU_EXHAUSTION, "cpu 0");
	assert_found(snap, "psi: {resource: io, some: 20}", KIND_IO_SATURATION, "io 0");
	scene_at(snap, SECONDS(1003));
	assert_found(snap, node, KIND_IO_SATURATION, "io 20");
	scene_at(snap, SECONDS(1004));
	assert_found(snap, node, KIND_IO_SATURATION, "io 0");

	scene_at(snap, SECONDS(1001));
	struct cgroup *app = scene_cgroup(snap, 5, "/app", 1), *below = scene_cgroup(snap, 6, "/app/part", 1);
	app->full_ns[PSI_MEMORY] = UNKNOWN;
	below->full_avg10_centi[PSI_MEMORY] = 150;
	assert_found(snap, group, KIND_MEMORY_EXHAUSTION, "/app 5; /app/part 1.5");
	snap->triggers.count = 0;
	assert_found(snap, group, KIND_MEMORY_EXHAUSTION, "/app the cgroup has no pressure file; /app/part 1.5");
	free(snap);
}

static void the_kernels_word_crosses_the_threshold(void **state)
{
	struct snapshot *snap = fresh();
	struct config *config = scene_config("policies: [{name: p, when: {psi: {resource: io, some: 20, window: 2s}}}]\n");
	struct detector *detector = detector_new();
	struct findings *findings = calloc(1, sizeof(*findings));
	assert_non_null(detector);
	assert_non_null(findings);
	detect(detector, snap, config, findings);
	assert_int_equal(findings->count, 0);
	snap->triggers.count = 1;
	snap->triggers.each[0] = (struct trigger){ .resource = PSI_IO, .permille = 200, .fired_ns = snap->boot_ns };
	detect(detector, snap, config, findings);
	assert_int_equal(findings->each[0].verdict, VERDICT_TRUE);
	assert_string_equal(findings->each[0].why, "the kernel said so itself: tasks waited 20 % of two seconds");
	free(findings);
	detector_free(detector);
	free(config);
	free(snap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_is_measured_by_its_own_limit),
		cmocka_unit_test(pids_are_threads_of_the_lesser_limit),
		cmocka_unit_test(files_of_the_node_and_of_a_process),
		cmocka_unit_test(zombies_are_their_parent_s),
		cmocka_unit_test(tables_of_the_network),
		cmocka_unit_test(interfaces_against_their_speed),
		cmocka_unit_test(listeners_by_port_and_group),
		cmocka_unit_test(dependencies_of_which_enough_is_known),
		cmocka_unit_test(pressure_by_the_kernels_own_word),
		cmocka_unit_test(the_kernels_word_crosses_the_threshold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
