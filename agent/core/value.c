/* SPDX-License-Identifier: Apache-2.0 */
/* See value.h: text to values and back. Everything that is refused comes with what would be right. */
#include "core/value.h"

#include "core/regex.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mask.h"
#include "policy.h"

/* --- numbers ----------------------------------------------------------------------------------------------------------- */

/* Largest first within a type: that is the order in which a number is written. K is 1024 as in systemd; kB and MB are the decimal ones. */
static const struct unit {
	enum value_type type;
	const char *suffix;
	double factor;
	bool shown;
} units[] = {
	{ VALUE_COUNT, "", 1, true },
	{ VALUE_PERCENT, "", 1, false },
	{ VALUE_PERCENT, "%", 1, true },
	{ VALUE_TIMES, "x", 1, true },
	{ VALUE_TIMES, "", 1, false },
	{ VALUE_DURATION, "d", 86400e9, true },
	{ VALUE_DURATION, "h", 3600e9, true },
	{ VALUE_DURATION, "m", 60e9, true },
	{ VALUE_DURATION, "s", 1e9, true },
	{ VALUE_DURATION, "ms", 1e6, true },
	{ VALUE_BYTES, "TiB", 1099511627776.0, true },
	{ VALUE_BYTES, "GiB", 1073741824.0, true },
	{ VALUE_BYTES, "MiB", 1048576.0, true },
	{ VALUE_BYTES, "KiB", 1024.0, true },
	{ VALUE_BYTES, "", 1, true },
	{ VALUE_BYTES, "B", 1, false },
	{ VALUE_BYTES, "T", 1099511627776.0, false },
	{ VALUE_BYTES, "G", 1073741824.0, false },
	{ VALUE_BYTES, "M", 1048576.0, false },
	{ VALUE_BYTES, "K", 1024.0, false },
	{ VALUE_BYTES, "TB", 1e12, false },
	{ VALUE_BYTES, "GB", 1e9, false },
	{ VALUE_BYTES, "MB", 1e6, false },
	{ VALUE_BYTES, "kB", 1e3, false },
};

static const char *const unit_hints[VALUE_TYPE_COUNT] = {
	[VALUE_COUNT] = "a whole number, such as 10",
	[VALUE_BYTES] = "bytes, such as 512, 10KiB, 1.5GiB",
	[VALUE_DURATION] = "a time with its unit, such as 500ms, 5s, 10m, 1h, 1d",
	[VALUE_PERCENT] = "percent, such as 90 or 90%",
	[VALUE_TIMES] = "a factor, such as 3 or 2.5x",
};

static int why_not(char why[VALUE_WHY_LEN], const char *format, ...) __attribute__((format(printf, 2, 3)));
static int why_not(char why[VALUE_WHY_LEN], const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(why, VALUE_WHY_LEN, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static const struct unit *find_unit(enum value_type type, const char *suffix)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].type == type && strcmp(units[i].suffix, suffix) == 0)
			return &units[i];
	return NULL;
}

/* Digits with at most one point: no signs, exponents, hex, inf or nan, and no locale. Returns what follows, NULL when there is no number.
 */
static const char *parse_digits(const char *text, double *ret)
{
	double value = 0, place = 1;
	const char *at = text;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (*at - '0');
	if (at == text)
		return NULL;
	if (*at == '.') {
		const char *point = at++;
		for (; *at >= '0' && *at <= '9'; at++) {
			place /= 10;
			value += (*at - '0') * place;
		}
		if (at == point + 1)
			return NULL;
	}
	*ret = value;
	return at;
}

static int parse_number(enum value_type type, const char *text, double *ret, char why[VALUE_WHY_LEN])
{
	char shown[CONFIG_SHOWN_LEN];
	double number;
	const char *suffix = parse_digits(text, &number);
	if (!suffix)
		return why_not(why, "%s is not a number; write %s", config_shown(shown, text), unit_hints[type]);

	const struct unit *unit = find_unit(type, suffix);
	if (!unit && !*suffix && number == 0)
		unit = find_unit(VALUE_COUNT, ""); /* nothing is nothing in every unit */
	if (!unit && !*suffix)
		return why_not(why, "%s has no unit; write %s", config_shown(shown, text), unit_hints[type]);
	if (!unit)
		return why_not(why, "%s has an unknown unit; write %s", config_shown(shown, text), unit_hints[type]);

	number *= unit->factor;
	if (number > 9007199254740992.0) /* 2^53: beyond it a double no longer holds every whole number */
		return why_not(why, "%s is too large", config_shown(shown, text));
	if (type != VALUE_PERCENT && type != VALUE_TIMES && type != VALUE_BYTES && type != VALUE_DURATION && number != floor(number))
		return why_not(why, "%s is not a whole number", config_shown(shown, text));
	*ret = type == VALUE_PERCENT || type == VALUE_TIMES ? number : floor(number + 0.5);
	return 0;
}

const char *value_format(enum value_type type, double value, char buffer[VALUE_TEXT_LEN])
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		const struct unit *unit = &units[i];
		double number = value / unit->factor;
		bool fits = number >= 1 && number == floor(number);
		if (unit->type == type && unit->shown && (fits || type == VALUE_PERCENT || type == VALUE_TIMES)) {
			snprintf(buffer, VALUE_TEXT_LEN, "%.10g%s", number, unit->suffix);
			return buffer;
		}
	}
	snprintf(buffer, VALUE_TEXT_LEN, "%.10g", value);
	return buffer;
}

static void format_range(enum value_type type, double min, double max, char *buffer, size_t size)
{
	char low[VALUE_TEXT_LEN], high[VALUE_TEXT_LEN];
	value_format(type, min, low);
	if (max > 0)
		snprintf(buffer, size, "%s to %s", low, value_format(type, max, high));
	else
		snprintf(buffer, size, "%s or more", low);
}

static int check_range(const struct setting *setting, enum value_type type, const char *text, double value, char why[VALUE_WHY_LEN])
{
	char shown[CONFIG_SHOWN_LEN], range[2 * VALUE_TEXT_LEN + 8];
	if (value >= setting->min && (setting->max <= 0 || value <= setting->max))
		return 0;
	format_range(type, setting->min, setting->max, range, sizeof(range));
	return why_not(why, "%s is out of range: %s", config_shown(shown, text), range);
}

/* --- texts ------------------------------------------------------------------------------------------------------------- */

const char *path_problem(const char *path)
{
	size_t length = strlen(path);
	if (path[0] != '/')
		return "not an absolute path: begin with /";
	if (length > 1 && path[length - 1] == '/')
		return "ends with /: leave it out";
	for (const char *at = path; (at = strchr(at, '/')); at++) {
		size_t part = strcspn(at + 1, "/");
		if (part == 0 && at[1])
			return "has // in it: one / is enough";
		if ((part == 1 && at[1] == '.') || (part == 2 && at[1] == '.' && at[2] == '.'))
			return "has . or .. in it: write the path it means";
	}
	return NULL;
}

/* `end` bounds the host and the port. */
static const char *address_problem(const char *text, size_t length)
{
	char host[INET6_ADDRSTRLEN + 1], port[8];
	unsigned char binary[sizeof(struct in6_addr)];
	bool is_v6 = text[0] == '[';
	const char *close = is_v6 ? memchr(text, ']', length) : memchr(text, ':', length);
	if (!close)
		return "no port: write host:port, such as 127.0.0.1:9847 or [::1]:9847";

	const char *start = text + is_v6, *colon = close + is_v6;
	size_t host_length = (size_t)(close - start), used = (size_t)(colon - text);
	if (used >= length || *colon != ':')
		return "no port: write host:port, such as 127.0.0.1:9847 or [::1]:9847";
	if (host_length == 0)
		return "no host: write 127.0.0.1 for this node only, 0.0.0.0 or [::] for every address";
	size_t port_length = length - used - 1;
	if (host_length >= sizeof(host) || port_length >= sizeof(port) || port_length == 0)
		return "not host:port, such as 127.0.0.1:9847 or [::1]:9847";
	memcpy(host, start, host_length);
	host[host_length] = 0;
	memcpy(port, colon + 1, port_length);
	port[port_length] = 0;

	if (inet_pton(is_v6 ? AF_INET6 : AF_INET, host, binary) != 1)
		return "the host is not numeric: write its address, such as 127.0.0.1 or [::1] (no name server is asked)";
	if (strspn(port, "0123456789") != port_length || strtoul(port, NULL, 10) > 65535)
		return "the port is not a number from 0 to 65535";
	return NULL;
}

static const char *url_problem(const char *text)
{
	if (strncmp(text, "http://", 7) != 0)
		return "not http://host:port/path (plain http, to an address of the node)";
	size_t length = strcspn(text + 7, "/");
	for (const char *at = text + 7 + length; *at; at++)
		if (*at <= ' ' || *at == 0x7f)
			return "a blank or control character in the path";
	return address_problem(text + 7, length);
}

static int set_text(const struct setting *setting, const char *text, void *member, char why[VALUE_WHY_LEN])
{
	char shown[CONFIG_SHOWN_LEN];
	const char *problem = NULL;
	size_t length = strlen(text);
	if (length >= setting->size)
		return why_not(why, "%s is too long: %u bytes at most", config_shown(shown, text), setting->size - 1);
	if (!config_is_plain(text))
		return why_not(why, "%s: a control or invisible character", config_shown(shown, text));
	if (!length && setting->min > 0)
		return why_not(why, "is empty; leave the key out, or give a value");
	if (length && setting->type == VALUE_PATH)
		problem = path_problem(text);
	if (length && setting->type == VALUE_ADDRESS)
		problem = address_problem(text, length);
	if (length && setting->type == VALUE_URL)
		problem = url_problem(text);
	if (problem)
		return why_not(why, "%s: %s", config_shown(shown, text), problem);
	memcpy(member, text, length + 1);
	return 0;
}

/* --- choices, lists, rates, windows, thresholds ------------------------------------------------------------------------ */

static void join_choices(const struct setting *setting, char *buffer, size_t size)
{
	size_t used = 0;
	buffer[0] = 0;
	for (uint32_t i = 0; i < setting->choice_count && used < size; i++)
		if (setting->choices[i] && setting->choices[i][0])
			used += (size_t)snprintf(buffer + used, size - used, "%s%s", used ? ", " : "", setting->choices[i]);
}

static void store_number(void *member, uint32_t size, double value)
{
	if (size == sizeof(bool))
		*(bool *)member = value != 0;
	else if (size == sizeof(uint64_t))
		*(uint64_t *)member = (uint64_t)value;
	else
		*(uint32_t *)member = (uint32_t)value;
}

static int set_choice(const struct setting *setting, const char *text, void *member, char why[VALUE_WHY_LEN])
{
	char shown[CONFIG_SHOWN_LEN], known[128];
	for (uint32_t i = 0; i < setting->choice_count; i++) {
		if (!text[0] || !setting->choices[i] || strcmp(setting->choices[i], text) != 0)
			continue;
		if (setting->type == VALUE_CHOICES)
			*(uint32_t *)member |= 1U << i;
		else
			store_number(member, setting->size, setting->choice_values ? setting->choice_values[i] : i);
		return 0;
	}
	join_choices(setting, known, sizeof(known));
	return why_not(why, "%s is none of: %s", config_shown(shown, text), known);
}

static int set_listed(const struct setting *setting, const char *text, void *base, char why[VALUE_WHY_LEN])
{
	uint32_t *count = (uint32_t *)((char *)base + setting->count_offset);
	if (!text[0])
		return why_not(why, "an empty word in the list; remove it");
	if (*count == setting->room)
		return why_not(why, "too many: %u at most", setting->room);
	int err = set_text(setting, text, (char *)base + setting->offset + (size_t)*count * setting->size, why);
	if (!err)
		(*count)++;
	return err;
}

static int set_pattern(const struct setting *setting, const char *text, void *base, char why[VALUE_WHY_LEN])
{
	char shown[CONFIG_SHOWN_LEN], problem[96];
	if (!mask_pattern_ok(text, problem, sizeof(problem)))
		return why_not(why, "%s is no regular expression: %.80s", config_shown(shown, text), problem);
	return set_listed(setting, text, base, why);
}

static int set_regex(const struct setting *setting, const char *text, void *member, char why[VALUE_WHY_LEN])
{
	char shown[CONFIG_SHOWN_LEN], problem[96];
	struct regex *regex = *text ? regex_new(text, problem, sizeof(problem)) : NULL;
	if (*text && !regex)
		return why_not(why, "%s is no regular expression: %.80s", config_shown(shown, text), problem);
	regex_free(regex);
	return set_text(setting, text, member, why);
}

static int set_mode(const char *text, uint32_t *ret, char why[VALUE_WHY_LEN])
{
	char shown[CONFIG_SHOWN_LEN];
	size_t length = strlen(text);
	if (length < 3 || length > 4 || strspn(text, "01234567") != length || (length == 4 && text[0] != '0'))
		return why_not(why, "%s is no permissions in octal, such as 0660", config_shown(shown, text));
	*ret = (uint32_t)strtoul(text, NULL, 8);
	return 0;
}

static int set_rate(const struct setting *setting, const char *text, struct budget *ret, char why[VALUE_WHY_LEN])
{
	char shown[CONFIG_SHOWN_LEN], part[VALUE_TEXT_LEN];
	const char *slash = strchr(text, '/');
	double count = 0, per = 0;
	if (!slash || (size_t)(slash - text) >= sizeof(part))
		return why_not(why, "%s is not COUNT/TIME, such as 3/1h", config_shown(shown, text));
	memcpy(part, text, (size_t)(slash - text));
	part[slash - text] = 0;

	int err = parse_number(VALUE_COUNT, part, &count, why);
	if (!err)
		err = parse_number(VALUE_DURATION, slash + 1, &per, why);
	if (err)
		return err;
	if (count < setting->min || count > setting->max || per < 1e9 || per > 30 * 86400e9)
		return why_not(why, "%s is out of range: %.0f to %.0f acts in 1s to 30d", config_shown(shown, text), setting->min,
			       setting->max);
	*ret = (struct budget){ .count = (uint32_t)count, .per_ns = (uint64_t)per };
	return 0;
}

static int set_samples(const char *text, struct sample_window *ret, char why[VALUE_WHY_LEN])
{
	char shown[CONFIG_SHOWN_LEN], *end;
	unsigned long count = strtoul(text, &end, 10), samples = *end == '/' ? strtoul(end + 1, &end, 10) : 0;
	if (!samples || text[strspn(text, "0123456789/")] || text[0] == '/' || end[-1] == '/' || *end)
		return why_not(why, "%s is not COUNT/SAMPLES, such as 8/10", config_shown(shown, text));
	if (samples < 2 || samples > MAX_WINDOW_SAMPLES || count < 1 || count > samples)
		return why_not(why, "%s is out of range: 1 to all of 2 to %d samples", config_shown(shown, text), MAX_WINDOW_SAMPLES);
	*ret = (struct sample_window){ .count = (uint32_t)count, .samples = (uint32_t)samples };
	return 0;
}

/* "02:00": minutes of the day, or -1. */
static int parse_minute(const char *text)
{
	for (int i = 0; i < 5; i++)
		if (i == 2 ? text[i] != ':' : text[i] < '0' || text[i] > '9')
			return -1;
	int hour = (text[0] - '0') * 10 + text[1] - '0', minute = (text[3] - '0') * 10 + text[4] - '0';
	return hour < 24 && minute < 60 ? hour * 60 + minute : -1;
}

static int set_window(const char *text, struct day_window *ret, char why[VALUE_WHY_LEN])
{
	char shown[CONFIG_SHOWN_LEN];
	int from = -1, to = -1;
	if (strlen(text) == 11 && text[5] == '-') {
		from = parse_minute(text);
		to = parse_minute(text + 6);
	}
	if (from < 0 || to < 0)
		return why_not(why, "%s is not a time of day such as \"02:00-04:00\"", config_shown(shown, text));
	if (from == to)
		return why_not(why, "%s begins where it ends; to stop a policy altogether write mode: observe", config_shown(shown, text));
	*ret = (struct day_window){ .has_window = true, .from_min = (uint16_t)from, .to_min = (uint16_t)to };
	return 0;
}

static int set_number(const struct setting *setting, enum value_type type, const char *text, double *ret, char why[VALUE_WHY_LEN])
{
	int err = parse_number(type, text, ret, why);
	return err ? err : check_range(setting, type, text, *ret, why);
}

static int set_threshold(const struct setting *setting, const char *text, struct threshold *ret, char why[VALUE_WHY_LEN])
{
	double value = 0;
	int err = set_number(setting, setting->unit, text, &value, why);
	if (!err)
		*ret = (struct threshold){ .above = setting->above, .raise = value, .clear = value };
	return err;
}

static int set_bool(const char *text, bool *ret, char why[VALUE_WHY_LEN])
{
	char shown[CONFIG_SHOWN_LEN];
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return why_not(why, "%s is neither true nor false", config_shown(shown, text));
	*ret = text[0] == 't';
	return 0;
}

int value_set_text(const struct setting *setting, const char *text, void *base, char why[VALUE_WHY_LEN])
{
	void *member = (char *)base + setting->offset;
	double number = 0;
	int err;

	switch (setting->type) {
	case VALUE_STRING:
	case VALUE_PATH:
	case VALUE_ADDRESS:
	case VALUE_URL:
		return set_text(setting, text, member, why);
	case VALUE_BOOL:
		return set_bool(text, member, why);
	case VALUE_COUNT:
		if (setting->choice_count && set_choice(setting, text, member, why) == 0)
			return 0; /* a word that stands for a number */
				  /* fall through */
	case VALUE_BYTES:
	case VALUE_DURATION:
		err = set_number(setting, setting->type, text, &number, why);
		if (!err)
			store_number(member, setting->size, number);
		return err;
	case VALUE_PERCENT:
	case VALUE_TIMES:
		err = set_number(setting, setting->type, text, &number, why);
		if (!err)
			*(double *)member = number;
		return err;
	case VALUE_CHOICE:
	case VALUE_CHOICES:
		return set_choice(setting, text, member, why);
	case VALUE_LIST:
		return set_listed(setting, text, base, why);
	case VALUE_PATTERNS:
		return set_pattern(setting, text, base, why);
	case VALUE_REGEX:
		return set_regex(setting, text, member, why);
	case VALUE_MODE:
		return set_mode(text, member, why);
	case VALUE_RATE:
		return set_rate(setting, text, member, why);
	case VALUE_SAMPLES:
		return set_samples(text, member, why);
	case VALUE_WINDOW:
		return set_window(text, member, why);
	case VALUE_THRESHOLD:
		return set_threshold(setting, text, member, why);
	default:
		return why_not(why, "is not a single value");
	}
}

void value_describe(const struct setting *setting, char *buffer, size_t size)
{
	static const char *const words[VALUE_TYPE_COUNT] = {
		[VALUE_STRING] = "text",       [VALUE_PATH] = "absolute path",
		[VALUE_ADDRESS] = "host:port", [VALUE_URL] = "http://host:port/path",
		[VALUE_BOOL] = "true, false",  [VALUE_WINDOW] = "\"HH:MM-HH:MM\"",
		[VALUE_MODE] = "octal, such as 0660", [VALUE_SAMPLES] = "COUNT/SAMPLES, such as 8/10", [VALUE_REGEX] = "PCRE2",
		[VALUE_SECTION] = "mapping",   [VALUE_CUSTOM] = "see below",
	};
	enum value_type type = setting->type == VALUE_THRESHOLD ? setting->unit : setting->type;
	char range[2 * VALUE_TEXT_LEN + 8];

	if (type == VALUE_CHOICE || type == VALUE_CHOICES) {
		join_choices(setting, buffer, size);
	} else if (type == VALUE_LIST || type == VALUE_PATTERNS) {
		snprintf(buffer, size, "list, up to %u", setting->room);
	} else if (type == VALUE_RATE) {
		snprintf(buffer, size, "COUNT/TIME, %.0f to %.0f in 1s to 30d", setting->min, setting->max);
	} else if (words[type]) {
		snprintf(buffer, size, "%s", words[type]);
	} else {
		format_range(type, setting->min, setting->max, range, sizeof(range));
		snprintf(buffer, size, "%s%s", setting->type != VALUE_THRESHOLD ? "" : setting->above ? "above: " : "below: ", range);
	}
}
