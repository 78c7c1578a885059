/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_logs.h. */
#include "push/otlp_logs.h"

#include <stdio.h>

#include "otlp.pb-c.h"
#include "push/otlp_id.h"

enum { RECORD_ATTRIBUTES = 6, FLAGS_SAMPLED = 1 };

/* SeverityNumber: the first of each range of four. */
enum { LEVEL_INFO = 9, LEVEL_WARN = 13, LEVEL_ERROR = 17, LEVEL_FATAL = 21 };
static const struct { int number; const char *text; } of_severity[SEVERITY_COUNT] = {
	[SEVERITY_WARNING] = { LEVEL_WARN, "WARN" },
	[SEVERITY_CRITICAL] = { LEVEL_ERROR, "ERROR" },
	[SEVERITY_EMERGENCY] = { LEVEL_FATAL, "FATAL" },
}, of_outcome[OUTCOME_COUNT] = {
	[OUTCOME_NONE] = { LEVEL_INFO, "INFO" }, [OUTCOME_FIXED] = { LEVEL_INFO, "INFO" }, [OUTCOME_IMPROVED] = { LEVEL_INFO, "INFO" },
	[OUTCOME_NO_EFFECT] = { LEVEL_WARN, "WARN" }, [OUTCOME_FAILED] = { LEVEL_ERROR, "ERROR" }, [OUTCOME_REFUSED] = { LEVEL_WARN, "WARN" },
	[OUTCOME_ROLLED_BACK] = { LEVEL_ERROR, "ERROR" }, [OUTCOME_TOLD] = { LEVEL_INFO, "INFO" },
};

static const char *const state_words[INCIDENT_STATE_COUNT] = {
	[INCIDENT_OPEN] = "is open", [INCIDENT_MENDING] = "is being mended", [INCIDENT_RESOLVED] = "is over",
	[INCIDENT_NEEDS_HUMAN] = "needs a person",
};
static const char *const outcome_words[OUTCOME_COUNT] = {
	[OUTCOME_NONE] = "planned, nothing done", [OUTCOME_FIXED] = "fixed it", [OUTCOME_IMPROVED] = "improved it",
	[OUTCOME_NO_EFFECT] = "had no effect", [OUTCOME_FAILED] = "failed", [OUTCOME_REFUSED] = "refused",
	[OUTCOME_ROLLED_BACK] = "did not verify and was undone", [OUTCOME_TOLD] = "told a person",
};

uint32_t otlp_history_ordinal(const struct incident *incident, uint32_t entry)
{
	return entry < MAX_INCIDENT_HISTORY / 2 ? entry : entry + incident->history_cut;
}

/* The record's head; attributes follow it, and then close_record(). */
static size_t open_record(struct otlp_records *records, Otlp__LogRecord *record, const char *sentence)
{
	Otlp__AnyValue body = OTLP__ANY_VALUE__INIT;
	size_t from = records->out.length;

	body.value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
	body.string_value = (char *)otlp_clean(&records->scratch, sentence);
	record->body = &body;
	otlp_pack(&records->out, &record->base);
	record->body = NULL;
	records->out.failed |= records->scratch.failed;
	return from;
}

static void close_record(struct otlp_records *records, size_t from)
{
	otlp_enclose(&records->out, OTLP_ITEM, from);
	records->count++;
}

static void refer(Otlp__LogRecord *record, uint8_t trace[OTLP_TRACE_ID_LEN], uint8_t span[OTLP_SPAN_ID_LEN])
{
	record->trace_id = (ProtobufCBinaryData){ OTLP_TRACE_ID_LEN, trace };
	record->span_id = (ProtobufCBinaryData){ OTLP_SPAN_ID_LEN, span };
	record->flags = FLAGS_SAMPLED;
}

void otlp_log_incident(struct otlp_records *records, const struct incident *incident, uint32_t entry, int64_t observed_wall_ns)
{
	const struct history_entry *change = &incident->history[entry];
	enum incident_state state = change->state < INCIDENT_STATE_COUNT ? change->state : INCIDENT_OPEN;
	enum severity severity = incident->severity < SEVERITY_COUNT ? incident->severity : SEVERITY_WARNING;
	Otlp__LogRecord record = OTLP__LOG_RECORD__INIT;
	uint8_t trace[OTLP_TRACE_ID_LEN], span[OTLP_SPAN_ID_LEN];
	char sentence[OTLP_SENTENCE_LEN], subject[OTLP_SENTENCE_LEN], uid[OTLP_UID_LEN];
	struct otlp_attributes to = { .out = &records->out, .field = RECORD_ATTRIBUTES, .scratch = &records->scratch };

	otlp_trace_id(records->node, incident->id, trace);
	otlp_span_id(trace, OTLP_SPAN_INCIDENT, incident->id, 0, span);
	refer(&record, trace, span);
	record.time_unix_nano = (uint64_t)change->wall_ns;
	record.observed_time_unix_nano = (uint64_t)observed_wall_ns;
	record.severity_number = state == INCIDENT_RESOLVED ? LEVEL_INFO : of_severity[severity].number;
	record.severity_text = (char *)(state == INCIDENT_RESOLVED ? "INFO" : of_severity[severity].text);
	record.event_name = "nodemend.incident";
	otlp_say_incident(incident, subject);
	snprintf(sentence, sizeof(sentence), "%.*s %s: %s", (int)sizeof(sentence) / 2, subject, state_words[state], change->why);

	size_t from = open_record(records, &record, sentence);
	otlp_uid(records->node, incident->id, otlp_history_ordinal(incident, entry), uid);
	otlp_string(&to, "log.record.uid", uid);
	otlp_string(&to, "nodemend.incident.state", incident_state_names[state]);
	otlp_put_incident(&to, incident);
	close_record(records, from);
}

void otlp_log_action(struct otlp_records *records, const struct action *action, int64_t observed_wall_ns)
{
	enum outcome outcome = action->outcome < OUTCOME_COUNT ? action->outcome : OUTCOME_NONE;
	Otlp__LogRecord record = OTLP__LOG_RECORD__INIT;
	uint8_t trace[OTLP_TRACE_ID_LEN], span[OTLP_SPAN_ID_LEN];
	char sentence[OTLP_SENTENCE_LEN], subject[OTLP_SENTENCE_LEN], uid[OTLP_UID_LEN];
	struct otlp_attributes to = { .out = &records->out, .field = RECORD_ATTRIBUTES, .scratch = &records->scratch };

	if (*action->incident) { /* else done by hand */
		otlp_trace_id(records->node, action->incident, trace);
		otlp_span_id(trace, OTLP_SPAN_ACTION, action->id, 0, span);
		refer(&record, trace, span);
	}
	record.time_unix_nano = (uint64_t)action->ended_wall_ns;
	record.observed_time_unix_nano = (uint64_t)observed_wall_ns;
	record.severity_number = of_outcome[outcome].number;
	record.severity_text = (char *)of_outcome[outcome].text;
	record.event_name = "nodemend.action";
	otlp_say_action(action, subject);
	snprintf(sentence, sizeof(sentence), "%.*s: %s%s%s", (int)sizeof(sentence) / 2, subject, outcome_words[outcome],
		 *action->refused_by ? " by " : "", action->refused_by);

	size_t from = open_record(records, &record, sentence);
	otlp_uid(records->node, action->id, 0, uid);
	otlp_string(&to, "log.record.uid", uid);
	otlp_put_action(&to, action);
	close_record(records, from);
}
