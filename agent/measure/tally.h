/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cumulative counters by key, as a kernel map keeps them, made into rows that can be handed on without loss: a row that leaves the
 * table (its cgroup or process is gone, or there is no room) goes on in the rest, so that rows and rest together never fall and add
 * up to everything that was ever read. Counters in the kernel only grow; a row that was deleted there and is made anew
 * begins at 0 again and is understood.
 *
 *	tally_begin();  each kernel row: tally_take();  tally_end();
 *
 * Owner of all memory is the table; rows are good until the next tally_begin().
 */
#ifndef NODEMEND_MEASURE_TALLY_H
#define NODEMEND_MEASURE_TALLY_H

#include <stdbool.h>
#include <stdint.h>

/* Two words: (cgroup, syscall), (victim, aggressor), (cgroup, device and operation), or one with 0. */
struct tally_key { uint64_t a, b; };

struct tally_row {
	struct tally_key key;
	bool in_kernel;              /* met since the last tally_begin() */
	uint32_t quiet_ticks;        /* in which nothing was added to it */
	uint64_t recent;             /* counter 0, decayed with RECENT_HALF_LIFE_NS: for choosing the largest */
	const uint64_t *total;       /* `counters` of them, since the agent started */
	const uint64_t *delta;       /* since the tick before */
};

struct tally;
/*
 * NULL without memory. `capacity`: at least what the kernel's map can hold, and some for rows that are kept after they were deleted
 * there. Memory that no row has used is not touched. At most TALLY_COUNTERS counters.
 */
enum { TALLY_COUNTERS = 64 };
struct tally *tally_new(uint32_t capacity, uint32_t counters);
void tally_free(struct tally *tally); /* NULL is fine */

void tally_begin(struct tally *tally);
/* `values` as the kernel has them now, already added up over processors. */
void tally_take(struct tally *tally, struct tally_key key, const uint64_t *values);
/* The same for a row that the caller has just deleted in the kernel: what it says is the last of it. */
void tally_take_last(struct tally *tally, struct tally_key key, const uint64_t *values);
void tally_end(struct tally *tally, uint64_t elapsed_ns);

/* By key, ascending; good from tally_end() to the next tally_begin(). */
uint32_t tally_count(const struct tally *tally);
struct tally_row tally_row(const struct tally *tally, uint32_t index);
/* The totals of a key's row; NULL: it has none. */
const uint64_t *tally_find(const struct tally *tally, struct tally_key key);
/* Puts the row into the rest and makes room; its kernel row must be gone. Rows keep their indexes until the next tally_begin(). */
void tally_retire(struct tally *tally, uint32_t index);
/* What is not in a row. */
const uint64_t *tally_rest(const struct tally *tally);
/* Rows of the kernel that found no room, each once a tick: what they counted is in no figure. */
uint64_t tally_cut(const struct tally *tally);

#endif
