/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anomalies of one series and of many together. Streaming: a score looks at no later sample. Pure: state and sample in, score out.
 * A series turns each sample into four quantities (a jump, a shift of level at two spans, a run of equal values) and asks its own past how rare
 * each is (tail.h); what lies in the tail adds up to its evidence. While the past is short, how many deviations a sample lies off stands
 * in for it. Every constant is global and was chosen on labelled data; docs/detection.md has the numbers and what was tried besides.
 */
#ifndef NODEMEND_DETECT_ANOMALY_H
#define NODEMEND_DETECT_ANOMALY_H

#include <stdbool.h>
#include <stdint.h>

#include "detect/tail.h"

enum anomaly_feature { ANOMALY_JUMP, ANOMALY_SHIFT, ANOMALY_SLOW_SHIFT, ANOMALY_STUCK, ANOMALY_FEATURE_COUNT };
extern const char *const anomaly_feature_names[ANOMALY_FEATURE_COUNT];

/* A mean that follows, and the spread around it. */
struct drift {
	double mean, variance;
};

/* All that is kept of a series; zeroed is a new one. */
struct anomaly_series {
	uint32_t samples;
	uint16_t run;                     /* equal values so far */
	bool broken;                      /* a gap lies before the next sample */
	double previous, fast, slow, slower_fast, slower;
	struct drift recent, usual;
	struct tail tails[ANOMALY_FEATURE_COUNT];
};

struct anomaly_evidence {
	bool known;                       /* false: warming up, or no sample */
	float alone;                      /* by itself: 0 is usual; each whole number is ten times rarer */
	float share;                      /* what it brings into a sum over many series */
	enum anomaly_feature feature;     /* the one that weighed most */
	double expected;                  /* what the sample was compared with */
};

/* Takes one sample in. NaN: it is missing, and nothing changes. */
struct anomaly_evidence anomaly_take(struct anomaly_series *series, double value);
/* Nothing was seen for long: the next sample is no jump from the last. */
void anomaly_break(struct anomaly_series *series);

/*
 * Many series of one thing. Evidence adds up: ten metrics that are each a little odd at one moment are a better sign than one that is
 * very odd (recall at one false alarm a day on ASD, as measured: the largest 0.52, the sum 0.85).
 */
float anomaly_add(float sum, const struct anomaly_evidence *evidence);

/* One event, one alarm: a score counts only above the decayed peak of those before it. */
struct anomaly_hold {
	float level;
};
/* The score, or 0 where it belongs to what was told already. `half_life` in samples. */
float anomaly_hold_take(struct anomaly_hold *hold, float score, float half_life);
/* For one series: twelve hours, but no fewer than 24 samples and no more than 150. */
float anomaly_half_life(double step_s);

#endif
