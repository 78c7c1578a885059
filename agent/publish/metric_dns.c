/* SPDX-License-Identifier: Apache-2.0 */
/* DNS requests by cgroup, server and result, with the exact rest of each result as one more series. */
#include <stdio.h>

#include "publish/address.h"
#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

/* RFC 1035 and its followers; the numbers in between are not in use. */
static const char *const result_names[DNS_RESULT_COUNT] = {
	"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
	"RCODE11", "RCODE12", "RCODE13", "RCODE14", "RCODE15", [DNS_RESULT_TIMEOUT] = "timeout",
};

static uint64_t figure(const struct metric *metric, const struct dns_counts *counts)
{
	return *(const uint64_t *)((const char *)counts + metric->field);
}

static void emit(const struct metric *metric, struct metric_sink *sink, const char *cgroup, const char *server, uint32_t result, uint64_t value)
{
	struct label labels[] = { { "cgroup", cgroup }, { "server", server }, { "rcode", result_names[result] } };

	sink_sample(sink, labels, LABEL_COUNT(labels), value, metric->value == VALUE_NS ? 9 : 0);
}

static void emit_requests(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = context->snap;
	uint64_t named[DNS_RESULT_COUNT] = { 0 };

	if (!snap || !context_fresh(context, snap->dns.measured_ns))
		return;
	for (uint32_t i = 0; i < snap->dns.count && i < context->shown->process_count; i++) {
		const struct dns_row *row = &snap->dns.each[i];
		const struct cgroup *cgroup = snapshot_cgroup(snap, row->key.cgroup_id);
		char server[ADDRESS_LEN];

		if (!cgroup || row->key.result >= DNS_RESULT_COUNT)
			continue;
		address_format(server, row->key.server);
		emit(metric, sink, cgroup->path, server, row->key.result, figure(metric, &row->counts));
		named[row->key.result] += figure(metric, &row->counts);
	}
	for (uint32_t result = 0; result < DNS_RESULT_COUNT; result++) {
		uint64_t total = figure(metric, &snap->dns.total[result]);
		if (total)
			emit(metric, sink, "other", "other", result, total > named[result] ? total - named[result] : 0);
	}
}

static void emit_latency(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	(void)metric;
	if (context->snap && context_fresh(context, context->snap->dns.measured_ns))
		sink_histogram(sink, NULL, 0, &context->snap->dns.latency);
}

static const struct metric rows[] = {
	{ .name = "nodemend_dns_latency_seconds", .type = METRIC_HISTOGRAM, .unit = "seconds", .source = COLLECTOR_DNS, .emit = emit_latency,
	  .help = "Time from a DNS request of this node to its answer." },
	{ .name = "nodemend_dns_request_seconds_total", .type = METRIC_COUNTER, .unit = "seconds", .source = COLLECTOR_DNS, .emit = emit_requests,
	  .help = "Time that DNS requests took; divide by dns_requests_total.", .field = offsetof(struct dns_counts, sum_ns), .value = VALUE_NS },
	{ .name = "nodemend_dns_requests_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_DNS, .emit = emit_requests,
	  .help = "DNS requests of this node that were answered, by result, or given up (timeout).", .field = offsetof(struct dns_counts, requests) },
};

const struct metric_table metrics_of_dns = { rows, sizeof(rows) / sizeof(rows[0]) };
