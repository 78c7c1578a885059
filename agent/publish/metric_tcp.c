/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections by cgroup and by peer service, the dependency map, and listeners. Each family has the exact rest as one more series
 * a direction, so that the sum over the labels is the node's total.
 */
#include <stdio.h>
#include <stdlib.h>

#include "publish/address.h"
#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

static const char *const direction_names[TCP_DIRECTION_COUNT] = { [TCP_OUT] = "out", [TCP_IN] = "in" };
const char *const tcp_end_names[TCP_END_COUNT + 1] = {
	[TCP_END_FIN] = "fin", [TCP_END_RESET_SENT] = "reset_sent", [TCP_END_RESET_RECEIVED] = "reset_received",
	[TCP_END_REFUSED] = "refused", [TCP_END_TIMED_OUT] = "timed_out", [TCP_END_UNREACHABLE] = "unreachable", [TCP_END_OTHER] = "other",
	[TCP_LIVES] = "lives",
};

/* The rest, where a place of the names has none of its own. */
static const char other[] = "other";

static const struct tcp_section *fresh_tcp(const struct metric_context *context)
{
	return context->snap && context_fresh(context, context->snap->tcp.measured_ns) ? &context->snap->tcp : NULL;
}

/* A family may have its figures one each way a connection can end. */
static uint32_t figure_count(const struct metric *metric)
{
	return metric->label ? TCP_END_COUNT : 1;
}

static uint64_t figure(const struct metric *metric, const struct tcp_counts *counts, uint32_t which)
{
	return ((const uint64_t *)((const char *)counts + metric->field))[which];
}

static void emit_figure(const struct metric *metric, struct metric_sink *sink, struct label *labels, uint32_t count, uint32_t which,
			uint64_t value)
{
	if (metric->label)
		labels[count++] = (struct label){ metric->label, tcp_end_names[which] };
	sink_sample(sink, labels, count, value, metric->value == VALUE_NS ? 9 : metric->value == VALUE_CENTI ? 6 : 0);
}

static uint64_t above(uint64_t total, uint64_t named)
{
	return total > named ? total - named : 0;
}

/* --- by cgroup -------------------------------------------------------------------------------------------------------- */

static int compare_key(const void *key_, const void *row)
{
	const struct tcp_cgroup_key *key = key_, *other_key = &((const struct tcp_cgroup *)row)->key;

	if (key->cgroup_id != other_key->cgroup_id)
		return key->cgroup_id > other_key->cgroup_id ? 1 : -1;
	return (key->direction > other_key->direction) - (key->direction < other_key->direction);
}

static void emit_cgroup_direction(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink,
				  enum tcp_direction direction)
{
	const struct snapshot *snap = context->snap;
	uint64_t named[TCP_END_COUNT] = { 0 };
	struct label labels[3] = { [1] = { "direction", direction_names[direction] } };

	for (uint32_t i = 0; i < context->shown->cgroup_count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[context->shown->cgroups[i]];
		struct tcp_cgroup_key key = { .cgroup_id = cgroup->id, .direction = direction };
		const struct tcp_cgroup *row = bsearch(&key, snap->tcp.each, snap->tcp.count, sizeof(snap->tcp.each[0]), compare_key);

		labels[0] = (struct label){ "cgroup", cgroup->path };
		for (uint32_t which = 0; row && which < figure_count(metric); which++) {
			uint64_t value = figure(metric, &row->counts, which);
			named[which] += value;
			if (value)
				emit_figure(metric, sink, labels, 2, which, value);
		}
	}
	labels[0] = (struct label){ "cgroup", other };
	for (uint32_t which = 0; which < figure_count(metric); which++)
		emit_figure(metric, sink, labels, 2, which, above(figure(metric, &snap->tcp.total[direction], which), named[which]));
}

static void emit_cgroups(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	for (int direction = 0; fresh_tcp(context) && direction < TCP_DIRECTION_COUNT; direction++)
		emit_cgroup_direction(metric, context, sink, direction);
}

/* --- by peer ---------------------------------------------------------------------------------------------------------- */

static void emit_peer(const struct metric *metric, const struct snapshot *snap, struct metric_sink *sink, const struct peer *peer,
		      uint64_t named[TCP_DIRECTION_COUNT][TCP_END_COUNT])
{
	const struct cgroup *cgroup = snapshot_cgroup(snap, peer->key.cgroup_id);
	char address[ADDRESS_LEN], port[8];
	struct label labels[5] = {
		{ "cgroup", cgroup ? cgroup->path : "" }, { "direction", direction_names[peer->key.direction] }, { "peer", address },
		{ "port", port },
	};

	address_format(address, peer->key.address);
	snprintf(port, sizeof(port), "%u", peer->key.port);
	for (uint32_t which = 0; which < figure_count(metric); which++) {
		uint64_t value = figure(metric, &peer->counts, which);
		named[peer->key.direction][which] += value;
		if (value)
			emit_figure(metric, sink, labels, 4, which, value);
	}
}

static void emit_peers(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct tcp_section *section = fresh_tcp(context);
	uint64_t named[TCP_DIRECTION_COUNT][TCP_END_COUNT] = { 0 };

	if (!section)
		return;
	for (uint32_t i = 0; i < context->snap->peers.count && i < context->shown->process_count; i++)
		if (context->snap->peers.each[i].key.direction < TCP_DIRECTION_COUNT)
			emit_peer(metric, context->snap, sink, &context->snap->peers.each[i], named);
	for (int direction = 0; direction < TCP_DIRECTION_COUNT; direction++) {
		struct label labels[5] = { { "cgroup", other }, { "direction", direction_names[direction] }, { "peer", other }, { "port", other } };

		for (uint32_t which = 0; which < figure_count(metric); which++)
			emit_figure(metric, sink, labels, 4, which, above(figure(metric, &section->total[direction], which), named[direction][which]));
	}
}

/* --- of the node ------------------------------------------------------------------------------------------------------ */

static void emit_histogram(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct tcp_section *section = fresh_tcp(context);

	if (section)
		sink_histogram(sink, NULL, 0, (const struct histogram *)((const char *)section + metric->field));
}

static void emit_node(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct tcp_section *section = fresh_tcp(context);

	if (section)
		sink_field(sink, metric, NULL, 0, section);
}

static void emit_listeners(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = context->snap;

	if (!snap || !context_fresh(context, snap->listeners.measured_ns))
		return;
	for (uint32_t i = 0; i < snap->listeners.count; i++) {
		const struct listener *listener = &snap->listeners.each[i];
		const struct cgroup *cgroup = snapshot_cgroup(snap, listener->cgroup_id);
		char port[8];
		struct label labels[] = { { "cgroup", cgroup ? cgroup->path : "" }, { "port", port } };

		snprintf(port, sizeof(port), "%u", listener->port);
		sink_field(sink, metric, labels, LABEL_COUNT(labels), listener);
	}
}

/* --- the table -------------------------------------------------------------------------------------------------------- */

/* VALUE_NS: nanoseconds; VALUE_CENTI: microseconds. Both are told in seconds. */
#define COUNTS(name_, unit_, help_, field_, value_, label_, emit_) \
	{ .name = "nodemend_" name_, .type = METRIC_COUNTER, .unit = (unit_), .help = (help_), .source = COLLECTOR_TCP, .emit = (emit_), \
	  .field = offsetof(struct tcp_counts, field_), .value = (value_), .label = (label_) }
#define BY_CGROUP(name_, unit_, help_, field_, label_) COUNTS("tcp_" name_, unit_, help_, field_, VALUE_U64, label_, emit_cgroups)
#define BY_PEER(name_, unit_, help_, field_, value_, label_) COUNTS(name_, unit_, help_, field_, value_, label_, emit_peers)
#define LISTENER(name_, type_, help_, field_) \
	{ .name = "nodemend_listen_" name_, .type = (type_), .unit = "", .help = (help_), .source = COLLECTOR_TCP, .emit = emit_listeners, \
	  .field = offsetof(struct listener, field_), .value = VALUE_U64 }
#define NODE(name_, type_, help_, field_) \
	{ .name = (name_), .type = (type_), .unit = "", .help = (help_), .source = COLLECTOR_TCP, .emit = emit_node, \
	  .field = offsetof(struct tcp_section, field_), .value = VALUE_U64 }
#define HISTOGRAM(name_, help_, which_) \
	{ .name = "nodemend_tcp_" name_, .type = METRIC_HISTOGRAM, .unit = "seconds", .help = (help_), .source = COLLECTOR_TCP, \
	  .emit = emit_histogram, .field = offsetof(struct tcp_section, histograms[which_]) }

/* clang-format off */
static const struct metric rows[] = {
	BY_PEER("connections_received_bytes_total", "bytes", "Payload received from the peer service.", received_bytes, VALUE_U64, NULL),
	BY_PEER("connections_sent_bytes_total", "bytes", "Payload sent to the peer service.", sent_bytes, VALUE_U64, NULL),
	BY_PEER("connections_connect_seconds_total", "seconds", "Time that connecting took; divide by connections_total of direction out.",
		connect_sum_ns, VALUE_NS, NULL),
	BY_PEER("connections_ended_total", "", "Established connections that ended, by how.", ends, VALUE_U64, "end"),
	BY_PEER("connections_failed_total", "", "Attempts that were never established, by why.", failures, VALUE_U64, "end"),
	BY_PEER("connections_resets_received_total", "", "Resets received from the peer service.", resets_received, VALUE_U64, NULL),
	BY_PEER("connections_resets_sent_total", "", "Resets sent to the peer service.", resets_sent, VALUE_U64, NULL),
	BY_PEER("connections_retransmits_total", "", "Segments sent again to the peer service.", retransmits, VALUE_U64, NULL),
	BY_PEER("connections_rtt_samples_total", "", "Samples in connections_rtt_seconds_total.", rtt_count, VALUE_U64, NULL),
	BY_PEER("connections_rtt_seconds_total", "seconds", "Sum of smoothed round-trip times, one sample at the end and one a summary of a long "
		"connection.", rtt_sum_us, VALUE_CENTI, NULL),
	BY_PEER("connections_total", "", "Connections established with a peer service: who talks to whom.", connections, VALUE_U64, NULL),

	LISTENER("backlog", METRIC_GAUGE, "Connections that wait to be accepted; sockets that share the port are added up.", backlog),
	LISTENER("backlog_limit", METRIC_GAUGE, "Connections that may wait to be accepted.", limit),
	LISTENER("drops_total", METRIC_COUNTER, "What the listener had to drop, most of it for a full accept queue.", drops),

	HISTOGRAM("connect_seconds", "Time from connect() to an established connection.", TCP_HISTOGRAM_CONNECT),
	BY_CGROUP("connections_ended_total", "", "Established connections that ended, by how.", ends, "end"),
	BY_CGROUP("connections_failed_total", "", "Attempts that were never established, by why.", failures, "end"),
	BY_CGROUP("connections_total", "", "Connections established, opened (out) and accepted (in); of an accepted one the listener's cgroup.",
		connections, NULL),
	BY_CGROUP("received_bytes_total", "bytes", "Payload that TCP received.", received_bytes, NULL),
	BY_CGROUP("received_segments_total", "", "Segments that TCP received.", received_segments, NULL),
	NODE("nodemend_tcp_records_untold_total", METRIC_COUNTER, "Records of connections that found no room among the events of their tick; all counts "
		"have them.", records_untold),
	BY_CGROUP("resets_received_total", "", "Resets received by connections.", resets_received, NULL),
	NODE("nodemend_tcp_resets_received_stray_total", METRIC_COUNTER, "Resets received by sockets without a known connection.", resets_received_alone),
	BY_CGROUP("resets_sent_total", "", "Resets sent by connections.", resets_sent, NULL),
	NODE("nodemend_tcp_resets_sent_stray_total", METRIC_COUNTER, "Resets sent where no connection was known: closed ports, late segments.",
		resets_sent_alone),
	BY_CGROUP("retransmits_total", "", "Segments that TCP sent again.", retransmits, NULL),
	HISTOGRAM("rtt_seconds", "Smoothed round-trip time, sampled at the end of a connection and once a summary of a long one.", TCP_HISTOGRAM_RTT),
	BY_CGROUP("sent_bytes_total", "bytes", "Payload that TCP sent, each byte once.", sent_bytes, NULL),
	BY_CGROUP("sent_segments_total", "", "Segments that TCP sent, retransmits included.", sent_segments, NULL),

	NODE("node_netstat_TcpExt_ListenDrops", METRIC_UNTYPED, "Statistic TcpExtListenDrops.", listen_drops),
	NODE("node_netstat_TcpExt_ListenOverflows", METRIC_UNTYPED, "Statistic TcpExtListenOverflows.", listen_overflows),
};
/* clang-format on */

const struct metric_table metrics_of_tcp = { rows, sizeof(rows) / sizeof(rows[0]) };
