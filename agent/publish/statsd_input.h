/* SPDX-License-Identifier: Apache-2.0 */
/* The StatsD socket in the publisher's loop: read in short turns, so that no flood keeps a scrape waiting or takes the processor. */
#ifndef NODEMEND_PUBLISH_STATSD_INPUT_H
#define NODEMEND_PUBLISH_STATSD_INPUT_H

#include "publish/statsd.h"

struct statsd_input {
	struct statsd *statsd;
	int fd, epoll_fd;
	bool ready, armed;             /* there may be more to read; epoll will say when there is */
	uint64_t window_ns, spent_ns;  /* when this window began, and the time reading took in it */
	uint64_t expire_ns;
};

/* Takes over `fd`, which does not block. 0 or -errno. */
int statsd_input_open(struct statsd_input *input, int fd, int epoll_fd, uint32_t max_series, uint64_t max_age_ns);
/* epoll said that there is something. */
void statsd_input_ready(struct statsd_input *input);
/* One turn. Returns when the next one is due, unless epoll says something before. */
uint64_t statsd_input_run(struct statsd_input *input, uint64_t now_ns);

#endif
