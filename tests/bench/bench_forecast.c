/* SPDX-License-Identifier: Apache-2.0 */
/* The forecast's backtest: see docs/detection.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "detect/forecast_series.h"
#include "shapes.h"
#include "shapes.c"

enum { EVERY = 5, MERGE = 60, METHODS = 5, HORIZONS = 2 };
static const double horizon[HORIZONS] = { 240, 1440 }, in_time[HORIZONS] = { 20, 60 };
static const char *const method_names[METHODS] = { "pl 1h", "pl 6h", "pl 24h", "node-mixin", "nodemend" };

struct score {
	double days;
	uint32_t fills, hits[HORIZONS], false_alarms[HORIZONS];
	double *errors, *leads[HORIZONS];
	uint32_t error_count, lead_count[HORIZONS];
};
static struct score scores[METHODS][SHAPE_COUNT];
static uint32_t ranged, within;
static uint32_t alarm_for[HORIZONS] = { 60, 60 };

static double predict_linear(const float *series, uint32_t now, uint32_t window)
{
	if (now < window)
		return INFINITY;
	double x = 0, y = 0, xx = 0, xy = 0, n = window;
	for (uint32_t i = 0; i < window; i++) {
		double dx = -(double)i, level = series[now - i];
		x += dx; y += level; xx += dx * dx; xy += dx * level;
	}
	double slope = (n * xy - x * y) / (n * xx - x * x), at = (y - slope * x) / n;
	return slope > 0 ? fmax(0, (1 - at) / slope) : INFINITY;
}

/* alarms[h]: whether raised. */
static double ask(int method, const float *series, uint32_t now, const struct estimate *ours, bool alarms[HORIZONS])
{
	static const uint32_t windows[] = { 60, 360, 1440, 360 };
	double left = method == 4 ? ours->likely_min : predict_linear(series, now, windows[method]);
	for (int h = 0; h < HORIZONS; h++)
		alarms[h] = left < horizon[h] && (method != 3 || series[now] > (h ? .6 : .8));
	return left;
}

static void run_series(uint32_t shape, uint64_t seed, bool verbose)
{
	static float series[SHAPE_MINUTES];
	static struct rings rings;
	static struct forecast_work work;
	uint32_t count = shape_make(shape, seed, series), full = UINT32_MAX;
	for (uint32_t i = 0; i + 10 < count || i < count; i++) { /* the first of ten that stay there, or the end that is full */
		if (series[i] >= 0.99f && full == UINT32_MAX) {
			bool stays = true;
			for (uint32_t j = i; j < count && j < i + 3; j++)
				stays &= series[j] >= .985f;
			if (stays) full = i;
		}
	}
	rings_clear(&rings);
	bool raised[METHODS][HORIZONS] = { 0 };
	uint32_t since[METHODS][HORIZONS] = { 0 }, last_false[METHODS][HORIZONS], hit[METHODS][HORIZONS] = { 0 };
	memset(last_false, 0, sizeof(last_false));
	double days = (full == UINT32_MAX || full > SHAPE_JUDGED ? SHAPE_JUDGED : full) / 1440.0;
	for (int m = 0; m < METHODS; m++) {
		scores[m][shape].days += days;
		scores[m][shape].fills += full < SHAPE_JUDGED;
	}
	for (uint32_t now = 0; now < count && now < full && now < SHAPE_JUDGED; now++) {
		rings_add(&rings, now + 10000 * 6, series[now]);
		if (now % EVERY || now < 30)
			continue;
		double truth = full == UINT32_MAX ? INFINITY : full - now;
		struct estimate ours;
		forecast_estimate(&rings, &work, &ours);
		for (int m = 0; m < METHODS; m++) {
			bool alarms[HORIZONS];
			struct score *score = &scores[m][shape];
			double left = ask(m, series, now, &ours, alarms);
			if (truth <= 1440)
				if (m == 4 && isfinite(left)) { ranged++; within += truth >= ours.low_min && truth <= ours.high_min; }
			if (truth <= 1440)
				score->errors[score->error_count++] = isfinite(left) ? fmin(1e6, fabs(left - truth) / truth) : 1;
			for (int h = 0; h < HORIZONS; h++) {
				if (!alarms[h]) { raised[m][h] = false; since[m][h] = 0; continue; }
				if (!since[m][h]) since[m][h] = now;
				if (now - since[m][h] < alarm_for[h]) continue;
				bool begins = !raised[m][h];
				raised[m][h] = true;
				if (begins && truth > 3 * horizon[h]) {
					if (!last_false[m][h] || now - last_false[m][h] >= MERGE) {
						score->false_alarms[h]++;
						if (verbose && m == 4) printf("  FA%d %s seed %lu at day %.2f level %.3f left %.0f truth %.0f\n", h ? 24 : 4, shape_names[shape], seed, now / 1440., series[now], left, truth);
					}
				}
				if (truth > 3 * horizon[h]) last_false[m][h] = now; 
				if (truth <= 3 * horizon[h] && truth >= in_time[h] && !hit[m][h]) {
					hit[m][h] = 1;
					score->leads[h][score->lead_count[h]++] = truth;
				}
			}
		}
	}
	for (int m = 0; m < METHODS; m++)
		for (int h = 0; h < HORIZONS; h++) {
			scores[m][shape].hits[h] += hit[m][h] && full < SHAPE_JUDGED;
			if (verbose && m == 4 && full < SHAPE_JUDGED && !hit[m][h]) printf("  MISS%d %s seed %lu full at day %.2f, others %d %d %d %d\n", h ? 24 : 4, shape_names[shape], seed, full / 1440., hit[0][h], hit[1][h], hit[2][h], hit[3][h]);
		}
}

static int cmp(const void *a, const void *b) { double l = *(const double *)a, r = *(const double *)b; return (l > r) - (l < r); }
static double med(double *v, uint32_t n) { if (!n) return NAN; qsort(v, n, sizeof(double), cmp); return v[n / 2]; }

int main(int argc, char **argv)
{
	uint32_t first = argc > 1 ? atoi(argv[1]) : 1, seeds = argc > 2 ? atoi(argv[2]) : 10;
	bool verbose = argc > 3 && argv[3][0] == 'v';
	for (int m = 0; m < METHODS; m++) for (uint32_t s = 0; s < SHAPE_COUNT; s++) {
		scores[m][s].errors = calloc(seeds * 300, 8);
		for (int h = 0; h < 2; h++) scores[m][s].leads[h] = calloc(seeds, 8);
	}
	for (uint32_t s = 0; s < SHAPE_COUNT; s++)
		for (uint32_t k = 0; k < seeds; k++)
			run_series(s, first + k, verbose);
	for (int m = 0; m < METHODS; m++) {
		double days = 0; uint32_t fills = 0, hits[2] = {0}, fas[2] = {0}, en = 0, ln[2] = {0};
		double *errors = calloc(seeds * SHAPE_COUNT * 300, 8), *leads[2] = { calloc(seeds * SHAPE_COUNT, 8), calloc(seeds * SHAPE_COUNT, 8) };
		for (uint32_t s = 0; s < SHAPE_COUNT; s++) {
			struct score *c = &scores[m][s];
			days += c->days; fills += c->fills;
			for (int h = 0; h < 2; h++) { hits[h] += c->hits[h]; fas[h] += c->false_alarms[h]; for (uint32_t i = 0; i < c->lead_count[h]; i++) leads[h][ln[h]++] = c->leads[h][i]; }
			for (uint32_t i = 0; i < c->error_count; i++) errors[en++] = c->errors[i];
		}
		printf("%-10s 4h: FA %.4f/d hit %u/%u lead %.0f m | 24h: FA %.4f/d hit %u/%u lead %.1f h | MdARE %.3f\n", method_names[m], fas[0] / days, hits[0], fills, med(leads[0], ln[0]), fas[1] / days, hits[1], fills, med(leads[1], ln[1]) / 60, med(errors, en));
	}
	printf("within range %.2f\n", (double)within / ranged);
	if (argc > 3)
		for (uint32_t s = 0; s < SHAPE_COUNT; s++) {
			printf("%-24s fills %u |", shape_names[s], scores[0][s].fills);
			for (int m = 0; m < METHODS; m++) if (m == 1 || m == 3 || m == 4) {
				struct score *c = &scores[m][s];
				printf(" %s 4h %u/%u 24h %u/%u err %.2f |", method_names[m], c->hits[0], c->false_alarms[0], c->hits[1], c->false_alarms[1], med(c->errors, c->error_count));
			}
			printf("\n");
		}
	return 0;
}
