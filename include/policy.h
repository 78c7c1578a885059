/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy as the engine reads it: compiled from YAML by agent/core/policy.c, const from then on. No pointers, so a
 * configuration can be compared, copied and thrown away as a whole.
 */
#ifndef NODEMEND_POLICY_H
#define NODEMEND_POLICY_H

#include "probing.h"
#include "record.h"
#include "remedy.h"

enum {
	MAX_POLICIES = 64,
	MAX_CONDITIONS = 16,   /* nodes of one policy's `when` tree */
	MAX_STEPS = 8,
	MAX_BUDGET = 1024,
	MAX_PREFERENCES = 8,   /* of a policy, for and against a victim, each */
	LOG_REGEX_LEN = PROBE_BODY_LEN,
	LOG_PATTERN_LEN = 32,
	LOG_PATTERNS_MAX = 12, /* of one condition */
};

enum condition_kind {
	CONDITION_FILESYSTEM,
	CONDITION_MEMORY,
	CONDITION_CPU,
	CONDITION_PSI,
	CONDITION_PROCESS,
	CONDITION_UNIT,
	CONDITION_CGROUP,
	CONDITION_PIDS,
	CONDITION_FILES,
	CONDITION_CONNTRACK,
	CONDITION_NEIGHBOURS,
	CONDITION_LISTENER,
	CONDITION_INTERFACE,
	CONDITION_DEPENDENCY,
	CONDITION_CAPACITY,
	CONDITION_LEAK,
	CONDITION_ANOMALY,
	CONDITION_LOG,
	CONDITION_CRASH,
	CONDITION_HUNG,
	CONDITION_PROBE,
	CONDITION_KIND_COUNT,
};

/* What is measured. Each belongs to one condition kind; the table in agent/core/policy_table.c says which and in what unit. */
enum measure {
	MEASURE_USED_PERCENT,          /* filesystem (of what the unprivileged can use, as df says), memory (1 - available/total), cpu */
	MEASURE_AVAILABLE_BYTES,       /* filesystem avail, memory available */
	MEASURE_AVAILABLE_PERCENT,
	MEASURE_INODES_USED_PERCENT,   /* filesystem */
	MEASURE_FULL_WITHIN,           /* filesystem, capacity: exhausted_in, ns; true when below */
	MEASURE_SWAP_USED_PERCENT,     /* memory; unknown on a node without swap */
	MEASURE_PSI_SOME, MEASURE_PSI_FULL, /* psi: percent, over `window` (10s, 60s, 300s: the kernel's averages; 0: the last interval) */
	MEASURE_RSS_BYTES,             /* process / cgroup (memory_current where there is a controller) */
	MEASURE_CPU_PERCENT,           /* process / cgroup: 100 = one core busy */
	MEASURE_GROWTH_BYTES,          /* process / cgroup: over about 15 s */
	MEASURE_COUNT_BELOW,           /* process: fewer than N are running ("must run") */
	MEASURE_UNIT_STATE,            /* unit: in one of `unit_states` */
	MEASURE_UNIT_PROBE,            /* unit: its probe fails */
	MEASURE_MEMORY_LIMIT_PERCENT,  /* cgroup: charged and not reclaimable without I/O, of its own limit */
	MEASURE_PIDS_LIMIT_PERCENT,    /* cgroup */
	MEASURE_FILES_LIMIT_PERCENT,   /* files: of one process, of its own limit */
	MEASURE_BACKLOG_PERCENT,       /* listener: connections that wait to be accepted, of the backlog */
	MEASURE_BYTES_PER_SECOND,      /* interface: the busier direction */
	MEASURE_FAILS_PERCENT,         /* dependency: of the attempts of the last half minute */
	MEASURE_RESETS_PERCENT,        /* dependency: of the connections that ended */
	MEASURE_SLOWER_TIMES,          /* dependency: against its own history */
	MEASURE_LEAK_PER_HOUR,         /* leak: a process grows by so much an hour and never gives back */
	MEASURE_ALARMS_PER_DAY,        /* anomaly: how often a day a score as high is to be expected; true when rarer */
	MEASURE_UNIT_RESTARTS,         /* unit: starts after a start, within `window_ns` */
	MEASURE_LOG_MATCHES,           /* log: lines that matched; true from `times` within `window_ns` on */
	MEASURE_CRASHES,               /* crash: ends of that kind within `window_ns` */
	MEASURE_HUNG,                  /* hung: 1 for `window_ns` without any sign of life although something waits */
	MEASURE_PROBE,                 /* probe: it fails */
	MEASURE_UNANSWERED_BYTES,      /* interface: sent in a second, where nothing at all was received; else 0 */
	MEASURE_ZOMBIES,               /* process: its children that have ended and that it does not wait for */
	MEASURE_COUNT,
};

/* true while raised: crosses `raise` for `for_ns`, and stays until it crosses `clear` the other way. */
struct level { double raise, clear; }; /* clear == raise where none was given */
struct threshold {
	bool above;             /* raised when value > raise; else when value < raise */
	double raise, clear;    /* graded: of the mildest level */
	uint32_t graded;        /* which severities have a level of their own, by bit; 0: the policy's severity is all there is */
	struct level levels[SEVERITY_COUNT];
};
/* "8/10": in at least `count` of the last `samples` samples, one an interval; 0/0: no such window. */
struct sample_window { uint32_t count, samples; };
enum { MAX_WINDOW_SAMPLES = 64 };

enum probe_means { PROBE_MEANS_SERVICE_DOWN, PROBE_MEANS_SERVICE_HUNG, PROBE_MEANS_DEPENDENCY_DOWN, PROBE_MEANS_COUNT };

/* Where lines come from and what is looked for in them. Compiled where they are read; here it is known that they compile. */
struct log_query {
	char source[PATH_LEN];   /* "kernel", "journal", or a glob on absolute paths */
	char match[LOG_REGEX_LEN], clear[LOG_REGEX_LEN], multiline[LOG_REGEX_LEN];
	uint32_t pattern_count;  /* of log_pattern.h, where there is no `match` */
	char patterns[LOG_PATTERNS_MAX][LOG_PATTERN_LEN];
	uint64_t clear_after_ns; /* 0: only the clearing line ends it */
};

/* Selectors are shell globs (fnmatch, FNM_PATHNAME for paths); "" matches everything of the kind. */
struct condition {
	enum condition_kind kind;
	enum measure measure;
	struct threshold threshold;
	uint64_t for_ns;
	struct sample_window of;
	enum psi_resource psi_resource;
	uint32_t psi_window_s;
	char mountpoint[PATH_LEN];      /* filesystem */
	char capacity[PATH_LEN];        /* capacity: the target's name */
	char comm[NAME_LEN], cgroup[PATH_LEN], unit[NAME_LEN]; /* process (and-ed); unit: exact unit name in `unit` */
	char name[NAME_LEN];            /* interface: its name; dependency: "address:port" */
	uint32_t port;                  /* listener; 0 = any */
	uint32_t resources;             /* capacity: bit mask of enum capacity_resource */
	enum leak_figure leak;          /* leak: of what */
	bool by_group;                  /* process: one value a cgroup (sum of its members), not a process; anomaly: of cgroups, not the node */
	uint32_t unit_states;           /* bit mask of enum unit_state */
	struct probe probe;
	enum probe_means probe_means;
	uint32_t times;                 /* log, crash: so often… */
	uint64_t window_ns;             /* …within this; unit: restarts; hung: for how long */
	struct log_query log;
	uint64_t signals;               /* crash: bit n for signal n */
	uint64_t exit_codes[4];         /* likewise, 0 to 255 */
};

/* What a probe that stands for itself goes by: the same text for the same probe. */
void probe_name(const struct probe *probe, char ret[NAME_LEN]);

/* What a log condition asks, as one number: the same text asks the same, whichever policy it stands in. */
uint64_t log_query_hash(const struct condition *condition);

enum predicate_op { PREDICATE_LEAF, PREDICATE_ALL, PREDICATE_ANY };
struct predicate {
	enum predicate_op op;
	uint16_t first_child, next_sibling; /* index into policy.when; 0 = none (0 is the root) */
	struct condition condition;         /* leaf only */
};

/* The kind of incident that these capacities (bits of enum capacity_resource) make; KIND_COUNT: not one and the same. */
enum incident_kind capacity_kind(uint32_t resources);

/* Whom a person would rather see acted on, and whom not: weights beside the evidence, never instead of it. Globs on a command name, on a unit, or,
 * where they begin with a slash, on a cgroup's path and all below it. */
struct preferences {
	uint32_t prefer_count, avoid_count;
	char prefer[MAX_PREFERENCES][NAME_LEN], avoid[MAX_PREFERENCES][NAME_LEN];
};

/* Of steps that are as destructive as each other: as they were written, or what has worked here first. */
enum step_order { STEPS_WRITTEN, STEPS_LEARNED };

struct blockers {
	char file[PATH_LEN];
	bool has_window;
	uint16_t window_from_min, window_to_min; /* local time of day, [from, to) */
	char alert[NAME_LEN];           /* an incident of this kind or opened by this policy is open */
	char unit[NAME_LEN];            /* …is in one of `unit_states`; 0: active or about to be */
	uint32_t unit_states;
	bool package_manager, logged_in;
};

struct policy {
	char name[NAME_LEN];
	char file[PATH_LEN];
	uint32_t line;
	bool shipped;                   /* one of the embedded defaults */
	enum mode mode;                 /* its own; the ceiling is applied by the engine */
	enum severity severity;
	uint32_t when_count;
	struct predicate when[MAX_CONDITIONS]; /* [0] is the root. The first leaf in document order names kind and target. */
	uint32_t step_count;
	struct remedy_step steps[MAX_STEPS];
	struct { uint64_t cooldown_ns; struct budget per_target, per_node; } limits;
	struct blockers blocked_by;
	struct preferences victims;
	enum step_order order;
};

#endif
