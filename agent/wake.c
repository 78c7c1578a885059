/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cannot wait for the next tick: an end that a crash condition asks for makes the kernel wake us, and the cheap collectors run at
 * once. A storm of such ends must not become a storm of ticks: each that follows the one before closely waits twice as long.
 */
#include "agent.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "core/clock.h"

#define GAP_LEAST_NS (20 * NSEC_PER_MSEC)
#define GAP_MOST_NS NSEC_PER_SEC
#define CALM_NS (2 * NSEC_PER_SEC)           /* without a wake-up for so long the next one is served at once again */

struct wake {
	struct sd_event_source *timer;
	struct {
		int fd;
		struct sd_event_source *source;
	} each[COLLECTOR_COUNT];
	uint64_t served_ns, gap_ns;
	bool pending;
};

uint64_t wake_next_ns(uint64_t now_ns, uint64_t served_ns, uint64_t *gap_ns)
{
	if (!served_ns || now_ns >= served_ns + CALM_NS) {
		*gap_ns = GAP_LEAST_NS;
		return now_ns;
	}
	uint64_t next_ns = served_ns + *gap_ns;
	*gap_ns = *gap_ns * 2 < GAP_MOST_NS ? *gap_ns * 2 : GAP_MOST_NS;
	return next_ns > now_ns ? next_ns : now_ns;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
	struct agent *agent = context;
	(void)source;
	(void)usec;
	agent->wake->pending = false;
	agent->wake->served_ns = clock_boot_ns();
	wheel_turn(agent, false);
	return 0;
}

static int on_wake(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct agent *agent = context;
	struct wake *wake = agent->wake;
	(void)source;
	(void)fd;
	(void)events;
	if (wake->pending)
		return 0;
	wake->pending = true;
	uint64_t at_ns = wake_next_ns(clock_boot_ns(), wake->served_ns, &wake->gap_ns);
	sd_event_source_set_time(wake->timer, at_ns / NSEC_PER_USEC);
	return sd_event_source_set_enabled(wake->timer, SD_EVENT_ONESHOT);
}

/* Edge-triggered: what is in a ring without a wake-up stays there for the tick. */
static void watch(struct agent *agent, enum collector_id id)
{
	struct wake *wake = agent->wake;
	int fd = agent->collector_state[id] && collectors[id]->wake_fd ? collectors[id]->wake_fd(agent->collector_state[id]) : -1;
	if (wake->each[id].source && wake->each[id].fd == fd)
		return;
	wake->each[id].source = sd_event_source_unref(wake->each[id].source);
	wake->each[id].fd = fd;
	if (fd >= 0 && sd_event_add_io(agent->event, &wake->each[id].source, fd, EPOLLIN | EPOLLET, on_wake, agent) < 0)
		wake->each[id].source = NULL; /* then it is seen at the next tick */
}

int wake_open(struct agent *agent)
{
	agent->wake = calloc(1, sizeof(*agent->wake));
	if (!agent->wake)
		return -ENOMEM;
	int error = sd_event_add_time(agent->event, &agent->wake->timer, CLOCK_BOOTTIME, 0, 1000, on_timer, agent);
	if (error < 0)
		return error;
	error = sd_event_source_set_enabled(agent->wake->timer, SD_EVENT_OFF);
	wake_watch(agent);
	return error;
}

void wake_watch(struct agent *agent)
{
	for (enum collector_id id = 0; agent->wake && id < COLLECTOR_COUNT; id++)
		watch(agent, id);
}

/* Before a collector closes: its descriptor may be another's at once. */
void wake_forget(struct agent *agent, enum collector_id id)
{
	if (!agent->wake)
		return;
	agent->wake->each[id].source = sd_event_source_unref(agent->wake->each[id].source);
	agent->wake->each[id].fd = -1;
}

void wake_close(struct agent *agent)
{
	for (enum collector_id id = 0; agent->wake && id < COLLECTOR_COUNT; id++)
		wake_forget(agent, id);
	if (agent->wake)
		sd_event_source_unref(agent->wake->timer);
	free(agent->wake);
	agent->wake = NULL;
}
