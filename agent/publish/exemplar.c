/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See exemplar.h. A counter of a filesystem, unit, cgroup or process gets the newest incident that is not over and names it; its
 * value is the counter's own at the time of the snapshot, so that each scrape marks where the counter stood. An action's counter
 * gets the newest such action of an incident, with 1 for it. Gauges cannot carry any, and for a histogram nobody knows which
 * single duration belongs to an incident.
 */
#include "publish/exemplar.h"

#include <stdlib.h>

#include "core/clock.h"
#include "publish/records.h"

enum named_by { BY_MOUNTPOINT, BY_UNIT, BY_CGROUP, BY_PID, BY_ACTION };

static const struct rule { const char *family; enum named_by by; } rules[] = {
	{ "nodemend_actions_total", BY_ACTION },
	{ "nodemend_cgroup_cpu_seconds_total", BY_CGROUP },
	{ "nodemend_filesystem_dirtied_all_bytes_total", BY_MOUNTPOINT },
	{ "nodemend_filesystem_dirtied_bytes_total", BY_PID },
	{ "nodemend_process_cpu_seconds_total", BY_PID },
	{ "nodemend_process_written_bytes_total", BY_PID },
	{ "nodemend_unit_restarts_total", BY_UNIT },
};

static const char *label_value(const struct label *labels, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(labels[i].name, name) == 0)
			return labels[i].value;
	return "";
}

static bool is_about(const struct incident_entry *entry, enum target_type type, const char *name)
{
	return *name && entry->about == type && strcmp(entry->name, name) == 0;
}

static bool is_caused_by(const struct incident_entry *entry, int32_t pid)
{
	for (uint32_t i = 0; pid > 0 && i < entry->cause_count; i++)
		if (entry->cause_pids[i] == pid)
			return true;
	return false;
}

static bool concerns(const struct incident_entry *entry, enum named_by by, const struct label *labels, uint32_t count)
{
	switch (by) {
	case BY_MOUNTPOINT:
		return is_about(entry, TARGET_FILESYSTEM, label_value(labels, count, "mountpoint"));
	case BY_UNIT:
		return is_about(entry, TARGET_UNIT, label_value(labels, count, "unit"));
	case BY_CGROUP:
		return is_about(entry, TARGET_CGROUP, label_value(labels, count, "cgroup"));
	case BY_PID: {
		const char *mountpoint = label_value(labels, count, "mountpoint");
		return is_caused_by(entry, (int32_t)strtol(label_value(labels, count, "pid"), NULL, 10)) &&
		       (!*mountpoint || is_about(entry, TARGET_FILESYSTEM, mountpoint));
	}
	default:
		return false;
	}
}

static bool find_action(const struct records *records, const struct label *labels, uint32_t count, struct exemplar *ret)
{
	const char *remedy = label_value(labels, count, "remedy"), *mode = label_value(labels, count, "mode"),
		   *outcome = label_value(labels, count, "outcome");
	for (uint32_t i = records->action_count; i--;) {
		const struct action_entry *action = &records->actions[i];
		if (!*action->incident || action->mode >= MODE_COUNT || action->outcome >= OUTCOME_COUNT || strcmp(action->remedy, remedy) != 0 ||
		    strcmp(mode_names[action->mode], mode) != 0 || strcmp(outcome_names[action->outcome], outcome) != 0)
			continue;
		*ret = (struct exemplar){ .incident = action->incident, .value = 1, .wall_ns = action->started_ns };
		return true;
	}
	return false;
}

bool exemplar_find(const struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, struct exemplar *ret)
{
	const struct metric_context *context = sink->context;
	const struct rule *rule = NULL;
	if (sink->metric->type != METRIC_COUNTER || !context->snap || !context->records->incident_count)
		return false;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && !rule; i++)
		if (strcmp(rules[i].family, sink->metric->name) == 0)
			rule = &rules[i];
	if (!rule || !value)
		return false;
	if (rule->by == BY_ACTION)
		return find_action(context->records, labels, count, ret);

	for (uint32_t i = context->records->incident_count; i--;) {
		const struct incident_entry *entry = &context->records->incidents[i];
		if (entry->state == INCIDENT_RESOLVED || !concerns(entry, rule->by, labels, count))
			continue;
		*ret = (struct exemplar){ .incident = entry->id, .value = value, .wall_ns = context->snap->wall_ns };
		return true;
	}
	return false;
}
