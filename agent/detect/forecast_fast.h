/* SPDX-License-Identifier: Apache-2.0 */
/* What fills within minutes: the last sixty samples of what is left, and when it is gone if it goes on so. Pure. */
#ifndef NODEMEND_DETECT_FORECAST_FAST_H
#define NODEMEND_DETECT_FORECAST_FAST_H

#include <stdint.h>

enum { FAST_SAMPLES = 60 };

/* Milliseconds that wrap after 49 days and floats: what is compared is an hour old at most, and a step of a float is nothing to a minute's run. */
struct fast_ring {
	uint32_t count;
	uint32_t at_ms[FAST_SAMPLES];
	float left[FAST_SAMPLES];
};

struct fast_work { double slopes[FAST_SAMPLES * (FAST_SAMPLES - 1) / 2]; };

/* One that comes within `spacing_ms` of the last is passed over. */
void fast_add(struct fast_ring *ring, uint64_t boot_ns, double left, uint32_t spacing_ms);
/* Nanoseconds until nothing is left of `left`; UINT64_MAX: it does not shrink, or too little is known. */
uint64_t fast_estimate(const struct fast_ring *ring, double left, struct fast_work *work, uint32_t *ret_agreeing_permille);

#endif
