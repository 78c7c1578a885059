/* SPDX-License-Identifier: Apache-2.0 */
/* What the publisher's parts share: the newest snapshot, the records, and the answers to the paths of docs/api.md. */
#ifndef NODEMEND_PUBLISH_PUBLISH_H
#define NODEMEND_PUBLISH_PUBLISH_H

#include "publish/metric.h"
#include "publish/records.h"
#include "publish/render.h"
#include "publish/text.h"
#include "publisher.h"

/* A job may name every collector of node_exporter, 45 of them. */
enum { MAX_PARAMETERS = 64 };

struct publisher {
	const struct ring *ring;
	struct snapshot *snap;
	uint64_t seq;                      /* of snap; 0 = none yet */
	struct shown *shown;
	struct records *records;
	struct publisher_counters counters;
	struct output_page *outputs;       /* only read; NULL = none */
	uint32_t max_shown;
	struct statsd *statsd;             /* NULL: not configured */
	struct pages pages;                /* all bytes that answers and streams hold */
	struct renderings renderings;
	struct page *feed;                 /* the JSON feed of snap; NULL: none yet, or there was no memory */
	struct text page;                  /* an answer being made */
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
	struct page *page;                 /* instead of the body: one that others are sent too; the caller's to release */
	bool whole;                        /* …of which there is but one a format, so that it is never refused */
	bool stream;                       /* events from here on, instead of both */
};

/* Fills in `reply`; its body is publisher->page. */
void route(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns, struct reply *reply);

/* The content type that the Accept header prefers. */
enum exposition accept_exposition(const char *accept);
/* The weight that an Accept or Accept-Encoding header gives to `word`, in permille; -1 = not named. */
int accept_weight(const char *accept, const char *word);
/* ISO 8601, unix seconds, or a duration before now ("24h", "90s"). 0 or -EINVAL. */
int since_parse(const char *text, int64_t wall_ns, int64_t *ret_ns);

#endif
