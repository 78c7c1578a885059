/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What applications send as StatsD and DogStatsD lines (docs/inputs.md): parsed, added up and kept as bounded series until nobody
 * has sent them for a while. Everything that comes in is hostile; whatever does not fit is counted and forgotten.
 */
#ifndef NODEMEND_PUBLISH_STATSD_H
#define NODEMEND_PUBLISH_STATSD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

enum {
	STATSD_NAME_LEN = 128,
	STATSD_LABELS_LEN = 512,   /* all of a series' names and values, each closed */
	STATSD_MAX_LABELS = 10,
	STATSD_VALUE_LEN = 128,
	STATSD_MAX_SERIES = 10000,
	STATSD_DATAGRAM_MAX = 8192,
};

/* A set tells how many of its values were different in the last whole window. */
#define STATSD_SET_WINDOW_NS (60ULL * 1000000000)
enum { STATSD_SET_BITS = 8192 };

enum statsd_type { STATSD_COUNTER, STATSD_GAUGE, STATSD_TIMER, STATSD_SET };

/* --- a line -------------------------------------------------------------------------------------------------------------- */

struct statsd_label { const char *name, *value; };

/* One line, made into Prometheus' names; `storage` holds the texts. */
struct statsd_line {
	enum statsd_type type;
	double scale;                  /* of a timer's values: to seconds */
	double rate;                   /* 0 < rate <= 1: every value stands for 1/rate of them */
	char name[STATSD_NAME_LEN];
	uint32_t label_count;
	struct statsd_label labels[STATSD_MAX_LABELS]; /* by name */
	const char *values;            /* in the line itself: numbers, or a set's words, with : between; not closed */
	size_t values_size;
	char storage[STATSD_LABELS_LEN];
};

/* 0; -EINVAL when this is no line of the protocol, or holds what is over the bounds. `text` is `size` bytes without a newline. */
int statsd_parse(const char *text, size_t size, struct statsd_line *line);
/* Takes one of a line's values off its front. 0; -EINVAL: not a finite number; 1: none left. */
int statsd_next_number(struct statsd_line *line, double *ret, bool *ret_signed);
int statsd_next_word(struct statsd_line *line, const char **ret, size_t *ret_size);

/* --- the store ----------------------------------------------------------------------------------------------------------- */

struct statsd_counters {
	uint64_t datagrams, lines, malformed, folded, conflicts, expired;
};

struct statsd_series {
	uint32_t family, next_in_family, next_in_bucket; /* indexes + 1; 0 = none */
	uint32_t label_count, labels_size;
	uint64_t hash, seen_ns;
	double value;                  /* counter, gauge; set: of the last whole window */
	uint64_t window_ns;            /* set: when this window began; 0 = the first is still open */
	bool whole_window;
	char labels[STATSD_LABELS_LEN]; /* name NUL value NUL … */
};

struct statsd_family {
	char name[STATSD_NAME_LEN];    /* a counter's ends in _total */
	uint32_t stem;                 /* so much of the name is what others must not have with another type */
	enum statsd_type type;
	uint32_t first_series, next_in_bucket; /* indexes + 1; 0 = none */
};

struct statsd;
/* NULL when out of memory. `seed`: no sender can guess which series share a bucket. It counts from `now_ns` on. */
struct statsd *statsd_new(uint32_t max_series, uint64_t max_age_ns, uint64_t seed, uint64_t now_ns);
void statsd_free(struct statsd *statsd);
void statsd_take(struct statsd *statsd, const char *datagram, size_t size, uint64_t now_ns);
/* Counts a datagram that came in longer than any may be. */
void statsd_refuse(struct statsd *statsd);
/* Forgets what is older than max_age. */
void statsd_expire(struct statsd *statsd, uint64_t now_ns);

const struct statsd_counters *statsd_counters(const struct statsd *statsd);
uint32_t statsd_series_count(const struct statsd *statsd);
uint64_t statsd_started_ns(const struct statsd *statsd);
/* Family `index`, NULL beyond the last, without a first series where there is none; and a series by the indexes in the structs. */
const struct statsd_family *statsd_family(const struct statsd *statsd, uint32_t index);
const struct statsd_series *statsd_series(const struct statsd *statsd, uint32_t index_plus_one);
const struct histogram *statsd_histogram(const struct statsd *statsd, const struct statsd_series *series);
/* How many different values a set has; of the window that is open while there is no whole one. */
double statsd_distinct(const struct statsd *statsd, const struct statsd_series *series);

#endif
