/* SPDX-License-Identifier: Apache-2.0 */
/* See latch.h. */
#include "detect/latch.h"

#include <math.h>

enum { NEIGHBOURS = 32, SLOPE_SAMPLES = 4 };
/* As long as a section may be old until it counts as missing: beyond it nobody saw what the value was. */
enum { GAP_INTERVALS = 3 };

/* --- places ------------------------------------------------------------------------------------------------------------ */

static struct latch *find(struct latch_pool *pool, uint64_t key)
{
	for (uint32_t i = 0; i < NEIGHBOURS; i++)
		if (pool->each[(key + i) % MAX_LATCHES].key == key)
			return &pool->each[(key + i) % MAX_LATCHES];
	return NULL;
}

/* Open addressing within a short run; an idle latch gives its place to a new one. NULL: the neighbourhood is full of live ones. */
static struct latch *create(struct latch_pool *pool, uint64_t key, uint64_t now, uint64_t idle_ns)
{
	for (uint32_t i = 0; i < NEIGHBOURS; i++) {
		struct latch *latch = &pool->each[(key + i) % MAX_LATCHES];
		if (latch->key && latch->seen_ns + idle_ns >= now)
			continue;
		*latch = (struct latch){ .key = key, .seen_ns = now };
		return latch;
	}
	return NULL;
}

/* --- levels ------------------------------------------------------------------------------------------------------------ */

static bool is_flag(const struct condition *condition)
{
	return condition->measure == MEASURE_UNIT_STATE || condition->measure == MEASURE_UNIT_PROBE || condition->measure == MEASURE_HUNG ||
	       condition->measure == MEASURE_PROBE;
}

static struct level level_of(const struct condition *condition, int i)
{
	const struct threshold *threshold = &condition->threshold;
	return threshold->graded ? threshold->levels[i] : (struct level){ threshold->raise, threshold->clear };
}

static uint32_t levels_in_use(const struct condition *condition)
{
	return condition->threshold.graded ? condition->threshold.graded : 1;
}

static bool crosses(const struct condition *condition, struct level level, double value)
{
	if (is_flag(condition))
		return value > 0.5;
	/* So many times: that many are enough. */
	if (condition->measure == MEASURE_LOG_MATCHES || condition->measure == MEASURE_CRASHES)
		return value >= level.raise;
	return condition->threshold.above ? value > level.raise : value < level.raise;
}

static bool clears(const struct condition *condition, struct level level, double value)
{
	/* How many run has no middle: one that is missing is missing. */
	if (is_flag(condition) || condition->measure == MEASURE_COUNT_BELOW || level.clear == level.raise)
		return !crosses(condition, level, value);
	return condition->threshold.above ? value <= level.clear : value >= level.clear;
}

bool latch_crosses(const struct condition *condition, double value)
{
	return crosses(condition, (struct level){ condition->threshold.raise, condition->threshold.clear }, value);
}

/* --- going back by itself ---------------------------------------------------------------------------------------------- */

static uint64_t window_ns(const struct condition *condition, uint64_t interval_ns)
{
	return condition->of.samples ? condition->of.samples * interval_ns : condition->for_ns;
}

static void slope_add(struct slope *slope, double value, double elapsed_s, double window_s)
{
	if (!slope->samples++)
		slope->base = value;
	value -= slope->base;
	/* The origin moves to the new sample, and what lies behind loses weight. */
	double keep = exp(-2 * elapsed_s / window_s);
	slope->time_value = keep * (slope->time_value - elapsed_s * slope->value);
	slope->time2 = keep * (slope->time2 - 2 * elapsed_s * slope->time + elapsed_s * elapsed_s * slope->weight);
	slope->time = keep * (slope->time - elapsed_s * slope->weight);
	slope->value = keep * slope->value + value;
	slope->weight = keep * slope->weight + 1;
}

static double per_second(const struct slope *slope)
{
	double spread = slope->weight * slope->time2 - slope->time * slope->time;
	return slope->samples < SLOPE_SAMPLES || spread <= 0 ? 0 : (slope->weight * slope->time_value - slope->time * slope->value) / spread;
}

/*
 * At its present pace it is back at its clear level within as long as the window looks back: by the time anybody has read of it, it
 * would be over. The pace forgets within a window, so what stops falling is told after all.
 */
static bool goes_back(const struct condition *condition, struct level level, const struct slope *slope, double value, double window_s,
		      struct latched *ret)
{
	double pace = per_second(slope), towards = condition->threshold.above ? -pace : pace;
	double distance = condition->threshold.above ? value - level.clear : level.clear - value;
	if (window_s <= 0 || towards <= 0 || distance > towards * window_s)
		return false;
	ret->falling = true;
	ret->per_second = pace;
	ret->back_in_s = distance > 0 ? distance / towards : 0;
	return true;
}

/* --- one sample -------------------------------------------------------------------------------------------------------- */

/* What is older than the window is not remembered. */
static uint64_t shifted(const struct sample_window *of, uint64_t samples, uint64_t by)
{
	uint64_t mask = of->samples < 64 ? (1ULL << of->samples) - 1 : UINT64_MAX;
	return by < 64 ? (samples << by) & mask : 0;
}

/* How many places the row of samples moves on: 0 between two intervals, more than one where some are missing. */
static uint64_t samples_since(const struct latch *latch, uint64_t now, uint64_t interval_ns)
{
	if (!latch->sampled_ns || !interval_ns)
		return 1;
	return (now - latch->sampled_ns + interval_ns / 4) / interval_ns;
}

static bool enough(const struct sample_window *of, uint64_t samples)
{
	return (uint32_t)__builtin_popcountll(samples) >= of->count;
}

static void take_level(struct latch *latch, const struct condition *condition, int i, double value, uint64_t now, uint64_t moved, double window_s,
		       struct latched *ret)
{
	struct level level = level_of(condition, i);
	bool crossed = crosses(condition, level, value), calm = clears(condition, level, value), was = latch->raised >> i & 1;
	const struct sample_window *of = condition->of.samples ? &condition->of : NULL;

	latch->true_since_ns[i] = !crossed && !was ? 0 : latch->true_since_ns[i] ? latch->true_since_ns[i] : now;
	if (of && moved) {
		latch->crossed[i] = shifted(of, latch->crossed[i], moved) | crossed;
		latch->calm[i] = shifted(of, latch->calm[i], moved) | calm;
	}

	bool raised = was;
	if (was)
		raised = of ? !calm || !enough(of, latch->calm[i]) : !calm;
	else if (of ? enough(of, latch->crossed[i]) : crossed && now - latch->true_since_ns[i] >= condition->for_ns)
		raised = !goes_back(condition, level, &latch->slope, value, window_s, ret);
	if (was && !raised)
		latch->true_since_ns[i] = 0;
	if (!was && raised && !latch->true_since_ns[i])
		latch->true_since_ns[i] = now;
	latch->raised = raised ? latch->raised | 1U << i : latch->raised & ~(1U << i);
	ret->pending |= !raised && (crossed || latch->crossed[i]);
}

static void forget_gap(struct latch *latch, uint64_t now, uint64_t interval_ns)
{
	if (now - latch->seen_ns <= GAP_INTERVALS * interval_ns)
		return;
	latch->slope = (struct slope){ 0 };
	for (int i = 0; i < SEVERITY_COUNT; i++)
		if (!(latch->raised >> i & 1))
			latch->true_since_ns[i] = 0;
}

static void tell(const struct latch *latch, struct latched *ret)
{
	ret->raised = latch->raised != 0;
	for (int i = 0; i < SEVERITY_COUNT; i++) {
		if (latch->raised >> i & 1)
			ret->level = (enum severity)i;
		if (latch->true_since_ns[i] && (!ret->since_ns || (latch->raised >> i & 1 && latch->true_since_ns[i] < ret->since_ns)))
			ret->since_ns = latch->true_since_ns[i];
	}
	ret->pending &= !ret->raised;
	ret->falling &= !ret->raised;
}

static bool is_idle(const struct latch *latch)
{
	uint64_t anything = latch->raised;
	for (int i = 0; i < SEVERITY_COUNT; i++)
		anything |= latch->true_since_ns[i] | latch->crossed[i];
	return !anything;
}

void latch_take(struct latch_pool *pool, uint64_t key, const struct condition *condition, double value, uint64_t now, uint64_t interval_ns,
		struct latched *ret)
{
	*ret = (struct latched){ 0 };
	struct latch *latch = find(pool, key);
	if (!latch && !latch_crosses(condition, value))
		return; /* nothing to remember */
	uint64_t window = window_ns(condition, interval_ns);
	if (!latch)
		latch = create(pool, key, now, window + 10 * interval_ns);
	if (!latch) {
		ret->full = true;
		return;
	}

	forget_gap(latch, now, interval_ns);
	double window_s = (double)window / (double)NSEC_PER_SEC;
	if (window && !is_flag(condition))
		slope_add(&latch->slope, value, (double)(now - latch->seen_ns) / (double)NSEC_PER_SEC, window_s);
	uint64_t moved = samples_since(latch, now, interval_ns);
	for (int i = 0; i < SEVERITY_COUNT; i++)
		if (levels_in_use(condition) >> i & 1)
			take_level(latch, condition, i, value, now, moved, window_s, ret);
	latch->seen_ns = now;
	if (moved)
		latch->sampled_ns = now;
	tell(latch, ret);
	if (is_idle(latch))
		latch->key = 0;
}

void latch_drop(struct latch_pool *pool, uint64_t key)
{
	struct latch *latch = find(pool, key);
	if (latch)
		latch->key = 0;
}

void latch_forget_run(struct latch_pool *pool, uint64_t key)
{
	struct latch *latch = find(pool, key);
	for (int i = 0; latch && i < SEVERITY_COUNT; i++)
		if (!(latch->raised >> i & 1))
			latch->true_since_ns[i] = 0;
}
