/* SPDX-License-Identifier: Apache-2.0 */
/* What log records and spans say of incidents and actions alike: their attributes, and the request they are put into. */
#ifndef NODEMEND_PUSH_OTLP_RECORD_H
#define NODEMEND_PUSH_OTLP_RECORD_H

#include "push/otlp_request.h"
#include "record.h"

enum { OTLP_SENTENCE_LEN = 1024 };

/* One request of log records, or of spans. */
struct otlp_records {
	const struct otlp_node *node;
	const struct otlp_resource *resource;
	struct text out, scratch;
	struct otlp_shells shells;
	uint32_t count;
};

void otlp_records_begin(struct otlp_records *records);
/* 1: records->out is a request; 0: nothing was put into it; -ENOMEM. */
int otlp_records_end(struct otlp_records *records);
void otlp_records_free(struct otlp_records *records);

void otlp_put_incident(const struct otlp_attributes *to, const struct incident *incident);
void otlp_put_action(const struct otlp_attributes *to, const struct action *action);
enum otlp_effect { OTLP_EXPECTED, OTLP_OBSERVED };
void otlp_put_effect(const struct otlp_attributes *to, enum otlp_effect which, const struct effect *effect);

/* "disk exhaustion of /data"; "clean-files on /data (shadow)". */
void otlp_say_incident(const struct incident *incident, char ret[OTLP_SENTENCE_LEN]);
void otlp_say_action(const struct action *action, char ret[OTLP_SENTENCE_LEN]);

/* Whoever filled the struct, these are in bounds. */
static inline uint32_t otlp_at_most(uint32_t count, uint32_t most)
{
	return count < most ? count : most;
}

#endif
