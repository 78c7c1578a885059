/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time to exhaustion of a filling filesystem: the Theil-Sen slope (median of all pairwise slopes; Theil 1950, Sen 1968) of the
 * free bytes over two windows, believed only where most pairs agree on the direction and only as far ahead as the run
 * observed allows. Bursts and single clean-ups do not move a median.
 */
#ifndef NODEMEND_DETECT_FORECAST_H
#define NODEMEND_DETECT_FORECAST_H

#include <stdint.h>

#include "snapshot.h"

struct forecaster;
struct forecaster *forecaster_new(void);
void forecaster_free(struct forecaster *forecaster);
/* Takes this full tick's sample of every filesystem and fills their exhausted_in_ns and its confidence. */
void forecast(struct forecaster *forecaster, struct filesystem_section *filesystems, uint64_t boot_ns);

#endif
