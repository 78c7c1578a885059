/* SPDX-License-Identifier: Apache-2.0 */
/* Who causes it and who suffers: nodes made by hand whose culprit is known, each beside somebody larger who is innocent. */
#include "scene.h"

#include <sys/syscall.h>

#include "detect/baseline.h"
#include "policy.h"

enum { STEADY = 10, CULPRIT = 11, OTHER = 12 };
#define MS(n) ((uint64_t)(n) * NSEC_PER_MSEC)

struct node {
	struct snapshot *snap;
	struct baseline *baseline;
	struct cause causes[MAX_CAUSES], victims[MAX_VICTIMS];
	uint32_t cause_count, victim_count;
};

static struct process *member(struct snapshot *snap, int32_t pid, const char *comm, uint32_t group)
{
	struct process *process = scene_process(snap, pid, comm, MIB(10), 0);
	process->cgroup_index = group;
	process->cgroup_id = snap->cgroups.each[group].id;
	process->files = 10;
	process->files_max = UNKNOWN;
	return process;
}

static struct cgroup *group(struct snapshot *snap, uint64_t id, const char *path)
{
	struct cgroup *cgroup = scene_cgroup(snap, id, path, MIB(10));
	cgroup->files = 10;
	cgroup->threads = 1;
	return cgroup;
}

/* Three groups with a process each, known for two minutes. */
static struct node set_up(void)
{
	struct node node = { .snap = scene_new(), .baseline = baseline_new() };
	assert_non_null(node.baseline);
	group(node.snap, 110, "/steady.service");
	group(node.snap, 111, "/culprit.service");
	group(node.snap, 112, "/other.service");
	member(node.snap, STEADY, "steady", 0);
	member(node.snap, CULPRIT, "culprit", 1);
	member(node.snap, OTHER, "other", 2);
	scene_at(node.snap, SECONDS(1000));
	return node;
}

static void tear_down(struct node *node)
{
	baseline_free(node->baseline);
	free(node->snap);
}

/* What one process, and its group with it, does in a second. */
static void works(struct snapshot *snap, uint32_t at, uint64_t cpu_ns, uint64_t written)
{
	snap->processes.each[at].cpu_ns += cpu_ns;
	snap->processes.each[at].written_bytes += written;
	snap->cgroups.each[at].cpu_ns += cpu_ns;
	snap->cgroups.each[at].written_bytes += written;
}

static void second_passes(struct node *node)
{
	scene_at(node->snap, node->snap->boot_ns + SECONDS(1));
	baseline_tick(node->baseline, node->snap);
}

static void settle(struct node *node)
{
	for (int i = 0; i < 120; i++) {
		works(node->snap, 0, MS(900), MIB(20));
		works(node->snap, 1, MS(20), 0);
		works(node->snap, 2, MS(50), MIB(1));
		second_passes(node);
	}
}

static struct finding about(enum incident_kind kind)
{
	struct finding finding = { .kind = kind, .verdict = VERDICT_TRUE };
	finding.target.type = TARGET_NODE;
	return finding;
}

static void rank_by(struct node *node, const struct condition *condition, const struct finding *finding)
{
	node->cause_count = rank_causes(node->snap, node->baseline, condition, finding, node->causes);
	node->victim_count = rank_victims(node->snap, node->baseline, finding, node->causes, node->cause_count, node->victims);
}

static void rank_kind(struct node *node, enum incident_kind kind)
{
	struct finding finding = about(kind);
	rank_by(node, NULL, &finding);
}

/* --- by change ---------------------------------------------------------------------------------------------------------- */

static void whose_use_rose_and_not_the_largest(void **state)
{
	struct node node = set_up();
	settle(&node);
	for (int i = 0; i < 5; i++) {
		works(node.snap, 0, MS(900), MIB(20)); /* the largest, as ever */
		works(node.snap, 1, MS(600), 0);
		works(node.snap, 2, MS(50), MIB(1));
		second_passes(&node);
	}
	rank_kind(&node, KIND_CPU_EXHAUSTION);
	assert_true(node.cause_count >= 1);
	assert_string_equal(node.causes[0].comm, "culprit");
	assert_string_equal(node.causes[0].cgroup, "/culprit.service");
	assert_true(node.causes[0].share_permille > 950);
	assert_true(node.causes[0].explains);
	assert_non_null(strstr(node.causes[0].evidence, "in the ten minutes before"));
	tear_down(&node);
}

static void nobody_changed_so_size_is_said_to_be_the_evidence(void **state)
{
	struct node node = set_up();
	settle(&node);
	rank_kind(&node, KIND_CPU_EXHAUSTION);
	assert_string_equal(node.causes[0].comm, "steady");
	assert_non_null(strstr(node.causes[0].evidence, "has changed by much"));
	tear_down(&node);
}

static void a_newcomer_has_used_nothing_before(void **state)
{
	struct node node = set_up();
	settle(&node);
	group(node.snap, 113, "/new.service");
	member(node.snap, 13, "new", 3)->start_ns = node.snap->boot_ns + 1;
	for (int i = 0; i < 5; i++) {
		works(node.snap, 0, MS(900), MIB(20));
		works(node.snap, 3, MS(400), 0);
		second_passes(&node);
	}
	rank_kind(&node, KIND_CPU_EXHAUSTION);
	assert_string_equal(node.causes[0].comm, "new");
	tear_down(&node);
}

static void a_group_of_many_small_ones_is_named_whole(void **state)
{
	struct node node = set_up();
	settle(&node);
	group(node.snap, 113, "/storm.service")->processes = 8;
	for (int32_t pid = 20; pid < 28; pid++)
		member(node.snap, pid, "worker", 3)->start_ns = node.snap->boot_ns + 1;
	for (int i = 0; i < 5; i++) {
		works(node.snap, 0, MS(900), MIB(20));
		for (uint32_t at = 3; at < 11; at++)
			node.snap->processes.each[at].cpu_ns += MS(80);
		node.snap->cgroups.each[3].cpu_ns += MS(800); /* a fifth of it by children that have ended */
		second_passes(&node);
	}
	rank_kind(&node, KIND_CPU_EXHAUSTION);
	assert_int_equal(node.causes[0].pid, 0);
	assert_string_equal(node.causes[0].cgroup, "/storm.service");
	assert_true(node.causes[0].share_permille > 950);
	assert_non_null(strstr(node.causes[0].evidence, "8 processes"));
	tear_down(&node);
}

static void the_root_is_nobody(void **state)
{
	struct node node = set_up();
	settle(&node);
	snprintf(node.snap->cgroups.each[1].path, sizeof(node.snap->cgroups.each[1].path), "/");
	for (int i = 0; i < 5; i++) {
		works(node.snap, 1, MS(500), 0);
		node.snap->cgroups.each[1].cpu_ns += MS(800);
		second_passes(&node);
	}
	rank_kind(&node, KIND_CPU_EXHAUSTION);
	assert_int_equal(node.causes[0].pid, CULPRIT);
	tear_down(&node);
}

/* What ended members used of the first measure names nobody, and is no part of the second. */
static void one_measure_is_no_part_of_anothers_whole(void **state)
{
	struct node node = set_up();
	settle(&node);
	snprintf(node.snap->cgroups.each[1].path, sizeof(node.snap->cgroups.each[1].path), "/");
	for (int i = 0; i < 5; i++) {
		works(node.snap, 0, MS(900), MIB(20));
		works(node.snap, 1, MS(20), 0);
		works(node.snap, 2, MS(50), MIB(1));
		node.snap->cgroups.each[1].cpu_ns += MS(800);
		node.snap->processes.each[2].used.voluntary_switches += 50000;
		node.snap->cgroups.each[2].used.voluntary_switches += 50000;
		second_passes(&node);
	}
	rank_kind(&node, KIND_CPU_EXHAUSTION);
	assert_string_equal(node.causes[0].comm, "other");
	assert_true(node.causes[0].share_permille > 900);
	tear_down(&node);
}

/* A group in which one member took over from another has not changed: its new process is not the cause. */
static void a_group_that_is_as_ever_has_no_culprit(void **state)
{
	struct node node = set_up();
	settle(&node);
	node.snap->processes.each[0].start_ns = node.snap->boot_ns + 1; /* the next one under the same pid */
	node.snap->processes.each[0].cpu_ns = 0;
	for (int i = 0; i < 5; i++) {
		works(node.snap, 0, MS(900), 0);
		works(node.snap, 1, MS(400), 0);
		second_passes(&node);
	}
	rank_kind(&node, KIND_CPU_EXHAUSTION);
	assert_string_equal(node.causes[0].comm, "culprit");
	tear_down(&node);
}

static void the_fewest_that_make_two_thirds_explain_it(void **state)
{
	struct node node = set_up();
	settle(&node);
	for (int i = 0; i < 8; i++) {
		works(node.snap, 0, MS(900 + 420), MIB(20));
		works(node.snap, 1, MS(20 + 400), 0);
		works(node.snap, 2, MS(50 + 200), MIB(1));
		second_passes(&node);
	}
	rank_kind(&node, KIND_CPU_EXHAUSTION);
	assert_int_equal(node.cause_count, 3);
	assert_true(node.causes[0].explains && node.causes[1].explains);
	assert_false(node.causes[2].explains);
	/* Nearly the same amounts: a share that came from nothing is the greater surprise. */
	assert_string_equal(node.causes[0].comm, "culprit");
	tear_down(&node);
}

static void what_rose_after_it_began_is_an_answer_to_it(void **state)
{
	struct node node = set_up();
	settle(&node);
	struct finding finding = about(KIND_CPU_EXHAUSTION);
	finding.since_boot_ns = node.snap->boot_ns + SECONDS(1);
	for (int i = 0; i < 12; i++) {
		works(node.snap, 1, MS(20 + 300), 0);
		works(node.snap, 2, MS(50 + (i > 3 ? 400 : 0)), 0);
		second_passes(&node);
	}
	rank_by(&node, NULL, &finding);
	assert_string_equal(node.causes[0].comm, "culprit");
	finding.since_boot_ns = 0;
	rank_by(&node, NULL, &finding);
	assert_string_equal(node.causes[0].comm, "other");
	tear_down(&node);
}

static void levels_descriptors_threads(void **state)
{
	struct node node = set_up();
	node.snap->processes.each[0].files = 5000;
	node.snap->cgroups.each[0].files = 5000;
	node.snap->processes.each[0].threads = 900;
	node.snap->cgroups.each[0].threads = 900;
	settle(&node);
	node.snap->processes.each[1].files = 700;
	node.snap->cgroups.each[1].files = 700;
	node.snap->processes.each[2].threads = 300;
	node.snap->cgroups.each[2].threads = 300;
	second_passes(&node);
	rank_kind(&node, KIND_FD_EXHAUSTION);
	assert_string_equal(node.causes[0].comm, "culprit");
	assert_int_equal(node.cause_count, 1);
	rank_kind(&node, KIND_PID_EXHAUSTION);
	assert_string_equal(node.causes[0].comm, "other");
	tear_down(&node);
}

static void disks_by_the_time_of_requests_and_members_by_their_bytes(void **state)
{
	struct node node = set_up();
	node.snap->block_groups.count = 4;
	for (uint32_t i = 0; i < 4; i++)
		node.snap->block_groups.each[i] = (struct block_group){ .cgroup_id = 110 + i / 2, .dev = 8, .op = i % 2 };
	member(node.snap, 30, "idle", 1);
	for (int i = 0; i < 125; i++) {
		node.snap->block_groups.each[0].device_ns += MS(400); /* as ever */
		if (i >= 120) {
			works(node.snap, 1, 0, MIB(1));
			node.snap->block_groups.each[2].device_ns += MS(100);
			node.snap->block_groups.each[3].device_ns += MS(200);
		}
		second_passes(&node);
	}
	rank_kind(&node, KIND_IO_SATURATION);
	assert_string_equal(node.causes[0].comm, "culprit");
	assert_true(node.causes[0].share_permille > 950);
	tear_down(&node);
}

static void what_is_counted_in_another_measure_is_not_added_up(void **state)
{
	static const struct condition inodes = { .kind = CONDITION_FILESYSTEM, .measure = MEASURE_INODES_USED_PERCENT };
	struct node node = set_up();
	node.snap->syscall_cgroups.count = 1; /* the other cgroups have no rows: nothing of theirs is known */
	node.snap->syscall_cgroups.each[0] = (struct syscall_cgroup_row){ .cgroup_id = 111, .nr = SYS_openat };
	for (int i = 0; i < 125; i++) {
		node.snap->syscall_cgroups.each[0].count += i >= 120 ? 500 : 1;
		works(node.snap, 0, i >= 120 ? MS(900) : MS(100), 0);
		works(node.snap, 1, MS(10), 0);
		second_passes(&node);
	}
	struct finding finding = about(KIND_DISK_EXHAUSTION);
	rank_by(&node, &inodes, &finding);
	assert_int_equal(node.cause_count, 1);
	assert_string_equal(node.causes[0].cgroup, "/culprit.service");
	tear_down(&node);
}

static void without_cgroups_and_a_past_who_writes_most_is_named(void **state)
{
	struct snapshot *snap = scene_new();
	scene_process(snap, 10, "idle", MIB(10), 0);
	scene_process(snap, 11, "writer", MIB(10), 0)->written_delta_bytes = MIB(30);
	struct finding finding = about(KIND_IO_SATURATION);
	struct cause causes[MAX_CAUSES];
	assert_int_equal(rank_causes(snap, NULL, NULL, &finding, causes), 1);
	assert_string_equal(causes[0].comm, "writer");
	free(snap);
}

static void a_kernel_thread_writes_for_others(void **state)
{
	struct node node = set_up();
	struct process *worker = member(node.snap, 30, "kworker/u8:10", 0);
	worker->kernel_thread = true;
	node.snap->block_groups.count = 2;
	for (uint32_t i = 0; i < 2; i++)
		node.snap->block_groups.each[i] = (struct block_group){ .cgroup_id = 110 + i, .dev = 8, .op = 1 };
	snprintf(node.snap->cgroups.each[0].path, sizeof(node.snap->cgroups.each[0].path), "/");
	for (int i = 0; i < 125; i++) {
		bool fault = i >= 120;
		node.snap->block_groups.each[0].device_ns += fault ? MS(500) : 0;
		node.snap->block_groups.each[1].device_ns += fault ? MS(400) : 0;
		worker->written_bytes += fault ? MIB(50) : 0;
		works(node.snap, 1, 0, fault ? MIB(50) : 0);
		second_passes(&node);
	}
	rank_kind(&node, KIND_IO_SATURATION);
	assert_int_equal(node.cause_count, 1);
	assert_string_equal(node.causes[0].comm, "culprit");
	tear_down(&node);
}

static void network_by_bytes(void **state)
{
	struct node node = set_up();
	node.snap->sockets.count = node.snap->socket_cgroups.count = 3;
	for (uint32_t i = 0; i < 3; i++) {
		node.snap->sockets.each[i].pid = (int32_t)(STEADY + i);
		node.snap->sockets.each[i].start_ns = (STEADY + i) * 1000;
		node.snap->socket_cgroups.each[i].id = 110 + i;
	}
	for (int i = 0; i < 125; i++) {
		uint64_t sent[3] = { MIB(50), i >= 120 ? MIB(20) : 0, MIB(1) };
		for (uint32_t at = 0; at < 3; at++) {
			node.snap->sockets.each[at].counts.bytes[SOCKET_TCP_SENT] += sent[at];
			node.snap->socket_cgroups.each[at].counts.bytes[SOCKET_TCP_SENT] += sent[at];
		}
		second_passes(&node);
	}
	rank_kind(&node, KIND_NETWORK_SATURATION);
	assert_string_equal(node.causes[0].comm, "culprit");
	tear_down(&node);
}

static void an_anomaly_is_asked_of_the_resource_its_metric_names(void **state)
{
	struct node node = set_up();
	settle(&node);
	node.snap->processes.each[2].files = 900;
	node.snap->cgroups.each[2].files = 900;
	for (int i = 0; i < 5; i++) {
		works(node.snap, 1, MS(700), 0);
		second_passes(&node);
	}
	struct finding finding = about(KIND_ANOMALY);
	snprintf(finding.signal.metric, sizeof(finding.signal.metric), "nodemend_open_files");
	rank_by(&node, NULL, &finding);
	assert_string_equal(node.causes[0].comm, "other");
	snprintf(finding.signal.metric, sizeof(finding.signal.metric), "node_cpu_seconds_total");
	rank_by(&node, NULL, &finding);
	assert_string_equal(node.causes[0].comm, "culprit");
	tear_down(&node);
}

/* --- memory -------------------------------------------------------------------------------------------------------------- */

static void a_slow_leak_is_seen_against_the_ten_minutes(void **state)
{
	struct node node = set_up();
	node.snap->processes.each[0].rss_bytes = MIB(4000);
	settle(&node);
	node.snap->processes.each[1].rss_bytes = MIB(60); /* long ago by the 15 s window: nobody grows now */
	rank_kind(&node, KIND_MEMORY_EXHAUSTION);
	assert_string_equal(node.causes[0].comm, "culprit");
	assert_non_null(strstr(node.causes[0].evidence, "10.0 MiB in the ten minutes before"));
	tear_down(&node);
}

static void stalling_at_its_own_limit_is_nobody_elses_doing(void **state)
{
	static const struct condition pressure = { .kind = CONDITION_PSI, .psi_resource = PSI_MEMORY };
	struct node node = set_up();
	node.snap->processes.each[0].rss_bytes = MIB(4000);
	node.snap->processes.each[0].rss_growth_bytes = node.snap->processes.each[0].rss_growing_bytes = (int64_t)MIB(200);
	node.snap->reclaim.count = 1;
	node.snap->reclaim.each[0].id = 111;
	for (int i = 0; i < 125; i++) {
		node.snap->reclaim.each[0].stalls.of[STALL_RECLAIM_LIMIT].ns += i >= 120 ? MS(300) : 0;
		second_passes(&node);
	}
	struct finding finding = about(KIND_MEMORY_EXHAUSTION);
	rank_by(&node, &pressure, &finding);
	assert_int_equal(node.cause_count, 1);
	assert_string_equal(node.causes[0].comm, "culprit");
	assert_true(node.causes[0].self_inflicted);
	assert_non_null(strstr(node.causes[0].evidence, "at its own limit"));
	assert_int_equal(node.victim_count, 0);

	/* The same pressure with the node short: who grows is asked again. */
	for (int i = 0; i < 5; i++) {
		node.snap->reclaim.each[0].stalls.of[STALL_RECLAIM_NODE].ns += MS(600);
		node.snap->reclaim.each[0].stalls.of[STALL_RECLAIM_LIMIT].ns += MS(300);
		second_passes(&node);
	}
	rank_by(&node, &pressure, &finding);
	assert_string_equal(node.causes[0].comm, "steady");
	assert_false(node.causes[0].self_inflicted);
	assert_true(node.victim_count >= 1);
	assert_string_equal(node.victims[0].cgroup, "/culprit.service");
	tear_down(&node);
}

static void reading_through_the_cache_makes_pressure_without_growth(void **state)
{
	static const struct condition pressure = { .kind = CONDITION_PSI, .psi_resource = PSI_MEMORY };
	struct node node = set_up();
	node.snap->processes.each[0].rss_bytes = MIB(4000);
	node.snap->pagecache.count = 1;
	node.snap->pagecache.each[0].id = 111;
	for (int i = 0; i < 125; i++) {
		node.snap->pagecache.each[0].use.filled_bytes += i >= 120 ? MIB(100) : 0;
		node.snap->processes.each[1].read_bytes += i >= 120 ? MIB(100) : 0;
		node.snap->cgroups.each[1].read_bytes += i >= 120 ? MIB(100) : 0;
		second_passes(&node);
	}
	struct finding finding = about(KIND_MEMORY_EXHAUSTION);
	rank_by(&node, &pressure, &finding);
	assert_string_equal(node.causes[0].comm, "culprit");
	tear_down(&node);
}

/* --- who waits ----------------------------------------------------------------------------------------------------------- */

static void who_waits_is_not_who_makes_wait(void **state)
{
	struct node node = set_up();
	settle(&node);
	node.snap->preemptions.count = 1;
	node.snap->preemptions.each[0] = (struct preemption){ .victim = 112, .aggressor = 111, .count = 9, .wait_ns = MS(900) };
	for (int i = 0; i < 6; i++) {
		works(node.snap, 1, MS(1800), 0);
		node.snap->cgroups.each[1].run_delay_ns += MS(500); /* it waits, too: for its own sake */
		node.snap->cgroups.each[2].run_delay_ns += MS(300);
		second_passes(&node);
	}
	rank_kind(&node, KIND_CPU_EXHAUSTION);
	assert_string_equal(node.causes[0].comm, "culprit");
	assert_int_equal(node.victim_count, 1);
	assert_string_equal(node.victims[0].cgroup, "/other.service");
	assert_int_equal(node.victims[0].share_permille, 1000);
	assert_non_null(strstr(node.victims[0].evidence, "give way to /culprit.service"));
	tear_down(&node);
}

static void held_by_its_own_quota_is_nobody_elses_doing(void **state)
{
	static const struct condition pressure = { .kind = CONDITION_PSI, .psi_resource = PSI_CPU };
	struct node node = set_up();
	node.snap->sched.count = 1;
	node.snap->sched.each[0].cgroup_id = 112;
	settle(&node);
	for (int i = 0; i < 6; i++) {
		works(node.snap, 1, MS(300), 0);
		node.snap->sched.each[0].sums.ns[BLAME_THROTTLED] += MS(800);
		second_passes(&node);
	}
	struct finding finding = about(KIND_CPU_EXHAUSTION);
	rank_by(&node, &pressure, &finding);
	assert_int_equal(node.cause_count, 1);
	assert_string_equal(node.causes[0].cgroup, "/other.service");
	assert_true(node.causes[0].self_inflicted);
	/* Asked about use rather than pressure, a quota takes nothing from anybody. */
	rank_by(&node, NULL, &finding);
	assert_string_equal(node.causes[0].comm, "culprit");
	assert_int_equal(node.victim_count, 1);
	assert_true(node.victims[0].self_inflicted);

	/* Where more is waited for processors than for quotas, it is not quotas that the pressure comes from. */
	for (int i = 0; i < 12; i++) {
		works(node.snap, 1, MS(300), 0);
		node.snap->sched.each[0].sums.ns[BLAME_THROTTLED] += MS(800);
		node.snap->cgroups.each[0].run_delay_ns += MS(1500);
		second_passes(&node);
	}
	rank_by(&node, &pressure, &finding);
	assert_string_equal(node.causes[0].comm, "culprit");
	assert_false(node.causes[0].self_inflicted);
	tear_down(&node);
}

static void who_is_blocked_by_a_disk_suffers(void **state)
{
	struct node node = set_up();
	node.snap->sched.count = 1;
	node.snap->sched.each[0].cgroup_id = 112;
	settle(&node);
	for (int i = 0; i < 5; i++) {
		node.snap->sched.each[0].sums.ns[BLAME_BLOCK_IO] += MS(700);
		second_passes(&node);
	}
	rank_kind(&node, KIND_IO_SATURATION);
	assert_int_equal(node.victim_count, 1);
	assert_string_equal(node.victims[0].cgroup, "/other.service");
	assert_non_null(strstr(node.victims[0].evidence, "for block I/O"));
	tear_down(&node);
}

static void a_disks_users_and_a_peers_dependents(void **state)
{
	struct node node = set_up();
	node.snap->disks.count = 1;
	snprintf(node.snap->disks.each[0].name, sizeof(node.snap->disks.each[0].name), "sda");
	node.snap->disks.each[0].dev = 8;
	node.snap->block_groups.count = 3;
	node.snap->block_groups.each[0] = (struct block_group){ .cgroup_id = 111, .dev = 8, .op = 0, .recent_bytes = MIB(3) };
	node.snap->block_groups.each[1] = (struct block_group){ .cgroup_id = 110, .dev = 9, .op = 0, .recent_bytes = MIB(90) };
	node.snap->block_groups.each[2] = (struct block_group){ .cgroup_id = 111, .dev = 8, .op = 1, .recent_bytes = MIB(4) };
	struct finding finding = about(KIND_KERNEL_FAULT);
	finding.target.type = TARGET_DISK;
	snprintf(finding.target.name, sizeof(finding.target.name), "sda");
	rank_by(&node, NULL, &finding);
	assert_int_equal(node.cause_count, 1);
	assert_string_equal(node.causes[0].cgroup, "/culprit.service");
	assert_non_null(strstr(node.causes[0].evidence, "7.0 MiB"));

	node.snap->peers.count = 2;
	for (uint32_t i = 0; i < 2; i++) {
		struct peer *peer = &node.snap->peers.each[i];
		*peer = (struct peer){ .key = { .cgroup_id = 111 + i, .port = i ? 80 : 5432, .direction = TCP_OUT } };
		memcpy(peer->key.address, (uint8_t[16]){ [10] = 0xff, [11] = 0xff, [12] = 10, [15] = 5 }, 16);
	}
	finding = about(KIND_DEPENDENCY_DOWN);
	finding.target.type = TARGET_PEER;
	snprintf(finding.target.name, sizeof(finding.target.name), "10.0.0.5:5432");
	rank_by(&node, NULL, &finding);
	assert_int_equal(node.cause_count, 1);
	assert_string_equal(node.causes[0].cgroup, "/culprit.service");
	tear_down(&node);
}

/* --- the baseline itself ------------------------------------------------------------------------------------------------- */

static void a_suspend_is_no_time_in_which_anything_was_used(void **state)
{
	struct node node = set_up();
	settle(&node);
	struct usage_view before, after;
	assert_true(baseline_process(node.baseline, STEADY, STEADY * 1000, USE_CPU, &before));
	node.snap->processes.each[0].cpu_ns += SECONDS(3000); /* as a counter would look that ran on */
	scene_at(node.snap, node.snap->boot_ns + SECONDS(3600));
	baseline_tick(node.baseline, node.snap);
	assert_true(baseline_process(node.baseline, STEADY, STEADY * 1000, USE_CPU, &after));
	assert_true(after.now <= before.now * 1.01 && after.now >= before.now * 0.99);
	tear_down(&node);
}

static void one_is_used_to_what_was_so_for_half_of_the_time(void **state)
{
	struct node node = set_up();
	settle(&node);
	struct usage_view view;
	for (int i = 0; i < 240; i++) {
		works(node.snap, 1, MS(500), 0);
		second_passes(&node);
	}
	assert_true(baseline_process(node.baseline, CULPRIT, CULPRIT * 1000, USE_CPU, &view));
	assert_true(view.base < 3e7 && view.now > 4.9e8); /* four minutes of it are not yet a habit */
	for (int i = 0; i < 600; i++) {
		works(node.snap, 1, MS(500), 0);
		second_passes(&node);
	}
	assert_true(baseline_process(node.baseline, CULPRIT, CULPRIT * 1000, USE_CPU, &view));
	assert_true(view.base > 4.9e8);
	assert_int_equal(view.risen_ns, 0);
	tear_down(&node);
}

static void who_comes_and_goes_leaves_nothing_behind(void **state)
{
	struct node node = set_up();
	struct usage_view view;
	for (int32_t round = 0; round < 4000; round++) {
		node.snap->processes.count = 2;
		member(node.snap, 1000 + round, "passing", 2)->start_ns = node.snap->boot_ns + 1;
		second_passes(&node);
	}
	assert_int_equal(baseline_cut(node.baseline), 0);
	assert_false(baseline_process(node.baseline, 1000, 0, USE_CPU, &view));
	node.snap->processes.count = 0;
	for (int32_t pid = 1; pid <= 5000; pid++)
		member(node.snap, pid, "many", 2);
	second_passes(&node);
	assert_int_equal(baseline_cut(node.baseline), 5000 - 4096);
	tear_down(&node);
}

/* The kernel has ended the one that grew: of those who are left a newcomer has grown, and did not cause it. */
static void after_an_oom_kill_who_grew_before_it_is_named(void **state)
{
	struct node node = set_up();
	settle(&node);
	node.snap->processes.each[2].rss_growth_bytes = node.snap->processes.each[2].rss_growing_bytes = (int64_t)MIB(40);
	rank_kind(&node, KIND_OOM_KILL);
	assert_string_equal(node.causes[0].comm, "other"); /* no picture is there */

	struct recording *recording = &node.snap->recordings.each[0];
	node.snap->recordings.total = 1;
	*recording = (struct recording){ .at_ns = node.snap->boot_ns - SECONDS(2), .count = 2 };
	recording->each[0].growing_count = 1; /* of an older picture */
	recording->each[0].growing[0] = (struct recorded_process){ .cgroup_id = 110, .growing_bytes = (int64_t)MIB(500), .pid = STEADY, .comm = "steady" };
	recording->each[1].growing_count = 2;
	recording->each[1].growing[0] = (struct recorded_process){ .cgroup_id = 111, .rss_bytes = MIB(400), .growing_bytes = (int64_t)MIB(60), .pid = 77, .comm = "gone" };
	recording->each[1].growing[1] = (struct recorded_process){ .cgroup_id = 112, .rss_bytes = MIB(10), .growing_bytes = (int64_t)MIB(2), .pid = OTHER, .comm = "other" };
	rank_kind(&node, KIND_OOM_KILL);
	assert_int_equal(node.cause_count, 2);
	assert_string_equal(node.causes[0].comm, "gone");
	assert_int_equal(node.causes[0].pid, 77);
	assert_string_equal(node.causes[0].cgroup, "/culprit.service");
	assert_true(node.causes[0].share_permille > 950 && node.causes[0].explains);

	/* In a cgroup that was at its limit only its own members can have filled it. */
	struct finding finding = about(KIND_OOM_KILL);
	finding.target.type = TARGET_CGROUP;
	finding.target.cgroup_id = 112;
	rank_by(&node, NULL, &finding);
	assert_int_equal(node.cause_count, 1);
	assert_string_equal(node.causes[0].comm, "other");

	node.snap->boot_ns += SECONDS(60); /* another kill's picture, of long ago */
	rank_kind(&node, KIND_OOM_KILL);
	assert_string_equal(node.causes[0].comm, "other");
	tear_down(&node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whose_use_rose_and_not_the_largest),
		cmocka_unit_test(nobody_changed_so_size_is_said_to_be_the_evidence),
		cmocka_unit_test(a_newcomer_has_used_nothing_before),
		cmocka_unit_test(a_group_of_many_small_ones_is_named_whole),
		cmocka_unit_test(the_root_is_nobody),
		cmocka_unit_test(one_measure_is_no_part_of_anothers_whole),
		cmocka_unit_test(a_group_that_is_as_ever_has_no_culprit),
		cmocka_unit_test(the_fewest_that_make_two_thirds_explain_it),
		cmocka_unit_test(what_rose_after_it_began_is_an_answer_to_it),
		cmocka_unit_test(levels_descriptors_threads),
		cmocka_unit_test(disks_by_the_time_of_requests_and_members_by_their_bytes),
		cmocka_unit_test(what_is_counted_in_another_measure_is_not_added_up),
		cmocka_unit_test(without_cgroups_and_a_past_who_writes_most_is_named),
		cmocka_unit_test(a_kernel_thread_writes_for_others),
		cmocka_unit_test(network_by_bytes),
		cmocka_unit_test(an_anomaly_is_asked_of_the_resource_its_metric_names),
		cmocka_unit_test(a_slow_leak_is_seen_against_the_ten_minutes),
		cmocka_unit_test(stalling_at_its_own_limit_is_nobody_elses_doing),
		cmocka_unit_test(reading_through_the_cache_makes_pressure_without_growth),
		cmocka_unit_test(who_waits_is_not_who_makes_wait),
		cmocka_unit_test(held_by_its_own_quota_is_nobody_elses_doing),
		cmocka_unit_test(who_is_blocked_by_a_disk_suffers),
		cmocka_unit_test(a_disks_users_and_a_peers_dependents),
		cmocka_unit_test(a_suspend_is_no_time_in_which_anything_was_used),
		cmocka_unit_test(one_is_used_to_what_was_so_for_half_of_the_time),
		cmocka_unit_test(who_comes_and_goes_leaves_nothing_behind),
		cmocka_unit_test(after_an_oom_kill_who_grew_before_it_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
