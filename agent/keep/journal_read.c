/* SPDX-License-Identifier: Apache-2.0 */
/* The reading half of the journal: for anybody, beside a running agent, and without a lock. */
#include "keep/journal.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keep/chain.h"
#include "keep/state.h"

enum { FILE_OLD, FILE_NEW, FILE_COUNT, MAX_UNDER_WAY = 256, DANGLING_WINDOW = 2 << 20 };

static const char *const file_names[FILE_COUNT] = { JOURNAL_OLD, JOURNAL_FILE };

/* Both files of one moment: a rotation between the two opens would show one of them twice. */
struct pair { int fds[FILE_COUNT]; }; /* -ENOENT: there is none */

static void pair_close(struct pair *pair)
{
	for (int i = 0; i < FILE_COUNT; i++)
		if (pair->fds[i] >= 0)
			close(pair->fds[i]);
}

static bool still_named(int dir_fd, int fd, const char *name)
{
	struct stat own, named;
	if (fd < 0)
		return fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0;
	return fstat(fd, &own) == 0 && fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && own.st_ino == named.st_ino && own.st_dev == named.st_dev;
}

static int pair_open(int dir_fd, struct pair *ret)
{
	for (int attempt = 0; attempt < 8; attempt++) {
		struct pair pair;
		for (int i = 0; i < FILE_COUNT; i++)
			pair.fds[i] = file_open(dir_fd, file_names[i], O_RDONLY);
		for (int i = 0; i < FILE_COUNT; i++) {
			if (pair.fds[i] < 0 && pair.fds[i] != -ENOENT) {
				int error = pair.fds[i];
				pair_close(&pair);
				return error;
			}
		}
		if (still_named(dir_fd, pair.fds[FILE_NEW], JOURNAL_FILE) && still_named(dir_fd, pair.fds[FILE_OLD], JOURNAL_OLD)) {
			*ret = pair;
			return 0;
		}
		pair_close(&pair);
	}
	return -EAGAIN;
}

static int parse_action(const char *line, size_t size, struct action *ret)
{
	cJSON *json = cJSON_ParseWithLength(line, size);
	int error = json ? action_from_json(json, ret) : -EINVAL;
	cJSON_Delete(json);
	return error;
}

/* --- intents under way -------------------------------------------------------------------------------------------------- */

/* Intents whose result has not come yet, oldest first. Bounded: one that falls off counts as dangling at once. */
struct under_way {
	uint32_t count;
	uint64_t dropped;
	char ids[MAX_UNDER_WAY][ID_LEN];
};

static void remove_at(struct under_way *under_way, uint32_t at)
{
	memmove(under_way->ids[at], under_way->ids[at + 1], (size_t)(under_way->count - at - 1) * ID_LEN);
	under_way->count--;
}

static void note(struct under_way *under_way, const struct action *action)
{
	if (action->outcome == OUTCOME_NONE) {
		if (under_way->count == MAX_UNDER_WAY) {
			remove_at(under_way, 0);
			under_way->dropped++;
		}
		memcpy(under_way->ids[under_way->count++], action->id, ID_LEN);
		return;
	}
	for (uint32_t i = under_way->count; i-- > 0;) {
		if (strcmp(under_way->ids[i], action->id) == 0) {
			remove_at(under_way, i);
			return;
		}
	}
}

/* --- verifying ---------------------------------------------------------------------------------------------------------- */

struct verifier {
	struct journal_report *report;
	struct under_way under_way;
	struct action action;
	char last[DIGEST_LEN];       /* digest of the line before; "" before the first of all */
	char anchor[DIGEST_LEN];     /* "" = the state file has none */
	bool has_old;
};

static int broken(struct journal_report *report, uint64_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int broken(struct journal_report *report, uint64_t line, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(report->why, sizeof(report->why), format, arguments);
	va_end(arguments);
	report->bad_line = line;
	return 1;
}

static int check_link(struct verifier *verifier, const char *name, uint64_t number, const char *prev)
{
	struct journal_report *report = verifier->report;
	if (verifier->last[0] && strcmp(prev, verifier->last) != 0) {
		if (number == 1)
			return broken(report, number, "%s line 1 does not follow the last line of %s: lines are missing or were changed", name, JOURNAL_OLD);
		return broken(report, number, "%s line %llu does not follow line %llu: one of the two was changed, or lines between them are gone", name,
			      (unsigned long long)number, (unsigned long long)number - 1);
	}
	/* The oldest file may begin in the middle only when an older one was rotated away, and then it is the .1. */
	if (!verifier->last[0] && !verifier->has_old && strcmp(prev, CHAIN_BEGIN) != 0)
		return broken(report, number, "%s line 1 is not the first of the chain: what came before it is gone", name);
	return 0;
}

static int check_line(struct verifier *verifier, const char *name, uint64_t number, const char *line, size_t size)
{
	struct journal_report *report = verifier->report;
	char prev[DIGEST_LEN];
	if (!line_prev(line, size, prev))
		return broken(report, number, "%s line %llu does not end in the hash of the line before it", name, (unsigned long long)number);
	int verdict = check_link(verifier, name, number, prev);
	if (verdict)
		return verdict;
	if (parse_action(line, size, &verifier->action) < 0)
		return broken(report, number, "%s line %llu is not an action", name, (unsigned long long)number);

	digest_of(line, size, verifier->last);
	if (strcmp(prev, verifier->anchor) == 0 || strcmp(verifier->last, verifier->anchor) == 0)
		report->anchored = true;
	report->lines++;
	report->intents += verifier->action.outcome == OUTCOME_NONE;
	report->results += verifier->action.outcome != OUTCOME_NONE;
	note(&verifier->under_way, &verifier->action);
	return 0;
}

static int check_file(struct verifier *verifier, int fd, const char *name)
{
	struct lines lines;
	const char *line;
	size_t size;
	uint64_t number = 0;
	int error = lines_open(&lines, fd, 0);
	if (error < 0)
		return error;

	int verdict = 0;
	while (!verdict && (error = lines_next(&lines, &line, &size)) > 0)
		verdict = check_line(verifier, name, ++number, line, size);
	if (error == -EMSGSIZE)
		verdict = broken(verifier->report, number + 1, "%s line %llu is longer than a line can be", name, (unsigned long long)number + 1);
	if (!verdict && lines.torn) {
		if (strcmp(name, JOURNAL_OLD) == 0)
			verdict = broken(verifier->report, number + 1, "%s line %llu was cut short", name, (unsigned long long)number + 1);
		else
			verifier->report->torn = true;
	}
	lines_close(&lines);
	return verdict ? verdict : error;
}

static int check_anchor(struct verifier *verifier)
{
	struct journal_report *report = verifier->report;
	if (report->anchored || !verifier->anchor[0])
		return 0;
	if (strcmp(verifier->anchor, CHAIN_BEGIN) == 0) {
		report->anchored = true; /* the state was saved before the first line */
		return 0;
	}
	return broken(report, report->lines + 1, "the line that the state file knows as the last one is gone: the end was cut off after line %llu",
		      (unsigned long long)report->lines);
}

int journal_verify(int dir_fd, struct journal_report *ret)
{
	struct verifier *verifier = calloc(1, sizeof(*verifier));
	if (!verifier)
		return -ENOMEM;
	struct journal_report report = { 0 };
	verifier->report = &report;
	/* Before the journal: what the state saw is then there already, also while an agent appends. */
	if (state_read_anchor(dir_fd, verifier->anchor) < 0)
		verifier->anchor[0] = '\0';

	struct pair pair;
	int verdict = pair_open(dir_fd, &pair);
	if (verdict < 0) {
		free(verifier);
		return verdict;
	}
	verifier->has_old = pair.fds[FILE_OLD] >= 0;
	for (int i = 0; i < FILE_COUNT && !verdict; i++)
		if (pair.fds[i] >= 0)
			verdict = check_file(verifier, pair.fds[i], file_names[i]);
	if (!verdict)
		verdict = check_anchor(verifier);
	pair_close(&pair);

	report.dangling = verifier->under_way.count + verifier->under_way.dropped;
	report.aside = files_aside(dir_fd, JOURNAL_FILE);
	memcpy(report.head, verifier->last[0] ? verifier->last : CHAIN_BEGIN, DIGEST_LEN);
	free(verifier);
	if (verdict >= 0)
		*ret = report;
	return verdict;
}

/* --- reading ------------------------------------------------------------------------------------------------------------ */

struct reading {
	void (*each)(const struct action *action, void *context);
	void *context;
	struct action action;
};

/* Lines that are no actions are passed over: verify is who tells of them. */
static int read_lines(struct reading *reading, int fd, off_t from)
{
	struct lines lines;
	const char *line;
	size_t size;
	int error = lines_open(&lines, fd, from);
	if (error < 0)
		return error;
	while ((error = lines_next(&lines, &line, &size)) > 0)
		if (parse_action(line, size, &reading->action) == 0)
			reading->each(&reading->action, reading->context);
	lines_close(&lines);
	return error == -EMSGSIZE ? 0 : error;
}

static off_t size_of(int fd)
{
	struct stat status;
	return fd >= 0 && fstat(fd, &status) == 0 ? status.st_size : 0;
}

/* The last `window` bytes of both files, as if they were one. */
static int read_both(int dir_fd, off_t window, void (*each)(const struct action *action, void *context), void *context)
{
	struct reading *reading = malloc(sizeof(*reading));
	if (!reading)
		return -ENOMEM;
	reading->each = each;
	reading->context = context;

	struct pair pair;
	int error = pair_open(dir_fd, &pair);
	if (error < 0) {
		free(reading);
		return error;
	}
	off_t old = size_of(pair.fds[FILE_OLD]), new = size_of(pair.fds[FILE_NEW]);
	off_t skip = old + new > window ? old + new - window : 0;
	if (skip < old)
		error = read_lines(reading, pair.fds[FILE_OLD], skip);
	if (!error && new > 0)
		error = read_lines(reading, pair.fds[FILE_NEW], skip > old ? skip - old : 0);
	pair_close(&pair);
	free(reading);
	return error;
}

int journal_read(int dir_fd, void (*each)(const struct action *action, void *context), void *context)
{
	return read_both(dir_fd, INT64_MAX / 2, each, context);
}

struct dangling {
	struct under_way under_way;
	void (*each)(const struct action *action, void *context);
	void *context;
};

static void note_one(const struct action *action, void *context)
{
	struct dangling *dangling = context;
	note(&dangling->under_way, action);
}

static void tell_dangling(const struct action *action, void *context)
{
	struct dangling *dangling = context;
	struct under_way *under_way = &dangling->under_way;
	for (uint32_t i = 0; action->outcome == OUTCOME_NONE && i < under_way->count; i++) {
		if (strcmp(under_way->ids[i], action->id) == 0) {
			remove_at(under_way, i);
			dangling->each(action, dangling->context);
			return;
		}
	}
}

int journal_dangling(int dir_fd, void (*each)(const struct action *action, void *context), void *context)
{
	struct dangling *dangling = calloc(1, sizeof(*dangling));
	if (!dangling)
		return -ENOMEM;
	dangling->each = each;
	dangling->context = context;

	/* First who is left, then their records: the ids fit in memory at any length of journal, the actions would not. */
	int error = read_both(dir_fd, DANGLING_WINDOW, note_one, dangling);
	if (!error && dangling->under_way.count > 0)
		error = read_both(dir_fd, DANGLING_WINDOW, tell_dangling, dangling);
	free(dangling);
	return error;
}
