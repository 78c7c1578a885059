/* SPDX-License-Identifier: Apache-2.0 */
/* See log.h: what is said, how often, and where it goes. How it looks is in log_render.c. */
#include "core/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log_render.h"
#include "mask.h"

static struct {
	enum log_level threshold;
	enum log_format format;    /* never AUTO */
	int journal_fd;
	char process[16];
	uint64_t lost, lost_told;
} self = { .threshold = LOG_LEVEL_INFO, .format = LOG_FORMAT_TEXT, .journal_fd = -1, .process = "nodemend" };

static const struct sockaddr_un journal_address = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket" };

/* --- where to ---------------------------------------------------------------------------------------------------------- */

/* systemd says in $JOURNAL_STREAM which device and inode the journal's stream has: whether stderr is still that one. */
static bool stderr_is_the_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	char stream[64];
	struct stat status;
	if (!text || fstat(STDERR_FILENO, &status))
		return false;
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
	return strcmp(text, stream) == 0;
}

static enum log_format choose(enum log_format format)
{
	if (format != LOG_FORMAT_AUTO)
		return format;
	if (stderr_is_the_journal())
		return LOG_FORMAT_JOURNALD;
	return isatty(STDERR_FILENO) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
}

/* Not connected: a journald that was started again is found by the next line, without another socket. */
static void open_journal(void)
{
	if (self.journal_fd < 0)
		self.journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void log_open(enum log_format format, enum log_level level)
{
	self.threshold = level;
	self.format = choose(format);
	prctl(PR_GET_NAME, self.process); /* now: a filter may forbid it later */
	if (self.format == LOG_FORMAT_JOURNALD)
		open_journal(); /* may fail: then lines go to stderr */
}

void log_set_level(enum log_level level)
{
	self.threshold = level;
}

int log_fd(void)
{
	return self.format == LOG_FORMAT_JOURNALD ? self.journal_fd : -1;
}

void log_reopen(void)
{
	self.journal_fd = -1;
	self.lost = self.lost_told = 0;
	prctl(PR_GET_NAME, self.process);
	if (self.format == LOG_FORMAT_JOURNALD)
		open_journal();
}

uint64_t log_lost(void)
{
	return self.lost;
}

/* --- writing ----------------------------------------------------------------------------------------------------------- */

/* A pipe that has room for a page takes a line of at most a page at once; a file always does. */
static bool write_stderr(const char *line, size_t length)
{
	struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };
	if (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT))
		return false;
	return write(STDERR_FILENO, line, length) == (ssize_t)length;
}

/* 1: sent. 0: its queue is full. -1: there is no journal. */
static int send_journal(const char *data, size_t length)
{
	if (self.journal_fd < 0)
		return -1;
	if (sendto(self.journal_fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&journal_address, sizeof(journal_address)) >= 0)
		return 1;
	return errno == EAGAIN || errno == ENOBUFS ? 0 : -1;
}

static bool send_record(const struct log_record *record)
{
	char line[LOG_RENDERED_MAX];
	if (self.format == LOG_FORMAT_JOURNALD) {
		int sent = send_journal(line, log_render_journal(record, line, sizeof(line)));
		if (sent >= 0)
			return sent;
	}
	if (self.format == LOG_FORMAT_JSON)
		return write_stderr(line, log_render_json(record, line, sizeof(line)));
	/* Where the fields do not get through, or before anybody has chosen: <N> is what the journal reads from a stream. */
	return write_stderr(line, log_render_text(record, getenv("JOURNAL_STREAM") != NULL && stderr_is_the_journal(), line, sizeof(line)));
}

/* --- what is said ------------------------------------------------------------------------------------------------------ */

/* What is logged may hold names that others chose: control characters never reach a terminal. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* Whether this place may speak; `ret_left_out`: how often it had to be silent since it last did. */
static bool may_speak(struct log_site *site, uint64_t now_ns, uint32_t *ret_left_out)
{
	*ret_left_out = 0;
	if (!site->window_ns || now_ns - site->window_ns >= LOG_SITE_NS) {
		*ret_left_out = site->left_out;
		*site = (struct log_site){ .window_ns = now_ns };
	}
	if (site->lines < LOG_SITE_LINES) {
		site->lines++;
		return true;
	}
	site->left_out++;
	return false;
}

void log_write(struct log_site *site, enum log_level level, const struct log_fields *fields, const char *format, ...)
{
	uint32_t left_out;
	if (level > self.threshold)
		return;
	if (!may_speak(site, clock_boot_ns(), &left_out)) {
		self.lost++;
		return;
	}

	struct log_record record = { .level = level, .wall_ns = clock_wall_ns(), .pid = getpid(), .fields = fields };
	char said[LOG_MESSAGE_LEN];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(said, sizeof(said), format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	make_printable(said);
	size_t used = mask_text(record.message, sizeof(record.message), said);
	if (left_out)
		snprintf(record.message + used, sizeof(record.message) - used, " (%u more like this were left out)", left_out);
	memcpy(record.process, self.process, sizeof(record.process));
	record.lost = self.lost - self.lost_told;
	if (send_record(&record))
		self.lost_told = self.lost;
	else
		self.lost++;
}
