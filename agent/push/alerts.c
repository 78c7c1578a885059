/* SPDX-License-Identifier: Apache-2.0 */
/* See alerts.h: which alerts there are, and when they are told. */
#include "push/alerts.h"

#include "keep/document.h"
#include "push/alert_json.h"

void alerts_init(struct alerts *alerts, uint64_t resend_ns)
{
	alerts->resend_ns = resend_ns;
	alerts->next_ns = UINT64_MAX;
	alerts->last_ns = alerts->lost = 0;
	alerts->count = 0;
}

uint64_t alerts_due(const struct alerts *alerts)
{
	return alerts->next_ns;
}

static void tell_soon(struct alerts *alerts, uint64_t now_ns)
{
	uint64_t soonest = alerts->last_ns ? alerts->last_ns + ALERTS_GAP_NS : 0;
	uint64_t at = soonest > now_ns ? soonest : now_ns;
	if (at < alerts->next_ns)
		alerts->next_ns = at;
}

static bool same_labels(const struct notice *a, const struct notice *b)
{
	return a->severity == b->severity && notice_same_subject(a, b);
}

static void resolve(struct alert *alert, uint64_t now_ns, int64_t ends_wall_ns)
{
	alert->firing = false;
	alert->ends_wall_ns = ends_wall_ns;
	alert->forget_ns = now_ns + ALERTS_RESOLVED_NS;
}

static void remove_at(struct alerts *alerts, uint32_t index)
{
	alerts->each[index] = alerts->each[--alerts->count];
}

/* Resolved ones go first, the longest resolved before the others; then the mildest. */
static bool is_less_worth(const struct alert *a, const struct alert *b)
{
	if (a->firing != b->firing)
		return !a->firing;
	if (!a->firing)
		return a->forget_ns < b->forget_ns;
	return a->notice.severity < b->notice.severity;
}

static struct alert *add(struct alerts *alerts)
{
	if (alerts->count == ALERTS_MAX) {
		uint32_t victim = 0;
		for (uint32_t i = 1; i < alerts->count; i++)
			if (is_less_worth(&alerts->each[i], &alerts->each[victim]))
				victim = i;
		remove_at(alerts, victim);
		alerts->lost++;
	}
	return &alerts->each[alerts->count++];
}

void alerts_note(struct alerts *alerts, const struct notice *notice, uint64_t now_ns, int64_t wall_ns)
{
	bool resolved = notice->state == INCIDENT_RESOLVED;
	struct alert *alert = NULL;

	for (uint32_t i = 0; i < alerts->count; i++) {
		struct alert *other = &alerts->each[i];
		if (same_labels(&other->notice, notice))
			alert = other;
		else if (other->firing && strcmp(other->notice.id, notice->id) == 0)
			resolve(other, now_ns, wall_ns); /* the incident goes on under other labels */
	}
	/* A sender that starts is told of the past, too: of what ended long ago Alertmanager need not hear, and a later incident of the
	 * same labels must not be ended by an earlier one. */
	if (!alert && resolved && notice->resolved_wall_ns + (int64_t)ALERTS_RESOLVED_NS < wall_ns)
		return;
	if (alert && strcmp(alert->notice.id, notice->id) != 0 && alert->notice.opened_wall_ns > notice->opened_wall_ns)
		return;
	if (!alert)
		alert = add(alerts);

	alert->notice = *notice;
	if (resolved)
		resolve(alert, now_ns, notice->resolved_wall_ns ? notice->resolved_wall_ns : wall_ns);
	else
		alert->firing = true;
	tell_soon(alerts, now_ns);
}

void alerts_deed(struct alerts *alerts, const char *incident, const char *line, uint64_t now_ns)
{
	for (uint32_t i = 0; i < alerts->count; i++) {
		struct alert *alert = &alerts->each[i];
		if (strcmp(alert->notice.id, incident) != 0)
			continue;
		text_copy(alert->notice.action, sizeof(alert->notice.action), line);
		tell_soon(alerts, now_ns);
	}
}

uint32_t alerts_write(struct alerts *alerts, uint64_t now_ns, int64_t wall_ns, struct text *out)
{
	for (uint32_t i = 0; i < alerts->count;)
		if (!alerts->each[i].firing && alerts->each[i].forget_ns <= now_ns)
			remove_at(alerts, i);
		else
			i++;

	text_string(out, "[");
	for (uint32_t i = 0; i < alerts->count; i++) {
		const struct alert *alert = &alerts->each[i];
		int64_t ahead = (int64_t)(alerts->resend_ns * ALERTS_RESEND_ENDS);
		text_string(out, i ? ",\n" : "");
		alert_write_json(&alert->notice, alert->firing ? wall_ns + ahead : alert->ends_wall_ns, out);
	}
	text_string(out, "]");
	alerts->last_ns = now_ns;
	alerts->next_ns = alerts->count ? now_ns + alerts->resend_ns : UINT64_MAX;
	return alerts->count;
}
