/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of the sched collector: sched.c loads and attaches, sched_read.c turns what the kernel keeps into sections. */
#ifndef NODEMEND_COLLECT_SCHED_H
#define NODEMEND_COLLECT_SCHED_H

#include "collect/bandwidth.h"
#include "collect/bpf.h"
#include "measure/tally.h"
#include "sched.skel.h"

enum walk { WALK_BEGIN, WALK_READ, WALK_SETTLE }; /* as bpf/walk.bpf.h has them */

struct blame_row {
	uint64_t cgroup_id;
	union blame_words of;
};

union sched_sums {
	struct sched_counts counts;
	uint64_t words[SCHED_COUNTS];
};

enum { MAX_LEAVING = 64 };

struct leaving { /* rows to be taken out of the kernel at the next tick */
	uint32_t count;
	struct tally_key keys[MAX_LEAVING];
};

struct sched_state {
	struct sched_bpf *skel;
	struct bpf_link *on_switch, *on_new_task, *walk_link;
	struct object_walk walk;
	struct bandwidth_reader *bandwidth; /* NULL: nothing to read */
	enum depth depth;
	bool keeps_threads, says_state;
	struct tally *groups, *pairs;       /* NULL without threads */
	struct leaving leaving_groups, leaving_pairs;
	struct leaving stale;               /* rows of live_threads that no walk fills any more */
	uint32_t row_count;
	uint64_t rows_cut;
	struct blame_row rows[2 * MAX_BLAME_ROWS]; /* of the ended, then of the living */
};

int sched_walk(struct sched_state *state, enum walk mode);
int sched_read(struct sched_state *state, struct snapshot *snap, struct collector_status *status);
/* No more rows for what is looked at deeply. */
void sched_forget_deep(struct sched_state *state);

#endif
