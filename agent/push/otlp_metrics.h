/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metric table as OTLP metrics: counters as cumulative monotonic sums, gauges and numbers of no type as gauges, histograms as
 * exponential ones. A snapshot becomes as many requests as the bounds ask for; a family may go on in the next.
 *
 * An exponential histogram has no bucket without an end, and ours has one for what took longer than 64 s. Those observations are not
 * put into a bucket that says more than is known: the point leaves them out of its count, leaves its sum out for that is theirs, too,
 * and <name>_overflow counts them.
 */
#ifndef NODEMEND_PUSH_OTLP_METRICS_H
#define NODEMEND_PUSH_OTLP_METRICS_H

#include "publish/metric.h"
#include "push/otlp_request.h"

/* Since when a counter of which source counts. Boot: the kernel's own, and per process or device no later than its birth.
 * StatsD: whoever reads it, and begins at nothing when it is started anew. */
enum otlp_since { OTLP_SINCE_UNSAID, OTLP_SINCE_BOOT, OTLP_SINCE_AGENT, OTLP_SINCE_STATSD, OTLP_SINCE_COUNT };
extern const enum otlp_since otlp_since_of[METRIC_SOURCES];

struct otlp_metrics {
	/* the caller's */
	const struct otlp_resource *resource;
	int64_t start_wall_ns[OTLP_SINCE_COUNT]; /* 0 = not known: the start is left out */
	size_t max_bytes;                        /* of one request, about */
	uint32_t max_points;
	/* Called with each full request, not yet compressed; it is the writer's again when this returns. */
	void (*take)(void *context, const struct text *request, uint32_t points);
	void *context;

	/* the writer's */
	struct text out, scratch, overflow;      /* overflow: points of <name>_overflow, until their histogram is closed */
	uint32_t overflow_points;
	bool failed;
	int64_t time_wall_ns;
	struct otlp_shells shells;
	uint32_t points;                         /* of the open request */
	size_t metric_at, points_at;             /* where the open family and its data begin */
};

/* 0, or -ENOMEM: some of it was not handed out. */
int otlp_metrics_write(struct otlp_metrics *metrics, const struct metric_context *context);
void otlp_metrics_free(struct otlp_metrics *metrics);

#endif
