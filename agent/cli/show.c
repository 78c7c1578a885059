/* SPDX-License-Identifier: Apache-2.0 */
/* See show.h: the terminal-safe text, units, and reading of JSON. The sentences are in sentence.c. */
#include "cli/show.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/clock.h"

/* --- text of others ------------------------------------------------------------------------------------------------------ */

/* The length of the UTF-8 character at `text` and its code point; 0 where it is none (overlong, surrogate, cut, too large). */
static int utf8_character(const unsigned char *text, uint32_t *ret_code)
{
	static const uint32_t smallest[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	int length = text[0] < 0x80 ? 1 : (text[0] & 0xe0) == 0xc0 ? 2 : (text[0] & 0xf0) == 0xe0 ? 3 : (text[0] & 0xf8) == 0xf0 ? 4 : 0;
	if (length == 0)
		return 0;
	uint32_t code = length == 1 ? text[0] : text[0] & (0xffU >> (length + 1));
	for (int i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80) /* the NUL at the end ends it, too */
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return length;
}

/* What changes how other characters are shown, or is not there to be seen. */
static bool is_invisible(uint32_t code)
{
	static const struct { uint32_t first, last; } ranges[] = {
		{ 0, 0x1f }, { 0x7f, 0x9f }, { 0xad, 0xad }, { 0x61c, 0x61c }, { 0x180e, 0x180e }, { 0x200b, 0x200f }, { 0x2028, 0x202e },
		{ 0x2060, 0x206f }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff }, { 0xf0000, 0x10ffff },
	};
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

struct shown show_text(const char *text)
{
	enum { LONGEST = 12, DOTS = 4 };
	struct shown shown = { "" };
	size_t length = 0;
	const unsigned char *at = (const unsigned char *)text;
	while (*at) {
		uint32_t code = 0;
		int size = utf8_character(at, &code);
		if (length + LONGEST + DOTS > sizeof(shown.text)) {
			memcpy(shown.text + length, "...", DOTS);
			break;
		}
		if (size == 0 || (size == 1 && is_invisible(code)))
			length += (size_t)snprintf(shown.text + length, LONGEST, "\\x%02x", *at);
		else if (is_invisible(code))
			length += (size_t)snprintf(shown.text + length, LONGEST, "\\u{%x}", code);
		else {
			memcpy(shown.text + length, at, (size_t)size);
			length += (size_t)size;
		}
		at += size ? size : 1;
	}
	return shown;
}

struct shown show_member(const cJSON *object, const char *name)
{
	return show_text(get_text(object, name));
}

/* All that is not plain ASCII stands inside strings, so that it can be escaped without knowing where they begin. */
void show_json(FILE *out, const cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);
	if (!text)
		return;
	for (const unsigned char *at = (const unsigned char *)text; *at;) {
		uint32_t code = 0;
		int size = utf8_character(at, &code);
		if (size == 0)
			fputs("\\ufffd", out);
		else if (is_invisible(code) && code > 0xffff)
			fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
		else if (is_invisible(code))
			fprintf(out, "\\u%04x", code);
		else
			fwrite(at, 1, (size_t)size, out);
		at += size ? size : 1;
	}
	fputc('\n', out);
	free(text);
}

/* --- numbers ---------------------------------------------------------------------------------------------------------------- */

static struct shown print(const char *format, ...) __attribute__((format(printf, 1, 2)));
static struct shown print(const char *format, ...)
{
	struct shown shown = { "" };
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(shown.text, sizeof(shown.text), format, arguments);
	va_end(arguments);
	return shown;
}

struct shown show_bytes(double bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	if (!isfinite(bytes))
		return print("-");
	size_t unit = 0;
	while (fabs(bytes) >= 1024 && unit < sizeof(units) / sizeof(units[0]) - 1) {
		bytes /= 1024;
		unit++;
	}
	return unit == 0 || fabs(bytes) >= 100 ? print("%.0f %s", bytes, units[unit]) : print("%.1f %s", bytes, units[unit]);
}

struct shown show_seconds(double seconds)
{
	if (!isfinite(seconds) || seconds < 0 || seconds > 1e12)
		return print("-");
	if (seconds < 1)
		return print("%.0f ms", seconds * 1000);
	if (seconds < 10 && seconds != floor(seconds))
		return print("%.1f s", seconds);
	uint64_t whole = (uint64_t)(seconds + 0.5), days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60, rest = whole % 60;
	if (days)
		return hours ? print("%llu d %llu h", (unsigned long long)days, (unsigned long long)hours) : print("%llu d", (unsigned long long)days);
	if (hours)
		return minutes ? print("%u h %u min", (unsigned)hours, (unsigned)minutes) : print("%u h", (unsigned)hours);
	if (minutes)
		return rest ? print("%u min %u s", (unsigned)minutes, (unsigned)rest) : print("%u min", (unsigned)minutes);
	return print("%u s", (unsigned)rest);
}

struct shown show_time(const char *utc)
{
	int64_t wall_ns;
	struct tm local;
	if (clock_parse(utc, &wall_ns) < 0)
		return show_text(utc);
	time_t when = (time_t)(wall_ns / 1000000000);
	struct shown shown = { "" };
	if (localtime_r(&when, &local))
		strftime(shown.text, sizeof(shown.text), "%Y-%m-%d %H:%M:%S", &local);
	return shown;
}

struct shown show_bar(double percent)
{
	enum { WIDTH = 20 };
	struct shown shown = { "" };
	if (!isfinite(percent))
		return shown;
	int full = (int)(fmin(fmax(percent, 0), 100) * WIDTH / 100 + 0.5);
	shown.text[0] = '[';
	for (int i = 0; i < WIDTH; i++)
		shown.text[1 + i] = i < full ? '#' : '.';
	memcpy(shown.text + 1 + WIDTH, "]", 2);
	return shown;
}

struct shown show_percent(double percent)
{
	return isfinite(percent) ? print("%.1f %%", percent) : print("-");
}

/* --- documents -------------------------------------------------------------------------------------------------------------- */

const cJSON *get(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

const char *get_text(const cJSON *object, const char *name)
{
	const cJSON *item = get(object, name);
	return cJSON_IsString(item) ? item->valuestring : "";
}

double get_number(const cJSON *object, const char *name)
{
	const cJSON *item = get(object, name);
	return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

bool get_true(const cJSON *object, const char *name)
{
	return cJSON_IsTrue(get(object, name));
}

uint32_t get_count(const cJSON *object, const char *name)
{
	return (uint32_t)cJSON_GetArraySize(get(object, name));
}

double seconds_between(const char *from, const char *to)
{
	int64_t from_ns, to_ns;
	if (clock_parse(from, &from_ns) < 0 || clock_parse(to, &to_ns) < 0)
		return NAN;
	return (double)(to_ns - from_ns) / 1e9;
}

/* --- look ------------------------------------------------------------------------------------------------------------------- */

struct look look_stdout(void)
{
	return (struct look){ .out = stdout, .terminal = isatty(STDOUT_FILENO), .colour = cli_colour() };
}

void show_tinted(const struct look *look, enum tint tint, const char *format, ...)
{
	static const char *const codes[] = {
		[TINT_NONE] = "", [TINT_GOOD] = "\033[32m", [TINT_WARN] = "\033[33m", [TINT_BAD] = "\033[31m", [TINT_BOLD] = "\033[1m",
	};
	bool tinted = look->colour && tint != TINT_NONE;
	if (tinted)
		fputs(codes[tint], look->out);
	va_list arguments;
	va_start(arguments, format);
	vfprintf(look->out, format, arguments);
	va_end(arguments);
	if (tinted)
		fputs("\033[0m", look->out);
}

enum tint tint_of_severity(const char *severity)
{
	return strcmp(severity, "warning") == 0 ? TINT_WARN : TINT_BAD;
}
