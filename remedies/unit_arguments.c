/* SPDX-License-Identifier: Apache-2.0 */
/* What the arguments of a remedy on a unit may be, and what a request that crossed a process boundary may not. */
#include "remedies/unit_act.h"

#include <string.h>

#include "core/unit_name.h"

/* A slice, a scope or a target is many things at once, and a device is nobody's to start. */
static const char *name_problem(const char *name)
{
	static const char *const many[] = { ".slice", ".scope", ".target", ".device" };
	const char *problem = unit_name_problem(name);
	const char *suffix = problem ? "" : unit_suffix(name);
	for (size_t i = 0; i < sizeof(many) / sizeof(many[0]) && !problem; i++)
		if (strcmp(suffix, many[i]) == 0)
			problem = "only one service, socket, timer, path, mount or swap is restarted, not a group of them or a device";
	return problem;
}

void unit_vet(const union remedy_args *args, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	const char *problem = args->unit.unit[0] ? name_problem(args->unit.unit) : NULL;
	if (problem)
		fault(context, "unit", "%s", problem);
	if (args->unit.crash_loop.per_ns && args->unit.back_off_ns > args->unit.crash_loop.per_ns)
		fault(context, "back_off", "longer than the time of crash_loop, in which it is counted");
	if (args->unit.only_if == RESTART_IF_STUCK && args->unit.unit[0] && !problem && strcmp(unit_suffix(args->unit.unit), ".service") != 0)
		fault(context, "only_if", "only a service can be stuck");
}

static const char *ready_problem(const struct probe *ready)
{
	if ((unsigned)ready->type > PROBE_TYPE_COMMAND)
		return "ready is of no known kind";
	if (!ENDED(ready->address) || !ENDED(ready->body))
		return "ready has no end";
	for (size_t i = 0; i < PROBE_WORDS; i++)
		if (!ENDED(ready->argv[i]))
			return "ready has no end";
	if (ready->type == PROBE_TYPE_COMMAND && (!request_path_is_plain(ready->argv[0]) || ready->argv[PROBE_WORDS - 1][0]))
		return "ready names no program";
	return ready->timeout_ns > LONGEST_WAIT_S * NSEC_PER_SEC ? "the time of ready is out of its range" : NULL;
}

const char *unit_problem(const union remedy_args *all)
{
	const struct unit_args *args = &all->unit;
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.\\-@";
	const uint64_t times[] = { args->job_timeout_ns, args->stop_within_ns, args->ready_within_ns, args->patience_ns, args->back_off_ns, args->crash_loop.per_ns };
	if (!ENDED(args->unit) || !args->unit[0] || args->unit[strspn(args->unit, letters)] || !strchr(args->unit, '.'))
		return "unit is no unit's name";
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (times[i] > 30 * LONGEST_WAIT_S * NSEC_PER_SEC)
			return "a time is out of its range";
	if ((unsigned)args->only_if >= RESTART_IF_COUNT)
		return "only_if is unknown";
	return args->ready.type != PROBE_TYPE_NONE ? ready_problem(&args->ready) : NULL;
}
