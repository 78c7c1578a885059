/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See alert_json.h. A label is an identity and groups, so it holds only what stays the same while an incident lasts; what changes is an
 * annotation. Empty ones are left out: Alertmanager takes an empty label for none at all.
 */
#include "push/alert_json.h"

#include "push/alerts.h"

void alerts_name(enum incident_kind kind, struct text *out)
{
	bool starts = true;
	text_string(out, "Nodemend");
	for (const char *at = incident_kind_names[kind]; *at; at++) {
		char letter = starts && *at >= 'a' && *at <= 'z' ? (char)(*at & ~0x20) : *at;
		starts = *at == '_';
		if (!starts)
			text_append(out, &letter, 1);
	}
}

static void write_alertname(const struct notice *notice, struct text *out)
{
	alerts_name(notice->kind, out);
}

static void write_severity(const struct notice *notice, struct text *out)
{
	text_string(out, severity_names[notice->severity]);
}

static void write_instance(const struct notice *notice, struct text *out)
{
	text_string(out, notice->node);
}

static void write_cluster(const struct notice *notice, struct text *out)
{
	text_string(out, notice->cluster);
}

static void write_policy(const struct notice *notice, struct text *out)
{
	text_string(out, notice->policy);
}

static void write_resource(const struct notice *notice, struct text *out)
{
	text_string(out, notice->resource);
}

static void write_device(const struct notice *notice, struct text *out)
{
	text_string(out, notice->device);
}

static void write_pid(const struct notice *notice, struct text *out)
{
	if (notice->pid > 0)
		text_u64(out, (uint64_t)notice->pid);
}

static void write_cause(const struct notice *notice, struct text *out)
{
	text_string(out, notice->cause);
}

static void write_share(const struct notice *notice, struct text *out)
{
	if (notice->cause[0])
		text_decimal(out, notice->share_permille, 3);
}

static void write_action(const struct notice *notice, struct text *out)
{
	text_string(out, notice->action);
}

static void write_id(const struct notice *notice, struct text *out)
{
	text_string(out, notice->id);
}

static void write_state(const struct notice *notice, struct text *out)
{
	text_string(out, incident_state_names[notice->state]);
}

struct part {
	const char *name;
	void (*write)(const struct notice *notice, struct text *out);
};

/* The label that names the resource is the one that metrics of such a resource carry. */
static const char *const resource_labels[TARGET_TYPE_COUNT] = {
	[TARGET_NODE] = "resource", [TARGET_FILESYSTEM] = "mountpoint", [TARGET_PROCESS] = "comm", [TARGET_CGROUP] = "cgroup",
	[TARGET_UNIT] = "unit", [TARGET_INTERFACE] = "interface", [TARGET_DISK] = "device", [TARGET_PEER] = "peer", [TARGET_LOG] = "log",
};

static const struct part labels[] = {
	{ "alertname", write_alertname }, { "severity", write_severity }, { "instance", write_instance }, { "cluster", write_cluster },
	{ "policy", write_policy },	  { NULL, write_resource },	  { "device", write_device },	  { "pid", write_pid },
};

static const struct part annotations[] = {
	{ "summary", notice_summary }, { "description", notice_description }, { "cause", write_cause }, { "cause_share", write_share },
	{ "action", write_action },    { "state", write_state },	      { "incident", write_id },
};

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* Alertmanager counts a value of nothing as absent; so it is not said. */
static void write_parts(const char *head, const struct part *parts, size_t count, const struct notice *notice, struct text *out)
{
	struct text value = { 0 };
	bool first = true;
	text_string(out, head);
	for (size_t i = 0; i < count; i++) {
		text_reset(&value);
		parts[i].write(notice, &value);
		text_append(&value, "", 1);
		if (value.failed || !value.data[0])
			continue;
		text_string(out, first ? "" : ",");
		text_json_string(out, parts[i].name ? parts[i].name : resource_labels[notice->resource_type]);
		text_string(out, ":");
		text_json_string(out, value.data);
		first = false;
	}
	text_string(out, "}");
	text_free(&value);
}

void alert_write_json(const struct notice *notice, int64_t ends_wall_ns, struct text *out)
{
	/* A clock that was set back must not make an alert that ends before it began: the whole batch would be refused. */
	int64_t starts = notice->opened_wall_ns;
	if (ends_wall_ns < starts)
		ends_wall_ns = starts;
	write_parts("{\"labels\":{", labels, ROWS(labels), notice, out);
	write_parts(",\"annotations\":{", annotations, ROWS(annotations), notice, out);
	text_string(out, ",\"startsAt\":\"");
	notice_time(starts > 0 ? starts : ends_wall_ns, out);
	text_string(out, "\",\"endsAt\":\"");
	notice_time(ends_wall_ns, out);
	text_string(out, "\"");
	if (notice->url[0]) {
		text_string(out, ",\"generatorURL\":");
		text_json_string(out, notice->url);
	}
	text_string(out, "}");
}
