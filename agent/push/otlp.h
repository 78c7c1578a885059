/* SPDX-License-Identifier: Apache-2.0 */
/* OpenTelemetry over HTTP: the exporter, and what its parcels are sent as. */
#ifndef NODEMEND_PUSH_OTLP_H
#define NODEMEND_PUSH_OTLP_H

#include "push/exporter.h"

enum otlp_signal { OTLP_METRICS, OTLP_LOGS, OTLP_TRACES, OTLP_SIGNAL_COUNT };

extern const struct exporter otlp_exporter;

#endif
