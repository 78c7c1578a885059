/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What applications sent over StatsD, on its way from the publisher, which keeps it, to the sender, which pushes it: a page of shared
 * memory under a sequence lock, written once a snapshot and read once a snapshot, where nobody waits for anybody.
 */
#ifndef NODEMEND_PUBLISH_STATSD_PAGE_H
#define NODEMEND_PUBLISH_STATSD_PAGE_H

#include <stdatomic.h>

#include "publish/statsd.h"
#include "publish/text.h"

struct statsd_page {
	uint64_t size;                   /* of all of it: push/share.h */
	_Atomic uint64_t version;        /* 0: nothing yet; odd: being written */
	uint64_t written_ns, started_ns; /* when, and since when the store counts: boot */
	struct statsd_counters counters;
	uint64_t used;                   /* of the bytes: families with their series, packed */
	uint8_t bytes[];
};

/* With room for every series that a store of so many can have. What is not used is never touched, and so takes no memory. */
size_t statsd_page_size(uint32_t max_series);

void statsd_page_write(struct statsd_page *page, const struct statsd *statsd, uint64_t now_ns);

/*
 * Makes `statsd` what the page says, by way of `buffer`: the writer is another process and what it writes is not believed. Both keep at most
 * what the store's max_series allows. 0; -EAGAIN: the page was being written, and what the store held stays; -ENODATA: nothing is there;
 * -EPROTO: not a page of ours, -ENOMEM: then the store is empty. `ret_written_ns` says how old it is.
 */
int statsd_page_read(const struct statsd_page *page, struct statsd *statsd, struct text *buffer, uint64_t *ret_written_ns);

#endif
