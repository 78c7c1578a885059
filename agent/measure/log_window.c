/* SPDX-License-Identifier: Apache-2.0 */
/* See log_window.h. */
#include "measure/log_window.h"

/* Those of the newest matches that are not older than `within` before `end_ns`; at most LOG_TIMES_MAX and none from before the last clearing. */
static uint32_t count_since(const struct log_window *window, uint64_t within_ns, uint64_t end_ns)
{
	uint32_t count = 0;

	for (uint64_t i = window->matched; i > window->before && count < LOG_TIMES_MAX; i--, count++) {
		uint64_t at_ns = window->at[(i - 1) % LOG_TIMES_MAX];
		if (at_ns + within_ns < end_ns)
			break;
	}
	return count;
}

void log_window_match(struct log_window *window, const struct log_window_rule *rule, uint64_t at_ns)
{
	/* Two writers of a journal are not in one order to the microsecond; here time does not go back. */
	if (at_ns < window->last_ns)
		at_ns = window->last_ns;
	/* What cleared by time between two matches that were read at once has cleared. */
	(void)log_window_pass(window, rule, at_ns);
	window->at[window->matched++ % LOG_TIMES_MAX] = at_ns;
	window->last_ns = at_ns;
	if (window->raised)
		return;
	uint32_t count = count_since(window, rule->within_ns, at_ns);
	if (count >= rule->times) {
		window->raised = true;
		window->before = window->matched - count;
	}
}

void log_window_clear(struct log_window *window)
{
	window->raised = false;
	window->before = window->matched;
}

bool log_window_pass(struct log_window *window, const struct log_window_rule *rule, uint64_t now_ns)
{
	if (!window->raised || !rule->clear_after_ns || now_ns < window->last_ns + rule->clear_after_ns)
		return false;
	log_window_clear(window);
	return true;
}

uint32_t log_window_count(const struct log_window *window, const struct log_window_rule *rule, uint64_t now_ns)
{
	uint64_t all = window->matched - window->before;

	if (window->raised)
		return all < UINT32_MAX ? (uint32_t)all : UINT32_MAX;
	return count_since(window, rule->within_ns, now_ns);
}

bool log_window_is_idle(const struct log_window *window, const struct log_window_rule *rule, uint64_t now_ns)
{
	return !window->raised && window->last_ns + rule->within_ns < now_ns;
}
