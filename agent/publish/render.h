/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of the newest snapshot: one rendering a format and filter, however many ask for it. A page is good until the next
 * snapshot or a change of the records, and never longer than an interval: the age of a snapshot is one of its numbers.
 */
#ifndef NODEMEND_PUBLISH_RENDER_H
#define NODEMEND_PUBLISH_RENDER_H

#include "publish/metric_series.h"
#include "publish/page.h"

struct publisher;

enum exposition { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS, EXPOSITION_PROTOBUF, EXPOSITION_JSON, EXPOSITION_COUNT };

enum {
	RENDER_FILTERED = 8,                 /* pages with a filter that are remembered… */
	RENDER_FILTERED_BYTES = 1 << 20,     /* …and the bytes of all of them */
};

struct rendering {
	enum exposition format;
	struct metric_selection selection;
	uint64_t seq, records, made_ns;      /* what it shows, and since when */
	bool fresh;                          /* whether the snapshot was, then */
	struct page *page;
};

struct renderings {
	struct rendering whole[EXPOSITION_COUNT], filtered[RENDER_FILTERED];
};

/* A page with one owner more, the caller; NULL: no memory. */
struct page *metrics_page(struct publisher *publisher, enum exposition format, const struct metric_selection *selection, uint64_t now_ns);
/* Of the pages that everybody gets who asks now, one a format, and of the feed's: what a node's size costs, whoever reads it or not. */
size_t renderings_current_bytes(const struct publisher *publisher);
void renderings_free(struct renderings *renderings);

#endif
