/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_traces.h. */
#include "push/otlp_traces.h"

#include <stdio.h>

#include "otlp.pb-c.h"
#include "push/otlp_id.h"

enum {
	SPAN_ATTRIBUTES = 9,
	SPAN_EVENTS = 11,
	SPAN_LINKS = 13,
	EVENT_ATTRIBUTES = 3,
	LINK_ATTRIBUTES = 4,
	KIND_INTERNAL = 1,
	STATUS_UNSET = 0,
	STATUS_OK = 1,
	STATUS_ERROR = 2,
	/* W3C's "sampled"; and that it is known whether the parent is remote, which it is not. */
	SPAN_FLAGS = 0x101,
};

/* Whose child a span is, and how it went. */
struct place {
	uint8_t trace[OTLP_TRACE_ID_LEN], span[OTLP_SPAN_ID_LEN], parent[OTLP_SPAN_ID_LEN];
	bool has_parent;
	int64_t start_wall_ns, end_wall_ns;
	int status;
	const char *message;             /* with STATUS_ERROR */
};

/* The span's head; attributes, events and links follow it, and then close_span(). */
static size_t open_span(struct otlp_records *records, const char *name, struct place *place)
{
	Otlp__Span span = OTLP__SPAN__INIT;
	Otlp__Status status = OTLP__STATUS__INIT;
	struct text message = { 0 };
	size_t from = records->out.length;

	span.trace_id = (ProtobufCBinaryData){ OTLP_TRACE_ID_LEN, place->trace };
	span.span_id = (ProtobufCBinaryData){ OTLP_SPAN_ID_LEN, place->span };
	if (place->has_parent)
		span.parent_span_id = (ProtobufCBinaryData){ OTLP_SPAN_ID_LEN, place->parent };
	span.name = (char *)otlp_clean(&records->scratch, name);
	span.kind = KIND_INTERNAL;
	span.flags = SPAN_FLAGS;
	/* A clock that was set back in between makes an instant, not a negative time. */
	span.start_time_unix_nano = (uint64_t)place->start_wall_ns;
	span.end_time_unix_nano = (uint64_t)(place->end_wall_ns > place->start_wall_ns ? place->end_wall_ns : place->start_wall_ns);
	status.code = place->status;
	if (place->status == STATUS_ERROR && place->message)
		status.message = (char *)otlp_clean(&message, place->message);
	if (place->status != STATUS_UNSET)
		span.status = &status;
	otlp_pack(&records->out, &span.base);
	records->out.failed |= records->scratch.failed || message.failed;
	text_free(&message);
	return from;
}

static void close_span(struct otlp_records *records, size_t from)
{
	otlp_enclose(&records->out, OTLP_ITEM, from);
	records->count++;
}

static struct otlp_attributes attributes_of(struct otlp_records *records, uint32_t field)
{
	return (struct otlp_attributes){ .out = &records->out, .field = field, .scratch = &records->scratch };
}

/* --- the incident ---------------------------------------------------------------------------------------------------------- */

static void put_events(struct otlp_records *records, const struct incident *incident)
{
	uint32_t count = otlp_at_most(incident->history_count, MAX_INCIDENT_HISTORY);
	struct otlp_attributes to = attributes_of(records, EVENT_ATTRIBUTES);

	for (uint32_t i = 0; i < count; i++) {
		const struct history_entry *entry = &incident->history[i];
		Otlp__Event event = OTLP__EVENT__INIT;
		size_t from = records->out.length;

		event.time_unix_nano = (uint64_t)entry->wall_ns;
		event.name = (char *)(entry->state < INCIDENT_STATE_COUNT ? incident_state_names[entry->state] : "");
		otlp_pack(&records->out, &event.base);
		otlp_string(&to, "nodemend.why", entry->why);
		otlp_enclose(&records->out, SPAN_EVENTS, from);
	}
}

static bool needed_human(const struct incident *incident)
{
	uint32_t count = otlp_at_most(incident->history_count, MAX_INCIDENT_HISTORY);

	for (uint32_t i = 0; i < count; i++)
		if (incident->history[i].state == INCIDENT_NEEDS_HUMAN)
			return true;
	return false;
}

void otlp_span_detection(struct otlp_records *records, const struct incident *incident)
{
	struct otlp_attributes to = attributes_of(records, SPAN_ATTRIBUTES);
	struct place place = {
		.has_parent = true, .start_wall_ns = incident->opened_wall_ns, .end_wall_ns = incident->opened_wall_ns, .status = STATUS_OK,
	};

	if (incident->history_count)
		place.end_wall_ns = incident->history[0].wall_ns;
	otlp_trace_id(records->node, incident->id, place.trace);
	otlp_span_id(place.trace, OTLP_SPAN_INCIDENT, incident->id, 0, place.parent);
	otlp_span_id(place.trace, OTLP_SPAN_DETECTION, incident->id, 0, place.span);
	size_t from = open_span(records, "detection", &place);
	otlp_put_incident(&to, incident);
	close_span(records, from);
}

void otlp_span_incident(struct otlp_records *records, const struct incident *incident)
{
	struct otlp_attributes to = attributes_of(records, SPAN_ATTRIBUTES);
	struct place place = { .start_wall_ns = incident->opened_wall_ns, .end_wall_ns = incident->resolved_wall_ns, .status = STATUS_OK };
	char name[OTLP_SENTENCE_LEN];

	if (needed_human(incident)) {
		place.status = STATUS_ERROR;
		place.message = "needed a person";
	}
	otlp_trace_id(records->node, incident->id, place.trace);
	otlp_span_id(place.trace, OTLP_SPAN_INCIDENT, incident->id, 0, place.span);
	otlp_say_incident(incident, name);
	size_t from = open_span(records, name, &place);
	otlp_string(&to, "nodemend.incident.state", incident->state < INCIDENT_STATE_COUNT ? incident_state_names[incident->state] : "");
	otlp_put_incident(&to, incident);
	put_events(records, incident);
	close_span(records, from);
}

/* --- actions --------------------------------------------------------------------------------------------------------------- */

static bool went_wrong(enum outcome outcome)
{
	return outcome == OUTCOME_FAILED || outcome == OUTCOME_ROLLED_BACK || outcome == OUTCOME_NO_EFFECT;
}

/* Steps and verification are children of the action's span, which `parent` is the place of. */
static struct place below(const struct place *parent, enum otlp_span what, const char *id, uint32_t index)
{
	struct place place = { .has_parent = true };

	memcpy(place.trace, parent->trace, sizeof(place.trace));
	memcpy(place.parent, parent->span, sizeof(place.parent));
	otlp_span_id(place.trace, what, id, index, place.span);
	return place;
}

static void put_steps(struct otlp_records *records, const struct action *action, const struct place *parent)
{
	uint32_t count = otlp_at_most(action->step_count, MAX_ACTION_STEPS);
	struct otlp_attributes to = attributes_of(records, SPAN_ATTRIBUTES);

	for (uint32_t i = 0; i < count; i++) {
		const struct action_step *step = &action->steps[i];
		struct place place = below(parent, OTLP_SPAN_STEP, action->id, i);

		place.start_wall_ns = step->started_wall_ns;
		place.end_wall_ns = step->ended_wall_ns;
		place.status = step->ok ? STATUS_OK : STATUS_ERROR;
		place.message = step->detail;
		size_t from = open_span(records, step->name, &place);
		otlp_string(&to, "nodemend.action.id", action->id);
		otlp_string(&to, "nodemend.step.detail", step->detail);
		close_span(records, from);
	}
}

/* From the last step's end to the verdict. What was refused, failed or was only planned has none of these outcomes. */
static void put_verification(struct otlp_records *records, const struct action *action, const struct place *parent)
{
	uint32_t count = otlp_at_most(action->step_count, MAX_ACTION_STEPS);
	struct otlp_attributes to = attributes_of(records, SPAN_ATTRIBUTES);
	struct place place = below(parent, OTLP_SPAN_VERIFICATION, action->id, 0);

	if (action->outcome != OUTCOME_FIXED && action->outcome != OUTCOME_IMPROVED && action->outcome != OUTCOME_NO_EFFECT)
		return;
	place.start_wall_ns = count && action->steps[count - 1].ended_wall_ns ? action->steps[count - 1].ended_wall_ns : parent->start_wall_ns;
	place.end_wall_ns = parent->end_wall_ns;
	place.status = went_wrong(action->outcome) ? STATUS_ERROR : STATUS_OK;
	place.message = outcome_names[action->outcome];
	size_t from = open_span(records, "verification", &place);
	otlp_string(&to, "nodemend.action.id", action->id);
	otlp_string(&to, "nodemend.outcome", outcome_names[action->outcome]);
	otlp_put_effect(&to, OTLP_EXPECTED, &action->expected);
	otlp_put_effect(&to, OTLP_OBSERVED, &action->observed);
	close_span(records, from);
}

static void put_link(struct otlp_records *records, struct place *place, const char *shadow)
{
	struct otlp_attributes to = attributes_of(records, LINK_ATTRIBUTES);
	uint8_t span[OTLP_SPAN_ID_LEN];
	Otlp__Link link = OTLP__LINK__INIT;
	size_t from = records->out.length;

	otlp_span_id(place->trace, OTLP_SPAN_ACTION, shadow, 0, span);
	link.trace_id = (ProtobufCBinaryData){ OTLP_TRACE_ID_LEN, place->trace };
	link.span_id = (ProtobufCBinaryData){ OTLP_SPAN_ID_LEN, span };
	otlp_pack(&records->out, &link.base);
	otlp_string(&to, "nodemend.link", "planned in shadow");
	otlp_enclose(&records->out, SPAN_LINKS, from);
}

void otlp_span_action(struct otlp_records *records, const struct action *action, const char *shadow)
{
	struct otlp_attributes to = attributes_of(records, SPAN_ATTRIBUTES);
	struct place place = { .has_parent = true, .start_wall_ns = action->started_wall_ns, .end_wall_ns = action->ended_wall_ns };

	if (!place.start_wall_ns) /* refused before it began */
		place.start_wall_ns = place.end_wall_ns;
	otlp_trace_id(records->node, action->incident, place.trace);
	otlp_span_id(place.trace, OTLP_SPAN_INCIDENT, action->incident, 0, place.parent);
	otlp_span_id(place.trace, OTLP_SPAN_ACTION, action->id, 0, place.span);
	if (action->outcome == OUTCOME_FIXED || action->outcome == OUTCOME_IMPROVED)
		place.status = STATUS_OK;
	else if (went_wrong(action->outcome) && action->outcome < OUTCOME_COUNT)
		place.status = STATUS_ERROR;
	place.message = outcome_names[action->outcome < OUTCOME_COUNT ? action->outcome : OUTCOME_NONE];

	size_t from = open_span(records, action->remedy, &place);
	otlp_put_action(&to, action);
	if (*shadow)
		put_link(records, &place, shadow);
	close_span(records, from);
	put_steps(records, action, &place);
	put_verification(records, action, &place);
}
