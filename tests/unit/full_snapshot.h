/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot with something in every section, and names as hostile as they come; for the tests of the outputs. */
#ifndef NODEMEND_TESTS_FULL_SNAPSHOT_H
#define NODEMEND_TESTS_FULL_SNAPSHOT_H

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "config.h"
#include "snapshot.h"

#define FULL_SNAPSHOT_BOOT_NS (1000 * NSEC_PER_SEC)
#define HOSTILE_COMM "a\"b\\c\n\x1b[2J\xff"

static inline void fill_collectors(struct snapshot *snap)
{
	snap->collector_count = COLLECTOR_COUNT;
	for (int i = 0; i < COLLECTOR_COUNT; i++) {
		struct collector_status *status = &snap->collectors[i];
		snprintf(status->name, sizeof(status->name), "%s", collector_names[i]);
		status->state = COLLECTOR_UP;
		strcpy(status->source, "procfs");
		status->collect_ns = 12345;
	}
	snap->collectors[COLLECTOR_TASK].state = COLLECTOR_DEGRADED;
	snap->collectors[COLLECTOR_UNIT].state = COLLECTOR_OFF;
	snap->collectors[COLLECTOR_SYSCALL].events_lost = 3;
}

static inline void fill_host(struct snapshot *snap, uint64_t now)
{
	snap->cpu = (struct cpu_section){ .measured_ns = now, .online = 2, .possible = 4, .used_permille = 125, .context_switches = 9,
		.interrupts = 8,
					  .forks = 7, .boot_time_s = 1795485165, .running = 1, .load1_milli = 1250, .load5_milli = 10,
						.load15_milli = 0 };
	for (int i = 0; i < 2; i++)
		snap->cpu.each[i] = (struct cpu_times){ .user_ns = 1500000000, .system_ns = 20000000, .idle_ns = 2451590000000,
			.iowait_ns = 170000000 };

	memset(&snap->memory, 0xff, sizeof(snap->memory)); /* all UNKNOWN */
	snap->memory.measured_ns = now;
	snap->memory.total = 16ULL << 30;
	snap->memory.available = 8ULL << 30;
	snap->memory.pgfault = 12345;
	snap->memory.oom_kill = 2;

	snap->psi.measured_ns = now;
	snap->psi.has_full[PSI_MEMORY] = snap->psi.has_full[PSI_IO] = true;
	snap->psi.some[PSI_MEMORY] = (struct psi_line){ .avg10_centi = 1234, .total_ns = 4645924000 };

	snap->filesystems.measured_ns = now;
	snap->filesystems.count = 3;
	struct filesystem *data = &snap->filesystems.each[0], *odd = &snap->filesystems.each[1], *stuck = &snap->filesystems.each[2];
	*data = (struct filesystem){ .measured_ns = now, .dev = 0x700001, .size = 512 << 20, .free = 100 << 20, .avail = 80 << 20,
		.files = 1000,
				     .files_free = 900, .dirtied_total = 5000, .exhausted_in_ns = 412500000000,
					.exhausted_confidence_permille = 900 };
	strcpy(data->mountpoint, "/data");
	strcpy(data->device, "/dev/loop0");
	strcpy(data->type, "ext4");
	*odd = (struct filesystem){ .measured_ns = now, .dev = 0x700002, .size = 1 << 20, .read_only = true, .exhausted_in_ns = UNKNOWN };
	strcpy(odd->mountpoint, "/mnt/\xe9t\xc3\xa9 \"x\"\\\n");
	strcpy(odd->device, "none");
	strcpy(odd->type, "tmpfs");
	*stuck = (struct filesystem){ .dev = 0x700003, .stuck_ns = 3 * NSEC_PER_SEC, .exhausted_in_ns = UNKNOWN };
	strcpy(stuck->mountpoint, "/nfs");
	strcpy(stuck->device, "server:/x");
	strcpy(stuck->type, "nfs4");

	snap->bottleneck = (struct bottleneck_section){ .measured_ns = now, .limiting = 1, .sentence = "disk vda: 97 % busy", .count = 2 };
	snap->bottleneck.each[0] = (struct resource_use){ .kind = RESOURCE_CPU, .utilisation = 0.125, .saturation = 0.02, .errors = UNKNOWN };
	snap->bottleneck.each[1] = (struct resource_use){ .kind = RESOURCE_DISK, .name = "vda", .utilisation = 0.97, .saturation = 12.5, .errors = 3 };
	snap->disks = (struct disk_section){ .measured_ns = now, .count = 1 };
	snap->disks.each[0] = (struct disk){ .name = "vda", .reads = 36887, .read_bytes = 1795195904, .read_ns = 15514000000 };
	snap->interfaces = (struct interface_section){ .measured_ns = now, .count = 2 };
	snap->interfaces.each[0] = (struct interface){ .name = "lo", .speed_bits = UNKNOWN, .mtu = 65536, .rx_bytes = 42 };
	snap->interfaces.each[1] = (struct interface){ .name = "eth0", .up = true, .speed_bits = 1000000000, .mtu = 1400 };
}

static inline void fill_memory_trouble(struct snapshot *snap, uint64_t now)
{
	snap->oom.measured_ns = snap->kills.measured_ns = snap->reclaim.measured_ns = snap->pagecache.measured_ns = now;
	snap->oom.count = 2;
	snap->oom.lost[OOM_SCOPE_NODE] = 1;
	snap->oom.each[0] = (struct oom_row){ .cgroup_id = 77, .kills = 3, .scope = OOM_SCOPE_CGROUP, .path = "/system.slice/app.service" };
	snap->oom.each[1] = (struct oom_row){ .cgroup_id = 99, .kills = 2, .scope = OOM_SCOPE_CGROUP, .path = "/system.slice/app.service" };
	snap->kills.ended[KILLER_KERNEL_OOM][9] = 5;
	snap->kills.ended[KILLER_SELF][40] = 1;
	for (int kind = 0; kind < STALL_KINDS; kind++) {
		struct stall_node *node = &snap->reclaim.node[kind];
		node->sums = (struct stall){ .count = 4, .ns = 8000000, .pages = 10 };
		node->latency.sum_ns = 8000000;
		node->latency.buckets[histogram_bucket(2000000)] = 4;
	}
	snap->reclaim.count = 1;
	snap->reclaim.each[0].id = 77;
	snap->reclaim.each[0].stalls.of[STALL_RECLAIM_LIMIT] = (struct stall){ .count = 3, .ns = 6000000, .pages = 8 };
	snap->pagecache.tells_accesses = true;
	snap->pagecache.node = (struct pagecache_use){ .accessed_bytes = 40960, .filled_bytes = 8192 };
	snap->pagecache.count = 1;
	snap->pagecache.each[0] = (struct cache_user){ .id = 77, .use = { .accessed_bytes = 4096, .filled_bytes = 4096 } };
}

#define POD_CGROUP "/kubepods/burstable/pod3a1f4c1e-8c7b-4d62-9d5a-6f6d1c0b2a3e/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A pod's container beside the service, and a user's session. */
static inline void fill_identities(struct snapshot *snap, uint64_t now)
{
	struct cgroup plain = { .processes = 1, .rss_bytes = 2048, .memory_growth_bytes = INT64_MIN, .refaults = UNKNOWN, .files = UNKNOWN,
				.memory_current = UNKNOWN, .memory_max = UNKNOWN, .pids_current = UNKNOWN, .pids_max = UNKNOWN,
				.some_ns = { UNKNOWN, UNKNOWN, UNKNOWN }, .full_ns = { UNKNOWN, UNKNOWN, UNKNOWN } };
	struct cgroup *pod = &snap->cgroups.each[1], *session = &snap->cgroups.each[2];

	snap->cgroups.count = 3;
	*pod = *session = plain;
	pod->id = 78;
	strcpy(pod->path, POD_CGROUP);
	strcpy(pod->container, strrchr(POD_CGROUP, '/') + 1);
	session->id = 79;
	strcpy(session->path, "/user.slice/user-1000.slice/session-3.scope");
	strcpy(session->unit, "session-3.scope");
	snap->identities.measured_ns = now;
	snap->identities.count = 1;
	snap->identities.each[0] = (struct cgroup_identity){ .id = 78, .runtime = RUNTIME_CONTAINERD, .container = "app", .namespace = "shop",
		.pod = "web-7d9f-x2x", .pod_uid = "3a1f4c1e-8c7b-4d62-9d5a-6f6d1c0b2a3e" };
}

/* Cgroup 77 is shown; 0 is the rest, and 5 one that has no name any more. */
static inline void fill_syscall_rows(struct snapshot *snap, uint64_t now)
{
	snap->syscalls.slow_total = 7;
	snap->syscalls.slow_lost = 1;
	snap->syscall_errors = (struct syscall_error_section){ .measured_ns = now, .count = 2 };
	snap->syscall_errors.each[0] = (struct syscall_error){ .nr = 1, .error = 2, .count = 1 };
	snap->syscall_errors.each[1] = (struct syscall_error){ .nr = 3, .error = SYSCALL_ERRNO_RESTART, .count = 1 };
	snap->syscall_cgroups = (struct syscall_cgroup_section){ .measured_ns = now, .count = 3 };
	snap->syscall_cgroups.each[0] = (struct syscall_cgroup_row){ .nr = 0, .count = 2, .sum_ns = 1000000 };
	snap->syscall_cgroups.each[1] = (struct syscall_cgroup_row){ .cgroup_id = 5, .nr = 0, .count = 3, .errors = 1, .sum_ns = 1000000 };
	snap->syscall_cgroups.each[2] = (struct syscall_cgroup_row){ .cgroup_id = 77, .nr = 0, .class = SYSCALL_WAITING, .count = 7, .sum_ns = 2000000 };
	snap->syscall_in_flight = (struct syscall_in_flight_section){ .measured_ns = now, .count = 2 };
	snap->syscall_in_flight.each[0] = (struct syscall_in_flight){ .cgroup_id = 5, .nr = 7, .class = SYSCALL_WAITING, .threads = 4, .oldest_ns = 5000000000 };
	snap->syscall_in_flight.each[1] = (struct syscall_in_flight){ .cgroup_id = 77, .nr = 74, .threads = 1, .oldest_ns = 600000000000 };
	snap->syscall_deep = (struct syscall_deep_section){ .measured_ns = now, .count = 1 };
	snap->syscall_deep.each[0] = (struct syscall_deep_row){ .cgroup_id = 77, .nr = 0, .latency.sum_ns = 300 };
	snap->syscall_deep.each[0].latency.buckets[histogram_bucket(300)] = 1;
}

static inline void fill_kernel(struct snapshot *snap, uint64_t now, uint32_t syscalls, uint32_t processes)
{
	snap->syscalls.measured_ns = now;
	snap->syscalls.count = syscalls < MAX_SYSCALLS ? syscalls : MAX_SYSCALLS;
	for (uint32_t i = 0; i < snap->syscalls.count; i++) {
		struct syscall_stat *stat = &snap->syscalls.each[i];
		*stat = (struct syscall_stat){ .nr = (uint16_t)i, .abi = SYSCALL_ABI_64, .count = 12, .errors = i % 2, .timed = 12,
						 .latency.sum_ns = 4000000 };
		stat->latency.buckets[histogram_bucket(200)] = 3;
		stat->latency.buckets[histogram_bucket(300)] = 6;
		stat->latency.buckets[HISTOGRAM_BUCKETS - 1] = 3;
	}

	fill_syscall_rows(snap, now);

	struct process_section *section = &snap->processes;
	section->measured_ns = now;
	section->count = processes;
	section->threads = processes * 2;
	section->lives = (union lives){ .forks = 21, .execs = 20, .exits = { [EXIT_OK] = 17, [EXIT_SIGNAL] = 2 } };
	section->exit_signals[9] = 2;
	section->exited = (union usage){ .cpu_ns = 5000000000, .read_bytes = 4096 };
	section->states[0] = 1;
	section->states[1] = processes;
	section->zombies = 3;
	section->zombie_parent_count = 1;
	section->zombie_parents[0] = (struct zombie_parent){ .pid = 2, .zombies = 3, .cgroup_id = 77, .comm = HOSTILE_COMM };
	section->hung_10s = 1;
	section->held_count = 1;
	section->held[0] = (struct held_thread){ .pid = 3, .tid = 3, .cgroup_id = 77, .held_ns = 12500000000, .comm = "nfsd" };
	section->pid_max = 32768;
	section->threads_max = section->files_max = UNKNOWN;
	section->files_allocated = 592;
	section->attribution[ATTRIBUTED_CPU] = (struct attribution){ .node = 60 * NSEC_PER_SEC, .groups = 59 * NSEC_PER_SEC };
	section->attribution[ATTRIBUTED_READ].node = section->attribution[ATTRIBUTED_WRITTEN].node = UNKNOWN;
	for (uint32_t i = 0; i < processes; i++) {
		section->each[i] = (struct process){ .pid = (int32_t)(i + 1), .cgroup_id = 77, .threads = 2, .cpu_ns = i * 1000,
			.cpu_recent_ns = i, .files = i ? i : FILES_UNKNOWN, .files_max = UNKNOWN,
						     .rss_bytes = (processes - i) << 12 };
		snprintf(section->each[i].comm, COMM_LEN, i ? "worker-%u" : HOSTILE_COMM, i);
	}
	snap->cgroups.measured_ns = now;
	snap->cgroups.count = 1;
	snap->cgroups.each[0] = (struct cgroup){ .id = 77, .path = "/system.slice/app.service", .unit = "app.service", .processes = 3,
						 .rss_bytes = 4096, .rss_growth_bytes = 1500, .memory_growth_bytes = INT64_MIN, .refaults = 12,
						 .memory_current = 8192, .memory_max = UNKNOWN, .cpu_ns = 7 * NSEC_PER_SEC,
						 .lives = { .forks = 9, .exits = { [EXIT_ERROR] = 4 } }, .files = 17, .pids_current = 3,
						 .pids_max = UNKNOWN, .some_ns = { 1500000000, UNKNOWN, UNKNOWN },
						 .full_ns = { UNKNOWN, UNKNOWN, UNKNOWN } };
	snap->cgroups.rest_used.cpu_ns = NSEC_PER_SEC;
	snap->cgroups.rest_lives.forks = 12;

	fill_identities(snap, now);
	fill_memory_trouble(snap, now);

	snap->writers.measured_ns = now;
	snap->writers.count = 2;
	snap->writers.each[0] = (struct writer){ .dev = 0x700001, .pid = 1, .cgroup_id = 77, .comm = HOSTILE_COMM, .bytes_total = 4000 };
	snap->writers.each[1] = (struct writer){ .dev = 0x700001, .pid = 2, .cgroup_id = 5, .comm = "dd", .bytes_total = 900 };
}

static inline void fill_network(struct snapshot *snap, uint64_t now)
{
	struct peer_key peer = { .cgroup_id = 77, .address = { [10] = 0xff, 0xff, 10, 1, 2, 3 }, .port = 5432, .direction = TCP_OUT };
	struct tcp_counts counts = { .connections = 4, .failures[TCP_END_REFUSED] = 1, .ends[TCP_END_FIN] = 3, .sent_bytes = 900,
		.received_bytes = 8000, .retransmits = 2, .rtt_sum_us = 1500, .rtt_count = 3, .connect_sum_ns = 2000000, .connect_count = 4 };

	snap->sockets = (struct socket_section){ .measured_ns = now, .count = 1, .total.bytes[SOCKET_TCP_SENT] = 1000 };
	snap->sockets.each[0] = (struct socket_process){ .pid = 2, .cgroup_id = 77, .counts.bytes[SOCKET_TCP_SENT] = 900, .comm = HOSTILE_COMM };
	snap->socket_cgroups.measured_ns = now;
	snap->socket_cgroups.count = 1;
	snap->socket_cgroups.each[0] = (struct socket_cgroup){ .id = 77, .counts.bytes[SOCKET_TCP_SENT] = 900 };

	snap->tcp.measured_ns = snap->peers.measured_ns = snap->listeners.measured_ns = now;
	snap->tcp.count = snap->peers.count = snap->listeners.count = 1;
	snap->tcp.total[TCP_OUT] = counts;
	snap->tcp.total[TCP_OUT].connections = 10;
	snap->tcp.listen_overflows = 5;
	snap->tcp.listen_drops = UNKNOWN;
	snap->tcp.histograms[TCP_HISTOGRAM_RTT].buckets[histogram_bucket(500000)] = 3;
	snap->tcp.each[0] = (struct tcp_cgroup){ .key = { .cgroup_id = 77, .direction = TCP_OUT }, .counts = counts };
	snap->peers.each[0] = (struct peer){ .key = peer, .counts = counts };
	snap->listeners.each[0] = (struct listener){ .cgroup_id = 77, .port = 80, .sockets = 1, .backlog = 3, .limit = 128 };

	snap->drops.measured_ns = snap->drop_devices.measured_ns = now;
	snap->drops.count = snap->drop_devices.count = 1;
	snap->drops.each[0] = (struct drop_reason){ .name = "NO_SOCKET", .counts.packets[DROP_IPV6] = 9 };
	snap->drop_devices.each[0] = (struct drop_device){ .index = 1, .name = "lo", .packets = 7 };

	snap->logs.measured_ns = snap->crashes.measured_ns = now;
	snap->logs.count_count = snap->logs.source_count = 2;
	snap->logs.counts[0] = (struct log_count){ .pattern = "oom-kill", .source = "kernel", .matches = 3 };
	snap->logs.counts[1] = (struct log_count){ .pattern = "jobs", .source = HOSTILE_COMM };
	snap->logs.sources[0] = (struct log_source_row){ .name = "kernel", .lines = 7, .bytes = 700, .skipped_lines = 2 };
	snap->logs.sources[1] = (struct log_source_row){ .name = "kernel", .lines = 1, .bytes = 100 };
	snap->crashes.total = 4;
	snap->dns.measured_ns = now;
	snap->dns.count = 1;
	snap->dns.total[3] = (struct dns_counts){ .requests = 6, .sum_ns = 60000000 };
	snap->dns.each[0] = (struct dns_row){ .key = { .cgroup_id = 77, .server = { [15] = 1 }, .result = 3 },
					      .counts = { .requests = 4, .sum_ns = 50000000 } };
}

static inline void fill_storage(struct snapshot *snap, uint64_t now)
{
	snap->block_devices = (struct block_device_section){ .measured_ns = now, .count = 1 };
	snap->block_devices.each[0] = (struct block_device_state){ .dev = 0xfe00000, .name = "vda", .in_flight = 1, .max_in_flight = 3,
		.mean_in_flight_milli = 1500, .oldest_ns = 2500000 };
	snap->block_stats.measured_ns = now;
	snap->block_stats.has_histograms = true;
	snap->block_stats.count = 1;
	struct block_counts *counts = &snap->block_stats.each[0].counts;
	snap->block_stats.each[0] = (struct block_stat){ .dev = 0xfe00000, .op = BLOCK_OP_WRITE };
	*counts = (struct block_counts){ .ops = 5, .bytes = 20480, .device_ns = 5000000, .queued = 5, .queue_ns = 50000, .requeues = 1 };
	counts->errors[BLOCK_ERROR_EIO] = 2;
	counts->latency.sum_ns = 5000000;
	counts->latency.buckets[histogram_bucket(1000000)] = 5;
	counts->queue.sum_ns = 50000;
	counts->queue.buckets[histogram_bucket(10000)] = 5;
	snap->block_groups.measured_ns = now;
	snap->block_groups.count = 3;
	snap->block_groups.each[0] = (struct block_group){ .dev = 0xfe00000, .op = BLOCK_OP_WRITE, .bytes = 4096, .ops = 1, .device_ns = 1000000 };
	snap->block_groups.each[1] = (struct block_group){ .cgroup_id = 5, .dev = 0xfe00000, .op = BLOCK_OP_WRITE, .bytes = 8192, .ops = 2,
		.device_ns = 2000000 };
	snap->block_groups.each[2] = (struct block_group){ .cgroup_id = 77, .dev = 0xfe00000, .op = BLOCK_OP_WRITE, .bytes = 8192, .ops = 2,
		.device_ns = 2000000, .source = BLOCK_SOURCE_WRITEBACK };

	snap->growth = (struct growth_section){ .measured_ns = now, .filesystem_count = 1, .count = 1 };
	snap->growth.filesystems[0] = (struct grown_filesystem){ .dev = 0x700001, .grown_total = 10000 };
	snap->growth.each[0] = (struct grown_file){ .ino = 12, .dev = 0x700001, .pid = 1, .cgroup_id = 77, .comm = HOSTILE_COMM,
		.path = "…/log \"x\"\\\n/\xff.log", .grown_total = 9000, .grown_recent = 900 };
	snap->deleted = (struct deleted_section){ .measured_ns = now, .looked_ns = 230000, .filesystem_count = 1, .count = 1 };
	snap->deleted.filesystems[0] = (struct deleted_filesystem){ .dev = 0x700001, .files = 1, .bytes = 1 << 20 };
	snap->deleted.each[0] = (struct deleted_holder){ .cgroup_id = 77, .dev = 0x700001, .pid = 1, .comm = HOSTILE_COMM, .bytes = 1 << 20,
		.files = 1 };
	snap->fsops = (struct fsop_section){ .measured_ns = now, .has_histograms = true, .count = 2 };
	snap->fsops.each[0] = (struct fsop_stat){ .op = FSOP_MSYNC, .counts = { .count = 1, .total_ns = 1000 } };
	snap->fsops.each[0].counts.latency.buckets[histogram_bucket(1000)] = 1;
	snap->fsops.each[1] = (struct fsop_stat){ .dev = 0x700001, .op = FSOP_FSYNC, .counts = { .count = 3, .errors = 1, .total_ns = 30000 } };
	snap->fsops.each[1].counts.latency.buckets[histogram_bucket(10000)] = 3;
	snap->fsop_groups = (struct fsop_group_section){ .measured_ns = now, .count = 2 };
	snap->fsop_groups.each[0] = (struct fsop_group){ .op = FSOP_FSYNC, .count = 1, .total_ns = 10000 };
	snap->fsop_groups.each[1] = (struct fsop_group){ .cgroup_id = 77, .op = FSOP_FSYNC, .count = 2, .total_ns = 20000 };
}

static inline void fill_sched(struct snapshot *snap, uint64_t now)
{
	struct sched_section *section = &snap->sched;

	section->measured_ns = section->histograms_ns = now;
	section->histograms.wait.sum_ns = 4000;
	section->histograms.wait.buckets[histogram_bucket(1000)] = 4;
	section->cpus = 2;
	section->burst_permille[0] = 935;
	section->burst_permille[1] = UINT16_MAX;
	section->has_threads = true;
	section->rest.voluntary = 5;
	section->count = 2;
	section->each[0] = (struct blame_group){ .cgroup_id = 5, .sums.ns[BLAME_SLEEP] = 1000000, .sums.voluntary = 7 };
	section->each[1] = (struct blame_group){ .cgroup_id = 77, .sums.ns[BLAME_ON_CPU] = 2500000000, .sums.migrations = 3 };
	snap->preemptions = (struct preemption_section){ .measured_ns = now, .total = 12, .total_wait_ns = 9000, .count = 1 };
	snap->preemptions.each[0] = (struct preemption){ .victim = 77, .aggressor = 77, .count = 4, .wait_ns = 4000 };
	snap->deep_waits = (struct deep_wait_section){ .measured_ns = now, .count = 1 };
	snap->deep_waits.each[0].cgroup_id = 77;
	snap->deep_waits.each[0].wait.buckets[histogram_bucket(1000)] = 2;
	snap->bandwidths = (struct bandwidth_section){ .measured_ns = now, .count = 1 };
	snap->bandwidths.each[0] = (struct bandwidth){ .cgroup_id = 77, .periods = 10, .throttled = 4, .throttled_ns = 250000000 };
	snap->irqs = (struct irq_section){ .measured_ns = now, .count = 1 };
	snap->irqs.softirqs[3] = (struct irq_cost){ .count = 9, .ns = 12000 };
	snap->irqs.each[0] = (struct irq){ .irq = 41, .name = HOSTILE_COMM, .cost = { .count = 2, .ns = 3000 } };
}

/* One of each kind, by and about the worst of names. */
static inline void fill_events(struct snapshot *snap, uint64_t now)
{
	for (enum event_kind kind = 0; kind < EVENT_KIND_COUNT; kind++) {
		struct event *event = event_add(&snap->events, kind);

		event->at_ns = now - (EVENT_KIND_COUNT - kind) * NSEC_PER_SEC;
		event->cgroup_id = 77;
		event->pid = 100 + (int32_t)kind;
		snprintf(event->comm, sizeof(event->comm), "%s", HOSTILE_COMM);
	}
	struct event *each = &snap->events.each[1];
	each[EVENT_SLOW_CALL].of.slow_call = (struct slow_call){ .took_ns = 2500000000, .nr = 74, .descriptor = DESCRIPTOR_FILE, .tid = 101, .error = 5,
		.waits = "jbd2_log_wait_commit < ext4_sync_file" };
	each[EVENT_CONNECTION].of.connection = (struct tcp_record){
		.connection = { .start_ns = now - 9 * NSEC_PER_SEC, .established_ns = now - 9 * NSEC_PER_SEC + 2000000,
			.flows = { [TCP_SENT_BYTES] = 10 }, .peer = { .address = { [10] = 0xff, 0xff, 10, 1, 2, 3 }, .port = 5432 }, .peer_port = 5432 },
		.srtt_us = 500, .end = TCP_END_RESET_RECEIVED };
	each[EVENT_USAGE].of.usage = (struct usage_event){ .ended = 1, .ppid = 1, .exit_code = 256, .start_ns = now - 9 * NSEC_PER_SEC,
		.used.cpu_ns = 12000000000, .slice.cpu_ns = 2000000000 };
	each[EVENT_OOM_KILL].of.oom = (struct oom_record){ .scope = OOM_SCOPE_CGROUP, .limit_cgroup_id = 77, .limit_bytes = 1 << 20, .described = OOM_DESCRIBED,
		.asker = { .pid = 2, .comm = "asker" }, .oom_score_adj = -5 };
	each[EVENT_FATAL_SIGNAL].of.fatal = (struct fatal_signal){ .record = { .signal = 9, .origin = FATAL_BY_TASK, .sender = { .pid = 3, .comm = HOSTILE_COMM } },
		.killer = KILLER_OPERATOR };
}

static inline void fill_self(struct snapshot *snap, uint64_t now)
{
	snap->self = (struct self_section){ .measured_ns = now, .cpu_ns = 1200000000, .resident_bytes = 9 << 20,
		.publisher_cpu_ns = 30000000,
					    .publisher_resident_bytes = 5 << 20, .ticks.sum_ns = 5000000 };
	snap->self.ticks.buckets[histogram_bucket(1000000)] = 5;
	snap->engine.armed[0] = 1;
	snap->engine.armed[1] = UINT8_MAX;
	snap->engine.actions_total[0][1][1] = 4;

	snap->units.measured_ns = now;
	snap->units.count = 1;
	snap->units.each[0] = (struct unit_sample){ .measured_ns = now, .name = "app.service", .state = UNIT_FAILED, .restarts = 2,
		.probe = PROBE_FAILING };
}

static inline void fill_cost(struct snapshot *snap, uint64_t now)
{
	snap->programs.measured_ns = snap->maps.measured_ns = snap->governor.measured_ns = now;
	snap->programs.count = snap->maps.count = 2;
	snap->programs.each[0] = (struct bpf_program_stat){ .name = "syscall_bpf/on_sys_enter", .collector = COLLECTOR_SYSCALL, .run_ns = 1000, .run_count = 4 };
	snap->programs.each[1] = (struct bpf_program_stat){ .name = "census_bpf/on_map", .collector = NO_INDEX };
	snap->maps.each[0] = (struct bpf_map_stat){ .name = "task_bpf/ended", .collector = COLLECTOR_TASK, .entries = 3900, .capacity = 4096, .refused = 17,
						     .bytes = 400000 };
	snap->maps.each[1] = (struct bpf_map_stat){ .name = "syscall_bpf/counts_64", .collector = COLLECTOR_SYSCALL, .entries = UNKNOWN, .refused = UNKNOWN, .capacity = 512,
						    .bytes = 100000 };

	snap->governor.windows = 7;
	snap->governor.processors = 2;
	snap->governor.budget_rate = 20000000;
	snap->governor.kernel_rate = 5000000;
	snap->governor.agent_rate = 2000000;
	snap->governor.publisher_rate = UNKNOWN;
	snap->governor.armed = true;
	snap->governor.arms[ARM_IO] = 3;
	snap->governor.shed_level = 1;
	snap->governor.each[COLLECTOR_SYSCALL] = (struct collector_cost){ .kernel_rate = 5000000, .user_rate = 1000000, .steps_down = 2, .steps_up = 1 };
	for (int i = 0; i < COLLECTOR_COUNT; i++)
		snap->collectors[i].coverage_seen = snap->collectors[i].coverage_expected = UNKNOWN;
	snap->collectors[COLLECTOR_TASK].coverage_seen = 75;
	snap->collectors[COLLECTOR_TASK].coverage_expected = 100;
	snap->collectors[COLLECTOR_SYSCALL].adjustable = true;
	snap->collectors[COLLECTOR_SYSCALL].depth = 1;
}

/* Freed with munmap; zeroed pages that nobody touches cost nothing. */
static inline struct snapshot *empty_snapshot(void)
{
	return mmap(NULL, sizeof(struct snapshot), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static inline void fill_snapshot(struct snapshot *snap, uint64_t seq, uint64_t now, uint32_t syscalls, uint32_t processes)
{
	snap->seq = seq;
	snap->boot_ns = now;
	snap->wall_ns = 1795485165500000000;
	snap->interval_ns = snap->elapsed_ns = NSEC_PER_SEC;
	strcpy(snap->node, "n\"1");
	strcpy(snap->boot_id, "3a6f2c1e-0000-4000-8000-000000000001");
	fill_collectors(snap);
	fill_host(snap, now);
	fill_kernel(snap, now, syscalls, processes);
	fill_network(snap, now);
	fill_storage(snap, now);
	fill_sched(snap, now);
	fill_events(snap, now);
	fill_self(snap, now);
	fill_cost(snap, now);
}

#endif
