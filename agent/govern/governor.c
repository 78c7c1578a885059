/* SPDX-License-Identifier: Apache-2.0 */
/* See governor.h. */
#include "govern/governor.h"

#include <string.h>

const char *const depth_names[DEPTH_STEPS] = {
	[DEPTH_OFF] = "off", [DEPTH_COUNTS] = "counts", [DEPTH_HISTOGRAMS] = "histograms", [DEPTH_DEEP] = "deep",
};
const char *const arm_reason_names[ARM_REASON_COUNT] = {
	[ARM_CPU] = "cpu", [ARM_MEMORY] = "memory", [ARM_IO] = "io", [ARM_FINDING] = "finding",
};

/* What a condition reads, and what its causes are ranked by. */
#define BIT(id_) (1U << COLLECTOR_##id_)
static const uint32_t read_by[CONDITION_KIND_COUNT] = {
	[CONDITION_FILESYSTEM] = BIT(FILESYSTEM) | BIT(FSWRITE) | BIT(PROCESS) | BIT(CGROUP),
	[CONDITION_MEMORY] = BIT(MEMORY) | BIT(PROCESS) | BIT(CGROUP),
	[CONDITION_CPU] = BIT(CPU) | BIT(PROCESS) | BIT(CGROUP),
	[CONDITION_PSI] = BIT(PSI) | BIT(PROCESS) | BIT(CGROUP) | BIT(FSWRITE),
	[CONDITION_PROCESS] = BIT(PROCESS) | BIT(CGROUP) | BIT(TASK),
	[CONDITION_ANOMALY] = BIT(CPU) | BIT(MEMORY) | BIT(PSI) | BIT(PROCESS) | BIT(CGROUP),
	[CONDITION_UNIT] = BIT(UNIT) | BIT(PROCESS) | BIT(CGROUP),
	[CONDITION_CGROUP] = BIT(PROCESS) | BIT(CGROUP),
	[CONDITION_PIDS] = BIT(PROCESS) | BIT(CGROUP),
	[CONDITION_FILES] = BIT(PROCESS) | BIT(CGROUP),
	[CONDITION_CONNTRACK] = BIT(INTERFACE),
	[CONDITION_NEIGHBOURS] = BIT(INTERFACE),
	[CONDITION_LISTENER] = BIT(TCP) | BIT(PROCESS) | BIT(CGROUP),
	[CONDITION_INTERFACE] = BIT(INTERFACE),
	[CONDITION_DEPENDENCY] = BIT(TCP) | BIT(DNS) | BIT(CGROUP),
	[CONDITION_CAPACITY] = BIT(FILESYSTEM) | BIT(FSWRITE) | BIT(MEMORY) | BIT(PROCESS) | BIT(CGROUP) | BIT(HOST),
	[CONDITION_LEAK] = BIT(MEMORY) | BIT(PROCESS) | BIT(CGROUP),
};
_Static_assert(COLLECTOR_COUNT <= 32, "a bit for each collector");

enum depth governor_floor(const struct config *config, enum collector_id id)
{
	for (uint32_t i = 0; i < config->policy_count; i++) {
		const struct policy *policy = &config->policies[i];
		for (uint32_t leaf = 0; leaf < policy->when_count; leaf++)
			if (policy->when[leaf].op == PREDICATE_LEAF && (read_by[policy->when[leaf].condition.kind] >> id & 1))
				return DEPTH_COUNTS;
	}
	return DEPTH_OFF;
}

void governor_init(struct governor *governor)
{
	memset(governor, 0, sizeof(*governor));
	memset(governor->ceiling, DEPTH_DEEP, sizeof(governor->ceiling));
	governor->up_after = GOVERN_UP_AFTER;
	governor->since_up = GOVERN_PROBATION;
}

/* --- arming ----------------------------------------------------------------------------------------------------------- */

bool governor_arm(struct governor *governor, enum arm_reason reason, const struct config *config, uint64_t now_ns)
{
	bool armed = now_ns < governor->armed_until_ns[reason];

	if (!config->deep_for_ns || governor->short_of_memory || now_ns < governor->rest_until_ns)
		return false;
	governor->armed_until_ns[reason] = now_ns + config->deep_for_ns;
	return !armed;
}

static void forget_arms(struct governor *governor)
{
	memset(governor->armed_until_ns, 0, sizeof(governor->armed_until_ns));
}

static void tell_armed(const struct governor *governor, uint64_t now_ns, struct governor_verdict *ret)
{
	for (int i = 0; i < ARM_REASON_COUNT; i++) {
		if (governor->armed_until_ns[i] <= now_ns || governor->armed_until_ns[i] <= ret->armed_until_ns)
			continue;
		ret->armed_until_ns = governor->armed_until_ns[i];
		ret->armed_by = (enum arm_reason)i;
	}
}

static void heed_memory(struct governor *governor, const struct governor_section *cost)
{
	if (cost->memory_bytes > cost->memory_budget_bytes)
		governor->short_of_memory = true;
	else if (cost->memory_bytes < cost->memory_budget_bytes - cost->memory_budget_bytes / 10)
		governor->short_of_memory = false;
	if (governor->short_of_memory)
		forget_arms(governor);
}

/* --- steps ------------------------------------------------------------------------------------------------------------ */

static uint64_t known(uint64_t rate)
{
	return rate == UNKNOWN ? 0 : rate;
}

static uint64_t cost_of(const struct snapshot *snap, uint32_t id)
{
	return known(snap->governor.each[id].kernel_rate) + known(snap->governor.each[id].user_rate);
}

static enum depth usual(const struct governor *governor, uint32_t id)
{
	return governor->ceiling[id] < DEPTH_HISTOGRAMS ? governor->ceiling[id] : DEPTH_HISTOGRAMS;
}

static void set_ceiling(struct governor *governor, uint32_t id, enum depth to, struct governor_verdict *ret)
{
	ret->stepped = true;
	ret->collector = id;
	ret->from = usual(governor, id);
	ret->to = to;
	governor->ceiling[id] = to == DEPTH_HISTOGRAMS ? DEPTH_DEEP : to;
}

/* Of those that can go lower and are worth it, the one that costs most. COLLECTOR_COUNT: none. */
static uint32_t dearest(const struct governor *governor, const struct snapshot *snap, const struct config *config)
{
	uint64_t least = snap->governor.budget_rate / 1000 * GOVERN_WORTH_PERMILLE;
	uint32_t found = COLLECTOR_COUNT;

	for (uint32_t id = 0; id < COLLECTOR_COUNT; id++) {
		if (!snap->collectors[id].adjustable || usual(governor, id) <= governor_floor(config, id) || cost_of(snap, id) <= least)
			continue;
		if (found == COLLECTOR_COUNT || cost_of(snap, id) > cost_of(snap, found))
			found = id;
	}
	return found;
}

static void step_down(struct governor *governor, const struct snapshot *snap, const struct config *config, struct governor_verdict *ret)
{
	uint32_t id = dearest(governor, snap, config);

	governor->exhausted = id == COLLECTOR_COUNT;
	if (governor->exhausted)
		return;
	set_ceiling(governor, id, usual(governor, id) - 1, ret);
	governor->taken[governor->taken_count++] = (uint8_t)id;
	if (governor->since_up < GOVERN_PROBATION)
		governor->up_after = governor->up_after < GOVERN_UP_AFTER_MOST / 2 ? governor->up_after * 2 : GOVERN_UP_AFTER_MOST;
	governor->since_up = GOVERN_PROBATION;
}

static void give_back(struct governor *governor, uint32_t entry, struct governor_verdict *ret)
{
	uint32_t id = governor->taken[entry];

	set_ceiling(governor, id, usual(governor, id) + 1, ret);
	governor->taken_count--;
	memmove(&governor->taken[entry], &governor->taken[entry + 1], governor->taken_count - entry);
}

/* A reload can bring a policy that reads what is off. One a tick is soon enough. */
static bool lift_to_floor(struct governor *governor, const struct config *config, struct governor_verdict *ret)
{
	for (uint32_t entry = governor->taken_count; entry-- > 0;) {
		uint32_t id = governor->taken[entry];
		if (governor->ceiling[id] >= governor_floor(config, id))
			continue;
		give_back(governor, entry, ret);
		ret->forced = true;
		return true;
	}
	return false;
}

static void count_window(struct governor *governor, const struct governor_section *cost)
{
	uint64_t spent = known(cost->kernel_rate) + known(cost->agent_rate) + known(cost->publisher_rate);
	bool over = spent > cost->budget_rate, room = spent < cost->budget_rate / 1000 * GOVERN_ROOM_PERMILLE;

	governor->over = over ? governor->over + 1 : 0;
	governor->room = room ? governor->room + 1 : 0;
	governor->since_up += governor->since_up < GOVERN_PROBATION;
	governor->restored = governor->taken_count ? 0 : governor->restored + 1;
	if (governor->restored >= GOVERN_UP_AFTER_MOST)
		governor->up_after = GOVERN_UP_AFTER; /* an hour at full depth: whatever the trouble was, it is over */
	if (!over)
		governor->exhausted = false;
}

/* Whether there is a new window to judge by. Costs from before a gap are of another time. */
static bool take_window(struct governor *governor, const struct governor_section *cost, const struct config *config)
{
	if (cost->windows == governor->windows || !cost->measured_ns)
		return false;
	if (cost->measured_ns > governor->last_window_ns + GOVERN_GAP_WINDOWS * config->measure_every_ns)
		governor->over = governor->room = 0;
	governor->windows = cost->windows;
	governor->last_window_ns = cost->measured_ns;
	count_window(governor, cost);
	return true;
}

static bool any_is_deep(const struct snapshot *snap)
{
	for (uint32_t id = 0; id < COLLECTOR_COUNT; id++)
		if (snap->collectors[id].adjustable && snap->collectors[id].depth == DEPTH_DEEP)
			return true;
	return false;
}

static void disarm(struct governor *governor, const struct config *config, uint64_t now_ns, struct governor_verdict *ret)
{
	forget_arms(governor);
	governor->rest_until_ns = now_ns + GOVERN_REST_TIMES * config->deep_for_ns;
	ret->disarmed = true;
}

static void judge(struct governor *governor, const struct snapshot *snap, const struct config *config, uint64_t now_ns, struct governor_verdict *ret)
{
	if (governor->over >= GOVERN_DOWN_AFTER) {
		governor->over = 0;
		if (any_is_deep(snap)) /* what is above the usual goes first */
			disarm(governor, config, now_ns, ret);
		else
			step_down(governor, snap, config, ret);
	} else if (governor->room >= governor->up_after && governor->taken_count) {
		governor->room = 0;
		governor->since_up = 0;
		give_back(governor, governor->taken_count - 1, ret);
	}
}

void governor_decide(struct governor *governor, const struct snapshot *snap, const struct config *config, uint64_t now_ns,
		     struct governor_verdict *ret)
{
	memset(ret, 0, sizeof(*ret));
	heed_memory(governor, &snap->governor);
	bool window = take_window(governor, &snap->governor, config);
	if (!lift_to_floor(governor, config, ret) && window)
		judge(governor, snap, config, now_ns, ret);

	tell_armed(governor, now_ns, ret);
	for (uint32_t id = 0; id < COLLECTOR_COUNT; id++)
		ret->wanted[id] = (uint8_t)(ret->armed_until_ns && governor->ceiling[id] == DEPTH_DEEP ? DEPTH_DEEP : usual(governor, id));
}
