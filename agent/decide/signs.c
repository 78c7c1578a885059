/* SPDX-License-Identifier: Apache-2.0 */
/* See signs.h. Peers that went by pressure alone ended the wrong ones: talos#13895, oomd#119, nohang#31. */
#include "decide/signs.h"

/* Of the last two seconds: less is what reading a file does. */
enum { STALL_PERMILLE = 50, LITTLE_LEFT_PERCENT = 10, CPU_USED_PERMILLE = 850, DISK_BUSY_PERMILLE = 900 };
/* In about 15 s: as detect/cause_memory.c has it. */
#define GROWTH_THAT_COUNTS (16LL << 20)

/* --- of the policy ----------------------------------------------------------------------------------------------------- */

static uint32_t sign_of_measure(const struct condition *condition)
{
	switch (condition->measure) {
	case MEASURE_PSI_SOME:
	case MEASURE_PSI_FULL:
	case MEASURE_HUNG:
		return SIGN_STALL;
	case MEASURE_GROWTH_BYTES:
	case MEASURE_LEAK_PER_HOUR:
	case MEASURE_FULL_WITHIN:
		return SIGN_GROWTH;
	case MEASURE_SWAP_USED_PERCENT:
		return SIGN_SWAP;
	default:
		return SIGN_LEVEL;
	}
}

/* Pressure of a cgroup is what it suffers: that it is named does not make it the cause. */
static uint32_t signs_of_condition(const struct condition *condition)
{
	bool named = condition->comm[0] || condition->unit[0] || condition->cgroup[0];
	return sign_of_measure(condition) | (named && condition->kind != CONDITION_PSI ? SIGN_NAMED : 0);
}

static uint32_t signs_of_predicate(const struct policy *policy, uint32_t at)
{
	const struct predicate *predicate = &policy->when[at];
	if (predicate->op == PREDICATE_LEAF)
		return signs_of_condition(&predicate->condition);
	uint32_t signs = 0;
	bool first = true;
	for (uint32_t child = predicate->first_child; child; child = policy->when[child].next_sibling, first = false) {
		uint32_t own = signs_of_predicate(policy, child);
		if (predicate->op == PREDICATE_ALL)
			signs |= own;
		else if (first || __builtin_popcount(own) < __builtin_popcount(signs))
			signs = own;
	}
	return signs;
}

uint32_t signs_of_policy(const struct policy *policy)
{
	return policy->when_count ? signs_of_predicate(policy, 0) : 0;
}

/* --- of the node ------------------------------------------------------------------------------------------------------- */

static uint32_t stalls(const struct snapshot *snap, enum psi_resource resource)
{
	return snapshot_is_fresh(snap, snap->psi.measured_ns) && snap->psi.some[resource].recent_permille >= STALL_PERMILLE ? SIGN_STALL : 0;
}

static uint32_t signs_of_memory(const struct snapshot *snap)
{
	const struct memory_section *memory = &snap->memory;
	uint32_t signs = stalls(snap, PSI_MEMORY);
	if (snapshot_is_fresh(snap, memory->measured_ns)) {
		if (memory->total && memory->total != UNKNOWN && memory->available != UNKNOWN && memory->available <= memory->total / 100 * LITTLE_LEFT_PERCENT)
			signs |= SIGN_LEVEL;
		if (memory->swap_total && memory->swap_total != UNKNOWN && memory->swap_free != UNKNOWN &&
		    memory->swap_free <= memory->swap_total / 100 * LITTLE_LEFT_PERCENT)
			signs |= SIGN_SWAP;
	}
	for (uint32_t i = 0; snapshot_is_fresh(snap, snap->processes.measured_ns) && i < snap->processes.count; i++)
		if (snap->processes.each[i].rss_growth_bytes >= GROWTH_THAT_COUNTS && snap->processes.each[i].rss_growing_bytes > 0)
			return signs | SIGN_GROWTH;
	return signs;
}

static uint32_t signs_of_cpu(const struct snapshot *snap)
{
	bool known = snapshot_is_fresh(snap, snap->cpu.measured_ns) && snap->cpu.used_permille != UINT32_MAX;
	return stalls(snap, PSI_CPU) | (known && snap->cpu.used_permille >= CPU_USED_PERMILLE ? SIGN_LEVEL : 0);
}

static uint32_t signs_of_io(const struct snapshot *snap)
{
	uint32_t signs = stalls(snap, PSI_IO);
	for (uint32_t i = 0; snapshot_is_fresh(snap, snap->disks.measured_ns) && i < snap->disks.count; i++)
		if (snap->disks.each[i].busy_permille >= DISK_BUSY_PERMILLE)
			return signs | SIGN_LEVEL;
	return signs;
}

/* A cgroup that holds a quarter of all threads of the node is what they run out by. */
static uint32_t signs_of_pids(const struct snapshot *snap)
{
	bool known = snapshot_is_fresh(snap, snap->processes.measured_ns) && snapshot_is_fresh(snap, snap->cgroups.measured_ns);
	for (uint32_t i = 0; known && i < snap->cgroups.count; i++)
		if (snap->cgroups.each[i].threads && snap->cgroups.each[i].threads >= snap->processes.threads / 4)
			return SIGN_GROWTH;
	return 0;
}

uint32_t signs_of_node(enum incident_kind kind, const struct snapshot *snap)
{
	switch (kind) {
	case KIND_MEMORY_EXHAUSTION:
	case KIND_OOM_KILL:
		return signs_of_memory(snap);
	case KIND_CPU_EXHAUSTION:
		return signs_of_cpu(snap);
	case KIND_IO_SATURATION:
		return signs_of_io(snap);
	case KIND_PID_EXHAUSTION:
		return signs_of_pids(snap);
	default:
		return 0; /* the policy must bring both */
	}
}

bool signs_suffice(const struct policy *policy, const struct finding *finding, const struct snapshot *snap)
{
	uint32_t signs = signs_of_policy(policy);
	if (__builtin_popcount(signs) >= 2)
		return true;
	if (finding && snap)
		signs |= signs_of_node(finding->kind, snap);
	return __builtin_popcount(signs) >= 2;
}
