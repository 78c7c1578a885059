/* SPDX-License-Identifier: Apache-2.0 */
/* The lives of incidents: reopened, damped, kept over a restart, with what was seen before them; and how they hang together. */
#include "engine_bench.h"

#include "decide/lifecycle.h"
#include "decide/story.h"
#include "detect/condition.h"
#include "detect/foretime.h"

static const char one_policy[] =
	"policies:\n"
	"  - name: fills\n"
	"    mode: observe\n"
	"    when: {filesystem: {mountpoint: /data, used_percent: {above: 90}}}\n";

static void say(struct bench *bench, enum verdict verdict)
{
	struct finding *finding = &bench->findings->each[0];
	*finding = (struct finding){ .kind = KIND_DISK_EXHAUSTION, .verdict = verdict };
	finding->target = (struct target){ .type = TARGET_FILESYSTEM, .name = "/data", .device = "/dev/sda1" };
	snprintf(finding->signal.metric, sizeof(finding->signal.metric), "filesystem_used_percent");
	target_key(&finding->target, finding->key);
	bench->findings->count = 1;
}

static void pass(struct bench *bench, enum verdict verdict, uint64_t seconds)
{
	say(bench, verdict);
	tick(bench, seconds);
}

static struct bench life(void)
{
	struct bench bench = set_up(one_policy);
	bench.now.wall_ns = 1763892000000000000;
	return bench;
}

/* --- lives --------------------------------------------------------------------------------------------------------------- */

static void what_comes_back_soon_is_the_same_incident(void **state)
{
	struct bench bench = life();
	pass(&bench, VERDICT_TRUE, 1);
	char id[ID_LEN];
	memcpy(id, bench.saved->incidents[0].id, ID_LEN);
	int64_t opened = bench.saved->incidents[0].opened_wall_ns;
	pass(&bench, VERDICT_FALSE, 1);
	assert_int_equal(bench.saved->incident_count, 0);
	pass(&bench, VERDICT_TRUE, 299);
	assert_int_equal(bench.saved->incident_count, 1);
	const struct incident *incident = &bench.saved->incidents[0];
	assert_string_equal(incident->id, id);
	assert_int_equal(incident->opened_wall_ns, opened);
	assert_int_equal(incident->resolved_wall_ns, 0);
	assert_int_equal(incident->reopened, 1);
	assert_int_equal(incident->history_count, 3);
	assert_non_null(strstr(incident->history[2].why, "reopened: policy fills"));
	assert_string_equal(bench.engine->recent_incidents[0].id, ""); /* it is not one of those that ended any more */
	tear_down(&bench);
}

static void after_its_hold_down_it_is_another(void **state)
{
	struct bench bench = life();
	pass(&bench, VERDICT_TRUE, 1);
	char id[ID_LEN];
	memcpy(id, bench.saved->incidents[0].id, ID_LEN);
	pass(&bench, VERDICT_FALSE, 1);
	pass(&bench, VERDICT_TRUE, 301);
	assert_string_not_equal(bench.saved->incidents[0].id, id);
	assert_int_equal(bench.saved->incidents[0].reopened, 0);
	assert_int_equal(bench.engine->recent_incident_count, 1);
	tear_down(&bench);
}

static void flapping_is_held_open_and_told_once(void **state)
{
	struct bench bench = life();
	for (int i = 0; i < FLAPS_UNTIL_DAMPED; i++) {
		pass(&bench, VERDICT_TRUE, 10);
		assert_false(bench.saved->incidents[0].flapping);
		pass(&bench, VERDICT_FALSE, 10);
	}
	pass(&bench, VERDICT_TRUE, 10);
	assert_true(bench.saved->incidents[0].flapping);
	uint32_t entries = bench.saved->incidents[0].history_count;
	assert_non_null(strstr(bench.saved->incidents[0].history[entries - 1].why, "flapping: it has come back 3 times"));
	for (int i = 0; i < 20; i++) {
		pass(&bench, i % 2 ? VERDICT_TRUE : VERDICT_FALSE, 10);
		assert_int_equal(bench.changes->incident_count, 0); /* not one word while it flaps */
		assert_int_equal(bench.saved->incident_count, 1);
	}
	pass(&bench, VERDICT_FALSE, 10);
	pass(&bench, VERDICT_FALSE, 299);
	assert_int_equal(bench.saved->incident_count, 1);
	pass(&bench, VERDICT_FALSE, 1);
	assert_int_equal(bench.saved->incident_count, 0);
	assert_int_equal(bench.changes->incidents[0].state, INCIDENT_RESOLVED);
	tear_down(&bench);
}

static void long_phases_do_not_flap(void **state)
{
	struct bench bench = life();
	for (int i = 0; i < 6; i++) {
		pass(&bench, VERDICT_TRUE, 10);
		pass(&bench, VERDICT_TRUE, 400);
		assert_false(bench.saved->incidents[0].flapping);
		pass(&bench, VERDICT_FALSE, 10);
	}
	assert_int_equal(bench.saved->closed[0].reopened, 5);
	tear_down(&bench);
}

static void a_restart_remembers_what_may_come_back(void **state)
{
	struct bench bench = life();
	pass(&bench, VERDICT_TRUE, 1);
	char id[ID_LEN];
	memcpy(id, bench.saved->incidents[0].id, ID_LEN);
	pass(&bench, VERDICT_FALSE, 1);
	memset(bench.engine, 0, sizeof(*bench.engine));
	engine_init(bench.engine, bench.saved);
	pass(&bench, VERDICT_TRUE, 60);
	assert_string_equal(bench.saved->incidents[0].id, id);
	assert_int_equal(bench.saved->incidents[0].reopened, 1);
	tear_down(&bench);
}

static void what_may_come_back_is_bounded(void **state)
{
	struct bench bench = life();
	struct incident incident = { .kind = KIND_DISK_EXHAUSTION, .resource = { .type = TARGET_FILESYSTEM } };
	for (int i = 0; i < 3 * MAX_CLOSED; i++) {
		snprintf(incident.id, sizeof(incident.id), "i-%d", i);
		snprintf(incident.resource.name, sizeof(incident.resource.name), "/%d", i);
		lifecycle_note_end(bench.saved, &incident, SECONDS(300), &bench.now);
	}
	assert_int_equal(bench.saved->closed_count, MAX_CLOSED);
	assert_string_equal(bench.saved->closed[MAX_CLOSED - 1].id, "i-95");
	incident.resource.type = TARGET_PROCESS;
	lifecycle_note_end(bench.saved, &incident, SECONDS(300), &bench.now);
	assert_int_equal(bench.saved->closed[MAX_CLOSED - 1].kind, KIND_DISK_EXHAUSTION);
	assert_string_equal(bench.saved->closed[MAX_CLOSED - 1].target_key, "filesystem:/95");
	tear_down(&bench);
}

static void an_incident_has_what_was_before_it_and_what_was_changed(void **state)
{
	struct bench bench = life();
	struct foretime_log *log = foretime_new();
	bench.engine->foretime = log;
	for (uint64_t second = 0; second < 200; second++)
		foretime_note(log, "filesystem_used_percent", "filesystem:/data", SECONDS(9800 + second), SECONDS(1), (double)second);
	bench.snap->boot_ns = SECONDS(10000);
	bench.snap->changes.total = 3;
	bench.snap->changes.each[0] = (struct node_change){ .at_ns = SECONDS(9000), .what = "too long ago" };
	bench.snap->changes.each[1] = (struct node_change){ .at_ns = SECONDS(9500), .wall_ns = 5, .what = "app was upgraded" };
	bench.snap->changes.each[2] = (struct node_change){ .at_ns = SECONDS(9990), .wall_ns = 6, .what = "/etc/app.conf was written" };
	pass(&bench, VERDICT_TRUE, 1);
	const struct incident *incident = &bench.saved->incidents[0];
	assert_int_equal(incident->before.count, MAX_BEFORE);
	assert_true(incident->before.values[0] == 80 && incident->before.values[MAX_BEFORE - 1] == 199);
	assert_int_equal(incident->before.step_ns, SECONDS(1));
	assert_int_equal(incident->change_count, 2);
	assert_string_equal(incident->changes[0].what, "/etc/app.conf was written");
	assert_string_equal(incident->changes[1].what, "app was upgraded");
	foretime_free(log);
	tear_down(&bench);
}

static void a_change_of_the_culprit_is_told_first(void **state)
{
	struct bench bench = life();
	bench.snap->boot_ns = SECONDS(10000);
	bench.snap->changes.total = MAX_NODE_CHANGES + 2;
	for (uint32_t i = 0; i < MAX_NODE_CHANGES; i++)
		bench.snap->changes.each[i] = (struct node_change){ .at_ns = SECONDS(9990), .what = "noise" };
	bench.snap->changes.each[5] = (struct node_change){ .at_ns = SECONDS(9900), .cgroup_id = 7, .what = "hog was started from another binary" };
	struct cause cause = { .cgroup_id = 7 };
	struct incident_change changes[MAX_INCIDENT_CHANGES];
	assert_int_equal(changes_before(bench.snap, &cause, 1, changes), MAX_INCIDENT_CHANGES);
	assert_string_equal(changes[0].what, "hog was started from another binary");
	assert_string_equal(changes[1].what, "noise");
	tear_down(&bench);
}

static void a_gap_ends_the_past(void **state)
{
	struct foretime_log *log = foretime_new();
	struct foretime before;
	for (uint64_t i = 0; i < 10; i++)
		foretime_note(log, "m", "k", SECONDS(100) + i * SECONDS(1) / 4, SECONDS(1), 1); /* fast ticks: a value a second */
	foretime_read(log, "m", "k", &before);
	assert_int_equal(before.count, 3);
	foretime_note(log, "m", "k", SECONDS(200), SECONDS(1), 2);
	foretime_read(log, "m", "k", &before);
	assert_int_equal(before.count, 1);
	foretime_read(log, "m", "other", &before);
	assert_int_equal(before.count, 0);
	foretime_read(NULL, "m", "k", &before);
	assert_int_equal(before.count, 0);
	for (uint64_t i = 0; i < 5000; i++) { /* more targets than there is room for: those that are asked for stay */
		char key[32];
		snprintf(key, sizeof(key), "target %llu", (unsigned long long)i);
		foretime_note(log, "m", key, SECONDS(201), SECONDS(1), 3);
		foretime_note(log, "m", "k", SECONDS(201), SECONDS(1), 2);
	}
	foretime_read(log, "m", "k", &before);
	assert_int_equal(before.count, 2);
	foretime_free(log);
}

/* --- stories ------------------------------------------------------------------------------------------------------------- */

static struct incident *add(struct bench *bench, enum incident_kind kind, enum target_type type, const char *name)
{
	struct saved_state *saved = bench->saved;
	struct incident *incident = &saved->incidents[saved->incident_count++];
	*incident = (struct incident){ .kind = kind, .opened_wall_ns = bench->now.wall_ns + saved->incident_count,
				       .phase_boot_ns = bench->now.boot_ns + saved->incident_count };
	snprintf(incident->id, sizeof(incident->id), "i-%u", saved->incident_count);
	incident->resource.type = type;
	snprintf(incident->resource.name, sizeof(incident->resource.name), "%s", name);
	return incident;
}

static void blame(struct incident *incident, uint64_t cgroup_id, const char *cgroup, uint32_t share)
{
	incident->cause_count = 1;
	incident->causes[0] = (struct cause){ .rank = 1, .cgroup_id = cgroup_id, .share_permille = share };
	snprintf(incident->causes[0].cgroup, sizeof(incident->causes[0].cgroup), "%s", cgroup);
}

static void link_up(struct bench *bench)
{
	clear_changes(bench);
	stories_update(bench->engine, bench->snap, &bench->now, bench->changes);
}

static void one_sick_disk_is_one_story(void **state)
{
	struct bench bench = life();
	struct incident *hung = add(&bench, KIND_SERVICE_HUNG, TARGET_UNIT, "app.service");
	struct incident *io = add(&bench, KIND_IO_SATURATION, TARGET_NODE, "io");
	struct incident *full = add(&bench, KIND_DISK_EXHAUSTION, TARGET_FILESYSTEM, "/data");
	struct incident *other = add(&bench, KIND_DISK_EXHAUSTION, TARGET_FILESYSTEM, "/other");
	struct incident *fault = add(&bench, KIND_KERNEL_FAULT, TARGET_DISK, "sda");
	snprintf(full->resource.device, sizeof(full->resource.device), "/dev/sda1");
	snprintf(other->resource.device, sizeof(other->resource.device), "/dev/sdab1");
	bench.snap->cgroups.count = 1;
	bench.snap->cgroups.each[0] = (struct cgroup){ .id = 5, .path = "/app.service", .unit = "app.service" };
	bench.snap->processes.held_count = 1;
	bench.snap->processes.held[0] = (struct held_thread){ .cgroup_id = 5 };
	link_up(&bench);
	assert_string_equal(fault->parent, "");
	assert_string_equal(io->parent, fault->id);
	assert_string_equal(full->parent, fault->id);
	assert_string_equal(hung->parent, fault->id);
	assert_string_equal(other->parent, ""); /* sdab is not a part of sda */
	snprintf(other->resource.device, sizeof(other->resource.device), "none");
	struct incident tmpfs = *other;
	snprintf(tmpfs.id, sizeof(tmpfs.id), "i-9");
	assert_null(story_link(&tmpfs, other, bench.snap)); /* two that have no device have none in common */
	assert_int_equal(bench.changes->incident_count, 3);
	assert_non_null(strstr(full->history[0].why, "part of i-5: the same device"));
	link_up(&bench);
	assert_int_equal(bench.changes->incident_count, 0); /* said once */

	/* The cause is mended; what goes on by itself says so, and the deeper of them takes the others. */
	bench.saved->incident_count = 4;
	link_up(&bench);
	assert_string_equal(full->parent, "");
	assert_string_equal(io->parent, "");
	assert_string_equal(hung->parent, io->id);
	tear_down(&bench);
}

static void one_culprit_is_one_story(void **state)
{
	struct bench bench = life();
	struct incident *cpu = add(&bench, KIND_CPU_EXHAUSTION, TARGET_NODE, "cpu");
	struct incident *pids = add(&bench, KIND_PID_EXHAUSTION, TARGET_NODE, "pids");
	struct incident *io = add(&bench, KIND_IO_SATURATION, TARGET_NODE, "io");
	blame(cpu, 7, "/bomb.service", 900);
	blame(pids, 7, "/bomb.service", 990);
	blame(io, 8, "/backup.service", 900);
	link_up(&bench);
	assert_string_equal(cpu->parent, pids->id);
	assert_string_equal(pids->parent, "");
	assert_string_equal(io->parent, "");
	tear_down(&bench);
}

static void a_small_share_the_root_or_a_long_time_between_link_nothing(void **state)
{
	struct bench bench = life();
	struct incident *cpu = add(&bench, KIND_CPU_EXHAUSTION, TARGET_NODE, "cpu");
	struct incident *pids = add(&bench, KIND_PID_EXHAUSTION, TARGET_NODE, "pids");
	blame(cpu, 7, "/bomb.service", 400);
	blame(pids, 7, "/bomb.service", 990);
	assert_null(story_link(cpu, pids, bench.snap));
	blame(cpu, 1, "/", 900);
	blame(pids, 1, "/", 900);
	assert_null(story_link(cpu, pids, bench.snap));
	blame(cpu, 7, "/bomb.service", 900);
	blame(pids, 7, "/bomb.service", 900);
	assert_non_null(story_link(cpu, pids, bench.snap));
	assert_null(story_link(pids, cpu, bench.snap)); /* never both ways */
	cpu->opened_wall_ns += (int64_t)SECONDS(301); /* the clock was set, or it was first seen long ago and came back now */
	assert_non_null(story_link(cpu, pids, bench.snap));
	cpu->phase_boot_ns += SECONDS(301);
	assert_null(story_link(cpu, pids, bench.snap));
	tear_down(&bench);
}

/* Who is told of what is critical only must hear of it, whatever caused it. */
static void what_is_worse_than_its_cause_stands_for_itself(void **state)
{
	struct bench bench = life();
	struct incident *cpu = add(&bench, KIND_CPU_EXHAUSTION, TARGET_NODE, "cpu");
	struct incident *pids = add(&bench, KIND_PID_EXHAUSTION, TARGET_NODE, "pids");
	blame(cpu, 7, "/bomb.service", 900);
	blame(pids, 7, "/bomb.service", 990);
	cpu->severity = SEVERITY_CRITICAL;
	link_up(&bench);
	assert_string_equal(cpu->parent, "");
	pids->severity = SEVERITY_CRITICAL;
	link_up(&bench);
	assert_string_equal(cpu->parent, pids->id);
	pids->severity = SEVERITY_WARNING;
	link_up(&bench);
	assert_string_equal(cpu->parent, "");
	assert_non_null(strstr(cpu->history[cpu->history_count - 1].why, "worse than"));
	tear_down(&bench);
}

static void who_suffers_and_who_was_killed_hang_under_it(void **state)
{
	struct bench bench = life();
	struct incident *memory = add(&bench, KIND_MEMORY_EXHAUSTION, TARGET_NODE, "memory");
	struct incident *killed = add(&bench, KIND_OOM_KILL, TARGET_CGROUP, "/app.service");
	struct incident *down = add(&bench, KIND_SERVICE_DOWN, TARGET_UNIT, "app.service");
	struct incident *slow = add(&bench, KIND_SERVICE_HUNG, TARGET_UNIT, "web.service");
	struct incident *far = add(&bench, KIND_SERVICE_HUNG, TARGET_UNIT, "far.service");
	struct incident *log = add(&bench, KIND_LOG_PATTERN, TARGET_LOG, "far.service");
	blame(killed, 7, "/app.service", 900);
	snprintf(killed->causes[0].unit, sizeof(killed->causes[0].unit), "app.service");
	memory->victim_count = 1;
	snprintf(memory->victims[0].unit, sizeof(memory->victims[0].unit), "web.service");
	link_up(&bench);
	assert_string_equal(killed->parent, memory->id);
	assert_string_equal(down->parent, memory->id); /* by way of the kill, one level deep */
	assert_string_equal(slow->parent, memory->id);
	assert_string_equal(far->parent, "");
	assert_string_equal(log->parent, far->id);
	tear_down(&bench);
}

static void those_of_a_root_that_finds_its_own_cause_go_along(void **state)
{
	struct bench bench = life();
	struct incident *io = add(&bench, KIND_IO_SATURATION, TARGET_NODE, "io");
	struct incident *slow = add(&bench, KIND_SERVICE_HUNG, TARGET_UNIT, "web.service");
	io->victim_count = 1;
	snprintf(io->victims[0].unit, sizeof(io->victims[0].unit), "web.service");
	link_up(&bench);
	assert_string_equal(slow->parent, io->id);
	const struct incident *fault = add(&bench, KIND_KERNEL_FAULT, TARGET_DISK, "sda");
	link_up(&bench);
	assert_string_equal(io->parent, fault->id);
	assert_string_equal(slow->parent, fault->id);
	tear_down(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_back_soon_is_the_same_incident),
		cmocka_unit_test(after_its_hold_down_it_is_another),
		cmocka_unit_test(flapping_is_held_open_and_told_once),
		cmocka_unit_test(long_phases_do_not_flap),
		cmocka_unit_test(a_restart_remembers_what_may_come_back),
		cmocka_unit_test(what_may_come_back_is_bounded),
		cmocka_unit_test(an_incident_has_what_was_before_it_and_what_was_changed),
		cmocka_unit_test(a_change_of_the_culprit_is_told_first),
		cmocka_unit_test(a_gap_ends_the_past),
		cmocka_unit_test(one_sick_disk_is_one_story),
		cmocka_unit_test(one_culprit_is_one_story),
		cmocka_unit_test(a_small_share_the_root_or_a_long_time_between_link_nothing),
		cmocka_unit_test(what_is_worse_than_its_cause_stands_for_itself),
		cmocka_unit_test(who_suffers_and_who_was_killed_hang_under_it),
		cmocka_unit_test(those_of_a_root_that_finds_its_own_cause_go_along),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
