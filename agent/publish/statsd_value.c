/* SPDX-License-Identifier: Apache-2.0 */
/* What a datagram does to the store: its lines, their values, and what they add up to. */
#include "publish/statsd_store.h"

#include <math.h>

/* --- values ------------------------------------------------------------------------------------------------------------ */

/* A counter never falls, and a time beyond thirty years is none. */
static bool is_value_good(const struct statsd_line *line, double value)
{
	return line->type == STATSD_GAUGE || (value >= 0 && (line->type == STATSD_COUNTER || value * line->scale <= 1e9));
}

/* A line is good as a whole or not at all: its numbers are read once before any is taken. */
static bool are_values_good(struct statsd_line *line)
{
	const char *values = line->values;
	size_t size = line->values_size;
	double value;
	bool is_signed;
	int result = 0;
	if (line->type == STATSD_SET)
		return size > 0;
	while (result == 0) {
		result = statsd_next_number(line, &value, &is_signed);
		if (result == 0 && !is_value_good(line, value))
			return false;
	}
	line->values = values;
	line->values_size = size;
	return result == 1;
}

static void add_time(struct histogram *histogram, double seconds, double rate)
{
	uint64_t ns = (uint64_t)(seconds * 1e9 + 0.5), times = (uint64_t)(1 / rate + 0.5);
	histogram->buckets[histogram_bucket(ns)] += times;
	histogram->sum_ns += ns * times;
}

/* Linear counting: n different values leave about e^(-n/m) of m bits unset. One percent off at a thousand, full at 70 000. */
static double count_set(const uint64_t set[STATSD_SET_WORDS])
{
	uint32_t zeros = 0;
	for (uint32_t i = 0; i < STATSD_SET_WORDS; i++)
		zeros += 64 - (uint32_t)__builtin_popcountll(set[i]);
	return round(-STATSD_SET_BITS * log((double)(zeros ? zeros : 1) / STATSD_SET_BITS));
}

static void turn_window(struct statsd_series *series, union statsd_body *body, uint64_t now_ns)
{
	if (!series->window_ns)
		series->window_ns = now_ns;
	if (now_ns - series->window_ns < STATSD_SET_WINDOW_NS)
		return;
	series->value = count_set(body->set);
	series->whole_window = true;
	series->window_ns = now_ns;
	memset(body->set, 0, sizeof(body->set));
}

static void add_to_set(const struct statsd *statsd, union statsd_body *body, const char *word, size_t size)
{
	uint64_t bit = statsd_hash_end(statsd_hash_more(statsd->seed, word, size)) % STATSD_SET_BITS;
	body->set[bit / 64] |= 1ULL << bit % 64;
}

static void apply(struct statsd *statsd, struct statsd_series *series, struct statsd_line *line, uint64_t now_ns)
{
	union statsd_body *body = statsd_body_of(statsd, series);
	const char *word;
	size_t size;
	double value;
	bool is_signed;

	if (line->type == STATSD_SET)
		turn_window(series, body, now_ns);
	while (line->type == STATSD_SET && statsd_next_word(line, &word, &size) == 0)
		add_to_set(statsd, body, word, size);
	while (line->type != STATSD_SET && statsd_next_number(line, &value, &is_signed) == 0) {
		if (line->type == STATSD_TIMER)
			add_time(&body->histogram, value * line->scale, line->rate);
		else if (line->type == STATSD_COUNTER)
			series->value += value / line->rate;
		else
			series->value = is_signed ? series->value + value : value;
	}
	series->seen_ns = now_ns;
}

/* --- datagrams --------------------------------------------------------------------------------------------------------- */

static void take_line(struct statsd *statsd, const char *text, size_t size, uint64_t now_ns)
{
	struct statsd_line *line = &statsd->line;
	statsd->counters.lines++;
	if (statsd_parse(text, size, line) < 0 || !are_values_good(line)) {
		statsd->counters.malformed++;
		return;
	}
	size_t length = strlen(line->name);
	if (line->type == STATSD_COUNTER && !statsd_ends_with(line->name, length, "_total"))
		memcpy(line->name + length, "_total", sizeof("_total")); /* statsd_parse left room for it */
	struct statsd_series *series = statsd_find_or_add(statsd, line);
	if (series)
		apply(statsd, series, line, now_ns);
}

void statsd_take(struct statsd *statsd, const char *datagram, size_t size, uint64_t now_ns)
{
	statsd->counters.datagrams++;
	for (size_t at = 0; at < size;) {
		const char *newline = memchr(datagram + at, '\n', size - at);
		size_t length = newline ? (size_t)(newline - datagram) - at : size - at;
		size_t kept = length && datagram[at + length - 1] == '\r' ? length - 1 : length;
		if (kept)
			take_line(statsd, datagram + at, kept, now_ns);
		at += length + 1;
	}
}

void statsd_refuse(struct statsd *statsd)
{
	statsd->counters.datagrams++;
	statsd->counters.malformed++;
}

/* --- reading ---------------------------------------------------------------------------------------------------------- */

const struct histogram *statsd_histogram(const struct statsd *statsd, const struct statsd_series *series)
{
	return &statsd_body_of(statsd, series)->histogram;
}

double statsd_distinct(const struct statsd *statsd, const struct statsd_series *series)
{
	return series->whole_window ? series->value : count_set(statsd_body_of(statsd, series)->set);
}
