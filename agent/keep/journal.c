/* SPDX-License-Identifier: Apache-2.0 */
/* The writing half of the journal: open and repair, append durably, allocate ahead, rotate. Reading is in journal_read.c. */
#include "keep/journal.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "keep/chain.h"

#define JOURNAL_NEXT "journal.jsonl.new"

struct journal {
	int dir_fd;                  /* its own, and what the lock is on: it outlives every rotation */
	int fd;
	off_t end, allocated;        /* blocks are there up to `allocated` */
	char prev[DIGEST_LEN];       /* of the last line */
	bool fresh;                  /* nothing was appended since opening */
	char last_id[ID_LEN];        /* of the last line, while fresh */
	enum outcome last_outcome;
	bool said_full, said_unsupported;
	char line[JOURNAL_LINE_MAX];
};

/* Keeps at least JOURNAL_CHUNK allocated after the end; a filled disk only means that it shrinks. */
static void allocate_ahead(struct journal *journal)
{
	if (journal->end + JOURNAL_CHUNK <= journal->allocated || journal->said_unsupported)
		return;
	off_t from = journal->allocated > journal->end ? journal->allocated : journal->end;
	if (fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, from, JOURNAL_CHUNK) == 0) {
		journal->allocated = from + JOURNAL_CHUNK;
		journal->said_full = false;
	} else if (errno == EOPNOTSUPP || errno == ENOSYS) {
		log_warning("journal: this filesystem cannot allocate ahead: a full disk will stop the journal: %s", strerror(errno));
		journal->said_unsupported = true;
	} else if (!journal->said_full) {
		log_warning("journal: no room to allocate ahead, %lld bytes are left for it: %s", (long long)(journal->allocated > journal->end ?
			    journal->allocated - journal->end : 0), strerror(errno));
		journal->said_full = true;
	}
}

/* --- opening ------------------------------------------------------------------------------------------------------------ */

/* What is after the last good line, from its offset on. */
enum tail { TAIL_WHOLE, TAIL_TORN, TAIL_CORRUPT };

/* What the last line, which stands in `journal->line`, is about. */
static void remember_last(struct journal *journal, size_t size)
{
	struct action *action = malloc(sizeof(*action));
	cJSON *json = cJSON_ParseWithLength(journal->line, size);
	if (action && action_from_json(json, action) == 0) {
		memcpy(journal->last_id, action->id, sizeof(journal->last_id));
		journal->last_outcome = action->outcome;
	}
	cJSON_Delete(json);
	free(action);
}

static bool is_last(const struct lines *lines, const struct stat *status)
{
	return lines->end == status->st_size;
}

/* Walks the file's links. `journal->end` is left after the last good line, `journal->prev` at its digest. */
static int walk(struct journal *journal, enum tail *ret_tail)
{
	struct stat status;
	struct lines lines;
	const char *line;
	size_t size, last = 0;
	char prev[DIGEST_LEN];
	if (fstat(journal->fd, &status) < 0)
		return -errno;
	int error = lines_open(&lines, journal->fd, 0);
	if (error < 0)
		return error;

	while ((error = lines_next(&lines, &line, &size)) > 0) {
		bool links = line_prev(line, size, prev) && (journal->end == 0 || strcmp(prev, journal->prev) == 0);
		if (!links) {
			cJSON *json = cJSON_ParseWithLength(line, size);
			*ret_tail = !json && is_last(&lines, &status) ? TAIL_TORN : TAIL_CORRUPT;
			cJSON_Delete(json);
			break;
		}
		digest_of(line, size, journal->prev);
		journal->end = lines.end;
		memcpy(journal->line, line, size);
		last = size;
	}
	remember_last(journal, last);
	if (error == 0 && lines.torn)
		*ret_tail = TAIL_TORN;
	if (error == -EMSGSIZE) {
		*ret_tail = TAIL_CORRUPT;
		error = 0;
	}
	lines_close(&lines);
	return error < 0 ? error : 0;
}

static int begin_file(struct journal *journal)
{
	journal->fd = file_open(journal->dir_fd, JOURNAL_FILE, O_RDWR | O_CREAT);
	if (journal->fd < 0)
		return journal->fd;
	journal->end = 0;
	return fsync(journal->dir_fd) < 0 ? -errno : 0; /* the name must be as durable as the lines */
}

static int set_aside(struct journal *journal)
{
	char name[64];
	close(journal->fd);
	journal->fd = -1;
	journal->last_id[0] = '\0';
	int error = file_set_aside(journal->dir_fd, JOURNAL_FILE, clock_wall_ns(), name, sizeof(name));
	if (error < 0)
		return error;
	log_error("journal: its chain is broken after %lld good bytes: kept as %s, a new journal begins", (long long)journal->end, name);
	return begin_file(journal);
}

static int repair(struct journal *journal, enum tail tail, bool *ret_moved)
{
	if (tail == TAIL_CORRUPT) {
		*ret_moved = true;
		return set_aside(journal);
	}
	if (tail == TAIL_TORN) {
		struct stat status;
		if (fstat(journal->fd, &status) < 0 || ftruncate(journal->fd, journal->end) < 0)
			return -errno;
		log_warning("journal: its last line was cut short by a crash: %lld bytes dropped, the chain before them is whole",
			    (long long)(status.st_size - journal->end));
	}
	return 0;
}

static int open_files(struct journal *journal, bool *ret_moved)
{
	journal->dir_fd = openat(journal->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (journal->dir_fd < 0)
		return -errno;
	if (flock(journal->dir_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	int error = begin_file(journal);
	if (error < 0)
		return error;

	enum tail tail = TAIL_WHOLE;
	error = walk(journal, &tail);
	if (error < 0)
		return error;
	error = repair(journal, tail, ret_moved);
	if (error < 0 || journal->end > 0)
		return error;

	error = chain_last(journal->dir_fd, JOURNAL_OLD, journal->prev);
	if (error == -ENOENT || error == -EMSGSIZE) { /* verify says what is wrong with the old one */
		memcpy(journal->prev, CHAIN_BEGIN, DIGEST_LEN);
		error = 0;
	}
	return error;
}

int journal_open(int dir_fd, struct journal **ret, bool *ret_moved)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	if (!journal)
		return -ENOMEM;
	journal->dir_fd = dir_fd;
	journal->fd = -1;
	journal->fresh = true;

	bool moved = false;
	int error = open_files(journal, &moved);
	if (error < 0) {
		journal_close(journal);
		return error;
	}
	journal->allocated = journal->end;
	allocate_ahead(journal);
	*ret = journal;
	*ret_moved = moved;
	return 0;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->fd >= 0)
		close(journal->fd);
	if (journal->dir_fd >= 0)
		close(journal->dir_fd); /* and with it the lock */
	free(journal);
}

const char *journal_head(const struct journal *journal)
{
	return journal->prev;
}

/* --- appending ---------------------------------------------------------------------------------------------------------- */

/* The line with its newline; its length or -errno. */
static int format_line(struct journal *journal, const struct action *action)
{
	cJSON *json = action_to_json(action);
	if (!json)
		return -ENOMEM;
	int length = -ENOMEM;
	if (cJSON_AddStringToObject(json, "prev", journal->prev)) {
		/* cJSON wants some bytes more than it uses; the newline is ours. */
		bool fits = cJSON_PrintPreallocated(json, journal->line, sizeof(journal->line) - 1, false);
		length = fits ? (int)strlen(journal->line) : -EMSGSIZE;
	}
	cJSON_Delete(json);
	if (length > 0)
		journal->line[length++] = '\n';
	return length;
}

/* The new file has its blocks before the old one gives up its name: on a full disk there is no rotation, and nothing is lost. */
static void rotate(struct journal *journal)
{
	(void)unlinkat(journal->dir_fd, JOURNAL_NEXT, 0); /* of a rotation that a crash ended */
	int fd = file_open(journal->dir_fd, JOURNAL_NEXT, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return;
	bool has_room = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, JOURNAL_CHUNK) == 0;
	if (!has_room && !journal->said_unsupported)
		goto stay;
	if (renameat(journal->dir_fd, JOURNAL_FILE, journal->dir_fd, JOURNAL_OLD) < 0)
		goto stay;

	/* Should this one fail, a reader finds .1 alone, and so does the next start: the chain goes on in either case. */
	if (renameat(journal->dir_fd, JOURNAL_NEXT, journal->dir_fd, JOURNAL_FILE) < 0 || fsync(journal->dir_fd) < 0)
		log_error("journal: rotating: the new file's name may not be durable: %s", strerror(errno));
	close(journal->fd);
	journal->fd = fd;
	journal->end = 0;
	journal->allocated = has_room ? JOURNAL_CHUNK : 0;
	return;

stay:
	close(fd);
	(void)unlinkat(journal->dir_fd, JOURNAL_NEXT, 0);
}

int journal_append(struct journal *journal, const struct action *action)
{
	if (journal->fresh && strcmp(journal->last_id, action->id) == 0 && journal->last_outcome == action->outcome)
		return 0;
	int length = format_line(journal, action);
	if (length < 0)
		return length;

	/* A failed write is overwritten by the next: `end` moves only when the line is durable. */
	int error = file_write(journal->fd, journal->line, (size_t)length, journal->end);
	if (error < 0)
		return error;
	if (fdatasync(journal->fd) < 0)
		return -errno;

	digest_of(journal->line, (size_t)length - 1, journal->prev);
	journal->end += length;
	journal->fresh = false;
	if (journal->end >= JOURNAL_ROTATE)
		rotate(journal);
	allocate_ahead(journal);
	return 0;
}
