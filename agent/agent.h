/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as a whole: the one place that knows all stages. agent.c turns the wheel (collect, detect, decide, act, tell);
 * answer.c answers the control socket from what is here.
 */
#ifndef NODEMEND_AGENT_H
#define NODEMEND_AGENT_H

#include "collector.h"
#include "config.h"
#include "decide/decide.h"
#include "publisher.h"

struct cJSON;

struct agent {
	const char *config_path;       /* NULL = the default places */
	char run_dir[PATH_LEN], state_dir[PATH_LEN];
	enum mode mode_override;       /* MODE_COUNT = none; `run --mode` */
	const char *listen_override;   /* NULL = none */
	struct config *config;
	struct snapshot *snap;         /* the agent's own; const outside of collecting */
	struct findings *findings;     /* of the last tick */
	struct engine engine;
	uint64_t started_boot_ns;
	struct remedy_result armed[REMEDY_COUNT]; /* answers to CHECK at start */
	int publisher_pid;
	uint64_t publisher_restarts, records_dropped;
};

/* answer.c: one control command (see docs/cli.md). `root`: the peer may change things. */
struct cJSON *agent_answer(void *agent, const struct cJSON *request, bool root);

/* agent.c, for answer.c. */
int agent_reload(struct agent *agent, struct config_faults *faults);           /* 0, or -EINVAL and the old stays */
void agent_pause(struct agent *agent, uint64_t for_ns, const char *reason);    /* 0 = until resume */
void agent_resume(struct agent *agent);
/* Runs one remedy by hand under the guards and the journal; blocks its caller's peer, not the loop: the answer is polled for by
 * action id with {"command":"action","id":…}. 0 and ret_id; -EPERM refused with why; -EBUSY. */
int agent_apply(struct agent *agent, enum remedy_id remedy, const struct target *target, const union remedy_args *args, bool dry_run,
		char ret_id[ID_LEN], char *why, size_t why_size);

#endif
