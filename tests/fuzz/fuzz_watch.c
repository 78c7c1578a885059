/* SPDX-License-Identifier: Apache-2.0 */
/* What was learnt, from a file that anyone may have damaged: it is refused with a sentence, or it is used and every score stays a number. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "detect/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool so)
{
	if (!so)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct snapshot *snap;
	static struct watch *watch;
	static char *saved;
	char why[WHY_LEN] = "";

	if (!snap) {
		snap = calloc(1, sizeof(*snap));
		watch = watch_new();
		saved = malloc(watch_saved_most());
		require(snap && watch && saved);
		snap->interval_ns = NSEC_PER_SEC;
		snap->boot_ns = NSEC_PER_SEC;
	}
	if (watch_load(watch, data, size, why, sizeof(why)) < 0) {
		require(why[0]);
		return 0;
	}
	for (int i = 0; i < 3; i++) {
		snap->boot_ns += 10 * NSEC_PER_SEC;
		snap->cpu.measured_ns = snap->memory.measured_ns = snap->boot_ns;
		snap->cpu.forks += 1000;
		snap->memory.available ^= 0x123456;
		watch_take(watch, snap);
		require(!isnan(snap->anomaly.each[0].score) && !isnan(snap->anomaly.each[0].threshold) && !isnan(snap->anomaly.each[0].alarms_per_day));
	}
	size_t length = watch_save(watch, saved);
	require(length <= watch_saved_most() && watch_load(watch, saved, length, why, sizeof(why)) == 0);
	return 0;
}
