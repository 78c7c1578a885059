/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One interval of the node, as measured. Collectors fill it in place; once the tick's collecting is done everybody else
 * reads it as const. It holds no pointers, so the same bytes cross the shared-memory ring to the publisher.
 *
 * Absent is not zero: a section carries the boot time of its last good measurement (0 = never), and a number that this
 * host cannot give is UNKNOWN. Counters are cumulative since boot unless the name says _delta (since the previous full
 * tick) or _recent (decayed, half-life RECENT_HALF_LIFE_NS). Times are nanoseconds, sizes bytes, shares permille.
 */
#ifndef NODEMEND_SNAPSHOT_H
#define NODEMEND_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"
#include "series.h"
#include "wire.h"

#define UNKNOWN UINT64_MAX
#define NSEC_PER_SEC 1000000000ULL
#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_USEC 1000ULL
/* Long enough to ride out one slow tick, short enough that the writer of the last ten seconds outweighs all before. */
#define RECENT_HALF_LIFE_NS (5 * NSEC_PER_SEC)

enum {
	MAX_CPUS = 512,
	MAX_FILESYSTEMS = 128,
	MAX_DISKS = 128,
	MAX_INTERFACES = 128,
	MAX_PROCESSES = 16384,
	MAX_CGROUPS = 2048,
	MAX_WRITERS = 1024,
	MAX_SYSCALLS = 512,
	MAX_UNITS = 64,
	MAX_COLLECTORS = 32,
	MAX_BPF_PROGRAMS = 128,
	NAME_LEN = 96,                 /* a container id is 64 digits; `cri-containerd-<id>.scope` must fit, too */
	PATH_LEN = 256,
	WHY_LEN = 160,
	COMM_LEN = 16,
	SNAPSHOT_REMEDIES = 3,
	SNAPSHOT_MODES = 3,
	SNAPSHOT_OUTCOMES = 7,
	NO_INDEX = 0xffffffff,
};

enum psi_resource { PSI_CPU, PSI_MEMORY, PSI_IO, PSI_RESOURCE_COUNT };

enum collector_state { COLLECTOR_OFF, COLLECTOR_UP, COLLECTOR_DEGRADED, COLLECTOR_DOWN, COLLECTOR_STATE_COUNT };

/* One row of `doctor`, /readyz and nodemend_collector_up. */
struct collector_status {
	char name[NAME_LEN];
	enum collector_state state;
	char source[NAME_LEN];     /* which rung of the ladder feeds it: "tp_btf", "procfs", "iter/task" */
	char why[WHY_LEN];         /* why not the rung above, or why it is down */
	uint64_t events_lost;      /* ring reserve failures, failed map inserts, rows cut by a bound */
	uint64_t collect_ns;       /* time the last collect() took */
	uint64_t map_bytes;        /* kernel memory of its maps */
};

struct cpu_times { /* /proc/stat order; never falls (clamped per field) */
	uint64_t user_ns, nice_ns, system_ns, idle_ns, iowait_ns, irq_ns, softirq_ns, steal_ns, guest_ns, guest_nice_ns;
};

struct cpu_section {
	uint64_t measured_ns;
	uint32_t online, possible;
	struct cpu_times total;
	struct cpu_times each[MAX_CPUS];
	uint32_t used_permille;       /* of all online CPUs, last full interval; idle and iowait are not use; UINT32_MAX unknown */
	uint64_t context_switches, interrupts, forks, boot_time_s;
	uint32_t running, blocked;
	uint32_t load1_milli, load5_milli, load15_milli;
};

struct memory_section { /* /proc/meminfo and /proc/vmstat, bytes; UNKNOWN where the kernel has no such line */
	uint64_t measured_ns;
	uint64_t total, free, available, buffers, cached, swap_total, swap_free, dirty, writeback, anon, mapped, shmem,
		slab, sreclaimable, sunreclaim, kernel_stack, page_tables, committed_as, commit_limit, active, inactive;
	uint64_t pgfault, pgmajfault, pswpin, pswpout, oom_kill; /* events */
};

struct psi_line {
	uint32_t avg10_centi, avg60_centi, avg300_centi; /* hundredths of a percent: 12.34 % = 1234 */
	uint64_t total_ns;
	uint32_t interval_permille; /* share of the last interval stalled, from total_ns */
};

struct psi_section {
	uint64_t measured_ns; /* 0: this kernel has no PSI */
	struct psi_line some[PSI_RESOURCE_COUNT], full[PSI_RESOURCE_COUNT];
	bool has_full[PSI_RESOURCE_COUNT]; /* cpu has no system-wide full before 5.13 */
};

struct filesystem {
	uint64_t measured_ns;       /* of this mount: 0 never answered */
	uint64_t stuck_ns;          /* how long statvfs has been hanging; 0 = answers */
	uint32_t dev;               /* kernel dev_t (major << 20 | minor) as in the BPF side's super_block.s_dev */
	uint32_t mount_id;
	char mountpoint[PATH_LEN], device[PATH_LEN], type[NAME_LEN];
	bool read_only;
	uint64_t size, free, avail; /* avail: for the unprivileged; free: with the root reserve */
	uint64_t files, files_free; /* inodes; 0 files: this filesystem does not count them */
	uint64_t dirtied_total;     /* all writers, exact, since the agent started */
	uint64_t exhausted_in_ns;   /* robust forecast for avail -> 0; UNKNOWN: not filling, or not enough evidence */
	uint32_t exhausted_confidence_permille; /* how many of the pairs of samples agree that it fills */
};

struct filesystem_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct filesystem each[MAX_FILESYSTEMS];
};

/* Who made a filesystem's bytes: one row a (filesystem, process, cgroup); what fell off the table is in `rest`. */
struct writer {
	uint32_t dev;
	int32_t pid;
	uint64_t start_ns;            /* boot time of the process' start: pid + start_ns never repeat */
	uint64_t cgroup_id;
	char comm[COMM_LEN];
	uint64_t bytes_total, bytes_delta, bytes_recent;
};

struct writer_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct writer each[MAX_WRITERS]; /* by bytes_recent, largest first */
};

struct disk {
	char name[NAME_LEN];
	uint32_t dev;
	uint64_t reads, reads_merged, read_bytes, read_ns, writes, writes_merged, written_bytes, write_ns, in_flight, io_ns, weighted_io_ns;
	uint32_t busy_permille; /* io_ns over the last full interval */
};

struct disk_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct disk each[MAX_DISKS];
};

struct interface {
	char name[NAME_LEN];
	uint32_t index;
	bool up;
	uint64_t speed_bits;    /* UNKNOWN where the driver does not say */
	uint32_t mtu;
	uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped, tx_bytes, tx_packets, tx_errors, tx_dropped, rx_multicast, tx_collisions;
	uint64_t rx_delta_bytes, tx_delta_bytes;
};

struct interface_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct interface each[MAX_INTERFACES];
};

struct process {
	int32_t pid, ppid;            /* thread group ids in the root pid namespace of the agent */
	uint64_t start_ns;            /* CLOCK_BOOTTIME of the start */
	uint64_t cgroup_id;           /* v2 (or hybrid's unified) kernfs id; where there is no v2, the v1 hierarchy in use */
	uint32_t cgroup_index;        /* into cgroups.each; NO_INDEX unknown */
	uint32_t uid;
	char comm[COMM_LEN];
	char state;                   /* R S D Z T … of the leader */
	bool kernel_thread;
	int16_t oom_score_adj;
	uint32_t threads;
	uint64_t cpu_ns, cpu_delta_ns, cpu_recent_ns; /* whole group, dead threads included */
	uint64_t rss_bytes, swap_bytes;
	int64_t rss_growth_bytes;     /* against about 15 s ago, or against 0 for one born since */
	int64_t rss_growing_bytes;    /* against half a second to two intervals ago: who grows at this moment */
	uint64_t read_bytes, written_bytes, written_delta_bytes;
	uint64_t major_faults, run_delay_ns, voluntary_switches, involuntary_switches;
};

struct process_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	uint32_t threads, blocked; /* all threads; those in D */
	struct process each[MAX_PROCESSES]; /* by pid, ascending: look up with bsearch */
	uint64_t execs_total, exits_total, exits_ok_total, exits_error_total, exits_signal_total, forks_total;
	uint64_t exited_cpu_ns, exited_read_bytes, exited_written_bytes; /* whole-life costs of all that ended */
};

struct cgroup {
	uint64_t id;
	char path[PATH_LEN];        /* below the hierarchy's mount: "/system.slice/nginx.service" */
	char unit[NAME_LEN];        /* systemd's name for it; "" = none */
	char container[NAME_LEN];   /* container id; "" = none */
	uint32_t processes;
	uint64_t cpu_ns, cpu_delta_ns, cpu_recent_ns; /* live members plus what members that ended had used */
	uint64_t rss_bytes;         /* sum of the members; shared pages counted in each */
	int64_t rss_growth_bytes;
	uint64_t memory_current, memory_max; /* of the memory controller; UNKNOWN without one; max UNKNOWN = no limit */
	uint64_t written_recent_bytes;
};

struct cgroup_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct cgroup each[MAX_CGROUPS]; /* by id, ascending */
};

struct syscall_stat {
	uint16_t nr;
	uint8_t abi;                           /* SYSCALL_ABI_64 or _32 */
	uint64_t count;                        /* returned */
	uint64_t errors[ERRNO_CLASS_COUNT];
	struct histogram latency;
};

struct syscall_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct syscall_stat each[MAX_SYSCALLS]; /* those that occurred, by (abi, nr) */
};

enum unit_state { UNIT_UNKNOWN, UNIT_ACTIVE, UNIT_RELOADING, UNIT_INACTIVE, UNIT_FAILED, UNIT_ACTIVATING, UNIT_DEACTIVATING, UNIT_MISSING, UNIT_STATE_COUNT };
enum probe_state { PROBE_NONE, PROBE_UNKNOWN, PROBE_PASSING, PROBE_FAILING };

struct unit_sample {
	uint64_t measured_ns;
	char name[NAME_LEN], sub_state[NAME_LEN], result[NAME_LEN];
	enum unit_state state;
	int32_t main_pid;
	uint32_t restarts;         /* systemd's own NRestarts */
	enum probe_state probe;
	char probe_why[WHY_LEN];
};

struct unit_section {
	uint64_t measured_ns;
	uint32_t count;
	struct unit_sample each[MAX_UNITS]; /* only units that a policy names */
};

struct bpf_program_stat {
	char name[NAME_LEN];
	uint64_t run_ns, run_count; /* 0 where the kernel does not count them */
};

struct self_section {
	uint64_t measured_ns;
	uint64_t cpu_ns, resident_bytes;                       /* agent with its workers */
	uint64_t publisher_cpu_ns, publisher_resident_bytes;
	uint64_t publisher_restarts, events_dropped;           /* records the publisher was too slow for */
	uint64_t journal_late;                                 /* intents not yet durable at their deadline */
	struct histogram ticks;
	uint32_t program_count;
	struct bpf_program_stat programs[MAX_BPF_PROGRAMS];
};

/* What the engine did so far; the indexes are enum remedy_id, enum mode and enum outcome of record.h and remedy.h. */
struct engine_section {
	uint64_t actions_total[SNAPSHOT_REMEDIES][SNAPSHOT_MODES][SNAPSHOT_OUTCOMES];
	uint8_t armed[SNAPSHOT_REMEDIES];   /* 1 would work here, 0 would not, UINT8_MAX not asked yet */
	bool paused;
	uint32_t quarantined;
	uint64_t incidents_folded;
};

struct snapshot {
	uint64_t seq;                 /* full ticks since the agent started, from 1 */
	uint64_t boot_ns;             /* CLOCK_BOOTTIME of this tick */
	int64_t wall_ns;              /* CLOCK_REALTIME, for people only */
	uint64_t interval_ns;         /* configured */
	uint64_t elapsed_ns;          /* since the previous full tick; what _delta covers */
	char node[NAME_LEN], boot_id[40];
	uint32_t collector_count;
	struct collector_status collectors[MAX_COLLECTORS];

	struct cpu_section cpu;
	struct memory_section memory;
	struct psi_section psi;
	struct filesystem_section filesystems;
	struct writer_section writers;
	struct disk_section disks;
	struct interface_section interfaces;
	struct syscall_section syscalls;
	struct unit_section units;
	struct self_section self;
	struct engine_section engine;
	struct event_section events;
	struct cgroup_section cgroups;
	struct process_section processes;
	struct series_section series;
};

/* Copies what is in use (counts, not capacities), so that untouched pages stay untouched. */
void snapshot_copy(struct snapshot *to, const struct snapshot *from);

/* NULL when there is none. */
const struct process *snapshot_process(const struct snapshot *snap, int32_t pid);
const struct cgroup *snapshot_cgroup(const struct snapshot *snap, uint64_t id);

/* A section older than three intervals is as good as missing: its source hangs or died. */
static inline bool snapshot_is_fresh(const struct snapshot *snap, uint64_t measured_ns)
{
	return measured_ns && measured_ns + 3 * snap->interval_ns >= snap->boot_ns;
}

/* `to` halves every RECENT_HALF_LIFE_NS; used for all _recent numbers. */
uint64_t decay_recent(uint64_t recent, uint64_t elapsed_ns, uint64_t delta);

#endif
