/* SPDX-License-Identifier: Apache-2.0 */
/* What limits the node, what only looks like it, and what is not known. */
#include "scene.h"

#include "detect/bottleneck.h"

/* An ordinary node: half of everything is in use and nobody waits. */
static struct snapshot *ordinary(void)
{
	struct snapshot *snap = scene_new();
	scene_at(snap, SECONDS(1000));
	snap->cpu.used_permille = 500;
	snap->cpu.online = 4;
	snap->cpu.running = 2;
	snap->memory.total = MIB(1000);
	snap->memory.available = MIB(400);
	snap->memory.oom_kill = UNKNOWN;
	snap->disks.count = 2;
	snap->disks.each[0] = (struct disk){ .name = "sda", .dev = 1, .reads = 9, .busy_permille = 100 };
	snap->disks.each[1] = (struct disk){ .name = "loop0", .dev = 2 };
	snap->interfaces.count = 1;
	snap->interfaces.each[0] = (struct interface){ .name = "eth0", .up = true, .speed_bits = 1000000000, .rx_packets = 1 };
	return snap;
}

static void assert_sentence(struct snapshot *snap, const char *sentence)
{
	bottleneck_find(snap, &snap->bottleneck);
	assert_string_equal(snap->bottleneck.sentence, sentence);
}

static void an_ordinary_node_has_none(void **state)
{
	struct snapshot *snap = ordinary();
	assert_sentence(snap, "nothing limits the node");
	assert_int_equal(snap->bottleneck.limiting, NOTHING_LIMITS);
	assert_int_equal(snap->bottleneck.count, 4); /* cpu, memory, sda, eth0: the disk that never did anything is no resource */
	assert_true(snap->bottleneck.each[1].utilisation > 0.59 && snap->bottleneck.each[1].utilisation < 0.61);
	free(snap);
}

static void busy_without_waiting_is_none(void **state)
{
	struct snapshot *snap = ordinary();
	snap->cpu.used_permille = 990;
	snap->disks.each[0].busy_permille = 1000; /* one request after the other */
	snap->disks.each[0].in_flight = 1;
	snap->memory.available = MIB(30);
	assert_sentence(snap, "nothing limits the node");
	snap->cpu.used_permille = 300;
	snap->psi.some[PSI_CPU].avg10_centi = 9000; /* a throttled group waits on an idle node */
	assert_sentence(snap, "nothing limits the node");
	free(snap);
}

static void processors(void **state)
{
	struct snapshot *snap = ordinary();
	snap->cpu.used_permille = 980;
	snap->cpu.running = 12;
	snap->psi.some[PSI_CPU].avg10_centi = 8000;
	scene_cgroup(snap, 5, "/system.slice/web.service", 1)->cpu_recent_ns = 3;
	scene_cgroup(snap, 6, "/batch", 1)->cpu_recent_ns = 9;
	assert_sentence(snap, "cpu: 98 % used, 12 runnable on 4 processors, tasks waited for one 80 % of the last 10 s; /batch uses 75 % of what is used");
	snap->psi.measured_ns = 0; /* a kernel without pressure: who is runnable stands for it */
	bottleneck_find(snap, &snap->bottleneck);
	assert_int_equal(snap->bottleneck.limiting, 0);
	snap->cpu.running = 4;
	assert_sentence(snap, "nothing limits the node");
	free(snap);
}

static void a_disk_and_who_keeps_it_busy(void **state)
{
	struct snapshot *snap = ordinary();
	snap->disks.each[0].busy_permille = 970;
	snap->block_devices.measured_ns = snap->block_groups.measured_ns = snap->block_stats.measured_ns = snap->boot_ns;
	snap->block_devices.count = 1;
	snap->block_devices.each[0] = (struct block_device_state){ .dev = 1, .mean_in_flight_milli = 12300 };
	snap->block_stats.count = 1;
	snap->block_stats.each[0] = (struct block_stat){ .dev = 1, .counts = { .errors = { [BLOCK_ERROR_EIO] = 7 } } };
	snap->psi.some[PSI_IO].avg10_centi = 6000;
	scene_cgroup(snap, 5, "/db", 1);
	scene_cgroup(snap, 6, "/backup", 1);
	snap->block_groups.count = 4;
	snap->block_groups.each[0] = (struct block_group){ .cgroup_id = 5, .dev = 1, .recent_bytes = 300 };
	snap->block_groups.each[1] = (struct block_group){ .cgroup_id = 6, .dev = 1, .op = BLOCK_OP_READ, .recent_bytes = 400 };
	snap->block_groups.each[2] = (struct block_group){ .cgroup_id = 6, .dev = 1, .op = BLOCK_OP_WRITE, .recent_bytes = 300 };
	snap->block_groups.each[3] = (struct block_group){ .cgroup_id = 5, .dev = 2, .recent_bytes = 90000 };
	assert_sentence(snap, "disk sda: 97 % busy, 12.3 requests at it on average, tasks waited for I/O 60 % of the last 10 s; "
			      "/backup reads and writes 70 % of what is transferred");
	assert_int_equal(snap->bottleneck.each[2].errors, 7);
	free(snap);
}

static void memory_goes_before_what_it_makes_wait(void **state)
{
	struct snapshot *snap = ordinary();
	snap->memory.available = MIB(50);
	snap->psi.some[PSI_MEMORY].avg10_centi = 4000;
	snap->psi.some[PSI_IO].avg10_centi = 7000;
	snap->disks.each[0].busy_permille = 990;
	snap->disks.each[0].in_flight = 30;
	scene_cgroup(snap, 5, "/leak", MIB(900));
	assert_sentence(snap, "memory: 95 % used, tasks waited for it 40 % of the last 10 s; /leak holds 100 % of what is used");
	snap->psi.some[PSI_MEMORY].avg10_centi = 1500;
	bottleneck_find(snap, &snap->bottleneck);
	assert_int_equal(snap->bottleneck.each[snap->bottleneck.limiting].kind, RESOURCE_DISK);
	free(snap);
}

static void a_full_link_and_its_drops(void **state)
{
	struct snapshot *snap = ordinary();
	struct interface *link = &snap->interfaces.each[0];
	bottleneck_find(snap, &snap->bottleneck);
	assert_true(snap->bottleneck.each[3].saturation < 0); /* drops have no rate yet */
	link->tx_delta_bytes = 115000000;
	link->tx_dropped = 40;
	link->rx_errors = 2;
	assert_sentence(snap, "network eth0: 92 % of its speed, 40 packets dropped a second");
	assert_int_equal(snap->bottleneck.each[3].errors, 2);
	link->speed_bits = UNKNOWN;
	assert_sentence(snap, "nothing limits the node");
	free(snap);
}

static void what_is_not_measured_is_not_known(void **state)
{
	struct snapshot *snap = ordinary();
	snap->cpu.measured_ns = SECONDS(900);
	assert_sentence(snap, "what limits the node is not known: cpu is not measured");
	assert_true(snap->bottleneck.each[0].utilisation < 0 && snap->bottleneck.each[0].saturation < 0);
	snap->cpu.measured_ns = snap->boot_ns;
	snap->memory.available = UNKNOWN;
	assert_sentence(snap, "what limits the node is not known: memory is not measured");
	free(snap);
}

static void more_than_there_is_room_for_are_counted(void **state)
{
	struct snapshot *snap = ordinary();
	snap->disks.count = MAX_DISKS;
	for (uint32_t i = 0; i < MAX_DISKS; i++)
		snap->disks.each[i] = (struct disk){ .name = "a-name-that-is-longer-than-there-is-room-for", .writes = 1 };
	bottleneck_find(snap, &snap->bottleneck);
	assert_int_equal(snap->bottleneck.count, MAX_RESOURCES);
	assert_int_equal(snap->bottleneck.cut, 2 + MAX_DISKS + 1 - MAX_RESOURCES);
	free(snap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ordinary_node_has_none),
		cmocka_unit_test(busy_without_waiting_is_none),
		cmocka_unit_test(processors),
		cmocka_unit_test(a_disk_and_who_keeps_it_busy),
		cmocka_unit_test(memory_goes_before_what_it_makes_wait),
		cmocka_unit_test(a_full_link_and_its_drops),
		cmocka_unit_test(what_is_not_measured_is_not_known),
		cmocka_unit_test(more_than_there_is_room_for_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
