/* SPDX-License-Identifier: Apache-2.0 */
/* The document of `outlook`: every capacity with its forecast or why there is none, who leaks, and what cgroups should ask for. */
#include "view.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#include "agent.h"

static void add_signed(cJSON *object, const char *name, int64_t value)
{
	if (value != INT64_MIN)
		cJSON_AddNumberToObject(object, name, (double)value);
}

static void add_forecast(cJSON *object, const struct snapshot *snap, const struct outlook_row *row)
{
	cJSON_AddStringToObject(object, "evidence", row->soon ? "soon" : evidence_names[row->evidence]);
	cJSON_AddBoolToObject(object, "enough_evidence", row->exhausted_in_ns != UNKNOWN);
	if (row->exhausted_in_ns == UNKNOWN)
		return;
	view_add_seconds(object, "exhausted_in_seconds", row->exhausted_in_ns);
	view_add_seconds(object, "low_seconds", row->low_ns);
	view_add_seconds(object, "high_seconds", row->high_ns);
	view_add_time(object, "exhausted_at", snap->wall_ns + (int64_t)row->exhausted_in_ns);
	cJSON_AddNumberToObject(object, "confidence", row->confidence_permille / 1000.0);
}

void view_add_capacity(cJSON *list, const struct snapshot *snap, const struct outlook_row *row)
{
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "resource", capacity_names[row->resource]);
	view_add_text(object, "name", row->name);
	if (row->pid)
		cJSON_AddNumberToObject(object, "pid", row->pid);
	cJSON_AddStringToObject(object, "unit", capacity_units[row->resource]);
	view_add_count(object, "used", row->used);
	view_add_count(object, "capacity", row->capacity);
	cJSON_AddNumberToObject(object, "used_percent", 100.0 * (double)row->used / (double)row->capacity);
	add_forecast(object, snap, row);
	add_signed(object, "growth_per_day", row->per_day);
	add_signed(object, "growth_per_week", row->per_week);
	view_add_seconds(object, "history_seconds", row->history_ns);
	view_add_count(object, "suggested", row->suggested);
	cJSON_AddItemToArray(list, object);
}

static void add_leak(cJSON *list, const struct snapshot *snap, const struct leak_row *leak)
{
	const struct cgroup *cgroup = snapshot_cgroup(snap, leak->cgroup_id);
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "of", leak_names[leak->figure]);
	cJSON_AddNumberToObject(object, "pid", leak->pid);
	view_add_text(object, "comm", leak->comm);
	view_add_text(object, "cgroup", cgroup ? cgroup->path : "");
	view_add_count(object, "now", leak->now);
	view_add_count(object, "grown", leak->grown);
	view_add_count(object, "per_hour", leak->per_hour);
	view_add_seconds(object, "run_seconds", leak->run_ns);
	view_add_seconds(object, "exhausted_in_seconds", leak->exhausted_in_ns);
	cJSON_AddItemToArray(list, object);
}

static void add_cores(cJSON *object, const char *name, uint32_t milli)
{
	if (milli != UINT32_MAX)
		cJSON_AddNumberToObject(object, name, milli / 1000.0);
}

static void add_sizing(cJSON *list, const struct snapshot *snap, const struct sizing_row *row)
{
	const struct cgroup *cgroup = snapshot_cgroup(snap, row->cgroup_id);
	if (!cgroup)
		return;
	cJSON *object = cJSON_CreateObject();
	view_add_text(object, "cgroup", cgroup->path);
	if (cgroup->unit[0])
		view_add_text(object, "unit", cgroup->unit);
	if (cgroup->container[0])
		view_add_text(object, "container", cgroup->container);
	view_add_seconds(object, "seen_seconds", row->minutes * 60 * NSEC_PER_SEC);
	cJSON_AddBoolToObject(object, "enough_evidence", row->enough);
	add_cores(object, "cpu_p50", row->cpu_p50_milli);
	add_cores(object, "cpu_p95", row->cpu_p95_milli);
	add_cores(object, "cpu_p99", row->cpu_p99_milli);
	view_add_count(object, "memory_p50", row->memory_p50);
	view_add_count(object, "memory_p95", row->memory_p95);
	view_add_count(object, "memory_p99", row->memory_p99);
	view_add_count(object, "memory_peak", row->memory_peak);
	add_cores(object, "cpu_request", row->cpu_request_milli);
	add_cores(object, "cpu_limit", row->cpu_limit_milli);
	view_add_count(object, "memory_request", row->memory_request);
	view_add_count(object, "memory_limit", row->memory_limit);
	view_add_count(object, "memory_limit_now", cgroup->memory_max);
	cJSON_AddItemToArray(list, object);
}

cJSON *view_outlook(const struct agent *agent)
{
	const struct snapshot *snap = agent->snap;
	const struct outlook_section *section = &snap->outlook;
	cJSON *document = view_document("outlook");
	if (!document)
		return NULL;
	view_add_time(document, "time", snap->wall_ns);
	cJSON *list = cJSON_AddArrayToObject(document, "capacities");
	for (uint32_t i = 0; i < section->count; i++)
		view_add_capacity(list, snap, &section->each[i]);
	list = cJSON_AddArrayToObject(document, "leaks");
	for (uint32_t i = 0; i < section->leak_count; i++)
		add_leak(list, snap, &section->leaks[i]);
	list = cJSON_AddArrayToObject(document, "sizes");
	for (uint32_t i = 0; i < section->sizing_count; i++)
		add_sizing(list, snap, &section->sizing[i]);
	cJSON *folded = cJSON_AddObjectToObject(document, "folded");
	view_add_count(folded, "capacities", section->series_folded);
	view_add_count(folded, "processes", section->processes_folded);
	view_add_count(folded, "cgroups", section->cgroups_folded);
	return document;
}

void view_add_nearest(cJSON *document, const struct snapshot *snap)
{
	const struct outlook_section *section = &snap->outlook;
	const struct outlook_row *nearest = NULL;
	cJSON *list = cJSON_AddArrayToObject(document, "nearest");
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].exhausted_in_ns != UNKNOWN && (!nearest || section->each[i].exhausted_in_ns < nearest->exhausted_in_ns))
			nearest = &section->each[i];
	if (nearest)
		view_add_capacity(list, snap, nearest);
}
