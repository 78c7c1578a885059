/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PagerDuty's Events API v2. The incident's id is the dedup_key, so whatever is said of an incident goes to one alert there.
 * https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
 */
#include "push/webhook.h"

enum { SUMMARY_MOST = 1024 }; /* characters; bytes are never fewer */

static const char *const severities[SEVERITY_COUNT] = {
	[SEVERITY_WARNING] = "warning", [SEVERITY_CRITICAL] = "error", [SEVERITY_EMERGENCY] = "critical",
};

/* Which event comes `nth`; NULL = no more. */
static const char *event_of(const struct message_item *item, uint32_t nth)
{
	enum incident_state state = item->notice->state;
	if (!item->news && state == INCIDENT_RESOLVED)
		return NULL;
	if (state == INCIDENT_RESOLVED)
		return nth == 0 && item->told_before ? "resolve" : NULL;
	if (state == INCIDENT_MENDING && item->told_before)
		return nth == 0 ? "acknowledge" : NULL;
	if (state == INCIDENT_MENDING && nth == 1)
		return "acknowledge";
	return nth == 0 ? "trigger" : NULL;
}

static void text_member(struct text *out, const char *name, void (*write)(const struct notice *, struct text *), const struct notice *notice)
{
	struct text value = { 0 };
	write(notice, &value);
	text_append(&value, "", 1);
	if (!value.failed) {
		size_t most = strnlen(value.data, SUMMARY_MOST);
		while (most && ((unsigned char)value.data[most] & 0xc0) == 0x80)
			most--;
		value.data[most] = '\0';
		webhook_member(out, name, value.data);
	}
	out->failed |= value.failed;
	text_free(&value);
}

static void write_details(const struct notice *notice, struct text *out)
{
	text_string(out, ",\"custom_details\":{");
	webhook_member(out, "incident", notice->id);
	webhook_member(out, "state", incident_state_names[notice->state]);
	webhook_member(out, "policy", notice->policy);
	webhook_member(out, "cluster", notice->cluster);
	webhook_member(out, "cause", notice->cause);
	webhook_member(out, "evidence", notice->evidence);
	webhook_member(out, "action", notice->action);
	webhook_member(out, "why", notice->why);
	text_member(out, "summary", notice_summary, notice);
	text_string(out, "}");
}

static void write_payload(const struct notice *notice, struct text *out)
{
	text_string(out, ",\"payload\":{");
	text_member(out, "summary", notice_title, notice);
	webhook_member(out, "source", notice->node[0] ? notice->node : "unknown");
	webhook_member(out, "severity", severities[notice->severity]);
	if (notice->opened_wall_ns > 0) {
		text_string(out, ",\"timestamp\":\"");
		notice_time(notice->opened_wall_ns, out);
		text_string(out, "\"");
	}
	webhook_member(out, "component", notice->resource);
	webhook_member(out, "group", notice->policy);
	webhook_member(out, "class", incident_kind_names[notice->kind]);
	write_details(notice, out);
	text_string(out, "}");
}

bool webhook_write_pagerduty(const struct message *message, uint32_t index, uint32_t event, struct text *out)
{
	const struct message_item *item = &message->items[index];
	const char *action = index < message->count ? event_of(item, event) : NULL;
	if (!action || (!item->news && message->reason != REASON_REPEAT))
		return false;

	text_string(out, "{");
	webhook_member(out, "event_action", action);
	webhook_member(out, "dedup_key", item->notice->id);
	webhook_member(out, "client", "nodemend");
	webhook_member(out, "client_url", item->notice->url);
	if (strcmp(action, "trigger") == 0)
		write_payload(item->notice, out);
	text_string(out, "}");
	return true;
}

void webhook_add_routing_key(const char *event, size_t size, const char *routing_key, struct text *out)
{
	text_string(out, "{");
	webhook_member(out, "routing_key", routing_key);
	if (size < 2)
		return;
	text_string(out, ",");
	text_append(out, event + 1, size - 1);
}
