/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collector: one source of facts about the node. It opens by probing its ladder of sources, fills its own section of the
 * snapshot in place, and closes without a trace. A collector that cannot open is DOWN, said once, and costs only its signal.
 */
#ifndef NODEMEND_COLLECTOR_H
#define NODEMEND_COLLECTOR_H

#include "config.h"
#include "snapshot.h"

struct collector_env {
	const struct config *config;
	int proc_fd, sys_fd;                 /* O_PATH directories; a test hands in a tree of its own */
	const char *btf_path;                /* NULL = the kernel's own */
	const char *state_dir;               /* where a worker may keep what it needs after a restart; NULL = nothing is kept */
	const char *boot_id;                 /* NULL = unknown */
};

/*
 * How deep a BPF collector looks, cheapest first. The governor steps down from the usual depth when the agent costs more than its
 * budget; pressure or a finding arms the deepest for a while. What a step gives up is absent from the outputs, never zero.
 */
enum depth {
	DEPTH_OFF,           /* its hot programs are detached: nothing is paid */
	DEPTH_COUNTS,        /* counts and sums, by cgroup too; no histogram */
	DEPTH_HISTOGRAMS,    /* the usual: with the node's (or the device's) histograms */
	DEPTH_DEEP,          /* with a histogram for each cgroup, and what else is too dear for always */
	DEPTH_STEPS,
};

struct collector {
	const char *name;
	enum collector_id id;
	/* Also run at fast ticks, between two full ones, while something is close to its threshold: cheap ones only. */
	bool fast;
	/* 0 and *ret_state (UP or DEGRADED as it wrote into status), or -errno with status->why set (DOWN). */
	int (*open)(const struct collector_env *env, struct collector_status *status, void **ret_state);
	/*
	 * Brings its sections in `snap` up to snap->boot_ns. `snap` still holds the last tick's values. `full` is false at fast
	 * ticks: leave _delta alone then. 0, or -errno: its section keeps its old measured_ns and so grows stale.
	 */
	int (*collect)(void *state, struct snapshot *snap, bool full, struct collector_status *status);
	void (*close)(void *state);          /* NULL is fine */
	/* NULL: has one depth only. At once, without a gap in its counters; 0 or -errno with the depth as it was. Opened at
	 * DEPTH_HISTOGRAMS. A collector whose programs all fire rarely takes any depth and stays as it is. */
	int (*set_depth)(void *state, enum depth depth);
	/* NULL: has nothing that could not wait for the next tick. A descriptor that becomes readable when it has, watched for
	 * the edge: the agent then looks at once, within bounds. -1: none now; it may be another one after each collect(). */
	int (*wake_fd)(void *state);
};

extern const struct collector *const collectors[COLLECTOR_COUNT];

/* The cgroup section is filled by process and cgroup together: rows from the walk, names and limits from cgroupfs. */

#endif
