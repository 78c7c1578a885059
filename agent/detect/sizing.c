/* SPDX-License-Identifier: Apache-2.0 */
/* See sizing.h. */
#include "detect/sizing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "detect/outlook.h"

enum { DAY_MINUTES = 1440, HALF_LIFE_MINUTES = 7 * DAY_MINUTES, ENOUGH_MINUTES = DAY_MINUTES, FORGOTTEN_MINUTES = 14 * DAY_MINUTES };
/* Weights double each week: long before a float loses the small ones the bins are scaled back. */
#define LARGEST_WEIGHT 256.0

/* The design's buffers. */
#define CPU_BUFFER 1.20
#define MEMORY_BUFFER 1.25

struct sizer {
	uint64_t folded;
	struct sized each[MAX_SIZED];
};

struct sizer *sizer_new(void)
{
	return calloc(1, sizeof(struct sizer));
}

void sizer_free(struct sizer *sizer)
{
	free(sizer);
}

/* --- sketches ---------------------------------------------------------------------------------------------------------- */

void sketch_add(struct sketch *sketch, double least, double value, double weight)
{
	int bin = value <= least ? 0 : (int)ceil(log2(value / least) * SKETCH_PER_OCTAVE);
	sketch->bins[bin < SKETCH_BINS ? bin : SKETCH_BINS - 1] += (float)weight;
}

void sketch_merge(struct sketch *into, const struct sketch *from)
{
	for (uint32_t i = 0; i < SKETCH_BINS; i++)
		into->bins[i] += from->bins[i];
}

double sketch_quantile(const struct sketch *sketch, double least, double share)
{
	double total = 0, below = 0;
	for (uint32_t i = 0; i < SKETCH_BINS; i++)
		total += sketch->bins[i];
	if (total <= 0)
		return 0;
	for (uint32_t i = 0; i < SKETCH_BINS; i++) {
		below += sketch->bins[i];
		if (below >= share * total)
			return least * exp2((double)i / SKETCH_PER_OCTAVE);
	}
	return least * exp2((double)(SKETCH_BINS - 1) / SKETCH_PER_OCTAVE);
}

/* The weight of a sample of this minute; moves the place where it is 1 when it has grown large. */
static double weight_of(struct sized *sized, uint32_t minute)
{
	double weight = exp2(((double)minute - sized->weight_minute) / HALF_LIFE_MINUTES);
	if (weight <= LARGEST_WEIGHT)
		return weight;
	for (uint32_t i = 0; i < SKETCH_BINS; i++) {
		sized->cpu.bins[i] /= (float)weight;
		sized->memory.bins[i] /= (float)weight;
	}
	sized->peak_memory *= 0.5f; /* eight weeks ago */
	sized->weight_minute = minute;
	return 1;
}

/* --- cgroups ----------------------------------------------------------------------------------------------------------- */

static struct sized *find(struct sizer *sizer, uint64_t key)
{
	for (uint32_t i = 0; i < MAX_SIZED; i++)
		if (sizer->each[i].key == key)
			return &sizer->each[i];
	return NULL;
}

/* Free, or else of the cgroup that is gone for longest. */
static struct sized *find_place(struct sizer *sizer, uint32_t minute)
{
	struct sized *oldest = NULL;
	for (uint32_t i = 0; i < MAX_SIZED; i++) {
		struct sized *sized = &sizer->each[i];
		if (!sized->key || sized->seen_minute + FORGOTTEN_MINUTES < minute)
			return sized;
		if (!sized->cgroup_id && (!oldest || sized->seen_minute < oldest->seen_minute))
			oldest = sized;
	}
	return oldest;
}

static void look_at(struct sized *sized, const struct cgroup *cgroup, const struct snapshot *snap, uint32_t minute)
{
	/* As the memory conditions do: shared pages count in each member, page cache in the controller; the smaller is nearer the truth. */
	uint64_t memory = cgroup->memory_current < cgroup->rss_bytes ? cgroup->memory_current : cgroup->rss_bytes;
	double weight = weight_of(sized, minute);
	bool same = sized->cgroup_id == cgroup->id && sized->cpu_at_ns && cgroup->cpu_ns >= sized->cpu_ns && snap->boot_ns > sized->cpu_at_ns;
	if (same) {
		double cores = (double)(cgroup->cpu_ns - sized->cpu_ns) / (double)(snap->boot_ns - sized->cpu_at_ns);
		sketch_add(&sized->cpu, SKETCH_CPU_LEAST, cores, weight);
		sketch_add(&sized->memory, SKETCH_MEMORY_LEAST, (double)memory, weight);
		sized->peak_memory = fmaxf(sized->peak_memory, (float)memory);
		sized->minutes++;
	}
	sized->cgroup_id = cgroup->id;
	sized->seen_minute = minute;
	sized->cpu_ns = cgroup->cpu_ns;
	sized->cpu_at_ns = snap->boot_ns;
}

void sizer_look(struct sizer *sizer, const struct snapshot *snap, uint32_t minute)
{
	if (!snapshot_is_fresh(snap, snap->cgroups.measured_ns))
		return;
	for (uint32_t i = 0; i < MAX_SIZED; i++)
		if (sizer->each[i].cgroup_id && !snapshot_cgroup(snap, sizer->each[i].cgroup_id))
			sizer->each[i].cgroup_id = 0;

	for (uint32_t i = 0; i < snap->cgroups.count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[i];
		if (!cgroup->processes || !cgroup->path[0])
			continue;
		uint64_t key = outlook_key("sizing", cgroup->path);
		struct sized *sized = find(sizer, key);
		if (!sized) {
			sized = find_place(sizer, minute);
			if (!sized) {
				sizer->folded++;
				continue;
			}
			*sized = (struct sized){ .key = key, .weight_minute = minute };
		}
		look_at(sized, cgroup, snap, minute);
	}
}

static uint32_t milli(double cores)
{
	return (uint32_t)(cores * 1000 + 0.5);
}

static void show_one(const struct sized *sized, struct sizing_row *ret)
{
	double cpu[3], memory[3];
	static const double shares[3] = { 0.5, 0.95, 0.99 };
	for (uint32_t i = 0; i < 3; i++) {
		cpu[i] = sketch_quantile(&sized->cpu, SKETCH_CPU_LEAST, shares[i]);
		memory[i] = fmin(sketch_quantile(&sized->memory, SKETCH_MEMORY_LEAST, shares[i]), fmax(sized->peak_memory, SKETCH_MEMORY_LEAST));
	}
	*ret = (struct sizing_row){
		.cgroup_id = sized->cgroup_id, .minutes = sized->minutes, .enough = sized->minutes >= ENOUGH_MINUTES,
		.cpu_p50_milli = milli(cpu[0]), .cpu_p95_milli = milli(cpu[1]), .cpu_p99_milli = milli(cpu[2]),
		.memory_p50 = (uint64_t)memory[0], .memory_p95 = (uint64_t)memory[1], .memory_p99 = (uint64_t)memory[2],
		.memory_peak = (uint64_t)sized->peak_memory,
		.cpu_request_milli = UINT32_MAX, .cpu_limit_milli = UINT32_MAX, .memory_request = UNKNOWN, .memory_limit = UNKNOWN,
	};
	if (!ret->enough)
		return;
	/* A processor that is short makes slow, memory that is short kills: the one is sized by its busy times, the other by its worst. */
	ret->cpu_request_milli = milli(cpu[1] * CPU_BUFFER);
	ret->cpu_limit_milli = milli(fmax(cpu[2], cpu[1]) * CPU_BUFFER * CPU_BUFFER);
	ret->memory_request = (uint64_t)(memory[1] * MEMORY_BUFFER);
	ret->memory_limit = (uint64_t)(fmax(sized->peak_memory, memory[2]) * MEMORY_BUFFER);
}

void sizer_show(const struct sizer *sizer, struct outlook_section *ret)
{
	ret->sizing_count = 0;
	ret->cgroups_folded = sizer->folded;
	for (uint32_t i = 0; i < MAX_SIZED; i++)
		if (sizer->each[i].key && sizer->each[i].cgroup_id)
			show_one(&sizer->each[i], &ret->sizing[ret->sizing_count++]);
}

const struct sized *sizer_next(const struct sizer *sizer, uint32_t *at)
{
	while (*at < MAX_SIZED && !sizer->each[*at].key)
		(*at)++;
	return *at < MAX_SIZED ? &sizer->each[(*at)++] : NULL;
}

static bool is_possible(const struct sketch *sketch)
{
	for (uint32_t i = 0; i < SKETCH_BINS; i++)
		if (!isfinite(sketch->bins[i]) || sketch->bins[i] < 0)
			return false;
	return true;
}

bool sizer_restore(struct sizer *sizer, const struct sized *from)
{
	struct sized *sized = from->key && !find(sizer, from->key) ? find(sizer, 0) : NULL;
	if (!sized || !isfinite(from->peak_memory) || from->peak_memory < 0 || !is_possible(&from->cpu) || !is_possible(&from->memory))
		return false;
	*sized = *from;
	sized->cgroup_id = sized->cpu_ns = sized->cpu_at_ns = 0; /* of another boot, perhaps: counted anew from the next look on */
	return true;
}
