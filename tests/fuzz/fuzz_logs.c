/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anything at all as a record of the kernel, as the reader's kept state, as lines that are put together, and as a file that is written to,
 * truncated, renamed and resumed by the input's own orders: of the file each whole line is told once, or counted.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/logs_match.h"
#include "collect/logs_source.h"
#include "collect/logs_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
	if (!holds)
		abort();
}

static void fuzz_kmsg(const uint8_t *data, size_t size)
{
	struct kmsg_record record;
	if (kmsg_parse((const char *)data, size, &record))
		require(record.text >= (const char *)data && record.text + record.length <= (const char *)data + size);
}

static void fuzz_state(const uint8_t *data, size_t size)
{
	static struct log_saved saved, again;
	static char bytes[sizeof(struct log_saved) + 4096];
	if (log_state_parse(data, size, &saved) < 0)
		return;
	require(saved.place_count <= LOG_PLACES_MAX && saved.track_count <= MAX_LOG_ROWS && saved.count_count <= MAX_LOG_COUNTS);
	size_t wrote = log_state_format(&saved, bytes, sizeof(bytes));
	require(wrote == size && log_state_parse(bytes, wrote, &again) == 0);
}

/* --- lines put together, and held against rules ------------------------------------------------------------------------- */

static void match(void *context, const struct log_record *record)
{
	require(record->length <= LOG_TEXT_MAX);
	log_matcher_take(context, 0, "journal", record);
}

static void fuzz_lines(const uint8_t *data, size_t size)
{
	static struct log_matcher matcher;
	static struct log_join join;
	char why[64];
	struct log_order order = { .rule = 1, .times = 2, .within_ns = 10 * NSEC_PER_SEC, .name = "mine",
				   .query = { .source = "journal", .match = "(?<device>[a-z]+) lost|(?<pid>\\d+)", .clear = "found (?<device>\\w+)" } };
	const struct log_sink sink = { match, &matcher };
	uint64_t now_ns = NSEC_PER_SEC;

	memset(&matcher, 0, sizeof(matcher));
	memset(&join, 0, sizeof(join));
	require(log_matcher_add(&matcher, &order, 0) == 0);
	join.continues = regex_new("^\\s", why, sizeof(why));
	while (size) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t length = end ? (size_t)(end - data) : size;
		struct log_record record = { .text = (const char *)data, .length = length < LOG_TEXT_MAX ? length : LOG_TEXT_MAX, .at_ns = now_ns };
		bool begins;
		record.unit[0] = length && data[0] & 1 ? 'u' : '\0';
		(void)log_join_take(&join, &record, now_ns, &sink, &begins);
		now_ns += length * NSEC_PER_MSEC;
		log_matcher_pass(&matcher, now_ns);
		data += length + (end ? 1 : 0);
		size -= length + (end ? 1 : 0);
	}
	log_join_flush(&join, &sink);
	for (uint32_t i = 0; i < MAX_LOG_ROWS; i++) {
		const struct log_row *row = &matcher.tracks[i].row;
		for (const char *at = row->line; *at; at++)
			require((unsigned char)*at >= ' ' && (unsigned char)*at < 0x7f);
		for (const char *at = row->name; *at; at++)
			require((unsigned char)*at >= ' ' && (unsigned char)*at < 0x7f);
	}
	regex_free(join.continues);
	log_matcher_free_rules(&matcher);
}

/* --- a file that moves under its reader ---------------------------------------------------------------------------------- */

static uint32_t told;

static void count(void *context, const struct log_record *record)
{
	uint64_t number = 0;
	require(record->length == 9 && record->text[0] == 'n');
	for (int i = 1; i < 9; i++)
		number = number * 10 + (uint64_t)(record->text[i] - '0');
	require(number < 4096);
	((uint8_t *)context)[number]++;
	told++;
}

static void fuzz_file(const uint8_t *data, size_t size)
{
	static char folder[64], path[96], old[96];
	static uint8_t seen[4096];
	struct log_files files;
	struct log_source_row row = { .lines = 0 };
	const struct log_budget plenty = { .bytes = 1 << 20 };
	const struct log_sink sink = { count, seen };
	struct log_place places[LOG_PLACES_MAX];
	uint64_t now_ns = 1000 * NSEC_PER_SEC;
	uint32_t wrote = 0;

	if (!folder[0]) {
		snprintf(folder, sizeof(folder), "/dev/shm/fuzz_logs_%d", getpid());
		mkdir(folder, 0700);
		snprintf(path, sizeof(path), "%s/a.log", folder);
		snprintf(old, sizeof(old), "%s/a.log.1", folder);
	}
	unlink(path);
	unlink(old);
	memset(seen, 0, sizeof(seen));
	told = 0;
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
	require(fd >= 0 && files_open(&files, path, 1, NULL, NULL, 0, true, true) == 0);
	for (size_t i = 0; i < size && i < 200; i++) {
		switch (data[i] % 6) {
		case 0:
		case 1: /* some lines */
			for (int j = 0; j <= data[i] / 64; j++) {
				char line[16];
				snprintf(line, sizeof(line), "n%08u\n", wrote++);
				require(write(fd, line, 10) == 10);
			}
			break;
		case 2: /* a rotation by renaming, once the reader has seen the one before */
			(void)files_step(&files, &plenty, now_ns += NSEC_PER_SEC, &sink, &row);
			(void)files_step(&files, &plenty, now_ns += 20 * NSEC_PER_SEC, &sink, &row);
			require(rename(path, old) == 0);
			close(fd);
			fd = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
			require(fd >= 0);
			break;
		case 3: /* all of it read, and truncated */
			(void)files_step(&files, &plenty, now_ns += NSEC_PER_SEC, &sink, &row);
			require(ftruncate(fd, 0) == 0);
			(void)files_step(&files, &plenty, now_ns += NSEC_PER_SEC, &sink, &row);
			break;
		case 4: { /* a restart */
			uint32_t kept = files_places(&files, places, LOG_PLACES_MAX);
			files_close(&files);
			require(files_open(&files, path, 1, NULL, places, kept, true, true) == 0);
			break;
		}
		default:
			(void)files_step(&files, &plenty, now_ns += NSEC_PER_SEC, &sink, &row);
		}
	}
	(void)files_step(&files, &plenty, now_ns += NSEC_PER_SEC, &sink, &row);
	require(told == wrote);
	for (uint32_t i = 0; i < wrote; i++)
		require(seen[i] == 1);
	files_close(&files);
	close(fd);
	unlink(path);
	unlink(old);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[])(const uint8_t *, size_t) = { fuzz_kmsg, fuzz_state, fuzz_lines, fuzz_file };
	if (size == 0)
		return 0;
	/* A block of its own, so that a read past the end is seen. */
	uint8_t *copy = malloc(size);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	parts[data[0] % (sizeof(parts) / sizeof(parts[0]))](copy, size - 1);
	free(copy);
	return 0;
}
