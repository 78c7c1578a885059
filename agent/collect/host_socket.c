/* SPDX-License-Identifier: Apache-2.0 */
/* The network stack's own books below /proc/net: protocols, sockets, softirq work, neighbours, tracked connections. */
#include "collect/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- netstat ------------------------------------------------------------------------------------------------------------ */

/* node_exporter's default filter; a name that ends in * means all that begin so. */
static const struct wanted {
	const char *protocol, *fields[8];
} wanted_fields[] = {
	{ "Icmp", { "InMsgs", "OutMsgs" } },
	{ "Icmp6", { "InMsgs", "OutMsgs" } },
	{ "Ip", { "Forwarding" } },
	{ "Ip6", { "InOctets", "OutOctets" } },
	{ "IpExt", { "InOctets", "OutOctets" } },
	{ "Tcp", { "ActiveOpens", "CurrEstab", "InSegs", "OutRsts", "OutSegs", "PassiveOpens", "RetransSegs" } },
	{ "TcpExt", { "Listen*", "Syncookies*", "TCPSynRetrans", "TCPTimeouts" } },
	{ "Udp", { "InDatagrams", "NoPorts", "OutDatagrams", "RcvbufErrors", "SndbufErrors" } },
	{ "Udp6", { "InDatagrams", "NoPorts", "OutDatagrams", "RcvbufErrors", "SndbufErrors" } },
};

static const struct wanted *wanted_of(const char *protocol)
{
	for (size_t i = 0; i < HOST_COUNT(wanted_fields); i++)
		if (strcmp(wanted_fields[i].protocol, protocol) == 0)
			return &wanted_fields[i];
	return NULL;
}

static bool is_wanted(const struct wanted *wanted, const char *field)
{
	size_t length = strlen(field);

	if (length >= 6 && (strcmp(field + length - 6, "InErrs") == 0 || (length >= 8 && strcmp(field + length - 8, "InErrors") == 0)))
		return true;
	for (size_t i = 0; wanted && i < HOST_COUNT(wanted->fields) && wanted->fields[i]; i++) {
		size_t known = strlen(wanted->fields[i]);
		if (wanted->fields[i][known - 1] == '*' ? strncmp(field, wanted->fields[i], known - 1) == 0
							: strcmp(field, wanted->fields[i]) == 0)
			return true;
	}
	return false;
}

static void put_netstat(struct host *host, const char *protocol, const char *field, double value)
{
	char family[160];
	snprintf(family, sizeof(family), "node_netstat_%s_%s", protocol, field);
	host_put(host, family, SERIES_UNTYPED, value, HOST_NONE);
}

/* Two lines a protocol, each behind its name: the fields, and their values. */
static int read_pairs(struct host *host, const char *path)
{
	struct span text, names, values, name, value;
	int error = host_lines(host, host->proc_fd, path, &text);
	if (error)
		return error;

	while (span_line(&text, &names) && span_line(&text, &values)) {
		char protocol[32];
		if (!span_word(&names, &name) || !span_word(&values, &value) ||
		    span_copy(&name, protocol, sizeof(protocol)) >= sizeof(protocol) || !span_is(&value, protocol))
			return -EINVAL;
		protocol[strcspn(protocol, ":")] = '\0';
		const struct wanted *wanted = wanted_of(protocol);
		while (span_word(&names, &name) && span_word(&values, &value)) {
			char field[64];
			double number;
			if (span_copy(&name, field, sizeof(field)) < sizeof(field) && is_wanted(wanted, field) && span_real(&value, &number))
				put_netstat(host, protocol, field, number);
		}
	}
	return 0;
}

/* "Ip6InReceives 12": the protocol ends at the 6. */
static int read_snmp6(struct host *host)
{
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, "net/snmp6", &text);
	if (error)
		return error == -ENOENT ? 0 : error; /* no IPv6 here */

	while (span_line(&text, &line)) {
		char name[64], protocol[32];
		uint64_t value;
		if (!span_word(&line, &word) || span_copy(&word, name, sizeof(name)) >= sizeof(name) || !span_next_number(&line, &value))
			continue;
		char *six = strchr(name, '6');
		if (!six || six == name || (size_t)(six - name) + 2 > sizeof(protocol))
			continue;
		snprintf(protocol, sizeof(protocol), "%.*s", (int)(six + 1 - name), name);
		if (is_wanted(wanted_of(protocol), six + 1))
			put_netstat(host, protocol, six + 1, (double)value);
	}
	return 0;
}

int host_read_netstat(struct host *host)
{
	int error = read_pairs(host, "net/netstat");
	if (!error)
		error = read_pairs(host, "net/snmp");
	return error ? error : read_snmp6(host);
}

/* --- sockstat ----------------------------------------------------------------------------------------------------------- */

static void put_sockstat(struct host *host, const char *protocol, const char *key, double value)
{
	char family[128];
	snprintf(family, sizeof(family), "node_sockstat_%s_%s", protocol, key);
	host_put(host, family, SERIES_GAUGE, value, HOST_NONE);
	if (strcmp(key, "mem") == 0) {
		snprintf(family, sizeof(family), "node_sockstat_%s_mem_bytes", protocol);
		host_put(host, family, SERIES_GAUGE, value * (double)sysconf(_SC_PAGESIZE), HOST_NONE);
	}
}

/* "TCP: inuse 4 orphan 0 tw 0 alloc 4 mem 0" */
static int read_sockstat(struct host *host, const char *path)
{
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, path, &text);
	if (error)
		return error;

	while (span_line(&text, &line)) {
		char protocol[32], key[32];
		uint64_t value;
		if (!span_word(&line, &word) || span_copy(&word, protocol, sizeof(protocol)) >= sizeof(protocol))
			continue;
		protocol[strcspn(protocol, ":")] = '\0';
		while (span_word(&line, &word) && span_copy(&word, key, sizeof(key)) < sizeof(key) && span_next_number(&line, &value))
			put_sockstat(host, protocol, key, (double)value);
	}
	return 0;
}

int host_read_sockstat(struct host *host)
{
	int error = read_sockstat(host, "net/sockstat"), error6 = read_sockstat(host, "net/sockstat6");
	return error ? error : error6 == -ENOENT ? 0 : error6;
}

/* --- softnet, arp, udp_queues ------------------------------------------------------------------------------------------- */

int host_read_softnet(struct host *host)
{
	static const char *const families[] = {
		"node_softnet_processed_total", "node_softnet_dropped_total", "node_softnet_times_squeezed_total",
	};
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, "net/softnet_stat", &text);
	if (error)
		return error;

	for (uint32_t cpu = 0; span_line(&text, &line); cpu++) {
		char number[12];
		snprintf(number, sizeof(number), "%u", cpu);
		for (size_t i = 0; i < HOST_COUNT(families); i++) {
			uint64_t value;
			if (!span_word(&line, &word) || !span_hex(&word, &value))
				return -EINVAL;
			host_put(host, families[i], SERIES_COUNTER, (double)value, HOST_LABELS({ "cpu", number }));
		}
	}
	return 0;
}

int host_read_arp(struct host *host)
{
	enum { DEVICES = 256 };
	struct { char name[32]; uint32_t entries; } devices[DEVICES];
	uint32_t count = 0;
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, "net/arp", &text);
	if (error)
		return error;

	(void)span_line(&text, &line); /* the heading */
	while (span_line(&text, &line)) {
		char name[32];
		uint32_t i = 0;
		for (int field = 0; field < 6; field++)
			(void)span_word(&line, &word); /* the sixth, and last, is the device */
		if (span_copy(&word, name, sizeof(name)) >= sizeof(name) || !name[0])
			continue;
		while (i < count && strcmp(devices[i].name, name) != 0)
			i++;
		if (i == DEVICES)
			continue;
		if (i == count) {
			memcpy(devices[count].name, name, sizeof(name));
			devices[count++].entries = 0;
		}
		devices[i].entries++;
	}
	for (uint32_t i = 0; i < count; i++)
		host_put(host, "node_arp_entries", SERIES_GAUGE, devices[i].entries, HOST_LABELS({ "device", devices[i].name }));
	return 0;
}

/* The fifth field of each socket is its queues: "tx_queue:rx_queue". */
static int read_queues(struct host *host, const char *path, const char *ip)
{
	uint64_t tx = 0, rx = 0;
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, path, &text);
	if (error)
		return error;

	(void)span_line(&text, &line);
	while (span_line(&text, &line)) {
		uint64_t sent, received;
		for (int field = 0; field < 5; field++)
			(void)span_word(&line, &word);
		const char *colon = memchr(word.at, ':', (size_t)(word.end - word.at));
		struct span left = { word.at, colon }, right = { colon ? colon + 1 : NULL, word.end };
		if (!colon || !span_hex(&left, &sent) || !span_hex(&right, &received))
			return -EINVAL;
		tx += sent;
		rx += received;
	}
	host_put(host, "node_udp_queues", SERIES_GAUGE, (double)tx, HOST_LABELS({ "ip", ip }, { "queue", "tx" }));
	host_put(host, "node_udp_queues", SERIES_GAUGE, (double)rx, HOST_LABELS({ "ip", ip }, { "queue", "rx" }));
	return 0;
}

int host_read_udp_queues(struct host *host)
{
	int four = read_queues(host, "net/udp", "v4"), six = read_queues(host, "net/udp6", "v6");
	return four && six ? four : 0;
}

/* --- conntrack ---------------------------------------------------------------------------------------------------------- */

/* A heading, then a line a CPU, all in hexadecimal. */
static int put_conntrack_stat(struct host *host)
{
	static const char *const wanted[] = {
		"found", "invalid", "ignore", "insert", "insert_failed", "drop", "early_drop", "search_restart",
	};
	enum { COLUMNS = 32 };
	uint64_t sums[HOST_COUNT(wanted)] = { 0 };
	bool known[HOST_COUNT(wanted)] = { false };
	int column_of[COLUMNS], columns = 0;
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, "net/stat/nf_conntrack", &text);
	if (error || !span_line(&text, &line))
		return error ? error : -EINVAL;

	for (; columns < COLUMNS && span_word(&line, &word); columns++) {
		column_of[columns] = -1;
		for (size_t i = 0; i < HOST_COUNT(wanted); i++) {
			if (span_is(&word, wanted[i])) {
				column_of[columns] = (int)i;
				known[i] = true;
			}
		}
	}
	while (span_line(&text, &line)) {
		uint64_t value;
		for (int i = 0; i < columns && span_word(&line, &word) && span_hex(&word, &value); i++)
			if (column_of[i] >= 0)
				sums[column_of[i]] += value;
	}
	for (size_t i = 0; i < HOST_COUNT(wanted); i++) {
		char family[64];
		snprintf(family, sizeof(family), "node_nf_conntrack_stat_%s", wanted[i]);
		if (known[i])
			host_put(host, family, SERIES_GAUGE, (double)sums[i], HOST_NONE);
	}
	return 0;
}

int host_read_conntrack(struct host *host)
{
	static const struct host_file files[] = {
		{ "sys/net/netfilter/nf_conntrack_count", "node_nf_conntrack_entries", SERIES_GAUGE, 0 },
		{ "sys/net/netfilter/nf_conntrack_max", "node_nf_conntrack_entries_limit", SERIES_GAUGE, 0 },
	};
	if (host_put_files(host, host->proc_fd, files, HOST_COUNT(files), HOST_NONE) < HOST_COUNT(files))
		return -ENOENT;
	return put_conntrack_stat(host);
}
