/* SPDX-License-Identifier: Apache-2.0 */
/* Ends a system call of our own that takes too long, where the kernel lets it be ended: memory.reclaim and swapoff look for signals. */
#ifndef NODEMEND_REMEDIES_TIME_LIMIT_H
#define NODEMEND_REMEDIES_TIME_LIMIT_H

#include <signal.h>
#include <stdint.h>
#include <time.h>

struct time_limit {
	timer_t timer;
	struct sigaction action;  /* what was there before */
	sigset_t mask;
};

/* From now on calls that block end with EINTR once `ns` have passed, however late they begin. 0; -errno: there is no limit, and none may be begun. */
int time_limit_begin(struct time_limit *limit, uint64_t ns);
void time_limit_end(struct time_limit *limit);

#endif
