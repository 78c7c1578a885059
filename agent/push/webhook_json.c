/* SPDX-License-Identifier: Apache-2.0 */
/* nodemend.webhook/1: the generic form, for receivers that people write themselves. */
#include "push/webhook.h"

#include <math.h>

static void comma(struct text *out)
{
	char last = out->length ? out->data[out->length - 1] : '{';
	if (last != '{' && last != '[')
		text_string(out, ",");
}

void webhook_member(struct text *out, const char *name, const char *value)
{
	if (!value[0])
		return;
	comma(out);
	text_json_string(out, name);
	text_string(out, ":");
	text_json_string(out, value);
}

static void key(struct text *out, const char *name)
{
	comma(out);
	text_json_string(out, name);
	text_string(out, ":");
}

static void words(struct text *out, const char *name, void (*write)(const struct notice *, struct text *), const struct notice *notice)
{
	struct text value = { 0 };
	write(notice, &value);
	text_append(&value, "", 1);
	if (!value.failed)
		webhook_member(out, name, value.data);
	out->failed |= value.failed;
	text_free(&value);
}

static void time_member(struct text *out, const char *name, int64_t wall_ns)
{
	if (wall_ns <= 0)
		return;
	key(out, name);
	text_string(out, "\"");
	notice_time(wall_ns, out);
	text_string(out, "\"");
}

static void number_member(struct text *out, const char *name, double value)
{
	if (!isfinite(value))
		return;
	key(out, name);
	notice_number(value, out);
}

static void write_resource(const struct notice *notice, struct text *out)
{
	key(out, "resource");
	text_string(out, "{");
	webhook_member(out, "type", target_type_names[notice->resource_type]);
	webhook_member(out, "name", notice->resource);
	webhook_member(out, "device", notice->device);
	if (notice->pid > 0) {
		key(out, "pid");
		text_u64(out, (uint64_t)notice->pid);
	}
	text_string(out, "}");
}

static void write_signal(const struct notice *notice, struct text *out)
{
	if (!notice->metric[0])
		return;
	key(out, "signal");
	text_string(out, "{");
	webhook_member(out, "metric", notice->metric);
	number_member(out, "value", notice->value);
	number_member(out, "threshold", notice->threshold);
	if (notice->exhausted_in_ns != UNKNOWN) {
		key(out, "exhausted_in_seconds");
		text_decimal(out, notice->exhausted_in_ns, 9);
	}
	text_string(out, "}");
}

static void write_cause(const struct notice *notice, struct text *out)
{
	if (!notice->cause[0])
		return;
	key(out, "cause");
	text_string(out, "{");
	webhook_member(out, "name", notice->cause);
	key(out, "share");
	text_decimal(out, notice->share_permille, 3);
	webhook_member(out, "evidence", notice->evidence);
	text_string(out, "}");
}

static void write_item(const struct message_item *item, struct text *out)
{
	const struct notice *notice = item->notice;
	comma(out);
	text_string(out, "{");
	webhook_member(out, "id", notice->id);
	key(out, "news");
	text_string(out, item->news ? "true" : "false");
	webhook_member(out, "node", notice->node);
	webhook_member(out, "cluster", notice->cluster);
	webhook_member(out, "kind", incident_kind_names[notice->kind]);
	webhook_member(out, "severity", severity_names[notice->severity]);
	webhook_member(out, "state", incident_state_names[notice->state]);
	key(out, "flapping");
	text_string(out, notice->flapping ? "true" : "false");
	webhook_member(out, "policy", notice->policy);
	time_member(out, "opened", notice->opened_wall_ns);
	time_member(out, "resolved", notice->resolved_wall_ns);
	write_resource(notice, out);
	write_signal(notice, out);
	write_cause(notice, out);
	webhook_member(out, "action", notice->action);
	webhook_member(out, "why", notice->why);
	words(out, "title", notice_title, notice);
	words(out, "summary", notice_summary, notice);
	words(out, "description", notice_description, notice);
	webhook_member(out, "url", notice->url);
	text_string(out, "}");
}

void webhook_write_json(const struct message *message, struct text *out)
{
	text_string(out, "{\"schema\":\"nodemend.webhook/1\"");
	time_member(out, "time", message->wall_ns);
	webhook_member(out, "status", message->firing ? "firing" : "resolved");
	webhook_member(out, "reason", message_reason_names[message->reason]);
	webhook_member(out, "thread", message->thread);
	key(out, "sequence");
	text_u64(out, message->sequence);
	key(out, "cut");
	text_u64(out, message->cut);
	key(out, "incidents");
	text_string(out, "[");
	for (uint32_t i = 0; i < message->count; i++)
		write_item(&message->items[i], out);
	text_string(out, "]}");
}
