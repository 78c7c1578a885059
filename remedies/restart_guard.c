/* SPDX-License-Identifier: Apache-2.0 */
/* See restart_guard.h. */
#include "remedies/restart_guard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "remedies/restart_book.h"

/* A process that only waits uses nothing at all; a runtime's own timers use a few hundred microseconds a second. A thousandth of a processor lies
 * above those and far below what the slowest answer costs. */
#define WATCH_NS (2 * NSEC_PER_SEC)
enum { WORKS_PERMILLE = 1, PATIENCE_TIMES = 4 };

/* --- loops --------------------------------------------------------------------------------------------------------------- */

static uint32_t count_since(const struct restarts *restarts, uint64_t since)
{
	uint32_t count = 0;
	while (count < restarts->count && restarts->boot_ns[count] >= since)
		count++;
	return count;
}

/*
 * systemd's counter begins anew when a unit is started by hand, as we do it: beside our own restarts it says those that came between them. Without
 * any of ours it may be of years, so only a unit that was started again a moment ago is in a loop: sooner than it may be on the average.
 */
static uint32_t restarts_by_systemd(const struct unit_act *act, uint32_t ours)
{
	const struct budget *limit = &act->args->crash_loop;
	uint64_t now = clock_awake_ns(), began = act->facts.began_awake_ns;
	if (ours)
		return act->facts.restarts;
	bool young = began && began <= now && now - began < limit->per_ns / limit->count;
	return young ? act->facts.restarts : 0;
}

static uint64_t doubled(uint64_t ns, uint32_t times, uint64_t most)
{
	while (times-- && ns < most)
		ns *= 2;
	return ns < most ? ns : most;
}

int restart_check_loop(struct unit_act *act)
{
	struct restarts restarts;
	const struct budget *limit = &act->args->crash_loop;
	uint64_t now = clock_boot_ns();
	if (!limit->count || !limit->per_ns)
		return 0;
	int error = restarts_read(act->request->lease_book, act->unit, &restarts);
	if (error < 0) {
		act_refuse(act->result, "restart-book", "when it was restarted last cannot be told: %s", strerror(-error));
		return 1;
	}
	uint32_t ours = count_since(&restarts, now > limit->per_ns ? now - limit->per_ns : 0), theirs = restarts_by_systemd(act, ours);
	if (ours + theirs >= limit->count) {
		act_refuse(act->result, "crash-loop", "restarted %" PRIu32 " times in %llu s, %" PRIu32 " of them by systemd itself: once more would not help",
			   ours + theirs, limit->per_ns / NSEC_PER_SEC, theirs);
		return 1;
	}
	uint64_t wait = ours ? doubled(act->args->back_off_ns, ours - 1, limit->per_ns) : 0;
	if (ours && now < restarts.boot_ns[0] + wait) {
		act_refuse(act->result, "back-off", "restarted %" PRIu32 " times of late, the last %llu s ago: not again within %llu s", ours,
			   (now - restarts.boot_ns[0]) / NSEC_PER_SEC, wait / NSEC_PER_SEC);
		return 1;
	}
	return 0;
}

/* --- slow, and not stuck ------------------------------------------------------------------------------------------------- */

static int watch_its_counters(struct unit_act *act)
{
	uint64_t first, last, begun = clock_boot_ns(), until = begun + WATCH_NS;
	int error = manager_processor_time(act->bus, act->facts.path, &first);
	while (error >= 0 && first != UNKNOWN && clock_boot_ns() < until)
		error = manager_process(act->bus, until);
	if (error >= 0)
		error = manager_processor_time(act->bus, act->facts.path, &last);
	if (error < 0)
		return error;
	uint64_t took = clock_boot_ns() - begun;
	if (first == UNKNOWN || last == UNKNOWN || last < first) {
		act_refuse(act->result, "unknown-progress", "nobody counts what %s uses, so whether it works cannot be told: give ready a probe", act->unit);
		return 1;
	}
	if (last - first < took / 1000 * WORKS_PERMILLE)
		return 0;
	act_refuse(act->result, "working", "%s works: %llu ms of a processor in %llu ms; slow is not stuck", act->unit,
		   (last - first) / NSEC_PER_MSEC, took / NSEC_PER_MSEC);
	return 1;
}

static uint64_t patience_of(const struct unit_args *args)
{
	return args->patience_ns ? args->patience_ns : PATIENCE_TIMES * args->ready.timeout_ns;
}

int restart_check_stuck(struct unit_act *act)
{
	char why[WHY_LEN], shown[WHY_LEN / 2];
	if (act->args->only_if != RESTART_IF_STUCK || !unit_state_is(&act->facts, "active"))
		return 0;
	if (act->args->ready.type == PROBE_TYPE_NONE)
		return watch_its_counters(act);
	uint64_t begun = clock_boot_ns(), patience = patience_of(act->args);
	if (begun + patience >= act->request->deadline_boot_ns) {
		act_refuse(act->result, "deadline", "no time to wait %llu ms for one last answer: give it a longer within, or a shorter patience",
			   patience / NSEC_PER_MSEC);
		return 1;
	}
	if (!ready_ask(&act->args->ready, patience, why, sizeof(why)))
		return 0;
	act_refuse(act->result, "working", "%s answers, after %llu ms; slow is not stuck", act_shown(shown, sizeof(shown), ready_name(&act->args->ready)),
		   (clock_boot_ns() - begun) / NSEC_PER_MSEC);
	return 1;
}
