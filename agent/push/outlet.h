/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of delivery share. outlet.c: what waits, in memory and on disk, and which parcel is next. transfer.c: one request by libcurl.
 * delivery.c: all of them in one loop, and what an answer means.
 */
#ifndef NODEMEND_PUSH_OUTLET_H
#define NODEMEND_PUSH_OUTLET_H

#include <curl/curl.h>

#include "push/delivery.h"
#include "push/spool.h"

enum {
	QUEUE_MAX = 2 << 20,       /* in memory, an outlet; what is on its way comes on top */
	ANSWER_MAX = 64 << 10,
	ANSWER_HEADERS_MAX = 64 << 10,
};

struct queued {
	struct queued *next;
	struct parcel parcel;
	uint8_t body[];
};

/* Where the parcel that is next comes from. */
enum head_from { HEAD_NONE, HEAD_MEMORY, HEAD_SPOOL };

struct outlet {
	struct delivery *delivery;
	const struct output *output;
	char name[NAME_LEN + 8], url[URL_LEN];
	const struct outlet_family *family;
	void *context;
	struct outlet_counters *counters;

	struct queued *first, *last;
	uint64_t queue_bytes;
	struct spool *spool;       /* NULL = none */
	bool disk_trouble;         /* said */
	enum head_from head_from;
	struct parcel head;
	struct queued *head_memory; /* what head is in, for HEAD_MEMORY */
	uint64_t rejected;         /* of the head's items, by the answer that took it */
	struct text changed;       /* the head in another form, where its family said so */
	bool is_changed;
	struct text filled;        /* the head as it is on its way, where its family puts secrets in */

	CURL *easy;
	bool in_flight;
	struct curl_slist *header_list, *connect_to;
	uint64_t started_ns, retry_at_ns;
	uint32_t failures, refusals; /* in a row */
	uint64_t said_refusal_ns;
	struct text answer;
	size_t answer_headers;
	int64_t written;           /* by the answer's headers; -1 = not said */
	char retry_after[64], error[CURL_ERROR_SIZE];
};

void count_up(_Atomic uint64_t *counter, uint64_t by);
void outlet_drop(struct outlet *outlet, enum drop why, uint64_t items);

/* Picks the next parcel into `head`, dropping what is too old. False: nothing waits. */
bool outlet_next(struct outlet *outlet, int64_t wall_ns);
/* The head is done with, delivered or dropped. */
void outlet_take_off(struct outlet *outlet);
/* Everything that is in memory goes to the disk, the head first, as far as the disk takes it. Not while a request is in flight. */
void outlet_spill(struct outlet *outlet);
void outlet_show(struct outlet *outlet); /* its sizes, to the counters */

/* Starts the head's request on the outlet's easy handle. 0, or -errno: a secret is missing, and `error` says which. */
int transfer_begin(struct outlet *outlet, CURLM *multi);
void transfer_end(struct outlet *outlet, CURLM *multi);
enum failure transfer_failure(CURLcode code);

#endif
