/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken of a journal, and how its end is reached: over a journal of the test's own behind libsystemd's names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <systemd/sd-journal.h>
#include <systemd/sd-login.h>

#include "collect/logs_source.h"

/* --- the journal --------------------------------------------------------------------------------------------------------- */

struct entry {
	const char *fields[8];
};
struct sd_journal {
	const struct entry *entries; /* over and over, where there are more than these */
	int64_t kinds, count, at;    /* at: -1 before the first */
	uint32_t skips;
	char cursor[24];
};
static struct sd_journal fake;

int sd_journal_open_directory(sd_journal **ret, const char *path, int flags)
{
	fake.at = -1;
	*ret = &fake;
	return 0;
}

void sd_journal_close(sd_journal *journal)
{
}

int sd_journal_set_data_threshold(sd_journal *journal, size_t size)
{
	return 0;
}

int sd_journal_get_fd(sd_journal *journal)
{
	return 0;
}

int sd_journal_process(sd_journal *journal)
{
	return SD_JOURNAL_NOP;
}

int sd_journal_seek_head(sd_journal *journal)
{
	journal->at = -1;
	return 0;
}

int sd_journal_seek_tail(sd_journal *journal)
{
	journal->at = journal->count;
	return 0;
}

int sd_journal_previous(sd_journal *journal)
{
	if (journal->at <= 0)
		return 0;
	journal->at--;
	return 1;
}

int sd_journal_next(sd_journal *journal)
{
	return sd_journal_next_skip(journal, 1);
}

int sd_journal_next_skip(sd_journal *journal, uint64_t skip)
{
	int64_t left = journal->count - 1 - journal->at, step = left < (int64_t)skip ? left : (int64_t)skip;
	journal->skips += skip > 1;
	journal->at += step;
	return (int)step;
}

int sd_journal_get_data(sd_journal *journal, const char *field, const void **data, size_t *length)
{
	const struct entry *entry = &journal->entries[journal->at % journal->kinds];
	for (int i = 0; i < 8 && entry->fields[i]; i++)
		if (strncmp(entry->fields[i], field, strlen(field)) == 0 && entry->fields[i][strlen(field)] == '=') {
			*data = entry->fields[i];
			*length = strlen(entry->fields[i]);
			return 0;
		}
	return -ENOENT;
}

int sd_journal_get_realtime_usec(sd_journal *journal, uint64_t *ret)
{
	return -ENODATA;
}

int sd_journal_get_cursor(sd_journal *journal, char **ret)
{
	return asprintf(ret, "%lld", (long long)journal->at) < 0 ? -ENOMEM : 0;
}

int sd_pid_get_cgroup(pid_t pid, char **ret)
{
	*ret = strdup("/user.slice/by-hand.scope");
	return *ret ? 0 : -ENOMEM;
}

/* --- a sink --------------------------------------------------------------------------------------------------------------- */

struct heard {
	char text[1024];
	uint32_t count;
	int32_t pid;
};

static void hear(void *context, const struct log_record *record)
{
	struct heard *heard = context;
	size_t used = strlen(heard->text);
	heard->pid = record->pid;
	if (heard->count++ < 16)
		snprintf(heard->text + used, sizeof(heard->text) - used, "%.*s|", (int)record->length, record->text);
}

/* From its head, as one that was empty when it was opened. */
static void open_fake(struct journal_reader *reader, const struct entry *entries, int64_t kinds, int64_t count)
{
	fake = (struct sd_journal){ .entries = entries, .kinds = kinds, .count = 0 };
	assert_int_equal(journald_open(reader, "/journal", "", NULL), 0);
	fake.count = count;
}

/* --- tests ---------------------------------------------------------------------------------------------------------------- */

/* Everybody may name himself as he likes; who he is journald knows. */
static void our_own_lines_and_nobody_elses_are_left_out(void **state)
{
	static const struct entry entries[] = {
		{ { "_TRANSPORT=kernel", "MESSAGE=of the kernel" } },
		{ { "_SYSTEMD_UNIT=nodemend.service", "_COMM=nodemend", "MESSAGE=ours" } },
		{ { "_SYSTEMD_UNIT=nodemend.service", "_COMM=sh", "MESSAGE=of one we started" } },
		{ { "_SYSTEMD_CGROUP=/user.slice/by-hand.scope", "_COMM=nm-logs", "MESSAGE=ours by hand" } },
		{ { "_SYSTEMD_CGROUP=/user.slice/by-hand.scope", "_COMM=bash", "MESSAGE=1" } },
		{ { "_SYSTEMD_CGROUP=/system.slice/NetworkManager-dispatcher.service", "_COMM=nm-dispatcher", "MESSAGE=2" } },
		{ { "_SYSTEMD_CGROUP=/user.slice/else.scope", "_COMM=nodemend", "MESSAGE=3" } },
		{ { "_SYSTEMD_UNIT=nodemend.service.d", "_PID=4711", "MESSAGE=4" } },
	};
	const struct log_budget plenty = { .bytes = 1 << 20 };
	struct heard heard = { .count = 0 };
	const struct log_sink sink = { hear, &heard };
	struct log_source_row row = { .lines = 0 };
	struct journal_reader reader;
	(void)state;
	open_fake(&reader, entries, 8, 8);
	assert_false(journald_step(&reader, &plenty, 1, &sink, &row));
	assert_string_equal(heard.text, "1|2|3|4|");
	assert_int_equal(heard.pid, 4711);
	assert_int_equal(row.lines, 4);
	journald_close(&reader);
}

/* Millions wait: so many are counted, and then it is at the end, where what comes next is read. */
static void the_way_to_the_end_is_bounded(void **state)
{
	static const struct entry entries[] = { { { "MESSAGE=x" } } };
	const struct log_budget little = { .bytes = 1 };
	struct heard heard = { .count = 0 };
	const struct log_sink sink = { hear, &heard };
	struct log_source_row row = { .lines = 0 };
	struct journal_reader reader;
	(void)state;
	open_fake(&reader, entries, 1, 5000000);
	for (int i = 0; i < 100; i++)
		assert_true(journald_step(&reader, &little, 1, &sink, &row));
	assert_int_equal(row.lines, 100);
	assert_int_equal(row.skipped_lines, 20000);
	assert_int_equal(fake.skips, 20);
	assert_string_equal(reader.place, "4999999");
	assert_false(journald_step(&reader, &little, 1, &sink, &row));
	fake.count++;
	(void)journald_step(&reader, &little, 1, &sink, &row);
	assert_int_equal(row.lines, 101);
	journald_close(&reader);

	open_fake(&reader, entries, 1, 3000); /* and of few, all */
	row = (struct log_source_row){ .lines = 0 };
	for (int i = 0; i < 100; i++)
		(void)journald_step(&reader, &little, 1, &sink, &row);
	assert_int_equal(row.lines + row.skipped_lines, 3000);
	journald_close(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_own_lines_and_nobody_elses_are_left_out),
		cmocka_unit_test(the_way_to_the_end_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
