/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of metrics that /metrics, the JSON feed and docs/metrics.md are made from. A row says name, type, unit, help
 * and collector; its emitter reads the snapshot and hands out samples, and a writer gives them their format. A number that is
 * unknown, or whose source has gone stale, is not handed out at all.
 */
#ifndef NODEMEND_PUBLISH_METRIC_H
#define NODEMEND_PUBLISH_METRIC_H

#include <stdio.h>

#include "config.h"
#include "publish/text.h"
#include "snapshot.h"

struct output_page;
struct records;
struct statsd;

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_INFO, METRIC_UNTYPED, METRIC_SUMMARY };

/* `collect[]` names of doctor, one for what the agent says of itself, and one for what came in as StatsD. */
enum { METRIC_OF_AGENT = COLLECTOR_COUNT, METRIC_OF_STATSD, METRIC_SOURCES };
const char *metric_source_name(uint32_t source);
int metric_source_by_name(const char *name); /* -ENOENT */

/* The publisher's own counters: everything it had to turn away. */
struct publisher_counters {
	uint64_t requests, renderings, rejected, slow_closed, busy_refused, strangers, strangers_later, streams_dropped, streams_refused, messages_bad, feed_errors, ring_errors;
};

enum { SHOWN_MAX = 1024 };

/* Which rows of the long tables are shown: chosen once a snapshot, so that all outputs of one snapshot agree. */
struct shown {
	uint32_t process_count, cgroup_count;
	uint32_t processes[SHOWN_MAX], cgroups[SHOWN_MAX]; /* indexes into the snapshot, ascending */
	uint32_t writers;                                       /* the first so many of snapshot.writers */
	/* What those that are not shown add up to, exactly; for cgroups with the rest of rows that are gone. */
	union usage other_processes, other_cgroups;
	union lives other_lives;
	uint64_t folded_processes, folded_cgroups, folded_writers; /* series left out, summed over all snapshots */
};

/* At most `most` rows of each table. Adds what is left out to the folded counters. */
void shown_choose(struct shown *shown, const struct snapshot *snap, uint32_t most);

/* What emitters read. */
struct metric_context {
	const struct snapshot *snap; /* NULL: none yet */
	uint64_t now_ns;             /* CLOCK_BOOTTIME: the snapshot as a whole may have gone stale, too */
	const struct shown *shown;
	const struct records *records;
	const struct publisher_counters *counters; /* NULL: not in this process */
	const struct output_page *outputs;         /* NULL: none */
	const struct statsd *statsd;               /* NULL: not configured, or not in this process */
};

struct label {
	const char *name, *value;    /* value: as it came, hostile; the writer escapes it */
};

/* What a counter's sample, or a bucket of a histogram, is an example of: the incident it belongs to. */
struct exemplar {
	const char *incident;        /* its id */
	uint64_t value;              /* as the sample's, with as many decimals; of a histogram: ns */
	int64_t wall_ns;
};

struct metric;
struct metric_sink;

struct metric_writer {
	void (*begin)(struct metric_sink *sink, const struct metric_context *context);
	void (*begin_family)(struct metric_sink *sink);
	/* value / 10^decimals */
	void (*sample)(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals);
	/* Where value is no whole number of such; NULL: none of this kind are written. */
	void (*real)(struct metric_sink *sink, const struct label *labels, uint32_t count, double value);
	void (*histogram)(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *histogram);
	void (*end_family)(struct metric_sink *sink);
	void (*end)(struct metric_sink *sink);
	bool takes_parts;             /* a histogram sample by sample, and summaries */
	bool takes_infinite;          /* infinity and NaN */
};

struct metric_sink {
	const struct metric_writer *writer;
	struct text *out;
	const struct metric_context *context;
	const struct metric *metric;  /* the family being written */
	const struct exemplar *exemplar; /* of the sample being written; NULL: none */
	const char *suffix;           /* of the sample's name, where the writer takes_parts */
	uint32_t samples;             /* of this family, so far */
	uint32_t families;            /* begun so far */
	size_t family_at;             /* for a writer that has to go back to a family's beginning */
	struct text scratch;          /* likewise for one that needs a place; freed when all is written */
	char le[HISTOGRAM_CLASSIC][24]; /* the classic buckets' upper bounds in seconds */
};

/* How to read a number at `field`. */
enum metric_value { VALUE_U64, VALUE_NS, VALUE_MILLI, VALUE_CENTI, VALUE_BOOL, VALUE_U32, VALUE_BITS };

struct metric {
	const char *name;
	enum metric_type type;
	const char *unit;             /* "" = none */
	const char *help;
	uint32_t source;              /* enum collector_id or METRIC_OF_AGENT */
	void (*emit)(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink);
	/* For emitters that serve many rows of this table. */
	size_t field;                 /* offset in the struct that the emitter walks */
	enum metric_value value;
	const char *label;
};

struct metric_table {
	const struct metric *each;
	size_t count;
};
extern const struct metric_table metrics_of_host;
extern const struct metric_table metrics_of_writer;
extern const struct metric_table metrics_of_identity;
extern const struct metric_table metrics_of_socket;
extern const struct metric_table metrics_of_tcp;
extern const struct metric_table metrics_of_drop;
extern const struct metric_table metrics_of_dns;
extern const struct metric_table metrics_of_outlook;
extern const struct metric_table metrics_of_logs;
extern const struct metric_table metrics_of_reclaim;
extern const struct metric_table metrics_of_kills;
extern const struct metric_table metrics_of_block;
extern const struct metric_table metrics_of_file;
extern const struct metric_table metrics_of_sched;
extern const struct metric_table metrics_of_irq;
extern const struct metric_table metrics_of_syscall;
extern const struct metric_table metrics_of_processes;
extern const struct metric_table metrics_of_bottleneck;
extern const struct metric_table metrics_of_cost;
extern const struct metric_table metrics_of_kernel;
extern const struct metric_table metrics_of_outputs;
extern const struct metric_table metrics_of_series;
extern const struct metric_table metrics_of_statsd;
extern const struct metric_table metrics_of_agent;
extern const struct metric_table metrics_of_anomaly;
/* All of them, in the order of the outputs; NULL ends the list. */
extern const struct metric_table *const metric_tables[];

/*
 * Families whose names are known only when they are written: what applications send. A provider comes after the tables: for each
 * family it calls sink_family with a row of its own (no emitter; name, unit and help stay until the family's end), then hands out
 * the samples as any emitter does, and sink_family_end. The names are the provider's to keep valid and apart from each other's and
 * the tables' (a counter's ends in _total); what it hands out as text may be hostile.
 */
struct metric_provider {
	uint32_t source;
	void (*emit)(const struct metric_context *context, struct metric_sink *sink);
};
extern const struct metric_provider *const metric_providers[]; /* NULL ends the list */
void sink_family(struct metric_sink *sink, const struct metric *family);
void sink_family_end(struct metric_sink *sink);

/* For emitters. */
/* Whether a later mount of the same device and type lies on the same mount point. */
bool filesystem_is_covered(const struct filesystem_section *section, uint32_t index);
bool context_fresh(const struct metric_context *context, uint64_t measured_ns);
bool context_collecting(const struct metric_context *context, enum collector_id id); /* its collector is up or degraded,
	not stepped down to off, and the snapshot fresh */
/* "" for one without a row. */
const char *context_cgroup_path(const struct metric_context *context, uint64_t id);
/* NULL for one that has no series of its own. */
const struct cgroup *context_shown_cgroup(const struct metric_context *context, uint64_t id);
void sink_sample(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals);
void sink_real(struct metric_sink *sink, const struct label *labels, uint32_t count, double value);
void sink_histogram(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *histogram);
/* The number at `row` + metric->field in the way metric->value says; UNKNOWN is left out. */
void sink_field(struct metric_sink *sink, const struct metric *metric, const struct label *labels, uint32_t count, const void *row);

/* What every family by cgroup says of it: path, unit and, where they are known, namespace, pod and container. How many. */
enum { CGROUP_LABELS = 5 };
uint32_t cgroup_labels(const struct snapshot *snap, const struct cgroup *cgroup, struct label labels[CGROUP_LABELS]);

/* Cumulative counts of the classic buckets; the last is +Inf, which is the count of all. */
void histogram_classic(const struct histogram *histogram, uint64_t ret_below[HISTOGRAM_CLASSIC + 1]);

/* Which of the classic buckets holds it; HISTOGRAM_CLASSIC: +Inf. */
uint32_t histogram_classic_of(uint64_t ns);

/* The row of that name; NULL. */
const struct metric *metric_by_name(const char *name);

/* All families, or those whose source's bit is set in `sources` (0 = all). */
void metrics_write(const struct metric_writer *writer, const struct metric_context *context, uint32_t sources, struct text *out);

extern const struct metric_writer prometheus_writer, openmetrics_writer, protobuf_writer, json_writer;

/* The reference in Markdown, for docs/metrics.md. */
void metrics_print_reference(FILE *out);

#endif
