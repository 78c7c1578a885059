/* SPDX-License-Identifier: Apache-2.0 */
/* Every resource by utilisation, saturation and errors, and the one that limits the node now. */
#ifndef NODEMEND_SIGNALS_BOTTLENECK_H
#define NODEMEND_SIGNALS_BOTTLENECK_H

#include <stdbool.h>
#include <stdint.h>

enum { MAX_RESOURCES = 32, RESOURCE_NAME_LEN = 32, BOTTLENECK_SENTENCE_LEN = 256, NOTHING_LIMITS = -1 };

enum resource_kind { RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_DISK, RESOURCE_NETWORK, RESOURCE_KIND_COUNT };
extern const char *const resource_kind_names[RESOURCE_KIND_COUNT];

/*
 * Utilisation: the share of its time, capacity or speed that is in use. Saturation: cpu and memory, the share of the last ten seconds in
 * which somebody waited for it; disk, requests at it on average; network, packets dropped a second. Errors: since boot (memory: processes
 * killed for want of it; disk: failed requests, since the agent started). What is not known is negative, or UINT64_MAX.
 */
struct resource_use {
	enum resource_kind kind;
	char name[RESOURCE_NAME_LEN];   /* of the disk or interface; else "" */
	double utilisation, saturation;
	uint64_t errors;
	uint64_t drops;                 /* network: what the next tick's saturation is counted from */
};

struct bottleneck_section {
	uint64_t measured_ns;
	int32_t limiting;               /* into each; NOTHING_LIMITS */
	char sentence[BOTTLENECK_SENTENCE_LEN];
	uint32_t count, cut;
	struct resource_use each[MAX_RESOURCES];
};

#endif
