/* SPDX-License-Identifier: Apache-2.0 */
/* Pressure that the kernel watches for a policy: what was asked of it, and when it said so. Resources are enum psi_resource. */
#ifndef NODEMEND_SIGNALS_TRIGGER_H
#define NODEMEND_SIGNALS_TRIGGER_H

#include <stdbool.h>
#include <stdint.h>

/* Unprivileged windows are multiples of this (v6.4, d82caa273565), and the kernel says each at most once a window. */
enum { MAX_TRIGGERS = 16, TRIGGER_CGROUP_LEN = 256, TRIGGER_WINDOW_S = 2 };

struct trigger {
	char cgroup[TRIGGER_CGROUP_LEN];  /* "" = the node */
	uint8_t resource;
	bool full;
	uint32_t permille;                /* of the window, stalled */
	int32_t error;                    /* 0: the kernel watches; else why it does not */
	uint64_t fired_ns;                /* CLOCK_BOOTTIME of the last time; 0 never */
};

struct trigger_section {
	uint32_t count, cut;              /* cut: conditions beyond what there is room for; they are polled */
	struct trigger each[MAX_TRIGGERS];
};

#endif
