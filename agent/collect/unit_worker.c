/* SPDX-License-Identifier: Apache-2.0 */
/* The unit collector's worker: one loop over systemd's bus and the probes' descriptors, reporting changes and a heartbeat. */
#include "collect/probe.h"
#include "collect/unit_bus.h"
#include "collect/unit_wire.h"
#include "core/clock.h"
#include "core/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct minder {
	int fd;
	uint32_t count, unit_count;  /* probes that stand alone come behind the units */
	uint64_t heartbeat_ns, beat_ns;
	bool has_commands;
	struct unit_order orders[MAX_UNITS];
	struct unit_watch units[MAX_UNITS];
	struct probe_run probes[MAX_UNITS];
	bool probing[MAX_UNITS];
	int32_t probed_pid[MAX_UNITS];
	struct unit_bus bus;
};

/* 1: all orders are there. 0: the agent closed. */
static int take_orders(struct minder *minder)
{
	do {
		struct unit_order order;
		int got = worker_read(minder->fd, &order, sizeof(order));
		if (got <= 0)
			return got;
		if (order.index != minder->count || order.count > MAX_UNITS)
			return -EPROTO;
		minder->orders[minder->count++] = order;
	} while (minder->count < minder->orders[0].count);
	return 1;
}

static void begin(struct minder *minder)
{
	minder->heartbeat_ns = minder->orders[0].heartbeat_ns;
	while (minder->unit_count < minder->count && !minder->orders[minder->unit_count].alone)
		minder->unit_count++;
	minder->bus = (struct unit_bus){ .address = minder->orders[0].bus, .count = minder->unit_count, .units = minder->units };
	snprintf(minder->bus.why, sizeof(minder->bus.why), "connecting");
	for (uint32_t i = 0; i < minder->count; i++) {
		const struct unit_order *order = &minder->orders[i];
		memcpy(minder->units[i].sample.name, order->name, sizeof(minder->units[i].sample.name));
		/* Not before the unit is known to run; those that stand alone spread over their period. */
		uint64_t first_ns = order->alone ? clock_boot_ns() + order->probe.every_ns * i / minder->count : UINT64_MAX;
		probe_init(&minder->probes[i], &order->probe, first_ns);
		minder->has_commands |= order->probe.type == PROBE_TYPE_COMMAND;
	}
}

/* 0, or -EPIPE: the agent has gone. A full socket only means that it is slow; the next heartbeat says the same again. */
static int report(struct minder *minder, uint32_t index, uint64_t now_ns)
{
	struct unit_watch *unit = &minder->units[index];
	struct unit_report message = { .index = index, .bus_up = minder->bus.up || !minder->unit_count };

	if (minder->orders[index].alone)
		unit->sample.measured_ns = now_ns;
	else if (unit_bus_knows(&minder->bus, unit, now_ns))
		unit->sample.measured_ns = now_ns;
	else
		unit->sample.state = UNIT_UNKNOWN;
	unit->sample.probe = minder->probes[index].state;
	memcpy(unit->sample.probe_why, minder->probes[index].why, sizeof(unit->sample.probe_why));
	message.sample = unit->sample;
	memcpy(message.bus_why, minder->bus.why, sizeof(message.bus_why));

	unit->changed = false;
	if (send(minder->fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EINTR &&
	    errno != ENOBUFS)
		return -EPIPE;
	return 0;
}

static int report_news(struct minder *minder, uint64_t now_ns)
{
	bool beat = now_ns >= minder->beat_ns + minder->heartbeat_ns;

	if (beat)
		minder->beat_ns = now_ns;
	for (uint32_t i = 0; i < minder->count; i++)
		if ((beat || minder->units[i].changed) && report(minder, i, now_ns) < 0)
			return -EPIPE;
	return 0;
}

/* Only a unit that runs can be asked whether it works; one that came back, or whose main process is another one, starts afresh. */
static void follow_unit(struct minder *minder, uint32_t index, uint64_t now_ns)
{
	const struct unit_sample *sample = &minder->units[index].sample;
	bool active = unit_bus_knows(&minder->bus, &minder->units[index], now_ns) &&
		      (sample->state == UNIT_ACTIVE || sample->state == UNIT_RELOADING);
	struct probe_run *run = &minder->probes[index];

	if (active == minder->probing[index] && (!active || sample->main_pid == minder->probed_pid[index]))
		return;
	minder->probing[index] = active;
	minder->probed_pid[index] = sample->main_pid;
	/* Spread over the period, so that sixty probes do not start in one instant. */
	probe_reset(run, active ? now_ns + run->what->every_ns * index / (minder->count ? minder->count : 1) : UINT64_MAX);
	minder->units[index].changed = true;
}

static void step_probes(struct minder *minder, const struct pollfd *polled, uint64_t now_ns)
{
	for (uint32_t i = 0; i < minder->count; i++) {
		struct probe_run *run = &minder->probes[i];
		if (run->what->type == PROBE_TYPE_NONE)
			continue;
		bool ready = polled && polled[i].fd >= 0 && polled[i].fd == run->fd && polled[i].revents;
		if (probe_step(run, ready, now_ns))
			minder->units[i].changed = true;
		if (!minder->orders[i].alone)
			follow_unit(minder, i, now_ns);
	}
	if (minder->has_commands)
		probe_reap_strays(minder->probes, minder->count);
}

static uint64_t fill_poll(const struct minder *minder, struct pollfd *polled)
{
	uint64_t due_ns, beat_ns = minder->beat_ns + minder->heartbeat_ns;

	polled[1] = (struct pollfd){ .fd = -1 };
	due_ns = UINT64_MAX;
	if (minder->unit_count)
		unit_bus_poll(&minder->bus, &polled[1].fd, &polled[1].events, &due_ns);
	if (beat_ns < due_ns)
		due_ns = beat_ns;
	for (uint32_t i = 0; i < minder->count; i++) {
		const struct probe_run *run = &minder->probes[i];
		polled[2 + i] = (struct pollfd){ .fd = run->fd, .events = run->events };
		uint64_t probe_ns = probe_due_ns(run);
		if (probe_ns < due_ns)
			due_ns = probe_ns;
	}
	return due_ns;
}

static int wait_for_news(struct minder *minder, struct pollfd *polled, uint64_t due_ns)
{
	uint64_t now_ns = clock_boot_ns(), left_ns = due_ns > now_ns ? due_ns - now_ns : 0;
	struct timespec left = { .tv_sec = (time_t)(left_ns / NSEC_PER_SEC), .tv_nsec = (long)(left_ns % NSEC_PER_SEC) };

	polled[0] = (struct pollfd){ .fd = minder->fd, .events = POLLIN };
	if (ppoll(polled, 2 + minder->count, &left, NULL) < 0) {
		for (uint32_t i = 0; i < 2 + minder->count; i++)
			polled[i].revents = 0;
		return errno == EINTR ? 0 : -errno;
	}
	return polled[0].revents ? -EPIPE : 0; /* the agent says nothing more: it has closed */
}

int unit_serve(int fd)
{
	struct pollfd polled[2 + MAX_UNITS] = { 0 };
	struct minder *minder = calloc(1, sizeof(*minder));
	if (!minder)
		return 1;

	minder->fd = fd;
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* what a command leaves behind comes to us, to be ended */
	int got = take_orders(minder);
	if (got <= 0) {
		free(minder);
		return got < 0;
	}

	begin(minder);
	int error = 0;
	while (!error) {
		uint64_t now_ns = clock_boot_ns();
		if (minder->unit_count)
			unit_bus_step(&minder->bus, now_ns);
		step_probes(minder, polled + 2, now_ns);
		error = report_news(minder, now_ns);
		if (!error)
			error = wait_for_news(minder, polled, fill_poll(minder, polled));
	}

	for (uint32_t i = 0; i < minder->count; i++)
		probe_reset(&minder->probes[i], UINT64_MAX);
	for (uint32_t i = 0; i < minder->count; i++)
		probe_free(&minder->probes[i]);
	unit_bus_close(&minder->bus);
	free(minder);
	return 0;
}
