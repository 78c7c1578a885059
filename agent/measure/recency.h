/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much each row of a kernel map grew lately, so that the largest can be shown and the silent pruned, where the map itself is the
 * truth and exact totals stand beside it. For rows with keys of up to RECENCY_KEY_BYTES; tally.h is for two words and exact rests.
 *
 *	recency_begin();  each kernel row: recency_note();  recency_end();
 */
#ifndef NODEMEND_MEASURE_RECENCY_H
#define NODEMEND_MEASURE_RECENCY_H

#include <stddef.h>
#include <stdint.h>

enum { RECENCY_KEY_BYTES = 32 };

struct recency;
/* NULL without memory. More rows than `capacity` are taken for new ones each time. */
struct recency *recency_new(uint32_t capacity, size_t key_size);
void recency_free(struct recency *recency); /* NULL is fine */

void recency_begin(struct recency *recency, uint64_t elapsed_ns);
/* `weight` as it stands now; what it grew by since the last round, decayed into the return value with RECENT_HALF_LIFE_NS. */
uint64_t recency_note(struct recency *recency, const void *key, uint64_t weight, uint64_t *ret_grown);
void recency_end(struct recency *recency);

#endif
