/* SPDX-License-Identifier: Apache-2.0 */
/* The table of exporters, and nothing else. */
#include "push/exporter.h"

/* clang-format off */
const struct exporter *const exporters[OUTPUT_KIND_COUNT] = {
	[OUTPUT_ALERTMANAGER] = &alertmanager_exporter,
	[OUTPUT_MAIL] = &mail_exporter,
	[OUTPUT_OTLP] = &otlp_exporter,
	[OUTPUT_REMOTE_WRITE] = &remote_write_exporter,
	[OUTPUT_WEBHOOK] = &webhook_exporter,
};
/* clang-format on */
