/* SPDX-License-Identifier: Apache-2.0 */
/* One write(2) a line, so that lines of several processes do not mix; the level prefix is the one journald understands. */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum log_level threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	threshold = level;
}

static const char *level_word(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error: ";
	case LOG_LEVEL_WARNING:
		return "warning: ";
	default:
		return "";
	}
}

/* What is logged may hold names that others chose: control characters never reach a terminal. */
static void make_printable(char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

void log_line(enum log_level level, const char *format, ...)
{
	if (level > threshold)
		return;

	char line[1024];
	/* $JOURNAL_STREAM is systemd's word that stderr goes to the journal, which reads <N> as the priority. */
	int length = getenv("JOURNAL_STREAM") ? snprintf(line, sizeof(line), "<%d>nodemend: ", level)
					      : snprintf(line, sizeof(line), "nodemend: %s", level_word(level));

	va_list arguments;
	va_start(arguments, format);
	int text = vsnprintf(line + length, sizeof(line) - (size_t)length - 1, format, arguments);
	va_end(arguments);
	if (text < 0)
		return;

	size_t total = (size_t)length + (size_t)text;
	if (total > sizeof(line) - 2)
		total = sizeof(line) - 2;
	make_printable(line, total);
	line[total] = '\n';
	(void)!write(STDERR_FILENO, line, total + 1); /* nowhere to complain to */
}
