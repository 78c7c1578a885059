/* SPDX-License-Identifier: Apache-2.0 */
/* See clock.h. */
#include "core/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

uint64_t clock_boot_ns(void)
{
	return (uint64_t)read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

uint64_t clock_awake_ns(void)
{
	return (uint64_t)read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_thread_ns(void)
{
	return (uint64_t)read_clock(CLOCK_THREAD_CPUTIME_ID);
}

char *clock_format(int64_t wall_ns, char *buffer, size_t size)
{
	int64_t seconds = wall_ns / 1000000000, rest = wall_ns % 1000000000;
	if (rest < 0) {
		seconds--;
		rest += 1000000000;
	}

	time_t when = (time_t)seconds;
	struct tm tm;
	char date[32];
	if (!gmtime_r(&when, &tm) || !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm))
		strcpy(date, "1970-01-01T00:00:00");
	snprintf(buffer, size, "%s.%03dZ", date, (int)(rest / 1000000));
	return buffer;
}

int clock_parse(const char *text, int64_t *ret_wall_ns)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end)
		return -EINVAL;

	int64_t fraction = 0;
	if (*end == '.') {
		int64_t unit = 100000000;
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			fraction += (*end - '0') * unit;
	}
	if (strcmp(end, "Z") != 0)
		return -EINVAL;

	int64_t wall_ns; /* a year that nanoseconds cannot reach is somebody's damage, not a time */
	if (__builtin_mul_overflow((int64_t)timegm(&tm), 1000000000, &wall_ns) || __builtin_add_overflow(wall_ns, fraction, &wall_ns))
		return -EINVAL;
	*ret_wall_ns = wall_ns;
	return 0;
}
