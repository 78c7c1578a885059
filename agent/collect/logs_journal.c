/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal, entry by entry. Its cursor is kept; after a restart it goes on behind the last entry told, also across rotated files. The
 * kernel's lines are in there, too: they are read where they are made, and so are our own, which would match what they tell of.
 */
#include "collect/logs_source.h"
#include "core/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <systemd/sd-login.h>

/* Behind for ten seconds of steps a tenth of a second apart: it will not catch up by reading. */
enum { STEPS_BEHIND = 100, SKIP_AT_ONCE = 1000, SKIPS_MOST = 20 };

void journald_close(struct journal_reader *reader)
{
	sd_journal_close(reader->journal);
	free(reader->join);
	*reader = (struct journal_reader){ .journal = NULL };
}

static int seek(struct journal_reader *reader, const char *cursor)
{
	sd_journal *journal = reader->journal;
	if (!cursor[0]) {
		int error = sd_journal_seek_tail(journal);
		if (error < 0)
			return error;
		int got = sd_journal_previous(journal); /* onto the newest; what comes next is new */
		if (got < 0)
			return got;
		return got ? 0 : sd_journal_seek_head(journal); /* empty as yet: all that comes is new */
	}
	int error = sd_journal_seek_cursor(journal, cursor);
	if (error < 0)
		return error;
	int got = sd_journal_next(journal);
	if (got < 0)
		return got;
	/* Exactly that one has been told; where it is gone, this is the first behind it. */
	reader->on_entry = got > 0 && sd_journal_test_cursor(journal, cursor) <= 0;
	snprintf(reader->place, sizeof(reader->place), "%s", cursor);
	return 0;
}

static void learn_cgroup(struct journal_reader *reader)
{
	char *cgroup = NULL;
	if (sd_pid_get_cgroup(0, &cgroup) >= 0 && strlen(cgroup) < sizeof(reader->cgroup))
		memcpy(reader->cgroup, cgroup, strlen(cgroup) + 1);
	free(cgroup);
}

int journald_open(struct journal_reader *reader, const char *directory, const char *cursor, struct regex *continues)
{
	*reader = (struct journal_reader){ .join = calloc(1, sizeof(struct log_join)) };
	if (!reader->join)
		return -ENOMEM;
	reader->join->continues = continues;
	int error = directory[0] ? sd_journal_open_directory(&reader->journal, directory, 0) : sd_journal_open(&reader->journal, SD_JOURNAL_LOCAL_ONLY);
	if (!error)
		error = sd_journal_set_data_threshold(reader->journal, LOG_TEXT_MAX + sizeof("MESSAGE="));
	if (!error)
		error = sd_journal_get_fd(reader->journal); /* watched from here on, so that nothing is missed between looking and waiting */
	if (error >= 0)
		error = seek(reader, cursor);
	if (error < 0)
		journald_close(reader);
	else
		learn_cgroup(reader);
	return error < 0 ? error : 0;
}

int journald_poll(const struct journal_reader *reader, short *ret_events)
{
	int events = sd_journal_get_events(reader->journal);
	*ret_events = (short)(events < 0 ? 0 : events);
	return sd_journal_get_fd(reader->journal);
}

static bool field(sd_journal *journal, const char *name, const char **ret, size_t *ret_length)
{
	const void *data;
	size_t size, skip = strlen(name) + 1;
	if (sd_journal_get_data(journal, name, &data, &size) < 0 || size < skip)
		return false;
	*ret = (const char *)data + skip;
	*ret_length = size - skip;
	return true;
}

static bool field_is(sd_journal *journal, const char *name, const char *text, bool prefix)
{
	const char *value;
	size_t length, wanted = strlen(text);
	return field(journal, name, &value, &length) && (prefix ? length >= wanted : length == wanted) && memcmp(value, text, wanted) == 0;
}

/*
 * By what journald itself knows of the writer, not by a name that everybody may give himself (NetworkManager has an nm-dispatcher): our
 * service, or who bears our names in our own cgroup where somebody started us by hand.
 */
static bool is_ours(const struct journal_reader *reader)
{
	sd_journal *journal = reader->journal;
	if (field_is(journal, "_SYSTEMD_UNIT", "nodemend.service", false))
		return true;
	return reader->cgroup[0] && field_is(journal, "_SYSTEMD_CGROUP", reader->cgroup, false) &&
	       (field_is(journal, "_COMM", "nodemend", false) || field_is(journal, "_COMM", "nm-", true));
}

static bool is_wanted(const struct journal_reader *reader)
{
	return !field_is(reader->journal, "_TRANSPORT", "kernel", false) && !is_ours(reader);
}

static int32_t pid_of(sd_journal *journal)
{
	const char *value;
	char number[12];
	size_t length;
	if (!field(journal, "_PID", &value, &length) || length >= sizeof(number))
		return 0;
	memcpy(number, value, length);
	number[length] = '\0';
	return (int32_t)strtol(number, NULL, 10);
}

static uint64_t boot_time_of(sd_journal *journal)
{
	uint64_t wall_us, now_ns = clock_boot_ns();
	if (sd_journal_get_realtime_usec(journal, &wall_us) < 0)
		return now_ns;
	int64_t ago_ns = clock_wall_ns() - (int64_t)(wall_us * NSEC_PER_USEC);
	return ago_ns <= 0 ? now_ns : (uint64_t)ago_ns < now_ns ? now_ns - (uint64_t)ago_ns : 0;
}

static void keep_place(const struct journal_reader *reader, char place[LOG_CURSOR_LEN])
{
	char *cursor = NULL;
	if (sd_journal_get_cursor(reader->journal, &cursor) >= 0 && strlen(cursor) < LOG_CURSOR_LEN)
		memcpy(place, cursor, strlen(cursor) + 1);
	free(cursor);
}

static size_t take(struct journal_reader *reader, uint64_t now_ns, const struct log_sink *sink, struct log_source_row *row)
{
	sd_journal *journal = reader->journal;
	struct log_record record = { .at_ns = boot_time_of(journal) };
	char text[LOG_TEXT_MAX];
	const char *unit;
	size_t length;
	bool begins;

	if (!is_wanted(reader) || !field(journal, "MESSAGE", &record.text, &record.length))
		return 1;
	row->lines++;
	row->bytes += record.length;
	record.cut = record.length > LOG_TEXT_MAX;
	row->cut += record.cut;
	record.length = record.cut ? LOG_TEXT_MAX : record.length;
	/* It lies in a window that the next question may move. */
	memcpy(text, record.text, record.length);
	record.text = text;
	record.pid = pid_of(journal);
	/* systemd's own lines about a unit name it in UNIT. */
	if (field(journal, field_is(journal, "_PID", "1", false) ? "UNIT" : "_SYSTEMD_UNIT", &unit, &length))
		snprintf(record.unit, sizeof(record.unit), "%.*s", (int)(length < NAME_LEN ? length : NAME_LEN - 1), unit);
	(void)log_join_take(reader->join, &record, now_ns, sink, &begins);
	if (begins)
		memcpy(reader->place, reader->last, sizeof(reader->place));
	return record.length + 1;
}

/* To the end, counting what is passed over: so many at most, since each costs a look. Beyond them the count is of what was seen only. */
static void skip_to_end(struct journal_reader *reader, struct log_source_row *row)
{
	int got = SKIP_AT_ONCE;
	for (int i = 0; i < SKIPS_MOST && got == SKIP_AT_ONCE; i++) {
		got = sd_journal_next_skip(reader->journal, SKIP_AT_ONCE);
		row->skipped_lines += got > 0 ? (uint64_t)got : 0;
	}
	if (got == SKIP_AT_ONCE && sd_journal_seek_tail(reader->journal) >= 0)
		(void)sd_journal_previous(reader->journal);
	reader->behind = 0;
}

/* Where nothing is held, the place is the entry it stands on; else the one before what is held. */
static void settle(struct journal_reader *reader, uint64_t now_ns, const struct log_sink *sink)
{
	if (log_join_is_due(reader->join, now_ns))
		log_join_flush(reader->join, sink);
	if (!reader->join->pending)
		keep_place(reader, reader->place);
}

bool journald_step(struct journal_reader *reader, const struct log_budget *budget, uint64_t now_ns, const struct log_sink *sink, struct log_source_row *row)
{
	uint64_t bytes = 0;

	(void)sd_journal_process(reader->journal);
	while (bytes < budget->bytes && !log_budget_is_spent(budget)) {
		int got = reader->on_entry ? 1 : sd_journal_next(reader->journal);
		reader->on_entry = false;
		if (got < 0)
			snprintf(row->why, sizeof(row->why), "the journal cannot be read: %s", strerror(-got));
		if (got <= 0) {
			reader->behind = 0;
			settle(reader, now_ns, sink);
			return false;
		}
		row->why[0] = '\0';
		bytes += take(reader, now_ns, sink, row);
		if (reader->join->continues)
			keep_place(reader, reader->last);
	}
	if (++reader->behind >= STEPS_BEHIND) {
		log_join_flush(reader->join, sink);
		skip_to_end(reader, row);
	}
	settle(reader, now_ns, sink);
	return true;
}
