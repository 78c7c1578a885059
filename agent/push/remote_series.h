/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Series of remote write by their labels: `name\0value\0name\0value\0`, names sorted, as the protocol wants them. A set of them
 * remembers which a round had, so that the next one can end those that are no longer there.
 */
#ifndef NODEMEND_PUSH_REMOTE_SERIES_H
#define NODEMEND_PUSH_REMOTE_SERIES_H

#include "output.h"
#include "publish/metric.h"

enum { REMOTE_MAX_LABELS = SERIES_MAX_LABELS + 2 + MAX_EXTERNAL_LABELS /* __name__ and le */, SERIES_MAX = 1 << 17 };

/* Appends the labels of one series; `suffix` (_bucket, …) is appended to the name, `le` NULL where there is none. A label of the metric's own
 * goes before an external one of that name. Returns the number of labels. */
uint32_t series_labels(struct text *text, const struct metric *metric, const char *suffix, const struct label *labels, uint32_t count, const char *le,
		       const struct outputs *outputs);

struct series_set {
	struct text pool;
	uint32_t count, room, slots;   /* slots: a power of two, or 0 */
	uint32_t *places, *table;      /* of each in the pool; by hash, index + 1 */
};

/* False where it is there already, or there is no room: then `lost` (may be NULL) counts. */
bool series_set_add(struct series_set *set, const char *labels, size_t size, uint64_t *lost);
/* Its number from 1; 0 where it is not there. */
uint32_t series_set_find(const struct series_set *set, const char *labels, size_t size);
/* The labels of the i-th. */
const char *series_set_at(const struct series_set *set, uint32_t i, size_t *ret_size);
void series_set_empty(struct series_set *set);
void series_set_free(struct series_set *set);

#endif
