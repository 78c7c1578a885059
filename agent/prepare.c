/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has ready what the steps of policies in enforce will need: one request at a time, once a minute, and only while the slow lane has nothing
 * else to do. It is no act: nothing is deleted or ended, it needs no incident, and the kill switch and a pause hold it back.
 */
#include "agent.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "decide/guard.h"
#include "decide/hands.h"

#define ROUND_EVERY_NS (60 * NSEC_PER_SEC)
#define ALLOWED_NS (30 * NSEC_PER_SEC)
enum { STEPS = MAX_POLICIES * MAX_STEPS };

/* The next step from `at` on that has something to be made ready; STEPS: none. */
static uint32_t next_step(const struct config *config, uint32_t at)
{
	for (; at < STEPS; at++) {
		const struct policy *policy = &config->policies[at / MAX_STEPS];
		if (at / MAX_STEPS >= config->policy_count)
			break;
		if (at % MAX_STEPS < policy->step_count && remedies[policy->steps[at % MAX_STEPS].remedy]->prepare && effective_mode(config, policy) == MODE_ENFORCE)
			return at;
	}
	return STEPS;
}

void prepare_pump(struct agent *agent)
{
	uint64_t now_ns = clock_boot_ns();
	if (now_ns < agent->prepare.at_ns || agent->saved->pause.paused)
		return;
	uint32_t at = next_step(agent->config, agent->prepare.step);
	if (at == STEPS) {
		agent->prepare.step = 0;
		agent->prepare.at_ns = now_ns + ROUND_EVERY_NS;
		return;
	}
	const struct remedy_step *step = &agent->config->policies[at / MAX_STEPS].steps[at % MAX_STEPS];
	struct worker *worker = &agent->hands[remedies[step->remedy]->lane];
	if (worker->busy)
		return;
	struct remedy_request request = { .verb = REMEDY_VERB_PREPARE, .remedy = step->remedy, .args = step->args, .protect = agent->config->protect };
	effect_clear(&request.expect);
	request.deadline_boot_ns = now_ns + ALLOWED_NS;
	memcpy(request.kill_switch, agent->kill_switch, sizeof(request.kill_switch));
	worker->give_up_ns = 2 * ALLOWED_NS;
	if (worker_send(worker, &request, sizeof(request), now_ns) == 0) {
		agent->prepare.asked = at;
		agent->prepare.step = at + 1;
	}
}

/* Said once, and again when it is another: that there is no room is the answer every minute. */
void prepare_take(struct agent *agent)
{
	const struct remedy_result *answer = &agent->answer;
	uint32_t asked = agent->prepare.asked;
	if (next_step(agent->config, asked) != asked)
		return; /* another configuration has come meanwhile */
	const struct policy *policy = &agent->config->policies[asked / MAX_STEPS];
	const char *name = remedies[policy->steps[asked % MAX_STEPS].remedy]->name;
	const char *word = answer->outcome == OUTCOME_REFUSED ? answer->refused_by : answer->outcome == OUTCOME_NONE ? "ready" : outcome_names[answer->outcome];
	char *said = agent->prepare.said[asked];
	if (strncmp(said, word, PREPARE_WORD_LEN - 1) == 0)
		return;
	snprintf(said, PREPARE_WORD_LEN, "%.*s", PREPARE_WORD_LEN - 1, word);
	if (answer->outcome == OUTCOME_FIXED)
		log_info("%s of policy %s: made ready", name, policy->name);
	else if (answer->outcome != OUTCOME_NONE)
		log_warning("%s of policy %s is not ready: %s", name, policy->name, answer->why);
}
