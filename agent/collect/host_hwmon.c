/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sensors of /sys/class/hwmon. A file's name says all: type, number, element ("temp2_crit"). Type and element give the family and its
 * unit by the table below.
 */
#include "collect/host.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct sensor_file {
	char type[24], element[64];
	unsigned long number;
};

/* What stands behind node_hwmon_TYPE[_ELEMENT], and the scale; the first that fits. "input" is the sensor's value: no element in its name. */
static const struct form {
	const char *type, *element, *unit;
	double scale;
	enum series_type series;
} forms[] = {
	{ "*", "fault", "", 1, SERIES_GAUGE },
	{ "*", "alarm", "", 1, SERIES_GAUGE },
	{ "*", "beep", "_enabled", 1, SERIES_GAUGE },
	{ "in", "*", "_volts", 1e-3, SERIES_GAUGE },
	{ "cpu", "*", "_volts", 1e-3, SERIES_GAUGE },
	{ "temp", "type", "", 1, SERIES_GAUGE },
	{ "temp", "*", "_celsius", 1e-3, SERIES_GAUGE },
	{ "curr", "*", "_amps", 1e-3, SERIES_GAUGE },
	{ "energy", "*", "_joule_total", 1e-6, SERIES_COUNTER },
	{ "power", "accuracy", "", 1e-6, SERIES_GAUGE },
	{ "power", "average_interval", "_seconds", 1e-3, SERIES_GAUGE },
	{ "power", "average_interval_min", "_seconds", 1e-3, SERIES_GAUGE },
	{ "power", "average_interval_max", "_seconds", 1e-3, SERIES_GAUGE },
	{ "power", "*", "_watt", 1e-6, SERIES_GAUGE },
	{ "humidity", "*", "", 1e-6, SERIES_GAUGE },
	{ "fan", "input", "_rpm", 1, SERIES_GAUGE },
	{ "fan", "min", "_rpm", 1, SERIES_GAUGE },
	{ "fan", "max", "_rpm", 1, SERIES_GAUGE },
	{ "fan", "target", "_rpm", 1, SERIES_GAUGE },
	{ "*", "*", "", 1, SERIES_GAUGE },
};

/* Lower case, and what no metric's name may hold as _, but none at the ends. */
static void clean(const char *text, char *ret, size_t size)
{
	size_t length = 0;

	for (; *text && length + 1 < size; text++) {
		char c = (char)tolower((unsigned char)*text);
		c = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == ':' || c == '_' ? c : '_';
		if (c != '_' || length)
			ret[length++] = c;
	}
	while (length && ret[length - 1] == '_')
		length--;
	ret[length] = '\0';
}

static bool is_sensor_type(const char *type)
{
	static const char *const types[] = {
		"vrm", "beep_enable", "update_interval", "in", "cpu", "fan", "pwm", "temp", "curr", "power", "energy", "humidity", "intrusion",
	};
	for (size_t i = 0; i < HOST_COUNT(types); i++)
		if (strcmp(types[i], type) == 0)
			return true;
	return false;
}

static bool parse_name(const char *name, struct sensor_file *ret)
{
	size_t type = strcspn(name, "0123456789"), digits = strspn(name + type, "0123456789");

	*ret = (struct sensor_file){ 0 };
	if (!type || type >= sizeof(ret->type) || digits > 9)
		return false;
	memcpy(ret->type, name, type);
	for (size_t i = 0; i < digits; i++)
		ret->number = ret->number * 10 + (unsigned long)(name[type + i] - '0');
	if (digits && name[type + digits] == '_')
		snprintf(ret->element, sizeof(ret->element), "%s", name + type + digits + 1);
	return is_sensor_type(ret->type);
}

static void put_single(struct host *host, const char *chip, const char *sensor, const char *type, const char *text)
{
	static const struct { const char *type, *family; double scale; } singles[] = {
		{ "beep_enable", "node_hwmon_beep_enabled", 1 },
		{ "vrm", "node_hwmon_voltage_regulator_version", 1 },
		{ "update_interval", "node_hwmon_update_interval_seconds", 1e-3 },
	};
	double value;

	for (size_t i = 0; i < HOST_COUNT(singles); i++)
		if (strcmp(singles[i].type, type) == 0 && host_parse_number(text, &value))
			host_put(host, singles[i].family, SERIES_GAUGE, i == 0 ? value == 1 : value * singles[i].scale,
				HOST_LABELS({ "chip", chip }, { "sensor", sensor }));
}

static void put_element(struct host *host, const char *chip, const char *sensor, const struct sensor_file *file, const char *text,
	bool has_plain)
{
	char family[160], element[64] = "";
	const struct form *form = forms;
	double value;

	if (!host_parse_number(text, &value))
		return;
	while (fnmatch(form->type, file->type, 0) != 0 || fnmatch(form->element, file->element, 0) != 0)
		form++;
	clean(file->element, element, sizeof(element));
	bool named = element[0] && (strcmp(file->element, "input") != 0 || has_plain);
	snprintf(family, sizeof(family), "node_hwmon_%s%s%s%s", file->type, named ? "_" : "", named ? element : "", form->unit);
	host_put(host, family, form->series, value * form->scale, HOST_LABELS({ "chip", chip }, { "sensor", sensor }));
}

/* Newer drivers keep their files in the directory, older ones in its device. */
static void put_sensors(struct host *host, int dir_fd, const char *chip)
{
	struct host_names names;

	(void)host_list(dir_fd, ".", &names);
	for (uint32_t i = 0; i < names.count; i++) {
		struct sensor_file file;
		char text[128], path[64], sensor[64], plain[8];
		if (!parse_name(names.each[i], &file) || host_text(dir_fd, names.each[i], text, sizeof(text)) < 0)
			continue;
		snprintf(sensor, sizeof(sensor), "%s%lu", file.type, file.number);
		if (strcmp(file.element, "label") == 0) {
			host_put(host, "node_hwmon_sensor_label", SERIES_GAUGE, 1,
				HOST_LABELS({ "chip", chip }, { "label", text }, { "sensor", sensor }));
			continue;
		}
		if (strcmp(file.type, "vrm") == 0 || strcmp(file.type, "beep_enable") == 0 || strcmp(file.type, "update_interval") == 0) {
			put_single(host, chip, sensor, file.type, text);
			continue;
		}
		snprintf(path, sizeof(path), "%s%lu", file.type, file.number);
		put_element(host, chip, sensor, &file, text, host_text(dir_fd, path, plain, sizeof(plain)) == 0);
	}
	host_names_free(&names);
}

/* By the device it sits on, whose place is stable: "platform_coretemp_0". The driver's own name stands in node_hwmon_chip_names. */
static void name_chip(int dir_fd, const char *directory, char *ret, size_t size)
{
	char link[40], path[PATH_LEN], type[NAME_LEN], name[NAME_LEN];

	ret[0] = '\0';
	int device_fd = host_open_dir(dir_fd, "device");
	if (device_fd >= 0) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", device_fd);
		ssize_t length = readlink(link, path, sizeof(path) - 1);
		path[length < 0 ? 0 : length] = '\0';
		close(device_fd);
		char *slash = strrchr(path, '/');
		clean(slash ? slash + 1 : path, name, sizeof(name));
		if (slash)
			*slash = '\0';
		slash = slash ? strrchr(path, '/') : NULL;
		clean(slash ? slash + 1 : "", type, sizeof(type));
		snprintf(ret, size, "%s%s%s", type, type[0] && name[0] ? "_" : "", name);
	}
	if (!ret[0] && host_text(dir_fd, "name", name, sizeof(name)) == 0)
		clean(name, ret, size);
	if (!ret[0])
		clean(directory, ret, size);
}

int host_read_hwmon(struct host *host)
{
	struct host_names names;
	int error = host_list(host->sys_fd, "class/hwmon", &names);

	for (uint32_t i = 0; i < names.count; i++) {
		char path[NAME_LEN + 16], chip[2 * NAME_LEN], raw[NAME_LEN], name[NAME_LEN];
		snprintf(path, sizeof(path), "class/hwmon/%s", names.each[i]);
		int dir_fd = host_open_dir(host->sys_fd, path);
		if (dir_fd < 0)
			continue;
		name_chip(dir_fd, names.each[i], chip, sizeof(chip));
		put_sensors(host, dir_fd, chip);
		int device_fd = host_open_dir(dir_fd, "device");
		if (device_fd >= 0) {
			put_sensors(host, device_fd, chip);
			close(device_fd);
		}
		if (host_text(dir_fd, "name", raw, sizeof(raw)) == 0) {
			clean(raw, name, sizeof(name));
			host_put(host, "node_hwmon_chip_names", SERIES_GAUGE, 1, HOST_LABELS({ "chip", chip }, { "chip_name", name }));
		}
		close(dir_fd);
	}
	host_names_free(&names);
	return error;
}
