/* SPDX-License-Identifier: Apache-2.0 */
/* See anomaly.h. */
#include "detect/anomaly.h"

#include <math.h>

/* Spans are in samples: the mean of the last n weighs a sample 1/n. */
#define FAST_SPAN 2.4           /* this moment */
#define SLOW_SPAN 200.0         /* against the last hours */
#define SLOWER_FAST_SPAN 12.0
#define SLOWER_SPAN 450.0
#define RECENT_SPAN 63.0
#define USUAL_SPAN 228.0
#define WARM_AT 100             /* samples before any evidence */
#define MOST_A_FEATURE 4.2f     /* from some thousand samples nothing can be said to be rarer */
#define OTHERS_WEIGHT 0.9f     /* of the features beside the largest: they see in part the same */
#define MOST_DEVIATIONS 200.0f
#define DEVIATIONS_RECENT 1.9f
#define DEVIATIONS_USUAL 3.4f
#define YOUNG_SAMPLES 460.0f    /* at this age the stand-in weighs half */
#define YOUNG_WEIGHT 4.0f
#define ALONE_WEIGHT 0.3f       /* of each doubling of the deviation */
#define SHARE_WEIGHT 0.8f
#define LEAST_SHARE 0.25f
#define SHARE_POWER 1.4f
#define LARGEST 1e150           /* its square is still a number */
#define HOLD_GAIN 1.4f
#define HOLD_S (12 * 3600.0)
enum { MOST_RUN = 48, HOLD_LEAST = 24, HOLD_MOST = 150 };

static const struct tail_shape shape = { .beyond = 0.018f, .halve_at = 6500 };

const char *const anomaly_feature_names[ANOMALY_FEATURE_COUNT] = {
	[ANOMALY_JUMP] = "jump", [ANOMALY_SHIFT] = "shift", [ANOMALY_SLOW_SHIFT] = "slow shift", [ANOMALY_STUCK] = "stuck",
};

/* A young mean is the plain mean of what there is. */
static double weight(const struct anomaly_series *series, double span)
{
	return 1.0 / (series->samples < span ? series->samples : span);
}

/* How many deviations off, before the sample is taken in. A series that never moved and does now is as far off as can be. */
static float drift_take(struct drift *drift, double value, double by)
{
	double off = value - drift->mean, deviation = sqrt(drift->variance);
	float deviations = off == 0 ? 0 : MOST_DEVIATIONS;

	if (deviation > 1e-9 * fabs(drift->mean))
		deviations = (float)fmin(fabs(off) / deviation, MOST_DEVIATIONS);
	drift->mean += by * off;
	drift->variance = (1 - by) * (drift->variance + by * off * off);
	return deviations;
}

/* The distance of the fast mean from the slow one as it was. */
static float shift_take(double *fast, double *slow, double value, double fast_by, double slow_by)
{
	*fast += fast_by * (value - *fast);
	float shift = (float)fabs(*fast - *slow);
	*slow += slow_by * (value - *slow);
	return shift;
}

static void begin(struct anomaly_series *series, double value)
{
	series->previous = series->fast = series->slow = series->slower_fast = series->slower = value;
	series->recent.mean = series->usual.mean = value;
}

static float take_features(struct anomaly_series *series, double value, struct anomaly_evidence *ret)
{
	const double expected[ANOMALY_FEATURE_COUNT] = { series->previous, series->slow, series->slower, series->usual.mean };
	float features[ANOMALY_FEATURE_COUNT], sum = 0, most = 0;

	series->run = series->broken || value != series->previous ? 0 : series->run < MOST_RUN ? series->run + 1 : MOST_RUN;
	features[ANOMALY_JUMP] = (float)fabs(value - series->previous);
	features[ANOMALY_SHIFT] = shift_take(&series->fast, &series->slow, value, weight(series, FAST_SPAN), weight(series, SLOW_SPAN));
	features[ANOMALY_SLOW_SHIFT] =
		shift_take(&series->slower_fast, &series->slower, value, weight(series, SLOWER_FAST_SPAN), weight(series, SLOWER_SPAN));
	features[ANOMALY_STUCK] = series->run;
	series->previous = value;
	series->broken = false;

	for (enum anomaly_feature i = 0; i < ANOMALY_FEATURE_COUNT; i++) {
		float rarity = fminf(tail_score(&series->tails[i], &shape, features[i]), MOST_A_FEATURE) + log10f(shape.beyond);
		if (rarity > 0)
			sum += rarity;
		if (rarity > most) {
			most = rarity;
			ret->feature = i;
			ret->expected = expected[i];
		}
	}
	return most + OTHERS_WEIGHT * (sum - most);
}

struct anomaly_evidence anomaly_take(struct anomaly_series *series, double value)
{
	struct anomaly_evidence evidence = { .feature = ANOMALY_JUMP, .expected = series->usual.mean };
	if (!isfinite(value))
		return evidence;
	value = fmax(fmin(value, LARGEST), -LARGEST);
	if (!series->samples)
		begin(series, value);
	if (series->broken)
		series->previous = value; /* and no equal one either */
	series->samples++;

	float recent = drift_take(&series->recent, value, weight(series, RECENT_SPAN));
	float usual = drift_take(&series->usual, value, weight(series, USUAL_SPAN));
	float rarity = take_features(series, value, &evidence);
	if (series->samples < WARM_AT)
		return evidence;

	float young = 0, depth = 0;
	if (recent > DEVIATIONS_RECENT) {
		young = log2f(recent / DEVIATIONS_RECENT) * YOUNG_WEIGHT * YOUNG_SAMPLES / ((float)series->samples + YOUNG_SAMPLES);
		depth = usual > DEVIATIONS_USUAL ? log2f(usual / DEVIATIONS_USUAL) : 0;
	}
	evidence.known = true;
	evidence.alone = rarity + young + ALONE_WEIGHT * depth;
	evidence.share = rarity + SHARE_WEIGHT * depth;
	return evidence;
}

void anomaly_break(struct anomaly_series *series)
{
	series->broken = true;
	series->run = 0;
}

float anomaly_add(float sum, const struct anomaly_evidence *evidence)
{
	return evidence->share > LEAST_SHARE ? sum + powf(evidence->share, SHARE_POWER) : sum;
}

float anomaly_hold_take(struct anomaly_hold *hold, float score, float half_life)
{
	float counts = score > hold->level ? score : 0;
	hold->level *= exp2f(-1 / half_life);
	if (counts * HOLD_GAIN > hold->level)
		hold->level = counts * HOLD_GAIN;
	return counts;
}

float anomaly_half_life(double step_s)
{
	return (float)fmin(fmax(HOLD_S / step_s, HOLD_LEAST), HOLD_MOST);
}
