/* SPDX-License-Identifier: Apache-2.0 */
/* See forecast.h. Two rings a filesystem: the last minute at one sample a tick, and the last hour at one a minute. */
#include "detect/forecast.h"

#include <stdlib.h>
#include <string.h>

enum { RING = 60, MIN_SAMPLES = 8, SCALES = 2 };

/* A run seen for a minute says something about the next minutes, not about next week: the horizon is this many times the run. */
#define HORIZON_RUNS 8
/* Fewer pairs than this agreeing on "filling" is weather, not a trend: 70 % is Kendall's tau of 0.4. */
#define AGREEING_PERMILLE 700

static const uint64_t spacing_ns[SCALES] = { 0, 60 * NSEC_PER_SEC };

struct sample {
	uint64_t boot_ns, avail;
};

struct series {
	uint32_t dev;
	bool used;
	uint64_t seen_ns;
	uint32_t count[SCALES];
	struct sample ring[SCALES][RING];
};

struct forecaster {
	struct series each[MAX_FILESYSTEMS];
	double slopes[RING * (RING - 1) / 2];
};

struct forecaster *forecaster_new(void)
{
	return calloc(1, sizeof(struct forecaster));
}

void forecaster_free(struct forecaster *forecaster)
{
	free(forecaster);
}

static struct series *find_series(struct forecaster *forecaster, uint32_t dev, uint64_t boot_ns)
{
	struct series *oldest = &forecaster->each[0];
	for (size_t i = 0; i < MAX_FILESYSTEMS; i++) {
		struct series *series = &forecaster->each[i];
		if (series->used && series->dev == dev)
			return series;
		if (!series->used || (oldest->used && series->seen_ns < oldest->seen_ns))
			oldest = series;
	}

	memset(oldest, 0, sizeof(*oldest));
	oldest->used = true;
	oldest->dev = dev;
	oldest->seen_ns = boot_ns;
	return oldest;
}

static void add_sample(struct series *series, uint64_t boot_ns, uint64_t avail)
{
	for (size_t scale = 0; scale < SCALES; scale++) {
		uint32_t count = series->count[scale];
		const struct sample *last = &series->ring[scale][(count + RING - 1) % RING];
		if (count && boot_ns - last->boot_ns < (spacing_ns[scale] ? spacing_ns[scale] : 1))
			continue;
		series->ring[scale][count % RING] = (struct sample){ boot_ns, avail };
		series->count[scale]++;
	}
}

static int compare_double(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

/* Bytes a nanosecond that are lost, 0 = does not fill; *ret_run_ns is how long the ring reaches back. */
static double fill_rate(struct forecaster *forecaster, const struct sample *ring, uint32_t total, uint64_t *ret_run_ns, uint32_t *ret_agreeing)
{
	uint32_t count = total < RING ? total : RING;
	if (count < MIN_SAMPLES)
		return 0;

	size_t pairs = 0, falling = 0;
	uint64_t first = UINT64_MAX, last = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct sample *a = &ring[i];
		first = a->boot_ns < first ? a->boot_ns : first;
		last = a->boot_ns > last ? a->boot_ns : last;
		for (uint32_t j = i + 1; j < count; j++) {
			const struct sample *b = &ring[j];
			double slope = ((double)a->avail - (double)b->avail) / ((double)b->boot_ns - (double)a->boot_ns);
			forecaster->slopes[pairs++] = slope;
			falling += slope > 0;
		}
	}

	*ret_run_ns = last - first;
	*ret_agreeing = (uint32_t)(falling * 1000 / pairs);
	if (*ret_agreeing < AGREEING_PERMILLE)
		return 0;
	qsort(forecaster->slopes, pairs, sizeof(double), compare_double);
	double median = forecaster->slopes[pairs / 2];
	return median > 0 ? median : 0;
}

static void forecast_one(struct forecaster *forecaster, const struct series *series, struct filesystem *fs)
{
	fs->exhausted_in_ns = UNKNOWN;
	fs->exhausted_confidence_permille = 0;

	for (size_t scale = 0; scale < SCALES; scale++) {
		uint64_t run_ns = 0;
		uint32_t agreeing = 0;
		double rate = fill_rate(forecaster, series->ring[scale], series->count[scale], &run_ns, &agreeing);
		if (rate <= 0)
			continue;
		double left_ns = (double)fs->avail / rate;
		if (left_ns > (double)run_ns * HORIZON_RUNS || left_ns >= (double)fs->exhausted_in_ns)
			continue;
		fs->exhausted_in_ns = (uint64_t)left_ns;
		fs->exhausted_confidence_permille = agreeing;
	}
}

void forecast(struct forecaster *forecaster, struct filesystem_section *filesystems, uint64_t boot_ns)
{
	for (uint32_t i = 0; i < filesystems->count; i++) {
		struct filesystem *fs = &filesystems->each[i];
		/* A mount that did not answer at this tick adds no sample: an old number is not a flat line. */
		if (fs->measured_ns != boot_ns && boot_ns - fs->measured_ns > NSEC_PER_SEC)
			continue;
		struct series *series = find_series(forecaster, fs->dev, boot_ns);
		series->seen_ns = boot_ns;
		add_sample(series, boot_ns, fs->avail);
		forecast_one(forecaster, series, fs);
	}
}
