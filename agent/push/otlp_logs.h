/* SPDX-License-Identifier: Apache-2.0 */
/* One log record for each change of an incident and for each action that ended. */
#ifndef NODEMEND_PUSH_OTLP_LOGS_H
#define NODEMEND_PUSH_OTLP_LOGS_H

#include "push/otlp_record.h"

/* `entry` is an index into the incident's history. */
void otlp_log_incident(struct otlp_records *records, const struct incident *incident, uint32_t entry, int64_t observed_wall_ns);
void otlp_log_action(struct otlp_records *records, const struct action *action, int64_t observed_wall_ns);

/* The how manieth change of the incident `entry` is, counted from 0: the middle of a long history is cut out. */
uint32_t otlp_history_ordinal(const struct incident *incident, uint32_t entry);

#endif
