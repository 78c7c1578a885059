/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a unit lives and answers after it was started, restarted or reloaded: unit_judge() of unit_act.h. */
#include "remedies/unit_act.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"

/* A service that dies at once is active for as long as its first instructions take; systemd's own RestartSec is 100 ms. */
#define STABLE_NS NSEC_PER_SEC
#define ASK_AGAIN_NS (500 * NSEC_PER_MSEC)
/* Beyond its time, for the answer that is under way. */
#define LAST_ANSWER_NS (2 * NSEC_PER_SEC)

static bool is_on_its_way(const struct unit_facts *facts)
{
	return unit_state_is(facts, "activating") || unit_state_is(facts, "reloading") || unit_state_is(facts, "deactivating");
}

static bool is_another(const struct unit_facts *facts, uint32_t pid, uint32_t restarts)
{
	return facts->main_pid != pid || facts->restarts != restarts; /* it died, and systemd started it again */
}

/* 1: active, and as the same process for STABLE_NS. 0: not. -errno. The moment may pass the deadline: it is no new work. */
static int watch_it_live(struct unit_act *act)
{
	struct unit_facts *facts = &act->facts;
	uint32_t pid = 0, restarts = 0;
	uint64_t active_since = 0, deadline = act->request->deadline_boot_ns;
	int error = manager_watch_unit(act->bus, facts->path);
	while (error >= 0) {
		error = manager_facts(act->bus, act->unit, facts);
		if (error < 0)
			break;
		uint64_t now = clock_boot_ns();
		if (unit_state_is(facts, "active")) {
			if (active_since && is_another(facts, pid, restarts))
				return 0;
			active_since = active_since ? active_since : now;
			pid = facts->main_pid;
			restarts = facts->restarts;
		} else if (active_since || !is_on_its_way(facts)) {
			return 0;
		}
		if (active_since && now >= active_since + STABLE_NS)
			return 1;
		if (!active_since && now >= deadline)
			return 0;
		error = manager_process(act->bus, active_since ? active_since + STABLE_NS : deadline);
	}
	return error;
}

/* 1: it answers. 0: not in its time, or it died meanwhile. A slow start is no failure: it is asked again until its time is over. */
static int watch_it_answer(struct unit_act *act, struct action_step *step)
{
	const struct probe *ready = &act->args->ready;
	char why[WHY_LEN] = "";
	uint32_t pid = act->facts.main_pid, restarts = act->facts.restarts, asked = 0;
	uint64_t begun = clock_boot_ns(), until = unit_earlier(begun + act->args->ready_within_ns, act->request->deadline_boot_ns);
	for (;;) {
		asked++;
		uint64_t now = clock_boot_ns(), left = until > now ? until - now : 0;
		bool answers = ready_ask(ready, unit_earlier(ready->timeout_ns, left + LAST_ANSWER_NS), why, sizeof(why));
		now = clock_boot_ns();
		int error = manager_facts(act->bus, act->unit, &act->facts);
		if (error < 0)
			return error;
		if (!unit_state_is(&act->facts, "active") || is_another(&act->facts, pid, restarts)) {
			step_end(step, false, "it died before it answered");
			return 0;
		}
		if (answers) {
			step_end(step, true, "it answers, after %llu.%llu s, asked %" PRIu32 " times", (now - begun) / NSEC_PER_SEC,
				 (now - begun) / (100 * NSEC_PER_MSEC) % 10, asked);
			return 1;
		}
		if (now >= until) {
			step_end(step, false, "asked %" PRIu32 " times; %.150s", asked, why);
			return 0;
		}
		for (uint64_t again = unit_earlier(now + ASK_AGAIN_NS, until); error >= 0 && clock_boot_ns() < again;)
			error = manager_process(act->bus, again);
		if (error < 0)
			return error;
	}
}

static void say_outcome(struct unit_act *act, int lives, const char *why)
{
	struct remedy_result *result = act->result;
	result->observed.unit_active = lives > 0;
	if (lives < 0) {
		act_fail(result, "what became of %s is not known: %s", act->unit, strerror(-lives));
		return;
	}
	result->outcome = lives ? OUTCOME_FIXED : OUTCOME_NO_EFFECT;
	if (!lives)
		snprintf(result->why, sizeof(result->why), "%s: %.40s, %.40s", why, act->facts.active_state, act->facts.result);
}

void unit_judge(struct unit_act *act)
{
	const struct unit_facts *facts = &act->facts;
	struct action_step *step = result_step(act->result, "active");
	int lives = watch_it_live(act);
	if (lives < 0)
		step_end(step, false, "systemd does not answer: %s", strerror(-lives));
	else
		step_end(step, lives > 0, "%s (%s%s%s), main pid %" PRIu32 "%s", facts->active_state, facts->sub_state, facts->result[0] ? ", " : "",
			 facts->result, facts->main_pid, facts->condition ? "" : "; a condition of its file does not hold");
	if (lives <= 0 || act->args->ready.type == PROBE_TYPE_NONE) {
		say_outcome(act, lives, "it did not stay active");
		return;
	}
	step = result_step(act->result, "ready");
	lives = watch_it_answer(act, step);
	if (lives < 0)
		step_end(step, false, "systemd does not answer: %s", strerror(-lives));
	say_outcome(act, lives, "it is not ready");
}
