/* SPDX-License-Identifier: Apache-2.0 */
/* See watch.h. */
#include "detect/watch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/watch_state.h"
#include "detect/watch_table.h"

#define DAY_NS (24.0 * 3600 * NSEC_PER_SEC)
/* What has not been seen for so long gives its place to something new. */
#define FORGET_NS (3600 * NSEC_PER_SEC)
/* What is more frequent than this is nobody's alarm. */
#define MOST_A_DAY 24.0
enum { PROBES = 64 };

/* beyond: the scores are zero most of the time. They halve after a week and after eight weeks, so a daily job is known as such after some days. */
static const struct lane {
	uint64_t period_ns;
	bool groups;              /* cgroups, too */
	uint32_t known_at;        /* scores until one is called rare: an hour, and four */
	float hold_samples;       /* half-life of a peak that was told: six hours */
	struct tail_shape shape;
} lanes[WATCH_LANES] = {
	{ 10 * NSEC_PER_SEC, true, 360, 2160, { .beyond = 0.02f, .halve_at = 60480 } },
	{ 300 * NSEC_PER_SEC, false, 48, 72, { .beyond = 0.02f, .halve_at = 16128 } },
};

/* One lane's turn of one scope. */
struct turn {
	struct watch *watch;
	const struct snapshot *snap;
	uint32_t lane;
	bool known;
	float sum;
	uint32_t top_count;
	struct anomaly_sign top[ANOMALY_TOP];
};

struct watch *watch_new(void)
{
	return calloc(1, sizeof(struct watch));
}

void watch_free(struct watch *watch)
{
	free(watch);
}

static uint64_t hash_more(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	return (hash ^ 0xff) * 0x100000001b3ULL; /* so that "ab","c" is not "a","bc" */
}

static uint64_t series_key(uint32_t lane, const struct watch_family *family, const char *thing, const char *row)
{
	uint64_t hash = hash_more(hash_more(hash_more(0xcbf29ce484222325ULL ^ lane, family->name), thing), row);
	return hash ? hash : 1;
}

/* NULL: there is no room near its place. */
static struct watched *find_series(struct watch *watch, uint64_t key, uint64_t now_ns)
{
	struct watched *reusable = NULL;
	for (uint32_t i = 0; i < PROBES; i++) {
		struct watched *watched = &watch->each[(key + i) % WATCH_MAX_SERIES];
		if (watched->key == key)
			return watched;
		if (!reusable && (!watched->key || watched->seen_ns + FORGET_NS < now_ns))
			reusable = watched;
	}
	if (reusable) {
		memset(reusable, 0, sizeof(*reusable));
		reusable->key = key;
	}
	return reusable;
}

/* --- one series -------------------------------------------------------------------------------------------------------- */

static uint64_t number_at(const void *from, uint32_t offset, bool narrow)
{
	if (narrow) {
		uint32_t number;
		memcpy(&number, (const char *)from + offset, sizeof(number));
		return number == UINT32_MAX ? UNKNOWN : number;
	}
	uint64_t number;
	memcpy(&number, (const char *)from + offset, sizeof(number));
	return number;
}

/* NaN: not known now. A counter that stood still for a while, or fell, begins anew. */
static double sample(struct watched *watched, const struct watch_row *row, const void *from, uint64_t now_ns, uint64_t period_ns)
{
	uint64_t number = number_at(from, row->offset, row->narrow), over = row->kind == WATCH_RATIO ? number_at(from, row->over, false) : 0;
	if (number == UNKNOWN || over == UNKNOWN)
		return NAN;
	if (row->kind == WATCH_GAUGE)
		return (double)number;

	bool follows = watched->last_ns && watched->last_ns + 5 * period_ns > now_ns && number >= watched->last && over >= watched->last_over;
	double grown = (double)(number - watched->last), base = row->kind == WATCH_RATIO ? (double)(over - watched->last_over) :
											   (double)(now_ns - watched->last_ns) / (double)NSEC_PER_SEC;
	watched->last_ns = now_ns;
	watched->last = number;
	watched->last_over = over;
	if (!follows)
		anomaly_break(&watched->series);
	return follows && base > 0 ? grown / base : NAN;
}

static void note_sign(struct turn *turn, const struct anomaly_evidence *evidence, const struct watch_family *family, const char *thing, const char *row,
		      double seen)
{
	uint32_t at = turn->top_count;
	while (at > 0 && turn->top[at - 1].share < evidence->share)
		at--;
	if (at == ANOMALY_TOP)
		return;
	uint32_t last = turn->top_count < ANOMALY_TOP ? turn->top_count++ : ANOMALY_TOP - 1;
	memmove(&turn->top[at + 1], &turn->top[at], (last - at) * sizeof(turn->top[0]));

	struct anomaly_sign *sign = &turn->top[at];
	bool named = family->name[0] && family != &watch_cgroup; /* of a cgroup the scope says which */
	*sign = (struct anomaly_sign){ .seen = seen, .expected = evidence->expected, .share = evidence->share };
	snprintf(sign->series, sizeof(sign->series), "%s%s%.40s%s%s", named ? family->name : "", named ? " " : "", named ? thing : "", named ? " " : "", row);
	snprintf(sign->feature, sizeof(sign->feature), "%s", anomaly_feature_names[evidence->feature]);
}

static void take_row(struct turn *turn, const struct watch_family *family, const struct watch_row *row, const char *thing, const void *from)
{
	uint64_t now_ns = turn->snap->boot_ns, measured_ns = number_at(turn->snap, row->measured, false);
	struct watched *watched = find_series(turn->watch, series_key(turn->lane, family, thing, row->name), now_ns);
	if (!watched) {
		turn->watch->folded++;
		return;
	}
	watched->seen_ns = now_ns;
	if (!snapshot_is_fresh(turn->snap, measured_ns))
		return;

	double value = sample(watched, row, from, now_ns, lanes[turn->lane].period_ns);
	struct anomaly_evidence evidence = anomaly_take(&watched->series, value);
	turn->known |= evidence.known;
	turn->sum = anomaly_add(turn->sum, &evidence);
	if (evidence.known && evidence.share > 0)
		note_sign(turn, &evidence, family, thing, row->name, value);
}

static void take_family(struct turn *turn, const struct watch_family *family, const char *thing, const void *from)
{
	for (uint32_t i = 0; i < family->row_count; i++)
		take_row(turn, family, &family->rows[i], thing, from);
}

/* --- scopes ------------------------------------------------------------------------------------------------------------ */

/* The budget is one for all lanes: each may use its part. */
static uint32_t lanes_of(const struct scope *scope)
{
	return scope->key ? 1 : WATCH_LANES;
}

static float as_tail(float score)
{
	return sqrtf(score); /* sums of powers have longer tails than exponential ones; their roots have not (test_watch: weeks of noise) */
}

static double scores_a_day(const struct lane *lane)
{
	return DAY_NS / (double)lane->period_ns;
}

static double alarms_a_day(const struct turn *turn, const struct scope *scope, float rarity)
{
	return scores_a_day(&lanes[turn->lane]) * lanes_of(scope) * pow(10, -rarity);
}

static void open_or_keep(const struct turn *turn, struct scope *scope, double a_day, bool new)
{
	uint64_t now_ns = turn->snap->boot_ns;
	bool stands = now_ns < scope->until_ns;
	if (!stands && !new)
		return;
	if (!stands || a_day < scope->told.alarms_per_day) {
		scope->told.alarms_per_day = a_day;
		scope->told.top_count = turn->top_count;
		memcpy(scope->told.top, turn->top, sizeof(scope->told.top));
	}
	if (!stands)
		scope->told.since_ns = now_ns;
	scope->until_ns = now_ns + WATCH_CALM_NS;
}

/* What a scope's rows gave at this turn. */
static void end_turn(struct turn *turn, struct scope *scope)
{
	const struct lane *lane = &lanes[turn->lane];
	struct scope_lane *own = &scope->lanes[turn->lane];
	uint64_t now_ns = turn->snap->boot_ns;

	scope->seen_ns = now_ns;
	if (!turn->known)
		return;
	bool known = own->tail.total >= lane->known_at;
	bool new = anomaly_hold_take(&own->hold, turn->sum, lane->hold_samples) > 0;
	float rarity = tail_score(&own->tail, &lane->shape, as_tail(turn->sum));
	double a_day = alarms_a_day(turn, scope, rarity);
	if (known && a_day < MOST_A_DAY)
		open_or_keep(turn, scope, a_day, new);
	if (turn->lane > 0)
		return;

	float once_a_day = log10f((float)scores_a_day(lane) * (float)lanes_of(scope));
	scope->told.score = turn->sum;
	scope->told.threshold = powf(tail_value(&own->tail, &lane->shape, once_a_day), 2);
	scope->told.measured_ns = known ? now_ns : 0;
}

static struct scope *find_scope(struct watch *watch, uint64_t key, uint64_t now_ns)
{
	struct scope *reusable = NULL;
	for (uint32_t i = 1; i < MAX_ANOMALY_SCOPES; i++) {
		struct scope *scope = &watch->scopes[i];
		if (scope->key == key)
			return scope;
		if (!reusable && (!scope->key || scope->seen_ns + FORGET_NS < now_ns))
			reusable = scope;
	}
	if (reusable) {
		memset(reusable, 0, sizeof(*reusable));
		reusable->key = key;
	}
	return reusable;
}

static void turn_node(struct turn *turn)
{
	const struct snapshot *snap = turn->snap;
	take_family(turn, &watch_node, "", snap);
	for (uint32_t i = 0; i < snap->disks.count && i < WATCH_MAX_DISKS; i++)
		take_family(turn, &watch_disk, snap->disks.each[i].name, &snap->disks.each[i]);
	for (uint32_t i = 0; i < snap->interfaces.count && i < WATCH_MAX_INTERFACES; i++)
		take_family(turn, &watch_interface, snap->interfaces.each[i].name, &snap->interfaces.each[i]);
	if (snap->disks.count > WATCH_MAX_DISKS)
		turn->watch->folded += (snap->disks.count - WATCH_MAX_DISKS) * watch_disk.row_count;
	if (snap->interfaces.count > WATCH_MAX_INTERFACES)
		turn->watch->folded += (snap->interfaces.count - WATCH_MAX_INTERFACES) * watch_interface.row_count;
	end_turn(turn, &turn->watch->scopes[0]);
}

/* In the order of their ids, which is that of their making: those that are there for long keep their places. */
static void turn_groups(struct watch *watch, struct snapshot *snap, uint32_t lane)
{
	snap->anomaly.cut = 0;
	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		if (!cgroup->path[0] || !cgroup->processes)
			continue;
		struct turn turn = { .watch = watch, .snap = snap, .lane = lane };
		uint64_t key = hash_more(0xcbf29ce484222325ULL, cgroup->path);
		struct scope *scope = find_scope(watch, key ? key : 1, snap->boot_ns);
		if (!scope) {
			snap->anomaly.cut++;
			watch->folded += watch_cgroup.row_count;
			continue;
		}
		scope->told.cgroup_id = cgroup->id;
		take_family(&turn, &watch_cgroup, cgroup->path, cgroup);
		end_turn(&turn, scope);
	}
}

/* --- the whole --------------------------------------------------------------------------------------------------------- */

static void tell(struct watch *watch, struct snapshot *snap)
{
	struct anomaly_section *section = &snap->anomaly;
	section->count = section->watched = 0;
	for (uint32_t i = 0; i < MAX_ANOMALY_SCOPES; i++) {
		struct scope *scope = &watch->scopes[i];
		if (i > 0 && (!scope->key || !scope->told.cgroup_id || scope->seen_ns + 3 * lanes[0].period_ns < snap->boot_ns))
			continue;
		if (snap->boot_ns >= scope->until_ns) {
			scope->told.alarms_per_day = scores_a_day(&lanes[0]);
			scope->told.since_ns = 0;
			scope->told.top_count = 0;
		}
		section->each[section->count++] = scope->told;
	}
	for (uint32_t i = 0; i < WATCH_MAX_SERIES; i++)
		section->watched += watch->each[i].key && watch->each[i].seen_ns + FORGET_NS >= snap->boot_ns;
	section->folded = watch->folded;
	section->measured_ns = snap->boot_ns;
}

/* What was restored counts as seen now, and its alarms go on for the time that was left to them. */
static void resume(struct watch *watch, uint64_t now_ns)
{
	for (uint32_t i = 0; i < MAX_ANOMALY_SCOPES; i++) {
		struct scope *scope = &watch->scopes[i];
		scope->seen_ns = scope->key ? now_ns : 0;
		if (!scope->until_ns)
			continue;
		scope->until_ns += now_ns;
		scope->told.since_ns = now_ns > scope->told.since_ns ? now_ns - scope->told.since_ns : 1;
	}
	for (uint32_t i = 0; i < WATCH_MAX_SERIES; i++)
		if (watch->each[i].key)
			watch->each[i].seen_ns = now_ns;
	watch->restored = false;
}

void watch_take(struct watch *watch, struct snapshot *snap)
{
	bool ran = false;
	if (watch->restored)
		resume(watch, snap->boot_ns);
	for (uint32_t lane = 0; lane < WATCH_LANES; lane++) {
		if (watch->lane_ran_ns[lane] && snap->boot_ns < watch->lane_ran_ns[lane] + lanes[lane].period_ns)
			continue;
		watch->lane_ran_ns[lane] = snap->boot_ns;
		if (lane == 0)
			watch->folded = 0;
		struct turn turn = { .watch = watch, .snap = snap, .lane = lane };
		turn_node(&turn);
		if (lanes[lane].groups)
			turn_groups(watch, snap, lane);
		ran = true;
	}
	if (ran)
		tell(watch, snap);
}
