/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of remote write 1.0 and 2.0: series go in one after the other, and come out as one snappy-compressed request. */
#ifndef NODEMEND_PUSH_REMOTE_MESSAGES_H
#define NODEMEND_PUSH_REMOTE_MESSAGES_H

#include "publish/metric.h"
#include "push/remote_series.h"

/* Before compression; what is larger is begun anew. Receivers take several MiB. */
enum { BATCH_MOST_BYTES = 1 << 20 };

struct batch {
	uint32_t version;              /* 1 or 2 */
	uint32_t items;                /* samples and histograms */
	struct text series, metadata;  /* packed; metadata of 1.0 */
	struct text symbols;           /* of 2.0, packed */
	struct series_set known;       /* symbols by their text */
};

void batch_begin(struct batch *batch, uint32_t version);
/* `labels` as in remote_series.h. `metric` NULL: of a series that ends, whose family nobody knows any more. */
void batch_sample(struct batch *batch, const char *labels, size_t size, const struct metric *metric, double value, int64_t time_ms);
void batch_histogram(struct batch *batch, const char *labels, size_t size, const struct metric *metric, const struct histogram *histogram,
		     int64_t time_ms);
void batch_metadata(struct batch *batch, const struct metric *metric); /* 1.0; in 2.0 each series has its own */
size_t batch_bytes(const struct batch *batch);
/* The request; `raw` is a buffer to reuse. 0 or -ENOMEM. */
int batch_finish(struct batch *batch, struct text *raw, struct text *ret);
void batch_free(struct batch *batch);

/* A request of 2.0 as one of 1.0. 0; -EINVAL, -ENOMEM. */
int batch_downgrade(const void *body, size_t size, struct text *ret);

#endif
