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
						 .rss_bytes = 4096, .memory_current = 8192, .memory_max = UNKNOWN };

	snap->writers.measured_ns = now;
	snap->writers.count = 2;
	snap->writers.each[0] = (struct writer){ .dev = 0x700001, .pid = 1, .cgroup_id = 77, .comm = HOSTILE_COMM, .bytes_total = 4000 };
	snap->writers.each[1] = (struct writer){ .dev = 0x700001, .pid = 2, .cgroup_id = 5, .comm = "dd", .bytes_total = 900 };
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
	snap->maps.each[0] = (struct bpf_map_stat){ .name = "task_bpf/ended", .collector = COLLECTOR_TASK, .entries = 3900, .capacity = 4096, .bytes = 400000 };
	snap->maps.each[1] = (struct bpf_map_stat){ .name = "syscall_bpf/counts_64", .collector = COLLECTOR_SYSCALL, .entries = UNKNOWN, .capacity = 512,
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
	fill_self(snap, now);
	fill_cost(snap, now);
}

#endif
