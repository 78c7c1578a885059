/* SPDX-License-Identifier: Apache-2.0 */
/* See watch_table.h. Use comes from counters, not from the averages beside them: a rate over ten seconds has seen all of them. */
#include "detect/watch_table.h"

#include <stddef.h>

/* A member of a section is named by two words, and neither can stand in parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
#define NODE(name_, kind_, section_, member_) \
	{ .name = (name_), .kind = (kind_), .offset = offsetof(struct snapshot, section_.member_), \
	  .narrow = sizeof(((struct snapshot *)NULL)->section_.member_) == sizeof(uint32_t), .measured = offsetof(struct snapshot, section_.measured_ns) }
#define EACH(name_, kind_, struct_, member_, section_) \
	{ .name = (name_), .kind = (kind_), .offset = offsetof(struct struct_, member_), \
	  .narrow = sizeof(((struct struct_ *)NULL)->member_) == sizeof(uint32_t), .measured = offsetof(struct snapshot, section_.measured_ns) }
#define RATIO(name_, struct_, member_, over_, section_) \
	{ .name = (name_), .kind = WATCH_RATIO, .offset = offsetof(struct struct_, member_), .over = offsetof(struct struct_, over_), \
	  .measured = offsetof(struct snapshot, section_.measured_ns) }
/* NOLINTEND(bugprone-macro-parentheses) */
#define FAMILY(name_, rows_) { .name = (name_), .rows = (rows_), .row_count = sizeof(rows_) / sizeof((rows_)[0]) }

static const struct watch_row node_rows[] = {
	NODE("cpu user ns/s", WATCH_COUNTER, cpu, total.user_ns),
	NODE("cpu system ns/s", WATCH_COUNTER, cpu, total.system_ns),
	NODE("cpu iowait ns/s", WATCH_COUNTER, cpu, total.iowait_ns),
	NODE("cpu softirq ns/s", WATCH_COUNTER, cpu, total.softirq_ns),
	NODE("cpu steal ns/s", WATCH_COUNTER, cpu, total.steal_ns),
	NODE("context switches/s", WATCH_COUNTER, cpu, context_switches),
	NODE("interrupts/s", WATCH_COUNTER, cpu, interrupts),
	NODE("forks/s", WATCH_COUNTER, cpu, forks),
	NODE("tasks running", WATCH_GAUGE, cpu, running),
	NODE("tasks blocked", WATCH_GAUGE, cpu, blocked),
	NODE("runqueue wait ns/s", WATCH_COUNTER, sched, histograms.wait.sum_ns),
	NODE("memory available bytes", WATCH_GAUGE, memory, available),
	NODE("memory cached bytes", WATCH_GAUGE, memory, cached),
	NODE("memory dirty bytes", WATCH_GAUGE, memory, dirty),
	NODE("memory anonymous bytes", WATCH_GAUGE, memory, anon),
	NODE("memory slab bytes", WATCH_GAUGE, memory, slab),
	NODE("swap free bytes", WATCH_GAUGE, memory, swap_free),
	NODE("page faults/s", WATCH_COUNTER, memory, pgfault),
	NODE("major page faults/s", WATCH_COUNTER, memory, pgmajfault),
	NODE("pages swapped out/s", WATCH_COUNTER, memory, pswpout),
	NODE("file refaults/s", WATCH_COUNTER, memory, refault_file),
	NODE("cpu pressure some ns/s", WATCH_COUNTER, psi, some[PSI_CPU].total_ns),
	NODE("memory pressure some ns/s", WATCH_COUNTER, psi, some[PSI_MEMORY].total_ns),
	NODE("memory pressure full ns/s", WATCH_COUNTER, psi, full[PSI_MEMORY].total_ns),
	NODE("io pressure some ns/s", WATCH_COUNTER, psi, some[PSI_IO].total_ns),
	NODE("io pressure full ns/s", WATCH_COUNTER, psi, full[PSI_IO].total_ns),
	NODE("processes", WATCH_GAUGE, processes, count),
	NODE("threads", WATCH_GAUGE, processes, threads),
	NODE("open files", WATCH_GAUGE, processes, files_allocated),
	NODE("slow system calls/s", WATCH_COUNTER, syscalls, slow_total),
	NODE("tcp retransmits of accepted connections/s", WATCH_COUNTER, tcp, total[0].retransmits),
	NODE("tcp retransmits of own connections/s", WATCH_COUNTER, tcp, total[1].retransmits),
	NODE("tcp connections refused by us/s", WATCH_COUNTER, tcp, resets_sent_alone),
	NODE("tcp listen overflows/s", WATCH_COUNTER, tcp, listen_overflows),
};

static const struct watch_row disk_rows[] = {
	EACH("read bytes/s", WATCH_COUNTER, disk, read_bytes, disks),
	EACH("written bytes/s", WATCH_COUNTER, disk, written_bytes, disks),
	EACH("reads/s", WATCH_COUNTER, disk, reads, disks),
	EACH("writes/s", WATCH_COUNTER, disk, writes, disks),
	EACH("busy ns/s", WATCH_COUNTER, disk, io_ns, disks),
	RATIO("ns a read", disk, read_ns, reads, disks),
	RATIO("ns a write", disk, write_ns, writes, disks),
};

static const struct watch_row interface_rows[] = {
	EACH("received bytes/s", WATCH_COUNTER, interface, rx_bytes, interfaces),
	EACH("sent bytes/s", WATCH_COUNTER, interface, tx_bytes, interfaces),
	EACH("receive errors/s", WATCH_COUNTER, interface, rx_errors, interfaces),
	EACH("send errors/s", WATCH_COUNTER, interface, tx_errors, interfaces),
	EACH("received drops/s", WATCH_COUNTER, interface, rx_dropped, interfaces),
	EACH("sent drops/s", WATCH_COUNTER, interface, tx_dropped, interfaces),
};

static const struct watch_row cgroup_rows[] = {
	EACH("cpu ns/s", WATCH_COUNTER, cgroup, cpu_ns, cgroups),
	EACH("runqueue wait ns/s", WATCH_COUNTER, cgroup, run_delay_ns, cgroups),
	EACH("read bytes/s", WATCH_COUNTER, cgroup, read_bytes, cgroups),
	EACH("written bytes/s", WATCH_COUNTER, cgroup, written_bytes, cgroups),
	EACH("major page faults/s", WATCH_COUNTER, cgroup, major_faults, cgroups),
	EACH("forks/s", WATCH_COUNTER, cgroup, lives.forks, cgroups),
	EACH("memory bytes", WATCH_GAUGE, cgroup, memory_current, cgroups),
	EACH("processes", WATCH_GAUGE, cgroup, processes, cgroups),
	EACH("cpu pressure some ns/s", WATCH_COUNTER, cgroup, some_ns[PSI_CPU], cgroups),
	EACH("memory pressure some ns/s", WATCH_COUNTER, cgroup, some_ns[PSI_MEMORY], cgroups),
	EACH("io pressure some ns/s", WATCH_COUNTER, cgroup, some_ns[PSI_IO], cgroups),
};

const struct watch_family watch_node = FAMILY("", node_rows), watch_disk = FAMILY("disk", disk_rows),
			  watch_interface = FAMILY("interface", interface_rows), watch_cgroup = FAMILY("cgroup", cgroup_rows);
