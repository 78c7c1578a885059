/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the BPF tests share: a collector opened on this kernel, a tick of it, and what becomes of a test that this kernel gives too
 * little for. With NODEMEND_TEST_FULL set, as on the machine the tests run on, that is a failure; else the test is skipped and says
 * on which rung the collector stands (scripts/vm-matrix.sh reads these lines and knows from tests/vm/ladder what is to be expected).
 */
#ifndef NODEMEND_TESTS_BPF_HARNESS_H
#define NODEMEND_TESTS_BPF_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/bpf.h"
#include "collector.h"
#include "core/clock.h"

extern const struct collector collector_syscall, collector_task, collector_fswrite, collector_process, collector_tcp, collector_socket;
extern const struct collector collector_drop, collector_dns, collector_oom, collector_kill, collector_reclaim, collector_pagecache;
extern const struct collector collector_block, collector_fsop, collector_deleted, collector_cgroup, collector_cpu, collector_memory;
extern const struct collector collector_sched, collector_irq;

struct harness {
	struct config config;
	struct collector_env env;
	struct snapshot snap;
	struct collector_status status[COLLECTOR_COUNT];
	void *state[COLLECTOR_COUNT];
	const struct collector *opened[COLLECTOR_COUNT];
};

static inline struct harness *harness_new(void)
{
	struct harness *harness = calloc(1, sizeof(*harness));

	assert_non_null(harness);
	harness->env = (struct collector_env){
		.config = &harness->config, .proc_fd = open("/proc", O_PATH | O_DIRECTORY), .sys_fd = open("/sys", O_PATH | O_DIRECTORY),
	};
	harness->snap.interval_ns = NSEC_PER_SEC;
	harness->config.slice_cpu_ns = 10 * NSEC_PER_SEC;
	harness->config.slice_io_bytes = harness->config.slice_rss_bytes = 256 << 20;
	return harness;
}

/* Of the v2 hierarchy: beside v1's on a hybrid host, the only one elsewhere. */
static inline const char *cgroup_root(void)
{
	return access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
}

/* Fewer of what there are many of: emulated processors fork 5 to 12 times slower. NODEMEND_TEST_SCALE is the divisor. */
static inline int test_scale(int n)
{
	const char *text = getenv("NODEMEND_TEST_SCALE");
	int divisor = text ? atoi(text) : 1;

	return divisor > 1 ? (n + divisor - 1) / divisor : n;
}

/* Where what must be many cannot be so few: 1 on a machine, 4 under emulation. */
static inline int test_slowness(void)
{
	return test_scale(4) < 4 ? 4 : 1;
}

/* For what a table or a ring must run over with: `processes` of them. The same on all kernels, and minutes where a fork takes 20 ms. */
static inline void harness_many(int processes)
{
	if (test_slowness() == 1)
		return;
	print_message("SKIP %d processes take minutes under emulation\n", processes);
	skip();
}

/* A collector that stands on a lower rung, or on none, is opened all the same: harness_needs() and harness_tick() skip the test then. */
static inline void harness_open(struct harness *harness, const struct collector *collector)
{
	struct collector_status *status = &harness->status[collector->id];
	const char *full = getenv("NODEMEND_TEST_FULL");
	bool open;

	harness->config.collectors[collector->id] = true;
	open = !collector->open(&harness->env, status, &harness->state[collector->id]);
	harness->opened[collector->id] = open ? collector : NULL;
	if (open && status->state == COLLECTOR_UP)
		return;
	if (full && full[0])
		fail_msg("%s: %s: %s", collector->name, open ? status->source : "down", status->why);
	print_message("LADDER %s %s: %s\n", collector->name, open ? status->source : "down", status->why);
}

/* From a test, not from its setup, which cannot skip. `source` as the collector names it; NULL: whatever stands on its first rung. */
static inline void harness_needs(struct harness *harness, const struct collector *collector, const char *source)
{
	const struct collector_status *status = &harness->status[collector->id];

	if (harness->opened[collector->id] && (source ? !strcmp(status->source, source) : status->state == COLLECTOR_UP))
		return;
	print_message("BELOW %s: needs %s\n", collector->name, source ? source : "its first rung");
	skip();
}

/* A tick as if it were later: for what takes its time to happen. */
static inline void harness_tick_later(struct harness *harness, const struct collector *collector, uint64_t later_ns)
{
	uint64_t now = clock_boot_ns() + later_ns;

	if (!harness->opened[collector->id])
		harness_needs(harness, collector, NULL);
	harness->snap.elapsed_ns = harness->snap.boot_ns ? now - harness->snap.boot_ns : 0;
	harness->snap.boot_ns = now;
	assert_int_equal(collector->collect(harness->state[collector->id], &harness->snap, true, &harness->status[collector->id]), 0);
}

static inline void harness_tick(struct harness *harness, const struct collector *collector)
{
	harness_tick_later(harness, collector, 0);
}

/*
 * What the collector says it lost, as of its last tick. Programs at tracepoints can be preempted on 7.x, and what a second task does on the
 * same processor meanwhile is not seen: a figure that is short by no more than this is the truth.
 */
static inline uint64_t harness_lost(const struct harness *harness, const struct collector *collector)
{
	return harness->status[collector->id].events_lost;
}

/* Of that what the kernel skipped, of all that is loaded: what was lost beyond it is a fault of ours. */
static inline uint64_t harness_missed(void)
{
	uint64_t missed = 0;

	for (uint32_t slot = 0; slot < MAX_OBJECTS; slot++) {
		uint32_t owner;
		const struct bpf_object *object = object_at(slot, &owner);

		missed += object ? object_missed(object) : 0;
	}
	return missed;
}

/* Exactly, where nothing was lost. */
#define assert_all_but(got, truth, lost) assert_in_range(got, (uint64_t)(truth) - ((lost) < (uint64_t)(truth) ? (lost) : (uint64_t)(truth)), truth)

static inline void harness_close(struct harness *harness, const struct collector *collector)
{
	collector->close(harness->state[collector->id]);
	harness->state[collector->id] = NULL;
	harness->opened[collector->id] = NULL;
}

/* A test that was skipped or failed on its way left its collectors open. */
static inline void harness_free(struct harness *harness)
{
	for (int i = 0; i < COLLECTOR_COUNT; i++)
		if (harness->opened[i])
			harness_close(harness, harness->opened[i]);
	close(harness->env.proc_fd);
	close(harness->env.sys_fd);
	free(harness);
}

#endif
