/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forecast's long backtest, as tables in Markdown: every shape of shapes.h with `COUNT` seeds from `FIRST` on, or the recorded fills of
 * a list of files (one level a line). `make bench-forecast` calls it; 0 when the goals are met, 1 when not.
 *
 *   bench_forecast seeds FIRST COUNT [FOR_MINUTES]
 *   bench_forecast recorded FILE...
 */
#include <stdio.h>

#include "tests/bench/backtest.h"
#include "tests/bench/shapes.h"

enum { MAX_GROUPS = 64, DEFAULT_FOR = 60 };

static void add_numbers(struct numbers *into, const struct numbers *from)
{
	for (size_t i = 0; i < from->count; i++)
		numbers_add(into, from->each[i]);
}

static void add_score(struct score *into, const struct score *from)
{
	into->days += from->days;
	into->series += from->series;
	into->fills += from->fills;
	into->forecasts += from->forecasts;
	into->within += from->within;
	add_numbers(&into->errors, &from->errors);
	for (uint32_t horizon = 0; horizon < HORIZONS; horizon++) {
		into->hits[horizon] += from->hits[horizon];
		into->false_alarms[horizon] += from->false_alarms[horizon];
		add_numbers(&into->leads[horizon], &from->leads[horizon]);
	}
}

static void print_total(struct backtest *total)
{
	printf("| method | 4 h: false a day | seen | lead | 24 h: false a day | seen | lead | median error |\n|---|---|---|---|---|---|---|---|\n");
	for (uint32_t method = 0; method < METHODS; method++) {
		struct score *score = &total->scores[method];
		const char *mark = method == METHOD_NODEMEND ? "**" : "";
		printf("| %s%s%s | %.4f | %u of %u | %.0f min | %.4f | %u of %u | %.1f h | %.2f |\n", mark, method_names[method], mark,
		       score->false_alarms[HORIZON_4H] / score->days, score->hits[HORIZON_4H], score->fills, numbers_median(&score->leads[HORIZON_4H]),
		       score->false_alarms[HORIZON_24H] / score->days, score->hits[HORIZON_24H], score->fills,
		       numbers_median(&score->leads[HORIZON_24H]) / 60, numbers_median(&score->errors));
	}
	const struct score *ours = &total->scores[METHOD_NODEMEND];
	printf("\n%u series, %.0f days, %u fills. The truth was within nodemend's range in %.0f %% of its forecasts of the last day; an estimate took "
	       "%.0f µs of processor time. An alarm had to hold for %u minutes.\n\n", ours->series, ours->days, ours->fills,
	       100.0 * ours->within / (ours->forecasts ? ours->forecasts : 1), 1e6 * total->estimate_seconds / (double)total->estimates, total->for_minutes);
}

static void print_group(const char *name, struct backtest *test)
{
	struct score *six = &test->scores[METHOD_LINEAR_6H], *mixin = &test->scores[METHOD_NODE_MIXIN], *ours = &test->scores[METHOD_NODEMEND];
	double error = numbers_median(&ours->errors);
	printf("| %s | %u | %u, %u, %u | %u, %u, %u | %u, %u, %u | %u, %u, %u |", name, ours->fills, six->hits[0], mixin->hits[0], ours->hits[0],
	       six->false_alarms[0], mixin->false_alarms[0], ours->false_alarms[0], six->hits[1], mixin->hits[1], ours->hits[1], six->false_alarms[1],
	       mixin->false_alarms[1], ours->false_alarms[1]);
	if (isfinite(error))
		printf(" %.2f |\n", error);
	else
		printf(" |\n");
}

static int goals_missed(struct backtest *total)
{
	const struct score *six = &total->scores[METHOD_LINEAR_6H];
	struct score *ours = &total->scores[METHOD_NODEMEND];
	const struct { const char *goal; double value, bound; bool above; } goals[] = {
		{ "4 h false alarms a series-day", ours->false_alarms[HORIZON_4H] / ours->days, 0.01, false },
		{ "24 h false alarms a series-day", ours->false_alarms[HORIZON_24H] / ours->days, 0.01, false },
		{ "4 h detected, of what least squares detects", ours->hits[HORIZON_4H] / fmax(1, six->hits[HORIZON_4H]), 0.90, true },
		{ "24 h detected, of what least squares detects", ours->hits[HORIZON_24H] / fmax(1, six->hits[HORIZON_24H]), 0.95, true },
		{ "median error of the time", numbers_median(&ours->errors), 0.20, false },
	};
	int missed = 0;
	for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
		bool met = goals[i].above ? goals[i].value >= goals[i].bound : goals[i].value <= goals[i].bound;
		fprintf(stderr, "%s: %.4f, goal %s %.2f: %s\n", goals[i].goal, goals[i].value, goals[i].above ? "at least" : "at most", goals[i].bound,
			met ? "met" : "MISSED");
		missed += !met;
	}
	return missed;
}

static void fold(struct backtest *total, struct backtest *part)
{
	for (uint32_t method = 0; method < METHODS; method++)
		add_score(&total->scores[method], &part->scores[method]);
	total->estimate_seconds += part->estimate_seconds;
	total->estimates += part->estimates;
}

static const char *const group_head = "| shape | fills | 4 h: seen | 4 h: false | 24 h: seen | 24 h: false | error |\n|---|---|---|---|---|---|---|\n";

static int run_seeds(uint32_t first, uint32_t count, uint32_t for_minutes)
{
	static float series[SHAPE_MINUTES];
	static struct backtest parts[SHAPE_COUNT], total;
	total.for_minutes = for_minutes;
	for (uint32_t shape = 0; shape < SHAPE_COUNT; shape++) {
		parts[shape].every_minutes = 5;
		parts[shape].for_minutes = for_minutes;
		for (uint32_t seed = first; seed < first + count; seed++) {
			uint32_t minutes = shape_make(shape, seed, series);
			backtest_series(&parts[shape], series, minutes, SHAPE_JUDGED);
		}
		fold(&total, &parts[shape]);
	}
	print_total(&total);
	printf("By shape, each as predict_linear[6h], node-mixin, nodemend:\n\n%s", group_head);
	for (uint32_t shape = 0; shape < SHAPE_COUNT; shape++) {
		print_group(shapes[shape].name, &parts[shape]);
		backtest_free(&parts[shape]);
	}
	int missed = goals_missed(&total);
	backtest_free(&total);
	return missed > 0;
}

static uint32_t read_levels(const char *path, float *ret, uint32_t room)
{
	FILE *file = fopen(path, "re");
	uint32_t count = 0;
	if (!file) {
		perror(path);
		exit(2);
	}
	while (count < room && fscanf(file, "%f", &ret[count]) == 1)
		count++;
	fclose(file);
	return count;
}

static int run_recorded(int count, char **paths)
{
	static float series[SHAPE_MINUTES];
	static struct backtest parts[MAX_GROUPS], total;
	total.for_minutes = DEFAULT_FOR;
	for (int i = 0; i < count && i < MAX_GROUPS; i++) {
		uint32_t minutes = read_levels(paths[i], series, SHAPE_MINUTES);
		parts[i].every_minutes = 5;
		parts[i].for_minutes = DEFAULT_FOR;
		backtest_series(&parts[i], series, minutes, SHAPE_JUDGED);
		fold(&total, &parts[i]);
	}
	print_total(&total);
	printf("By recording, each as predict_linear[6h], node-mixin, nodemend:\n\n%s", group_head);
	for (int i = 0; i < count && i < MAX_GROUPS; i++) {
		const char *slash = strrchr(paths[i], '/');
		print_group(slash ? slash + 1 : paths[i], &parts[i]);
		backtest_free(&parts[i]);
	}
	int missed = goals_missed(&total);
	backtest_free(&total);
	return missed > 0;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "seeds") == 0)
		return run_seeds((uint32_t)strtoul(argv[2], NULL, 10), (uint32_t)strtoul(argv[3], NULL, 10),
				 argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : DEFAULT_FOR);
	if (argc >= 3 && strcmp(argv[1], "recorded") == 0)
		return run_recorded(argc - 2, argv + 2);
	fprintf(stderr, "bench_forecast: seeds FIRST COUNT [FOR_MINUTES], or recorded FILE...\n");
	return 2;
}
