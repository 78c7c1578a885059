/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads in uninterruptible sleep, from walk to walk: one that is met so again, and has not been switched in between, has been held
 * all the time. The kernel keeps no such time; khungtaskd looks every two minutes, at one thread.
 */
#ifndef NODEMEND_COLLECT_HELD_H
#define NODEMEND_COLLECT_HELD_H

#include "snapshot.h"

enum { HELD_THREADS = 4096 }; /* beyond them threads in D are counted, but not timed */

struct held_one {
	int32_t pid, tid;
	uint64_t start_ns;           /* of the process */
	uint64_t switches, since_ns;
};

struct held {
	uint64_t boot_ns;
	uint64_t gap_ns;             /* that lies before this walk: the node slept, and nobody was held; 0: none */
	uint32_t before_count, count;
	struct held_one lists[2][HELD_THREADS];
	struct held_one *before, *now;
};

void held_init(struct held *held);
/* One walk: begin, take each thread that is in D, end. Then now[0 … count-1] are in the order of their thread ids. */
void held_begin(struct held *held, uint64_t boot_ns, uint64_t interval_ns);
void held_take(struct held *held, const struct thread_record *record);
void held_end(struct held *held);

/* The rows of the section: for each (cgroup, comm) its longest, of at least a second, and how many threads count as hung. */
void held_begin_rows(struct process_section *section);
void held_add_row(struct process_section *section, const struct process *process, const struct held_one *one, uint64_t boot_ns);

#endif
