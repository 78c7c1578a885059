/* SPDX-License-Identifier: Apache-2.0 */
/* The watch over a made-up node for simulated weeks: quiet noise keeps its budget, a fault is told with what it consists of, and what was learnt survives. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect/anomaly_cause.h"
#include "detect/condition.h"
#include "detect/watch.h"

#define STEP_NS (10 * NSEC_PER_SEC)
enum { STEPS_A_DAY = 8640 };

struct node {
	struct watch *watch;
	struct snapshot *snap;
	uint64_t random;
	uint32_t alarms;       /* of the node, rarer than once a day, so far */
	bool stands;
	double disk_factor;    /* what a fault does to the disk */
	uint32_t stopped;      /* steps in which the disk does not count */
};

static double uniform(struct node *node)
{
	node->random = node->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((double)(node->random >> 11) + 0.5) / 9007199254740992.0;
}

static double noise(struct node *node)
{
	return sqrt(-2 * log(uniform(node))) * cos(2 * M_PI * uniform(node));
}

static void node_open(struct node *node, uint64_t seed)
{
	*node = (struct node){ .watch = watch_new(), .snap = calloc(1, sizeof(*node->snap)), .random = seed, .disk_factor = 1 };
	assert_non_null(node->watch);
	assert_non_null(node->snap);
	struct snapshot *snap = node->snap;
	snap->interval_ns = snap->elapsed_ns = NSEC_PER_SEC;
	snap->boot_ns = 1000 * NSEC_PER_SEC;
	snap->disks.count = 1;
	strcpy(snap->disks.each[0].name, "sda");
	snap->interfaces.count = 1;
	strcpy(snap->interfaces.each[0].name, "eth0");
	snap->cgroups.count = 1;
	snap->cgroups.each[0] = (struct cgroup){ .id = 77, .path = "/system.slice/db.service", .processes = 3, .memory_current = 1 << 30 };
}

static void node_close(struct node *node)
{
	watch_free(node->watch);
	free(node->snap);
}

static void grow(struct node *node, uint64_t *counter, double by, double spread)
{
	*counter += (uint64_t)fmax(by + spread * noise(node), 0);
}

/* Ten seconds of an ordinarily busy node: noise, a day's course, and a job every hour. */
static void step(struct node *node)
{
	struct snapshot *snap = node->snap;
	snap->boot_ns += STEP_NS;
	snap->seq++;
	uint64_t now = snap->boot_ns;
	double day = 1 + 0.5 * sin(2 * M_PI * (double)(now / STEP_NS) / STEPS_A_DAY), job = now / STEP_NS % 360 < 6 ? 3 : 1;

	snap->cpu.measured_ns = snap->memory.measured_ns = snap->disks.measured_ns = snap->interfaces.measured_ns = snap->cgroups.measured_ns = now;
	grow(node, &snap->cpu.total.user_ns, 2e9 * day * job, 2e8);
	grow(node, &snap->cpu.total.system_ns, 5e8 * day, 1e8);
	grow(node, &snap->cpu.context_switches, 20000 * day, 2000);
	grow(node, &snap->cpu.forks, 20 * job, 5);
	snap->memory.available = (uint64_t)(4e9 + 5e7 * noise(node));
	snap->memory.anon = (uint64_t)(2e9 + 3e7 * noise(node));
	struct disk *disk = &snap->disks.each[0];
	if (!node->stopped) {
		uint64_t writes = disk->writes;
		grow(node, &disk->writes, 500 * day, 50);
		grow(node, &disk->written_bytes, 4e6 * day * job * node->disk_factor, 4e5);
		disk->write_ns += (uint64_t)((double)(disk->writes - writes) * 1e6 * node->disk_factor * exp(0.2 * noise(node)));
		grow(node, &disk->io_ns, 5e8 * day * node->disk_factor, 5e7);
	}
	struct interface *eth = &snap->interfaces.each[0];
	grow(node, &eth->rx_bytes, 1e7 * day, 1e6);
	grow(node, &eth->tx_bytes, 2e7 * day, 2e6);
	struct cgroup *group = &snap->cgroups.each[0];
	grow(node, (uint64_t *)&group->cpu_ns, 1e9 * day, 1e8);
	group->memory_current = (uint64_t)(1e9 + 1e7 * noise(node));

	watch_take(node->watch, snap);
	bool stands = snap->anomaly.each[0].measured_ns && snap->anomaly.each[0].alarms_per_day < 1;
	node->alarms += stands && !node->stands;
	node->stands = stands;
}

static void steps(struct node *node, uint32_t count)
{
	while (count-- > 0)
		step(node);
}

static void quiet_weeks_keep_the_budget(void **state)
{
	for (uint64_t seed = 1; seed <= 2; seed++) {
		struct node node;
		node_open(&node, seed);
		steps(&node, STEPS_A_DAY / 2);
		uint32_t first = node.alarms;
		steps(&node, 7 * STEPS_A_DAY);
		assert_true(first <= 1);
		assert_true(node.alarms - first <= 7); /* one a day is the budget */
		node_close(&node);
	}
}

static void too_little_is_unknown(void **state)
{
	struct node node;
	node_open(&node, 3);
	struct condition condition = { .kind = CONDITION_ANOMALY, .measure = MEASURE_ALARMS_PER_DAY, .threshold = { .raise = 1, .clear = 1 } };
	struct target target = { .type = TARGET_NODE };
	struct reading reading;

	condition_read(&condition, node.snap, &target, &reading);
	assert_int_equal(reading.state, READING_UNKNOWN);
	steps(&node, 300);
	condition_read(&condition, node.snap, &target, &reading);
	assert_int_equal(reading.state, READING_UNKNOWN);
	steps(&node, 400);
	condition_read(&condition, node.snap, &target, &reading);
	assert_int_equal(reading.state, READING_KNOWN);
	assert_true(reading.value > 1);
	node_close(&node);
}

static void a_fault_is_told_and_ends(void **state)
{
	struct node node;
	node_open(&node, 4);
	steps(&node, STEPS_A_DAY);
	uint32_t before = node.alarms;
	node.disk_factor = 12;
	steps(&node, 6);
	assert_int_equal(node.alarms, before + 1);

	const struct target target = { .type = TARGET_NODE };
	struct cause causes[MAX_CAUSES];
	uint32_t count = anomaly_causes(node.snap, &target, causes), shares = 0;
	assert_true(count > 0);
	assert_non_null(strstr(causes[0].evidence, "disk sda"));
	assert_non_null(strstr(causes[0].evidence, " is usual"));
	for (uint32_t i = 0; i < count; i++)
		shares += causes[i].share_permille;
	assert_true(shares <= 1000 && shares > 990);

	/* It goes on, and is the same alarm; then it is over, and so is the alarm. */
	steps(&node, 60);
	node.disk_factor = 1;
	steps(&node, 720);
	assert_false(node.stands);
	assert_true(node.snap->anomaly.each[0].top_count == 0);
	node_close(&node);
}

static void what_stops_answering_is_no_fault(void **state)
{
	struct node node;
	node_open(&node, 5);
	steps(&node, STEPS_A_DAY / 2);
	uint32_t before = node.alarms;
	/* The agent stood still for two hours while the node went on: counters have grown by as much as in two hours. */
	for (int i = 0; i < 720; i++)
		node.snap->disks.each[0].written_bytes += 4000000;
	node.snap->boot_ns += 720 * STEP_NS;
	steps(&node, 30);
	/* A device that was replaced counts from zero. */
	memset(&node.snap->interfaces.each[0].rx_bytes, 0, 2 * sizeof(uint64_t));
	steps(&node, 30);
	assert_int_equal(node.alarms, before);
	node_close(&node);
}

static void a_cgroup_has_a_scope_of_its_own(void **state)
{
	struct node node;
	node_open(&node, 6);
	steps(&node, STEPS_A_DAY / 2);
	struct target target = { .type = TARGET_CGROUP, .cgroup_id = 77, .name = "/system.slice/db.service" };
	const struct anomaly_scope *scope = anomaly_of(node.snap, &target);
	assert_non_null(scope);
	assert_true(scope->measured_ns && scope->alarms_per_day > 1);
	for (int i = 0; i < 6; i++) {
		step(&node);
		node.snap->cgroups.each[0].cpu_ns += 30ULL * NSEC_PER_SEC;
		node.snap->cgroups.each[0].written_bytes += 1 << 30;
	}
	scope = anomaly_of(node.snap, &target);
	assert_true(scope->alarms_per_day < 1);
	assert_true(scope->top_count > 0);
	target.cgroup_id = 78;
	assert_null(anomaly_of(node.snap, &target));
	node_close(&node);
}

static void what_was_learnt_survives(void **state)
{
	struct node node;
	char why[WHY_LEN];
	node_open(&node, 7);
	steps(&node, STEPS_A_DAY);
	unsigned char *bytes = malloc(watch_saved_most()), *damaged = malloc(watch_saved_most());
	assert_non_null(bytes);
	assert_non_null(damaged);
	size_t size = watch_save(node.watch, bytes);
	assert_true(size > 1000 && size <= watch_saved_most());

	/* A new run on a node that was booted again: it knows at once, and starting is no anomaly. */
	watch_free(node.watch);
	node.watch = watch_new();
	assert_int_equal(watch_load(node.watch, bytes, size, why, sizeof(why)), 0);
	assert_true(watch_save(node.watch, damaged) == size);
	node.snap->boot_ns = 1000 * NSEC_PER_SEC; /* at the same time of day */
	memset(&node.snap->cpu.total, 0, sizeof(node.snap->cpu.total));
	node.alarms = 0;
	steps(&node, 2);
	assert_true(node.snap->anomaly.each[0].measured_ns);
	steps(&node, 30);
	assert_int_equal(node.alarms, 0);

	/* Each way of being damaged is said, and leaves nothing behind. */
	static const struct { size_t at; unsigned char with; const char *why; } table[] = {
		{ 0, 'x', "it is something else" }, { 8, 9, "it is of another version" }, { 21, 0xff, "it says that it holds more than there can be" },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		memcpy(damaged, bytes, size);
		damaged[table[i].at] = table[i].with;
		assert_int_equal(watch_load(node.watch, damaged, size, why, sizeof(why)), -EBADMSG);
		assert_string_equal(why, table[i].why);
	}
	assert_int_equal(watch_load(node.watch, bytes, size - 1, why, sizeof(why)), -EBADMSG);
	assert_int_equal(watch_load(node.watch, bytes, 3, why, sizeof(why)), -EBADMSG);
	memcpy(damaged, bytes, size);
	memset(damaged + size - 40, 0xff, 40); /* not numbers */
	assert_int_equal(watch_load(node.watch, damaged, size, why, sizeof(why)), -EBADMSG);
	steps(&node, 3);
	assert_false(node.snap->anomaly.each[0].measured_ns);
	free(bytes);
	free(damaged);
	node_close(&node);
}

/* Also of a cgroup, after an hour in which nothing was seen of it: it keeps its place and what it has learnt. */
static void an_alarm_stands_over_a_restart(void **state)
{
	struct node node;
	char why[WHY_LEN];
	node_open(&node, 4);
	steps(&node, STEPS_A_DAY);
	node.disk_factor = 12;
	for (int i = 0; i < 6; i++) {
		step(&node);
		node.snap->cgroups.each[0].cpu_ns += 30ULL * NSEC_PER_SEC;
		node.snap->cgroups.each[0].written_bytes += 1 << 30;
	}
	struct anomaly_scope before = node.snap->anomaly.each[0];
	assert_true(node.stands && before.since_ns);
	void *bytes = malloc(watch_saved_most());
	size_t size = watch_save(node.watch, bytes);

	watch_free(node.watch);
	node.watch = watch_new();
	assert_int_equal(watch_load(node.watch, bytes, size, why, sizeof(why)), 0);
	uint64_t age_ns = node.snap->boot_ns - before.since_ns;
	node.snap->boot_ns = 7200 * NSEC_PER_SEC; /* of another boot, which was two hours ago */
	uint64_t restored_ns = node.snap->boot_ns + STEP_NS;
	struct cgroup *groups = node.snap->cgroups.each; /* one that is new comes first, and must not take its place */
	groups[1] = groups[0];
	groups[0] = (struct cgroup){ .id = 50, .path = "/new", .processes = 1, .memory_current = 1 << 30 };
	node.snap->cgroups.count = 2;
	steps(&node, 3);
	const struct anomaly_scope *after = &node.snap->anomaly.each[0];
	assert_true(after->measured_ns && after->alarms_per_day <= before.alarms_per_day);
	assert_int_equal(after->since_ns, restored_ns - age_ns);
	assert_true(after->top_count > 0);
	assert_string_equal(after->top[0].series, before.top[0].series);
	struct target target = { .type = TARGET_CGROUP, .cgroup_id = 77 };
	const struct anomaly_scope *group = anomaly_of(node.snap, &target);
	assert_true(group && group->measured_ns && group->alarms_per_day < 1);

	node.disk_factor = 1;
	steps(&node, 720);
	assert_false(node.stands); /* and it ends */
	free(bytes);
	node_close(&node);
}

static void whoever_has_no_members_is_gone_and_what_is_old_unknown(void **state)
{
	struct node node;
	node_open(&node, 9);
	steps(&node, 700);
	struct condition condition = { .kind = CONDITION_ANOMALY, .measure = MEASURE_ALARMS_PER_DAY, .by_group = true, .threshold = { .raise = 1, .clear = 1 } };
	struct target target = { .type = TARGET_CGROUP, .cgroup_id = 77, .name = "/system.slice/db.service" };
	struct reading reading;
	condition_read(&condition, node.snap, &target, &reading);
	assert_int_equal(reading.state, READING_KNOWN);
	node.snap->boot_ns += 31 * NSEC_PER_SEC;
	condition_read(&condition, node.snap, &target, &reading);
	assert_int_equal(reading.state, READING_UNKNOWN);
	node.snap->cgroups.each[0].processes = 0;
	condition_read(&condition, node.snap, &target, &reading);
	assert_int_equal(reading.state, READING_GONE);
	node_close(&node);
}

static void more_than_there_is_room_for_is_counted(void **state)
{
	struct node node;
	node_open(&node, 4);
	node.snap->cgroups.count = 200;
	for (uint32_t i = 1; i < 200; i++) {
		node.snap->cgroups.each[i] = (struct cgroup){ .id = 100 + i, .processes = 1 };
		snprintf(node.snap->cgroups.each[i].path, PATH_LEN, "/g%u", i);
	}
	steps(&node, 3);
	assert_int_equal(node.snap->anomaly.count, MAX_ANOMALY_SCOPES);
	assert_int_equal(node.snap->anomaly.cut, 200 - (MAX_ANOMALY_SCOPES - 1));
	assert_true(node.snap->anomaly.folded >= node.snap->anomaly.cut && node.snap->anomaly.watched <= WATCH_MAX_SERIES);
	node_close(&node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quiet_weeks_keep_the_budget), cmocka_unit_test(too_little_is_unknown), cmocka_unit_test(a_fault_is_told_and_ends),
		cmocka_unit_test(what_stops_answering_is_no_fault), cmocka_unit_test(a_cgroup_has_a_scope_of_its_own),
		cmocka_unit_test(an_alarm_stands_over_a_restart), cmocka_unit_test(whoever_has_no_members_is_gone_and_what_is_old_unknown),
		cmocka_unit_test(what_was_learnt_survives), cmocka_unit_test(more_than_there_is_room_for_is_counted),
	};
	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
