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
	snap->cgroups.count = 3;
	snap->cgroups.each[1] = (struct cgroup){ .id = 78, .path = POD_CGROUP, .processes = 1, .rss_bytes = 2048, .memory_growth_bytes = INT64_MIN,
						 .refaults = UNKNOWN, .memory_current = UNKNOWN, .memory_max = UNKNOWN };
	strcpy(snap->cgroups.each[1].container, strrchr(POD_CGROUP, '/') + 1);
	snap->cgroups.each[2] = (struct cgroup){ .id = 79, .path = "/user.slice/user-1000.slice/session-3.scope", .unit = "session-3.scope",
						 .processes = 1, .rss_bytes = 1024, .memory_growth_bytes = INT64_MIN, .refaults = UNKNOWN,
						 .memory_current = UNKNOWN, .memory_max = UNKNOWN };
	snap->identities.measured_ns = now;
	snap->identities.count = 1;
	snap->identities.each[0] = (struct cgroup_identity){ .id = 78, .runtime = RUNTIME_CONTAINERD, .container = "app", .namespace = "shop",
		.pod = "web-7d9f-x2x", .pod_uid = "3a1f4c1e-8c7b-4d62-9d5a-6f6d1c0b2a3e" };
}

static inline void fill_kernel(struct snapshot *snap, uint64_t now, uint32_t syscalls, uint32_t processes)
{
	snap->syscalls.measured_ns = now;
	snap->syscalls.count = syscalls;
	for (uint32_t i = 0; i < syscalls; i++) {
		struct syscall_stat *stat = &snap->syscalls.each[i];
		*stat = (struct syscall_stat){ .nr = (uint16_t)i, .abi = SYSCALL_ABI_64, .count = 12, .latency.sum_ns = 4000000 };
		stat->errors[ERRNO_CLASS_ENOENT] = i % 2;
		stat->latency.buckets[histogram_bucket(200)] = 3;
		stat->latency.buckets[histogram_bucket(300)] = 6;
		stat->latency.buckets[HISTOGRAM_BUCKETS - 1] = 3;
	}

	struct process_section *section = &snap->processes;
	section->measured_ns = now;
	section->count = processes;
	section->threads = processes * 2;
	section->execs_total = 20;
	section->exits_total = 19;
	section->exits_ok_total = 17;
	section->exits_signal_total = 2;
	for (uint32_t i = 0; i < processes; i++) {
		section->each[i] = (struct process){ .pid = (int32_t)(i + 1), .cgroup_id = 77, .threads = 2, .cpu_ns = i * 1000,
			.cpu_recent_ns = i,
						     .rss_bytes = (processes - i) << 12 };
		snprintf(section->each[i].comm, COMM_LEN, i ? "worker-%u" : HOSTILE_COMM, i);
	}
	snap->cgroups.measured_ns = now;
	snap->cgroups.count = 1;
	snap->cgroups.each[0] = (struct cgroup){ .id = 77, .path = "/system.slice/app.service", .unit = "app.service", .processes = 3,
						 .rss_bytes = 4096, .rss_growth_bytes = 1500, .memory_growth_bytes = INT64_MIN, .refaults = 12, .memory_current = 8192, .memory_max = UNKNOWN };

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

	snap->dns.measured_ns = now;
	snap->dns.count = 1;
	snap->dns.total[3] = (struct dns_counts){ .requests = 6, .sum_ns = 60000000 };
	snap->dns.each[0] = (struct dns_row){ .key = { .cgroup_id = 77, .server = { [15] = 1 }, .result = 3 },
					      .counts = { .requests = 4, .sum_ns = 50000000 } };
}

static inline void fill_self(struct snapshot *snap, uint64_t now)
{
	snap->self = (struct self_section){ .measured_ns = now, .cpu_ns = 1200000000, .resident_bytes = 9 << 20,
		.publisher_cpu_ns = 30000000,
					    .publisher_resident_bytes = 5 << 20, .ticks.sum_ns = 5000000,
						.program_count = 2 };
	snap->self.ticks.buckets[histogram_bucket(1000000)] = 5;
	snap->self.programs[0] = (struct bpf_program_stat){ .name = "on_sys_enter", .run_ns = 1000, .run_count = 4 };
	snap->self.programs[1] = (struct bpf_program_stat){ .name = "on_sys_exit" };
	snap->engine.armed[0] = 1;
	snap->engine.armed[1] = UINT8_MAX;
	snap->engine.actions_total[0][1][1] = 4;

	snap->units.measured_ns = now;
	snap->units.count = 1;
	snap->units.each[0] = (struct unit_sample){ .measured_ns = now, .name = "app.service", .state = UNIT_FAILED, .restarts = 2,
		.probe = PROBE_FAILING };
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
	fill_self(snap, now);
}

#endif
