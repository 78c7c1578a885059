/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/diskstats with what udev knows of each device. */
#include "collect/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool all_digits(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

/* nvme\d+n\d+p\d+ */
static bool is_nvme_partition(const char *name)
{
	static const char *const words[] = { "nvme", "n", "p" };

	for (size_t i = 0; i < HOST_COUNT(words); i++) {
		size_t length = strlen(words[i]), digits;
		if (strncmp(name, words[i], length) != 0 || !(digits = strspn(name + length, "0123456789")))
			return false;
		name += length + digits;
	}
	return !*name;
}

/* ^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$ */
static bool is_left_out(const char *name)
{
	static const char *const prefixes[] = { "ram", "loop", "fd" }, *const disks[] = { "hd", "sd", "vd", "xvd" };

	for (size_t i = 0; i < HOST_COUNT(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0 && all_digits(name + strlen(prefixes[i])))
			return true;
	for (size_t i = 0; i < HOST_COUNT(disks); i++) {
		size_t length = strlen(disks[i]);
		if (strncmp(name, disks[i], length) == 0 && name[length] >= 'a' && name[length] <= 'z' && all_digits(name + length + 1))
			return true;
	}
	return is_nvme_partition(name);
}

static const struct { const char *family; enum series_type type; double scale; } figures[] = {
	{ "node_disk_reads_completed_total", SERIES_COUNTER, 1 },
	{ "node_disk_reads_merged_total", SERIES_COUNTER, 1 },
	{ "node_disk_read_bytes_total", SERIES_COUNTER, 512 },
	{ "node_disk_read_time_seconds_total", SERIES_COUNTER, 0.001 },
	{ "node_disk_writes_completed_total", SERIES_COUNTER, 1 },
	{ "node_disk_writes_merged_total", SERIES_COUNTER, 1 },
	{ "node_disk_written_bytes_total", SERIES_COUNTER, 512 },
	{ "node_disk_write_time_seconds_total", SERIES_COUNTER, 0.001 },
	{ "node_disk_io_now", SERIES_GAUGE, 1 },
	{ "node_disk_io_time_seconds_total", SERIES_COUNTER, 0.001 },
	{ "node_disk_io_time_weighted_seconds_total", SERIES_COUNTER, 0.001 },
	{ "node_disk_discards_completed_total", SERIES_COUNTER, 1 },
	{ "node_disk_discards_merged_total", SERIES_COUNTER, 1 },
	{ "node_disk_discarded_sectors_total", SERIES_COUNTER, 1 },
	{ "node_disk_discard_time_seconds_total", SERIES_COUNTER, 0.001 },
	{ "node_disk_flush_requests_total", SERIES_COUNTER, 1 },
	{ "node_disk_flush_requests_time_seconds_total", SERIES_COUNTER, 0.001 },
};

/* --- udev's data base: /run/udev/data/bMAJOR:MINOR, lines "E:NAME=value" ------------------------------------------------ */

enum property {
	DM_LV_LAYER, DM_LV_NAME, DM_NAME, DM_UUID, DM_VG_NAME, ID_ATA, ID_ATA_ROTATION_RATE_RPM, ID_ATA_WRITE_CACHE,
	ID_ATA_WRITE_CACHE_ENABLED, ID_FS_TYPE, ID_FS_USAGE, ID_FS_UUID, ID_FS_VERSION, ID_MODEL, ID_PATH, ID_REVISION,
	ID_SERIAL_SHORT, ID_WWN, PROPERTIES,
};

static const char *const property_names[PROPERTIES] = {
	[DM_LV_LAYER] = "DM_LV_LAYER", [DM_LV_NAME] = "DM_LV_NAME", [DM_NAME] = "DM_NAME", [DM_UUID] = "DM_UUID",
	[DM_VG_NAME] = "DM_VG_NAME", [ID_ATA] = "ID_ATA", [ID_ATA_ROTATION_RATE_RPM] = "ID_ATA_ROTATION_RATE_RPM",
	[ID_ATA_WRITE_CACHE] = "ID_ATA_WRITE_CACHE", [ID_ATA_WRITE_CACHE_ENABLED] = "ID_ATA_WRITE_CACHE_ENABLED",
	[ID_FS_TYPE] = "ID_FS_TYPE", [ID_FS_USAGE] = "ID_FS_USAGE", [ID_FS_UUID] = "ID_FS_UUID", [ID_FS_VERSION] = "ID_FS_VERSION",
	[ID_MODEL] = "ID_MODEL", [ID_PATH] = "ID_PATH", [ID_REVISION] = "ID_REVISION", [ID_SERIAL_SHORT] = "ID_SERIAL_SHORT", [ID_WWN] = "ID_WWN",
};

struct properties {
	char each[PROPERTIES][NAME_LEN];
};

static void read_properties(struct host *host, const char *major, const char *minor, struct properties *ret)
{
	static const char prefix[] = "E:";
	char path[80], text[16384];
	struct span lines, line;

	for (int i = 0; i < PROPERTIES; i++)
		ret->each[i][0] = '\0';
	snprintf(path, sizeof(path), "run/udev/data/b%s:%s", major, minor);
	ssize_t length = procfs_read_at(host->root_fd, path, text, sizeof(text));
	if (length < 0)
		return; /* no udev, as in a container */
	lines = (struct span){ text, text + length };
	while (span_line(&lines, &line)) {
		const char *equals = memchr(line.at, '=', (size_t)(line.end - line.at));
		if (!equals || !span_starts(&line, prefix))
			continue;
		struct span name = { line.at, equals }, value = { equals + 1, line.end };
		for (int i = 0; i < PROPERTIES; i++)
			if (span_is(&name, property_names[i]))
				span_copy(&value, ret->each[i], sizeof(ret->each[i]));
	}
}

static void put_ata(struct host *host, const char *device, const struct properties *p)
{
	static const struct { enum property property; const char *family; } ata[] = {
		{ ID_ATA_WRITE_CACHE, "node_disk_ata_write_cache" },
		{ ID_ATA_WRITE_CACHE_ENABLED, "node_disk_ata_write_cache_enabled" },
		{ ID_ATA_ROTATION_RATE_RPM, "node_disk_ata_rotation_rate_rpm" },
	};
	double value;

	for (size_t i = 0; p->each[ID_ATA][0] && i < HOST_COUNT(ata); i++)
		if (host_parse_number(p->each[ata[i].property], &value))
			host_put(host, ata[i].family, SERIES_GAUGE, value, HOST_LABELS({ "device", device }));
}

static void put_info(struct host *host, const char *device, const char *major, const char *minor, const struct properties *p)
{
	host_put(host, "node_disk_info", SERIES_GAUGE, 1, HOST_LABELS({ "device", device }, { "major", major }, { "minor", minor },
		{ "model", p->each[ID_MODEL] }, { "path", p->each[ID_PATH] }, { "revision", p->each[ID_REVISION] }, { "serial", p->each[ID_SERIAL_SHORT] },
		{ "wwn", p->each[ID_WWN] }));
	if (p->each[ID_FS_TYPE][0])
		host_put(host, "node_disk_filesystem_info", SERIES_GAUGE, 1, HOST_LABELS({ "device", device },
			{ "type", p->each[ID_FS_TYPE] }, { "usage", p->each[ID_FS_USAGE] }, { "uuid", p->each[ID_FS_UUID] },
			{ "version", p->each[ID_FS_VERSION] }));
	if (p->each[DM_NAME][0])
		host_put(host, "node_disk_device_mapper_info", SERIES_GAUGE, 1, HOST_LABELS({ "device", device },
			{ "lv_layer", p->each[DM_LV_LAYER] }, { "lv_name", p->each[DM_LV_NAME] }, { "name", p->each[DM_NAME] },
			{ "uuid", p->each[DM_UUID] }, { "vg_name", p->each[DM_VG_NAME] }));
	put_ata(host, device, p);
}

int host_read_diskstats(struct host *host)
{
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, "diskstats", &text);
	if (error)
		return error == -ENODATA ? 0 : error; /* a host without a disk */

	while (span_line(&text, &line)) {
		char major[12], minor[12], device[NAME_LEN];
		struct properties properties;
		uint64_t value;
		if (!span_word(&line, &word) || span_copy(&word, major, sizeof(major)) >= sizeof(major) || !span_word(&line, &word) ||
		    span_copy(&word, minor, sizeof(minor)) >= sizeof(minor) || !span_word(&line, &word) ||
		    span_copy(&word, device, sizeof(device)) >= sizeof(device))
			return -EINVAL;
		if (is_left_out(device))
			continue;
		read_properties(host, major, minor, &properties);
		put_info(host, device, major, minor, &properties);
		for (size_t i = 0; i < HOST_COUNT(figures) && span_next_number(&line, &value); i++)
			host_put(host, figures[i].family, figures[i].type, (double)value * figures[i].scale, HOST_LABELS({ "device", device }));
	}
	return 0;
}
