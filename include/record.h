/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Incidents and actions: the two records that leave the agent, as fixed-size structs without pointers. The same bytes go
 * to the journal writer, the publisher and the control socket; record_json.c turns them into the documents of
 * docs/schema. Strings are NUL-terminated, cut where too long, and hostile (comm, paths): escape when you show them.
 */
#ifndef NODEMEND_RECORD_H
#define NODEMEND_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snapshot.h"

enum {
	ID_LEN = 40,
	EVIDENCE_LEN = 192,
	MAX_CAUSES = 5,
	MAX_VICTIMS = 3,
	MAX_INCIDENT_CHANGES = 5,
	MAX_BEFORE = 120,
	MAX_INCIDENT_HISTORY = 16,
	MAX_INCIDENT_ACTIONS = 16,
	MAX_ACTION_STEPS = 12,
	MAX_PLAN_LINES = 16,
	PLAN_LINE_LEN = 256,
};

enum mode { MODE_OBSERVE, MODE_SHADOW, MODE_ENFORCE, MODE_COUNT };
enum severity { SEVERITY_WARNING, SEVERITY_CRITICAL, SEVERITY_EMERGENCY, SEVERITY_COUNT };
enum incident_state { INCIDENT_OPEN, INCIDENT_MENDING, INCIDENT_RESOLVED, INCIDENT_NEEDS_HUMAN, INCIDENT_STATE_COUNT };
enum incident_kind {
	KIND_DISK_EXHAUSTION, KIND_MEMORY_EXHAUSTION, KIND_CPU_EXHAUSTION, KIND_IO_SATURATION, KIND_PROCESS_CRASH,
	KIND_SERVICE_DOWN, KIND_SERVICE_HUNG, KIND_PID_EXHAUSTION, KIND_FD_EXHAUSTION, KIND_NETWORK_SATURATION, KIND_OOM_KILL,
	KIND_KERNEL_FAULT, KIND_LOG_PATTERN, KIND_ANOMALY, KIND_DEPENDENCY_DOWN, KIND_COUNT,
};
enum outcome { OUTCOME_NONE, OUTCOME_FIXED, OUTCOME_IMPROVED, OUTCOME_NO_EFFECT, OUTCOME_FAILED, OUTCOME_REFUSED, OUTCOME_ROLLED_BACK, OUTCOME_TOLD, OUTCOME_COUNT };

/* What an incident is about and what a remedy is aimed at. Unused members are zero. */
enum target_type {
	TARGET_NODE, TARGET_FILESYSTEM, TARGET_PROCESS, TARGET_CGROUP, TARGET_UNIT, TARGET_INTERFACE, TARGET_DISK, TARGET_PEER, TARGET_LOG,
	TARGET_TYPE_COUNT,
};
struct target {
	enum target_type type;
	char name[PATH_LEN];     /* node: "memory", "cpu", "io"; filesystem: mountpoint; process: comm; cgroup: path; unit: its name;
	                            interface, disk: as the kernel names it; peer: address and port, or a probing command; log: "kernel", a
	                            unit or a path, with ": PATTERN" behind it where a shipped pattern matched */
	char device[PATH_LEN];   /* filesystem only */
	uint32_t dev;            /* filesystem only */
	int32_t pid;             /* process only, with start_ns */
	uint64_t start_ns;
	uint64_t cgroup_id;      /* process and cgroup */
};

struct cause {
	uint32_t rank;           /* from 1 */
	int32_t pid;             /* 0: a group, not one process */
	uint64_t start_ns, cgroup_id;
	uint64_t rss_bytes;
	int16_t oom_score_adj;
	char comm[COMM_LEN], cgroup[PATH_LEN], unit[NAME_LEN];
	char container_id[CONTAINER_ID_LEN], container[CONTAINER_NAME_LEN], namespace[NAMESPACE_LEN], pod[POD_LEN];
	uint32_t share_permille; /* of what drove the resource; the shares of all causes and the unnamed rest add up to 1000 */
	bool explains;           /* one of the fewest that together make two thirds of it */
	bool self_inflicted;     /* waits at its own limit or quota: nobody else's doing, and nobody else's trouble */
	char evidence[EVIDENCE_LEN];
};

/* Something about the node that became another shortly before. */
struct incident_change {
	int64_t wall_ns;
	char what[WHY_LEN];
};

/* The incident's own signal before it opened, oldest first: one value a step, without a gap. */
struct foretime {
	uint64_t step_ns;
	uint32_t count;
	double values[MAX_BEFORE];
};

struct signal_value {
	char metric[NAME_LEN];       /* as in /metrics */
	double value, threshold;
	uint64_t exhausted_in_ns;    /* UNKNOWN = not said */
	uint32_t confidence_permille;
};

struct history_entry {
	int64_t wall_ns;
	enum incident_state state;
	char why[WHY_LEN];
};

struct incident {
	char id[ID_LEN];
	char policy[NAME_LEN];             /* the policy that opened it */
	enum incident_kind kind;
	enum severity severity;
	enum incident_state state;
	int64_t opened_wall_ns, resolved_wall_ns; /* 0 = not yet */
	uint64_t opened_boot_ns;
	uint64_t phase_boot_ns;            /* since it was opened or reopened last */
	struct target resource;
	struct signal_value signal;
	uint32_t cause_count;
	struct cause causes[MAX_CAUSES];
	uint32_t victim_count;
	struct cause victims[MAX_VICTIMS]; /* who suffers, as groups; shares of all the waiting */
	uint32_t change_count;
	struct incident_change changes[MAX_INCIDENT_CHANGES]; /* first those of its causes, each the newest first */
	struct foretime before;
	char parent[ID_LEN];               /* the incident that is the cause of this one; "" = none: it stands for itself */
	uint32_t reopened;                 /* how often, within its hold-down, under this id */
	uint32_t flaps;                    /* short phases in a row, each begun within the hold-down of the one before */
	bool flapping;                     /* comes and goes: held open until it has been calm */
	uint64_t quiet_boot_ns;            /* flapping: since when nobody sees it; 0 = it is seen. Not kept over a restart */
	uint32_t action_count;
	char actions[MAX_INCIDENT_ACTIONS][ID_LEN];
	uint32_t history_count, history_cut;
	struct history_entry history[MAX_INCIDENT_HISTORY];
};

struct action_step {
	char name[NAME_LEN];
	int64_t started_wall_ns, ended_wall_ns;
	bool ok;
	char detail[EVIDENCE_LEN];
};

/* What an act promised, and what was seen. UNKNOWN members were neither promised nor seen. */
struct effect {
	uint64_t freed_bytes;      /* filesystem: statvfs delta; memory: rss given back */
	uint64_t freed_files;
	uint64_t exited;           /* processes that ended */
	uint64_t unit_active;      /* 1: the unit is active (and its probe passes) */
	uint64_t use_percent;      /* what the target still uses of what it used before; promised: at most */
	uint64_t available_bytes;  /* what can be had and could not before: swap, memory in large blocks */
	uint64_t cleared;          /* 1: the condition of the policy itself does not hold any more */
	uint64_t within_ns;        /* promised: the deadline; observed: the time it took */
};

/* Who could have been acted on, best first, with what spoke for and against each. */
struct candidate {
	int32_t pid;                   /* 0: a group, not one process */
	char comm[COMM_LEN], cgroup[PATH_LEN];
	uint32_t share_permille;       /* what it drove */
	uint32_t score;                /* that, weighed: permille of the best possible is not the point, the distance to the next one is */
	char why[EVIDENCE_LEN];        /* each weight in words; "" = its share alone */
};
struct selection {
	uint32_t count;                /* 0: nobody was to be chosen */
	struct candidate each[MAX_CAUSES];
	uint32_t margin_permille;      /* by how much of its score the first leads the second */
	char otherwise[EVIDENCE_LEN];  /* the least that would have changed the choice */
};

struct action {
	char id[ID_LEN], incident[ID_LEN];
	char policy[NAME_LEN], remedy[NAME_LEN];
	enum mode mode;
	bool dry_run;              /* by hand with --dry-run */
	struct target target;
	uint32_t plan_count, plan_cut;
	char plan[MAX_PLAN_LINES][PLAN_LINE_LEN];
	struct selection choice;
	struct effect expected, observed;
	int64_t started_wall_ns, ended_wall_ns;
	uint64_t started_boot_ns;
	enum outcome outcome;      /* OUTCOME_NONE: the intent, before the act */
	char refused_by[NAME_LEN]; /* the guard's name: "cooldown", "never-list", "pause", … */
	uint32_t step_count;
	struct action_step steps[MAX_ACTION_STEPS];
};

extern const char *const mode_names[MODE_COUNT];
extern const char *const severity_names[SEVERITY_COUNT];
extern const char *const incident_state_names[INCIDENT_STATE_COUNT];
extern const char *const incident_kind_names[KIND_COUNT];
extern const char *const outcome_names[OUTCOME_COUNT];
extern const char *const target_type_names[TARGET_TYPE_COUNT];

void effect_clear(struct effect *effect); /* every member UNKNOWN */

/* Hides secrets in every text (mask.h): for a copy that another process gets. */
void incident_mask(struct incident *incident);
void action_mask(struct action *action);

struct cJSON;
/* Owned by the caller (cJSON_Delete); NULL when out of memory. `actions` are those in memory; the ids not among them are left out. */
struct cJSON *incident_to_json(const struct incident *incident, const struct action *actions, size_t action_count);
struct cJSON *action_to_json(const struct action *action);
/* For the state file: the reverse. 0, or -EINVAL with *ret untouched. */
int incident_from_json(const struct cJSON *json, struct incident *ret);
int action_from_json(const struct cJSON *json, struct action *ret);

#endif
