/* SPDX-License-Identifier: Apache-2.0 */
/* The log reader's parts: records of the kernel's log, files that move under it, lines put together, rules, and what is kept over a restart. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/logs_match.h"
#include "collect/logs_source.h"
#include "collect/logs_state.h"
#include "collect/logs_wire.h"
#include "core/clock.h"
#include "core/log_pattern.h"
#include "core/pages.h"
#include "core/privilege.h"

#define S(n) ((uint64_t)(n) * NSEC_PER_SEC)

/* --- a sink that remembers ----------------------------------------------------------------------------------------------- */

struct heard {
	size_t size;
	uint32_t count;
	char text[1 << 16]; /* records, each with a | behind it */
};

static void hear(void *context, const struct log_record *record)
{
	struct heard *heard = context;
	assert_true(heard->size + record->length + 2 < sizeof(heard->text));
	memcpy(heard->text + heard->size, record->text, record->length);
	heard->size += record->length;
	heard->text[heard->size++] = '|';
	heard->text[heard->size] = '\0';
	heard->count++;
}

static void hear_last(void *context, const struct log_record *record)
{
	memcpy(context, record->text, record->length);
	((char *)context)[record->length] = '\0';
}

/* --- files --------------------------------------------------------------------------------------------------------------- */

struct bench {
	char dir[64], path[96], other[96];
	struct log_files files;
	struct log_source_row row;
	struct heard heard;
	uint64_t now;
	struct log_place places[LOG_PLACES_MAX];
};

static const struct log_budget plenty = { .bytes = 1 << 20 };

static int setup(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	assert_non_null(bench);
	strcpy(bench->dir, "/tmp/test_logs_XXXXXX");
	assert_non_null(mkdtemp(bench->dir));
	snprintf(bench->path, sizeof(bench->path), "%s/app.log", bench->dir);
	snprintf(bench->other, sizeof(bench->other), "%s/app.log.1", bench->dir);
	bench->now = S(1000);
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	char command[128];
	files_close(&bench->files);
	snprintf(command, sizeof(command), "rm -rf '%s'", bench->dir);
	assert_int_equal(system(command), 0);
	free(bench);
	return 0;
}

static void append(const char *path, const char *text)
{
	FILE *file = fopen(path, "a");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void start(struct bench *bench, uint32_t places, bool known)
{
	assert_int_equal(files_open(&bench->files, bench->path, 7, NULL, bench->places, places, known, true), 0);
}

static void look(struct bench *bench)
{
	const struct log_sink sink = { hear, &bench->heard };
	bench->now += S(1);
	while (files_step(&bench->files, &plenty, bench->now, &sink, &bench->row))
		continue;
}

static void test_only_what_is_new_and_whole(void **state)
{
	struct bench *bench = *state;
	append(bench->path, "before\nhalf");
	start(bench, 0, false);
	look(bench);
	assert_string_equal(bench->heard.text, "");
	append(bench->path, " a line\nnext");
	look(bench);
	assert_string_equal(bench->heard.text, "half a line|"); /* its end came while we looked */
	append(bench->path, "\r\n");
	look(bench);
	assert_string_equal(bench->heard.text, "half a line|next|");
	assert_int_equal(bench->row.lines, 2);
}

/* Only where the syslog daemon puts who wrote: what a client calls himself stands behind it, and must not hide the line. */
static void test_our_own_lines_are_known_by_their_tag(void **state)
{
	struct bench *bench = *state;
	append(bench->path, "");
	start(bench, 0, false);
	look(bench);
	append(bench->path, "Nov  1 10:00:00 host nodemend[12]: app-errors: job failed\n"
			    "Nov  1 10:00:00 host sshd[13]: Invalid user x nodemend[12]: from 192.0.2.1\nno tag at all nodemend[\n");
	look(bench);
	assert_string_equal(bench->heard.text, "Nov  1 10:00:00 host sshd[13]: Invalid user x nodemend[12]: from 192.0.2.1|no tag at all nodemend[|");
}

static void test_a_file_that_comes_later_is_read_from_its_beginning(void **state)
{
	struct bench *bench = *state;
	start(bench, 0, false);
	look(bench);
	append(bench->path, "first\n");
	look(bench);
	assert_string_equal(bench->heard.text, "first|");
}

static void test_renamed_read_to_its_end_and_then_the_new_one(void **state)
{
	struct bench *bench = *state;
	append(bench->path, "");
	start(bench, 0, false);
	look(bench);
	append(bench->path, "1\n");
	assert_int_equal(rename(bench->path, bench->other), 0);
	append(bench->other, "2\n");
	look(bench); /* between renaming and making: nothing is lost of the old */
	append(bench->path, "3\n");
	append(bench->other, "4\n");
	look(bench);
	append(bench->other, "5\nlast"); /* its writer has not been told yet */
	look(bench);
	assert_int_equal(bench->heard.count, 5);
	assert_int_equal(bench->files.count, 2);
	bench->now += S(20);
	look(bench);
	assert_int_equal(bench->files.count, 1); /* quiet for long: let go */
	assert_int_equal(bench->heard.count, 6);
	assert_non_null(strstr(bench->heard.text, "|last|")); /* whole, since nobody writes to it any more */
}

static void test_truncated_begins_again(void **state)
{
	struct bench *bench = *state;
	append(bench->path, "");
	start(bench, 0, false);
	look(bench);
	append(bench->path, "1\n2\n");
	look(bench);
	assert_int_equal(truncate(bench->path, 0), 0);
	append(bench->path, "3\n");
	look(bench);
	/* Longer than before by the time it is looked at: only its beginning tells. */
	assert_int_equal(truncate(bench->path, 0), 0);
	append(bench->path, "4 is longer than all before\n5\n");
	look(bench);
	assert_string_equal(bench->heard.text, "1|2|3|4 is longer than all before|5|");
}

static void test_goes_on_after_a_restart(void **state)
{
	struct bench *bench = *state;
	append(bench->path, "");
	start(bench, 0, false);
	look(bench);
	append(bench->path, "1\nha");
	look(bench);
	uint32_t count = files_places(&bench->files, bench->places, LOG_PLACES_MAX);
	assert_int_equal(count, 1);
	assert_int_equal(bench->places[0].offset, 2); /* at the beginning of the half line */
	files_close(&bench->files);

	append(bench->path, "lf\n");
	assert_int_equal(rename(bench->path, bench->other), 0);
	append(bench->path, "new\n");
	start(bench, count, true);
	look(bench);
	assert_int_equal(bench->heard.count, 3);
	assert_non_null(strstr(bench->heard.text, "half|"));
	assert_non_null(strstr(bench->heard.text, "new|"));
}

/* The devices' numbers are given out anew at each boot; what began as it did, under that number, is the file. */
static void test_goes_on_after_a_boot_with_another_device_number(void **state)
{
	struct bench *bench = *state;
	append(bench->path, "");
	start(bench, 0, false);
	look(bench);
	append(bench->path, "1\n");
	look(bench);
	uint32_t count = files_places(&bench->files, bench->places, LOG_PLACES_MAX);
	files_close(&bench->files);
	bench->places[0].dev ^= 1;
	append(bench->path, "2\n");
	assert_int_equal(files_open(&bench->files, bench->path, 7, NULL, bench->places, count, true, false), 0);
	look(bench);
	assert_string_equal(bench->heard.text, "1|2|");
	append(bench->path, "3\n"); /* and it is still known by what it is now */
	look(bench);
	assert_string_equal(bench->heard.text, "1|2|3|");
	assert_int_equal(bench->files.count, 1);
}

/* An inode's number comes back at once on ext4: another file of the same number is not the one that was read. */
static void test_another_file_of_the_same_number_is_read_from_its_beginning(void **state)
{
	struct bench *bench = *state;
	append(bench->path, "");
	start(bench, 0, false);
	look(bench);
	append(bench->path, "one line of the old\n");
	look(bench);
	uint32_t count = files_places(&bench->files, bench->places, LOG_PLACES_MAX);
	files_close(&bench->files);
	assert_int_equal(truncate(bench->path, 0), 0);
	append(bench->path, "another beginning altogether\nand more\n");
	start(bench, count, true);
	look(bench);
	assert_string_equal(bench->heard.text, "one line of the old|another beginning altogether|and more|");
}

static void test_a_line_without_end_is_cut_and_its_rest_is_none(void **state)
{
	struct bench *bench = *state;
	append(bench->path, "");
	start(bench, 0, false);
	look(bench);
	FILE *file = fopen(bench->path, "a");
	assert_non_null(file);
	for (int i = 0; i < 200000; i++)
		fputc('x', file);
	fputs("\nafter\n", file);
	fclose(file);
	look(bench);
	assert_int_equal(bench->heard.count, 2);
	assert_int_equal(bench->heard.size, LOG_TEXT_MAX + 1 + 6);
	assert_non_null(strstr(bench->heard.text, "|after|"));
	assert_int_equal(bench->row.cut, 1);
}

static void test_a_removed_file_is_let_go(void **state)
{
	struct bench *bench = *state;
	append(bench->path, "");
	start(bench, 0, false);
	look(bench);
	append(bench->path, "1\nlast");
	assert_int_equal(unlink(bench->path), 0);
	look(bench);
	assert_int_equal(bench->files.count, 0);
	assert_string_equal(bench->heard.text, "1|last|");
}

/* A FIFO that nobody writes to would hang who opens it; a symbolic link to one likewise. */
static void test_what_is_no_file_is_not_opened(void **state)
{
	struct bench *bench = *state;
	assert_int_equal(mkfifo(bench->path, 0600), 0);
	start(bench, 0, false);
	look(bench);
	assert_int_equal(bench->files.count, 0);
}

/* Who may write into a log's folder must not make the reader, which may read everything, read for him; nor open what acts when opened. */
static void test_links_are_followed_where_root_made_them(void **state)
{
	struct bench *bench = *state;
	char target[128], fifo[128], link[128], events[512];
	snprintf(target, sizeof(target), "%s/real", bench->dir);
	snprintf(fifo, sizeof(fifo), "%s/fifo", bench->dir);
	snprintf(link, sizeof(link), "%s/link", bench->dir);
	append(target, "secret\n");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	assert_true(inotify_add_watch(watch, fifo, IN_OPEN) >= 0);
	static const struct {
		const char *to;
		uid_t owner;
		uint32_t files;
	} cases[] = { { "real", 0, 1 }, { "link", 0, 1 }, { "real", 65534, 0 }, { "fifo", 0, 0 }, { "/proc/version", 0, 0 }, { "app.log", 0, 0 }, { "./../none", 0, 0 } };
	assert_int_equal(symlink("./real", link), 0);
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(symlink(cases[i].to, bench->path), 0);
		assert_int_equal(lchown(bench->path, cases[i].owner, (gid_t)-1), 0);
		start(bench, 0, true);
		look(bench);
		assert_int_equal(bench->files.count, cases[i].files);
		files_close(&bench->files);
		assert_int_equal(unlink(bench->path), 0);
	}
	assert_string_equal(bench->heard.text, "secret|secret|");
	char through[192];
	snprintf(through, sizeof(through), "/proc/self/root%s", target); /* as a container's log is named from outside */
	assert_int_equal(files_open(&bench->files, through, 7, NULL, NULL, 0, true, true), 0);
	look(bench);
	assert_int_equal(bench->files.count, 1);
	files_close(&bench->files);
	assert_int_equal(lchown(link, 65534, (gid_t)-1), 0); /* a link of root to one of somebody */
	assert_int_equal(symlink(link, bench->path), 0);
	start(bench, 0, true);
	look(bench);
	assert_int_equal(bench->files.count, 0);
	assert_true(read(watch, events, sizeof(events)) < 0);
	close(watch);
}

/* What found no room was there before there was some: told from its end, said, and counted. */
static void test_files_beyond_the_bound_are_no_news(void **state)
{
	struct bench *bench = *state;
	char path[128], glob[96];
	for (int i = 0; i < LOG_FILES_MAX + 2; i++) {
		snprintf(path, sizeof(path), "%s/%02d.log", bench->dir, i);
		append(path, "old\n");
	}
	snprintf(glob, sizeof(glob), "%s/*.log", bench->dir);
	assert_int_equal(files_open(&bench->files, glob, 7, NULL, NULL, 0, false, true), 0);
	look(bench);
	assert_int_equal(bench->files.count, LOG_FILES_MAX);
	assert_string_equal(bench->row.why, "2 names more than the 32 files that are followed");
	uint32_t kept = files_places(&bench->files, bench->places, LOG_PLACES_MAX);
	assert_int_equal(kept, LOG_FILES_MAX);

	assert_int_equal(unlink(bench->files.each[0].place.path), 0); /* one makes room while we look, one while we are away */
	look(bench);
	look(bench);
	assert_int_equal(bench->files.count, LOG_FILES_MAX);
	assert_int_equal(bench->row.skipped_bytes, 4);
	assert_string_equal(bench->row.why, "1 names more than the 32 files that are followed");
	kept = files_places(&bench->files, bench->places, LOG_PLACES_MAX);
	files_close(&bench->files);
	assert_int_equal(unlink(bench->places[0].path), 0);
	assert_int_equal(files_open(&bench->files, glob, 7, NULL, bench->places, kept, true, true), 0);
	look(bench);
	look(bench);
	assert_string_equal(bench->heard.text, "");
	assert_int_equal(bench->row.skipped_bytes, 8);
	assert_string_equal(bench->row.why, "");

	assert_int_equal(unlink(bench->files.each[0].place.path), 0); /* now there is room: what comes is new */
	look(bench);
	snprintf(path, sizeof(path), "%s/new.log", bench->dir);
	append(path, "new\n");
	look(bench);
	assert_string_equal(bench->heard.text, "new|");
}

/* Each line may cost as much as its pattern is allowed: the time is asked between two, and what was read so far is not read again. */
static void hear_slowly(void *context, const struct log_record *record)
{
	uint64_t until = clock_thread_ns() + NSEC_PER_MSEC;
	hear(context, record);
	while (clock_thread_ns() < until)
		continue;
}

static void test_time_is_over_between_two_lines(void **state)
{
	struct bench *bench = *state;
	const struct log_sink sink = { hear_slowly, &bench->heard };
	append(bench->path, "");
	start(bench, 0, false);
	look(bench);
	for (int i = 0; i < 20; i++)
		append(bench->path, "a line that is slow\n");
	bench->now += S(1);
	struct log_budget little = { .bytes = 1 << 20, .cpu_until_ns = clock_thread_ns() + NSEC_PER_MSEC };
	assert_true(files_step(&bench->files, &little, bench->now, &sink, &bench->row));
	assert_in_range(bench->heard.count, 0, 2);
	assert_int_equal(files_places(&bench->files, bench->places, LOG_PLACES_MAX), 1);
	assert_int_equal(bench->places[0].offset, 20 * bench->heard.count);
	look(bench);
	assert_int_equal(bench->heard.count, 20);
}

/* Two that flood take turns, so that neither waits for ever. */
static void test_files_take_turns(void **state)
{
	struct bench *bench = *state;
	const struct log_sink sink = { hear_slowly, &bench->heard };
	char glob[96];
	append(bench->path, "");
	append(bench->other, "");
	snprintf(glob, sizeof(glob), "%s/*", bench->dir);
	assert_int_equal(files_open(&bench->files, glob, 7, NULL, NULL, 0, false, true), 0);
	look(bench);
	for (int i = 0; i < 100; i++) {
		append(bench->path, "one\n");
		append(bench->other, "two\n");
	}
	for (int i = 0; i < 4; i++) {
		bench->now += S(1);
		struct log_budget little = { .bytes = 1 << 20, .cpu_until_ns = clock_thread_ns() + 4 * NSEC_PER_MSEC };
		assert_true(files_step(&bench->files, &little, bench->now, &sink, &bench->row));
	}
	assert_non_null(strstr(bench->heard.text, "one|"));
	assert_non_null(strstr(bench->heard.text, "two|"));
}

static void test_too_much_is_passed_over_and_counted(void **state)
{
	struct bench *bench = *state;
	append(bench->path, "");
	start(bench, 0, false);
	look(bench);
	FILE *file = fopen(bench->path, "a");
	assert_non_null(file);
	for (int i = 0; i < 400000; i++)
		fputs("0123456789012345678901234567890123456789012345\n", file);
	fputs("end\n", file);
	fclose(file);
	const struct log_budget little = { .bytes = 64 << 10 };
	char last[LOG_TEXT_MAX] = "";
	const struct log_sink sink = { hear_last, last };
	bench->now += S(1);
	bool more = true;
	for (int i = 0; i < 100 && more; i++)
		more = files_step(&bench->files, &little, bench->now, &sink, &bench->row);
	assert_string_equal(last, "end");
	struct stat status;
	assert_int_equal(stat(bench->path, &status), 0);
	assert_false(more);
	assert_true(bench->row.skipped_bytes > (uint64_t)status.st_size / 2);
	assert_int_equal(bench->row.skipped_bytes + bench->row.bytes, (uint64_t)status.st_size);
}

/* --- lines that belong together ------------------------------------------------------------------------------------------ */

static void test_lines_that_go_on(void **state)
{
	struct bench *bench = *state;
	char why[64];
	struct regex *continues = regex_new("^\\s|^Caused by", why, sizeof(why));
	append(bench->path, "");
	assert_int_equal(files_open(&bench->files, bench->path, 7, continues, NULL, 0, false, true), 0);
	look(bench);
	append(bench->path, "Exception\n\tat a\nCaused by b\nnext\n");
	look(bench);
	assert_string_equal(bench->heard.text, "Exception\n\tat a\nCaused by b|");
	/* What is held is not told: the place is before it. */
	assert_int_equal(files_places(&bench->files, bench->places, LOG_PLACES_MAX), 1);
	assert_int_equal(bench->places[0].offset, strlen("Exception\n\tat a\nCaused by b\n"));
	files_close(&bench->files);
	assert_int_equal(files_open(&bench->files, bench->path, 7, continues, bench->places, 1, true, true), 0);
	append(bench->path, " more\n");
	look(bench);
	look(bench);
	look(bench); /* nothing for a second: it is whole */
	assert_string_equal(bench->heard.text, "Exception\n\tat a\nCaused by b|next\n more|");
	regex_free(continues);
}

/* One that goes on for ever is told whenever it is full, and the place goes on with it. */
static void test_what_goes_on_for_ever_is_told(void **state)
{
	struct bench *bench = *state;
	char why[64];
	struct regex *continues = regex_new("^\\s", why, sizeof(why));
	append(bench->path, "");
	assert_int_equal(files_open(&bench->files, bench->path, 7, continues, NULL, 0, false, true), 0);
	look(bench);
	append(bench->path, "Exception\n");
	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 50; j++)
			append(bench->path, "\tat one hundred bytes of a stack that has no end, since whoever wrote it was called by himself again\n");
		const struct log_sink sink = { hear, &bench->heard };
		bench->now += NSEC_PER_MSEC; /* never quiet for long enough */
		(void)files_step(&bench->files, &plenty, bench->now, &sink, &bench->row);
	}
	assert_true(bench->heard.count >= 3);
	assert_int_equal(files_places(&bench->files, bench->places, LOG_PLACES_MAX), 1);
	assert_true(bench->places[0].offset > 3 * LOG_TEXT_MAX);
	regex_free(continues);
}

/* --- expressions --------------------------------------------------------------------------------------------------------- */

/* Below the limit of steps at every place where it may begin, and above any time in all. */
static void test_a_match_ends_wherever_it_may_begin(void **state)
{
	char text[LOG_TEXT_MAX], why[64], group[16];
	struct regex *dear = regex_new("(?:a|aa){1,13}b.*z", why, sizeof(why)), *found = regex_new("(?:a|a){9}(?<end>[xy])", why, sizeof(why)),
		     *first = regex_new("^(?:a|a){9}y", why, sizeof(why));
	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 'z';
	assert_int_equal(regex_match(dear, text, sizeof(text)), REGEX_GAVE_UP);
	memset(text, '-', sizeof(text));
	for (size_t at = 9; at < 1000; at += 127) { /* more than the few steps, wherever it begins: found, and what it holds is where it is */
		memset(text, '-', sizeof(text));
		memcpy(text, "aaaaaaaaa-", 9);
		memcpy(text + at, "aaaaaaaaay", 10);
		assert_int_equal(regex_match(found, text, 1500), REGEX_YES);
		assert_true(regex_group(found, "end", text, group, sizeof(group)));
		assert_string_equal(group, "y");
		assert_int_equal(regex_match(first, text, 1500), REGEX_NO);
	}
	regex_free(dear);
	regex_free(found);
	regex_free(first);
}

/* --- the kernel's records ------------------------------------------------------------------------------------------------ */

static void test_records_of_the_kernel(void **state)
{
	static const char record[] = "6,339,5140900,-;NET: Registered PF_INET6\n SUBSYSTEM=net\n";
	static const char *const broken[] = { "", ";", "6;x", "6,1;x", "a,1,2,-;x", "6,,2,-;x", "6,1,2", "99999999999999999999,1,2,-;x", "6,1,2,-" };
	struct kmsg_record parsed;
	(void)state;

	assert_true(kmsg_parse(record, sizeof(record) - 1, &parsed));
	assert_int_equal(parsed.facility, 0);
	assert_int_equal(parsed.level, 6);
	assert_int_equal(parsed.seq, 339);
	assert_int_equal(parsed.at_us, 5140900);
	assert_int_equal(parsed.length, strlen("NET: Registered PF_INET6"));
	assert_true(kmsg_parse("30,7,1,c,caller=T1;x;y", 22, &parsed)); /* PRINTK_CALLER; a daemon's; no newline */
	assert_int_equal(parsed.facility, 3);
	assert_memory_equal(parsed.text, "x;y", 3);
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_false(kmsg_parse(broken[i], strlen(broken[i]), &parsed));
}

/* --- rules --------------------------------------------------------------------------------------------------------------- */

static struct log_order order_of(const char *match, const char *clear, uint32_t times)
{
	struct log_order order = { .rule = 1, .times = times, .within_ns = S(60) };
	strcpy(order.name, "mine");
	strcpy(order.query.source, "journal");
	strcpy(order.query.match, match);
	strcpy(order.query.clear, clear);
	order.query.clear_after_ns = S(600);
	return order;
}

static void take(struct log_matcher *matcher, const char *unit, const char *text, uint64_t at)
{
	struct log_record record = { .text = text, .length = strlen(text), .at_ns = at };
	strcpy(record.unit, unit);
	log_matcher_take(matcher, 0, "journal", &record);
	log_matcher_pass(matcher, at);
}

static const struct log_track *row_named(const struct log_matcher *matcher, const char *name)
{
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++)
		if (matcher->tracks[i].used && strcmp(matcher->tracks[i].row.name, name) == 0)
			return &matcher->tracks[i];
	return NULL;
}

static void test_rules_name_what_a_line_is_about(void **state)
{
	struct log_matcher *matcher = pages_new(1, sizeof(*matcher));
	struct log_order order = order_of("lost (?<device>\\w+)|token=|gone", "found (?<device>\\w+)", 2);
	(void)state;
	strcpy(order.unit, "a*.service");
	assert_int_equal(log_matcher_add(matcher, &order, 0), 0);

	take(matcher, "b.service", "lost sda", S(1000)); /* another unit's */
	assert_null(row_named(matcher, "sda"));
	take(matcher, "ab.service", "lost sda", S(1000));
	take(matcher, "ab.service", "lost sdb", S(1001));
	assert_int_equal(row_named(matcher, "sda")->row.about, TARGET_DISK);
	assert_false(row_named(matcher, "sda")->row.raised);
	take(matcher, "ab.service", "lost sda\x1b[2J", S(1002));
	assert_true(row_named(matcher, "sda")->row.raised);
	assert_string_equal(row_named(matcher, "sda")->row.line, "lost sda?[2J");
	assert_false(row_named(matcher, "sdb")->row.raised);
	take(matcher, "ab.service", "found sdb", S(1003));
	assert_true(row_named(matcher, "sda")->row.raised);
	take(matcher, "ab.service", "found sda", S(1004));
	assert_false(row_named(matcher, "sda")->row.raised);

	take(matcher, "ac.service", "token=abcdef123456", S(1005));
	assert_int_equal(row_named(matcher, "ac.service")->row.about, TARGET_LOG);
	assert_string_equal(row_named(matcher, "ac.service")->row.line, "token=***");
	assert_int_equal(matcher->counts[0].matches, 4);
	assert_string_equal(matcher->counts[0].pattern, "mine");

	log_matcher_pass(matcher, S(3000)); /* idle rows give their place back */
	assert_null(row_named(matcher, "sda"));
	assert_true(log_matcher_has_news(matcher));
	log_matcher_free_rules(matcher);
	pages_free(matcher);
}

static void test_shipped_patterns_take_the_kernels_own_words_only(void **state)
{
	struct log_matcher *matcher = pages_new(1, sizeof(*matcher));
	struct log_order order = { .rule = 1, .times = 1, .within_ns = S(60), .query = { .source = "kernel", .pattern_count = 2, .clear_after_ns = S(60) } };
	static const char line[] = "EXT4-fs (sda1): Remounting filesystem read-only";
	struct log_record record = { .text = line, .length = strlen(line), .at_ns = S(1000) };
	(void)state;
	assert_true(log_pattern_count <= LOG_REGEXES_MAX); /* each name at most once: so all that may be asked finds room */
	strcpy(order.query.patterns[0], "io-error");
	strcpy(order.query.patterns[1], "filesystem-readonly");
	assert_int_equal(log_matcher_add(matcher, &order, 0), 0);
	log_matcher_take(matcher, 0, "kernel", &record);
	assert_null(row_named(matcher, "sda1"));
	record.by_kernel = true;
	log_matcher_take(matcher, 0, "kernel", &record);
	assert_int_equal(row_named(matcher, "sda1")->row.about, TARGET_FILESYSTEM);
	assert_string_equal(row_named(matcher, "sda1")->row.log, "kernel: filesystem-readonly");
	log_matcher_free_rules(matcher);
	pages_free(matcher);
}

/* More things than there are rows: counted as the log's, and the table stays whole. */
static void test_rows_are_bounded(void **state)
{
	struct log_matcher *matcher = pages_new(1, sizeof(*matcher));
	struct log_order order = order_of("gone|lost (?<device>\\w+)", "", 1);
	char line[64];
	(void)state;
	assert_int_equal(log_matcher_add(matcher, &order, 0), 0);
	take(matcher, "", "gone", S(1000));
	for (int i = 0; i < 3 * MAX_LOG_ROWS; i++) {
		snprintf(line, sizeof(line), "lost sd%d", i);
		take(matcher, "", line, S(1000));
	}
	assert_int_equal(matcher->cut, 2 * MAX_LOG_ROWS + 1);
	assert_int_equal(row_named(matcher, "journal")->row.matches, 2 * MAX_LOG_ROWS + 2);
	log_matcher_free_rules(matcher);
	pages_free(matcher);
}

/* A line may name any process; it is believed of the one who wrote it, and of the kernel. */
static void test_a_line_speaks_of_its_own_writer_only(void **state)
{
	struct log_matcher *matcher = pages_new(1, sizeof(*matcher));
	struct log_order order = order_of("(?<comm>\\w+) (?<pid>\\d+) failed", "", 1);
	static const struct {
		bool by_kernel;
		int32_t pid;
		uint32_t about;
		const char *text, *name;
	} cases[] = {
		{ false, 0, TARGET_LOG, "a 42 failed", "journal" }, { false, 41, TARGET_LOG, "a 42 failed", "journal" },
		{ false, 42, TARGET_PROCESS, "b 42 failed", "b" }, { true, 0, TARGET_PROCESS, "c 42 failed", "c" },
	};
	(void)state;
	assert_int_equal(log_matcher_add(matcher, &order, 0), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct log_record record = { .text = cases[i].text, .length = strlen(cases[i].text), .at_ns = S(1000), .by_kernel = cases[i].by_kernel };
		record.pid = cases[i].pid;
		log_matcher_take(matcher, 0, "journal", &record);
		assert_non_null(row_named(matcher, cases[i].name));
		assert_int_equal(row_named(matcher, cases[i].name)->row.about, cases[i].about);
	}
	log_matcher_free_rules(matcher);
	pages_free(matcher);
}

/* A log that fills its rows leaves others theirs, and the source of each rule has one whatever comes. */
static void test_one_log_does_not_take_the_rows_of_others(void **state)
{
	struct log_matcher *matcher = pages_new(1, sizeof(*matcher));
	char line[64];
	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		struct log_order order = order_of(i == 0 ? "one (?<device>\\w+)" : i == 1 ? "two (?<device>\\w+)" : "three (?<device>\\w+)", "", 1);
		order.rule = i + 1;
		assert_int_equal(log_matcher_add(matcher, &order, 0), 0);
	}
	for (int i = 0; i < 2 * MAX_LOG_ROWS; i++) {
		snprintf(line, sizeof(line), "one sd%d", i);
		take(matcher, "a.service", line, S(1000));
	}
	take(matcher, "b.service", "two sdx", S(1000));
	assert_int_equal(row_named(matcher, "sdx")->row.rule, 2);
	assert_int_equal(row_named(matcher, "journal")->row.rule, 1);
	assert_string_equal(row_named(matcher, "journal")->row.log, "journal");
	for (int i = 0; i < 2 * MAX_LOG_ROWS; i++) {
		snprintf(line, sizeof(line), "two sd%d", i);
		take(matcher, "b.service", line, S(1000));
	}
	take(matcher, "c.service", "three sdy", S(1000)); /* the last that is everybody's */
	assert_int_equal(row_named(matcher, "sdy")->row.rule, 3);
	take(matcher, "c.service", "three sdz", S(1000)); /* no room for what it is about, but for the source */
	assert_null(row_named(matcher, "sdz"));
	uint32_t raised = 0;
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++)
		raised += matcher->tracks[i].used && matcher->tracks[i].row.rule == 3 && matcher->tracks[i].row.raised;
	assert_int_equal(raised, 2);
	log_matcher_free_rules(matcher);
	pages_free(matcher);
}

/* --- what is kept -------------------------------------------------------------------------------------------------------- */

static void test_state_comes_back_as_it_was_or_not_at_all(void **state)
{
	struct bench *bench = *state;
	struct log_saved *saved = pages_new(1, sizeof(*saved)), *again = pages_new(1, sizeof(*again));
	size_t room = sizeof(*saved) + 4096;
	char *bytes = calloc(1, room);
	strcpy(saved->boot_id, "boot");
	saved->kernel_next = 42;
	saved->streams[3].stream = 9;
	strcpy(saved->streams[3].cursor, "s=1;i=2");
	saved->place_count = saved->track_count = saved->count_count = 1;
	saved->places[0] = (struct log_place){ .stream = 9, .inode = 5, .offset = 77 };
	saved->tracks[0].used = true;
	saved->tracks[0].window.matched = 3;
	strcpy(saved->counts[0].pattern, "mine");

	assert_int_equal(log_state_read(bench->dir, again), -ENOENT);
	assert_int_equal(log_state_write(bench->dir, saved), 0);
	assert_int_equal(log_state_read(bench->dir, again), 0);
	assert_memory_equal(again, saved, sizeof(*saved));

	size_t size = log_state_format(saved, bytes, room);
	assert_true(size > 0);
	assert_int_equal(log_state_parse(bytes, size, again), 0);
	for (size_t i = 0; i < size; i += 13) {
		bytes[i] ^= 0x40;
		assert_int_equal(log_state_parse(bytes, size, again), -EINVAL);
		assert_int_equal(again->kernel_next, 0);
		bytes[i] ^= 0x40;
	}
	for (size_t cut = 1; cut < size; cut += 501)
		assert_int_equal(log_state_parse(bytes, size - cut, again), -EINVAL);
	free(bytes);
	pages_free(saved);
	pages_free(again);
}

/* --- the worker as a whole ----------------------------------------------------------------------------------------------- */

/* A life of it, until it has said its first beat; returns what it said of its source then. What it keeps it has kept when this returns. */
static struct log_source_row live(const struct bench *bench, const char *source, const char *journal_dir)
{
	struct log_order order = order_of("x", "", 1);
	struct log_source_row said = { .lines = 0 };
	struct log_report report;
	int pair[2], status;
	order.count = 1;
	snprintf(order.query.source, sizeof(order.query.source), "%s", source);
	snprintf(order.state_dir, sizeof(order.state_dir), "%s", bench->dir);
	snprintf(order.kmsg, sizeof(order.kmsg), "%s", bench->path);
	snprintf(order.journal_dir, sizeof(order.journal_dir), "%s", journal_dir);
	strcpy(order.boot_id, "this");
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid_t child = fork();
	if (child == 0) {
		close(pair[0]);
		_exit(logs_serve(pair[1]));
	}
	close(pair[1]);
	assert_int_equal(send(pair[0], &order, sizeof(order), 0), sizeof(order));
	do {
		assert_int_equal(recv(pair[0], &report, sizeof(report), 0), sizeof(report));
		if (report.word == LOG_WORD_SOURCE)
			said = report.source;
	} while (report.word != LOG_WORD_BEAT);
	close(pair[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return said;
}

/* Where nothing has come since it was first watched there is no number to go on behind: what was there is as old as it was. */
static void test_a_kernel_log_without_news_is_none_after_a_restart(void **state)
{
	struct bench *bench = *state;
	append(bench->path, "6,1,1,-;x of long ago\n");
	assert_int_equal(live(bench, "kernel", "").lines, 0);
	assert_int_equal(live(bench, "kernel", "").lines, 0);
}

static void test_what_cannot_be_read_keeps_its_place(void **state)
{
	struct bench *bench = *state;
	struct log_saved *saved = pages_new(1, sizeof(*saved));
	assert_string_equal(live(bench, "journal", bench->dir).why, ""); /* an empty one */
	assert_int_equal(log_state_read(bench->dir, saved), 0);
	assert_int_not_equal(saved->streams[0].stream, 0);
	strcpy(saved->streams[0].cursor, "s=1;i=2");
	assert_int_equal(log_state_write(bench->dir, saved), 0);
	assert_string_not_equal(live(bench, "journal", bench->other).why, ""); /* there is none */
	assert_int_equal(log_state_read(bench->dir, saved), 0);
	assert_string_equal(saved->streams[0].cursor, "s=1;i=2");
	pages_free(saved);
}

/* --- rights -------------------------------------------------------------------------------------------------------------- */

/* In a child, since nothing of it comes back. */
static void test_what_is_given_up_is_not_to_be_had_back(void **state)
{
	static const int needed[] = { CAP_SYSLOG, CAP_DAC_READ_SEARCH };
	int status;
	(void)state;
	if (geteuid() != 0 || prctl(PR_CAPBSET_READ, CAP_SETPCAP, 0, 0, 0) != 1)
		skip();
	pid_t child = fork();
	if (child == 0) {
		int wrong = privilege_keep(needed, 2) != 0;
		wrong |= (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) << 1;
		wrong |= (prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) != 0) << 2;
		wrong |= (prctl(PR_CAPBSET_READ, CAP_SETPCAP, 0, 0, 0) != 0) << 3;
		wrong |= (prctl(PR_CAPBSET_READ, CAP_DAC_READ_SEARCH, 0, 0, 0) != 1) << 4;
		_exit(wrong);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_what_is_new_and_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_our_own_lines_are_known_by_their_tag, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_that_comes_later_is_read_from_its_beginning, setup, teardown),
		cmocka_unit_test_setup_teardown(test_renamed_read_to_its_end_and_then_the_new_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated_begins_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_goes_on_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_file_of_the_same_number_is_read_from_its_beginning, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_line_without_end_is_cut_and_its_rest_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_removed_file_is_let_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_no_file_is_not_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_are_followed_where_root_made_them, setup, teardown),
		cmocka_unit_test_setup_teardown(test_goes_on_after_a_boot_with_another_device_number, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_beyond_the_bound_are_no_news, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time_is_over_between_two_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_take_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_much_is_passed_over_and_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines_that_go_on, setup, teardown),
		cmocka_unit_test(test_a_match_ends_wherever_it_may_begin),
		cmocka_unit_test_setup_teardown(test_what_goes_on_for_ever_is_told, setup, teardown),
		cmocka_unit_test(test_records_of_the_kernel),
		cmocka_unit_test(test_rules_name_what_a_line_is_about),
		cmocka_unit_test(test_shipped_patterns_take_the_kernels_own_words_only),
		cmocka_unit_test(test_rows_are_bounded),
		cmocka_unit_test(test_a_line_speaks_of_its_own_writer_only),
		cmocka_unit_test(test_one_log_does_not_take_the_rows_of_others),
		cmocka_unit_test_setup_teardown(test_a_kernel_log_without_news_is_none_after_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_read_keeps_its_place, setup, teardown),
		cmocka_unit_test(test_what_is_given_up_is_not_to_be_had_back),
		cmocka_unit_test_setup_teardown(test_state_comes_back_as_it_was_or_not_at_all, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
