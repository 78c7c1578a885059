/* SPDX-License-Identifier: Apache-2.0 */
/* When what was learned is handed to the scribe: every ten minutes, and after a refusal not at every tick. */
#include <errno.h>

#include "agent.h"
#include "core/clock.h"
#include "keep/scribe.h"
#include "scene.h"

static struct {
	uint32_t calls, sizes;
	int error;
} shelf;

/* Instead of the scribe's. */
int scribe_shelf(struct scribe *scribe, const char *name, const void *data, size_t size)
{
	(void)scribe;
	(void)data;
	if (strcmp(name, "outlook.bin") != 0)
		return 0;
	shelf.calls++;
	shelf.sizes += size > 0;
	return shelf.error;
}

static struct agent *agent_new(void)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	assert_non_null(agent);
	agent->snap = scene_new();
	agent->outlook = outlook_new();
	agent->watch = watch_new();
	agent->scribe = (struct scribe *)(void *)agent; /* only passed on */
	return agent;
}

static void pass(struct agent *agent, uint32_t seconds)
{
	while (seconds-- > 0) {
		agent->snap->boot_ns += NSEC_PER_SEC;
		remember_turn(agent);
	}
}

static void what_is_refused_is_offered_again_later(void **state)
{
	struct agent *agent = agent_new();
	(void)state;
	snprintf(agent->state_dir, sizeof(agent->state_dir), "/proc"); /* where neither file is */
	remember_open(agent);
	agent->snap->boot_ns = clock_boot_ns() + SECONDS(700);
	shelf.error = -EAGAIN;
	pass(agent, 61);
	assert_int_equal(shelf.calls, 3); /* at once, and every thirty seconds */
	shelf.error = 0;
	pass(agent, 30);
	assert_int_equal(shelf.calls, 4);
	pass(agent, 500);
	assert_int_equal(shelf.calls, 4);
	pass(agent, 100);
	assert_int_equal(shelf.calls, 5);
	assert_int_equal(shelf.sizes, 5);
	outlook_free(agent->outlook);
	watch_free(agent->watch);
	free(agent->snap);
	free(agent);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_refused_is_offered_again_later) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
