/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_record.h. */
#include "push/otlp_record.h"

#include <errno.h>
#include <stdio.h>

enum { CAUSE_LINE_LEN = 640 };

void otlp_records_begin(struct otlp_records *records)
{
	text_reset(&records->out);
	records->count = 0;
	otlp_request_begin(&records->out, records->resource, &records->shells);
}

int otlp_records_end(struct otlp_records *records)
{
	if (!records->count)
		return 0;
	otlp_request_end(&records->out, &records->shells);
	return records->out.failed ? -ENOMEM : 1;
}

void otlp_records_free(struct otlp_records *records)
{
	text_free(&records->out);
	text_free(&records->scratch);
}

/* --- attributes ------------------------------------------------------------------------------------------------------------ */

static void put_target(const struct otlp_attributes *to, const struct target *target)
{
	otlp_string(to, "nodemend.resource.type", target->type < TARGET_TYPE_COUNT ? target_type_names[target->type] : "");
	otlp_string(to, "nodemend.resource.name", target->name);
	otlp_string(to, "nodemend.resource.device", target->device);
	if (target->type == TARGET_PROCESS)
		otlp_int(to, "nodemend.resource.pid", target->pid);
}

/* One line a cause, the first the largest: most backends show lists of strings, few show lists of maps. */
static void put_causes(const struct otlp_attributes *to, const struct incident *incident)
{
	char lines[MAX_CAUSES][CAUSE_LINE_LEN];
	uint32_t count = otlp_at_most(incident->cause_count, MAX_CAUSES);

	for (uint32_t i = 0; i < count; i++) {
		const struct cause *cause = &incident->causes[i];
		char pid[20] = "";

		if (cause->pid)
			snprintf(pid, sizeof(pid), " (pid %d)", cause->pid);
		snprintf(lines[i], CAUSE_LINE_LEN, "%u.%u %% %s%s%s%s%s%s", cause->share_permille / 10, cause->share_permille % 10,
			 *cause->comm ? cause->comm : "a group", pid, *cause->cgroup ? " in " : "", cause->cgroup, *cause->evidence ? ": " : "",
			 cause->evidence);
	}
	otlp_lines(to, "nodemend.causes", lines[0], CAUSE_LINE_LEN, count);
}

void otlp_put_incident(const struct otlp_attributes *to, const struct incident *incident)
{
	const struct signal_value *signal = &incident->signal;

	otlp_string(to, "nodemend.incident.id", incident->id);
	otlp_string(to, "nodemend.incident.kind", incident->kind < KIND_COUNT ? incident_kind_names[incident->kind] : "");
	otlp_string(to, "nodemend.incident.severity", incident->severity < SEVERITY_COUNT ? severity_names[incident->severity] : "");
	otlp_string(to, "nodemend.policy", incident->policy);
	put_target(to, &incident->resource);
	if (*signal->metric) {
		otlp_string(to, "nodemend.signal.metric", signal->metric);
		otlp_double(to, "nodemend.signal.value", signal->value);
		otlp_double(to, "nodemend.signal.threshold", signal->threshold);
	}
	otlp_seconds(to, "nodemend.signal.exhausted_in_seconds", signal->exhausted_in_ns);
	put_causes(to, incident);
}

void otlp_put_effect(const struct otlp_attributes *to, enum otlp_effect which, const struct effect *effect)
{
	static const struct { size_t at; const char *keys[2]; } amounts[] = {
		{ offsetof(struct effect, freed_bytes), { "nodemend.expected.freed_bytes", "nodemend.observed.freed_bytes" } },
		{ offsetof(struct effect, freed_files), { "nodemend.expected.freed_files", "nodemend.observed.freed_files" } },
		{ offsetof(struct effect, exited), { "nodemend.expected.exited", "nodemend.observed.exited" } },
		{ offsetof(struct effect, use_percent), { "nodemend.expected.use_percent", "nodemend.observed.use_percent" } },
		{ offsetof(struct effect, available_bytes), { "nodemend.expected.available_bytes", "nodemend.observed.available_bytes" } },
	};

	for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++)
		otlp_amount(to, amounts[i].keys[which], *(const uint64_t *)((const char *)effect + amounts[i].at));
	if (effect->unit_active != UNKNOWN)
		otlp_bool(to, which == OTLP_EXPECTED ? "nodemend.expected.unit_active" : "nodemend.observed.unit_active", effect->unit_active);
	if (effect->cleared != UNKNOWN)
		otlp_bool(to, which == OTLP_EXPECTED ? "nodemend.expected.cleared" : "nodemend.observed.cleared", effect->cleared);
	otlp_seconds(to, which == OTLP_EXPECTED ? "nodemend.expected.within_seconds" : "nodemend.observed.within_seconds", effect->within_ns);
}

void otlp_put_action(const struct otlp_attributes *to, const struct action *action)
{
	otlp_string(to, "nodemend.action.id", action->id);
	otlp_string(to, "nodemend.incident.id", action->incident);
	otlp_string(to, "nodemend.policy", action->policy);
	otlp_string(to, "nodemend.remedy", action->remedy);
	otlp_string(to, "nodemend.mode", action->mode < MODE_COUNT ? mode_names[action->mode] : "");
	if (action->dry_run)
		otlp_bool(to, "nodemend.dry_run", true);
	put_target(to, &action->target);
	if (action->outcome != OUTCOME_NONE && action->outcome < OUTCOME_COUNT)
		otlp_string(to, "nodemend.outcome", outcome_names[action->outcome]);
	otlp_string(to, "nodemend.refused_by", action->refused_by);
	otlp_lines(to, "nodemend.plan", action->plan[0], PLAN_LINE_LEN, otlp_at_most(action->plan_count, MAX_PLAN_LINES));
	otlp_put_effect(to, OTLP_EXPECTED, &action->expected);
	otlp_put_effect(to, OTLP_OBSERVED, &action->observed);
}

/* --- in words -------------------------------------------------------------------------------------------------------------- */

void otlp_say_incident(const struct incident *incident, char ret[OTLP_SENTENCE_LEN])
{
	const char *kind = incident->kind < KIND_COUNT ? incident_kind_names[incident->kind] : "incident";

	snprintf(ret, OTLP_SENTENCE_LEN, "%s of %s", kind, incident->resource.name);
	for (size_t i = 0; kind[i]; i++)
		if (ret[i] == '_')
			ret[i] = ' ';
}

void otlp_say_action(const struct action *action, char ret[OTLP_SENTENCE_LEN])
{
	const char *mode = action->mode < MODE_COUNT ? mode_names[action->mode] : "";

	snprintf(ret, OTLP_SENTENCE_LEN, "%s on %s%s%s%s", action->remedy, action->target.name, action->mode == MODE_ENFORCE ? "" : " (",
		 action->mode == MODE_ENFORCE ? "" : mode, action->mode == MODE_ENFORCE ? "" : ")");
}
