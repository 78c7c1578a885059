/* SPDX-License-Identifier: Apache-2.0 */
/* What the watch has learnt, as bytes: a head, the scopes, then the series. They are this machine's own; another layout is another version. */
#include "detect/watch_state.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WATCH_VERSION = 1 };

struct head {
	char magic[8];
	uint32_t version, scope_size, series_size, scopes, series;
};

struct saved_scope {
	uint64_t key;
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

static bool drift_is_sound(const struct drift *drift)
{
	return isfinite(drift->mean) && isfinite(drift->variance) && drift->variance >= 0;
}

static bool series_is_sound(const struct anomaly_series *series)
{
	for (int i = 0; i < ANOMALY_FEATURE_COUNT; i++)
		if (!tail_is_sound(&series->tails[i]))
			return false;
	return isfinite(series->previous) && isfinite(series->fast) && isfinite(series->slow) && isfinite(series->slower_fast) &&
	       isfinite(series->slower) && drift_is_sound(&series->recent) && drift_is_sound(&series->usual);
}

static bool lane_is_sound(const struct scope_lane *lane)
{
	return tail_is_sound(&lane->tail) && isfinite(lane->hold.level) && lane->hold.level >= 0;
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
		watch->scopes[i].key = saved.key;
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
	const char *fault = load(watch, from, size);
	if (!fault)
		return 0;
	memset(watch, 0, sizeof(*watch));
	snprintf(why, why_size, "%s", fault);
	return -EBADMSG;
}
