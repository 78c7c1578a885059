/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See exemplar.h. A counter of a filesystem, unit, cgroup or process gets the newest incident that is not over and names it; its
 * value is the counter's own at the time of the snapshot, so that each scrape marks where the counter stood. An action's counter
 * gets the newest such action of an incident, with 1 for it. A system call's latency gets the newest slow call (event.h) of a process that
 * causes an incident, in the bucket that it fell into. Gauges cannot carry any, and of what other histograms count no single duration is on record.
 */
#include "publish/exemplar.h"

#include <stdlib.h>

#include "core/clock.h"
#include "event.h"
#include "publish/records.h"
#include "syscall_name.h"

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

/* --- latencies --------------------------------------------------------------------------------------------------------- */

#define BEFORE_NS (60 * (int64_t)NSEC_PER_SEC) /* what led to an incident came so long before it at most */

static const struct incident_entry *incident_of_call(const struct records *records, const struct event *event, int64_t wall_ns)
{
	for (uint32_t i = records->incident_count; i--;) {
		const struct incident_entry *entry = &records->incidents[i];
		if (entry->state != INCIDENT_RESOLVED && is_caused_by(entry, event->pid) && wall_ns >= entry->opened_ns - BEFORE_NS)
			return entry;
	}
	return NULL;
}

static bool is_call(const struct slow_call *call, const char *name, const char *abi)
{
	char buffer[24];
	return call->abi < SYSCALL_ABI_COUNT && strcmp(syscall_abi_names[call->abi], abi) == 0 &&
	       strcmp(syscall_name((enum syscall_abi)call->abi, call->nr, buffer, sizeof(buffer)), name) == 0;
}

bool exemplar_find_call(const struct metric_sink *sink, const struct label *labels, uint32_t count, struct exemplar *ret)
{
	const struct metric_context *context = sink->context;
	if (!context->snap || !context->records || !context->records->incident_count || strcmp(sink->metric->name, "nodemend_syscall_latency_seconds") != 0 ||
	    strcmp(label_value(labels, count, "class"), syscall_class_names[SYSCALL_WORKING]) != 0)
		return false;
	const struct event_section *events = &context->snap->events;
	const char *name = label_value(labels, count, "syscall"), *abi = label_value(labels, count, "abi");
	for (uint64_t seq = events->total, last = seq > MAX_EVENTS ? seq - MAX_EVENTS : 0; seq > last; seq--) {
		const struct event *event = &events->each[seq % MAX_EVENTS];
		if (event->kind != EVENT_SLOW_CALL || !is_call(&event->of.slow_call, name, abi))
			continue;
		int64_t wall_ns = context->snap->wall_ns - (int64_t)(context->snap->boot_ns - event->at_ns);
		const struct incident_entry *entry = incident_of_call(context->records, event, wall_ns);
		if (!entry)
			continue;
		*ret = (struct exemplar){ .incident = entry->id, .value = event->of.slow_call.took_ns, .wall_ns = wall_ns };
		return true;
	}
	return false;
}
