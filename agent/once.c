/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend run --once`: two looks one interval apart, and the feed on stdout. Nothing is detected, decided or kept. */
#include "agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/clock.h"
#include "core/log.h"
#include "publish/metric.h"
#include "publish/records.h"

static void sleep_until(uint64_t boot_ns)
{
	struct timespec until = { .tv_sec = (time_t)(boot_ns / NSEC_PER_SEC), .tv_nsec = (long)(boot_ns % NSEC_PER_SEC) };
	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL) == EINTR)
		continue;
}

static int write_all(const char *data, size_t size)
{
	while (size) {
		ssize_t wrote = write(STDOUT_FILENO, data, size);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return -errno;
		data += wrote;
		size -= (size_t)wrote;
	}
	return 0;
}

static int print_feed(const struct agent *agent)
{
	struct shown *shown = calloc(1, sizeof(*shown));
	struct records *records = calloc(1, sizeof(*records)); /* none: nothing was decided */
	struct publisher_counters counters = { 0 };
	struct text out = { 0 };
	int error = -ENOMEM;
	if (!shown || !records)
		goto out;
	shown_choose(shown, agent->snap, agent->config->max_processes_shown);
	struct metric_context context = { .snap = agent->snap, .now_ns = clock_boot_ns(), .shown = shown, .records = records, .counters = &counters };
	metrics_write(&json_writer, &context, 0, &out);
	text_append(&out, "\n", 1);
	error = out.failed ? -ENOMEM : write_all(out.data, out.length);
out:
	text_free(&out);
	free(records);
	free(shown);
	return error;
}

int agent_once(struct agent *agent)
{
	int error = wheel_allocate(agent);
	if (error == 0) {
		wheel_open_collectors(agent);
		wheel_collect(agent, true);
		sleep_until(agent->snap->boot_ns + agent->config->interval_ns);
		wheel_collect(agent, true);
		error = print_feed(agent);
		wheel_close_collectors(agent);
	}
	if (error < 0)
		log_error("once: no feed: %s", strerror(-error));
	wheel_free(agent);
	free(agent->config);
	agent->config = NULL;
	return error < 0 ? EXIT_NO : EXIT_DONE;
}
