/* SPDX-License-Identifier: Apache-2.0 */
/* The outlook: which capacities are followed, what is said of them, what is remembered, who leaks, and what cgroups should ask for. */
#include "scene.h"

#include <errno.h>
#include <math.h>

#include "detect/condition.h"
#include "detect/outlook.h"
#include "detect/sizing.h"

#define MINUTE SECONDS(60)
#define WALL 1795485165500000000LL

struct bench {
	struct snapshot *snap;
	struct outlook *outlook;
};

static int open_bench(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	bench->snap = scene_new();
	bench->outlook = outlook_new();
	assert_non_null(bench->outlook);
	bench->snap->wall_ns = WALL;
	strcpy(bench->snap->boot_id, "boot-one");
	memset(&bench->snap->memory, 0xff, sizeof(bench->snap->memory));
	bench->snap->processes.pid_max = bench->snap->processes.threads_max = bench->snap->processes.files_allocated =
		bench->snap->processes.files_max = UNKNOWN;
	*state = bench;
	return 0;
}

static int close_bench(void **state)
{
	struct bench *bench = *state;
	outlook_free(bench->outlook);
	free(bench->snap);
	free(bench);
	return 0;
}

static void tick(struct bench *bench, uint64_t by_ns)
{
	bench->snap->seq++;
	bench->snap->wall_ns += (int64_t)by_ns;
	scene_at(bench->snap, bench->snap->boot_ns + by_ns);
	outlook_look(bench->outlook, bench->snap);
}

static const struct outlook_row *row_of(const struct bench *bench, enum capacity_resource resource, const char *name)
{
	const struct outlook_row *found = NULL;
	for (uint32_t i = 0; i < bench->snap->outlook.count; i++) {
		const struct outlook_row *row = &bench->snap->outlook.each[i];
		if (row->resource != resource || strcmp(row->name, name) != 0)
			continue;
		assert_null(found); /* one row each */
		found = row;
	}
	return found;
}

static void use_memory(struct bench *bench, uint32_t permille)
{
	bench->snap->memory.total = MIB(1000);
	bench->snap->memory.available = MIB(1000 - permille);
}

/* --- what is followed -------------------------------------------------------------------------------------------------- */

static void every_capacity_has_a_row(void **state)
{
	struct bench *bench = *state;
	struct snapshot *snap = bench->snap;
	scene_filesystem(snap, "/data", 7, 50);
	scene_filesystem(snap, "/data/again", 7, 50); /* the same device: they fill together */
	scene_filesystem(snap, "/ro", 8, 100)->read_only = true;
	use_memory(bench, 400);
	snap->memory.swap_total = MIB(10);
	snap->memory.swap_free = MIB(4);
	snap->processes.threads = 3000;
	snap->processes.pid_max = 40000;
	snap->processes.threads_max = 30000;
	snap->processes.files_allocated = 100;
	snap->processes.files_max = 1000;
	struct cgroup *cgroup = scene_cgroup(snap, 1, "/a.slice", MIB(30));
	cgroup->memory_current = MIB(90); /* page cache and all */
	cgroup->memory_max = MIB(100);
	cgroup->pids_current = 5;
	cgroup->pids_max = 10;
	struct cgroup *small = scene_cgroup(snap, 2, "/b.slice", MIB(1));
	small->memory_current = MIB(1);
	small->memory_max = MIB(100);
	small->pids_current = 1;
	small->pids_max = UNKNOWN;
	struct process *process = scene_process(snap, 77, "holder", MIB(1), 0);
	process->files = 600;
	process->files_max = 1024;
	scene_process(snap, 78, "modest", MIB(1), 0)->files_max = 1024;

	tick(bench, SECONDS(1));
	assert_int_equal(row_of(bench, CAPACITY_FILESYSTEM, "/data")->used, MIB(50));
	assert_int_equal(row_of(bench, CAPACITY_FILESYSTEM, "/data")->capacity, MIB(100));
	assert_int_equal(row_of(bench, CAPACITY_INODES, "/data")->used, 500);
	assert_null(row_of(bench, CAPACITY_FILESYSTEM, "/data/again"));
	assert_null(row_of(bench, CAPACITY_FILESYSTEM, "/ro"));
	assert_int_equal(row_of(bench, CAPACITY_MEMORY, "memory")->used, MIB(400));
	assert_int_equal(row_of(bench, CAPACITY_SWAP, "swap")->used, MIB(6));
	assert_int_equal(row_of(bench, CAPACITY_PIDS, "pids")->capacity, 30000);
	assert_int_equal(row_of(bench, CAPACITY_FILES, "files")->capacity, 1000);
	assert_int_equal(row_of(bench, CAPACITY_CGROUP_MEMORY, "/a.slice")->used, MIB(30));
	assert_int_equal(row_of(bench, CAPACITY_CGROUP_PIDS, "/a.slice")->capacity, 10);
	assert_null(row_of(bench, CAPACITY_CGROUP_MEMORY, "/b.slice"));
	assert_int_equal(row_of(bench, CAPACITY_PROCESS_FILES, "holder")->pid, 77);
	assert_null(row_of(bench, CAPACITY_PROCESS_FILES, "modest"));
	assert_int_equal(row_of(bench, CAPACITY_MEMORY, "memory")->evidence, EVIDENCE_SHORT);
}

static void what_is_unknown_has_none(void **state)
{
	struct bench *bench = *state;
	struct filesystem *fs = scene_filesystem(bench->snap, "/data", 7, 50);
	fs->files = fs->files_free = 0;
	tick(bench, SECONDS(1));
	assert_null(row_of(bench, CAPACITY_INODES, "/data"));
	assert_null(row_of(bench, CAPACITY_MEMORY, "memory"));
	assert_null(row_of(bench, CAPACITY_SWAP, "swap"));
	assert_null(row_of(bench, CAPACITY_CONNTRACK, "conntrack"));
	assert_null(row_of(bench, CAPACITY_PIDS, "pids"));
	assert_int_equal(bench->snap->outlook.count, 1);
}

static void too_many_are_counted(void **state)
{
	struct bench *bench = *state;
	for (uint32_t i = 0; i < MAX_OUTLOOK + 8; i++) {
		char path[32];
		snprintf(path, sizeof(path), "/many/%u", i);
		struct cgroup *cgroup = scene_cgroup(bench->snap, i + 1, path, MIB(50));
		cgroup->memory_current = MIB(50);
		cgroup->memory_max = MIB(100);
		cgroup->pids_current = cgroup->pids_max = UNKNOWN;
	}
	tick(bench, SECONDS(1));
	assert_int_equal(bench->snap->outlook.count, MAX_OUTLOOK);
	assert_int_equal(bench->snap->outlook.cut, 8);
	assert_int_equal(bench->snap->outlook.series_folded, 8);

	/* Those that are gone give their places, after a while. */
	for (uint32_t i = 0; i < 8; i++)
		bench->snap->cgroups.each[i].memory_max = UNKNOWN;
	tick(bench, SECONDS(1));
	assert_int_equal(bench->snap->outlook.count, MAX_OUTLOOK - 8);
	tick(bench, 11 * MINUTE);
	tick(bench, SECONDS(1));
	assert_int_equal(bench->snap->outlook.count, MAX_OUTLOOK);
}

/* --- what is said ------------------------------------------------------------------------------------------------------ */

/* Three days of a memory that rises from 30 % by 20 % a day. */
static void live_three_days(struct bench *bench)
{
	for (uint32_t minute = 0; minute < 3 * 1440; minute++) {
		use_memory(bench, 300 + minute * 200 / 1440);
		tick(bench, MINUTE);
	}
}

static void rising_memory_has_its_time(void **state)
{
	struct bench *bench = *state;
	live_three_days(bench);
	const struct outlook_row *row = row_of(bench, CAPACITY_MEMORY, "memory");
	double left = (0.99 - 0.9) / 0.2 * 24 * 3600;
	assert_int_equal(row->evidence, EVIDENCE_ENOUGH);
	assert_false(row->soon);
	assert_true(fabs((double)row->exhausted_in_ns / 1e9 - left) < 0.1 * left);
	assert_true(row->low_ns <= row->exhausted_in_ns && row->high_ns >= row->exhausted_in_ns);
	assert_true(llabs(row->per_day - (int64_t)MIB(200)) < (int64_t)MIB(5));
	assert_int_equal(row->per_week, INT64_MIN);

	/* Between two estimates it counts down. */
	uint64_t before = row->exhausted_in_ns;
	tick(bench, SECONDS(5));
	assert_int_equal(row_of(bench, CAPACITY_MEMORY, "memory")->exhausted_in_ns, before - SECONDS(5));
}

static void what_fills_in_minutes_is_said_at_once(void **state)
{
	struct bench *bench = *state;
	for (uint32_t second = 0; second < 60; second++) {
		use_memory(bench, 500 + second * 2);
		tick(bench, SECONDS(1));
	}
	const struct outlook_row *row = row_of(bench, CAPACITY_MEMORY, "memory");
	assert_true(row->soon);
	assert_in_range(row->exhausted_in_ns, SECONDS(170), SECONDS(210));
}

static void both_ways_of_seeing_a_filesystem_agree(void **state)
{
	struct bench *bench = *state;
	struct filesystem *fs = scene_filesystem(bench->snap, "/data", 7, 50);
	fs->size = MIB(100000);
	for (uint32_t minute = 0; minute < 3 * 1440; minute++) {
		fs->free = fs->avail = MIB(70000) - MIB(60000) * minute / (3 * 1440);
		fs->exhausted_in_ns = UNKNOWN;
		tick(bench, MINUTE);
	}
	double left = 9000.0 / 20000 * 86400; /* 1 % is as good as full */
	assert_true(fabs((double)fs->exhausted_in_ns / 1e9 - left) < 0.1 * left);
	assert_int_equal(fs->exhausted_in_ns, row_of(bench, CAPACITY_FILESYSTEM, "/data")->exhausted_in_ns);
	assert_true(row_of(bench, CAPACITY_FILESYSTEM, "/data")->suggested > MIB(100000));

	/* Five minutes off by the last minute: that is heard. Two hours off by it, against three days of history: that is not. */
	fs->exhausted_in_ns = SECONDS(300);
	fs->exhausted_confidence_permille = 950;
	tick(bench, SECONDS(1));
	assert_int_equal(fs->exhausted_in_ns, SECONDS(300));
	assert_true(row_of(bench, CAPACITY_FILESYSTEM, "/data")->soon);
	fs->exhausted_in_ns = SECONDS(7200);
	tick(bench, SECONDS(1));
	assert_true(fs->exhausted_in_ns > SECONDS(20000));
}

static void other_size_keeps_the_history(void **state)
{
	struct bench *bench = *state;
	live_three_days(bench);
	bench->snap->memory.total = MIB(2000);
	bench->snap->memory.available = MIB(1100);
	tick(bench, MINUTE);
	const struct outlook_row *row = row_of(bench, CAPACITY_MEMORY, "memory");
	assert_true(llabs(row->per_day - (int64_t)MIB(200)) < (int64_t)MIB(10));
	assert_true(row->exhausted_in_ns == UNKNOWN || row->exhausted_in_ns > 3 * 24 * 60 * MINUTE);
}

static void another_device_begins_anew(void **state)
{
	struct bench *bench = *state;
	struct filesystem *fs = scene_filesystem(bench->snap, "/data", 7, 50);
	for (uint32_t minute = 0; minute < 120; minute++)
		tick(bench, MINUTE);
	assert_in_range(row_of(bench, CAPACITY_FILESYSTEM, "/data")->history_ns, 118 * MINUTE, 121 * MINUTE);
	fs->dev = 9;
	tick(bench, MINUTE);
	assert_true(row_of(bench, CAPACITY_FILESYSTEM, "/data")->history_ns <= MINUTE);
}

/* --- policies ---------------------------------------------------------------------------------------------------------- */

static enum verdict verdict_of(struct bench *bench, const char *yaml, struct finding *ret)
{
	struct config *config = scene_config(yaml);
	struct detector *detector = detector_new();
	struct findings *findings = calloc(1, sizeof(*findings));
	assert_non_null(findings);
	detect(detector, bench->snap, config, findings);
	enum verdict verdict = findings->count ? findings->each[0].verdict : VERDICT_FALSE;
	if (ret && findings->count)
		*ret = findings->each[0];
	detector_free(detector);
	free(findings);
	free(config);
	return verdict;
}

static void alarms_go_by_the_outlook(void **state)
{
	struct bench *bench = *state;
	struct finding finding;
	live_three_days(bench);
	assert_int_equal(verdict_of(bench, "policies: [{name: a, when: {capacity: {resource: memory, full_within: 24h}}}]", &finding), VERDICT_TRUE);
	assert_int_equal(finding.kind, KIND_MEMORY_EXHAUSTION);
	assert_int_equal(finding.target.type, TARGET_NODE);
	assert_string_equal(finding.target.name, "memory");
	assert_true(fabs(finding.signal.value - 38880) < 3900);
	assert_true(finding.signal.threshold == 86400);
	assert_int_equal(verdict_of(bench, "policies: [{name: a, when: {capacity: {resource: memory, full_within: 4h}}}]", NULL), VERDICT_FALSE);
	assert_int_equal(verdict_of(bench, "policies: [{name: a, when: {capacity: {resource: memory, used_percent: 85}}}]", NULL), VERDICT_TRUE);
	assert_int_equal(verdict_of(bench, "policies: [{name: a, when: {capacity: {resource: [pids, cgroup_pids], full_within: 24h}}}]", NULL),
			 VERDICT_FALSE);
}

static void the_worst_of_a_target_speaks(void **state)
{
	struct bench *bench = *state;
	struct filesystem *fs = scene_filesystem(bench->snap, "/data", 7, 10);
	struct finding finding;
	fs->files_free = 50;
	tick(bench, SECONDS(1));
	const char *policy = "policies: [{name: a, when: {capacity: {resource: [filesystem, inodes], name: /data, used_percent: 90}}}]";
	assert_int_equal(verdict_of(bench, policy, &finding), VERDICT_TRUE);
	assert_true(fabs(finding.signal.value - 95) < 0.1);
	assert_int_equal(finding.target.type, TARGET_FILESYSTEM);
	assert_int_equal(finding.target.dev, 7);
	assert_int_equal(finding.kind, KIND_DISK_EXHAUSTION);
}

static void what_does_not_answer_is_unknown(void **state)
{
	struct bench *bench = *state;
	scene_filesystem(bench->snap, "/data", 7, 95);
	tick(bench, SECONDS(1));
	struct config *config = scene_config("policies: [{name: a, when: {capacity: {resource: filesystem, used_percent: 90}}}]");
	struct detector *detector = detector_new();
	struct findings *findings = calloc(1, sizeof(*findings));
	detect(detector, bench->snap, config, findings);
	assert_int_equal(findings->each[0].verdict, VERDICT_TRUE);
	scene_at(bench->snap, bench->snap->boot_ns + SECONDS(60));
	bench->snap->filesystems.each[0].measured_ns -= SECONDS(60);
	outlook_look(bench->outlook, bench->snap);
	detect(detector, bench->snap, config, findings);
	assert_int_equal(findings->count, 1);
	assert_int_equal(findings->each[0].verdict, VERDICT_UNKNOWN);
	bench->snap->filesystems.count = 0;
	outlook_look(bench->outlook, bench->snap);
	detect(detector, bench->snap, config, findings);
	assert_int_equal(findings->each[0].verdict, VERDICT_FALSE);
	detector_free(detector);
	free(findings);
	free(config);
}

/* What was said of one target while the node changed: the verdict now. */
static enum verdict verdict_after(struct bench *bench, struct detector *detector, const char *yaml)
{
	struct config *config = scene_config(yaml);
	struct findings *findings = calloc(1, sizeof(*findings));
	assert_non_null(findings);
	detect(detector, bench->snap, config, findings);
	assert_int_equal(findings->count, 1);
	enum verdict verdict = findings->each[0].verdict;
	free(findings);
	free(config);
	return verdict;
}

static void what_is_taken_away_is_over(void **state)
{
	struct bench *bench = *state;
	const char *swap = "policies: [{name: a, when: {capacity: {resource: swap, used_percent: 90}}}]";
	struct detector *detector = detector_new();
	bench->snap->memory.swap_total = MIB(100);
	bench->snap->memory.swap_free = MIB(5);
	tick(bench, SECONDS(1));
	assert_int_equal(verdict_after(bench, detector, swap), VERDICT_TRUE);
	bench->snap->memory.swap_total = bench->snap->memory.swap_free = UNKNOWN; /* it could not be read */
	tick(bench, SECONDS(1));
	assert_int_equal(verdict_after(bench, detector, swap), VERDICT_UNKNOWN);
	bench->snap->memory.swap_total = bench->snap->memory.swap_free = 0;
	tick(bench, SECONDS(1));
	assert_int_equal(verdict_after(bench, detector, swap), VERDICT_FALSE);
	detector_free(detector);

	const char *filesystem = "policies: [{name: a, when: {capacity: {resource: filesystem, used_percent: 90}}}]";
	detector = detector_new();
	struct filesystem *fs = scene_filesystem(bench->snap, "/data", 7, 95);
	tick(bench, SECONDS(1));
	assert_int_equal(verdict_after(bench, detector, filesystem), VERDICT_TRUE);
	fs->read_only = true;
	tick(bench, SECONDS(1));
	assert_int_equal(verdict_after(bench, detector, filesystem), VERDICT_FALSE);
	detector_free(detector);
}

static void a_table_of_groups_that_is_stale_ends_nothing(void **state)
{
	struct bench *bench = *state;
	const char *yaml = "policies: [{name: a, when: {capacity: {resource: cgroup_pids, used_percent: 90}}}]";
	struct detector *detector = detector_new();
	struct cgroup *cgroup = scene_cgroup(bench->snap, 5, "/a", MIB(1));
	cgroup->pids_current = 95;
	cgroup->pids_max = 100;
	tick(bench, SECONDS(1));
	assert_int_equal(verdict_after(bench, detector, yaml), VERDICT_TRUE);
	bench->snap->cgroups.count = 0;
	bench->snap->boot_ns += SECONDS(60);
	outlook_look(bench->outlook, bench->snap);
	assert_int_equal(verdict_after(bench, detector, yaml), VERDICT_UNKNOWN);
	tick(bench, SECONDS(1));
	assert_int_equal(verdict_after(bench, detector, yaml), VERDICT_FALSE);
	detector_free(detector);
}

static void kinds_are_not_mixed(void **state)
{
	const char *text = "policies: [{name: a, when: {capacity: {resource: [memory, filesystem], full_within: 4h}}}]";
	struct config *config = calloc(1, sizeof(*config));
	struct config_faults *faults = calloc(1, sizeof(*faults));
	config_defaults(config);
	assert_true(config_parse("x.yaml", text, strlen(text), config, faults) < 0);
	assert_non_null(strstr(faults->each[0].text, "different kinds of incidents"));
	free(config);
	free(faults);
}

/* --- what is remembered ------------------------------------------------------------------------------------------------ */

static size_t save(struct bench *bench, char **ret)
{
	*ret = malloc(outlook_state_size());
	size_t size = outlook_save(bench->outlook, bench->snap, *ret, outlook_state_size());
	assert_true(size > 0 && size <= outlook_state_size());
	return size;
}

static struct bench *another(struct bench *bench, const char *boot_id, uint64_t boot_ns, int64_t wall_ns)
{
	void *next = NULL;
	open_bench(&next);
	struct bench *other = next;
	strcpy(other->snap->boot_id, boot_id);
	other->snap->boot_ns = boot_ns;
	other->snap->wall_ns = wall_ns;
	use_memory(other, 900);
	return other;
}

static void restart_forgets_nothing(void **state)
{
	struct bench *bench = *state;
	char *data, why[160];
	live_three_days(bench);
	uint64_t before = row_of(bench, CAPACITY_MEMORY, "memory")->exhausted_in_ns;
	size_t size = save(bench, &data);
	void *other = another(bench, "boot-one", bench->snap->boot_ns + SECONDS(5), bench->snap->wall_ns - SECONDS(86400)); /* the clock was set */
	struct bench *next = other;
	assert_int_equal(outlook_restore(next->outlook, next->snap, data, size, why, sizeof(why)), 0);
	assert_string_equal(why, "");
	tick(next, SECONDS(1));
	const struct outlook_row *row = row_of(next, CAPACITY_MEMORY, "memory");
	assert_true(fabs((double)row->exhausted_in_ns - (double)before) < 0.02 * (double)before);
	assert_in_range(row->history_ns, 3 * 1439 * MINUTE, 3 * 1441 * MINUTE);
	free(data);
	close_bench(&other);
}

static void add_groups(struct bench *bench, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		char path[32];
		snprintf(path, sizeof(path), "/many/%u", i);
		struct cgroup *cgroup = scene_cgroup(bench->snap, i + 1, path, MIB(50));
		cgroup->memory_current = MIB(50);
		cgroup->memory_max = MIB(100);
	}
}

static void add_mounts(struct bench *bench, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		char path[32];
		snprintf(path, sizeof(path), "/f%u", i);
		struct filesystem *fs = scene_filesystem(bench->snap, path, i + 1, 50);
		fs->files = fs->files_free = 0;
	}
}

/* Eight are asked at a tick: until its turn comes, what has a history says neither yes nor no. */
static void until_it_was_asked_a_restored_history_is_unknown(void **state)
{
	struct bench *bench = *state;
	const char *yaml = "policies: [{name: a, when: {capacity: {resource: cgroup_memory, name: /many/30, full_within: 4h}}}]";
	char *data, why[160];
	const char *mounts = "policies: [{name: a, when: {filesystem: {mountpoint: /f20, full_within: 4h}}}]";
	add_groups(bench, 32);
	add_mounts(bench, 30);
	for (int i = 0; i < 30; i++)
		tick(bench, MINUTE);
	assert_int_equal(verdict_of(bench, yaml, NULL), VERDICT_FALSE);
	assert_int_equal(verdict_of(bench, mounts, NULL), VERDICT_FALSE);
	size_t size = save(bench, &data);
	void *other = another(bench, "boot-one", bench->snap->boot_ns, bench->snap->wall_ns);
	struct bench *next = other;
	add_groups(next, 32);
	add_mounts(next, 30);
	assert_int_equal(outlook_restore(next->outlook, next->snap, data, size, why, sizeof(why)), 0);
	tick(next, SECONDS(1));
	assert_int_equal(verdict_of(next, yaml, NULL), VERDICT_UNKNOWN);
	assert_int_equal(verdict_of(next, mounts, NULL), VERDICT_UNKNOWN);
	for (int i = 0; i < 20; i++)
		tick(next, SECONDS(1));
	assert_int_equal(verdict_of(next, yaml, NULL), VERDICT_FALSE);
	assert_int_equal(verdict_of(next, mounts, NULL), VERDICT_FALSE);
	free(data);
	close_bench(&other);
}

/* On a node that runs for long its mount comes up after others have taken their places. */
static void a_restored_history_waits_for_its_mount(void **state)
{
	struct bench *bench = *state;
	char *data, why[160];
	for (int i = 0; i < 120; i++) {
		use_memory(bench, 300);
		tick(bench, MINUTE);
	}
	size_t size = save(bench, &data);
	void *other = another(bench, "boot-one", bench->snap->boot_ns, bench->snap->wall_ns);
	struct bench *next = other;
	uint64_t total = next->snap->memory.total;
	next->snap->memory.total = UNKNOWN;
	add_groups(next, MAX_OUTLOOK);
	assert_int_equal(outlook_restore(next->outlook, next->snap, data, size, why, sizeof(why)), 0);
	tick(next, SECONDS(1));
	next->snap->memory.total = total;
	tick(next, SECONDS(1));
	assert_in_range(row_of(next, CAPACITY_MEMORY, "memory")->history_ns, 118 * MINUTE, 121 * MINUTE);
	free(data);
	close_bench(&other);
}

static void reboot_is_a_gap_by_the_wall_clock(void **state)
{
	struct bench *bench = *state;
	char *data, why[160];
	live_three_days(bench);
	size_t size = save(bench, &data);
	void *other = another(bench, "boot-two", SECONDS(30), bench->snap->wall_ns + (int64_t)(12 * 60 * MINUTE));
	struct bench *next = other;
	assert_int_equal(outlook_restore(next->outlook, next->snap, data, size, why, sizeof(why)), 0);
	tick(next, SECONDS(1));
	assert_in_range(row_of(next, CAPACITY_MEMORY, "memory")->history_ns, 84 * 60 * MINUTE - 5 * MINUTE, 84 * 60 * MINUTE + 5 * MINUTE);
	close_bench(&other);

	/* Before the time it was kept: said, and taken as no gap. */
	other = another(bench, "boot-two", SECONDS(30), bench->snap->wall_ns - (int64_t)(60 * MINUTE));
	next = other;
	assert_int_equal(outlook_restore(next->outlook, next->snap, data, size, why, sizeof(why)), 0);
	assert_non_null(strstr(why, "clock"));
	tick(next, SECONDS(1));
	assert_in_range(row_of(next, CAPACITY_MEMORY, "memory")->history_ns, 72 * 60 * MINUTE - 5 * MINUTE, 72 * 60 * MINUTE + 5 * MINUTE);
	free(data);
	close_bench(&other);
}

static void damage_is_said_and_dropped(void **state)
{
	struct bench *bench = *state;
	char *data, why[160];
	for (int i = 0; i < 5; i++) {
		use_memory(bench, 300);
		tick(bench, MINUTE);
	}
	size_t size = save(bench, &data);
	static const struct { size_t at; const char *why; } wounds[] = {
		{ 0, "begin" }, { 8, "version" }, { 12, "size" }, { 300, "digest" }, { 60, "digest" },
	};
	for (size_t i = 0; i < sizeof(wounds) / sizeof(wounds[0]); i++) {
		void *other = another(bench, "boot-one", bench->snap->boot_ns, bench->snap->wall_ns);
		struct bench *next = other;
		data[wounds[i].at] ^= 1;
		assert_int_equal(outlook_restore(next->outlook, next->snap, data, size, why, sizeof(why)), -EBADMSG);
		assert_non_null(strstr(why, wounds[i].why));
		data[wounds[i].at] ^= 1;
		tick(next, SECONDS(1));
		assert_int_equal(next->snap->outlook.state_dropped, 1);
		assert_int_equal(row_of(next, CAPACITY_MEMORY, "memory")->history_ns, 0);
		close_bench(&other);
	}
	for (size_t cut = 0; cut < size; cut += 7)
		assert_int_equal(outlook_restore(bench->outlook, bench->snap, data, cut, why, sizeof(why)), -EBADMSG);
	free(data);
}

/* --- leaks ------------------------------------------------------------------------------------------------------------- */

static const struct leak_row *leak_of(const struct bench *bench, int32_t pid)
{
	for (uint32_t i = 0; i < bench->snap->outlook.leak_count; i++)
		if (bench->snap->outlook.leaks[i].pid == pid)
			return &bench->snap->outlook.leaks[i];
	return NULL;
}

/* A leak that was told before a restart of the agent: it is not over because nobody has looked for an hour yet. */
static void a_leak_is_not_over_before_it_was_followed_again(void **state)
{
	struct bench *bench = *state;
	struct config *config = scene_config("policies: [{name: a, when: {leak: {of: memory, per_hour: 10M}}}]");
	const struct condition *condition = &config->policies[0].when[0].condition;
	struct process *process = scene_process(bench->snap, 10, "leaker", MIB(100), 0);
	struct target target = { .type = TARGET_PROCESS, .pid = 10, .start_ns = process->start_ns };
	struct reading reading;
	for (int minute = 0; minute < 60; minute++) {
		tick(bench, MINUTE);
		condition_read(condition, bench->snap, &target, &reading);
		assert_int_equal(reading.state, READING_UNKNOWN);
	}
	for (int minute = 0; minute < 10; minute++)
		tick(bench, MINUTE);
	condition_read(condition, bench->snap, &target, &reading);
	assert_int_equal(reading.state, READING_KNOWN);
	tick(bench, 60 * MINUTE); /* the node slept: anew */
	condition_read(condition, bench->snap, &target, &reading);
	assert_int_equal(reading.state, READING_UNKNOWN);
	target.start_ns++;
	condition_read(condition, bench->snap, &target, &reading);
	assert_int_equal(reading.state, READING_GONE);
	free(config);
}

static void who_grows_without_giving_back_leaks(void **state)
{
	struct bench *bench = *state;
	use_memory(bench, 300);
	struct process *leaks = scene_process(bench->snap, 10, "leaker", MIB(100), 0);
	struct process *collects = scene_process(bench->snap, 11, "collector", MIB(100), 0);
	struct process *warms = scene_process(bench->snap, 12, "warms", MIB(100), 0);
	struct process *steps = scene_process(bench->snap, 13, "steps", MIB(100), 0);
	struct process *large = scene_process(bench->snap, 14, "large", MIB(900), 0);
	struct process *opens = scene_process(bench->snap, 15, "opens", MIB(1), 0);
	for (uint32_t minute = 0; minute < 90; minute++) {
		leaks->rss_bytes = MIB(100 + minute);
		collects->rss_bytes = MIB(100 + (minute % 20) * 5);
		warms->rss_bytes = MIB(100) + (uint64_t)(300 * (1 - exp(-(double)minute / 15)) * MIB(1));
		steps->rss_bytes = minute < 30 ? MIB(100) : MIB(400);
		large->rss_bytes = MIB(900) + minute * 100000;
		opens->files = 70 + minute * 3;
		opens->files_max = 1024;
		if (minute < 60)
			assert_int_equal(bench->snap->outlook.leak_count, 0);
		tick(bench, MINUTE);
	}
	const struct leak_row *leak = leak_of(bench, 10);
	assert_non_null(leak);
	assert_int_equal(leak->figure, LEAK_MEMORY);
	assert_string_equal(leak->comm, "leaker");
	assert_in_range(leak->per_hour, MIB(55), MIB(65));
	assert_true(leak->run_ns >= 60 * MINUTE);
	assert_in_range(leak->exhausted_in_ns, 10 * 60 * MINUTE, 13 * 60 * MINUTE); /* 700 MiB at 60 an hour */
	assert_null(leak_of(bench, 11));
	assert_null(leak_of(bench, 12));
	assert_null(leak_of(bench, 13));
	assert_null(leak_of(bench, 14));
	assert_int_equal(leak_of(bench, 15)->figure, LEAK_FILES);
	assert_in_range(leak_of(bench, 15)->per_hour, 170, 190);

	struct finding finding;
	assert_int_equal(verdict_of(bench, "policies: [{name: a, when: {leak: {of: memory, per_hour: 16MiB}}}]", &finding), VERDICT_TRUE);
	assert_int_equal(finding.target.pid, 10);
	assert_int_equal(finding.target.type, TARGET_PROCESS);
	assert_int_equal(verdict_of(bench, "policies: [{name: a, when: {leak: {of: memory, per_hour: 90MiB}}}]", NULL), VERDICT_FALSE);
	assert_int_equal(verdict_of(bench, "policies: [{name: a, when: {leak: {of: files, comm: other, per_hour: 1}}}]", NULL), VERDICT_FALSE);

	/* It gives back. */
	leaks->rss_bytes = MIB(50);
	for (uint32_t minute = 0; minute < 11; minute++)
		tick(bench, MINUTE);
	assert_null(leak_of(bench, 10));
	/* Another process with the same number. */
	opens->start_ns++;
	tick(bench, MINUTE);
	assert_null(leak_of(bench, 15));
}

/* --- sizes ------------------------------------------------------------------------------------------------------------- */

static const struct sizing_row *size_of(const struct bench *bench, uint64_t id)
{
	for (uint32_t i = 0; i < bench->snap->outlook.sizing_count; i++)
		if (bench->snap->outlook.sizing[i].cgroup_id == id)
			return &bench->snap->outlook.sizing[i];
	return NULL;
}

static void a_day_is_enough_to_size(void **state)
{
	struct bench *bench = *state;
	struct cgroup *cgroup = scene_cgroup(bench->snap, 5, "/system.slice/app.service", MIB(200));
	for (uint32_t minute = 0; minute < 1442; minute++) {
		double cores = minute % 10 == 0 ? 2.0 : 0.5; /* a tenth of the time busy */
		cgroup->rss_bytes = minute == 700 ? MIB(400) : MIB(200);
		cgroup->cpu_ns += (uint64_t)(cores * 60e9);
		tick(bench, MINUTE);
		if (minute < 1400) {
			assert_false(size_of(bench, 5)->enough);
			assert_true(size_of(bench, 5)->memory_request == UNKNOWN && size_of(bench, 5)->cpu_request_milli == UINT32_MAX);
		}
	}
	const struct sizing_row *row = size_of(bench, 5);
	assert_true(row->enough);
	/* Bins are a quarter of a doubling: an answer is up to 19 % above the truth. */
	assert_in_range(row->cpu_p50_milli, 500, 595);
	assert_in_range(row->cpu_p95_milli, 2000, 2380);
	assert_in_range(row->cpu_request_milli, 2400, 2856);
	assert_in_range(row->memory_p95, MIB(200), MIB(238));
	assert_in_range(row->memory_request, MIB(250), MIB(298));
	assert_int_equal(row->memory_peak, MIB(400));
	assert_int_equal(row->memory_limit, MIB(500));

	/* Over a restart, by path. */
	char *data, why[160];
	size_t size = save(bench, &data);
	void *other = another(bench, "boot-one", bench->snap->boot_ns, bench->snap->wall_ns);
	struct bench *next = other;
	assert_int_equal(outlook_restore(next->outlook, next->snap, data, size, why, sizeof(why)), 0);
	scene_cgroup(next->snap, 99, "/system.slice/app.service", MIB(200));
	tick(next, MINUTE);
	assert_true(size_of(next, 99)->enough);
	assert_int_equal(size_of(next, 99)->memory_limit, MIB(500));
	free(data);
	close_bench(&other);
}

static void sketches_add_up(void **state)
{
	struct sketch one = { { 0 } }, two = { { 0 } };
	for (int i = 1; i <= 100; i++)
		sketch_add(i % 2 ? &one : &two, 0.001, i, 1);
	sketch_merge(&one, &two);
	double median = sketch_quantile(&one, 0.001, 0.5), most = sketch_quantile(&one, 0.001, 0.95);
	assert_true(median >= 50 && median < 60);
	assert_true(most >= 95 && most < 114);
	struct sketch none = { { 0 } };
	assert_true(sketch_quantile(&none, 1, 0.5) == 0);
	sketch_add(&none, 1, 1e300, 1); /* the last bin takes all above */
	assert_true(sketch_quantile(&none, 1, 0.5) > 100000);
}

static void old_weeks_weigh_less(void **state)
{
	struct bench *bench = *state;
	struct cgroup *cgroup = scene_cgroup(bench->snap, 5, "/app", MIB(800));
	for (uint32_t minute = 0; minute < 1440; minute++)
		tick(bench, MINUTE);
	tick(bench, 10 * 24 * 60 * MINUTE); /* suspended */
	cgroup->rss_bytes = MIB(100);
	for (uint32_t minute = 0; minute < 1440; minute++)
		tick(bench, MINUTE);
	assert_in_range(size_of(bench, 5)->memory_p50, MIB(100), MIB(119));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
	const struct CMUnitTest tests[] = {
		TEST(every_capacity_has_a_row),
		TEST(what_is_unknown_has_none),
		TEST(too_many_are_counted),
		TEST(rising_memory_has_its_time),
		TEST(what_fills_in_minutes_is_said_at_once),
		TEST(both_ways_of_seeing_a_filesystem_agree),
		TEST(other_size_keeps_the_history),
		TEST(another_device_begins_anew),
		TEST(alarms_go_by_the_outlook),
		TEST(the_worst_of_a_target_speaks),
		TEST(what_does_not_answer_is_unknown),
		TEST(what_is_taken_away_is_over),
		TEST(a_table_of_groups_that_is_stale_ends_nothing),
		cmocka_unit_test(kinds_are_not_mixed),
		TEST(restart_forgets_nothing),
		TEST(until_it_was_asked_a_restored_history_is_unknown),
		TEST(a_restored_history_waits_for_its_mount),
		TEST(reboot_is_a_gap_by_the_wall_clock),
		TEST(damage_is_said_and_dropped),
		TEST(who_grows_without_giving_back_leaks),
		TEST(a_leak_is_not_over_before_it_was_followed_again),
		TEST(a_day_is_enough_to_size),
		cmocka_unit_test(sketches_add_up),
		TEST(old_weeks_weigh_less),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
