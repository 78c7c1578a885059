/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures of the host whose names are only known when they are read: each line of /proc/meminfo, each sensor, each line of a
 * text file. They cross to the publisher as bytes: one block a source, in it its families, in each its samples, every head
 * followed by its strings and padded to 8 bytes. The publisher does not trust the sizes: walking stops at the first that does
 * not fit.
 */
#ifndef NODEMEND_SERIES_H
#define NODEMEND_SERIES_H

#include <stdbool.h>
#include <stdint.h>

/* node_exporter's collectors that Debian switches on, by name; also the bits of a selection. */
#define SERIES_SOURCES(X) \
	X(ARP, "arp") X(BCACHE, "bcache") X(BONDING, "bonding") X(BTRFS, "btrfs") X(CONNTRACK, "conntrack") X(CPU, "cpu") \
	X(CPUFREQ, "cpufreq") X(DISKSTATS, "diskstats") X(DMI, "dmi") X(EDAC, "edac") X(ENTROPY, "entropy") \
	X(FIBRECHANNEL, "fibrechannel") X(FILEFD, "filefd") X(FILESYSTEM, "filesystem") X(HWMON, "hwmon") \
	X(INFINIBAND, "infiniband") X(IPVS, "ipvs") X(LOADAVG, "loadavg") X(MDADM, "mdadm") X(MEMINFO, "meminfo") \
	X(NETCLASS, "netclass") X(NETDEV, "netdev") X(NETSTAT, "netstat") X(NFS, "nfs") X(NFSD, "nfsd") X(NVME, "nvme") \
	X(OS, "os") X(POWERSUPPLY, "powersupplyclass") X(PRESSURE, "pressure") X(RAPL, "rapl") X(SCHEDSTAT, "schedstat") \
	X(SELINUX, "selinux") X(SOCKSTAT, "sockstat") X(SOFTNET, "softnet") X(STAT, "stat") X(TAPESTATS, "tapestats") \
	X(TEXTFILE, "textfile") X(THERMAL_ZONE, "thermal_zone") X(TIME, "time") X(TIMEX, "timex") X(UDP_QUEUES, "udp_queues") \
	X(UNAME, "uname") X(VMSTAT, "vmstat") X(XFS, "xfs") X(ZFS, "zfs")

enum series_source {
#define SERIES_ENUM(id, name) SERIES_##id,
	SERIES_SOURCES(SERIES_ENUM)
#undef SERIES_ENUM
	SERIES_SOURCE_COUNT,
};
extern const char *const series_source_names[SERIES_SOURCE_COUNT];

enum series_type { SERIES_COUNTER, SERIES_GAUGE, SERIES_UNTYPED, SERIES_HISTOGRAM, SERIES_SUMMARY, SERIES_TYPE_COUNT };
/* What a sample of a histogram or a summary adds to its family's name. */
enum series_suffix { SERIES_PLAIN, SERIES_BUCKET, SERIES_SUM, SERIES_COUNT, SERIES_SUFFIX_COUNT };
extern const char *const series_suffixes[SERIES_SUFFIX_COUNT];

enum {
	SERIES_BYTES = 2 << 20,      /* some 30 000 series; a small host has 30 KiB, and only what is used is ever touched */
	SERIES_MAX_LABELS = 32,
	SERIES_ALIGN = 8,
};

struct series_section {
	uint64_t measured_ns;
	uint32_t count, cut;         /* bytes in use; series that found no room, since the agent started */
	_Alignas(SERIES_ALIGN) char each[SERIES_BYTES];
};

struct series_block {
	uint32_t size;               /* of the block, with this head */
	uint32_t source;
	uint64_t measured_ns, fresh_for_ns, took_ns;
	uint8_t success;             /* node_scrape_collector_success; no bool: the bytes may be anything */
};

/* Followed by name and help, each with its NUL. */
struct series_family {
	uint32_t size, samples;
	uint16_t name_size, help_size;
	uint8_t type;
};

/* Followed by name and value of each label, each with its NUL. */
struct series_sample {
	double value;
	uint32_t size;
	uint8_t labels, suffix;
};

/* A place among the bytes of a section, a block or a family. */
struct series_cursor {
	const char *at, *end;
};

struct series_cursor series_begin(const struct series_section *section);
/* The next one, and what is in it; NULL at the end, or where the bytes do not hold what they say. */
const struct series_block *series_next_block(struct series_cursor *blocks, struct series_cursor *ret_families);
const struct series_family *series_next_family(struct series_cursor *families, const char **ret_name, const char **ret_help,
	struct series_cursor *ret_samples);
/* `ret_strings`: names and values by turns. */
const struct series_sample *series_next_sample(struct series_cursor *samples, const char *ret_strings[2 * SERIES_MAX_LABELS]);

#endif
