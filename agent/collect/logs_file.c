/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are written to, rotated and truncated under us. A file is its device, inode and first bytes, not its name: one that was renamed
 * is read to its end before its successor begins; one that lost its bytes (copytruncate) begins again; and after a restart the rest of what was
 * rotated meanwhile is found beside it. Places are at the beginnings of lines, so that no half line is ever kept.
 */
#include "collect/logs_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_NS NSEC_PER_SEC                 /* for new names; known ones are looked at at every step */
#define LEFT_QUIET_NS (10 * NSEC_PER_SEC)    /* whoever wrote to a file that was renamed has been told to open the new one by then */
enum {
	BUFFER = 64 << 10,
	BACKLOG_MOST = 8 << 20,              /* beyond it the oldest is passed over */
	BACKLOG_KEPT = 256 << 10,
	NAMES_MOST = 65536,                  /* of all folders that a glob takes in, in one look */
	SIBLINGS_MOST = 4096,                /* names that are looked at for a file that was renamed */
};

static uint64_t hash_head(const char *bytes, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3ULL;
	return hash;
}

/* --- what a file is ----------------------------------------------------------------------------------------------------- */

static bool is_place(const struct log_place *place, const struct stat *status)
{
	return place->dev == status->st_dev && place->inode == status->st_ino;
}

/* Of a run before: a device's number is another after another boot, where disks are found in another order. */
static bool was_place(const struct log_files *files, const struct log_place *place, const struct stat *status)
{
	return place->inode == status->st_ino && (!files->same_boot || place->dev == status->st_dev);
}

/* Whether it still begins as it did. */
static bool has_head(int fd, const struct log_place *place)
{
	char head[LOG_HEAD_LEN];
	if (!place->head_length)
		return true;
	return place->head_length <= sizeof(head) && pread(fd, head, place->head_length, 0) == (ssize_t)place->head_length &&
	       hash_head(head, place->head_length) == place->head;
}

static void learn_head(struct log_file *file)
{
	char head[LOG_HEAD_LEN];
	if (file->place.head_length == sizeof(head) || file->place.offset <= file->place.head_length)
		return;
	size_t wanted = file->place.offset < sizeof(head) ? file->place.offset : sizeof(head);
	if (pread(file->fd, head, wanted, 0) != (ssize_t)wanted)
		return;
	file->place.head_length = (uint32_t)wanted;
	file->place.head = hash_head(head, wanted);
}

/* --- the table ---------------------------------------------------------------------------------------------------------- */

static void drop_file(struct log_files *files, uint32_t index)
{
	struct log_file *file = &files->each[index];
	if (file->fd >= 0)
		close(file->fd);
	free(file->join);
	*file = files->each[--files->count];
}

static struct log_file *add_file(struct log_files *files, int fd, const struct stat *status, const char *path, uint64_t offset, uint64_t now_ns)
{
	struct log_join *join = files->continues ? calloc(1, sizeof(*join)) : NULL;
	if (files->count == LOG_FILES_MAX || (files->continues && !join)) {
		free(join);
		close(fd);
		return NULL;
	}
	if (join)
		join->continues = files->continues;
	struct log_file *file = &files->each[files->count++];
	*file = (struct log_file){ .fd = fd, .at = offset, .grew_ns = now_ns, .join = join };
	file->place = (struct log_place){ .stream = files->stream, .dev = status->st_dev, .inode = status->st_ino, .offset = offset };
	snprintf(file->place.path, sizeof(file->place.path), "%s", path);
	learn_head(file);
	return file;
}

static struct log_file *find_current(struct log_files *files, const char *path)
{
	for (uint32_t i = 0; i < files->count; i++)
		if (!files->each[i].place.left && strcmp(files->each[i].place.path, path) == 0)
			return &files->each[i];
	return NULL;
}

static struct log_file *find_open(struct log_files *files, const struct stat *status)
{
	for (uint32_t i = 0; i < files->count; i++)
		if (is_place(&files->each[i].place, status))
			return &files->each[i];
	return NULL;
}

/* --- new names ---------------------------------------------------------------------------------------------------------- */

/*
 * From its end where nobody has read it and it was there before us, or may have waited for another to make room; from its beginning where it
 * is new.
 */
static void open_new(struct log_files *files, const char *path, uint64_t now_ns)
{
	struct stat status;
	int fd = log_open_regular(AT_FDCWD, path, &status);
	if (fd < 0)
		return;
	struct log_file *open_already = find_open(files, &status);
	if (open_already) {
		/* A second name of it; or its new one, where the glob takes in what was rotated: it goes on under that. */
		if (open_already->place.left)
			snprintf(open_already->place.path, sizeof(open_already->place.path), "%s", path);
		open_already->place.left = false;
		close(fd);
		return;
	}
	uint64_t from = files->known && !files->beyond ? 0 : (uint64_t)status.st_size;
	/* Its last line may be half written: it is told when it is whole. */
	while (from) {
		char byte;
		if (pread(fd, &byte, 1, (off_t)from - 1) != 1 || byte == '\n' || (uint64_t)status.st_size - from >= LOG_TEXT_MAX)
			break;
		from--;
	}
	if (add_file(files, fd, &status, path, from, now_ns) && files->known)
		files->passed += from;
}

/* glob() has no bound of its own, and a folder may hold millions of names. It hands its callbacks no context; the reader is one thread. */
static uint32_t names_left;

static struct dirent *next_name(void *dir)
{
	return names_left && names_left-- ? readdir(dir) : NULL;
}

static void *open_names(const char *path)
{
	return opendir(path);
}

static void close_names(void *dir)
{
	closedir(dir);
}

/* How many names found no room; of those nothing is opened. */
static uint32_t take_names(struct log_files *files, const glob_t *found, uint64_t now_ns)
{
	uint32_t beyond = 0;
	for (size_t i = 0; i < found->gl_pathc; i++) {
		if (strlen(found->gl_pathv[i]) >= PATH_LEN || find_current(files, found->gl_pathv[i]))
			continue;
		if (files->count < LOG_FILES_MAX)
			open_new(files, found->gl_pathv[i], now_ns);
		else
			beyond++;
	}
	return beyond;
}

static void look_for_names(struct log_files *files, uint64_t now_ns)
{
	glob_t found = { .gl_opendir = open_names, .gl_readdir = next_name, .gl_closedir = close_names, .gl_stat = stat, .gl_lstat = lstat };
	uint32_t beyond = 0;
	if (now_ns < files->look_ns)
		return;
	files->look_ns = now_ns + LOOK_NS;
	names_left = NAMES_MOST;
	if (glob(files->glob, GLOB_NOSORT | GLOB_ALTDIRFUNC, NULL, &found) == 0)
		beyond = take_names(files, &found, now_ns);
	globfree(&found);
	files->beyond = beyond || !names_left;
	files->known = true;
	if (!names_left)
		snprintf(files->why, sizeof(files->why), "its folders have more than the %d names that are looked at", NAMES_MOST);
	else if (beyond)
		snprintf(files->why, sizeof(files->why), "%u names more than the %d files that are followed", beyond, LOG_FILES_MAX);
	else
		files->why[0] = '\0';
}

/* --- a run before ------------------------------------------------------------------------------------------------------- */

static struct log_file *resume(struct log_files *files, int fd, const struct stat *status, const struct log_place *place)
{
	struct log_file *file = add_file(files, fd, status, place->path, place->offset, 0);
	if (!file)
		return NULL;
	file->place = *place;
	file->place.dev = status->st_dev;
	return file;
}

/* The file of this place under another name beside it: logrotate renames, and never across folders unless it is told to. */
static void resume_renamed(struct log_files *files, const struct log_place *place)
{
	char folder[PATH_LEN];
	snprintf(folder, sizeof(folder), "%s", place->path);
	char *slash = strrchr(folder, '/');
	if (!slash)
		return;
	slash[slash == folder] = '\0';
	DIR *dir = opendir(folder);
	if (!dir)
		return;
	struct dirent *entry;
	for (int i = 0; i < SIBLINGS_MOST && (entry = readdir(dir)); i++) {
		struct stat status;
		if (entry->d_ino != place->inode)
			continue;
		int fd = log_open_regular(dirfd(dir), entry->d_name, &status);
		if (fd < 0)
			continue;
		if (was_place(files, place, &status) && (uint64_t)status.st_size >= place->offset && has_head(fd, place)) {
			struct log_file *file = resume(files, fd, &status, place);
			if (file)
				file->place.left = true;
			break;
		}
		close(fd);
	}
	closedir(dir);
}

static void resume_place(struct log_files *files, const struct log_place *place)
{
	struct stat status;
	int fd = log_open_regular(AT_FDCWD, place->left ? "" : place->path, &status);
	if (fd >= 0 && was_place(files, place, &status) && (uint64_t)status.st_size >= place->offset && has_head(fd, place)) {
		(void)resume(files, fd, &status, place);
		return;
	}
	bool same = fd >= 0 && was_place(files, place, &status); /* truncated, or the number is another file's by now: from its beginning, as a new one */
	if (fd >= 0)
		close(fd);
	if (!same)
		resume_renamed(files, place);
}

int files_open(struct log_files *files, const char *pattern, uint64_t stream, struct regex *continues, const struct log_place *places, uint32_t count,
	       bool known, bool same_boot)
{
	*files = (struct log_files){ .stream = stream, .continues = continues, .known = known, .same_boot = same_boot, .buffer = malloc(BUFFER) };
	snprintf(files->glob, sizeof(files->glob), "%s", pattern);
	if (!files->buffer)
		return -ENOMEM;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < count; i++)
		if (places[i].stream == stream) {
			kept++;
			resume_place(files, &places[i]);
		}
	files->beyond = kept >= LOG_FILES_MAX; /* then there may have been more, whose places nobody knows */
	return 0;
}

void files_close(struct log_files *files)
{
	while (files->count)
		drop_file(files, files->count - 1);
	free(files->buffer);
	files->buffer = NULL;
}

uint32_t files_places(const struct log_files *files, struct log_place *ret, uint32_t room)
{
	uint32_t count = files->count < room ? files->count : room;
	for (uint32_t i = 0; i < count; i++)
		ret[i] = files->each[i].place;
	return count;
}

/* --- reading ------------------------------------------------------------------------------------------------------------ */

struct reading {
	struct log_file *file;
	uint64_t now_ns;
	const struct log_sink *sink;
	struct log_source_row *row;
};

/* Lines that a syslog daemon was given by us tell what matched: they would match once more. By the tag, which ends at the first ": ". */
static bool is_ours(const char *text, size_t length)
{
	size_t most = length < 128 ? length : 128;
	const char *end = memmem(text, most, ": ", 2);
	return end && memmem(text, (size_t)(end - text), " nodemend[", 10) != NULL;
}

/* One line, without its end; `next` is where the one behind it begins. */
static void take_line(struct reading *reading, const char *text, size_t length, uint64_t next)
{
	struct log_file *file = reading->file;
	struct log_record record = { .text = text, .length = length, .at_ns = reading->now_ns, .cut = length > LOG_TEXT_MAX };
	uint64_t before = file->at;
	bool begins = false, settled = true;

	reading->row->lines++;
	reading->row->cut += record.cut;
	if (record.length && text[record.length - 1] == '\r')
		record.length--;
	record.length = record.length > LOG_TEXT_MAX ? LOG_TEXT_MAX : record.length;
	if (is_ours(text, record.length))
		settled = !file->join || !file->join->pending;
	else if (file->join)
		settled = log_join_take(file->join, &record, reading->now_ns, reading->sink, &begins);
	else
		reading->sink->take(reading->sink->context, &record);
	file->at = next;
	if (begins)
		file->place.offset = before;
	else if (settled)
		file->place.offset = next;
}

static void flush_held(struct reading *reading)
{
	struct log_file *file = reading->file;
	if (!file->join || !file->join->pending)
		return;
	log_join_flush(file->join, reading->sink);
	file->place.offset = file->at;
}

/* The whole lines of what was read, one at least, and more while there is time; returns how much of it that was. 0: there is no whole line. */
static size_t take_lines(struct reading *reading, const struct log_budget *budget, const char *buffer, size_t size)
{
	size_t from = 0;
	const char *end;

	while (from < size && (!from || !log_budget_is_spent(budget)) && (end = memchr(buffer + from, '\n', size - from))) {
		size_t length = (size_t)(end - buffer) - from;
		uint64_t next = reading->file->at + length + 1;
		if (reading->file->place.inside) { /* what is left of one that was told already */
			reading->file->place.inside = false;
			reading->file->at = reading->file->place.offset = next;
		} else {
			take_line(reading, buffer + from, length, next);
		}
		from += length + 1;
	}
	return from;
}

/* A line longer than the buffer: its beginning is looked at, the rest is not. */
static void take_endless(struct reading *reading, const char *buffer, size_t size)
{
	struct log_file *file = reading->file;
	if (!file->place.inside)
		take_line(reading, buffer, size, file->at + size);
	else
		file->at += size;
	flush_held(reading);
	file->place.offset = file->at;
	file->place.inside = true;
}

static void begin_again(struct reading *reading)
{
	struct log_file *file = reading->file;
	flush_held(reading);
	file->at = file->place.offset = 0;
	file->place.head_length = 0;
	file->place.inside = false;
}

static void pass_over(struct reading *reading, uint64_t size)
{
	struct log_file *file = reading->file;
	if (size - file->at <= BACKLOG_MOST)
		return;
	flush_held(reading);
	reading->row->skipped_bytes += size - BACKLOG_KEPT - file->at;
	file->at = file->place.offset = size - BACKLOG_KEPT;
	file->place.inside = true; /* in the middle of a line, most likely: it ends with the next newline */
}

/* Returns whether there is more than the budget allowed. */
static bool read_file(struct log_files *files, struct reading *reading, const struct log_budget *budget)
{
	struct log_file *file = reading->file;
	struct stat status;
	uint32_t bytes = 0;

	if (fstat(file->fd, &status) < 0)
		return false;
	if ((uint64_t)status.st_size < file->at || ((uint64_t)status.st_size != file->at && !has_head(file->fd, &file->place)))
		begin_again(reading);
	while (bytes < budget->bytes && !log_budget_is_spent(budget)) {
		ssize_t got = pread(file->fd, files->buffer, BUFFER, (off_t)file->at);
		if (got <= 0)
			return false;
		size_t used = take_lines(reading, budget, files->buffer, (size_t)got);
		if (used == 0 && got == BUFFER) {
			take_endless(reading, files->buffer, BUFFER);
			used = BUFFER;
		}
		reading->row->bytes += used;
		bytes += (uint32_t)used;
		if (used == 0)
			return false; /* half a line: when it is whole */
		file->grew_ns = reading->now_ns;
		learn_head(file);
	}
	if (fstat(file->fd, &status) == 0 && (uint64_t)status.st_size > file->at)
		pass_over(reading, (uint64_t)status.st_size);
	return true;
}

/* Its name is another file's, or nobody's. Told apart from a moment between renaming and making by waiting for the new one. */
static void follow_name(struct log_files *files, struct log_file *file)
{
	struct stat status;
	if (file->place.left || stat(file->place.path, &status) < 0 || is_place(&file->place, &status))
		return;
	file->place.left = true;
	files->look_ns = 0;
}

/* At its end, and nobody will write to it any more: its last line is whole even without a newline. */
static bool is_finished(const struct log_file *file, uint64_t now_ns)
{
	struct stat status;
	if (fstat(file->fd, &status) < 0)
		return true;
	if (status.st_nlink == 0)
		return true; /* held open, it would keep its space */
	return file->place.left && now_ns >= file->grew_ns + LEFT_QUIET_NS;
}

static void take_last_line(struct log_files *files, struct reading *reading)
{
	ssize_t got = pread(reading->file->fd, files->buffer, BUFFER, (off_t)reading->file->at);
	if (got > 0 && !reading->file->place.inside)
		take_line(reading, files->buffer, (size_t)got, reading->file->at + (uint64_t)got);
	flush_held(reading);
}

bool files_step(struct log_files *files, const struct log_budget *budget, uint64_t now_ns, const struct log_sink *sink, struct log_source_row *row)
{
	bool more = false;

	for (uint32_t i = 0; i < files->count; i++)
		follow_name(files, &files->each[i]);
	look_for_names(files, now_ns);
	/* The first is the one behind the one that was read when the time was over: each has its turn, whoever floods. */
	for (uint32_t i = 0, first = files->turn; i < files->count; i++) {
		struct log_file *file = &files->each[(first + i) % files->count];
		struct reading reading = { file, now_ns, sink, row };
		bool spent = log_budget_is_spent(budget);
		file->rest = read_file(files, &reading, budget);
		more |= file->rest;
		if (!spent && file->rest)
			files->turn = (first + i + 1) % files->count;
		if (file->join && log_join_is_due(file->join, now_ns))
			flush_held(&reading);
	}
	for (uint32_t i = files->count; i-- > 0;) {
		struct reading reading = { &files->each[i], now_ns, sink, row };
		if (files->each[i].rest || !is_finished(&files->each[i], now_ns))
			continue;
		take_last_line(files, &reading);
		drop_file(files, i);
	}
	row->files = files->count;
	row->skipped_bytes += files->passed;
	files->passed = 0;
	snprintf(row->why, sizeof(row->why), "%s", files->why);
	return more;
}
