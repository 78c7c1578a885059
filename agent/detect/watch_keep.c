/* SPDX-License-Identifier: Apache-2.0 */
/* What the watch has learnt, as bytes: a head, the scopes, then the series. They are this machine's own; another layout is another version. */
#include "detect/watch_state.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WATCH_VERSION = 2 };

struct head {
	char magic[8];
	uint32_t version, scope_size, series_size, scopes, series;
};

/* An alarm that stands. Without it the peak that was told already would keep it quiet after a restart, and the incident would end. */
struct saved_alarm {
	uint64_t left_ns, age_ns;         /* left_ns 0: none stands */
	double alarms_per_day;
	uint64_t top_count;
	struct anomaly_sign top[ANOMALY_TOP];
};

struct saved_scope {
	uint64_t key;
	struct saved_alarm alarm;
	struct scope_lane lanes[WATCH_LANES];
};

struct saved_series {
	uint64_t key;
	struct anomaly_series series;
};

static const struct head expected = { .magic = "nmwatch", .version = WATCH_VERSION, .scope_size = sizeof(struct saved_scope), .series_size = sizeof(struct saved_series) };

size_t watch_saved_most(void)
{
	return sizeof(struct head) + MAX_ANOMALY_SCOPES * sizeof(struct saved_scope) + WATCH_MAX_SERIES * sizeof(struct saved_series);
}

static void save_alarm(const struct watch *watch, const struct scope *scope, struct saved_alarm *ret)
{
	uint64_t now_ns = watch->restored ? 0 : watch->lane_ran_ns[0];
	if (scope->until_ns <= now_ns)
		return;
	ret->left_ns = scope->until_ns - now_ns;
	ret->age_ns = watch->restored ? scope->told.since_ns : now_ns - scope->told.since_ns;
	ret->alarms_per_day = scope->told.alarms_per_day;
	ret->top_count = scope->told.top_count;
	memcpy(ret->top, scope->told.top, sizeof(ret->top));
}

size_t watch_save(const struct watch *watch, void *to)
{
	struct head head = expected;
	char *at = (char *)to + sizeof(head);

	for (uint32_t i = 0; i < MAX_ANOMALY_SCOPES; i++) {
		const struct scope *scope = &watch->scopes[i];
		struct saved_scope saved;
		if (i > 0 && !scope->key)
			continue;
		memset(&saved, 0, sizeof(saved));
		saved.key = scope->key;
		save_alarm(watch, scope, &saved.alarm);
		memcpy(saved.lanes, scope->lanes, sizeof(saved.lanes));
		memcpy(at, &saved, sizeof(saved));
		at += sizeof(saved);
		head.scopes++;
	}
	for (uint32_t i = 0; i < WATCH_MAX_SERIES; i++) {
		struct saved_series saved;
		if (!watch->each[i].key)
			continue;
		memset(&saved, 0, sizeof(saved));
		saved.key = watch->each[i].key;
		saved.series = watch->each[i].series;
		memcpy(at, &saved, sizeof(saved));
		at += sizeof(saved);
		head.series++;
	}
	memcpy(to, &head, sizeof(head));
	return (size_t)(at - (char *)to);
}

/*
 * Of a file that nobody damaged: bytes and nanoseconds a second, and their squares. Without a bound a number that is finite here is none after the next
 * sample.
 */
static bool is_amount(double value)
{
	return isfinite(value) && fabs(value) <= 1e16;
}

static bool drift_is_sound(const struct drift *drift)
{
	return is_amount(drift->mean) && isfinite(drift->variance) && drift->variance >= 0 && drift->variance <= 1e32;
}

static bool series_is_sound(const struct anomaly_series *series)
{
	for (int i = 0; i < ANOMALY_FEATURE_COUNT; i++)
		if (!tail_is_sound(&series->tails[i]))
			return false;
	return is_amount(series->previous) && is_amount(series->fast) && is_amount(series->slow) && is_amount(series->slower_fast) &&
	       is_amount(series->slower) && drift_is_sound(&series->recent) && drift_is_sound(&series->usual);
}

static bool lane_is_sound(const struct scope_lane *lane)
{
	return tail_is_sound(&lane->tail) && is_amount(lane->hold.level) && lane->hold.level >= 0;
}

static bool alarm_is_possible(const struct saved_alarm *alarm)
{
	if (alarm->left_ns > WATCH_CALM_NS || alarm->age_ns > INT64_MAX || alarm->top_count > ANOMALY_TOP)
		return false;
	for (uint32_t i = 0; i < ANOMALY_TOP; i++)
		if (!memchr(alarm->top[i].series, '\0', ANOMALY_SERIES_LEN) || !memchr(alarm->top[i].feature, '\0', ANOMALY_FEATURE_LEN))
			return false;
	return true;
}

/* A score of what was beyond all numbers is no alarm that could be shown. */
static bool alarm_is_finite(const struct saved_alarm *alarm)
{
	for (uint32_t i = 0; i < alarm->top_count; i++)
		if (!isfinite(alarm->top[i].seen) || !isfinite(alarm->top[i].expected) || !isfinite(alarm->top[i].share))
			return false;
	return isfinite(alarm->alarms_per_day) && alarm->alarms_per_day >= 0;
}

static void restore_alarm(const struct saved_alarm *alarm, struct scope *scope)
{
	if (!alarm->left_ns || !alarm_is_finite(alarm))
		return;
	scope->until_ns = alarm->left_ns;
	scope->told.since_ns = alarm->age_ns;
	scope->told.alarms_per_day = alarm->alarms_per_day;
	scope->told.top_count = (uint32_t)alarm->top_count;
	memcpy(scope->told.top, alarm->top, sizeof(scope->told.top));
}

static const char *load_scopes(struct watch *watch, const char *from, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct saved_scope saved;
		memcpy(&saved, from + i * sizeof(saved), sizeof(saved));
		if ((i == 0) != (saved.key == 0))
			return "its scopes are out of order";
		for (int lane = 0; lane < WATCH_LANES; lane++)
			if (!lane_is_sound(&saved.lanes[lane]))
				return "a scope holds what no scope can";
		if (!alarm_is_possible(&saved.alarm))
			return "an alarm holds what no alarm can";
		watch->scopes[i].key = saved.key;
		restore_alarm(&saved.alarm, &watch->scopes[i]);
		memcpy(watch->scopes[i].lanes, saved.lanes, sizeof(saved.lanes));
	}
	return NULL;
}

/* To where find_series() of watch.c looks first that is free. One that finds no place is forgotten: it can learn again. */
static void place(struct watch *watch, uint64_t key, const struct anomaly_series *series)
{
	for (uint32_t i = 0; i < WATCH_MAX_SERIES; i++) {
		struct watched *watched = &watch->each[(key + i) % WATCH_MAX_SERIES];
		if (watched->key && watched->key != key)
			continue;
		watched->key = key;
		watched->series = *series;
		anomaly_break(&watched->series);
		return;
	}
}

static const char *load_series(struct watch *watch, const char *from, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct saved_series saved;
		unsigned char broken;
		memcpy(&saved.key, from + i * sizeof(saved), sizeof(saved.key));
		/* A bool that is neither 0 nor 1 must not be read as one. */
		memcpy(&broken, from + i * sizeof(saved) + offsetof(struct saved_series, series.broken), 1);
		if (broken > 1 || !saved.key)
			return "a series holds what no series can";
		memcpy(&saved, from + i * sizeof(saved), sizeof(saved));
		if (!series_is_sound(&saved.series))
			return "a series holds what no series can";
		place(watch, saved.key, &saved.series);
	}
	return NULL;
}

static const char *load(struct watch *watch, const char *from, size_t size)
{
	struct head head;
	if (size < sizeof(head))
		return "it is too short";
	memcpy(&head, from, sizeof(head));
	if (memcmp(head.magic, expected.magic, sizeof(head.magic)) != 0)
		return "it is something else";
	if (head.version != expected.version || head.scope_size != expected.scope_size || head.series_size != expected.series_size)
		return "it is of another version";
	if (head.scopes > MAX_ANOMALY_SCOPES || head.series > WATCH_MAX_SERIES)
		return "it says that it holds more than there can be";
	size_t scopes = head.scopes * sizeof(struct saved_scope), series = head.series * sizeof(struct saved_series);
	if (size != sizeof(head) + scopes + series)
		return "it is not as long as it says";
	const char *why = load_scopes(watch, from + sizeof(head), head.scopes);
	return why ? why : load_series(watch, from + sizeof(head) + scopes, head.series);
}

int watch_load(struct watch *watch, const void *from, size_t size, char *why, size_t why_size)
{
	if (watch->restored || watch->lane_ran_ns[0]) /* of a new one no page is touched that is not needed */
		memset(watch, 0, sizeof(*watch));
	const char *fault = load(watch, from, size);
	watch->restored = true;
	if (!fault)
		return 0;
	memset(watch, 0, sizeof(*watch));
	snprintf(why, why_size, "%s", fault);
	return -EBADMSG;
}
