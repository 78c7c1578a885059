/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One trace an incident. The root span is the incident from its onset to its end; its children are the detection and each action, whose
 * children are its steps and the verification. OTLP sends a span once, when it has ended: so detection and actions go as they end, and
 * the root when the incident is over. One that waits for a person is not over; its root says so when it is.
 */
#ifndef NODEMEND_PUSH_OTLP_TRACES_H
#define NODEMEND_PUSH_OTLP_TRACES_H

#include "push/otlp_record.h"

/* The incident has been opened: the detection, which is as old as its first entry. */
void otlp_span_detection(struct otlp_records *records, const struct incident *incident);
/* It is over: the root, with its history as events. */
void otlp_span_incident(struct otlp_records *records, const struct incident *incident);
/* It has ended and belongs to an incident: its span, its steps and its verification. `shadow` is the id of the action that planned the
 * same before in shadow, in the same incident, and is linked; "" = none. */
void otlp_span_action(struct otlp_records *records, const struct action *action, const char *shadow);

#endif
