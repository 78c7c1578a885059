/* SPDX-License-Identifier: Apache-2.0 */
/* Dropped packets by reason and protocol, which add up to the node's, and by device with the exact rest. */
#include "publish/metric.h"

#define LABEL_COUNT(labels) ((uint32_t)(sizeof(labels) / sizeof((labels)[0])))

static const char *const protocol_names[DROP_PROTOCOL_COUNT] = {
	[DROP_IPV4] = "ipv4", [DROP_IPV6] = "ipv6", [DROP_ARP] = "arp", [DROP_OTHER] = "other",
};

static void emit_reasons(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	if (!context->snap || !context_fresh(context, context->snap->drops.measured_ns))
		return;
	for (uint32_t i = 0; i < context->snap->drops.count; i++) {
		const struct drop_reason *reason = &context->snap->drops.each[i];

		for (int protocol = 0; protocol < DROP_PROTOCOL_COUNT; protocol++) {
			struct label labels[] = { { "reason", reason->name }, { "protocol", protocol_names[protocol] } };
			if (reason->counts.packets[protocol])
				sink_sample(sink, labels, LABEL_COUNT(labels), reason->counts.packets[protocol], 0);
		}
	}
}

static uint64_t all_drops(const struct drop_section *section)
{
	uint64_t packets = 0;

	for (uint32_t i = 0; i < section->count; i++)
		for (int protocol = 0; protocol < DROP_PROTOCOL_COUNT; protocol++)
			packets += section->each[i].counts.packets[protocol];
	return packets;
}

static void emit_devices(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = context->snap;
	uint64_t named = 0;

	if (!snap || !context_fresh(context, snap->drops.measured_ns))
		return;
	for (uint32_t i = 0; i < snap->drop_devices.count; i++) {
		const struct drop_device *device = &snap->drop_devices.each[i];
		struct label label = { "device", device->name };

		sink_sample(sink, &label, 1, device->packets, 0);
		named += device->packets;
	}
	uint64_t all = all_drops(&snap->drops);
	struct label rest = { "device", "other" };
	sink_sample(sink, &rest, 1, all > named ? all - named : 0, 0);
}

static const struct metric rows[] = {
	{ .name = "nodemend_device_packet_drops_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_DROP, .emit = emit_devices,
	  .help = "Packets that the kernel dropped, by the device they had at that moment; other: none, or one of another network namespace." },
	{ .name = "nodemend_packet_drops_total", .type = METRIC_COUNTER, .unit = "", .source = COLLECTOR_DROP, .emit = emit_reasons,
	  .help = "Packets that the kernel dropped, by its own reason (enum skb_drop_reason) and protocol; NOT_SPECIFIED: it gave none." },
};

const struct metric_table metrics_of_drop = { rows, sizeof(rows) / sizeof(rows[0]) };
