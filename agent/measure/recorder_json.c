/* SPDX-License-Identifier: Apache-2.0 */
/* A recording for people and programs: newest last, what is unknown left out. */
#include "measure/recorder.h"

#include <cjson/cJSON.h>

static bool add_bytes(cJSON *object, const char *name, uint64_t bytes)
{
	return bytes == UNKNOWN || cJSON_AddNumberToObject(object, name, (double)bytes);
}

static bool add_share(cJSON *object, const char *name, uint32_t permille)
{
	return permille == UINT32_MAX || cJSON_AddNumberToObject(object, name, permille / 1000.0);
}

static bool fill_process(cJSON *object, const struct recorded_process *process, const struct snapshot *snap)
{
	const struct cgroup *cgroup = snapshot_cgroup(snap, process->cgroup_id);

	return cJSON_AddNumberToObject(object, "pid", process->pid) && cJSON_AddStringToObject(object, "comm", process->comm) &&
		(!cgroup || !cgroup->path[0] || cJSON_AddStringToObject(object, "cgroup", cgroup->path)) &&
		add_bytes(object, "resident_bytes", process->rss_bytes) &&
		cJSON_AddNumberToObject(object, "growing_bytes", (double)process->growing_bytes);
}

static bool add_processes(cJSON *tick, const char *name, const struct recorded_process *each, uint32_t count, const struct snapshot *snap)
{
	cJSON *array = cJSON_AddArrayToObject(tick, name);

	for (uint32_t i = 0; array && i < count && i < RECORDED_PROCESSES; i++) {
		cJSON *object = cJSON_CreateObject();

		if (!object || !cJSON_AddItemToArray(array, object) || !fill_process(object, &each[i], snap))
			return false;
	}
	return array;
}

static bool fill_tick(cJSON *object, const struct recorded_tick *tick, const struct recording *recording, const struct snapshot *snap)
{
	return cJSON_AddNumberToObject(object, "seconds_before", ((double)recording->at_ns - (double)tick->boot_ns) / 1e9) &&
		add_bytes(object, "available_bytes", tick->available_bytes) && add_bytes(object, "free_bytes", tick->free_bytes) &&
		add_bytes(object, "swap_free_bytes", tick->swap_free_bytes) && add_share(object, "pressure_some", tick->some_permille) &&
		add_share(object, "pressure_full", tick->full_permille) &&
		add_processes(object, "largest", tick->largest, tick->largest_count, snap) &&
		add_processes(object, "growing", tick->growing, tick->growing_count, snap);
}

struct cJSON *recorder_json(const struct recording *recording, const struct snapshot *snap)
{
	cJSON *json = cJSON_CreateObject();
	bool whole = json && cJSON_AddNumberToObject(json, "first_event", (double)recording->first_seq) &&
		cJSON_AddNumberToObject(json, "last_event", (double)recording->last_seq);
	cJSON *ticks = whole ? cJSON_AddArrayToObject(json, "ticks") : NULL;

	whole = ticks;
	for (uint32_t i = 0; whole && i < recording->count && i < RECORDED_TICKS; i++) {
		cJSON *tick = cJSON_CreateObject();

		whole = tick && cJSON_AddItemToArray(ticks, tick) && fill_tick(tick, &recording->each[i], recording, snap);
	}
	if (whole)
		return json;
	cJSON_Delete(json);
	return NULL;
}
