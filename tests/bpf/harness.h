/* SPDX-License-Identifier: Apache-2.0 */
/* What the BPF tests share: a collector opened on this kernel, a tick of it, and the ids of all BPF programs and maps. */
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

#include "collector.h"
#include "core/clock.h"

extern const struct collector collector_syscall, collector_task, collector_fswrite, collector_process, collector_cgroup, collector_cpu,
	collector_memory;

struct harness {
	struct config config;
	struct collector_env env;
	struct snapshot snap;
	struct collector_status status[COLLECTOR_COUNT];
	void *state[COLLECTOR_COUNT];
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

static inline void harness_open(struct harness *harness, const struct collector *collector)
{
	struct collector_status *status = &harness->status[collector->id];

	harness->config.collectors[collector->id] = true;
	if (collector->open(&harness->env, status, &harness->state[collector->id]))
		fail_msg("%s: %s", collector->name, status->why);
	assert_int_equal(status->state, COLLECTOR_UP);
}

/* A tick as if it were later: for what takes its time to happen. */
static inline void harness_tick_later(struct harness *harness, const struct collector *collector, uint64_t later_ns)
{
	uint64_t now = clock_boot_ns() + later_ns;

	harness->snap.elapsed_ns = harness->snap.boot_ns ? now - harness->snap.boot_ns : 0;
	harness->snap.boot_ns = now;
	assert_int_equal(collector->collect(harness->state[collector->id], &harness->snap, true, &harness->status[collector->id]), 0);
}

static inline void harness_tick(struct harness *harness, const struct collector *collector)
{
	harness_tick_later(harness, collector, 0);
}

static inline void harness_close(struct harness *harness, const struct collector *collector)
{
	collector->close(harness->state[collector->id]);
	harness->state[collector->id] = NULL;
}

static inline void harness_free(struct harness *harness)
{
	close(harness->env.proc_fd);
	close(harness->env.sys_fd);
	free(harness);
}

#endif
