/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of whoever reaches the StatsD socket: bounds hold, and what is kept can be written in every format. */
#include <assert.h>
#include <stdlib.h>

#include "publish/metric.h"
#include "publish/statsd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct metric_writer *const writers[] = { &prometheus_writer, &openmetrics_writer, &protobuf_writer, &json_writer };
	static struct statsd *statsd;
	static struct text out;
	static uint64_t now_ns = NSEC_PER_SEC;
	if (!statsd)
		statsd = statsd_new(16, 100 * NSEC_PER_SEC, 1, NSEC_PER_SEC);
	now_ns += NSEC_PER_SEC;
	statsd_take(statsd, (const char *)data, size, now_ns);
	statsd_expire(statsd, now_ns);
	assert(statsd_series_count(statsd) <= 16);
	const struct metric_context context = { .statsd = statsd };
	for (size_t i = 0; i < 4; i++) {
		text_reset(&out);
		metrics_write(writers[i], &context, 1U << METRIC_OF_STATSD, &out);
		assert(!out.failed);
	}
	return 0;
}
