/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must outlive the agent: open incidents, the ledger of acts (cooldowns and budgets), engine states that are not at
 * rest, and a pause with its expiry. Kept by agent/keep/state.c in two preallocated slots, so that neither a crash nor a
 * full disk loses both. Boot times are signed: after a reboot, what happened before it lies below zero.
 */
#ifndef NODEMEND_STATE_H
#define NODEMEND_STATE_H

#include "policy.h"
#include "record.h"

enum {
	MAX_OPEN_INCIDENTS = 48,
	MAX_ACTS = 512,
	MAX_MACHINES = 256,
	MAX_CLOSED = 32,
	MAX_TASKS = 32,
	MAX_FOREIGN = 32,
	MAX_LESSONS = 64,
	KEY_LEN = 128,
};

enum engine_state { ENGINE_OK, ENGINE_PENDING, ENGINE_ARMED, ENGINE_ACTING, ENGINE_VERIFYING, ENGINE_ROLLBACK, ENGINE_QUARANTINED, ENGINE_STATE_COUNT };
extern const char *const engine_state_names[ENGINE_STATE_COUNT];

/* One act that was begun: what cooldowns and budgets are counted from. */
struct act {
	char action_id[ID_LEN], policy[NAME_LEN], remedy[NAME_LEN];
	char target_key[KEY_LEN];
	int64_t boot_ns, wall_ns;     /* when it began */
	enum outcome outcome;
	uint32_t step;
};

/* One (policy, target) that is not at rest. */
struct machine {
	char policy[NAME_LEN], target_key[KEY_LEN], incident[ID_LEN];
	enum engine_state state;
	uint32_t step;                /* ACTING(i), VERIFYING(i) */
	uint32_t tried;               /* steps of this round that were, by bit */
	uint32_t failed_rounds;       /* times the whole list ran without mending */
	int64_t since_boot_ns;
	int64_t hold_until_boot_ns;   /* back-off after a failed round */
};

struct pause {
	bool paused;
	int64_t until_boot_ns;        /* 0 = until resume */
	int64_t until_wall_ns, since_wall_ns;
	char reason[WHY_LEN];
};

/* One that ended lately: should it come back within its hold-down, it is the same story. */
struct closed_incident {
	char id[ID_LEN];
	enum incident_kind kind;
	char target_key[KEY_LEN];
	int64_t opened_wall_ns, closed_boot_ns;
	uint32_t reopened, flaps;
};

/* What only a person can do: opened by an act, closed by hand. */
struct task {
	char id[ID_LEN];              /* of the act that opened it */
	char incident[ID_LEN], policy[NAME_LEN], target_key[KEY_LEN];
	char title[TASK_TEXT_LEN];
	uint32_t step_count;
	char steps[MAX_TASK_STEPS][TASK_TEXT_LEN];
	uint32_t times;               /* asked for, since it is open */
	int64_t opened_wall_ns, closed_wall_ns; /* 0 = not yet */
};

/* A process that somebody else ended: the kernel, a kubelet, an oomd, a person. What we were about to do may have been done. */
struct foreign_kill {
	int32_t pid;
	uint64_t start_ns, cgroup_id;
	int64_t boot_ns, wall_ns;
	enum killer killer;
	bool of_node;                 /* because the node, not one cgroup, was short of memory */
	char comm[COMM_LEN];
};

/* What a remedy has brought here against one kind of trouble by one kind of cause. */
struct lesson {
	enum incident_kind kind;
	char cause[NAME_LEN];         /* the unit, container or command of the first cause; "" = none was known */
	char remedy[NAME_LEN];
	uint32_t worked, failed;      /* acts that mended; acts that did not */
	uint32_t failed_in_a_row;
	int64_t boot_ns, wall_ns;     /* of the last one */
};

struct saved_state {
	char boot_id[40];
	int64_t saved_boot_ns, saved_wall_ns;
	uint64_t next_incident, next_action;  /* ids are never used twice */
	struct pause pause;
	uint32_t act_count, machine_count, incident_count, closed_count, foreign_count, lesson_count, task_count;
	struct closed_incident closed[MAX_CLOSED]; /* oldest first */
	struct foreign_kill foreign[MAX_FOREIGN];  /* oldest first */
	struct lesson lessons[MAX_LESSONS];        /* the one used longest ago first */
	struct act acts[MAX_ACTS];            /* oldest first */
	struct machine machines[MAX_MACHINES];
	struct incident incidents[MAX_OPEN_INCIDENTS];
	struct task tasks[MAX_TASKS];         /* oldest first; those that are closed stay until their place is wanted */
};

#endif
