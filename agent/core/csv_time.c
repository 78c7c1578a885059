/* SPDX-License-Identifier: Apache-2.0 */
/* The timestamps of csv.h, without the C library's calendar: that one knows the host's zone and locale, and a recording does not. */
#include "csv_time.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SECONDS_A_DAY = 86400 };
#define NS_A_SECOND INT64_C(1000000000)
#define MAX_UNIX_SECONDS 9.2e9 /* the year 2261: as nanoseconds it still fits */

bool csv_number(const char *text, double *ret)
{
	const char *at = text + (*text == '-' || *text == '+');
	size_t digits = strspn(at, "0123456789");
	at += digits;
	if (*at == '.') {
		size_t fraction = strspn(at + 1, "0123456789");
		digits += fraction;
		at += 1 + fraction;
	}
	if (!digits)
		return false;
	if (*at == 'e' || *at == 'E') {
		at += 1 + (at[1] == '-' || at[1] == '+');
		size_t exponent = strspn(at, "0123456789");
		if (!exponent)
			return false;
		at += exponent;
	}
	if (*at)
		return false;
	*ret = strtod(text, NULL);
	return true;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, by the 400-year eras of H. Hinnant's "chrono-compatible low-level date algorithms". */
static int64_t days_before(int year, int month, int day)
{
	year -= month <= 2;
	int era = year / 400, year_of_era = year - era * 400;
	int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return (int64_t)era * 146097 + day_of_era - 719468;
}

static int month_days(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

/* `count` digits exactly, then the cursor stands behind them; -1 where they are not there. */
static int digits(const char **at, int count)
{
	int value = 0;
	for (int i = 0; i < count; i++) {
		if ((*at)[i] < '0' || (*at)[i] > '9')
			return -1;
		value = value * 10 + ((*at)[i] - '0');
	}
	*at += count;
	return value;
}

static bool take(const char **at, char letter)
{
	if (**at != letter)
		return false;
	(*at)++;
	return true;
}

static int64_t fraction_ns(const char **at)
{
	int64_t ns = 0, unit = NS_A_SECOND / 10;
	for (; **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
		ns += (**at - '0') * unit;
	return ns;
}

/* Z, +hh, +hhmm, +hh:mm or nothing; false: something else. */
static bool zone_seconds(const char *at, int *ret)
{
	*ret = 0;
	if (take(&at, 'Z') || take(&at, 'z') || !*at)
		return !*at;
	int sign = *at == '-' ? -1 : 1, minutes = 0;
	if (!take(&at, '+') && !take(&at, '-'))
		return false;
	int hours = digits(&at, 2);
	if (*at) {
		(void)take(&at, ':');
		minutes = digits(&at, 2);
	}
	if (*at || hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
		return false;
	*ret = sign * (hours * 3600 + minutes * 60);
	return true;
}

static bool iso_time(const char *at, int64_t *ret_ns)
{
	int hour = 0, minute = 0, second = 0, zone = 0;
	int64_t ns = 0;
	int year = digits(&at, 4);
	if (year < 1970 || year > 2261 || !take(&at, '-'))
		return false;
	int month = digits(&at, 2);
	if (month < 1 || month > 12 || !take(&at, '-'))
		return false;
	int day = digits(&at, 2);
	if (day < 1 || day > month_days(year, month))
		return false;

	if (take(&at, 'T') || take(&at, 't') || take(&at, ' ')) {
		hour = digits(&at, 2);
		if (hour < 0 || hour > 23 || !take(&at, ':'))
			return false;
		minute = digits(&at, 2);
		if (minute < 0 || minute > 59)
			return false;
		if (take(&at, ':'))
			second = digits(&at, 2);
		if (second < 0 || second > 60)
			return false;
		if (take(&at, '.') || take(&at, ','))
			ns = fraction_ns(&at);
		if (!zone_seconds(at, &zone))
			return false;
	} else if (*at) {
		return false;
	}
	*ret_ns = (days_before(year, month, day) * SECONDS_A_DAY + hour * 3600 + minute * 60 + second - zone) * NS_A_SECOND + ns;
	return true;
}

bool csv_time(const char *text, int64_t *ret_ns)
{
	double seconds;
	if (!csv_number(text, &seconds))
		return iso_time(text, ret_ns);
	if (fabs(seconds) > MAX_UNIX_SECONDS)
		return false;
	*ret_ns = (int64_t)llround(seconds * 1e6) * 1000; /* a double holds today's seconds to some tenths of a microsecond */
	return true;
}
