/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the metric tables for whichever writer; see metric.h. */
#include "publish/exemplar.h"
#include "publish/metric.h"

#include <errno.h>
#include <math.h>

#include "collector.h"
#include "mask.h"
#include "publish/metric_series.h"

/* clang-format off */
const struct metric_table *const metric_tables[] = {
	&metrics_of_host,
	&metrics_of_outlook,
	&metrics_of_writer,
	&metrics_of_identity,
	&metrics_of_socket,
	&metrics_of_tcp,
	&metrics_of_drop,
	&metrics_of_dns,
	&metrics_of_logs,
	&metrics_of_reclaim,
	&metrics_of_anomaly,
	&metrics_of_kills,
	&metrics_of_block,
	&metrics_of_file,
	&metrics_of_sched,
	&metrics_of_irq,
	&metrics_of_syscall,
	&metrics_of_processes,
	&metrics_of_bottleneck,
	&metrics_of_cost,
	&metrics_of_agent,
	&metrics_of_outputs,
	&metrics_of_series,
	&metrics_of_statsd,
	NULL,
};

extern const struct metric_provider statsd_provider;
const struct metric_provider *const metric_providers[] = {
	&statsd_provider,
	NULL,
};
/* clang-format on */

const char *metric_source_name(uint32_t source)
{
	return source < COLLECTOR_COUNT ? collector_names[source] : source == METRIC_OF_AGENT ? "agent" : "statsd";
}

int metric_source_by_name(const char *name)
{
	for (uint32_t source = 0; source < METRIC_SOURCES; source++)
		if (strcmp(metric_source_name(source), name) == 0)
			return (int)source;
	return -ENOENT;
}

bool context_fresh(const struct metric_context *context, uint64_t measured_ns)
{
	const struct snapshot *snap = context->snap;
	return snap && snapshot_is_fresh(snap, measured_ns) && snap->boot_ns + 3 * snap->interval_ns >= context->now_ns;
}

bool context_collecting(const struct metric_context *context, enum collector_id id)
{
	const struct snapshot *snap = context->snap;
	if (!snap || !context_fresh(context, snap->boot_ns))
		return false;
	for (uint32_t i = 0; i < snap->collector_count && i < MAX_COLLECTORS; i++) {
		const struct collector_status *status = &snap->collectors[i];
		if (strcmp(status->name, collector_names[id]) == 0)
			return (status->state == COLLECTOR_UP || status->state == COLLECTOR_DEGRADED) && !(status->adjustable && status->depth == DEPTH_OFF);
	}
	return false;
}

const char *context_cgroup_path(const struct metric_context *context, uint64_t id)
{
	const struct cgroup *cgroup = id ? snapshot_cgroup(context->snap, id) : NULL;
	return cgroup ? cgroup->path : "";
}

static void begin_family_once(struct metric_sink *sink)
{
	if (sink->samples++)
		return;
	sink->writer->begin_family(sink);
	sink->families++;
}

void sink_family(struct metric_sink *sink, const struct metric *family)
{
	sink->metric = family;
	sink->samples = 0;
}

void sink_family_end(struct metric_sink *sink)
{
	if (sink->samples)
		sink->writer->end_family(sink);
}

/* Labels with a secret in a value, copied. More than two in one sample have never been seen. */
enum { HIDDEN_MAX = 4 };
struct hidden_labels {
	struct label each[SERIES_MAX_LABELS];
	uint32_t used;
	char text[HIDDEN_MAX + 1][PATH_LEN]; /* the last one is for trying */
};

/* Names of processes, units, devices and mounts are whoever's who chose them. Only with one of these marks can they say a secret. */
static const struct label *hide_secrets(const struct label *labels, uint32_t count, struct hidden_labels *room)
{
	const struct label *shown = labels;
	bool any = mask_has_patterns();
	room->used = 0;
	for (uint32_t i = 0; i < count && count <= SERIES_MAX_LABELS; i++) {
		char *text = room->text[room->used];
		if (!strpbrk(labels[i].value, "=@:") && !any)
			continue;
		mask_text(text, sizeof(room->text[0]), labels[i].value);
		if (strcmp(text, labels[i].value) == 0)
			continue;
		if (shown == labels) {
			memcpy(room->each, labels, count * sizeof(*labels));
			shown = room->each;
		}
		room->each[i].value = room->used < HIDDEN_MAX ? text : "***";
		room->used += room->used < HIDDEN_MAX;
	}
	return shown;
}

void sink_sample(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	struct hidden_labels room;
	struct exemplar exemplar;
	begin_family_once(sink);
	sink->exemplar = exemplar_find(sink, labels, count, value, &exemplar) ? &exemplar : NULL;
	sink->writer->sample(sink, hide_secrets(labels, count, &room), count, value, decimals);
	sink->exemplar = NULL;
}

void sink_real(struct metric_sink *sink, const struct label *labels, uint32_t count, double value)
{
	struct hidden_labels room;
	if (!sink->writer->real || (!isfinite(value) && !sink->writer->takes_infinite))
		return;
	begin_family_once(sink);
	sink->writer->real(sink, hide_secrets(labels, count, &room), count, value);
}

void sink_histogram(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *histogram)
{
	struct hidden_labels room;
	struct exemplar exemplar;
	begin_family_once(sink);
	sink->exemplar = exemplar_find_call(sink, labels, count, &exemplar) ? &exemplar : NULL;
	sink->writer->histogram(sink, hide_secrets(labels, count, &room), count, histogram);
	sink->exemplar = NULL;
}

void sink_field(struct metric_sink *sink, const struct metric *metric, const struct label *labels, uint32_t count, const void *row)
{
	static const unsigned int decimals[] = {
		[VALUE_U64] = 0, [VALUE_NS] = 9, [VALUE_MILLI] = 3, [VALUE_CENTI] = 4, [VALUE_BOOL] = 0, [VALUE_U32] = 0, [VALUE_BITS] = 0,
	};
	const char *at = (const char *)row + metric->field;
	uint64_t value;

	switch (metric->value) {
	case VALUE_BOOL:
		value = *(const bool *)at;
		break;
	case VALUE_U32:
	case VALUE_MILLI:
	case VALUE_CENTI:
		value = *(const uint32_t *)at == UINT32_MAX ? UNKNOWN : *(const uint32_t *)at;
		break;
	default:
		value = *(const uint64_t *)at;
	}
	if (value == UNKNOWN)
		return;
	sink_sample(sink, labels, count, metric->value == VALUE_BITS ? value / 8 : value, decimals[metric->value]);
}

static void format_bounds(struct metric_sink *sink)
{
	for (int i = 0; i < HISTOGRAM_CLASSIC; i++) {
		/* 17 digits hold any double; the locale is C: nobody sets one */
		snprintf(sink->le[i], sizeof(sink->le[i]), "%.17g", ldexp(1, HISTOGRAM_CLASSIC_FIRST_EXP + i));
	}
}

uint32_t histogram_classic_of(uint64_t ns)
{
	uint32_t bucket = histogram_bucket(ns), i = 0;
	while (i < HISTOGRAM_CLASSIC && bucket > histogram_last_up_to(HISTOGRAM_CLASSIC_FIRST_EXP + (int)i))
		i++;
	return i;
}

void histogram_classic(const struct histogram *histogram, uint64_t ret_below[HISTOGRAM_CLASSIC + 1])
{
	uint64_t below = 0;
	uint32_t bucket = 0;

	for (uint32_t i = 0; i < HISTOGRAM_CLASSIC; i++) {
		for (uint32_t last = histogram_last_up_to(HISTOGRAM_CLASSIC_FIRST_EXP + (int)i); bucket <= last; bucket++)
			below += histogram->buckets[bucket];
		ret_below[i] = below;
	}
	for (; bucket < HISTOGRAM_BUCKETS; bucket++)
		below += histogram->buckets[bucket];
	ret_below[HISTOGRAM_CLASSIC] = below;
}

const struct metric *metric_by_name(const char *name)
{
	for (const struct metric_table *const *table = metric_tables; *table; table++)
		for (size_t i = 0; i < (*table)->count; i++)
			if (strcmp((*table)->each[i].name, name) == 0)
				return &(*table)->each[i];
	return NULL;
}

void metrics_write(const struct metric_writer *writer, const struct metric_context *context, uint32_t sources, struct text *out)
{
	const struct metric_selection selection = { .sources = sources };
	metrics_write_selected(writer, context, &selection, out);
}

void metrics_write_selected(const struct metric_writer *writer, const struct metric_context *context,
	const struct metric_selection *selection, struct text *out)
{
	struct metric_sink sink = { .writer = writer, .out = out, .context = context, .suffix = "" };
	format_bounds(&sink);
	series_index(context, selection);

	writer->begin(&sink, context);
	for (const struct metric_table *const *table = metric_tables; *table; table++) {
		for (size_t i = 0; i < (*table)->count; i++) {
			const struct metric *metric = &(*table)->each[i];
			if (!series_selects(selection, metric) || series_write_instead(metric, &sink))
				continue;
			sink_family(&sink, metric);
			metric->emit(metric, context, &sink);
			sink_family_end(&sink);
		}
	}
	series_write_rest(&sink);
	for (const struct metric_provider *const *provider = metric_providers; *provider; provider++)
		if (selection_is_whole(selection) || selection->sources & 1u << (*provider)->source)
			(*provider)->emit(context, &sink);
	writer->end(&sink);
	text_free(&sink.scratch);
}

void metrics_print_reference(FILE *out)
{
	static const char *const types[] = {
		[METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram", [METRIC_INFO] = "info",
		[METRIC_UNTYPED] = "untyped", [METRIC_SUMMARY] = "summary",
	};

	fputs("# Metrics\n\n"
	      "Made from the metric tables in `agent/publish`; a test keeps this page equal to them. Names that begin with `node_` are\n"
	      "node_exporter's, with its labels, types and meaning. The last column is the name for `/metrics?collect[]=NAME`. A number\n"
	      "that is unknown on this host, or whose source has not answered for three intervals, is absent. The families of node_exporter that\n"
	      "are named as they are read (each line of /proc/meminfo, each sensor) stand in [node_exporter.md](node_exporter.md).\n\n"
	      "| name | type | unit | what | collector |\n|---|---|---|---|---|\n",
	      out);
	for (const struct metric_table *const *table = metric_tables; *table; table++) {
		for (size_t i = 0; i < (*table)->count; i++) {
			const struct metric *metric = &(*table)->each[i];
			fprintf(out, "| `%s` | %s | %s | %s | %s |\n", metric->name, types[metric->type], metric->unit, metric->help,
				metric_source_name(metric->source));
		}
	}
}
