/* SPDX-License-Identifier: Apache-2.0 */
/* What the remedies on a systemd unit have in common: looking at it, a job with an end, and seeing it live and answer. */
#ifndef NODEMEND_REMEDIES_UNIT_ACT_H
#define NODEMEND_REMEDIES_UNIT_ACT_H

#include "remedies/act.h"
#include "remedies/manager.h"

struct unit_act {
	const struct remedy_request *request;
	struct remedy_result *result;
	const struct unit_args *args;
	const char *unit;
	struct sd_bus *bus;
	struct unit_facts facts, other; /* of the unit; of one beside it */
	struct unit_names along;        /* running units that a restart restarts as well */
	struct unit_names down;         /* of those that it needs, what does not run */
	struct job_watch watch;
	bool watching;                  /* jobs are */
};

static inline uint64_t unit_earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* 0: it is there, and nothing forbids to touch it. 1: refused. -errno: systemd did not answer. Connects; unit_end() after it in any case. */
int unit_look(struct unit_act *act, const struct remedy_request *request, struct remedy_result *result);
void unit_end(struct unit_act *act);
/* The end of a run, with what unit_look() or what came after it said. */
int unit_done(struct unit_act *act, int error);

/* Fills `along`, and refuses where one of them is protected or there are too many. 0, 1, -errno. */
int unit_look_along(struct unit_act *act);
/* Fills `down`. */
int unit_look_needs(struct unit_act *act);
/* Refuses where systemd itself, or somebody else, is about to do what would be done. */
bool unit_is_busy(struct unit_act *act);

bool unit_state_is(const struct unit_facts *facts, const char *state);
bool unit_is_down(const struct unit_facts *facts); /* inactive or failed */
bool unit_is_halted(struct unit_act *act);

/* Where it failed: else a unit over its start limit is not started at all. */
void unit_reset(struct unit_act *act, const char *unit, const struct unit_facts *facts);
/* Resets and starts what `down` holds, one after the other. 0, or -errno with the result said. */
int unit_start_needed(struct unit_act *act);
/*
 * A job to its end. `stops`: the unit runs and is stopped first, for which it has its own time, or `stop_within`, after which what is left of
 * it is killed. A job that has not begun when its time is over is cancelled; one that has is left to systemd, for to cancel it would leave
 * the unit down. 0, or -errno with the result said.
 */
int unit_job(struct unit_act *act, const char *method, bool stops);
/* Active, as the same process, for a moment; then `ready`. Says steps and outcome. */
void unit_judge(struct unit_act *act);
/* One line of the plan for each thing that will be asked or done beside the job. */
void unit_plan_more(struct unit_act *act);

/* How long a job of it may take, its stop apart. */
uint64_t unit_job_time(const struct unit_act *act);

/* Check of all of them. */
int unit_check(const struct remedy_request *request, struct remedy_result *result);

/* unit_ready.c. Whether what is asked answers within `patience_ns`; else why not. */
bool ready_ask(const struct probe *what, uint64_t patience_ns, char *why, size_t size);
/* How the probe is called in a sentence. */
const char *ready_name(const struct probe *what);

/* unit_arguments.c: for the `vet` and the `problem` of each of them. */
void unit_vet(const union remedy_args *args, uint64_t given, argument_fault *fault, void *context);
const char *unit_problem(const union remedy_args *args);

#endif
