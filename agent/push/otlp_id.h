/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for traces, spans and log records, derived by SHA-256 from what they are about: whoever sends the same thing again gives it the
 * same name, so a receiver can tell. An incident's id is unique on its node only, so the node is in it.
 */
#ifndef NODEMEND_PUSH_OTLP_ID_H
#define NODEMEND_PUSH_OTLP_ID_H

#include "push/otlp_node.h"

enum { OTLP_TRACE_ID_LEN = 16, OTLP_SPAN_ID_LEN = 8, OTLP_UID_LEN = 33 };
enum otlp_span { OTLP_SPAN_INCIDENT, OTLP_SPAN_DETECTION, OTLP_SPAN_ACTION, OTLP_SPAN_STEP, OTLP_SPAN_VERIFICATION };

void otlp_trace_id(const struct otlp_node *node, const char *incident, uint8_t ret[OTLP_TRACE_ID_LEN]);
/* `id`: the incident's or the action's; `index`: the step's. */
void otlp_span_id(const uint8_t trace[OTLP_TRACE_ID_LEN], enum otlp_span what, const char *id, uint32_t index,
		  uint8_t ret[OTLP_SPAN_ID_LEN]);
/* Of a log record: `id` the incident's or the action's, `index` the history entry's. 32 digits. */
void otlp_uid(const struct otlp_node *node, const char *id, uint32_t index, char ret[OTLP_UID_LEN]);

#endif
