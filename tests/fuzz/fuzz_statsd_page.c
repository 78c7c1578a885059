/* SPDX-License-Identifier: Apache-2.0 */
/* What another process wrote into the page of StatsD series, of any content: refused, or within its bounds and fit to be written out. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "publish/metric.h"
#include "publish/statsd_page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { SERIES = 8 };
	static struct statsd *statsd;
	static struct statsd_page *page;
	static struct text buffer, out;
	uint64_t written_ns;
	if (!statsd) {
		statsd = statsd_new(SERIES, 0, 0, 0);
		page = calloc(1, statsd_page_size(SERIES));
	}
	size_t room = statsd_page_size(SERIES) - sizeof(*page);
	page->used = size < room ? size : room;
	page->version = 2;
	memcpy(page->bytes, data, page->used);
	int error = statsd_page_read(page, statsd, &buffer, &written_ns);
	assert(statsd_series_count(statsd) <= SERIES && (!error || !statsd_series_count(statsd)));
	const struct metric_context context = { .statsd = statsd };
	text_reset(&out);
	metrics_write(&openmetrics_writer, &context, 1U << METRIC_OF_STATSD, &out);
	assert(!out.failed);
	return 0;
}
