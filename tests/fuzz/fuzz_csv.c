/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings of strangers: rows keep the header's width, values are finite or NaN, a refusal has its sentence, and names survive writing. */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool so)
{
	if (!so)
		abort();
}

static void write_and_read(const char *name)
{
	char *text = NULL, why[CSV_WHY_LEN] = "";
	size_t size = 0;
	struct csv *again = NULL;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return;
	fputs("timestamp,", out);
	csv_print_field(out, name);
	fputs("\n", out);
	require(fclose(out) == 0);
	FILE *in = fmemopen(text, size, "r");
	if (in) {
		require(csv_open_stream(in, "again", &again, why) == 0 && csv_metrics(again) == 1 && strcmp(csv_name(again, 0), name) == 0);
		csv_close(again);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[CSV_WHY_LEN] = "";
	struct csv *csv = NULL;
	struct csv_row row;
	int got;

	FILE *stream = size ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
	if (!stream)
		return 0;
	int err = csv_open_stream(stream, "input", &csv, why);
	if (err) {
		require(err == -ENOMEM || (err == -EINVAL && strncmp(why, "input:", 6) == 0));
		return 0;
	}
	require(csv_metrics(csv) >= 1 && csv_metrics(csv) <= CSV_MAX_METRICS);
	for (uint32_t i = 0; i < csv_metrics(csv) && i < 4; i++)
		write_and_read(csv_name(csv, i));
	uint64_t last = 0;
	while ((got = csv_next(csv, &row, why)) == 1) {
		require(row.line > last && row.stamp[0]);
		last = row.line;
		for (uint32_t i = 0; i < csv_metrics(csv); i++)
			require(!isinf(row.values[i]));
	}
	require(got == 0 || (got == -EINVAL && strncmp(why, "input:", 6) == 0));
	csv_close(csv);
	return 0;
}
