/* SPDX-License-Identifier: Apache-2.0 */
/* Network devices: their counters, what /sys/class/net says of each, and the bonds among them. */
#include "collect/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const counters[] = {
	"node_network_receive_bytes_total", "node_network_receive_packets_total", "node_network_receive_errs_total",
	"node_network_receive_drop_total", "node_network_receive_fifo_total", "node_network_receive_frame_total",
	"node_network_receive_compressed_total", "node_network_receive_multicast_total", "node_network_transmit_bytes_total",
	"node_network_transmit_packets_total", "node_network_transmit_errs_total", "node_network_transmit_drop_total",
	"node_network_transmit_fifo_total", "node_network_transmit_colls_total", "node_network_transmit_carrier_total",
	"node_network_transmit_compressed_total",
};

int host_read_netdev(struct host *host)
{
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, "net/dev", &text);
	if (error)
		return error;
	if (!span_line(&text, &line) || !span_line(&text, &line)) /* two lines of heading */
		return -EINVAL;

	while (span_line(&text, &line)) {
		char name[64];
		uint64_t value;
		const char *colon = line.end;
		while (colon > line.at && colon[-1] != ':') /* a name may hold colons, too */
			colon--;
		struct span before = { line.at, colon > line.at ? colon - 1 : line.at };
		if (!span_word(&before, &word) || span_copy(&word, name, sizeof(name)) >= sizeof(name))
			return -EINVAL;
		if (strcmp(name, "lo") == 0)
			continue; /* --collector.netdev.device-exclude=^lo$ */
		line.at = colon;
		for (size_t i = 0; i < HOST_COUNT(counters) && span_next_number(&line, &value); i++)
			host_put(host, counters[i], SERIES_COUNTER, (double)value, HOST_LABELS({ "device", name }));
	}
	return 0;
}

/* --- /sys/class/net ----------------------------------------------------------------------------------------------------- */

static const struct host_file device_files[] = {
	{ "addr_assign_type", "node_network_address_assign_type", SERIES_GAUGE, 0 },
	{ "carrier", "node_network_carrier", SERIES_GAUGE, 0 },
	{ "carrier_changes", "node_network_carrier_changes_total", SERIES_COUNTER, 0 },
	{ "carrier_down_count", "node_network_carrier_down_changes_total", SERIES_COUNTER, 0 },
	{ "carrier_up_count", "node_network_carrier_up_changes_total", SERIES_COUNTER, 0 },
	{ "dev_id", "node_network_device_id", SERIES_GAUGE, 0 },
	{ "dormant", "node_network_dormant", SERIES_GAUGE, 0 },
	{ "flags", "node_network_flags", SERIES_GAUGE, 0 },
	{ "ifindex", "node_network_iface_id", SERIES_GAUGE, 0 },
	{ "iflink", "node_network_iface_link", SERIES_GAUGE, 0 },
	{ "link_mode", "node_network_iface_link_mode", SERIES_GAUGE, 0 },
	{ "mtu", "node_network_mtu_bytes", SERIES_GAUGE, 0 },
	{ "name_assign_type", "node_network_name_assign_type", SERIES_GAUGE, 0 },
	{ "netdev_group", "node_network_net_dev_group", SERIES_GAUGE, 0 },
	{ "tx_queue_len", "node_network_transmit_queue_length", SERIES_GAUGE, 0 },
	{ "type", "node_network_protocol_type", SERIES_GAUGE, 0 },
};

static void put_device(struct host *host, int dir_fd, const char *name)
{
	enum { ADDRESS, BROADCAST, DUPLEX, IFALIAS, OPERSTATE, TEXTS };
	static const char *const files[TEXTS] = { "address", "broadcast", "duplex", "ifalias", "operstate" };
	char texts[TEXTS][256];
	double speed, dropped;

	host_put_files(host, dir_fd, device_files, HOST_COUNT(device_files), HOST_LABELS({ "device", name }));
	for (int i = 0; i < TEXTS; i++)
		(void)host_text(dir_fd, files[i], texts[i], sizeof(texts[i])); /* "" where it has none */
	host_put(host, "node_network_info", SERIES_GAUGE, 1, HOST_LABELS({ "address", texts[ADDRESS] },
		{ "broadcast", texts[BROADCAST] }, { "device", name }, { "duplex", texts[DUPLEX] }, { "ifalias", texts[IFALIAS] },
		{ "operstate", texts[OPERSTATE] }));
	host_put(host, "node_network_up", SERIES_GAUGE, strcmp(texts[OPERSTATE], "up") == 0, HOST_LABELS({ "device", name }));
	/* Of netdev, but not in /proc/net/dev; and the loopback is left out there. */
	if (strcmp(name, "lo") != 0 && host_number(dir_fd, "statistics/rx_nohandler", &dropped) == 0)
		host_put(host, "node_network_receive_nohandler_total", SERIES_COUNTER, dropped, HOST_LABELS({ "device", name }));
	/* -1 is "not known": absent here, where node_exporter shows -125000. */
	if (host_number(dir_fd, "speed", &speed) == 0 && speed >= 0 && speed < 4294967295.0)
		host_put(host, "node_network_speed_bytes", SERIES_GAUGE, speed * 125000, HOST_LABELS({ "device", name }));
}

int host_read_netclass(struct host *host)
{
	struct host_names names;
	int error = host_list(host->sys_fd, "class/net", &names);

	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 16];
		snprintf(path, sizeof(path), "class/net/%s", names.each[i]);
		int dir_fd = host_open_dir(host->sys_fd, path); /* bonding_masters is a file among them */
		if (dir_fd < 0)
			continue;
		put_device(host, dir_fd, names.each[i]);
		close(dir_fd);
	}
	host_names_free(&names);
	return error;
}

/* --- bonding ------------------------------------------------------------------------------------------------------------ */

static bool is_active(struct host *host, const char *master, const char *slave)
{
	static const char *const links[] = { "lower", "slave" }; /* newer and older kernels */
	char path[256], status[32];

	for (size_t i = 0; i < HOST_COUNT(links); i++) {
		snprintf(path, sizeof(path), "class/net/%.64s/%s_%.64s/bonding_slave/mii_status", master, links[i], slave);
		if (host_text(host->sys_fd, path, status, sizeof(status)) == 0)
			return strcmp(status, "up") == 0;
	}
	return false;
}

int host_read_bonding(struct host *host)
{
	char masters[4096], slaves[4096], path[128];
	int error = host_text(host->sys_fd, "class/net/bonding_masters", masters, sizeof(masters));
	if (error)
		return error;

	char *rest = masters;
	for (char *master; (master = strsep(&rest, " "));) {
		uint32_t count = 0, active = 0;
		snprintf(path, sizeof(path), "class/net/%.64s/bonding/slaves", master);
		if (!*master || host_text(host->sys_fd, path, slaves, sizeof(slaves)) < 0)
			continue;
		char *others = slaves;
		for (char *slave; (slave = strsep(&others, " "));) {
			count += *slave != '\0';
			active += *slave && is_active(host, master, slave);
		}
		host_put(host, "node_bonding_slaves", SERIES_GAUGE, count, HOST_LABELS({ "master", master }));
		host_put(host, "node_bonding_active", SERIES_GAUGE, active, HOST_LABELS({ "master", master }));
	}
	return 0;
}
