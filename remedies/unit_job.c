/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of the remedies on units, each awaited to its own end: see unit_act.h. */
#include "remedies/unit_act.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"

#define JOB_DEFAULT_NS (30 * NSEC_PER_SEC)

void unit_reset(struct unit_act *act, const char *unit, const struct unit_facts *facts)
{
	if (!unit_state_is(facts, "failed"))
		return;
	struct action_step *step = result_step(act->result, "reset-failed");
	int error = manager_reset_failed(act->bus, unit);
	step_end(step, error == 0, "%s had failed: %s", unit, error == 0 ? facts->result : strerror(-error));
}

struct job {
	const char *method, *unit;
	uint64_t until, stop_until;     /* stop_until: UNKNOWN once it is over */
};

static int begin_job(struct unit_act *act, const struct job *job)
{
	int error = act->watching ? 0 : manager_watch_jobs(act->bus, &act->watch);
	act->watching |= error == 0;
	return error ? error : manager_job(act->bus, job->method, job->unit, &act->watch);
}

/* Its time to stop is over: what is left of it is killed, once, and the same job goes on to start it. */
static int end_the_stop(struct unit_act *act, struct job *job)
{
	job->stop_until = UNKNOWN;
	int error = manager_facts(act->bus, job->unit, &act->other);
	if (error < 0 || !unit_state_is(&act->other, "deactivating") || act_halted(act->request))
		return error;
	struct action_step *step = result_step(act->result, "kill");
	error = manager_kill(act->bus, job->unit);
	step_end(step, error == 0, "it did not stop within its time: KILL to all of it%s%s", error ? ": " : "", error ? strerror(-error) : "");
	return 0; /* the job's own end says what came of it */
}

static int await_job(struct unit_act *act, struct job *job)
{
	int error = begin_job(act, job);
	while (error == 0 && !act->watch.result[0]) {
		uint64_t now = clock_boot_ns();
		if (now >= job->until)
			return -ETIME;
		error = now >= job->stop_until ? end_the_stop(act, job) : 0;
		if (error == 0)
			error = manager_process(act->bus, unit_earlier(job->until, job->stop_until));
		error = error > 0 ? 0 : error;
	}
	return error;
}

/* A job that systemd works on is not taken from it. */
static void leave_or_cancel(struct unit_act *act, const struct job *job, struct action_step *step)
{
	if (manager_facts(act->bus, job->unit, &act->other) == 0 && (unit_state_is(&act->other, "activating") || unit_state_is(&act->other, "deactivating"))) {
		step_end(step, false, "job of %s: not over in time, %s is %s; left to systemd", job->method, job->unit, act->other.active_state);
		act->result->outcome = OUTCOME_NO_EFFECT;
		snprintf(act->result->why, sizeof(act->result->why), "%.80s was still %.20s at the end of its time", job->unit, act->other.active_state);
		return;
	}
	int cancelled = manager_cancel(act->bus, &act->watch);
	step_end(step, false, "job of %s: not over in time; %s", job->method, cancelled == 0 ? "cancelled" : "it could not be cancelled");
	act_fail(act->result, "%s of %s did not come to its end: %s", job->method, job->unit, strerror(ETIME));
}

static int run_job(struct unit_act *act, struct job *job)
{
	struct action_step *step = result_step(act->result, "job");
	int error = await_job(act, job);
	if (error == -ETIME) {
		leave_or_cancel(act, job, step);
	} else if (error < 0) {
		step_end(step, false, "job of %s: %s", job->method, strerror(-error));
		act_fail(act->result, "%s of %s did not come to its end: %s", job->method, job->unit, strerror(-error));
	} else if (strcmp(act->watch.result, "done") != 0) {
		step_end(step, false, "job of %s: %s", job->method, act->watch.result);
		act_fail(act->result, "%s of %s ended as: %s", job->method, job->unit, act->watch.result);
		error = -EIO;
	} else {
		step_end(step, true, "job of %s: done", job->method);
	}
	return error;
}

uint64_t unit_job_time(const struct unit_act *act)
{
	return act->args->job_timeout_ns ? act->args->job_timeout_ns : JOB_DEFAULT_NS;
}

int unit_job(struct unit_act *act, const char *method, bool stops)
{
	uint64_t now = clock_boot_ns(), own = act->facts.stop_limit_ns, stop = act->args->stop_within_ns;
	struct job job = { .method = method, .unit = act->unit, .stop_until = stops && stop ? now + stop : UNKNOWN };
	uint64_t stopping = !stops ? 0 : stop ? stop : own == UNKNOWN ? 0 : own;
	job.until = unit_earlier(now + unit_job_time(act) + stopping, act->request->deadline_boot_ns);
	return run_job(act, &job);
}

int unit_start_needed(struct unit_act *act)
{
	for (uint32_t i = 0; act->args->start_needed && i < act->down.count; i++) {
		struct job job = { .method = "StartUnit", .unit = act->down.each[i], .stop_until = UNKNOWN };
		if (unit_is_halted(act))
			return -ECANCELED;
		if (manager_facts(act->bus, job.unit, &act->other) == 0)
			unit_reset(act, job.unit, &act->other);
		job.until = unit_earlier(clock_boot_ns() + unit_job_time(act), act->request->deadline_boot_ns);
		int error = run_job(act, &job);
		if (error < 0)
			return error;
	}
	return 0;
}
