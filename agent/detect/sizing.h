/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cgroups need: histograms of processor time and memory, one sample a minute, in bins of a fixed ratio, so that those of two hosts can
 * be added. A sample weighs half of what one weighs a week later (the form of Kubernetes' vertical pod autoscaler, whose weights grow
 * instead of the bins being decayed). Pure.
 */
#ifndef NODEMEND_DETECT_SIZING_H
#define NODEMEND_DETECT_SIZING_H

#include "snapshot.h"

/* Four bins a doubling: an answer is at most 19 % above what it stands for. From a thousandth of a core, and from a MiB. */
enum { SKETCH_BINS = 80, SKETCH_PER_OCTAVE = 4 };
#define SKETCH_CPU_LEAST 0.001
#define SKETCH_MEMORY_LEAST (1 << 20)

struct sketch { float bins[SKETCH_BINS]; };

/* One cgroup, by its path: a unit that is started again is the same to its owner. */
struct sized {
	uint64_t key;                /* hash of the path; 0: free */
	uint64_t cgroup_id;          /* as of the last look; 0: not there now */
	uint32_t seen_minute;        /* the last one it was seen in */
	uint32_t minutes;            /* seen in all */
	uint32_t weight_minute;      /* where a weight of 1 stands */
	float peak_memory;
	uint64_t cpu_ns;             /* at the last look */
	uint64_t cpu_at_ns;
	struct sketch cpu, memory;
};

struct sizer;
struct sizer *sizer_new(void);
void sizer_free(struct sizer *sizer);
/* Once a minute, on a clock that does not step back. */
void sizer_look(struct sizer *sizer, const struct snapshot *snap, uint32_t minute);
/* Fills sizing, sizing_count and cgroups_folded. */
void sizer_show(const struct sizer *sizer, struct outlook_section *ret);
/* For the state: those in use. sizer_restore takes one back; false: no room, or it is no possible one. */
const struct sized *sizer_next(const struct sizer *sizer, uint32_t *at);
bool sizer_restore(struct sizer *sizer, const struct sized *from);

/* The value below which `share` of the weight is: the upper edge of its bin. 0 without any. */
double sketch_quantile(const struct sketch *sketch, double least, double share);
void sketch_add(struct sketch *sketch, double least, double value, double weight);
void sketch_merge(struct sketch *into, const struct sketch *from);

#endif
