/* SPDX-License-Identifier: Apache-2.0 */
/* See render.h. */
#include "publish/publish.h"

static const struct metric_writer *const writers[EXPOSITION_COUNT] = {
	[EXPOSITION_TEXT] = &prometheus_writer,
	[EXPOSITION_OPENMETRICS] = &openmetrics_writer,
	[EXPOSITION_PROTOBUF] = &protobuf_writer,
	[EXPOSITION_JSON] = &json_writer,
};

static void forget(struct rendering *rendering)
{
	if (rendering->page)
		rendering->page->outdated = true;
	page_release(rendering->page);
	rendering->page = NULL;
}

void renderings_free(struct renderings *renderings)
{
	for (int i = 0; i < EXPOSITION_COUNT; i++)
		forget(&renderings->whole[i]);
	for (int i = 0; i < RENDER_FILTERED; i++)
		forget(&renderings->filtered[i]);
}

static size_t bytes_of(const struct page *page)
{
	return page ? page->length + page->packed_length : 0;
}

size_t renderings_current_bytes(const struct publisher *publisher)
{
	const struct rendering *whole = publisher->renderings.whole;
	size_t bytes = publisher->feed != whole[EXPOSITION_JSON].page ? bytes_of(publisher->feed) : 0;
	for (int i = 0; i < EXPOSITION_COUNT; i++)
		bytes += bytes_of(whole[i].page);
	return bytes;
}

static bool snapshot_fresh(const struct publisher *publisher, uint64_t now_ns)
{
	struct metric_context context;
	publisher_context(publisher, now_ns, &context);
	return context.snap && context_fresh(&context, context.snap->boot_ns);
}

static bool is_good(const struct publisher *publisher, const struct rendering *rendering, uint64_t now_ns)
{
	uint64_t interval_ns = publisher->seq ? publisher->snap->interval_ns : NSEC_PER_SEC;
	return rendering->page && rendering->seq == publisher->seq && rendering->records == publisher->records->changes &&
	       now_ns - rendering->made_ns < interval_ns && rendering->fresh == snapshot_fresh(publisher, now_ns);
}

static bool is_same(const struct metric_selection *one, const struct metric_selection *other)
{
	return one->sources == other->sources && one->series == other->series;
}

/* The place for one more page of this filter: its own, a free one, or that of the oldest. What has had its time makes room first. */
static struct rendering *place_of(struct publisher *publisher, enum exposition format, const struct metric_selection *selection, uint64_t now_ns)
{
	struct rendering *filtered = publisher->renderings.filtered, *place = &filtered[0];
	size_t bytes = 0;
	if (selection_is_whole(selection))
		return &publisher->renderings.whole[format];

	for (int i = 0; i < RENDER_FILTERED; i++) {
		if (!is_good(publisher, &filtered[i], now_ns))
			forget(&filtered[i]);
		else if (filtered[i].format == format && is_same(&filtered[i].selection, selection))
			return &filtered[i];
		else
			bytes += filtered[i].page->length;
		if (place->page && (!filtered[i].page || filtered[i].made_ns < place->made_ns))
			place = &filtered[i];
	}
	for (int i = 0; i < RENDER_FILTERED && bytes > RENDER_FILTERED_BYTES; i++) {
		bytes -= filtered[i].page ? filtered[i].page->length : 0;
		forget(&filtered[i]);
	}
	return place;
}

struct page *metrics_page(struct publisher *publisher, enum exposition format, const struct metric_selection *selection, uint64_t now_ns)
{
	struct rendering *place = place_of(publisher, format, selection, now_ns);
	if (is_good(publisher, place, now_ns) && place->format == format && is_same(&place->selection, selection))
		return page_keep(place->page);

	struct metric_context context;
	struct text text = { 0 };
	publisher_context(publisher, now_ns, &context);
	metrics_write_selected(writers[format], &context, selection, &text);
	if (format == EXPOSITION_JSON)
		text_append(&text, "\n", 1);
	publisher->counters.renderings++;

	forget(place);
	struct page *page = page_take(&publisher->pages, &text);
	text_free(&text);
	if (!page)
		return NULL;
	*place = (struct rendering){ .format = format, .selection = *selection, .seq = publisher->seq, .records = publisher->records->changes,
				     .made_ns = now_ns, .fresh = snapshot_fresh(publisher, now_ns), .page = page };
	return page_keep(page);
}
