/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Series whose families are named by the snapshot (include/series.h), beside the table's. Where both have a family, the snapshot's is
 * written in its place: it has node_exporter's filters and label sets to the letter.
 */
#ifndef NODEMEND_PUBLISH_METRIC_SERIES_H
#define NODEMEND_PUBLISH_METRIC_SERIES_H

#include "publish/metric.h"

/* What of it a request asks for; all zero: everything. */
struct metric_selection {
	uint32_t sources;            /* bits of metric_source_by_name() */
	uint64_t series;             /* bits of enum series_source: node_exporter's own collector names */
};

static inline bool selection_is_whole(const struct metric_selection *selection)
{
	return !selection->sources && !selection->series;
}

/* Adds what `name` stands for in either list, or both. 0 or -ENOENT. */
int metric_select(struct metric_selection *selection, const char *name);

/* For metrics_write_selected() alone. */
void series_index(const struct metric_context *context, const struct metric_selection *selection);
bool series_selects(const struct metric_selection *selection, const struct metric *metric);
bool series_write_instead(const struct metric *metric, struct metric_sink *sink); /* false: the snapshot has no such family */
void series_write_rest(struct metric_sink *sink);
bool series_has(const char *name); /* whether this writing's snapshot has a family of that name */

void metrics_write_selected(const struct metric_writer *writer, const struct metric_context *context,
	const struct metric_selection *selection, struct text *out);

#endif
