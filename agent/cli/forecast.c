/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend forecast FILE.csv --capacity X`: the shipped forecaster over a recorded series, row by row, with what was known by then. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "core/csv.h"
#include "core/value.h"
#include "detect/forecast_fast.h"
#include "detect/forecast_series.h"

enum { HORIZONS = 2, MINUTE_S = 60 };
static const double horizon_min[HORIZONS] = { 4 * 60, 24 * 60 };

/* A sample holds until the next one, for so long at most: recorded series often have one in five minutes, or in an hour. */
enum { HELD_MINUTES = 60 };
/* The last minute's samples say something only where there are some. */
#define FAST_STEP_S 10.0

struct followed_metric {
	struct rings rings;
	struct fast_ring fast;
	struct estimate estimate;
	uint32_t estimated_minute;
	double last;                 /* NaN: none yet */
	uint32_t last_minute;
	int64_t last_ns, alarm_since_ns[HORIZONS]; /* 0: not since any */
};

struct forecast_run {
	struct csv *csv;
	double capacity;
	uint64_t for_ns;
	int64_t first_ns, previous_ns;
	struct forecast_work work;
	struct fast_work fast_work;
	struct followed_metric *metrics;
};

static void print_header(const struct forecast_run *run)
{
	static const char *const columns[] = { "exhausted_in_seconds", "low_seconds", "high_seconds", "evidence", "alarm_4h", "alarm_24h" };
	char name[512];
	fputs("timestamp", stdout);
	for (uint32_t i = 0; i < csv_metrics(run->csv); i++)
		for (size_t column = 0; column < sizeof(columns) / sizeof(columns[0]); column++) {
			snprintf(name, sizeof(name), "%s_%s", csv_name(run->csv, i), columns[column]);
			fputc(',', stdout);
			csv_print_field(stdout, name);
		}
	fputc('\n', stdout);
}

static void take_sample(struct forecast_run *run, struct followed_metric *metric, uint32_t minute, int64_t time_ns, double value)
{
	bool closed = false;
	if (!isnan(metric->last))
		for (uint32_t held = metric->last_minute + 1; held < minute && held <= metric->last_minute + HELD_MINUTES; held++)
			closed |= rings_add(&metric->rings, held, metric->last / run->capacity);
	closed |= rings_add(&metric->rings, minute, value / run->capacity);
	bool dense = !isnan(metric->last) && (double)(time_ns - metric->last_ns) <= FAST_STEP_S * 1e9;
	if (!dense)
		metric->fast.count = 0;
	fast_add(&metric->fast, (uint64_t)(time_ns - run->first_ns), run->capacity - value, 0);

	metric->last = value;
	metric->last_minute = minute;
	metric->last_ns = time_ns;
	if (!closed)
		return;
	forecast_estimate(&metric->rings, &run->work, &metric->estimate);
	metric->estimated_minute = minute;
}

/* Minutes from now; as the agent does, what the last minute says goes before what the history says, where it is soon. */
static bool fast_left(struct forecast_run *run, const struct followed_metric *metric, double *ret_min)
{
	uint32_t agreeing;
	if (isnan(metric->last) || metric->last < run->capacity / 2)
		return false;
	uint64_t left_ns = fast_estimate(&metric->fast, run->capacity - metric->last, &run->fast_work, &agreeing);
	*ret_min = (double)left_ns / 1e9 / MINUTE_S;
	return left_ns != UINT64_MAX && *ret_min < FORECAST_SOON_MIN;
}

static void print_time(double minutes, double since)
{
	if (isfinite(minutes))
		printf(",%.0f", fmax(0, minutes - since) * MINUTE_S);
	else
		fputc(',', stdout);
}

static void print_alarms(struct forecast_run *run, struct followed_metric *metric, double likely, int64_t time_ns)
{
	for (uint32_t i = 0; i < HORIZONS; i++) {
		int64_t *since_ns = &metric->alarm_since_ns[i];
		if (!(likely < horizon_min[i]))
			*since_ns = 0;
		else if (!*since_ns)
			*since_ns = time_ns ? time_ns : 1;
		printf(",%d", *since_ns && time_ns - *since_ns >= (int64_t)run->for_ns);
	}
}

static void print_metric(struct forecast_run *run, struct followed_metric *metric, uint32_t minute, int64_t time_ns)
{
	const struct estimate *estimate = &metric->estimate;
	double since = metric->rings.minute ? minute - metric->estimated_minute : 0, likely = estimate->likely_min - since, soon;
	if (fast_left(run, metric, &soon) && !(likely < soon)) {
		print_time(soon, 0);
		print_time(soon / 2, 0);
		print_time(soon * 2, 0);
		fputs(",soon", stdout);
		likely = soon;
	} else {
		print_time(estimate->likely_min, since);
		print_time(estimate->low_min, since);
		print_time(estimate->high_min, since);
		printf(",%s", evidence_names[estimate->evidence]);
	}
	print_alarms(run, metric, likely, time_ns);
}

static int take_row(struct forecast_run *run, const char *path, const struct csv_row *row, char why[CSV_WHY_LEN])
{
	if (run->previous_ns && row->time_ns <= run->previous_ns) {
		snprintf(why, CSV_WHY_LEN, "%s:%llu: %s is not later than the row before; sort the rows by time, each once", path,
			 (unsigned long long)row->line, row->stamp);
		return -EINVAL;
	}
	if (!run->previous_ns)
		run->first_ns = row->time_ns;
	run->previous_ns = row->time_ns;
	/* From 1: minute 0 is none. The hours and days of the rings are UTC's, as the agent's are. */
	uint32_t minute = row->time_ns > 0 ? (uint32_t)(row->time_ns / 1000000000 / MINUTE_S) + 1 : 1;

	csv_print_field(stdout, row->stamp);
	for (uint32_t i = 0; i < csv_metrics(run->csv); i++) {
		if (!isnan(row->values[i]))
			take_sample(run, &run->metrics[i], minute, row->time_ns, row->values[i]);
		print_metric(run, &run->metrics[i], minute, row->time_ns);
	}
	fputc('\n', stdout);
	return 0;
}

static int run_file(struct forecast_run *run, const char *path)
{
	char why[CSV_WHY_LEN];
	struct csv_row row;
	int error = csv_open(path, &run->csv, why);
	if (error == 0) {
		run->metrics = calloc(csv_metrics(run->csv), sizeof(*run->metrics));
		for (uint32_t i = 0; run->metrics && i < csv_metrics(run->csv); i++) {
			rings_clear(&run->metrics[i].rings);
			run->metrics[i].last = NAN;
			run->metrics[i].estimate = (struct estimate){ EVIDENCE_SHORT, INFINITY, INFINITY, INFINITY, 0, NAN, NAN, NAN };
		}
		if (!run->metrics) {
			fprintf(stderr, "nodemend: forecast: out of memory\n");
			csv_close(run->csv);
			return EXIT_NO;
		}
		print_header(run);
		while ((error = csv_next(run->csv, &row, why)) > 0)
			if ((error = take_row(run, path, &row, why)) < 0)
				break;
		free(run->metrics);
		csv_close(run->csv);
	}
	if (error < 0)
		fprintf(stderr, "nodemend: %s\n", why);
	return error < 0 ? EXIT_USAGE : fflush(stdout) == 0 ? EXIT_DONE : EXIT_NO;
}

/* A plain number, or bytes with a unit. */
static bool read_capacity(const char *text, double *ret)
{
	char *end, why[VALUE_WHY_LEN];
	uint64_t bytes = 0;
	const struct setting setting = { .name = "capacity", .type = VALUE_BYTES, .size = sizeof(bytes) };
	*ret = strtod(text, &end);
	if (end != text && !*end)
		return isfinite(*ret) && *ret > 0;
	if (value_set_text(&setting, text, &bytes, why) < 0)
		return false;
	*ret = (double)bytes;
	return bytes > 0;
}

static int run(int argc, char **argv)
{
	enum { OPTION_CAPACITY = OPTION_JSON + 1, OPTION_FOR };
	static const struct option options[] = {
		{ "capacity", required_argument, NULL, OPTION_CAPACITY }, { "for", required_argument, NULL, OPTION_FOR }, { NULL, 0, NULL, 0 },
	};
	struct forecast_run *forecast = calloc(1, sizeof(*forecast));
	char why[VALUE_WHY_LEN];
	int option, code = EXIT_USAGE;
	if (!forecast)
		return EXIT_NO;

	forecast->for_ns = 3600 * 1000000000ULL;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_CAPACITY && !read_capacity(optarg, &forecast->capacity)) {
			code = cli_usage(&command_forecast, "--capacity '%s': a number above 0, or bytes with a unit such as 200GiB", optarg);
			goto out;
		}
		if (option == OPTION_FOR && cli_duration(optarg, &forecast->for_ns, why, sizeof(why)) < 0) {
			code = cli_usage(&command_forecast, "--for: %s", why);
			goto out;
		}
		if (option == '?') {
			code = cli_usage(&command_forecast, "it is `nodemend forecast FILE.csv --capacity X`");
			goto out;
		}
	}
	if (optind + 1 != argc || !forecast->capacity)
		code = cli_usage(&command_forecast, "%s", optind + 1 != argc ? "one FILE.csv is wanted, or - for standard input" :
			"--capacity is missing: how much there is of what the file records, such as --capacity 200GiB");
	else
		code = run_file(forecast, argv[optind]);
out:
	free(forecast);
	return code;
}

const struct command command_forecast = {
	.name = "forecast",
	.arguments = "FILE.csv --capacity X [--for T]",
	.summary = "time to exhaustion of each row of a recorded series, with what was known by then",
	.help = "  --capacity X       how much there is: a number, or bytes with a unit (200GiB); the same for all columns\n"
		"  --for T            how long a time below 4 h or 24 h must hold until its alarm is raised (1h)\n"
		"\n"
		"FILE.csv: `timestamp,<metric>,…`, ISO 8601 or Unix seconds. Prints a row a row: for each metric the seconds until it is used up with\n"
		"their range, what that rests on, and the two alarms. Empty: not enough evidence. A bad row is named as file:line, and ends it with 2.\n",
	.run = run,
};
