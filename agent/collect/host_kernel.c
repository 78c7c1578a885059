/* SPDX-License-Identifier: Apache-2.0 */
/* Single figures of the kernel and the system: entropy, open files, the scheduler's waiting, the clock, who and what it is. */
#include "collect/host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

int host_read_entropy(struct host *host)
{
	static const struct host_file files[] = {
		{ "sys/kernel/random/entropy_avail", "node_entropy_available_bits", SERIES_GAUGE, 0 },
		{ "sys/kernel/random/poolsize", "node_entropy_pool_size_bits", SERIES_GAUGE, 0 },
	};
	return host_put_files(host, host->proc_fd, files, HOST_COUNT(files), HOST_NONE) ? 0 : -ENOENT;
}

/* "1251	0	2466170": allocated, free but not given back, the limit. */
int host_read_filefd(struct host *host)
{
	struct span text, line, word;
	uint64_t allocated, unused;
	double maximum;
	int error = host_lines(host, host->proc_fd, "sys/fs/file-nr", &text);
	if (error)
		return error;
	if (!span_line(&text, &line) || !span_next_number(&line, &allocated) || !span_next_number(&line, &unused) ||
	    !span_word(&line, &word) || !span_real(&word, &maximum)) /* LONG_MAX, and more than our whole numbers hold */
		return -EINVAL;
	host_put(host, "node_filefd_allocated", SERIES_GAUGE, (double)allocated, HOST_NONE);
	host_put(host, "node_filefd_maximum", SERIES_GAUGE, maximum, HOST_NONE);
	return 0;
}

/* "cpu0 … running waiting timeslices": the last three of nine. */
int host_read_schedstat(struct host *host)
{
	static const struct { const char *family; double scale; } figures[] = {
		{ "node_schedstat_running_seconds_total", 1e-9 },
		{ "node_schedstat_waiting_seconds_total", 1e-9 },
		{ "node_schedstat_timeslices_total", 1 },
	};
	struct span text, line, word;
	int error = host_lines(host, host->proc_fd, "schedstat", &text);
	if (error)
		return error;

	while (span_line(&text, &line)) {
		char cpu[16];
		uint64_t skipped, value;
		if (!span_word(&line, &word) || !span_starts(&word, "cpu") || span_copy(&word, cpu, sizeof(cpu)) >= sizeof(cpu))
			continue;
		for (int i = 0; i < 6; i++)
			(void)span_next_number(&line, &skipped);
		for (size_t i = 0; i < HOST_COUNT(figures) && span_next_number(&line, &value); i++)
			host_put(host, figures[i].family, SERIES_COUNTER, (double)value * figures[i].scale, HOST_LABELS({ "cpu", cpu }));
	}
	return 0;
}

int host_read_uname(struct host *host)
{
	struct utsname names;
	if (uname(&names) < 0)
		return -errno;
	host_put(host, "node_uname_info", SERIES_GAUGE, 1, HOST_LABELS({ "domainname", names.domainname }, { "machine", names.machine },
		{ "nodename", names.nodename }, { "release", names.release }, { "sysname", names.sysname }, { "version", names.version }));
	return 0;
}

/* --- time --------------------------------------------------------------------------------------------------------------- */

static void put_clocksources(struct host *host)
{
	char path[64], current[64], available[256];

	for (int device = 0; device < 16; device++) {
		char number[8];
		snprintf(number, sizeof(number), "%d", device);
		snprintf(path, sizeof(path), "devices/system/clocksource/clocksource%d/current_clocksource", device);
		if (host_text(host->sys_fd, path, current, sizeof(current)) < 0)
			return;
		host_put(host, "node_time_clocksource_current_info", SERIES_GAUGE, 1,
			HOST_LABELS({ "clocksource", current }, { "device", number }));
		snprintf(path, sizeof(path), "devices/system/clocksource/clocksource%d/available_clocksource", device);
		(void)host_text(host->sys_fd, path, available, sizeof(available));
		char *rest = available;
		for (char *name; (name = strsep(&rest, " "));)
			if (*name)
				host_put(host, "node_time_clocksource_available_info", SERIES_GAUGE, 1,
					HOST_LABELS({ "clocksource", name }, { "device", number }));
	}
}

int host_read_time(struct host *host)
{
	time_t now = time(NULL);
	struct tm local;

	tzset();
	if (localtime_r(&now, &local))
		host_put(host, "node_time_zone_offset_seconds", SERIES_GAUGE, (double)local.tm_gmtoff, HOST_LABELS({ "time_zone", local.tm_zone }));
	put_clocksources(host);
	return 0;
}

/* adjtimex(2) and node_exporter's scales: microseconds or, where STA_NANO says so, nanoseconds; frequencies in 2^-16 ppm. */
int host_read_timex(struct host *host)
{
	struct timex t = { 0 };
	int clock = adjtimex(&t);
	if (clock < 0)
		return -errno;

	double divisor = t.status & STA_NANO ? 1e9 : 1e6;
	const double ppm16 = 1e6 * 65536;
	const struct { const char *family; enum series_type type; double value; } figures[] = {
		{ "node_timex_estimated_error_seconds", SERIES_GAUGE, (double)t.esterror / 1e6 },
		{ "node_timex_frequency_adjustment_ratio", SERIES_GAUGE, 1 + (double)t.freq / ppm16 },
		{ "node_timex_loop_time_constant", SERIES_GAUGE, (double)t.constant },
		{ "node_timex_maxerror_seconds", SERIES_GAUGE, (double)t.maxerror / 1e6 },
		{ "node_timex_offset_seconds", SERIES_GAUGE, (double)t.offset / divisor },
		{ "node_timex_pps_calibration_total", SERIES_COUNTER, (double)t.calcnt },
		{ "node_timex_pps_error_total", SERIES_COUNTER, (double)t.errcnt },
		{ "node_timex_pps_frequency_hertz", SERIES_GAUGE, (double)t.ppsfreq / ppm16 },
		{ "node_timex_pps_jitter_seconds", SERIES_GAUGE, (double)t.jitter / divisor },
		{ "node_timex_pps_jitter_total", SERIES_COUNTER, (double)t.jitcnt },
		{ "node_timex_pps_shift_seconds", SERIES_GAUGE, (double)t.shift },
		{ "node_timex_pps_stability_exceeded_total", SERIES_COUNTER, (double)t.stbcnt },
		{ "node_timex_pps_stability_hertz", SERIES_GAUGE, (double)t.stabil / ppm16 },
		{ "node_timex_status", SERIES_GAUGE, t.status },
		{ "node_timex_sync_status", SERIES_GAUGE, clock != TIME_ERROR },
		{ "node_timex_tai_offset_seconds", SERIES_GAUGE, t.tai },
		{ "node_timex_tick_seconds", SERIES_GAUGE, (double)t.tick / 1e6 },
	};
	for (size_t i = 0; i < HOST_COUNT(figures); i++)
		host_put(host, figures[i].family, figures[i].type, figures[i].value, HOST_NONE);
	return 0;
}

/* --- os, dmi, selinux --------------------------------------------------------------------------------------------------- */

/* One line of os-release(5): NAME=value, the value perhaps quoted, with backslashes. */
static void unquote(const struct span *value, char *ret, size_t size)
{
	const char *at = value->at, *end = value->end;
	size_t length = 0;

	while (end > at && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	bool quoted = end - at >= 2 && (*at == '"' || *at == '\'') && end[-1] == *at;
	at += quoted;
	end -= quoted;
	for (; at < end && length + 1 < size; at++) {
		if (*at == '\\' && at + 1 < end)
			at++;
		ret[length++] = *at;
	}
	ret[length] = '\0';
}

int host_read_os(struct host *host)
{
	static const char *const keys[] = {
		"BUILD_ID", "ID", "ID_LIKE", "IMAGE_ID", "IMAGE_VERSION", "NAME", "PRETTY_NAME", "VARIANT", "VARIANT_ID", "VERSION",
		"VERSION_CODENAME", "VERSION_ID",
	};
	static const char *const names[] = {
		"build_id", "id", "id_like", "image_id", "image_version", "name", "pretty_name", "variant", "variant_id", "version",
		"version_codename", "version_id",
	};
	enum { ID = 1, ID_LIKE = 2, NAME = 5, VERSION_ID = 11 };
	char values[HOST_COUNT(keys)][NAME_LEN] = { "" };
	struct host_label labels[HOST_COUNT(keys)];
	struct span text, line;

	int error = host_lines(host, host->root_fd, "etc/os-release", &text);
	if (error)
		error = host_lines(host, host->root_fd, "usr/lib/os-release", &text);
	if (error)
		return error;
	while (span_line(&text, &line)) {
		const char *equals = memchr(line.at, '=', (size_t)(line.end - line.at));
		struct span key = { line.at, equals }, value = { equals ? equals + 1 : NULL, line.end };
		for (size_t i = 0; equals && i < HOST_COUNT(keys); i++)
			if (span_is(&key, keys[i]))
				unquote(&value, values[i], sizeof(values[i]));
	}
	for (size_t i = 0; i < HOST_COUNT(keys); i++)
		labels[i] = (struct host_label){ names[i], values[i] };
	host_put(host, "node_os_info", SERIES_GAUGE, 1, labels, HOST_COUNT(labels));

	/* "11.2" and "20.04.1": as many digits as make one number. */
	size_t digits = strspn(values[VERSION_ID], "0123456789");
	if (digits && values[VERSION_ID][digits] == '.')
		digits += 1 + strspn(values[VERSION_ID] + digits + 1, "0123456789");
	values[VERSION_ID][digits] = '\0';
	double version;
	if (host_parse_number(values[VERSION_ID], &version))
		host_put(host, "node_os_version", SERIES_GAUGE, version,
			HOST_LABELS({ "id", values[ID] }, { "id_like", values[ID_LIKE] }, { "name", values[NAME] }));
	return 0;
}

/* Serial numbers are for root's eyes: what sysfs shows to root only is no label here, as it is none for an exporter that is not root. */
static bool is_for_all(int dir_fd, const char *path)
{
	struct stat about;
	return fstatat(dir_fd, path, &about, 0) == 0 && (about.st_mode & S_IROTH);
}

int host_read_dmi(struct host *host)
{
	static const struct { const char *label, *file; } fields[] = {
		{ "bios_date", "bios_date" }, { "bios_release", "bios_release" }, { "bios_vendor", "bios_vendor" },
		{ "bios_version", "bios_version" }, { "board_asset_tag", "board_asset_tag" }, { "board_name", "board_name" },
		{ "board_serial", "board_serial" }, { "board_vendor", "board_vendor" }, { "board_version", "board_version" },
		{ "chassis_asset_tag", "chassis_asset_tag" }, { "chassis_serial", "chassis_serial" },
		{ "chassis_vendor", "chassis_vendor" }, { "chassis_version", "chassis_version" }, { "product_family", "product_family" },
		{ "product_name", "product_name" }, { "product_serial", "product_serial" }, { "product_sku", "product_sku" },
		{ "product_uuid", "product_uuid" }, { "product_version", "product_version" }, { "system_vendor", "sys_vendor" },
	};
	char values[HOST_COUNT(fields)][NAME_LEN];
	struct host_label labels[HOST_COUNT(fields)];
	uint32_t count = 0;

	int dir_fd = host_open_dir(host->sys_fd, "class/dmi/id");
	if (dir_fd < 0)
		return dir_fd;
	for (size_t i = 0; i < HOST_COUNT(fields); i++) {
		if (!is_for_all(dir_fd, fields[i].file) || host_text(dir_fd, fields[i].file, values[count], sizeof(values[0])) < 0)
			continue;
		labels[count] = (struct host_label){ fields[i].label, values[count] };
		count++;
	}
	close(dir_fd);
	host_put(host, "node_dmi_info", SERIES_GAUGE, 1, labels, count);
	return 0;
}

int host_read_selinux(struct host *host)
{
	char mode[16];
	int dir_fd = host_open_dir(host->sys_fd, "fs/selinux");
	bool enabled = dir_fd >= 0 && host_text(dir_fd, "enforce", mode, sizeof(mode)) == 0;

	host_put(host, "node_selinux_enabled", SERIES_GAUGE, enabled, HOST_NONE);
	if (enabled) {
		char line[256] = "";
		double now = strcmp(mode, "1") == 0;
		struct span text, each;
		host_put(host, "node_selinux_current_mode", SERIES_GAUGE, now, HOST_NONE);
		double configured = -1; /* disabled, or nothing said */
		if (host_lines(host, host->root_fd, "etc/selinux/config", &text) == 0) {
			while (span_line(&text, &each)) {
				if (!span_starts(&each, "SELINUX="))
					continue;
				span_copy(&each, line, sizeof(line));
				configured = strncmp(line, "enforcing", 9) == 0 ? 1 : strncmp(line, "permissive", 10) == 0 ? 0 : -1;
			}
		}
		host_put(host, "node_selinux_config_mode", SERIES_GAUGE, configured, HOST_NONE);
	}
	if (dir_fd >= 0)
		close(dir_fd);
	return 0;
}
