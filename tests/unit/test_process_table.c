/* SPDX-License-Identifier: Apache-2.0 */
/* What the table makes of records: sums over threads, growth, and costs that follow a process that moves, ends or is reaped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/process_procfs.h"
#include "collect/process_table.h"

struct fixture {
	struct process_table *table;
	struct snapshot snap;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->table = process_table_new(true);
	assert_non_null(fixture->table);
	fixture->snap.boot_ns = 1000 * NSEC_PER_SEC;
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	process_table_free(fixture->table);
	free(fixture);
	return 0;
}

static struct process_record leader(int32_t pid, uint64_t cgroup_id, uint64_t cpu_ns)
{
	return (struct process_record){
		.thread = { .kind = THREAD_LEADER, .pid = pid, .start_ns = NSEC_PER_SEC * (uint64_t)pid, .used.cpu_ns = cpu_ns, .rss_bytes = 4096 },
		.cgroup_id = cgroup_id, .ppid = 1, .comm = "worker",
	};
}

static void begin(struct fixture *fixture)
{
	fixture->snap.boot_ns += NSEC_PER_SEC;
	process_table_begin(fixture->table, fixture->snap.boot_ns, NSEC_PER_SEC);
}

static void walk_with(struct fixture *fixture, struct process_record record)
{
	begin(fixture);
	process_table_take_process(fixture->table, &record);
	process_table_end(fixture->table, &fixture->snap, true);
}

static void threads_add_up_whatever_their_order(void **state)
{
	struct fixture *fixture = *state;
	struct process_record record = leader(10, 5, 100), low = leader(7, 5, 1);
	struct thread_record thread = { .pid = 10, .start_ns = record.thread.start_ns, .used = { .cpu_ns = 11, .voluntary_switches = 3 },
					.state = 2 };

	begin(fixture);
	process_table_take_thread(fixture->table, &thread);
	process_table_take_process(fixture->table, &record);
	process_table_take_thread(fixture->table, &thread);
	process_table_take_process(fixture->table, &low);
	process_table_end(fixture->table, &fixture->snap, true);

	const struct process *row = snapshot_process(&fixture->snap, 10);
	assert_int_equal(fixture->snap.processes.count, 2);
	assert_int_equal(fixture->snap.processes.threads, 4);
	assert_int_equal(fixture->snap.processes.blocked, 2);
	assert_int_equal(fixture->snap.processes.each[0].pid, 7);
	assert_int_equal(row->threads, 3);
	assert_int_equal(row->cpu_ns, 122);
	assert_int_equal(row->voluntary_switches, 6);
	assert_int_equal(row->rss_bytes, 4096);
	assert_int_equal(fixture->snap.cgroups.each[row->cgroup_index].processes, 2);
}

static void deltas_begin_with_the_second_walk(void **state)
{
	struct fixture *fixture = *state;

	walk_with(fixture, leader(10, 5, 100));
	assert_int_equal(snapshot_process(&fixture->snap, 10)->cpu_delta_ns, 0);
	walk_with(fixture, leader(10, 5, 150));
	assert_int_equal(snapshot_process(&fixture->snap, 10)->cpu_delta_ns, 50);
	assert_int_equal(snapshot_process(&fixture->snap, 10)->cpu_recent_ns, 50);
	assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->cpu_ns, 150);
	assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->cpu_delta_ns, 50);
}

static void the_same_pid_born_again_has_no_past(void **state)
{
	struct fixture *fixture = *state;
	struct process_record again = leader(10, 5, 7);

	again.thread.start_ns = fixture->snap.boot_ns;
	walk_with(fixture, leader(10, 5, 1000));
	walk_with(fixture, again);
	assert_int_equal(snapshot_process(&fixture->snap, 10)->cpu_delta_ns, 7);
}

static void a_fast_tick_leaves_the_deltas_alone(void **state)
{
	struct fixture *fixture = *state;
	struct process_record record = leader(10, 5, 170);

	walk_with(fixture, leader(10, 5, 100));
	walk_with(fixture, leader(10, 5, 150));
	begin(fixture);
	process_table_take_process(fixture->table, &record);
	process_table_end(fixture->table, &fixture->snap, false);
	assert_int_equal(snapshot_process(&fixture->snap, 10)->cpu_delta_ns, 50);
	walk_with(fixture, leader(10, 5, 180));
	assert_int_equal(snapshot_process(&fixture->snap, 10)->cpu_delta_ns, 30);
	assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->cpu_delta_ns, 30);
}

static void a_move_takes_no_past_along(void **state)
{
	struct fixture *fixture = *state;

	walk_with(fixture, leader(10, 5, 1000));
	walk_with(fixture, leader(10, 6, 1100));
	assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->cpu_ns, 1000);
	assert_int_equal(snapshot_cgroup(&fixture->snap, 6)->cpu_ns, 100);
}

/* In whatever order the end, the zombie and the reaping are seen, the cgroup gets each nanosecond once. */
static void an_end_is_counted_once(void **state)
{
	struct fixture *fixture = *state;
	struct process_record other = leader(20, 5, 0), zombie = leader(10, 5, 1300);
	struct cgroup_lives cost = { .lives.forks = 1 };

	begin(fixture);
	process_table_take_ended(fixture->table, 5, &cost);
	process_table_end(fixture->table, &fixture->snap, true);
	walk_with(fixture, other);
	walk_with(fixture, leader(10, 5, 1000)); /* `other` ends, its cost of nothing is never told */
	assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->cpu_ns, 1000);

	zombie.ended = 1;
	walk_with(fixture, zombie); /* seen as ended before its end is told */
	assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->cpu_ns, 1000);
	begin(fixture);
	cost.ended.cpu_ns = 1300;
	process_table_take_ended(fixture->table, 5, &cost);
	process_table_take_process(fixture->table, &zombie);
	process_table_end(fixture->table, &fixture->snap, true);
	assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->cpu_ns, 1300);
	begin(fixture);
	process_table_take_ended(fixture->table, 5, &cost);
	process_table_end(fixture->table, &fixture->snap, true);
	assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->cpu_ns, 1300);
	assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->processes, 0);
}

static void growth_is_against_fifteen_seconds_ago(void **state)
{
	struct fixture *fixture = *state;

	for (int i = 0; i < 40; i++) {
		struct process_record record = leader(10, 5, 0);
		record.thread.rss_bytes = 4096 * (uint64_t)(100 + i);
		walk_with(fixture, record);
	}
	int64_t seconds = snapshot_process(&fixture->snap, 10)->rss_growth_bytes / 4096;
	assert_in_range(seconds, 14, 16);
}

static void a_dropped_row_is_forgotten(void **state)
{
	struct fixture *fixture = *state;

	walk_with(fixture, leader(10, 5, 0));
	begin(fixture);
	process_table_end(fixture->table, &fixture->snap, true);
	fixture->snap.cgroups.count = 0; /* as whoever names the rows does with an empty one */
	begin(fixture);
	process_table_end(fixture->table, &fixture->snap, true);
	assert_int_equal(process_table_forgotten(fixture->table), 1);
	assert_int_equal(process_table_forgotten_id(fixture->table, 0), 5);
}

/* A row that goes leaves what it had in the rest, with the last that the kernel knew. */
static void what_is_forgotten_stays_in_the_rest(void **state)
{
	struct fixture *fixture = *state;
	struct cgroup_lives lives = { .ended = { .cpu_ns = 0 } };

	walk_with(fixture, leader(20, 6, 0));
	for (int i = 1; i <= 2; i++) {
		lives.ended.cpu_ns = 500 * (uint64_t)i;
		lives.lives.forks = (uint64_t)i;
		begin(fixture);
		process_table_take_ended(fixture->table, 5, &lives);
		process_table_end(fixture->table, &fixture->snap, true);
		assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->cpu_ns, 500 * i); /* no member was ever met */
		assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->lives.forks, i);
	}
	fixture->snap.cgroups.count = 0;
	begin(fixture);
	process_table_take_ended(fixture->table, 5, &lives);
	process_table_end(fixture->table, &fixture->snap, true);
	assert_int_equal(fixture->snap.cgroups.rest_used.cpu_ns, 1000);

	uint32_t index = process_table_forgotten_id(fixture->table, 0) == 5 ? 0 : 1;
	lives.ended.cpu_ns = 1007; /* one more ended just before its deletion */
	lives.lives.forks = 3;
	process_table_take_last(fixture->table, index, &lives);
	begin(fixture);
	process_table_end(fixture->table, &fixture->snap, true);
	assert_int_equal(fixture->snap.cgroups.rest_used.cpu_ns, 1007);
	assert_int_equal(fixture->snap.cgroups.rest_lives.forks, 3);
}

/* A thread that is released between the looks at it and at its leader is in neither: nothing may fall. */
static void one_that_is_still_stays_as_it_was(void **state)
{
	struct fixture *fixture = *state;
	struct process_record record = leader(10, 5, 100);
	struct still_record still = { .kind = THREAD_STILL, .pid = 10, .start_ns = record.thread.start_ns, .cgroup_id = 5, .ppid = 1, .state = 1 };

	record.files = 7;
	walk_with(fixture, record);
	record.thread.used.cpu_ns = 300;
	walk_with(fixture, record);
	still.cgroup_id = 6;
	still.ppid = 3;
	begin(fixture);
	process_table_take_still(fixture->table, &still);
	process_table_end(fixture->table, &fixture->snap, true);

	const struct process *row = snapshot_process(&fixture->snap, 10);
	assert_non_null(row);
	assert_int_equal(row->cpu_ns, 300);
	assert_int_equal(row->cpu_delta_ns, 0);
	assert_int_equal(row->rss_bytes, 4096);
	assert_int_equal(row->files, 7);
	assert_int_equal(row->threads, 1);
	assert_int_equal(row->ppid, 3);
	assert_int_equal(row->cgroup_id, 6);
	assert_int_equal(row->state, 'S');
	assert_int_equal(fixture->snap.processes.threads, 1);

	/* One that was never read whole has no row, and that is told. */
	still.pid = 11;
	begin(fixture);
	process_table_take_still(fixture->table, &still);
	process_table_end(fixture->table, &fixture->snap, true);
	assert_null(snapshot_process(&fixture->snap, 11));
	assert_int_equal(fixture->snap.processes.cut, 1);
}

static void counters_never_fall(void **state)
{
	struct fixture *fixture = *state;

	walk_with(fixture, leader(10, 5, 100));
	walk_with(fixture, leader(10, 5, 60));
	assert_int_equal(snapshot_process(&fixture->snap, 10)->cpu_ns, 100);
	assert_int_equal(snapshot_process(&fixture->snap, 10)->cpu_delta_ns, 0);
	walk_with(fixture, leader(10, 5, 130));
	assert_int_equal(snapshot_cgroup(&fixture->snap, 5)->cpu_ns, 130);
}

static struct process_record in_d(int32_t pid, uint64_t cgroup_id, uint64_t switches)
{
	struct process_record record = leader(pid, cgroup_id, 0);

	record.thread.tid = pid;
	record.thread.state = 2;
	record.thread.switches = switches;
	return record;
}

static void held_is_who_was_not_switched(void **state)
{
	struct fixture *fixture = *state;
	struct process_record still = in_d(10, 5, 7), busy = in_d(11, 5, 0), idle = in_d(12, 5, 1);

	idle.thread.state = 0x402; /* a kernel thread that waits for work */
	for (uint64_t i = 0; i < 13; i++) {
		busy.thread.switches = i;
		begin(fixture);
		process_table_take_process(fixture->table, &busy);
		process_table_take_process(fixture->table, &still);
		process_table_take_process(fixture->table, &idle);
		process_table_end(fixture->table, &fixture->snap, true);
	}
	const struct process_section *section = &fixture->snap.processes;
	assert_int_equal(section->blocked, 2);
	assert_int_equal(section->held_count, 1);
	assert_int_equal(section->held[0].pid, 10);
	assert_int_equal(section->held[0].held_ns, 12 * NSEC_PER_SEC);
	assert_int_equal(section->hung_10s, 1);
	assert_int_equal(section->hung_120s, 0);
	assert_int_equal(section->states[2], 2);

	/* The node slept for an hour: it was held for as long as before. */
	fixture->snap.boot_ns += 3600 * NSEC_PER_SEC;
	begin(fixture);
	process_table_take_process(fixture->table, &still);
	process_table_end(fixture->table, &fixture->snap, true);
	assert_int_equal(section->held[0].held_ns, 12 * NSEC_PER_SEC);
	assert_int_equal(section->hung_120s, 0);
}

/* One row a (cgroup, comm): its longest; the longest of all first, and the shortest fall off. */
static void held_rows_are_bounded(void **state)
{
	struct fixture *fixture = *state;

	for (int tick = 0; tick < 45; tick++) {
		begin(fixture);
		for (int i = 0; i <= tick && i < 40; i++) {
			struct process_record record = in_d(10 + i, (uint64_t)(i / 2 + 1), 1);
			snprintf(record.comm, sizeof(record.comm), "c%d", i % 2 && i < 4 ? i - 1 : i);
			process_table_take_process(fixture->table, &record);
		}
		process_table_end(fixture->table, &fixture->snap, true);
	}
	const struct process_section *section = &fixture->snap.processes;
	assert_int_equal(section->blocked, 40);
	assert_int_equal(section->held_count, MAX_HELD);
	assert_int_equal(section->held_cut, 40 - 2 - MAX_HELD);
	assert_int_equal(section->held[0].pid, 10);
	assert_int_equal(section->held[0].held_ns, 44 * NSEC_PER_SEC);
	for (uint32_t i = 1; i < section->held_count; i++)
		assert_true(section->held[i].held_ns < section->held[i - 1].held_ns);
	assert_int_equal(section->held[1].pid, 12); /* 11 has the cgroup and comm of 10 */
}

static void zombies_count_for_their_parent(void **state)
{
	struct fixture *fixture = *state;
	struct process_record parent = leader(2, 5, 0);

	strcpy(parent.comm, "lazy");
	begin(fixture);
	process_table_take_process(fixture->table, &parent);
	for (int i = 0; i < 40; i++) {
		struct process_record record = leader(10 + i, 5, 0);
		record.thread.exit_state = 0x20;
		record.ended = 1;
		record.ppid = i < 20 ? 2 : 1000 + i;
		process_table_take_process(fixture->table, &record);
	}
	process_table_end(fixture->table, &fixture->snap, true);
	const struct process_section *section = &fixture->snap.processes;
	assert_int_equal(section->zombies, 40);
	assert_int_equal(section->zombie_parent_count, MAX_ZOMBIE_PARENTS);
	assert_int_equal(section->zombie_parents[0].pid, 2);
	assert_int_equal(section->zombie_parents[0].zombies, 20);
	assert_string_equal(section->zombie_parents[0].comm, "lazy");
}

static void write_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* A comm may look like the rest of the line. */
static void procfs_gives_the_same_rows(void **state)
{
	struct fixture *fixture = *state;
	char path[] = "/tmp/nodemend-test-XXXXXX";
	int root = open(mkdtemp(path), O_PATH | O_DIRECTORY), dir;

	assert_int_equal(mkdirat(root, "77", 0700), 0);
	assert_int_equal(mkdirat(root, "notes", 0700), 0);
	dir = openat(root, "77", O_PATH | O_DIRECTORY);
	write_file(dir, "stat", "77 (a) R 1 (b)) D 3 77 77 0 -1 4194304 1 0 9 0 150 50 0 0 20 0 4 0 12300 1000 25 18446744073709551615\n");
	write_file(dir, "status", "Name:\ta\nUid:\t1\t1000\t1\t1\nVmSwap:\t  8 kB\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t6\n");
	write_file(dir, "io", "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 8192\nwrite_bytes: 4096\n");
	write_file(dir, "oom_score_adj", "-500\n");
	begin(fixture);
	assert_int_equal(process_procfs_walk(root, -1, NULL, fixture->table), 0);
	process_table_end(fixture->table, &fixture->snap, true);

	const struct process *row = snapshot_process(&fixture->snap, 77);
	assert_non_null(row);
	assert_string_equal(row->comm, "a) R 1 (b)");
	assert_int_equal(row->state, 'D');
	assert_int_equal(row->ppid, 3);
	assert_int_equal(row->uid, 1000);
	assert_int_equal(row->threads, 4);
	assert_int_equal(row->cpu_ns, 200 * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK)));
	assert_int_equal(row->rss_bytes, 25 * (uint64_t)sysconf(_SC_PAGESIZE));
	assert_int_equal(row->swap_bytes, 8192);
	assert_int_equal(row->read_bytes, 8192);
	assert_int_equal(row->written_bytes, 4096);
	assert_int_equal(row->oom_score_adj, -500);
	assert_int_equal(fixture->snap.processes.count, 1);
	for (const char *const *name = (const char *const[]){ "77/stat", "77/status", "77/io", "77/oom_score_adj", NULL }; *name; name++)
		unlinkat(root, *name, 0);
	unlinkat(root, "77", AT_REMOVEDIR);
	unlinkat(root, "notes", AT_REMOVEDIR);
	close(dir);
	close(root);
	rmdir(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(threads_add_up_whatever_their_order, setup, teardown),
		cmocka_unit_test_setup_teardown(deltas_begin_with_the_second_walk, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_pid_born_again_has_no_past, setup, teardown),
		cmocka_unit_test_setup_teardown(a_fast_tick_leaves_the_deltas_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_move_takes_no_past_along, setup, teardown),
		cmocka_unit_test_setup_teardown(an_end_is_counted_once, setup, teardown),
		cmocka_unit_test_setup_teardown(growth_is_against_fifteen_seconds_ago, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dropped_row_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_forgotten_stays_in_the_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_is_still_stays_as_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(counters_never_fall, setup, teardown),
		cmocka_unit_test_setup_teardown(held_is_who_was_not_switched, setup, teardown),
		cmocka_unit_test_setup_teardown(held_rows_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(zombies_count_for_their_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(procfs_gives_the_same_rows, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
