/* SPDX-License-Identifier: Apache-2.0 */
/* Fibre Channel, InfiniBand, and the kernel's load balancer. */
#include "collect/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- fibrechannel ------------------------------------------------------------------------------------------------------- */

static void put_fc_host(struct host *host, int dir_fd, const char *name)
{
	static const char *const files[] = {
		"dev_loss_tmo", "fabric_name", "port_id", "port_name", "port_state", "port_type", "speed", "supported_classes",
		"supported_speeds", "symbolic_name",
	};
	static const struct host_file counters[] = {
		{ "statistics/dumped_frames", "node_fibrechannel_dumped_frames_total", SERIES_COUNTER, 0 },
		{ "statistics/error_frames", "node_fibrechannel_error_frames_total", SERIES_COUNTER, 0 },
		{ "statistics/fcp_packet_aborts", "node_fibrechannel_fcp_packet_aborts_total", SERIES_COUNTER, 0 },
		{ "statistics/invalid_crc_count", "node_fibrechannel_invalid_crc_total", SERIES_COUNTER, 0 },
		{ "statistics/invalid_tx_word_count", "node_fibrechannel_invalid_tx_words_total", SERIES_COUNTER, 0 },
		{ "statistics/link_failure_count", "node_fibrechannel_link_failure_total", SERIES_COUNTER, 0 },
		{ "statistics/loss_of_signal_count", "node_fibrechannel_loss_of_signal_total", SERIES_COUNTER, 0 },
		{ "statistics/loss_of_sync_count", "node_fibrechannel_loss_of_sync_total", SERIES_COUNTER, 0 },
		{ "statistics/nos_count", "node_fibrechannel_nos_total", SERIES_COUNTER, 0 },
		{ "statistics/rx_frames", "node_fibrechannel_rx_frames_total", SERIES_COUNTER, 0 },
		{ "statistics/rx_words", "node_fibrechannel_rx_words_total", SERIES_COUNTER, 0 },
		{ "statistics/seconds_since_last_reset", "node_fibrechannel_seconds_since_last_reset_total", SERIES_COUNTER, 0 },
		{ "statistics/tx_frames", "node_fibrechannel_tx_frames_total", SERIES_COUNTER, 0 },
		{ "statistics/tx_words", "node_fibrechannel_tx_words_total", SERIES_COUNTER, 0 },
	};
	char texts[HOST_COUNT(files)][NAME_LEN];
	struct host_label labels[HOST_COUNT(files) + 1] = { { "fc_host", name } };

	for (size_t i = 0; i < HOST_COUNT(files); i++) {
		(void)host_text(dir_fd, files[i], texts[i], sizeof(texts[i]));
		labels[i + 1] = (struct host_label){ files[i], strncmp(texts[i], "0x", 2) == 0 ? texts[i] + 2 : texts[i] };
	}
	host_put(host, "node_fibrechannel_info", SERIES_GAUGE, 1, labels, HOST_COUNT(labels));
	for (size_t i = 0; i < HOST_COUNT(counters); i++) {
		double value;
		/* All bits set: the adapter does not count this. */
		if (host_number(dir_fd, counters[i].path, &value) == 0 && value < 18446744073709551615.0)
			host_put(host, counters[i].family, SERIES_COUNTER, value, HOST_LABELS({ "fc_host", name }));
	}
}

int host_read_fibrechannel(struct host *host)
{
	struct host_names names;
	int error = host_list(host->sys_fd, "class/fc_host", &names);

	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 16];
		snprintf(path, sizeof(path), "class/fc_host/%s", names.each[i]);
		int dir_fd = host_open_dir(host->sys_fd, path);
		if (dir_fd < 0)
			continue;
		put_fc_host(host, dir_fd, names.each[i]);
		close(dir_fd);
	}
	host_names_free(&names);
	return error;
}

/* --- infiniband --------------------------------------------------------------------------------------------------------- */

#define IB(file, name, scale) { (file), "node_infiniband_" name "_total", SERIES_COUNTER, (scale) }
static const struct host_file ib_counters[] = {
	IB("counters/excessive_buffer_overrun_errors", "excessive_buffer_overrun_errors", 0),
	IB("counters/link_downed", "link_downed", 0), IB("counters/link_error_recovery", "link_error_recovery", 0),
	IB("counters/local_link_integrity_errors", "local_link_integrity_errors", 0),
	IB("counters/multicast_rcv_packets", "multicast_packets_received", 0),
	IB("counters/multicast_xmit_packets", "multicast_packets_transmitted", 0),
	IB("counters/port_rcv_constraint_errors", "port_constraint_errors_received", 0),
	IB("counters/port_xmit_constraint_errors", "port_constraint_errors_transmitted", 0),
	IB("counters/port_rcv_data", "port_data_received_bytes", 4), IB("counters/port_xmit_data", "port_data_transmitted_bytes", 4),
	IB("counters/port_rcv_discards", "port_discards_received", 0), IB("counters/port_xmit_discards", "port_discards_transmitted", 0),
	IB("counters/port_rcv_errors", "port_errors_received", 0), IB("counters/port_rcv_packets", "port_packets_received", 0),
	IB("counters/port_xmit_packets", "port_packets_transmitted", 0),
	IB("counters/port_rcv_remote_physical_errors", "port_receive_remote_physical_errors", 0),
	IB("counters/port_rcv_switch_relay_errors", "port_receive_switch_relay_errors", 0),
	IB("counters/port_xmit_wait", "port_transmit_wait", 0), IB("counters/symbol_error", "symbol_error", 0),
	IB("counters/unicast_rcv_packets", "unicast_packets_received", 0),
	IB("counters/unicast_xmit_packets", "unicast_packets_transmitted", 0), IB("counters/VL15_dropped", "vl15_dropped", 0),
	IB("counters_ext/port_multicast_rcv_packets", "legacy_multicast_packets_received", 0),
	IB("counters_ext/port_multicast_xmit_packets", "legacy_multicast_packets_transmitted", 0),
	IB("counters_ext/port_rcv_data_64", "legacy_data_received_bytes", 4),
	IB("counters_ext/port_rcv_packets_64", "legacy_packets_received", 0),
	IB("counters_ext/port_unicast_rcv_packets", "legacy_unicast_packets_received", 0),
	IB("counters_ext/port_unicast_xmit_packets", "legacy_unicast_packets_transmitted", 0),
	IB("counters_ext/port_xmit_data_64", "legacy_data_transmitted_bytes", 4),
	IB("counters_ext/port_xmit_packets_64", "legacy_packets_transmitted", 0),
};

static void put_ib_port(struct host *host, int dir_fd, const char *device, const char *port)
{
	/* "4: ACTIVE", "40 Gb/sec (4X QDR)": the number in front counts. */
	static const struct host_file states[] = {
		{ "state", "node_infiniband_state_id", SERIES_GAUGE, 1 },
		{ "phys_state", "node_infiniband_physical_state_id", SERIES_GAUGE, 1 },
		{ "rate", "node_infiniband_rate_bytes_per_second", SERIES_GAUGE, 125e6 },
	};
	const struct host_label labels[] = { { "device", device }, { "port", port } };
	char text[64];
	double value;

	for (size_t i = 0; i < HOST_COUNT(states); i++) {
		if (host_text(dir_fd, states[i].path, text, sizeof(text)) < 0)
			continue;
		text[strspn(text, "0123456789.")] = '\0';
		if (host_parse_number(text, &value))
			host_put(host, states[i].family, SERIES_GAUGE, value * states[i].scale, labels, 2);
	}
	host_put_files(host, dir_fd, ib_counters, HOST_COUNT(ib_counters), labels, 2);
}

static void put_ib_device(struct host *host, int dir_fd, const char *device)
{
	static const char *const files[] = { "board_id", "fw_ver", "hca_type" };
	char texts[HOST_COUNT(files)][64], path[NAME_LEN + 16];
	struct host_names ports;

	for (size_t i = 0; i < HOST_COUNT(files); i++)
		(void)host_text(dir_fd, files[i], texts[i], sizeof(texts[i]));
	host_put(host, "node_infiniband_info", SERIES_GAUGE, 1, HOST_LABELS({ "board_id", texts[0] }, { "device", device },
		{ "firmware_version", texts[1] }, { "hca_type", texts[2] }));
	(void)host_list(dir_fd, "ports", &ports);
	for (uint32_t i = 0; i < ports.count; i++) {
		snprintf(path, sizeof(path), "ports/%s", ports.each[i]);
		int port_fd = host_open_dir(dir_fd, path);
		if (port_fd < 0)
			continue;
		put_ib_port(host, port_fd, device, ports.each[i]);
		close(port_fd);
	}
	host_names_free(&ports);
}

int host_read_infiniband(struct host *host)
{
	struct host_names names;
	int error = host_list(host->sys_fd, "class/infiniband", &names);

	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 24];
		snprintf(path, sizeof(path), "class/infiniband/%s", names.each[i]);
		int dir_fd = host_open_dir(host->sys_fd, path);
		if (dir_fd < 0)
			continue;
		put_ib_device(host, dir_fd, names.each[i]);
		close(dir_fd);
	}
	host_names_free(&names);
	return error;
}

/* --- ipvs --------------------------------------------------------------------------------------------------------------- */

static int put_ipvs_totals(struct host *host)
{
	static const char *const families[] = {
		"node_ipvs_connections_total", "node_ipvs_incoming_packets_total", "node_ipvs_outgoing_packets_total",
		"node_ipvs_incoming_bytes_total", "node_ipvs_outgoing_bytes_total",
	};
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, "net/ip_vs_stats", &text);
	if (error)
		return error;

	for (int i = 0; i < 3; i++)
		if (!span_line(&text, &line))
			return -EINVAL;
	for (size_t i = 0; i < HOST_COUNT(families); i++) {
		uint64_t value;
		if (!span_word(&line, &word) || !span_hex(&word, &value))
			return -EINVAL;
		host_put(host, families[i], SERIES_COUNTER, (double)value, HOST_NONE);
	}
	return 0;
}

/* "C0A80016:0CEA" or "[2001:0db8:…:0001]:0050", the port hexadecimal. */
static bool parse_endpoint(const struct span *word, char *address, size_t size, char port[8])
{
	char text[64];
	struct in6_addr six;
	if (span_copy(word, text, sizeof(text)) >= sizeof(text))
		return false;
	char *colon = strrchr(text, ':');
	if (!colon)
		return false;
	*colon = '\0';
	snprintf(port, 8, "%lu", strtoul(colon + 1, NULL, 16) & 0xffff);
	if (text[0] == '[') {
		text[strcspn(text, "]")] = '\0';
		return inet_pton(AF_INET6, text + 1, &six) == 1 && inet_ntop(AF_INET6, &six, address, (socklen_t)size);
	}
	uint32_t four = htonl((uint32_t)strtoul(text, NULL, 16));
	return strlen(text) == 8 && inet_ntop(AF_INET, &four, address, (socklen_t)size);
}

struct service {
	char protocol[8], address[64], port[8], mark[24];
};

static bool parse_service(struct span *line, struct service *ret)
{
	struct span word;

	*ret = (struct service){ .port = "0" };
	if (!span_word(line, &word) || span_copy(&word, ret->protocol, sizeof(ret->protocol)) >= sizeof(ret->protocol) ||
	    !span_word(line, &word))
		return false;
	if (strcmp(ret->protocol, "FWM") == 0)
		return span_copy(&word, ret->mark, sizeof(ret->mark)) < sizeof(ret->mark);
	return parse_endpoint(&word, ret->address, sizeof(ret->address), ret->port);
}

static bool put_backend(struct host *host, struct span *line, const struct service *service)
{
	char address[64], port[8];
	uint64_t weight, active, inactive;
	struct span word;

	if (!span_word(line, &word) || !parse_endpoint(&word, address, sizeof(address), port) || !span_word(line, &word) ||
	    !span_next_number(line, &weight) || !span_next_number(line, &active) || !span_next_number(line, &inactive))
		return false;
	const struct host_label labels[] = {
		{ "local_address", service->address }, { "local_mark", service->mark }, { "local_port", service->port },
		{ "proto", service->protocol }, { "remote_address", address }, { "remote_port", port },
	};
	host_put(host, "node_ipvs_backend_connections_active", SERIES_GAUGE, (double)active, labels, HOST_COUNT(labels));
	host_put(host, "node_ipvs_backend_connections_inactive", SERIES_GAUGE, (double)inactive, labels, HOST_COUNT(labels));
	host_put(host, "node_ipvs_backend_weight", SERIES_GAUGE, (double)weight, labels, HOST_COUNT(labels));
	return true;
}

int host_read_ipvs(struct host *host)
{
	struct service service = { 0 };
	struct span text, line;
	int error = put_ipvs_totals(host);
	if (!error)
		error = host_lines(host, host->proc_fd, "net/ip_vs", &text);
	if (error)
		return error;

	for (int i = 0; i < 3; i++)
		(void)span_line(&text, &line); /* the headings */
	while (span_line(&text, &line)) {
		struct span rest = line, word;
		bool good = span_word(&rest, &word) && span_is(&word, "->") ? put_backend(host, &rest, &service)
									      : parse_service(&line, &service);
		if (!good)
			return -EINVAL;
	}
	return 0;
}
