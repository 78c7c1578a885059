/* SPDX-License-Identifier: Apache-2.0 */
/* What the detector of anomalies costs: nanoseconds of processor a point over 1000 series in turn, as on a node, and bytes a series. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "detect/anomaly.h"
#include "detect/anomaly_shape.h"

enum { SERIES = 1000, ROUNDS = 2000 };

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A walk of small steps that is pulled back: cheap to make, and neither constant nor white. */
static double next(double value, uint64_t *random)
{
	*random = *random * 6364136223846793005ULL + 1442695040888963407ULL;
	return 0.9 * value + (double)(int32_t)(*random >> 32) / 2147483648.0;
}

int main(void)
{
	struct anomaly_series *series = calloc(SERIES, sizeof(*series));
	struct anomaly_shape *shapes = calloc(SERIES, sizeof(*shapes));
	double *values = calloc(SERIES, sizeof(*values)), started, both, sum = 0;
	uint64_t random = 1;
	if (!series || !shapes || !values)
		return 1;

	started = seconds();
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < SERIES; i++)
			sum += (double)anomaly_take(&series[i], values[i] = next(values[i], &random)).share;
	double plain = seconds() - started;
	started = seconds();
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < SERIES; i++)
			sum += (double)anomaly_shape_take(&shapes[i], values[i] = next(values[i], &random));
	both = plain + seconds() - started;
	printf("%.0f %zu %.0f %zu\n", plain / SERIES / ROUNDS * 1e9, sizeof(*series), both / SERIES / ROUNDS * 1e9, sizeof(*series) + sizeof(*shapes));
	free(series);
	free(shapes);
	free(values);
	return isfinite(sum) ? 0 : 1;
}
