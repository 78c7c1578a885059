/* SPDX-License-Identifier: Apache-2.0 */
/* Detection: how long, how far back, what is missing, and who is named. */
#include "scene.h"

struct bench {
	struct snapshot *snap;
	struct config *config;
	struct detector *detector;
	struct findings *findings;
};

static struct bench set_up(const char *yaml)
{
	struct bench bench = { scene_new(), scene_config(yaml), detector_new(), calloc(1, sizeof(struct findings)) };
	assert_non_null(bench.detector);
	assert_non_null(bench.findings);
	return bench;
}

static void tear_down(struct bench *bench)
{
	free(bench->snap);
	free(bench->config);
	free(bench->findings);
	detector_free(bench->detector);
}

static const struct finding *look(struct bench *bench, uint64_t boot_ns)
{
	scene_at(bench->snap, boot_ns);
	detect(bench->detector, bench->snap, bench->config, bench->findings);
	return bench->findings->count ? &bench->findings->each[0] : NULL;
}

/* A look each second: what nobody looked at for longer has not held. */
static const struct finding *watch(struct bench *bench, uint64_t from_s, uint64_t to_s)
{
	const struct finding *finding = NULL;
	for (uint64_t second = from_s; second <= to_s; second++)
		finding = look(bench, SECONDS(second));
	return finding;
}

static const char disk[] = "policies:\n"
			   "  - name: fills\n"
			   "    when: {filesystem: {mountpoint: /data, used_percent: {above: 90, clear: 80}, for: 5s}}\n";

static void set_used(struct bench *bench, uint32_t percent)
{
	bench->snap->filesystems.each[0].free = bench->snap->filesystems.each[0].avail = MIB(100 - percent);
}

static void raises_only_after_its_time(void **state)
{
	struct bench bench = set_up(disk);
	scene_filesystem(bench.snap, "/data", 1, 95);
	for (uint64_t second = 0; second < 5; second++) {
		const struct finding *finding = look(&bench, SECONDS(1000 + second));
		assert_int_equal(finding->verdict, VERDICT_FALSE);
		assert_true(finding->pending);
	}
	assert_int_equal(look(&bench, SECONDS(1005))->verdict, VERDICT_TRUE);
	tear_down(&bench);
}

static void dip_starts_the_time_anew(void **state)
{
	struct bench bench = set_up(disk);
	scene_filesystem(bench.snap, "/data", 1, 95);
	look(&bench, SECONDS(1000));
	set_used(&bench, 89);
	look(&bench, SECONDS(1003));
	set_used(&bench, 95);
	assert_int_equal(watch(&bench, 1004, 1008)->verdict, VERDICT_FALSE);
	assert_int_equal(look(&bench, SECONDS(1009))->verdict, VERDICT_TRUE);
	tear_down(&bench);
}

static void stays_until_its_clear_level(void **state)
{
	struct bench bench = set_up(disk);
	scene_filesystem(bench.snap, "/data", 1, 95);
	assert_int_equal(watch(&bench, 1000, 1005)->verdict, VERDICT_TRUE);
	set_used(&bench, 85);
	assert_int_equal(look(&bench, SECONDS(1006))->verdict, VERDICT_TRUE);
	set_used(&bench, 80);
	assert_int_equal(look(&bench, SECONDS(1007))->verdict, VERDICT_FALSE);
	assert_null(look(&bench, SECONDS(1008))); /* said once, then silent */
	tear_down(&bench);
}

static void missing_data_is_unknown_and_ends_the_run(void **state)
{
	struct bench bench = set_up(disk);
	scene_filesystem(bench.snap, "/data", 1, 95);
	watch(&bench, 1000, 1003);
	scene_at(bench.snap, SECONDS(1004));
	bench.snap->filesystems.each[0].measured_ns = SECONDS(1000);
	detect(bench.detector, bench.snap, bench.config, bench.findings);
	assert_int_equal(bench.findings->each[0].verdict, VERDICT_UNKNOWN);
	assert_string_equal(bench.findings->each[0].why, "statvfs has not answered");
	assert_int_equal(watch(&bench, 1006, 1010)->verdict, VERDICT_FALSE);
	assert_int_equal(look(&bench, SECONDS(1011))->verdict, VERDICT_TRUE);
	tear_down(&bench);
}

static void nobody_looked_in_between_is_not_held(void **state)
{
	struct bench bench = set_up(disk);
	scene_filesystem(bench.snap, "/data", 1, 95);
	look(&bench, SECONDS(1000));
	assert_int_equal(look(&bench, SECONDS(1300))->verdict, VERDICT_FALSE); /* suspended for five minutes */
	assert_int_equal(watch(&bench, 1301, 1305)->verdict, VERDICT_TRUE);
	assert_int_equal(look(&bench, SECONDS(1900))->verdict, VERDICT_TRUE); /* what was told is not taken back by a gap */
	tear_down(&bench);
}

static void wall_clock_does_not_matter(void **state)
{
	struct bench bench = set_up(disk);
	scene_filesystem(bench.snap, "/data", 1, 95);
	for (uint64_t second = 1000; second <= 1005; second++) {
		bench.snap->wall_ns = second % 2 ? 1 : INT64_MAX;
		look(&bench, SECONDS(second));
	}
	assert_int_equal(bench.findings->each[0].verdict, VERDICT_TRUE);
	tear_down(&bench);
}

static const char graded[] = "policies:\n"
			     "  - name: fills\n"
			     "    severity: warning\n"
			     "    when: {filesystem: {used_percent: {warning: 80, critical: {above: 90, clear: 85}, emergency: 95, clear_by: 3}, for: 2s}}\n";

static void severity_goes_with_the_level(void **state)
{
	struct bench bench = set_up(graded);
	const struct { uint32_t used; enum verdict verdict; enum severity severity; double threshold; } steps[] = {
		{ 82, VERDICT_TRUE, SEVERITY_WARNING, 80 },
		{ 91, VERDICT_TRUE, SEVERITY_CRITICAL, 90 },
		{ 97, VERDICT_TRUE, SEVERITY_EMERGENCY, 95 },
		{ 93, VERDICT_TRUE, SEVERITY_EMERGENCY, 95 }, /* its clear level is 92 */
		{ 91, VERDICT_TRUE, SEVERITY_CRITICAL, 90 },
		{ 86, VERDICT_TRUE, SEVERITY_CRITICAL, 90 }, /* 85, its own */
		{ 79, VERDICT_TRUE, SEVERITY_WARNING, 80 },
		{ 77, VERDICT_FALSE, SEVERITY_WARNING, 80 },
	};
	scene_filesystem(bench.snap, "/data", 1, 50);
	uint64_t second = 1000;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		set_used(&bench, steps[i].used);
		const struct finding *finding = watch(&bench, second, second + 12);
		second += 13;
		if (steps[i].verdict == VERDICT_FALSE) {
			assert_null(finding);
			continue;
		}
		assert_int_equal(finding->verdict, VERDICT_TRUE);
		assert_int_equal(finding->severity, steps[i].severity);
		assert_true(finding->signal.threshold == steps[i].threshold);
	}
	tear_down(&bench);
}

static const char most[] = "policies:\n"
			   "  - name: mostly\n"
			   "    when: {filesystem: {used_percent: {above: 90, clear: 80}, of: 3/5}}\n";

static enum verdict after_samples(struct bench *bench, uint64_t second, const char *samples)
{
	enum verdict verdict = VERDICT_FALSE;
	for (; *samples; samples++, second++) {
		if (*samples == '?')
			continue; /* a tick that was missed */
		set_used(bench, *samples == 'x' ? 95 : *samples == '-' ? 85 : 50);
		const struct finding *finding = look(bench, SECONDS(second));
		verdict = finding ? finding->verdict : VERDICT_FALSE;
	}
	return verdict;
}

static void most_of_the_samples_are_enough(void **state)
{
	const struct { const char *samples; enum verdict verdict; } cases[] = {
		{ "xx", VERDICT_FALSE },       { "xxx", VERDICT_TRUE },   { "x.x.x", VERDICT_TRUE },      { "x..x.x", VERDICT_FALSE },
		{ "xx??x", VERDICT_TRUE },     { "xx???x", VERDICT_FALSE }, { "xxx..", VERDICT_TRUE },    { "xxx...", VERDICT_FALSE },
		{ "xxx----------", VERDICT_TRUE }, { "xxx-.-.-", VERDICT_TRUE },   { "xxx-.-.-.", VERDICT_FALSE }, { "xxx..-.", VERDICT_FALSE }, { "x??????????xx", VERDICT_FALSE },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench bench = set_up(most);
		scene_filesystem(bench.snap, "/data", 1, 50);
		if (after_samples(&bench, 1000, cases[i].samples) != cases[i].verdict)
			fail_msg("%s", cases[i].samples);
		tear_down(&bench);
	}
}

static void a_sample_beyond_the_window_is_forgotten(void **state)
{
	struct bench bench = set_up(most);
	scene_filesystem(bench.snap, "/data", 1, 50);
	after_samples(&bench, 1000, "x....");
	assert_true(bench.findings->count && bench.findings->each[0].pending);
	after_samples(&bench, 1005, ".");
	assert_false(bench.findings->count && bench.findings->each[0].pending);
	after_samples(&bench, 1006, ".");
	assert_int_equal(bench.findings->count, 0);
	tear_down(&bench);
}

static void fast_ticks_are_no_samples_of_their_own(void **state)
{
	struct bench bench = set_up(most);
	scene_filesystem(bench.snap, "/data", 1, 95);
	for (uint64_t i = 0; i < 30; i++) /* 1.5 s in ticks of 50 ms */
		look(&bench, SECONDS(1000) + i * 50 * NSEC_PER_MSEC);
	assert_int_equal(bench.findings->each[0].verdict, VERDICT_FALSE);
	look(&bench, SECONDS(1002));
	assert_int_equal(bench.findings->each[0].verdict, VERDICT_TRUE);
	tear_down(&bench);
}

static void what_goes_back_by_itself_is_not_told(void **state)
{
	struct bench bench = set_up("policies:\n"
				    "  - name: fills\n"
				    "    when: {filesystem: {used_percent: {above: 60, clear: 55}, for: 10s}}\n");
	scene_filesystem(bench.snap, "/data", 1, 99);
	const struct finding *finding = NULL;
	for (uint32_t i = 0; i <= 12; i++) { /* 3 a second: 55 is 5 s away when the time is over */
		set_used(&bench, 99 - 3 * i);
		finding = look(&bench, SECONDS(1000 + i));
		assert_int_equal(finding->verdict, VERDICT_FALSE);
		assert_true(finding->pending);
		if (i == 10)
			assert_string_equal(finding->why, "on its way back by itself: -3 a second, past its clear level in 5 s");
	}
	/* It stops short of it: told, once the pace is forgotten. */
	set_used(&bench, 65);
	assert_int_equal(watch(&bench, 1013, 1015)->verdict, VERDICT_FALSE);
	finding = watch(&bench, 1016, 1021);
	assert_int_equal(finding->verdict, VERDICT_TRUE);
	assert_string_equal(finding->why, "");
	tear_down(&bench);
}

static void one_that_falls_too_slowly_is_told(void **state)
{
	struct bench bench = set_up("policies:\n"
				    "  - name: fills\n"
				    "    when: {filesystem: {used_percent: {above: 60, clear: 55}, for: 10s}}\n");
	scene_filesystem(bench.snap, "/data", 1, 99);
	for (uint32_t i = 0; i <= 10; i++) {
		set_used(&bench, 99 - i);
		look(&bench, SECONDS(1000 + i));
	}
	assert_int_equal(bench.findings->each[0].verdict, VERDICT_TRUE);
	tear_down(&bench);
}

static void gone_target_is_said_to_be_over(void **state)
{
	struct bench bench = set_up(disk);
	scene_filesystem(bench.snap, "/data", 1, 95);
	assert_int_equal(watch(&bench, 1000, 1005)->verdict, VERDICT_TRUE);
	bench.snap->filesystems.count = 0;
	const struct finding *finding = look(&bench, SECONDS(1006));
	assert_non_null(finding);
	assert_int_equal(finding->verdict, VERDICT_FALSE);
	assert_string_equal(finding->key, "filesystem:/data");
	tear_down(&bench);
}

static void stale_list_is_unknown_for_a_target_not_met(void **state)
{
	struct bench bench = set_up(disk);
	scene_filesystem(bench.snap, "/data", 1, 95);
	assert_int_equal(watch(&bench, 1000, 1005)->verdict, VERDICT_TRUE);
	bench.snap->filesystems.count = 0;
	scene_at(bench.snap, SECONDS(1010));
	bench.snap->filesystems.measured_ns = SECONDS(1005);
	detect(bench.detector, bench.snap, bench.config, bench.findings);
	assert_int_equal(bench.findings->each[0].verdict, VERDICT_UNKNOWN);
	tear_down(&bench);
}

static void all_needs_all_and_unknown_is_not_true(void **state)
{
	struct bench bench = set_up("policies:\n"
				    "  - name: both\n"
				    "    when:\n"
				    "      all:\n"
				    "        - memory: {used_percent: {above: 90}}\n"
				    "        - psi: {resource: memory, full: {above: 10}, window: 10s}\n");
	bench.snap->memory.total = MIB(1000);
	bench.snap->memory.available = MIB(50);
	bench.snap->psi.has_full[PSI_MEMORY] = true;
	bench.snap->psi.full[PSI_MEMORY].avg10_centi = 500;
	assert_null(look(&bench, SECONDS(1000)));
	bench.snap->psi.full[PSI_MEMORY].avg10_centi = 2000;
	assert_int_equal(look(&bench, SECONDS(1001))->verdict, VERDICT_TRUE);
	scene_at(bench.snap, SECONDS(1010));
	bench.snap->psi.measured_ns = 0;
	detect(bench.detector, bench.snap, bench.config, bench.findings);
	assert_int_equal(bench.findings->each[0].verdict, VERDICT_UNKNOWN);
	tear_down(&bench);
}

static void any_needs_one_and_unknown_does_not_hide_it(void **state)
{
	struct bench bench = set_up("policies:\n"
				    "  - name: either\n"
				    "    when:\n"
				    "      any:\n"
				    "        - memory: {swap_used_percent: {above: 90}}\n"
				    "        - memory: {used_percent: {above: 90}}\n");
	bench.snap->memory.total = MIB(1000);
	bench.snap->memory.available = MIB(50);
	bench.snap->memory.swap_total = bench.snap->memory.swap_free = 0; /* no swap: unknown */
	assert_int_equal(look(&bench, SECONDS(1000))->verdict, VERDICT_TRUE);
	bench.snap->memory.available = MIB(500);
	assert_int_equal(look(&bench, SECONDS(1001))->verdict, VERDICT_UNKNOWN);
	tear_down(&bench);
}

/* Far below its limit a process is no target any more: that is over, and what comes after it begins anew. */
static void what_is_no_target_any_more_is_forgotten(void **state)
{
	struct bench bench = set_up("policies:\n"
				    "  - name: files\n"
				    "    when: {files: {process_used_percent: {above: 90, clear: 80}, for: 3s}}\n");
	struct process *process = scene_process(bench.snap, 42, "opener", 0, 0);
	process->files = 95;
	process->files_max = 100;
	assert_int_equal(watch(&bench, 1000, 1003)->verdict, VERDICT_TRUE);
	process->files = 5;
	assert_int_equal(look(&bench, SECONDS(1004))->verdict, VERDICT_FALSE);
	assert_null(look(&bench, SECONDS(1005)));
	process->files = 95;
	const struct finding *finding = look(&bench, SECONDS(1006));
	assert_int_equal(finding->verdict, VERDICT_FALSE);
	assert_true(finding->pending);
	tear_down(&bench);
}

static void reused_pid_is_another_process(void **state)
{
	struct bench bench = set_up("policies:\n"
				    "  - name: big\n"
				    "    when: {process: {comm: hog, memory: {above: 100MiB}}}\n");
	struct process *process = scene_process(bench.snap, 42, "hog", MIB(200), 0);
	const struct finding *finding = look(&bench, SECONDS(1000));
	assert_int_equal(finding->verdict, VERDICT_TRUE);
	char key[KEY_LEN];
	memcpy(key, finding->key, sizeof(key));
	process->start_ns += 5;
	process->rss_bytes = MIB(10);
	finding = look(&bench, SECONDS(1001));
	assert_string_equal(finding->key, key);
	assert_int_equal(finding->verdict, VERDICT_FALSE);
	tear_down(&bench);
}

static void group_policy_sums_and_names_only_its_groups(void **state)
{
	struct bench bench = set_up("policies:\n"
				    "  - name: group\n"
				    "    when: {process: {cgroup: \"/ci.slice/*\", by: cgroup, memory: {above: 1GiB}}}\n");
	scene_cgroup(bench.snap, 5, "/system.slice/db.service", MIB(4000));
	scene_cgroup(bench.snap, 7, "/ci.slice/job-1", MIB(1100));
	const struct finding *finding = look(&bench, SECONDS(1000));
	assert_int_equal(bench.findings->count, 1);
	assert_string_equal(finding->target.name, "/ci.slice/job-1");
	assert_int_equal(finding->target.cgroup_id, 7);
	assert_int_equal(finding->kind, KIND_MEMORY_EXHAUSTION);
	tear_down(&bench);
}

static void kernel_threads_are_never_targets(void **state)
{
	struct bench bench = set_up("policies:\n"
				    "  - name: spin\n"
				    "    when: {process: {comm: \"kw*\", cpu_percent: {above: 50}}}\n");
	struct process *process = scene_process(bench.snap, 9, "kworker", 0, 0);
	process->kernel_thread = true;
	process->cpu_delta_ns = SECONDS(1);
	assert_null(look(&bench, SECONDS(1000)));
	process->kernel_thread = false;
	assert_int_equal(look(&bench, SECONDS(1001))->verdict, VERDICT_TRUE);
	tear_down(&bench);
}

static void unit_that_systemd_does_not_answer_for_is_unknown(void **state)
{
	struct bench bench = set_up("policies:\n"
				    "  - name: down\n"
				    "    when: {unit: {name: app.service, state: failed}}\n");
	const struct finding *finding = look(&bench, SECONDS(1000));
	assert_int_equal(finding->verdict, VERDICT_UNKNOWN);
	struct unit_sample *unit = &bench.snap->units.each[bench.snap->units.count++];
	snprintf(unit->name, sizeof(unit->name), "app.service");
	unit->state = UNIT_FAILED;
	finding = look(&bench, SECONDS(1001));
	assert_int_equal(finding->verdict, VERDICT_TRUE);
	assert_int_equal(finding->kind, KIND_SERVICE_DOWN);
	unit->state = UNIT_ACTIVE;
	assert_int_equal(look(&bench, SECONDS(1002))->verdict, VERDICT_FALSE);
	tear_down(&bench);
}

static void nearness_is_told_before_the_threshold(void **state)
{
	struct bench bench = set_up("policies:\n"
				    "  - name: big\n"
				    "    when: {process: {comm: hog, memory: {above: 1000MiB}}}\n");
	scene_process(bench.snap, 42, "hog", MIB(800), 0);
	look(&bench, SECONDS(1000));
	assert_int_equal(bench.findings->nearest_permille, 800);
	tear_down(&bench);
}

/* --- causes ------------------------------------------------------------------------------------------------------------ */

static struct finding finding_about(enum incident_kind kind, enum target_type type, uint32_t dev)
{
	struct finding finding = { .kind = kind, .verdict = VERDICT_TRUE };
	finding.target.type = type;
	finding.target.dev = dev;
	return finding;
}

static void grower_is_the_cause_and_not_the_largest(void **state)
{
	struct snapshot *snap = scene_new();
	scene_process(snap, 10, "database", MIB(8000), 0);
	scene_process(snap, 11, "leaker", MIB(900), (int64_t)MIB(600));
	scene_process(snap, 12, "cache", MIB(3000), (int64_t)MIB(20));
	struct finding finding = finding_about(KIND_MEMORY_EXHAUSTION, TARGET_NODE, 0);
	struct cause causes[MAX_CAUSES];
	uint32_t count = rank_causes(snap, NULL, NULL, &finding, causes);
	assert_int_equal(count, 2);
	assert_string_equal(causes[0].comm, "leaker");
	assert_int_equal(causes[0].share_permille, 968);
	assert_int_equal(causes[0].rank, 1);
	free(snap);
}

static void a_cause_says_whose_container_it_is(void **state)
{
	struct snapshot *snap = scene_new();
	scene_process(snap, 11, "leaker", MIB(900), (int64_t)MIB(600))->cgroup_id = 78;
	scene_process(snap, 12, "other", MIB(900), (int64_t)MIB(60))->cgroup_id = 79;
	snap->cgroups.count = 2;
	snap->cgroups.each[0] = (struct cgroup){ .id = 78, .path = "/kubepods/x", .container = "0123" };
	snap->cgroups.each[1] = (struct cgroup){ .id = 79, .path = "/system.slice/a.service", .unit = "a.service" };
	snap->identities.count = 1;
	snap->identities.each[0] = (struct cgroup_identity){ .id = 78, .container = "app", .pod = "web-1", .namespace = "shop" };

	struct finding finding = finding_about(KIND_MEMORY_EXHAUSTION, TARGET_NODE, 0);
	struct cause causes[MAX_CAUSES];
	assert_int_equal(rank_causes(snap, NULL, NULL, &finding, causes), 2);
	assert_string_equal(causes[0].container_id, "0123");
	assert_string_equal(causes[0].container, "app");
	assert_string_equal(causes[0].pod, "web-1");
	assert_string_equal(causes[0].namespace, "shop");
	assert_string_equal(causes[1].unit, "a.service");
	assert_string_equal(causes[1].pod, "");
	free(snap);
}

static void one_that_has_stopped_growing_is_not_the_cause(void **state)
{
	struct snapshot *snap = scene_new();
	scene_process(snap, 10, "started", MIB(700), (int64_t)MIB(700))->rss_growing_bytes = 0;
	scene_process(snap, 11, "leaker", MIB(300), (int64_t)MIB(300))->rss_growing_bytes = (int64_t)MIB(20);
	struct finding finding = finding_about(KIND_MEMORY_EXHAUSTION, TARGET_NODE, 0);
	struct cause causes[MAX_CAUSES];
	assert_int_equal(rank_causes(snap, NULL, NULL, &finding, causes), 1);
	assert_string_equal(causes[0].comm, "leaker");
	free(snap);
}

static void size_is_the_evidence_when_nobody_grows(void **state)
{
	struct snapshot *snap = scene_new();
	scene_process(snap, 10, "database", MIB(3000), 0);
	scene_process(snap, 11, "other", MIB(1000), (int64_t)MIB(1));
	struct finding finding = finding_about(KIND_MEMORY_EXHAUSTION, TARGET_NODE, 0);
	struct cause causes[MAX_CAUSES];
	assert_int_equal(rank_causes(snap, NULL, NULL, &finding, causes), 2);
	assert_string_equal(causes[0].comm, "database");
	assert_int_equal(causes[0].share_permille, 750);
	free(snap);
}

static void add_writer(struct snapshot *snap, uint32_t dev, int32_t pid, uint64_t recent)
{
	struct writer *writer = &snap->writers.each[snap->writers.count++];
	*writer = (struct writer){ .dev = dev, .pid = pid, .start_ns = (uint64_t)pid * 1000, .bytes_recent = recent, .bytes_total = recent };
	snprintf(writer->comm, sizeof(writer->comm), "w%d", pid);
}

static void writers_of_other_filesystems_do_not_count(void **state)
{
	struct snapshot *snap = scene_new();
	add_writer(snap, 1, 10, MIB(500));
	add_writer(snap, 2, 11, MIB(50));
	add_writer(snap, 2, 12, MIB(1));
	struct finding finding = finding_about(KIND_DISK_EXHAUSTION, TARGET_FILESYSTEM, 2);
	struct cause causes[MAX_CAUSES];
	assert_int_equal(rank_causes(snap, NULL, NULL, &finding, causes), 2);
	assert_int_equal(causes[0].pid, 11);
	assert_int_equal(causes[0].share_permille, 980);
	free(snap);
}

static void best_five_of_many_in_order_with_shares_of_all(void **state)
{
	struct snapshot *snap = scene_new();
	for (int32_t i = 0; i < 20; i++)
		add_writer(snap, 1, 100 + i, MIB((i * 7) % 20 + 1));
	struct finding finding = finding_about(KIND_DISK_EXHAUSTION, TARGET_FILESYSTEM, 1);
	struct cause causes[MAX_CAUSES];
	assert_int_equal(rank_causes(snap, NULL, NULL, &finding, causes), MAX_CAUSES);
	for (uint32_t i = 1; i < MAX_CAUSES; i++)
		assert_true(causes[i - 1].share_permille >= causes[i].share_permille);
	assert_int_equal(causes[0].share_permille, 95); /* 20 of 210 */
	assert_int_equal(causes[4].share_permille, 76); /* 16 of 210 */
	free(snap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raises_only_after_its_time),
		cmocka_unit_test(dip_starts_the_time_anew),
		cmocka_unit_test(stays_until_its_clear_level),
		cmocka_unit_test(missing_data_is_unknown_and_ends_the_run),
		cmocka_unit_test(nobody_looked_in_between_is_not_held),
		cmocka_unit_test(wall_clock_does_not_matter),
		cmocka_unit_test(severity_goes_with_the_level),
		cmocka_unit_test(most_of_the_samples_are_enough),
		cmocka_unit_test(a_sample_beyond_the_window_is_forgotten),
		cmocka_unit_test(fast_ticks_are_no_samples_of_their_own),
		cmocka_unit_test(what_goes_back_by_itself_is_not_told),
		cmocka_unit_test(one_that_falls_too_slowly_is_told),
		cmocka_unit_test(gone_target_is_said_to_be_over),
		cmocka_unit_test(stale_list_is_unknown_for_a_target_not_met),
		cmocka_unit_test(all_needs_all_and_unknown_is_not_true),
		cmocka_unit_test(any_needs_one_and_unknown_does_not_hide_it),
		cmocka_unit_test(what_is_no_target_any_more_is_forgotten),
		cmocka_unit_test(reused_pid_is_another_process),
		cmocka_unit_test(group_policy_sums_and_names_only_its_groups),
		cmocka_unit_test(kernel_threads_are_never_targets),
		cmocka_unit_test(unit_that_systemd_does_not_answer_for_is_unknown),
		cmocka_unit_test(nearness_is_told_before_the_threshold),
		cmocka_unit_test(grower_is_the_cause_and_not_the_largest),
		cmocka_unit_test(a_cause_says_whose_container_it_is),
		cmocka_unit_test(one_that_has_stopped_growing_is_not_the_cause),
		cmocka_unit_test(size_is_the_evidence_when_nobody_grows),
		cmocka_unit_test(writers_of_other_filesystems_do_not_count),
		cmocka_unit_test(best_five_of_many_in_order_with_shares_of_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
