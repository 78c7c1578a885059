/* SPDX-License-Identifier: Apache-2.0 */
/* What the hardware tells of itself below /sys: clocks and throttling of CPUs, memory errors, energy, temperatures, power supplies. */
#include "collect/host.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- cpu, cpufreq ------------------------------------------------------------------------------------------------------- */

/* "cpu12" is "12"; NULL for what is none ("cpufreq"). */
static const char *number_behind(const char *name, const char *prefix)
{
	size_t length = strlen(prefix);
	if (strncmp(name, prefix, length) != 0 || !name[length] || name[length + strspn(name + length, "0123456789")])
		return NULL;
	return name + length;
}

static bool seen(char (*keys)[40], uint32_t *count, const char *key)
{
	for (uint32_t i = 0; i < *count; i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	if (*count < HOST_MAX_ENTRIES)
		snprintf(keys[(*count)++], sizeof(keys[0]), "%s", key);
	return false;
}

/* Each package and each core has one counter, which all its CPUs show. */
static void put_throttles(struct host *host, int dir_fd, char (*cores)[40], uint32_t *core_count, char (*packages)[40], uint32_t *package_count)
{
	char package[16], core[16], key[40];
	double value;

	if (host_text(dir_fd, "topology/physical_package_id", package, sizeof(package)) < 0 ||
	    host_text(dir_fd, "topology/core_id", core, sizeof(core)) < 0)
		return;
	snprintf(key, sizeof(key), "%s/%s", package, core);
	if (host_number(dir_fd, "thermal_throttle/core_throttle_count", &value) == 0 && !seen(cores, core_count, key))
		host_put(host, "node_cpu_core_throttles_total", SERIES_COUNTER, value, HOST_LABELS({ "core", core }, { "package", package }));
	if (host_number(dir_fd, "thermal_throttle/package_throttle_count", &value) == 0 && !seen(packages, package_count, package))
		host_put(host, "node_cpu_package_throttles_total", SERIES_COUNTER, value, HOST_LABELS({ "package", package }));
}

int host_read_cpu(struct host *host)
{
	char (*cores)[40] = calloc(2 * HOST_MAX_ENTRIES, sizeof(*cores)); /* and behind them the packages */
	uint32_t core_count = 0, package_count = 0;
	struct host_names names;

	if (!cores)
		return -ENOMEM;
	int error = host_list(host->sys_fd, "devices/system/cpu", &names);
	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 24];
		snprintf(path, sizeof(path), "devices/system/cpu/%s", names.each[i]);
		int dir_fd = number_behind(names.each[i], "cpu") ? host_open_dir(host->sys_fd, path) : -ENOENT;
		if (dir_fd < 0)
			continue;
		put_throttles(host, dir_fd, cores, &core_count, cores + HOST_MAX_ENTRIES, &package_count);
		close(dir_fd);
	}
	host_names_free(&names);
	free(cores);
	return error == -ENOENT ? 0 : error;
}

int host_read_cpufreq(struct host *host)
{
	static const struct host_file files[] = {
		{ "cpuinfo_cur_freq", "node_cpu_frequency_hertz", SERIES_GAUGE, 1000 },
		{ "cpuinfo_max_freq", "node_cpu_frequency_max_hertz", SERIES_GAUGE, 1000 },
		{ "cpuinfo_min_freq", "node_cpu_frequency_min_hertz", SERIES_GAUGE, 1000 },
		{ "scaling_cur_freq", "node_cpu_scaling_frequency_hertz", SERIES_GAUGE, 1000 },
		{ "scaling_max_freq", "node_cpu_scaling_frequency_max_hertz", SERIES_GAUGE, 1000 },
		{ "scaling_min_freq", "node_cpu_scaling_frequency_min_hertz", SERIES_GAUGE, 1000 },
	};
	struct host_names names;
	int error = host_list(host->sys_fd, "devices/system/cpu", &names);

	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 32];
		const char *number = number_behind(names.each[i], "cpu");
		snprintf(path, sizeof(path), "devices/system/cpu/%s/cpufreq", names.each[i]);
		int dir_fd = number ? host_open_dir(host->sys_fd, path) : -ENOENT;
		if (dir_fd < 0)
			continue;
		host_put_files(host, dir_fd, files, HOST_COUNT(files), HOST_LABELS({ "cpu", number }));
		close(dir_fd);
	}
	host_names_free(&names);
	return error == -ENOENT ? 0 : error;
}

/* --- edac --------------------------------------------------------------------------------------------------------------- */

static void put_rows(struct host *host, int dir_fd, const char *controller)
{
	static const struct host_file files[] = {
		{ "ce_count", "node_edac_csrow_correctable_errors_total", SERIES_COUNTER, 0 },
		{ "ue_count", "node_edac_csrow_uncorrectable_errors_total", SERIES_COUNTER, 0 },
	};
	struct host_names names;

	(void)host_list(dir_fd, ".", &names);
	for (uint32_t i = 0; i < names.count; i++) {
		const char *row = number_behind(names.each[i], "csrow");
		int row_fd = row ? host_open_dir(dir_fd, names.each[i]) : -ENOENT;
		if (row_fd < 0)
			continue;
		host_put_files(host, row_fd, files, HOST_COUNT(files), HOST_LABELS({ "controller", controller }, { "csrow", row }));
		close(row_fd);
	}
	host_names_free(&names);
}

int host_read_edac(struct host *host)
{
	static const struct host_file files[] = {
		{ "ce_count", "node_edac_correctable_errors_total", SERIES_COUNTER, 0 },
		{ "ue_count", "node_edac_uncorrectable_errors_total", SERIES_COUNTER, 0 },
	}, unknown[] = {
		{ "ce_noinfo_count", "node_edac_csrow_correctable_errors_total", SERIES_COUNTER, 0 },
		{ "ue_noinfo_count", "node_edac_csrow_uncorrectable_errors_total", SERIES_COUNTER, 0 },
	};
	struct host_names names;

	(void)host_list(host->sys_fd, "devices/system/edac/mc", &names); /* no such hardware is no error there, either */
	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 32];
		const char *number = number_behind(names.each[i], "mc");
		snprintf(path, sizeof(path), "devices/system/edac/mc/%s", names.each[i]);
		int dir_fd = number ? host_open_dir(host->sys_fd, path) : -ENOENT;
		if (dir_fd < 0)
			continue;
		host_put_files(host, dir_fd, files, HOST_COUNT(files), HOST_LABELS({ "controller", number }));
		host_put_files(host, dir_fd, unknown, HOST_COUNT(unknown), HOST_LABELS({ "controller", number }, { "csrow", "unknown" }));
		put_rows(host, dir_fd, number);
		close(dir_fd);
	}
	host_names_free(&names);
	return 0;
}

/* --- rapl --------------------------------------------------------------------------------------------------------------- */

/* A zone "package-0" of index 0, or "dram" below it; each name counts its own zones where it says no index. */
static void put_zone(struct host *host, const char *directory, const char *prefix, struct host_names *counted, uint32_t *indexes)
{
	char path[NAME_LEN + 32], name[64], family[96], number[12], where[PATH_LEN];
	double energy;

	snprintf(path, sizeof(path), "class/powercap/%s/name", directory);
	if (host_text(host->sys_fd, path, name, sizeof(name)) < 0)
		return;
	snprintf(path, sizeof(path), "class/powercap/%s/energy_uj", directory);
	if (host_number(host->sys_fd, path, &energy) < 0)
		return;

	char *dash = strrchr(name, '-');
	uint32_t index = 0;
	if (dash && dash[1] && !dash[1 + strspn(dash + 1, "0123456789")]) {
		index = (uint32_t)strtoul(dash + 1, NULL, 10);
		*dash = '\0';
	} else {
		uint32_t i = 0;
		while (i < counted->count && strcmp(counted->each[i], name) != 0)
			i++;
		if (i == counted->count && i < counted->capacity) {
			snprintf(counted->each[i], NAME_LEN, "%s", name);
			indexes[counted->count++] = 0;
		}
		index = i < counted->count ? indexes[i]++ : 0;
	}
	for (char *at = name; *at; at++)
		if (!isalnum((unsigned char)*at) && *at != '_' && *at != ':')
			*at = '_';
	snprintf(family, sizeof(family), "node_rapl_%s_joules_total", name);
	snprintf(number, sizeof(number), "%u", index);
	snprintf(where, sizeof(where), "%s/class/powercap/%s", prefix, directory);
	host_put(host, family, SERIES_COUNTER, energy / 1e6, HOST_LABELS({ "index", number }, { "path", where }));
}

int host_read_rapl(struct host *host)
{
	enum { KINDS = 32 };
	char kinds[KINDS][NAME_LEN], prefix[PATH_LEN] = "", link[40];
	uint32_t indexes[KINDS];
	struct host_names names, counted = { .capacity = KINDS, .each = kinds };
	int error = host_list(host->sys_fd, "class/powercap", &names);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", host->sys_fd);
	ssize_t length = readlink(link, prefix, sizeof(prefix) - 1);
	prefix[length < 0 ? 0 : length] = '\0';
	for (uint32_t i = 0; i < names.count; i++)
		if (strncmp(names.each[i], "intel-rapl:", 11) == 0)
			put_zone(host, names.each[i], prefix, &counted, indexes);
	host_names_free(&names);
	return error;
}

/* --- thermal_zone ------------------------------------------------------------------------------------------------------- */

int host_read_thermal_zone(struct host *host)
{
	static const struct host_file states[] = {
		{ "cur_state", "node_cooling_device_cur_state", SERIES_GAUGE, 0 },
		{ "max_state", "node_cooling_device_max_state", SERIES_GAUGE, 0 },
	}, temperature = { "temp", "node_thermal_zone_temp", SERIES_GAUGE, 0.001 };
	struct host_names names;

	(void)host_list(host->sys_fd, "class/thermal", &names); /* none is no error */
	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 20], type[64];
		const char *zone = number_behind(names.each[i], "thermal_zone"), *device = number_behind(names.each[i], "cooling_device");
		snprintf(path, sizeof(path), "class/thermal/%s", names.each[i]);
		int dir_fd = zone || device ? host_open_dir(host->sys_fd, path) : -ENOENT;
		if (dir_fd < 0)
			continue;
		bool known = host_text(dir_fd, "type", type, sizeof(type)) == 0;
		if (known && zone)
			host_put_files(host, dir_fd, &temperature, 1, HOST_LABELS({ "type", type }, { "zone", zone }));
		if (known && device)
			host_put_files(host, dir_fd, states, HOST_COUNT(states), HOST_LABELS({ "name", device }, { "type", type }));
		close(dir_fd);
	}
	host_names_free(&names);
	return 0;
}

/* --- powersupplyclass --------------------------------------------------------------------------------------------------- */

#define SUPPLY(file, name, scale) { (file), "node_power_supply_" name, SERIES_GAUGE, (scale) }
static const struct host_file supply_files[] = {
	SUPPLY("authentic", "authentic", 1), SUPPLY("calibrate", "calibrate", 1), SUPPLY("capacity", "capacity", 1),
	SUPPLY("capacity_alert_max", "capacity_alert_max", 1), SUPPLY("capacity_alert_min", "capacity_alert_min", 1),
	SUPPLY("cycle_count", "cyclecount", 1), SUPPLY("online", "online", 1), SUPPLY("present", "present", 1),
	SUPPLY("time_to_empty_now", "time_to_empty_seconds", 1), SUPPLY("time_to_full_now", "time_to_full_seconds", 1),
	SUPPLY("current_boot", "current_boot", 1e-6), SUPPLY("current_max", "current_max", 1e-6),
	SUPPLY("current_now", "current_ampere", 1e-6), SUPPLY("energy_empty", "energy_empty", 1e-6),
	SUPPLY("energy_empty_design", "energy_empty_design", 1e-6), SUPPLY("energy_full", "energy_full", 1e-6),
	SUPPLY("energy_full_design", "energy_full_design", 1e-6), SUPPLY("energy_now", "energy_watthour", 1e-6),
	SUPPLY("voltage_boot", "voltage_boot", 1e-6), SUPPLY("voltage_max", "voltage_max", 1e-6),
	SUPPLY("voltage_max_design", "voltage_max_design", 1e-6), SUPPLY("voltage_min", "voltage_min", 1e-6),
	SUPPLY("voltage_min_design", "voltage_min_design", 1e-6), SUPPLY("voltage_now", "voltage_volt", 1e-6),
	SUPPLY("voltage_ocv", "voltage_ocv", 1e-6), SUPPLY("charge_control_limit", "charge_control_limit", 1e-6),
	SUPPLY("charge_control_limit_max", "charge_control_limit_max", 1e-6), SUPPLY("charge_counter", "charge_counter", 1e-6),
	SUPPLY("charge_empty", "charge_empty", 1e-6), SUPPLY("charge_empty_design", "charge_empty_design", 1e-6),
	SUPPLY("charge_full", "charge_full", 1e-6), SUPPLY("charge_full_design", "charge_full_design", 1e-6),
	SUPPLY("charge_now", "charge_ampere", 1e-6), SUPPLY("charge_term_current", "charge_term_current", 1e-6),
	SUPPLY("constant_charge_current", "constant_charge_current", 1e-6),
	SUPPLY("constant_charge_current_max", "constant_charge_current_max", 1e-6),
	SUPPLY("constant_charge_voltage", "constant_charge_voltage", 1e-6),
	SUPPLY("constant_charge_voltage_max", "constant_charge_voltage_max", 1e-6),
	SUPPLY("precharge_current", "precharge_current", 1e-6), SUPPLY("input_current_limit", "input_current_limit", 1e-6),
	SUPPLY("power_now", "power_watt", 1e-6), SUPPLY("temp", "temp_celsius", 0.1), SUPPLY("temp_alert_max", "temp_alert_max_celsius", 0.1),
	SUPPLY("temp_alert_min", "temp_alert_min_celsius", 0.1), SUPPLY("temp_ambient", "temp_ambient_celsius", 0.1),
	SUPPLY("temp_ambient_max", "temp_ambient_max_celsius", 0.1), SUPPLY("temp_ambient_min", "temp_ambient_min_celsius", 0.1),
	SUPPLY("temp_max", "temp_max_celsius", 0.1), SUPPLY("temp_min", "temp_min_celsius", 0.1),
};

int host_read_powersupply(struct host *host)
{
	static const char *const texts[] = {
		"capacity_level", "charge_type", "health", "manufacturer", "model_name", "scope", "serial_number", "status", "technology",
		"type", "usb_type",
	};
	struct host_names names;
	int error = host_list(host->sys_fd, "class/power_supply", &names);

	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 24], values[HOST_COUNT(texts)][128];
		struct host_label labels[HOST_COUNT(texts) + 1] = { { "power_supply", names.each[i] } };
		uint32_t count = 1;
		snprintf(path, sizeof(path), "class/power_supply/%s", names.each[i]);
		int dir_fd = host_open_dir(host->sys_fd, path);
		if (dir_fd < 0)
			continue;
		host_put_files(host, dir_fd, supply_files, HOST_COUNT(supply_files), HOST_LABELS({ "power_supply", names.each[i] }));
		for (size_t t = 0; t < HOST_COUNT(texts); t++)
			if (host_text(dir_fd, texts[t], values[t], sizeof(values[t])) == 0 && values[t][0])
				labels[count++] = (struct host_label){ texts[t], values[t] };
		host_put(host, "node_power_supply_info", SERIES_GAUGE, 1, labels, count);
		close(dir_fd);
	}
	host_names_free(&names);
	return error;
}
