/* SPDX-License-Identifier: Apache-2.0 */
/* Which incident a sample belongs to: of a counter, by what the incident is about or what caused it; of a histogram of latencies, by a single call that is on record. */
#ifndef NODEMEND_PUBLISH_EXEMPLAR_H
#define NODEMEND_PUBLISH_EXEMPLAR_H

#include "publish/metric.h"

/* Whether there is one for the sample of sink->metric with these labels and this value. */
bool exemplar_find(const struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, struct exemplar *ret);
/* …for the histogram of sink->metric with these labels: the newest call of a cause of an incident. Its value is in nanoseconds. */
bool exemplar_find_call(const struct metric_sink *sink, const struct label *labels, uint32_t count, struct exemplar *ret);

#endif
