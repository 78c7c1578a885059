/* SPDX-License-Identifier: Apache-2.0 */
/* The fields that a template may name; see message.h. */
#include "push/message.h"

#define NOTICE_TEXT(name_, member_) \
	static void write_##name_(const struct message *message, struct text *out) \
	{ \
		text_string(out, message->items[0].notice->member_); \
	}
#define NOTICE_WORDS(name_, writer_) \
	static void write_##name_(const struct message *message, struct text *out) \
	{ \
		writer_(message->items[0].notice, out); \
	}
#define NOTICE_VALUE(name_, writer_, member_) \
	static void write_##name_(const struct message *message, struct text *out) \
	{ \
		writer_(message->items[0].notice->member_, out); \
	}
#define NOTICE_CHOICE(name_, names_, member_) \
	static void write_##name_(const struct message *message, struct text *out) \
	{ \
		text_string(out, (names_)[message->items[0].notice->member_]); \
	}

NOTICE_TEXT(action, action)
NOTICE_TEXT(cause, cause)
NOTICE_TEXT(cluster, cluster)
NOTICE_TEXT(device, device)
NOTICE_TEXT(evidence, evidence)
NOTICE_TEXT(id, id)
NOTICE_TEXT(metric, metric)
NOTICE_TEXT(node, node)
NOTICE_TEXT(policy, policy)
NOTICE_TEXT(resource, resource)
NOTICE_TEXT(url, url)
NOTICE_TEXT(why, why)
NOTICE_WORDS(description, notice_description)
NOTICE_WORDS(summary, notice_summary)
NOTICE_WORDS(title, notice_title)
NOTICE_VALUE(exhausted_in, notice_seconds, exhausted_in_ns)
NOTICE_VALUE(opened, notice_time, opened_wall_ns)
NOTICE_VALUE(resolved, notice_time, resolved_wall_ns)
NOTICE_VALUE(threshold, notice_number, threshold)
NOTICE_VALUE(value, notice_number, value)
NOTICE_CHOICE(kind, incident_kind_names, kind)
NOTICE_CHOICE(resource_type, target_type_names, resource_type)
NOTICE_CHOICE(severity, severity_names, severity)
NOTICE_CHOICE(state, incident_state_names, state)

static void write_cause_share(const struct message *message, struct text *out)
{
	if (message->items[0].notice->cause[0])
		text_decimal(out, message->items[0].notice->share_permille, 1);
}

static void write_count(const struct message *message, struct text *out)
{
	text_u64(out, message->count + message->cut);
}

static void write_flapping(const struct message *message, struct text *out)
{
	text_string(out, message->items[0].notice->flapping ? "true" : "false");
}

static void write_reason(const struct message *message, struct text *out)
{
	text_string(out, message_reason_names[message->reason]);
}

static void write_status(const struct message *message, struct text *out)
{
	text_string(out, message->firing ? "firing" : "resolved");
}

const struct message_field message_fields[] = {
	{ "action", "what was done last, and what it brought", write_action },
	{ "cause", "who causes it: command, pid, unit or cgroup", write_cause },
	{ "cause_share", "that cause's share, in percent", write_cause_share },
	{ "cluster", "`cluster` of the output", write_cluster },
	{ "count", "how many incidents the message is about", write_count },
	{ "description", "summary, cause, action, state and link, a line each", write_description },
	{ "device", "of a filesystem", write_device },
	{ "evidence", "what the cause was seen doing", write_evidence },
	{ "exhausted_in", "time left, such as 6m 52s", write_exhausted_in },
	{ "flapping", "true: of a resource that comes and goes", write_flapping },
	{ "id", "of the incident", write_id },
	{ "kind", "such as disk_exhaustion", write_kind },
	{ "list", "the title of every incident, a line each", message_list },
	{ "metric", "what was measured, as in /metrics", write_metric },
	{ "node", "the node's name", write_node },
	{ "opened", "when, in UTC", write_opened },
	{ "policy", "the policy that opened it", write_policy },
	{ "reason", "new, changed or repeat", write_reason },
	{ "resolved", "when, in UTC; nothing before", write_resolved },
	{ "resource", "mountpoint, command, cgroup, unit or part of the node", write_resource },
	{ "resource_type", "node, filesystem, process, cgroup or unit", write_resource_type },
	{ "severity", "warning, critical or emergency", write_severity },
	{ "state", "open, mending, resolved or needs_human", write_state },
	{ "status", "firing or resolved: of the whole message", write_status },
	{ "summary", "one sentence", write_summary },
	{ "threshold", "of the policy", write_threshold },
	{ "title", "one line, with the node", write_title },
	{ "url", "of the incident's record; nothing where http serves none", write_url },
	{ "value", "of the metric", write_value },
	{ "why", "why it is in its state", write_why },
};
const size_t message_field_count = sizeof(message_fields) / sizeof(message_fields[0]);

const struct message_field *message_field_find(const char *name, size_t length)
{
	for (size_t i = 0; i < message_field_count; i++)
		if (strlen(message_fields[i].name) == length && memcmp(message_fields[i].name, name, length) == 0)
			return &message_fields[i];
	return NULL;
}

void message_print_fields(FILE *out)
{
	fputs("| field | what |\n|---|---|\n", out);
	for (size_t i = 0; i < message_field_count; i++)
		fprintf(out, "| `{{%s}}` | %s |\n", message_fields[i].name, message_fields[i].help);
}
