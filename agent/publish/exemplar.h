/* SPDX-License-Identifier: Apache-2.0 */
/* Which incident a counter's sample belongs to: what the incident is about, or what caused it. */
#ifndef NODEMEND_PUBLISH_EXEMPLAR_H
#define NODEMEND_PUBLISH_EXEMPLAR_H

#include "publish/metric.h"

/* Whether there is one for the sample of sink->metric with these labels and this value. */
bool exemplar_find(const struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, struct exemplar *ret);

#endif
