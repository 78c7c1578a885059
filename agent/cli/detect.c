/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend detect`: the anomaly detector over a recorded series. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "core/csv.h"
#include "detect/anomaly.h"
#include "detect/anomaly_shape.h"

/* After so many usual steps without a row, what comes is no continuation. */
#define GAP_STEPS 50
/* By how much one step moves what counts as usual: it ends as the median, and needs no memory for it. */
#define STEP_GAIN 0.05

struct detection {
	uint32_t metrics;
	struct anomaly_series *series;
	struct anomaly_evidence *evidence;
	struct anomaly_shape *shape;  /* of the only metric; NULL where there are more */
	struct anomaly_hold hold;
	double step_s;                /* 0: not known yet */
	int64_t last_ns;
};

static int detection_open(struct detection *detection, uint32_t metrics)
{
	*detection = (struct detection){
		.metrics = metrics,
		.series = calloc(metrics, sizeof(*detection->series)),
		.evidence = calloc(metrics, sizeof(*detection->evidence)),
		.shape = metrics == 1 ? calloc(1, sizeof(*detection->shape)) : NULL,
	};
	return !detection->series || !detection->evidence || (metrics == 1 && !detection->shape) ? -ENOMEM : 0;
}

static void detection_close(struct detection *detection)
{
	free(detection->series);
	free(detection->evidence);
	free(detection->shape);
}

/* Rows that stand at the same time or go back (a change of the clock) are samples like others. */
static void take_time(struct detection *detection, int64_t time_ns)
{
	double step_s = (double)(time_ns - detection->last_ns) / 1e9;
	bool first = !detection->last_ns;
	detection->last_ns = time_ns;
	if (first || step_s <= 0)
		return;
	if (detection->step_s > 0 && step_s > GAP_STEPS * detection->step_s)
		for (uint32_t i = 0; i < detection->metrics; i++)
			anomaly_break(&detection->series[i]);
	if (!(detection->step_s > 0))
		detection->step_s = step_s;
	else
		detection->step_s *= step_s > detection->step_s ? 1 + STEP_GAIN : step_s < detection->step_s ? 1 - STEP_GAIN : 1;
}

/* NaN: unknown. */
static double take_row(struct detection *detection, const struct csv_row *row)
{
	bool known = false;
	float sum = 0;

	take_time(detection, row->time_ns);
	for (uint32_t i = 0; i < detection->metrics; i++) {
		struct anomaly_evidence *evidence = &detection->evidence[i];
		*evidence = anomaly_take(&detection->series[i], row->values[i]);
		if (detection->shape) {
			float shape = anomaly_shape_take(detection->shape, row->values[i]);
			evidence->alone += evidence->known ? shape : 0;
		}
		known |= evidence->known;
		sum = anomaly_add(sum, evidence);
	}
	if (!known)
		return NAN;
	if (!detection->shape)
		return sum;
	return anomaly_hold_take(&detection->hold, detection->evidence[0].alone, anomaly_half_life(detection->step_s > 0 ? detection->step_s : 1));
}

static void print_score(double score, bool known)
{
	if (known)
		printf(",%.5g", score);
	else
		putchar(',');
}

static void print_row(const struct detection *detection, const char *stamp, double node)
{
	csv_print_field(stdout, stamp);
	print_score(node, !isnan(node));
	for (uint32_t i = 0; i < detection->metrics; i++)
		print_score(detection->shape ? detection->evidence[i].alone : detection->evidence[i].share, detection->evidence[i].known);
	putchar('\n');
}

static void print_header(const struct csv *csv)
{
	fputs("timestamp,node", stdout);
	for (uint32_t i = 0; i < csv_metrics(csv); i++) {
		putchar(',');
		csv_print_field(stdout, csv_name(csv, i));
	}
	putchar('\n');
}

static int detect_rows(struct csv *csv, struct detection *detection, char why[CSV_WHY_LEN])
{
	struct csv_row row;
	int got;
	print_header(csv);
	while ((got = csv_next(csv, &row, why)) == 1 && !ferror(stdout))
		print_row(detection, row.stamp, take_row(detection, &row));
	return got < 0 ? got : 0;
}

static int detect_file(const char *path)
{
	char why[CSV_WHY_LEN] = "";
	struct csv *csv;
	struct detection detection;

	int err = csv_open(path, &csv, why);
	if (err) {
		fprintf(stderr, "%s\n", why);
		return err == -ENOMEM ? EXIT_NO : EXIT_USAGE;
	}
	err = detection_open(&detection, csv_metrics(csv));
	if (err)
		snprintf(why, sizeof(why), "nodemend detect: out of memory");
	else
		err = detect_rows(csv, &detection, why);
	detection_close(&detection);
	csv_close(csv);
	if (err) {
		(void)fflush(stdout); /* the rows before the fault stand */
		fprintf(stderr, "%s\n", why);
		return err == -EINVAL ? EXIT_USAGE : EXIT_NO;
	}
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "nodemend detect: the scores cannot be written: %s\n", strerror(errno));
		return EXIT_NO;
	}
	return EXIT_DONE;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			return cli_help(&command_detect);
		return cli_usage(&command_detect, "unknown option %s", argv[optind - 1]);
	}
	if (argc - optind != 1)
		return cli_usage(&command_detect, "%s", argc == optind ? "a file is wanted, or - for standard input" : "one file at a time");
	return detect_file(argv[optind]);
}

const struct command command_detect = {
	.name = "detect",
	.arguments = "FILE.csv",
	.summary = "score recorded metrics for anomalies",
	.help = "  FILE.csv      the first column is `timestamp` (Unix seconds or ISO 8601), the others are metrics; an empty field is a missing\n"
		"                sample; - reads standard input\n"
		"  -h, --help    this text\n"
		"\n"
		"Prints timestamp,node,<metric>,... with a row for each row: how unusual it is against all rows before it, and never those after.\n"
		"An empty score is unknown: the sample is missing, or too few came before. With several metrics `node` is their sum; with\n"
		"one it is that metric's score where it exceeds what was just told. Exit code 2: the file, its line, and what would be right.\n",
	.run = run,
};
