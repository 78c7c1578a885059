/* SPDX-License-Identifier: Apache-2.0 */
/* What the publisher's parts share: the newest snapshot, the records, and the answers to the paths of docs/api.md. */
#ifndef NODEMEND_PUBLISH_PUBLISH_H
#define NODEMEND_PUBLISH_PUBLISH_H

#include "publish/metric.h"
#include "publish/records.h"
#include "publish/text.h"
#include "publisher.h"

enum { MAX_PARAMETERS = 16 };

struct publisher {
	const struct ring *ring;
	struct snapshot *snap;
	uint64_t seq;                      /* of snap; 0 = none yet */
	struct shown *shown;
	struct records *records;
	struct publisher_counters counters;
	uint32_t max_shown;
	struct statsd *statsd;             /* NULL: not configured */
	struct text feed;                  /* the JSON feed of snap */
	struct text page;                  /* the answer being made, reused */
};

/* 1: there is a new snapshot, chosen from and written as JSON into `feed`. 0: the old one stands. */
int publisher_refresh(struct publisher *publisher, uint64_t now_ns);
void publisher_context(const struct publisher *publisher, uint64_t now_ns, struct metric_context *ret);

/* One request as the routes see it. */
struct request {
	const char *path;
	const char *accept;                /* "" where there is none */
	uint32_t parameter_count;
	struct { const char *name, *value; } parameters[MAX_PARAMETERS];
};

struct reply {
	unsigned int status;
	const char *content_type;
	struct text *body;
	bool stream;                       /* server-sent events from here on, instead of the body */
};

/* Fills in `reply`; its body is publisher->page. */
void route(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns, struct reply *reply);

/* The content type that the Accept header prefers. */
enum exposition { EXPOSITION_TEXT, EXPOSITION_OPENMETRICS, EXPOSITION_PROTOBUF, EXPOSITION_COUNT };
enum exposition accept_exposition(const char *accept);
/* ISO 8601, unix seconds, or a duration before now ("24h", "90s"). 0 or -EINVAL. */
int since_parse(const char *text, int64_t wall_ns, int64_t *ret_ns);

#endif
