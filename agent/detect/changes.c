/* SPDX-License-Identifier: Apache-2.0 */
/* What was changed shortly before an incident: first what concerns those who cause it, then what concerns the node, the newest first. */
#include <stdio.h>
#include <string.h>

#include "detect/detect.h"

/* A deploy that goes wrong is noticed within minutes; what is older is told by its own history. */
#define LATELY_NS (15 * 60 * NSEC_PER_SEC)

static bool concerns(const struct node_change *change, const struct cause *causes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (change->cgroup_id && change->cgroup_id == causes[i].cgroup_id)
			return true;
	return false;
}

static void add(const struct node_change *change, struct incident_change *ret)
{
	ret->wall_ns = change->wall_ns;
	snprintf(ret->what, sizeof(ret->what), "%s", change->what);
}

uint32_t changes_before(const struct snapshot *snap, const struct cause *causes, uint32_t cause_count, struct incident_change ret[MAX_INCIDENT_CHANGES])
{
	const struct change_section *section = &snap->changes;
	uint64_t kept = section->total < MAX_NODE_CHANGES ? section->total : MAX_NODE_CHANGES;
	uint32_t count = 0;
	for (int of_causes = 1; of_causes >= 0; of_causes--) {
		for (uint64_t i = 0; i < kept && count < MAX_INCIDENT_CHANGES; i++) {
			const struct node_change *change = &section->each[(section->total - 1 - i) % MAX_NODE_CHANGES];
			if (change->at_ns + LATELY_NS >= snap->boot_ns && concerns(change, causes, cause_count) == (bool)of_causes)
				add(change, &ret[count++]);
		}
	}
	return count;
}
