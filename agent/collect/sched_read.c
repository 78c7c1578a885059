/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the maps to the sections. A cgroup's sum is what its ended threads left and what its living ones have, and a thread may end
 * between the two readings. The ended are read first: such a thread is then in neither, once, and since figures never fall the row
 * stands still for that tick, where the other way round hours of sleep would be counted twice.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collect/sched.h"

enum { GONE_TICKS = 3, CROWDED_TICKS = 60, CROWDED_PAIRS = 768, PAIR_COUNT = 0, PAIR_WAIT = 1 };

/* --- threads, by cgroup ----------------------------------------------------------------------------------------------- */

static void take_row(struct sched_state *state, uint64_t cgroup_id, const struct blame_sums *sums)
{
	if (state->row_count == sizeof(state->rows) / sizeof(state->rows[0])) {
		state->rows_cut++;
		return;
	}
	state->rows[state->row_count++] = (struct blame_row){ .cgroup_id = cgroup_id, .of.sums = *sums };
}

static void take_ended(const void *key, const void *value, void *state)
{
	take_row(state, *(const uint64_t *)key, value);
}

static void take_live(const void *key, const void *value, void *state_)
{
	struct sched_state *state = state_;
	const struct blame_live *live = value;

	if (live->walk == state->skel->data->walk_number)
		take_row(state, *(const uint64_t *)key, &live->sums);
	else if (state->stale.count < MAX_LEAVING)
		state->stale.keys[state->stale.count++].a = *(const uint64_t *)key;
}

static int compare_rows(const void *a, const void *b)
{
	uint64_t left = ((const struct blame_row *)a)->cgroup_id, right = ((const struct blame_row *)b)->cgroup_id;
	return (left > right) - (left < right);
}

static void add_words(union blame_words *to, const uint64_t *more)
{
	for (int i = 0; i < BLAME_SUMS; i++)
		to->words[i] += more[i];
}

static void keep_from_falling(uint64_t *values, const uint64_t *before)
{
	for (int i = 0; before && i < BLAME_SUMS; i++)
		if (values[i] < before[i])
			values[i] = before[i];
}

static bool is_leaving(const struct leaving *leaving, uint64_t cgroup_id)
{
	for (uint32_t i = 0; i < leaving->count; i++)
		if (leaving->keys[i].a == cgroup_id)
			return true;
	return false;
}

/* One row a cgroup. One that is leaving is closed with what was deleted: should it live again, it begins anew at the next tick. */
static void tally_rows(struct sched_state *state)
{
	qsort(state->rows, state->row_count, sizeof(state->rows[0]), compare_rows);
	for (uint32_t i = 0; i < state->row_count; i++) {
		struct blame_row *row = &state->rows[i];
		struct tally_key key = { .a = row->cgroup_id };

		if (i + 1 < state->row_count && row[1].cgroup_id == row->cgroup_id) {
			add_words(&row[1].of, row->of.words);
			continue;
		}
		if (is_leaving(&state->leaving_groups, row->cgroup_id))
			continue;
		keep_from_falling(row->of.words, tally_find(state->groups, key));
		tally_take(state->groups, key, row->of.words);
	}
}

/* v5.14 brought hashes both in one; before, what comes in between is lost, of a row that has been quiet for long. */
static bool take_out(int fd, const void *key, void *value)
{
	if (!bpf_map_lookup_and_delete_elem(fd, key, value))
		return true;
	if (errno == ENOENT || bpf_map_lookup_elem(fd, key, value))
		return false;
	return !bpf_map_delete_elem(fd, key);
}

static void take_out_groups(struct sched_state *state)
{
	for (uint32_t i = 0; i < state->leaving_groups.count; i++) {
		union blame_words last;

		if (take_out(bpf_map__fd(state->skel->maps.ended_threads), &state->leaving_groups.keys[i].a, &last))
			tally_take_last(state->groups, state->leaving_groups.keys[i], last.words);
	}
}

static void drop_stale(struct sched_state *state)
{
	for (uint32_t i = 0; i < state->stale.count; i++)
		(void)bpf_map_delete_elem(bpf_map__fd(state->skel->maps.live_threads), &state->stale.keys[i].a);
}

/* Rows that were taken out leave the table; those of cgroups that are gone are to be taken out next. */
static void sweep(struct tally *tally, struct leaving *leaving, const struct snapshot *snap, bool pairs)
{
	bool crowded = pairs && tally_count(tally) > CROWDED_PAIRS;

	leaving->count = 0;
	for (uint32_t i = 0; i < tally_count(tally); i++) {
		struct tally_row row = tally_row(tally, i);
		bool gone = !snapshot_cgroup(snap, row.key.a) || (pairs && !snapshot_cgroup(snap, row.key.b));

		if (!row.in_kernel && row.quiet_ticks >= GONE_TICKS)
			tally_retire(tally, i);
		else if (row.in_kernel && row.quiet_ticks >= (gone ? GONE_TICKS : CROWDED_TICKS) && (gone || crowded) && leaving->count < MAX_LEAVING)
			leaving->keys[leaving->count++] = row.key;
	}
}

static void fill_groups(struct sched_section *section, const struct tally *tally)
{
	union blame_words rest;

	section->count = section->cut = 0;
	memcpy(rest.words, tally_rest(tally), sizeof(rest.words));
	for (uint32_t i = 0; i < tally_count(tally); i++) {
		struct tally_row row = tally_row(tally, i);

		if (section->count == MAX_BLAME_GROUPS) {
			section->cut++;
			add_words(&rest, row.total);
			continue;
		}
		struct blame_group *group = &section->each[section->count++];
		group->cgroup_id = row.key.a;
		memcpy(&group->sums, row.total, sizeof(group->sums));
	}
	section->rest = rest.sums;
}

static int read_threads(struct sched_state *state, struct snapshot *snap)
{
	state->row_count = state->stale.count = 0;
	tally_begin(state->groups);
	take_out_groups(state);
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.ended_threads), take_ended, state);
	if (!error)
		error = sched_walk(state, WALK_READ);
	if (!error)
		error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.live_threads), take_live, state);
	if (error)
		return error;
	drop_stale(state);
	tally_rows(state);
	tally_end(state->groups, snap->elapsed_ns);
	fill_groups(&snap->sched, state->groups);
	sweep(state->groups, &state->leaving_groups, snap, false);
	return 0;
}

/* --- who preempted whom ----------------------------------------------------------------------------------------------- */

static void take_pair(const void *key_, const void *value_, void *state_)
{
	struct sched_state *state = state_;
	const struct preemption_key *key = key_;
	const struct preemption_value *value = value_;
	const uint64_t values[] = { [PAIR_COUNT] = value->count, [PAIR_WAIT] = value->wait_ns };

	tally_take(state->pairs, (struct tally_key){ .a = key->victim, .b = key->aggressor }, values);
}

static void take_out_pairs(struct sched_state *state)
{
	for (uint32_t i = 0; i < state->leaving_pairs.count; i++) {
		struct tally_key key = state->leaving_pairs.keys[i];
		struct preemption_key pair = { .victim = key.a, .aggressor = key.b };
		struct preemption_value last;

		if (!take_out(bpf_map__fd(state->skel->maps.preemptions), &pair, &last))
			continue;
		const uint64_t values[] = { [PAIR_COUNT] = last.count, [PAIR_WAIT] = last.wait_ns };
		tally_take_last(state->pairs, key, values);
	}
}

struct ranked { uint64_t recent; uint32_t index; };

/* Keeps the largest in the first places. */
static void offer(struct ranked *ranked, uint32_t *count, uint64_t recent, uint32_t index)
{
	if (*count == MAX_PREEMPTIONS && recent <= ranked[MAX_PREEMPTIONS - 1].recent)
		return;
	uint32_t at = *count < MAX_PREEMPTIONS ? (*count)++ : MAX_PREEMPTIONS - 1;
	for (; at && ranked[at - 1].recent < recent; at--)
		ranked[at] = ranked[at - 1];
	ranked[at] = (struct ranked){ .recent = recent, .index = index };
}

static void fill_pairs(struct preemption_section *section, const struct tally *pairs, const struct sched_counts *counts)
{
	struct ranked ranked[MAX_PREEMPTIONS];
	uint32_t count = 0;

	for (uint32_t i = 0; i < tally_count(pairs); i++)
		offer(ranked, &count, tally_row(pairs, i).recent, i);
	for (uint32_t i = 0; i < count; i++) {
		struct tally_row row = tally_row(pairs, ranked[i].index);

		section->each[i] = (struct preemption){
			.victim = row.key.a, .aggressor = row.key.b, .count = row.total[PAIR_COUNT], .wait_ns = row.total[PAIR_WAIT],
		};
	}
	section->count = count;
	section->cut = tally_count(pairs) - count;
	section->total = counts->preemptions;
	section->total_wait_ns = counts->preempted_ns;
}

/* The totals are read last: no pair can have more than they. */
static int read_pairs(struct sched_state *state, struct snapshot *snap, union sched_sums *sums)
{
	tally_begin(state->pairs);
	take_out_pairs(state);
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.preemptions), take_pair, state);
	if (!error)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.counts), 0, sums->words, SCHED_COUNTS);
	if (error)
		return error;
	tally_end(state->pairs, snap->elapsed_ns);
	fill_pairs(&snap->preemptions, state->pairs, &sums->counts);
	sweep(state->pairs, &state->leaving_pairs, snap, true);
	snap->preemptions.measured_ns = snap->boot_ns;
	return 0;
}

/* --- windows ---------------------------------------------------------------------------------------------------------- */

/* Windows that are over by `now`, though no switch has closed them yet, are counted with those that are. */
static uint64_t fullest_window(const struct burst *burst, uint32_t epoch, uint64_t now)
{
	uint64_t most = burst->epoch == epoch ? burst->max_ns : burst->epoch == epoch + 1 ? burst->last_max_ns : 0;
	uint64_t open = burst->busy_ns;

	if (now < burst->end_ns)
		return most;
	if (burst->busy && burst->end_ns > burst->since_ns)
		open += burst->end_ns - burst->since_ns;
	if (burst->busy && now - burst->end_ns >= BURST_WINDOW_NS)
		open = BURST_WINDOW_NS;
	return open > most ? open : most;
}

static int read_bursts(struct sched_state *state, struct sched_section *section)
{
	const struct burst *bursts = (const struct burst *)state->walk.buffer;
	uint32_t zero = 0, epoch = state->skel->data->burst_epoch;
	uint64_t now = state->keeps_threads ? state->skel->data->walk_clock : 0;

	state->skel->data->burst_epoch = epoch + 1;
	if (bpf_map_lookup_elem(bpf_map__fd(state->skel->maps.bursts), &zero, state->walk.buffer))
		return -errno;
	section->cpus = state->walk.cpus < MAX_BURST_CPUS ? state->walk.cpus : MAX_BURST_CPUS;
	for (uint32_t cpu = 0; cpu < section->cpus; cpu++) {
		uint64_t most = fullest_window(&bursts[cpu], epoch, now) * 1000 / BURST_WINDOW_NS;

		section->burst_permille[cpu] = !bursts[cpu].since_ns ? UINT16_MAX : most < 1000 ? (uint16_t)most : 1000;
	}
	return 0;
}

/* --- deep ------------------------------------------------------------------------------------------------------------- */

/* Rows for the cgroups that waited in this tick, as long as there is room; the kernel only fills them. */
static void add_deep(const struct sched_state *state)
{
	static const struct histogram none;

	for (uint32_t i = 0; i < tally_count(state->groups); i++) {
		struct tally_row row = tally_row(state->groups, i);

		if (row.delta[BLAME_RUNQUEUE] && bpf_map_update_elem(bpf_map__fd(state->skel->maps.deep_waits), &row.key.a, &none, BPF_NOEXIST) &&
		    errno != EEXIST)
			state->skel->data->refused_deep_waits++; /* the programs only look there */
	}
}

static void take_deep(const void *key, const void *value, void *section_)
{
	struct deep_wait_section *section = section_;

	if (section->count == MAX_DEEP_ROWS)
		return;
	section->each[section->count].cgroup_id = *(const uint64_t *)key;
	memcpy(&section->each[section->count].wait, value, sizeof(struct histogram));
	section->count++;
}

static int compare_deep(const void *a, const void *b)
{
	return compare_rows(a, b); /* both begin with the id */
}

static void drop_gone_deep(const struct sched_state *state, const struct snapshot *snap)
{
	for (uint32_t i = 0; i < snap->deep_waits.count; i++) {
		const uint64_t *id = &snap->deep_waits.each[i].cgroup_id;

		if (!tally_find(state->groups, (struct tally_key){ .a = *id }))
			(void)bpf_map_delete_elem(bpf_map__fd(state->skel->maps.deep_waits), id);
	}
}

static int read_deep(const struct sched_state *state, struct snapshot *snap)
{
	struct deep_wait_section *section = &snap->deep_waits;

	section->count = 0;
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.deep_waits), take_deep, section);
	if (error)
		return error;
	qsort(section->each, section->count, sizeof(section->each[0]), compare_deep);
	section->measured_ns = snap->boot_ns;
	drop_gone_deep(state, snap);
	add_deep(state);
	return 0;
}

void sched_forget_deep(struct sched_state *state)
{
	int fd = bpf_map__fd(state->skel->maps.deep_waits);
	uint64_t key;

	if (!state->keeps_threads)
		return;
	for (int i = 0; i < MAX_DEEP_ROWS && !bpf_map_get_next_key(fd, NULL, &key); i++)
		(void)bpf_map_delete_elem(fd, &key);
}

/* --- all of it -------------------------------------------------------------------------------------------------------- */

static int read_histograms(const struct sched_state *state, struct snapshot *snap)
{
	union {
		struct sched_histograms histograms;
		uint64_t words[sizeof(struct sched_histograms) / sizeof(uint64_t)];
	} *kept = (void *)&snap->sched.histograms;

	int error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.histograms), 0, kept->words,
			       sizeof(kept->words) / sizeof(kept->words[0]));
	if (!error)
		snap->sched.histograms_ns = snap->boot_ns;
	return error;
}

int sched_read(struct sched_state *state, struct snapshot *snap, struct collector_status *status)
{
	union sched_sums sums;
	int error = state->keeps_threads ? read_threads(state, snap) : 0;

	if (!error)
		error = read_bursts(state, &snap->sched);
	if (!error && state->depth >= DEPTH_HISTOGRAMS)
		error = read_histograms(state, snap);
	if (!error && state->keeps_threads)
		error = read_pairs(state, snap, &sums);
	else if (!error)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.counts), 0, sums.words, SCHED_COUNTS);
	if (!error && state->keeps_threads && state->depth == DEPTH_DEEP)
		error = read_deep(state, snap);
	if (error)
		return error;

	status->events_lost = sums.counts.lost_clock + sums.counts.lost_threads + sums.counts.lost_cgroups + sums.counts.lost_pairs +
			      state->rows_cut + object_missed(state->skel->obj);
	if (state->keeps_threads)
		status->events_lost += tally_cut(state->groups) + tally_cut(state->pairs);
	snap->sched.has_threads = state->keeps_threads;
	snap->sched.measured_ns = snap->boot_ns;
	return 0;
}
