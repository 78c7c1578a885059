/* SPDX-License-Identifier: Apache-2.0 */
/* See metric_series.h. Formats that know a histogram only as a whole get the parts of a text file's as families of their own. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "publish/metric_series.h"

enum { MAX_INDEXED = 4096, SLOTS = 2 * MAX_INDEXED };

struct entry {
	const char *name, *help;
	struct series_cursor samples;
	uint8_t type;
	uint8_t source;
	bool written;
};

/* Of one snapshot; rebuilt for every writing, since each is of another or of other freshness. */
static struct {
	const struct metric_selection *selection;
	uint32_t count;
	uint16_t slots[SLOTS];       /* index + 1 */
	struct entry each[MAX_INDEXED];
} indexed;

static uint32_t hash(const char *name)
{
	uint32_t value = 2166136261U;
	for (; *name; name++)
		value = (value ^ (unsigned char)*name) * 16777619U;
	return value;
}

static struct entry *find(const char *name, uint32_t *ret_slot)
{
	uint32_t slot = hash(name) % SLOTS;
	for (; indexed.slots[slot]; slot = (slot + 1) % SLOTS)
		if (strcmp(indexed.each[indexed.slots[slot] - 1].name, name) == 0)
			return &indexed.each[indexed.slots[slot] - 1];
	*ret_slot = slot;
	return NULL;
}

static void add(const struct entry *entry)
{
	uint32_t slot;
	if (indexed.count == MAX_INDEXED || find(entry->name, &slot))
		return;
	indexed.each[indexed.count++] = *entry;
	indexed.slots[slot] = (uint16_t)indexed.count;
}

static bool is_fresh(const struct snapshot *snap, const struct series_block *block)
{
	return block->measured_ns + block->fresh_for_ns >= snap->boot_ns;
}

/* The text files' come last: a name that is another's already is not theirs. */
static void index_blocks(const struct snapshot *snap, bool of_textfile)
{
	struct series_cursor blocks = series_begin(&snap->series), families;

	for (const struct series_block *block; (block = series_next_block(&blocks, &families));) {
		struct entry entry = { 0 };
		if ((block->source == SERIES_TEXTFILE) != of_textfile || !is_fresh(snap, block))
			continue;
		for (const struct series_family *family; (family = series_next_family(&families, &entry.name, &entry.help, &entry.samples));) {
			/* Theirs counts it among netdev's; the file stands with netclass'. */
			entry.source = strcmp(entry.name, "node_network_receive_nohandler_total") == 0 ? SERIES_NETDEV : (uint8_t)block->source;
			entry.type = family->type;
			add(&entry);
		}
	}
}

void series_index(const struct metric_context *context, const struct metric_selection *selection)
{
	indexed.selection = selection;
	memset(indexed.slots, 0, sizeof(indexed.slots));
	indexed.count = 0;
	if (!context->snap || !context_fresh(context, context->snap->boot_ns))
		return;
	index_blocks(context->snap, false);
	index_blocks(context->snap, true);
}

/* --- writing ------------------------------------------------------------------------------------------------------------ */

static const enum metric_type metric_types[SERIES_TYPE_COUNT] = {
	[SERIES_COUNTER] = METRIC_COUNTER, [SERIES_GAUGE] = METRIC_GAUGE, [SERIES_UNTYPED] = METRIC_UNTYPED,
	[SERIES_HISTOGRAM] = METRIC_HISTOGRAM, [SERIES_SUMMARY] = METRIC_SUMMARY,
};

/* The samples of one family; those with `suffix` alone, where it is not SERIES_SUFFIX_COUNT. */
static void write_samples(const struct entry *entry, uint32_t suffix, struct metric_sink *sink)
{
	struct series_cursor samples = entry->samples;
	const char *strings[2 * SERIES_MAX_LABELS];
	struct label labels[SERIES_MAX_LABELS];

	sink->samples = 0;
	for (const struct series_sample *sample; (sample = series_next_sample(&samples, strings));) {
		if (suffix != SERIES_SUFFIX_COUNT && sample->suffix != suffix)
			continue;
		for (uint32_t i = 0; i < sample->labels; i++)
			labels[i] = (struct label){ strings[2 * i], strings[2 * i + 1] };
		sink->suffix = suffix == SERIES_SUFFIX_COUNT ? series_suffixes[sample->suffix] : "";
		sink_real(sink, labels, sample->labels, sample->value);
	}
	sink->suffix = "";
	if (sink->samples)
		sink->writer->end_family(sink);
}

static void write_entry(struct entry *entry, struct metric_sink *sink)
{
	char name[320];
	struct metric metric = { .name = entry->name, .help = entry->help, .unit = "", .type = metric_types[entry->type] };
	bool parted = entry->type == SERIES_HISTOGRAM || entry->type == SERIES_SUMMARY;

	entry->written = true;
	sink->metric = &metric;
	if (!parted || sink->writer->takes_parts) {
		write_samples(entry, SERIES_SUFFIX_COUNT, sink);
	} else {
		metric.type = METRIC_UNTYPED;
		metric.name = name;
		for (uint32_t suffix = 0; suffix < SERIES_SUFFIX_COUNT; suffix++) {
			snprintf(name, sizeof(name), "%s%s", entry->name, series_suffixes[suffix]);
			write_samples(entry, suffix, sink);
		}
	}
	sink->metric = NULL;
}

bool series_write_instead(const struct metric *metric, struct metric_sink *sink)
{
	uint32_t slot;
	struct entry *entry = find(metric->name, &slot);

	if (!entry || entry->source == SERIES_TEXTFILE)
		return false;
	write_entry(entry, sink);
	return true;
}

bool series_has(const char *name)
{
	uint32_t slot;
	return find(name, &slot);
}

static bool is_selected(uint32_t source)
{
	const struct metric_selection *selection = indexed.selection;
	return selection_is_whole(selection) || selection->sources & 1u << COLLECTOR_HOST || selection->series >> source & 1;
}

void series_write_rest(struct metric_sink *sink)
{
	for (uint32_t i = 0; i < indexed.count; i++) {
		struct entry *entry = &indexed.each[i];
		if (!entry->written && is_selected(entry->source) &&
		    (entry->source != SERIES_TEXTFILE || !metric_by_name(entry->name)))
			write_entry(entry, sink);
	}
}

/* --- node_exporter's names for parts of our tables ---------------------------------------------------------------------- */

static const struct { const char *prefix; enum series_source source; } parts[] = {
	{ "node_boot_time_seconds", SERIES_STAT }, { "node_context_switches_total", SERIES_STAT }, { "node_cpu_", SERIES_CPU },
	{ "node_disk_", SERIES_DISKSTATS }, { "node_filesystem_", SERIES_FILESYSTEM }, { "node_forks_total", SERIES_STAT },
	{ "node_intr_total", SERIES_STAT }, { "node_load", SERIES_LOADAVG }, { "node_memory_", SERIES_MEMINFO },
	{ "node_netstat_", SERIES_NETSTAT }, { "node_network_receive_", SERIES_NETDEV }, { "node_network_transmit_", SERIES_NETDEV },
	{ "node_network_", SERIES_NETCLASS }, { "node_pressure_", SERIES_PRESSURE }, { "node_procs_", SERIES_STAT },
	{ "node_time_", SERIES_TIME }, { "node_vmstat_", SERIES_VMSTAT },
};

bool series_selects(const struct metric_selection *selection, const struct metric *metric)
{
	if (selection_is_whole(selection))
		return true;
	if (selection->sources & 1u << metric->source || (selection->series && metric->source == COLLECTOR_HOST))
		return true;
	for (size_t i = 0; selection->series && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strncmp(metric->name, parts[i].prefix, strlen(parts[i].prefix)) == 0)
			return selection->series >> parts[i].source & 1;
	return false;
}

int metric_select(struct metric_selection *selection, const char *name)
{
	int source = metric_source_by_name(name), found = source < 0 ? source : 0;

	if (source >= 0)
		selection->sources |= 1u << source;
	for (uint32_t i = 0; i < SERIES_SOURCE_COUNT; i++) {
		if (strcmp(series_source_names[i], name) == 0) {
			selection->series |= 1ULL << i;
			found = 0;
		}
	}
	return found;
}

/* --- how the readings went ---------------------------------------------------------------------------------------------- */

/* Where another collector of ours does a collector of theirs. */
static const struct { enum series_source source; enum collector_id collector; } done_by[] = {
	{ SERIES_LOADAVG, COLLECTOR_CPU }, { SERIES_PRESSURE, COLLECTOR_PSI }, { SERIES_STAT, COLLECTOR_CPU },
};

static void emit_readings(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	bool of_success = metric->field != 0;
	if (!context->snap || !context_fresh(context, context->snap->series.measured_ns))
		return;

	struct series_cursor blocks = series_begin(&context->snap->series), families;
	for (const struct series_block *block; (block = series_next_block(&blocks, &families));) {
		struct label label = { "collector", series_source_names[block->source] };
		if (!is_selected(block->source))
			continue;
		if (of_success)
			sink_sample(sink, &label, 1, block->success == 1 && is_fresh(context->snap, block), 0);
		else
			sink_sample(sink, &label, 1, block->took_ns, 9);
	}
	for (size_t i = 0; i < sizeof(done_by) / sizeof(done_by[0]); i++) {
		struct label label = { "collector", series_source_names[done_by[i].source] };
		if (!is_selected(done_by[i].source))
			continue;
		if (of_success)
			sink_sample(sink, &label, 1, context_collecting(context, done_by[i].collector), 0);
		else
			sink_sample(sink, &label, 1, context->snap->collectors[done_by[i].collector].collect_ns, 9);
	}
}

static const struct metric rows[] = {
	{ .name = "node_scrape_collector_duration_seconds", .type = METRIC_GAUGE, .unit = "seconds", .source = COLLECTOR_HOST,
	  .emit = emit_readings, .help = "How long the last reading took, by node_exporter's name for it." },
	{ .name = "node_scrape_collector_success", .type = METRIC_GAUGE, .unit = "", .source = COLLECTOR_HOST, .emit = emit_readings, .field = 1,
	  .help = "1 where the last reading found what it looks for, by node_exporter's name for it." },
};

const struct metric_table metrics_of_series = { rows, sizeof(rows) / sizeof(rows[0]) };
