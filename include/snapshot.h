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
#include "identity.h"
#include "series.h"
#include "signals/anomaly.h"
#include "signals/block.h"
#include "signals/bottleneck.h"
#include "signals/change.h"
#include "signals/deleted.h"
#include "signals/dependency.h"
#include "signals/dns.h"
#include "signals/drop.h"
#include "signals/fsop.h"
#include "signals/governor.h"
#include "signals/growth.h"
#include "signals/irq.h"
#include "signals/outlook.h"
#include "signals/life.h"
#include "signals/log.h"
#include "signals/pagecache.h"
#include "signals/reclaim.h"
#include "signals/recording.h"
#include "signals/sched.h"
#include "signals/socket.h"
#include "signals/tcp.h"
#include "signals/trigger.h"
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
	MAX_CGROUPS_GONE = 2048,
	MAX_ZOMBIE_PARENTS = 16,
	MAX_HELD = 32,
	MAX_WRITERS = 1024,
	MAX_UNITS = 64,
	MAX_COLLECTORS = 32,
	NAME_LEN = 96,                 /* a container id is 64 digits; `cri-containerd-<id>.scope` must fit, too */
	PATH_LEN = 256,
	WHY_LEN = 160,
	COMM_LEN = 16,
	SNAPSHOT_REMEDIES = 40, /* room for enum remedy_id; families show the first REMEDY_COUNT */
	SNAPSHOT_MODES = 3,
	SNAPSHOT_OUTCOMES = 8,
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
	bool adjustable;           /* its depth can be turned: enum depth of collector.h */
	uint8_t depth;             /* as it is now, where it can be turned */
	/* Since it was opened: of what it should have seen, how much it did. UNKNOWN where it has no notion of that. */
	uint64_t coverage_seen, coverage_expected;
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
	uint64_t pgfault, pgmajfault, pswpin, pswpout, oom_kill, refault_anon, refault_file; /* events; refaults of v5.9 and later */
	uint64_t pgpgin, nr_dirtied; /* KiB read by bios, pages made dirty */
};

struct psi_line {
	uint32_t avg10_centi, avg60_centi, avg300_centi; /* hundredths of a percent: 12.34 % = 1234 */
	uint64_t total_ns;
	uint32_t interval_permille; /* share of the last interval stalled, from total_ns */
	uint32_t recent_permille;   /* the same of the last two seconds, or of one interval where that is longer */
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
	/* Tables of the namespace and their limits; neighbours of IPv4 or IPv6, whichever is fuller. UNKNOWN */
	uint64_t conntrack, conntrack_max, neighbours, neighbours_max;
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
	union {                       /* whole group, dead threads included */
		struct { USAGE_FIELDS; };
		union usage used;
	};
	uint64_t cpu_delta_ns, cpu_recent_ns, written_delta_bytes;
	uint64_t rss_bytes, swap_bytes;
	int64_t rss_growth_bytes;     /* against about 15 s ago, or against 0 for one born since */
	int64_t rss_growing_bytes;    /* against half a second to two intervals ago: who grows at this moment */
	uint32_t files;               /* open descriptors, every few ticks; FILES_UNKNOWN */
	uint64_t files_max;           /* their limit; UNKNOWN: none */
};

/* The letters of /proc/PID/stat; processes are counted by their leader's. */
#define PROCESS_STATES "RSDTtXZPI"
enum { PROCESS_STATE_COUNT = sizeof(PROCESS_STATES) - 1 };

/* Who does not wait for its children. */
struct zombie_parent {
	int32_t pid;
	uint32_t zombies;
	uint64_t cgroup_id;
	char comm[COMM_LEN];
};

/* A thread in uninterruptible sleep that has not run since; the longest of its (cgroup, comm). */
struct held_thread {
	int32_t pid, tid;
	uint64_t cgroup_id;
	uint64_t held_ns;             /* at least: from the first walk that saw it so */
	char comm[COMM_LEN];
};

/* Over the last minute: what the kernel counts for the node, and what the cgroups' rows and their rest add up to. */
enum attributed { ATTRIBUTED_CPU, ATTRIBUTED_READ, ATTRIBUTED_WRITTEN, ATTRIBUTED_COUNT };
struct attribution {
	uint64_t node, groups;        /* nanoseconds or bytes; node UNKNOWN: nothing to compare with */
};

struct process_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	uint32_t threads, blocked; /* all threads; those in D */
	struct process each[MAX_PROCESSES]; /* by pid, ascending: look up with bsearch */
	/* From here on snapshot_copy() takes everything. */
	union lives lives;
	uint64_t core_dumps, exit_signals[EXIT_SIGNALS];
	union usage exited;           /* whole-life costs of all that ended */
	uint32_t states[PROCESS_STATE_COUNT];
	uint32_t zombies, zombie_parent_count;
	struct zombie_parent zombie_parents[MAX_ZOMBIE_PARENTS]; /* most zombies first */
	uint32_t hung_10s, hung_120s; /* threads in D that have not run for so long; 120 s is the kernel's own notion of hung */
	uint32_t held_count, held_cut;
	struct held_thread held[MAX_HELD]; /* longest first */
	uint64_t pid_max, threads_max, files_allocated, files_max; /* of the node; UNKNOWN */
	struct attribution attribution[ATTRIBUTED_COUNT];
};

struct cgroup {
	uint64_t id;
	char path[PATH_LEN];        /* below the hierarchy's mount: "/system.slice/nginx.service" */
	char unit[NAME_LEN];        /* systemd's name for it; "" = none */
	char container[NAME_LEN];   /* the outermost container's id; "" = none. Its names: snapshot_identity() */
	uint32_t processes, threads;
	uint64_t files;             /* open descriptors of the members, every few ticks; UNKNOWN */
	union {                     /* live members plus what members that ended had used */
		struct { USAGE_FIELDS; };
		union usage used;
	};
	union lives lives;
	uint64_t cpu_delta_ns, cpu_recent_ns;
	uint64_t rss_bytes;         /* sum of the members; shared pages counted in each */
	int64_t rss_growth_bytes;
	int64_t memory_growth_bytes; /* of memory_current against 14 to 16 s ago; INT64_MIN unknown */
	uint64_t refaults;          /* pages, of memory.stat (v2), some seconds old; UNKNOWN without */
	uint64_t memory_current, memory_max; /* of the memory controller; UNKNOWN without one; max UNKNOWN = no limit */
	uint64_t memory_low;        /* what it is promised (v2); UNKNOWN without a controller */
	bool oom_group;             /* memory.oom.group: it ends as a whole or not at all */
	uint64_t memory_file;       /* of memory_current, page cache that can be dropped; of cgroups with a controller, else UNKNOWN */
	uint64_t pids_current, pids_max;     /* of the pids controller, likewise */
	uint64_t some_ns[PSI_RESOURCE_COUNT], full_ns[PSI_RESOURCE_COUNT]; /* its pressure files, every few seconds; UNKNOWN */
	uint32_t some_avg10_centi[PSI_RESOURCE_COUNT], full_avg10_centi[PSI_RESOURCE_COUNT]; /* of the same reading */
	uint64_t written_recent_bytes;
};

struct cgroup_gone {
	uint64_t id, gone_ns;
};

struct cgroup_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct cgroup each[MAX_CGROUPS]; /* by id, ascending */
	/* What stood in rows that were dropped: rows and rest add up to everything. */
	union usage rest_used;
	union lives rest_lives;
	uint32_t gone_count;                       /* for collectors only: not copied to the publisher */
	struct cgroup_gone gone[MAX_CGROUPS_GONE]; /* by id, ascending */
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
	bool alone;                /* no unit: a probe that stands for itself, `name` says which */
	int32_t last_pid;          /* the newest main process that there was */
	bool start_told;           /* the next one has been counted already */
	uint32_t starts;           /* seen by us, beside the first: the newest are in start_ns, a ring */
	uint64_t start_ns[UNIT_STARTS_KEPT];
};

struct unit_section {
	uint64_t measured_ns;
	uint32_t count;
	struct unit_sample each[MAX_UNITS]; /* only units that a policy names */
};

struct self_section {
	uint64_t measured_ns;
	uint64_t cpu_ns, resident_bytes;                       /* agent with its workers */
	uint64_t publisher_cpu_ns, publisher_resident_bytes;
	uint64_t held_bytes, held_ns;                          /* memory of all of them, each page once, and when it was read */
	uint64_t publisher_restarts, events_dropped;           /* records the publisher was too slow for */
	uint64_t journal_late;                                 /* intents not yet durable at their deadline */
	struct histogram ticks;
};

/* What the engine did so far; the indexes are enum remedy_id, enum mode and enum outcome of record.h and remedy.h. */
struct engine_section {
	uint64_t actions_total[SNAPSHOT_REMEDIES][SNAPSHOT_MODES][SNAPSHOT_OUTCOMES];
	uint8_t armed[SNAPSHOT_REMEDIES];   /* 1 would work here, 0 would not, UINT8_MAX not asked yet */
	bool named[SNAPSHOT_REMEDIES];      /* a policy names it */
	uint32_t set_aside[SNAPSHOT_REMEDIES]; /* (kind, cause) for which it keeps failing here */
	uint64_t foreign_kills;             /* that started a cooldown of ours */
	bool paused;
	uint32_t quarantined, manual_tasks_open;
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
	struct trigger_section triggers;
	struct filesystem_section filesystems;
	struct writer_section writers;
	struct growth_section growth;
	struct block_device_section block_devices;
	struct block_stat_section block_stats;
	struct block_group_section block_groups;
	struct fsop_section fsops;
	struct fsop_group_section fsop_groups;
	struct deleted_section deleted;
	struct disk_section disks;
	struct interface_section interfaces;
	struct syscall_section syscalls;
	struct sched_section sched;
	struct preemption_section preemptions;
	struct deep_wait_section deep_waits;
	struct bandwidth_section bandwidths;
	struct irq_section irqs;
	struct syscall_error_section syscall_errors;
	struct syscall_cgroup_section syscall_cgroups;
	struct syscall_in_flight_section syscall_in_flight;
	struct syscall_deep_section syscall_deep;
	struct unit_section units;
	struct program_section programs;
	struct map_section maps;
	struct self_section self;
	struct governor_section governor;
	struct engine_section engine;
	struct oom_section oom;
	struct kill_section kills;
	struct reclaim_section reclaim;
	struct pagecache_section pagecache;
	struct recording_section recordings;
	struct event_section events;
	struct change_section changes;
	struct socket_section sockets;
	struct socket_cgroup_section socket_cgroups;
	struct tcp_section tcp;
	struct peer_section peers;
	struct listener_section listeners;
	struct drop_section drops;
	struct drop_device_section drop_devices;
	struct dns_section dns;
	struct dependency_section dependencies;
	struct bottleneck_section bottleneck;
	struct outlook_section outlook;
	struct identity_section identities;
	struct anomaly_section anomaly;
	struct crash_section crashes;
	struct life_section life;
	struct log_section logs;
	struct cgroup_section cgroups;
	struct process_section processes;
	struct series_section series;
};

_Static_assert((int)COST_ROWS == (int)MAX_COLLECTORS, "a row of cost for each collector");

/* Copies what is in use (counts, not capacities), so that untouched pages stay untouched. */
void snapshot_copy(struct snapshot *to, const struct snapshot *from);

/* NULL when there is none. */
const struct process *snapshot_process(const struct snapshot *snap, int32_t pid);
const struct cgroup *snapshot_cgroup(const struct snapshot *snap, uint64_t id);
const struct cgroup_identity *snapshot_identity(const struct snapshot *snap, uint64_t cgroup_id);

/*
 * Whether the kernel has told that this cgroup was removed and its last members have had time to be reaped: nobody will be charged to
 * it again, and ids never return, so a collector may delete its kernel rows. True for some ten seconds, for each collector to see.
 */
bool snapshot_cgroup_gone(const struct snapshot *snap, uint64_t id);

/* A section older than three intervals is as good as missing: its source hangs or died. */
static inline bool snapshot_is_fresh(const struct snapshot *snap, uint64_t measured_ns)
{
	return measured_ns && measured_ns + 3 * snap->interval_ns >= snap->boot_ns;
}

/* `to` halves every RECENT_HALF_LIFE_NS; used for all _recent numbers. */
uint64_t decay_recent(uint64_t recent, uint64_t elapsed_ns, uint64_t delta);

#endif
