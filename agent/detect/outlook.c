/* SPDX-License-Identifier: Apache-2.0 */
/* See outlook.h. */
#include "detect/outlook.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/outlook_series.h"

enum {
	/* An estimate takes 50 µs: those of all series at the same tick would be the longest tick of each minute. */
	ESTIMATES_A_TICK = 8,
	FAST_EVERY = 4,              /* ticks; each series in its turn */
};
#define MINUTE_NS (60 * NSEC_PER_SEC)
#define HOUR_NS (60 * MINUTE_NS)
#define SOON_NS (FORECAST_SOON_MIN * MINUTE_NS)
/* …and while there is no history yet, at all. */
#define YOUNG_NS HOUR_NS
/* Below this a quick rise is a start of something, not an end. */
#define SOON_LEVEL 0.5
/* Gone for so long, a series gives its place to a new one. */
#define IDLE_NS (10 * MINUTE_NS)
/* Some filesystems count their own tables in and out of what there is: less than this is no other size. */
#define RESIZED 0.005
/* A month's growth, and the design's buffer for disks. */
#define DISK_DAYS 30
#define DISK_BUFFER 1.30

struct outlook *outlook_new(void)
{
	struct outlook *outlook = calloc(1, sizeof(*outlook));
	if (!outlook)
		return NULL;
	outlook->leaks = leak_watch_new();
	outlook->sizer = sizer_new();
	if (outlook->leaks && outlook->sizer)
		return outlook;
	outlook_free(outlook);
	return NULL;
}

void outlook_free(struct outlook *outlook)
{
	if (!outlook)
		return;
	leak_watch_free(outlook->leaks);
	sizer_free(outlook->sizer);
	free(outlook);
}

/* FNV-1a. */
uint64_t outlook_key(const char *kind, const char *name)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	for (; *kind; kind++)
		hash = (hash ^ (unsigned char)*kind) * 0x100000001b3ULL;
	hash = (hash ^ ':') * 0x100000001b3ULL;
	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3ULL;
	return hash ? hash : 1;
}

static uint32_t minute_at(const struct outlook *outlook, uint64_t boot_ns)
{
	int64_t now_ns = (int64_t)boot_ns + outlook->offset_ns;
	return now_ns > 0 ? (uint32_t)((uint64_t)now_ns / MINUTE_NS) + 1 : 1; /* minute 0 is none */
}

/* --- series ------------------------------------------------------------------------------------------------------------ */

static uint64_t key_of(const struct capacity *capacity)
{
	char process[48];
	if (capacity->resource != CAPACITY_PROCESS_FILES)
		return outlook_key(capacity_names[capacity->resource], capacity->name);
	snprintf(process, sizeof(process), "%d:%llu", capacity->pid, (unsigned long long)capacity->start_ns);
	return outlook_key(capacity_names[capacity->resource], process);
}

static struct followed *find_followed(struct outlook *outlook, uint64_t key)
{
	for (uint32_t i = 0; i < MAX_OUTLOOK; i++)
		if (outlook->each[i].kept.key == key)
			return &outlook->each[i];
	return NULL;
}

/* What was restored has its time to come up, too: a mount may be late. */
static uint64_t last_known(const struct outlook *outlook, const struct followed *followed)
{
	return followed->seen_ns ? followed->seen_ns : outlook->restored_ns;
}

static struct followed *find_place(struct outlook *outlook, uint64_t now_ns)
{
	struct followed *oldest = NULL;
	for (uint32_t i = 0; i < MAX_OUTLOOK; i++) {
		struct followed *followed = &outlook->each[i];
		if (!followed->kept.key)
			return followed;
		uint64_t known_ns = last_known(outlook, followed);
		if (known_ns + IDLE_NS < now_ns && (!oldest || known_ns < last_known(outlook, oldest)))
			oldest = followed;
	}
	return oldest;
}

static void begin(struct followed *followed, uint64_t key, const struct capacity *capacity)
{
	memset(followed, 0, sizeof(*followed));
	followed->kept.key = key;
	followed->kept.identity = capacity->identity;
	followed->kept.full = capacity->full;
	followed->fast_left_ns = UNKNOWN;
	rings_clear(&followed->kept.rings);
}

static bool is_resized(const struct followed *followed, const struct capacity *capacity)
{
	return fabs((double)capacity->full - (double)followed->kept.full) > RESIZED * (double)followed->kept.full;
}

/* Another device at the same place, of another size: its history is another's. Device numbers may change when the node starts, sizes do not. */
static bool is_another(const struct followed *followed, const struct capacity *capacity)
{
	return followed->kept.identity != capacity->identity && (followed->seen_ns || is_resized(followed, capacity));
}

static struct followed *follow(struct outlook *outlook, const struct capacity *capacity, uint64_t now_ns)
{
	uint64_t key = key_of(capacity);
	struct followed *followed = find_followed(outlook, key);
	if (followed && is_another(followed, capacity))
		begin(followed, key, capacity);
	if (followed)
		return followed;
	followed = find_place(outlook, now_ns);
	if (followed)
		begin(followed, key, capacity);
	else
		outlook->folded++;
	return followed;
}

static void take_sample(struct outlook *outlook, struct followed *followed, const struct capacity *capacity, uint64_t now_ns)
{
	if (is_resized(followed, capacity)) { /* or its limit was changed: the same amounts are other shares */
		rings_rescale(&followed->kept.rings, (double)followed->kept.full / (double)capacity->full);
		followed->kept.full = capacity->full;
	}
	followed->kept.identity = capacity->identity;
	followed->seen_ns = now_ns;
	if (rings_add(&followed->kept.rings, minute_at(outlook, now_ns), (double)capacity->used / (double)capacity->full))
		followed->stale = true;
	if (capacity->resource != CAPACITY_FILESYSTEM) /* forecast() has it */
		fast_add(&followed->fast, now_ns, (double)capacity->full - (double)capacity->used, 0);
}

static void estimate_some(struct outlook *outlook, uint64_t now_ns)
{
	uint32_t done = 0, first = outlook->turn;
	for (uint32_t i = 0; i < MAX_OUTLOOK && done < ESTIMATES_A_TICK; i++) {
		struct followed *followed = &outlook->each[(first + i) % MAX_OUTLOOK];
		if (!followed->kept.key || !followed->stale || followed->seen_ns != now_ns)
			continue;
		forecast_estimate(&followed->kept.rings, &outlook->work, &followed->estimate);
		followed->estimated_ns = now_ns;
		followed->stale = false;
		outlook->turn = (first + i + 1) % MAX_OUTLOOK;
		done++;
	}
}

static void look_soon(struct outlook *outlook, struct followed *followed, const struct capacity *capacity, uint64_t seq)
{
	uint32_t index = (uint32_t)(followed - outlook->each);
	if ((index + seq) % FAST_EVERY)
		return;
	double left = (double)capacity->full - (double)capacity->used;
	followed->fast_left_ns = UNKNOWN;
	if (left >= 0 && (double)capacity->used >= SOON_LEVEL * (double)capacity->full)
		followed->fast_left_ns = fast_estimate(&followed->fast, left, &outlook->fast_work, &followed->fast_agreeing);
}

/* --- rows -------------------------------------------------------------------------------------------------------------- */

static uint64_t minutes_left(double minutes, uint64_t since_ns)
{
	double left = minutes * (double)MINUTE_NS - (double)since_ns;
	return !isfinite(minutes) || left > 1e18 ? UNKNOWN : left > 0 ? (uint64_t)left : 0;
}

static int64_t amount(double share, uint64_t full)
{
	double value = share * (double)full;
	return isfinite(value) && fabs(value) < 9e18 ? (int64_t)value : INT64_MIN;
}

static void say_soon(struct outlook_row *row, uint64_t left_ns, uint32_t agreeing)
{
	row->soon = true;
	row->exhausted_in_ns = left_ns;
	row->low_ns = left_ns / 2;
	row->high_ns = left_ns * 2;
	row->confidence_permille = agreeing;
}

static uint64_t suggest(const struct outlook_row *row)
{
	double a_day = row->per_week != INT64_MIN ? (double)row->per_week / 7 : (double)row->per_day;
	if (row->resource != CAPACITY_FILESYSTEM || row->per_day == INT64_MIN)
		return UNKNOWN;
	return (uint64_t)(((double)row->used + fmax(0, a_day) * DISK_DAYS) * DISK_BUFFER);
}

static void fill_row(const struct followed *followed, const struct capacity *capacity, uint64_t now_ns, uint32_t now_minute, struct outlook_row *row)
{
	const struct estimate *estimate = &followed->estimate;
	uint64_t since_ns = now_ns - followed->estimated_ns;
	bool estimated = followed->estimated_ns != 0, forecast = estimated && estimate->evidence >= EVIDENCE_ENOUGH;
	*row = (struct outlook_row){
		.resource = (uint8_t)capacity->resource, .evidence = (uint8_t)(estimated ? estimate->evidence : EVIDENCE_SHORT), .dev = capacity->dev,
		.unasked = followed->restored && !estimated,
		.pid = capacity->pid, .start_ns = capacity->start_ns, .cgroup_id = capacity->cgroup_id, .measured_ns = now_ns,
		.used = capacity->used, .capacity = capacity->full, .exhausted_in_ns = UNKNOWN, .low_ns = UNKNOWN, .high_ns = UNKNOWN,
		.per_day = estimated ? amount(estimate->per_day, capacity->full) : INT64_MIN,
		.per_week = estimated ? amount(estimate->per_week, capacity->full) : INT64_MIN,
		.history_ns = (now_minute - followed->kept.rings.first_minute) * MINUTE_NS,
	};
	snprintf(row->name, sizeof(row->name), "%s", capacity->name);
	row->suggested = suggest(row);
	if (!forecast)
		return;
	row->exhausted_in_ns = minutes_left(estimate->likely_min, since_ns);
	row->low_ns = minutes_left(estimate->low_min, since_ns);
	row->high_ns = minutes_left(estimate->high_min, since_ns);
	row->confidence_permille = (uint32_t)(estimate->confidence * 1000 + 0.5);
}

/* Both ways of looking at a filesystem, in one: what fills within minutes, and what its history says. */
static void agree_on_filesystem(struct outlook_row *row, struct filesystem *fs)
{
	bool fast = fs->exhausted_in_ns != UNKNOWN && (fs->exhausted_in_ns < SOON_NS || row->history_ns < YOUNG_NS);
	if (fast && fs->exhausted_in_ns < row->exhausted_in_ns)
		say_soon(row, fs->exhausted_in_ns, fs->exhausted_confidence_permille);
	fs->exhausted_in_ns = row->exhausted_in_ns;
	fs->exhausted_confidence_permille = row->confidence_permille;
}

static void look_at(struct outlook *outlook, struct snapshot *snap, struct followed *followed, const struct capacity *capacity)
{
	struct outlook_section *section = &snap->outlook;
	if (!followed) {
		section->cut++;
		return;
	}
	struct outlook_row *row = &section->each[section->count++];
	fill_row(followed, capacity, snap->boot_ns, minute_at(outlook, snap->boot_ns), row);
	if (capacity->resource == CAPACITY_FILESYSTEM) {
		agree_on_filesystem(row, &snap->filesystems.each[capacity->filesystem]);
		return;
	}
	look_soon(outlook, followed, capacity, snap->seq);
	if (followed->fast_left_ns < SOON_NS && followed->fast_left_ns < row->exhausted_in_ns)
		say_soon(row, followed->fast_left_ns, followed->fast_agreeing);
}

void outlook_look(struct outlook *outlook, struct snapshot *snap)
{
	if (!outlook->begun)
		outlook->offset_ns = snap->wall_ns - (int64_t)snap->boot_ns;
	outlook->begun = true;

	struct outlook_section *section = &snap->outlook;
	uint32_t count = capacity_list(snap, outlook->capacities, &section->cut);
	section->count = 0;
	for (uint32_t i = 0; i < count; i++) {
		outlook->of[i] = follow(outlook, &outlook->capacities[i], snap->boot_ns);
		if (outlook->of[i])
			take_sample(outlook, outlook->of[i], &outlook->capacities[i], snap->boot_ns);
	}
	estimate_some(outlook, snap->boot_ns);
	for (uint32_t i = 0; i < count; i++)
		look_at(outlook, snap, outlook->of[i], &outlook->capacities[i]);

	uint32_t minute = minute_at(outlook, snap->boot_ns);
	if (minute != outlook->minute) {
		if (snapshot_is_fresh(snap, snap->processes.measured_ns))
			leak_look(outlook->leaks, snap, minute);
		sizer_look(outlook->sizer, snap, minute);
		leak_show(outlook->leaks, snap, section);
		sizer_show(outlook->sizer, section);
		outlook->minute = minute;
	}
	section->series_folded = outlook->folded;
	section->state_dropped = outlook->state_dropped;
	section->measured_ns = snap->boot_ns;
}
