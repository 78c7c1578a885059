/* SPDX-License-Identifier: Apache-2.0 */
/* See forecast.h. Two rings a filesystem: the last minute at one sample a tick, and the last hour at one a minute. */
#include "detect/forecast.h"

#include <stdlib.h>
#include <string.h>

#include "detect/forecast_fast.h"

enum { SCALES = 2 };
static const uint32_t spacing_ms[SCALES] = { 0, 60000 };

struct series {
	uint32_t dev;
	bool used;
	uint64_t seen_ns;
	struct fast_ring rings[SCALES];
};

struct forecaster {
	struct series each[MAX_FILESYSTEMS];
	struct fast_work work;
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

static void forecast_one(struct forecaster *forecaster, const struct series *series, struct filesystem *fs)
{
	fs->exhausted_in_ns = UNKNOWN;
	fs->exhausted_confidence_permille = 0;

	for (size_t scale = 0; scale < SCALES; scale++) {
		uint32_t agreeing = 0;
		uint64_t left_ns = fast_estimate(&series->rings[scale], (double)fs->avail, &forecaster->work, &agreeing);
		if (left_ns >= fs->exhausted_in_ns)
			continue;
		fs->exhausted_in_ns = left_ns;
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
		for (size_t scale = 0; scale < SCALES; scale++)
			fast_add(&series->rings[scale], boot_ns, (double)fs->avail, spacing_ms[scale]);
		forecast_one(forecaster, series, fs);
	}
}
