/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces: the busier direction against the speed of the link, or in bytes where a link has none; and those that hear nothing. */
#include "detect/condition_type.h"

#include <stdio.h>
#include <string.h>

static void targets(const struct condition *condition, const struct snapshot *snap, target_visitor *each, void *context)
{
	for (uint32_t i = 0; i < snap->interfaces.count; i++) {
		const struct interface *interface = &snap->interfaces.each[i];
		/* What has no speed cannot be a share of it: of all interfaces, only those that have one are meant. */
		if (!interface->up || !glob_matches(condition->name, interface->name, 0) ||
		    (!condition->name[0] && condition->measure == MEASURE_USED_PERCENT && interface->speed_bits == UNKNOWN))
			continue;
		struct target target = { .type = TARGET_INTERFACE };
		snprintf(target.name, sizeof(target.name), "%s", interface->name);
		if (!each(&target, context))
			return;
	}
}

static bool selects(const struct condition *condition, const struct snapshot *snap, const struct target *target)
{
	(void)snap;
	return target->type == TARGET_INTERFACE && glob_matches(condition->name, target->name, 0);
}

static void read_condition(const struct condition *condition, const struct snapshot *snap, const struct target *target, struct reading *ret)
{
	if (!snapshot_is_fresh(snap, snap->interfaces.measured_ns) || !snap->elapsed_ns) {
		reading_unknown(ret, "the interfaces are stale");
		return;
	}

	const struct interface *interface = NULL;
	for (uint32_t i = 0; i < snap->interfaces.count && !interface; i++)
		if (strcmp(snap->interfaces.each[i].name, target->name) == 0)
			interface = &snap->interfaces.each[i];
	if (!interface || !interface->up) {
		ret->state = READING_GONE;
		return;
	}

	bool sends = interface->tx_delta_bytes > interface->rx_delta_bytes;
	double rate = (double)(sends ? interface->tx_delta_bytes : interface->rx_delta_bytes) * 1e9 / (double)snap->elapsed_ns;
	if (condition->measure == MEASURE_BYTES_PER_SECOND)
		reading_known(ret, rate);
	else if (condition->measure == MEASURE_UNANSWERED_BYTES)
		reading_known(ret, interface->rx_delta_bytes ? 0 : rate);
	else if (interface->speed_bits == UNKNOWN || !interface->speed_bits)
		reading_unknown(ret, "the driver does not say the speed of the link");
	else
		reading_known(ret, 100 * rate * 8 / (double)interface->speed_bits);
	snprintf(ret->detail, sizeof(ret->detail), "%s %.1f MB/s; drops %llu in, %llu out since boot", sends ? "sends" : "receives", rate / 1e6,
		 (unsigned long long)interface->rx_dropped, (unsigned long long)interface->tx_dropped);
}

static enum incident_kind kind(const struct condition *condition)
{
	(void)condition;
	return KIND_NETWORK_SATURATION;
}

const struct condition_type interface_condition = {
	.targets = targets,
	.selects = selects,
	.measure = read_condition,
	.kind = kind,
	.metrics = {
		[MEASURE_USED_PERCENT] = "interface_used_percent",
		[MEASURE_BYTES_PER_SECOND] = "interface_bytes_per_second",
		[MEASURE_UNANSWERED_BYTES] = "interface_unanswered_bytes_per_second",
	},
};
