/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups: names from ids of real directories, rows that go, and the memory controller's files. */
#include "collect_bench.h"

#include "collect/procfs.h"

#include <sys/capability.h>

extern const struct collector collector_cgroup;

/* --- rows ----------------------------------------------------------------------------------------------------------------- */

static struct cgroup *add_row(struct bench *bench, uint64_t id, uint32_t processes)
{
	struct cgroup_section *cgroups = &bench->snap->cgroups;
	struct cgroup *row = &cgroups->each[cgroups->count++];
	*row = (struct cgroup){ .id = id, .processes = processes };
	return row;
}

static void put_process(struct bench *bench, uint32_t at, int32_t pid, uint64_t cgroup_id, uint32_t cgroup_index)
{
	bench->snap->processes.each[at] = (struct process){ .pid = pid, .cgroup_id = cgroup_id, .cgroup_index = cgroup_index };
	bench->snap->processes.count = at + 1;
}

static int tick(struct bench *bench, uint64_t after_ns)
{
	bench->snap->processes.measured_ns = bench->snap->boot_ns + after_ns;
	return bench_tick(bench, after_ns, true);
}

static const char *unified(void)
{
	return access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup/unified" :
	       access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0		? "/sys/fs/cgroup" :
									  NULL;
}

/* A cgroup of the test's own in the node's v2 hierarchy. */
static uint64_t make_cgroup(char *path, size_t size)
{
	struct stat found;
	snprintf(path, size, "%s/nodemend-test-%d.service", unified(), getpid());
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(stat(path, &found), 0);
	return found.st_ino;
}

static void open_on_the_real_one(struct bench *bench)
{
	bench_copy(bench, "/proc/self/mountinfo", "proc/self/mountinfo");
	assert_int_equal(bench_open(bench, &collector_cgroup), 0);
}

static void ids_become_names(void **given)
{
	struct bench *bench = *given;
	char path[256], inner[300];
	struct stat found;
	if (geteuid() != 0 || !unified())
		skip();
	uint64_t id = make_cgroup(path, sizeof(path));
	assert_int_equal(stat(unified(), &found), 0);
	uint64_t root = found.st_ino;
	snprintf(inner, sizeof(inner), "%s/inner", path);
	assert_int_equal(mkdir(inner, 0755), 0);
	assert_int_equal(stat(inner, &found), 0);
	uint64_t child = found.st_ino;

	open_on_the_real_one(bench);
	add_row(bench, root, 1);
	add_row(bench, id, 1);
	add_row(bench, child, 1);
	add_row(bench, 0x7fffffffffff, 1);
	assert_int_equal(bench_tick(bench, 0, false), 0); /* a fast tick names them, too */
	const struct cgroup *rows = bench->snap->cgroups.each;
	rmdir(inner);
	rmdir(path);

	assert_string_equal(rows[0].path, "/");
	assert_string_equal(rows[1].path, path + strlen(unified()));
	assert_string_equal(rows[1].unit, path + strlen(unified()) + 1);
	assert_string_equal(rows[2].path, inner + strlen(unified()));
	assert_string_equal(rows[2].unit, rows[1].unit);
	assert_string_equal(rows[3].path, "");

	assert_int_equal(tick(bench, 0), 0);
	assert_int_equal(bench->status.events_lost, 1); /* the nameless one, once */
	assert_int_equal(tick(bench, NSEC_PER_SEC), 0);
	assert_int_equal(bench->status.events_lost, 1);
	assert_string_equal(rows[1].path, path + strlen(unified())); /* known ones keep their name after their end */
	assert_int_equal(bench->snap->cgroups.measured_ns, bench->snap->boot_ns);
}

/* Without the right to open by handle: the path that a member says, if the directory there has that very id. */
static void members_name_what_handles_cannot(void **given)
{
	struct bench *bench = *given;
	char path[256], text[300];
	if (geteuid() != 0 || !unified())
		skip();
	uint64_t id = make_cgroup(path, sizeof(path));
	snprintf(text, sizeof(text), "4:memory:/x\n0::%s\n", path + strlen(unified()));
	bench_say(bench, "proc/42/cgroup", text);
	bench_say(bench, "proc/43/cgroup", "0::/elsewhere\n");
	open_on_the_real_one(bench);
	add_row(bench, id, 1);
	add_row(bench, id + 1, 1);
	put_process(bench, 0, 42, id, 0);
	put_process(bench, 1, 43, id + 1, 1);

	cap_t caps = cap_get_proc();
	const cap_value_t search = CAP_DAC_READ_SEARCH;
	cap_set_flag(caps, CAP_EFFECTIVE, 1, &search, CAP_CLEAR);
	assert_int_equal(cap_set_proc(caps), 0);
	assert_int_equal(tick(bench, 0), 0);
	cap_set_flag(caps, CAP_EFFECTIVE, 1, &search, CAP_SET);
	assert_int_equal(cap_set_proc(caps), 0);
	cap_free(caps);
	rmdir(path);
	assert_string_equal(bench->snap->cgroups.each[0].path, path + strlen(unified()));
	assert_string_equal(bench->snap->cgroups.each[1].path, "");
	assert_int_equal(bench->status.state, COLLECTOR_DEGRADED);
}

static void the_empty_go_after_a_minute(void **given)
{
	struct bench *bench = *given;
	if (!unified())
		skip();
	open_on_the_real_one(bench);
	add_row(bench, 1000001, 1);
	add_row(bench, 1000002, 0);
	add_row(bench, 1000003, 1);
	put_process(bench, 0, 10, 1000001, 0);
	put_process(bench, 1, 11, 1000003, 2);
	put_process(bench, 2, 12, 0, NO_INDEX);
	assert_int_equal(tick(bench, 0), 0);
	assert_int_equal(tick(bench, 60 * NSEC_PER_SEC), 0);
	assert_int_equal(bench->snap->cgroups.count, 3);

	assert_int_equal(tick(bench, NSEC_PER_SEC), 0);
	assert_int_equal(bench->snap->cgroups.count, 2);
	assert_int_equal(bench->snap->cgroups.each[1].id, 1000003);
	assert_int_equal(bench->snap->processes.each[0].cgroup_index, 0);
	assert_int_equal(bench->snap->processes.each[1].cgroup_index, 1); /* follows its row */
	assert_int_equal(bench->snap->processes.each[2].cgroup_index, NO_INDEX);
}

/* --- the memory controller ----------------------------------------------------------------------------------------------- */

/* `lines` with @ for the bench's root. */
static void say_hierarchies(struct bench *bench, const char *lines)
{
	char text[512];
	size_t used = 0;
	for (const char *at = lines; *at; at++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%.*s", *at == '@' ? (int)strlen(bench->root) : 1,
					 *at == '@' ? bench->root : at);
	bench_say(bench, "proc/self/mountinfo", text);
}

static struct cgroup *named_row(struct bench *bench, uint64_t id, const char *path)
{
	struct cgroup *row = add_row(bench, id, 1);
	snprintf(row->path, sizeof(row->path), "%s", path);
	return row;
}

static void memory_of_v2(void **given)
{
	struct bench *bench = *given;
	say_hierarchies(bench, "31 22 0:27 / @/v2 rw - cgroup2 cgroup2 rw\n");
	bench_say(bench, "v2/cgroup.controllers", "cpu io memory pids\n");
	bench_say(bench, "v2/a.service/memory.current", "4096\n");
	bench_say(bench, "v2/a.service/memory.max", "max\n");
	bench_say(bench, "v2/a.service/memory.stat", "anon 4096\nworkingset_refault_anon 5\nworkingset_refault_file 7\nworkingset_activate_file 9\n"
						      "inactive_anon 1\ninactive_file 100\nactive_file 30\n");
	bench_say(bench, "v2/b.service/memory.current", "8192\n");
	bench_say(bench, "v2/b.service/memory.max", "1048576\n");
	assert_int_equal(bench_open(bench, &collector_cgroup), 0);
	assert_int_equal(bench->status.state, COLLECTOR_UP);
	struct cgroup *a = named_row(bench, 1, "/a.service"), *b = named_row(bench, 2, "/b.service"), *root = named_row(bench, 3, "/");
	assert_int_equal(tick(bench, 0), 0);
	assert_int_equal(a->memory_current, 4096);
	assert_true(a->memory_max == UNKNOWN);
	assert_int_equal(b->memory_max, 1048576);
	assert_true(root->memory_current == UNKNOWN);

	assert_int_equal(a->memory_growth_bytes, 0);
	assert_true(root->memory_growth_bytes == INT64_MIN); /* unknown */
	assert_int_equal(a->refaults, 12);
	assert_true(b->refaults == UNKNOWN);
	assert_int_equal(a->memory_file, 130);
	assert_true(b->memory_file == UNKNOWN && root->memory_file == UNKNOWN);

	/* Near its limit it is read at every tick, else within ten seconds. */
	bench_say(bench, "v2/a.service/memory.stat", "inactive_file 200\n");
	bench_say(bench, "v2/b.service/memory.stat", "inactive_file 300\n");
	bench_say(bench, "v2/b.service/memory.current", "1000000\n");
	assert_int_equal(tick(bench, NSEC_PER_SEC), 0);
	assert_int_equal(a->memory_file, 130);
	assert_int_equal(b->memory_file, 300);

	bench_say(bench, "v2/a.service/memory.current", "5000\n");
	assert_int_equal(tick(bench, NSEC_PER_SEC), 0);
	assert_int_equal(a->memory_current, 5000);
	assert_int_equal(a->memory_growth_bytes, 904);
}

/* A hundred bytes a second, for a minute: the base follows 14 to 16 s behind. */
static void memory_grows_against_some_seconds_ago(void **given)
{
	struct bench *bench = *given;
	say_hierarchies(bench, "31 22 0:27 / @/v2 rw - cgroup2 cgroup2 rw\n");
	bench_say(bench, "v2/cgroup.controllers", "memory\n");
	assert_int_equal(bench_open(bench, &collector_cgroup), 0);
	struct cgroup *a = named_row(bench, 1, "/a.service");
	for (int second = 0; second < 60; second++) {
		char text[16];

		snprintf(text, sizeof(text), "%d\n", 10000 + 100 * second);
		bench_say(bench, "v2/a.service/memory.current", text);
		assert_int_equal(tick(bench, NSEC_PER_SEC), 0);
	}
	assert_in_range(a->memory_growth_bytes, 1400, 1600);
	bench_say(bench, "v2/a.service/memory.current", "100\n");
	assert_int_equal(tick(bench, NSEC_PER_SEC), 0);
	assert_true(a->memory_growth_bytes < -14000);
}

static void memory_of_v1_beside_v2(void **given)
{
	struct bench *bench = *given;
	say_hierarchies(bench, "31 22 0:27 / @/v2 rw - cgroup2 cgroup2 rw\n32 22 0:28 / @/memory rw - cgroup cgroup rw,memory\n");
	bench_say(bench, "v2/cgroup.controllers", "hugetlb\n");
	bench_say(bench, "memory/a.service/memory.usage_in_bytes", "4096\n");
	bench_say(bench, "memory/a.service/memory.limit_in_bytes", "9223372036854771712\n");
	bench_say(bench, "memory/a.service/memory.stat", "inactive_file 1\nactive_file 2\ntotal_inactive_file 1000\ntotal_active_file 500\n");
	assert_int_equal(bench_open(bench, &collector_cgroup), 0);
	assert_string_equal(bench->status.source, "cgroup hybrid");
	struct cgroup *a = named_row(bench, 1, "/a.service"), *b = named_row(bench, 2, "/only-in-v2.service");
	assert_int_equal(tick(bench, 0), 0);
	assert_int_equal(a->memory_file, 1500); /* of all below it, as the limit counts */
	assert_true(a->refaults == UNKNOWN);
	assert_int_equal(a->memory_current, 4096);
	assert_true(a->memory_max == UNKNOWN);
	assert_true(b->memory_current == UNKNOWN);
}

static void v1_alone_is_degraded_and_none_is_down(void **given)
{
	struct bench *bench = *given;
	say_hierarchies(bench, "31 22 0:27 / /sys rw - sysfs sysfs rw\n");
	assert_int_equal(bench_open(bench, &collector_cgroup), -ENOENT);
	assert_non_null(strstr(bench->status.why, "cgroup"));

	say_hierarchies(bench, "32 22 0:28 / @/memory rw - cgroup cgroup rw,memory\n");
	bench_say(bench, "memory/cgroup.procs", "");
	assert_int_equal(bench_open(bench, &collector_cgroup), 0);
	assert_int_equal(bench->status.state, COLLECTOR_DEGRADED);
	assert_non_null(strstr(bench->status.why, "no cgroup v2"));
}

/* --- pressure and pids ---------------------------------------------------------------------------------------------------- */

static void pressure_and_pids_are_read_in_turn(void **given)
{
	struct bench *bench = *given;
	say_hierarchies(bench, "31 22 0:27 / @/v2 rw - cgroup2 cgroup2 rw\n32 22 0:28 / @/pids rw - cgroup cgroup rw,pids\n");
	bench_say(bench, "v2/cgroup.controllers", "hugetlb\n");
	bench_say(bench, "v2/a.service/cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500\n"
						      "full avg10=0.00 avg60=0.00 avg300=0.00 total=20\n");
	bench_say(bench, "v2/a.service/io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n");
	bench_say(bench, "pids/a.service/pids.current", "4\n");
	bench_say(bench, "pids/a.service/pids.max", "max\n");
	bench_say(bench, "pids/b.service/pids.current", "9\n");
	bench_say(bench, "pids/b.service/pids.max", "100\n");
	assert_int_equal(bench_open(bench, &collector_cgroup), 0);
	struct cgroup *a = named_row(bench, 1, "/a.service"), *b = named_row(bench, 2, "/b.service");
	for (int i = 0; i < PSI_RESOURCE_COUNT; i++)
		a->some_ns[i] = a->full_ns[i] = b->some_ns[i] = b->full_ns[i] = UNKNOWN;
	a->pids_current = b->pids_current = UNKNOWN;

	assert_int_equal(tick(bench, 0), 0);
	assert_int_equal(a->pids_current, 4);
	assert_true(b->pids_current == UNKNOWN); /* its turn is next */
	assert_int_equal(tick(bench, NSEC_PER_SEC), 0);
	assert_int_equal(b->pids_current, 9);
	assert_int_equal(b->pids_max, 100);
	assert_true(a->pids_max == UNKNOWN);
	assert_int_equal(a->some_ns[PSI_CPU], 1500 * NSEC_PER_USEC);
	assert_int_equal(a->full_ns[PSI_CPU], 20 * NSEC_PER_USEC);
	assert_int_equal(a->some_ns[PSI_IO], 7 * NSEC_PER_USEC);
	assert_true(a->full_ns[PSI_IO] == UNKNOWN && a->some_ns[PSI_MEMORY] == UNKNOWN && b->some_ns[PSI_CPU] == UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(ids_become_names),
		BENCH_TEST(members_name_what_handles_cannot),
		BENCH_TEST(the_empty_go_after_a_minute),
		BENCH_TEST(memory_of_v2),
		BENCH_TEST(memory_grows_against_some_seconds_ago),
		BENCH_TEST(memory_of_v1_beside_v2),
		BENCH_TEST(pressure_and_pids_are_read_in_turn),
		BENCH_TEST(v1_alone_is_degraded_and_none_is_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
