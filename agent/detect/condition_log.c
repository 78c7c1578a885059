/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that matched: the log reader counts them in their window, one row for each thing they are about. */
#include "detect/condition_type.h"

#include <stdio.h>
#include <string.h>

static void fill_target(const struct log_row *row, struct target *ret)
{
	*ret = (struct target){ .type = (enum target_type)row->about, .dev = row->dev, .pid = row->pid, .start_ns = row->start_ns, .cgroup_id = row->cgroup_id };
	memcpy(ret->name, row->name, sizeof(ret->name));
	memcpy(ret->device, row->device, sizeof(row->device));
}

static bool is_about(const struct log_row *row, const struct target *target)
{
	if (row->about != (uint32_t)target->type)
		return false;
	return target->type == TARGET_PROCESS ? row->pid == target->pid && row->start_ns == target->start_ns : strcmp(row->name, target->name) == 0;
}

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	uint64_t rule = log_query_hash(condition);
	for (uint32_t i = 0; i < snap->logs.count; i++) {
		struct target target;
		if (snap->logs.each[i].rule != rule)
			continue;
		fill_target(&snap->logs.each[i], &target);
		if (!each(&target, context))
			return;
	}
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	uint64_t rule = log_query_hash(condition);
	double value = -1;

	if (!snapshot_is_fresh(snap, snap->logs.measured_ns)) {
		reading_unknown(ret, "the log reader has not caught up");
		return;
	}
	/* Two rows may be about one thing: processes that were gone by the time are all the log's. */
	for (uint32_t i = 0; i < snap->logs.count; i++) {
		const struct log_row *row = &snap->logs.each[i];
		if (row->rule != rule || !is_about(row, target))
			continue;
		/* What is not raised has cleared, however many are in its window: a clearing line, or a time, has said so. */
		double of_row = row->raised || row->matches < condition->times ? row->matches : condition->times - 1;
		if (of_row <= value)
			continue;
		value = of_row;
		ret->evidence = row->line;
	}
	if (value < 0)
		ret->state = READING_GONE;
	else
		reading_known(ret, value);
}

static enum incident_kind kind(const struct condition *condition)
{
	if (strcmp(condition->log.source, "kernel") != 0)
		return KIND_LOG_PATTERN;
	for (uint32_t i = 0; i < condition->log.pattern_count; i++)
		if (strcmp(condition->log.patterns[i], "oom-kill") != 0)
			return KIND_KERNEL_FAULT;
	return condition->log.pattern_count ? KIND_OOM_KILL : KIND_KERNEL_FAULT;
}

const struct condition_type log_condition = {
	.targets = targets,
	.measure = read_condition,
	.kind = kind,
	.metrics = { [MEASURE_LOG_MATCHES] = "log_matches" },
};
