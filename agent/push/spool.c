/* SPDX-License-Identifier: Apache-2.0 */
/* See spool.h. The segments' own format is spool_segment.c's. */
#include "push/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "push/spool_segment.h"

enum { SEGMENTS = 64, SEGMENT_SHARE = 8, SEGMENT_LEAST = 64 << 10, SEGMENT_MOST = 4 << 20 };

struct segment {
	uint64_t id;
	uint64_t size;             /* of its file */
	uint64_t items;
};

struct cursor {
	uint64_t id, offset;
	uint32_t crc;
};

struct spool {
	int dir_fd, cursor_fd;
	int read_fd, write_fd;     /* of the first and of the last segment; -1: not open */
	uint64_t limit, segment_most, bytes;
	uint32_t count;
	struct segment segments[SEGMENTS]; /* oldest first */
	uint64_t next_id, offset;  /* offset: in the first segment, of the next record to read */
	bool peeked;
	uint64_t peeked_end;       /* behind the record that was peeked at */
	uint32_t peeked_items;
	uint8_t *body;             /* PARCEL_MAX, only while there is something */
	struct spool_losses losses;
};

/* --- segments and cursor ----------------------------------------------------------------------------------------------- */

enum { SEGMENT_NAME = 32 };

static const char *segment_name(uint64_t id, char buffer[SEGMENT_NAME])
{
	snprintf(buffer, SEGMENT_NAME, "%016llx.seg", (unsigned long long)id);
	return buffer;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Costs a page cache write. Where it fails, the worst is that something is sent twice after a crash. */
static void save_cursor(const struct spool *spool)
{
	struct cursor cursor = { .id = spool->count ? spool->segments[0].id : spool->next_id, .offset = spool->offset };
	cursor.crc = (uint32_t)crc32(0, (const uint8_t *)&cursor, offsetof(struct cursor, crc));
	(void)!pwrite(spool->cursor_fd, &cursor, sizeof(cursor), 0);
}

static void drop_first(struct spool *spool)
{
	char name[SEGMENT_NAME];
	close_fd(&spool->read_fd);
	if (spool->count == 1)
		close_fd(&spool->write_fd);
	(void)unlinkat(spool->dir_fd, segment_name(spool->segments[0].id, name), 0); /* not there: so much the better */
	spool->bytes -= spool->segments[0].size;
	memmove(spool->segments, spool->segments + 1, --spool->count * sizeof(spool->segments[0]));
	spool->offset = SEGMENT_HEAD;
	spool->peeked = false;
	if (!spool->count) {
		free(spool->body);
		spool->body = NULL;
	}
	save_cursor(spool);
}

static int add_segment(struct spool *spool)
{
	char name[SEGMENT_NAME];
	close_fd(&spool->write_fd);
	int fd = openat(spool->dir_fd, segment_name(spool->next_id, name), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int error = segment_begin(fd);
	if (error < 0) {
		close(fd);
		(void)unlinkat(spool->dir_fd, name, 0);
		return error;
	}
	if (!spool->count)
		spool->offset = SEGMENT_HEAD;
	spool->segments[spool->count++] = (struct segment){ .id = spool->next_id++, .size = SEGMENT_HEAD };
	spool->bytes += SEGMENT_HEAD;
	spool->write_fd = fd;
	return 0;
}

/* --- opening ----------------------------------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	uint64_t one = ((const struct segment *)a)->id, other = ((const struct segment *)b)->id;
	return (one > other) - (one < other);
}

/* More than we ever write: somebody put them there. The first so many are taken. */
static int find_segments(struct spool *spool)
{
	int fd = openat(spool->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int error = -errno;
		if (fd >= 0)
			close(fd);
		return error;
	}
	for (struct dirent *entry; (entry = readdir(dir)) && spool->count < SEGMENTS - 1;) {
		char *end, name[SEGMENT_NAME];
		unsigned long long id = strtoull(entry->d_name, &end, 16);
		if (strcmp(end, ".seg") == 0 && id < UINT64_MAX && strcmp(segment_name(id, name), entry->d_name) == 0)
			spool->segments[spool->count++].id = id;
	}
	closedir(dir);
	qsort(spool->segments, spool->count, sizeof(spool->segments[0]), by_id);
	return 0;
}

static void measure_segments(struct spool *spool)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < spool->count; i++) {
		struct segment segment = spool->segments[i];
		char name[SEGMENT_NAME];
		int fd = openat(spool->dir_fd, segment_name(segment.id, name), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		bool torn = false;
		int error = fd < 0 ? -errno : segment_measure(fd, &segment.size, &segment.items, &torn);
		if (fd >= 0)
			close(fd);
		spool->next_id = segment.id + 1;
		if (torn)
			spool->losses.corrupt_records++;
		if (error < 0) {
			spool->losses.corrupt_records++;
			(void)unlinkat(spool->dir_fd, name, 0);
			continue;
		}
		spool->bytes += segment.size;
		spool->segments[kept++] = segment;
	}
	spool->count = kept;
}

static void find_place(struct spool *spool)
{
	struct cursor cursor;
	spool->offset = SEGMENT_HEAD;
	if (pread(spool->cursor_fd, &cursor, sizeof(cursor), 0) != sizeof(cursor) ||
	    crc32(0, (const uint8_t *)&cursor, offsetof(struct cursor, crc)) != cursor.crc)
		return;
	while (spool->count && spool->segments[0].id < cursor.id)
		drop_first(spool);
	if (spool->next_id < cursor.id)
		spool->next_id = cursor.id;
	if (spool->count && spool->segments[0].id == cursor.id && cursor.offset >= SEGMENT_HEAD && cursor.offset <= spool->segments[0].size)
		spool->offset = cursor.offset;
}

int spool_open(int dir_fd, const char *name, uint64_t limit_bytes, struct spool **ret)
{
	if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	struct spool *spool = calloc(1, sizeof(*spool));
	if (!spool)
		return -ENOMEM;
	spool->limit = limit_bytes;
	spool->segment_most = limit_bytes / SEGMENT_SHARE;
	spool->segment_most = spool->segment_most > SEGMENT_LEAST ? spool->segment_most : SEGMENT_LEAST;
	if (spool->segment_most > SEGMENT_MOST) /* but never more of them than there are places */
		spool->segment_most = limit_bytes / (SEGMENTS / 2) > SEGMENT_MOST ? limit_bytes / (SEGMENTS / 2) : SEGMENT_MOST;
	spool->read_fd = spool->write_fd = spool->cursor_fd = -1;
	spool->next_id = 1;

	int error = 0;
	spool->dir_fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (spool->dir_fd >= 0)
		spool->cursor_fd = openat(spool->dir_fd, "cursor", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (spool->cursor_fd < 0)
		error = -errno;
	if (!error)
		error = find_segments(spool);
	if (error) {
		spool_close(spool);
		return error;
	}
	measure_segments(spool);
	find_place(spool);
	*ret = spool;
	return 0;
}

void spool_close(struct spool *spool)
{
	if (!spool)
		return;
	close_fd(&spool->read_fd);
	close_fd(&spool->write_fd);
	close_fd(&spool->cursor_fd);
	close_fd(&spool->dir_fd);
	free(spool->body);
	free(spool);
}

/* --- in and out -------------------------------------------------------------------------------------------------------- */

static bool has_room(const struct spool *spool, uint64_t more)
{
	return spool->bytes + more <= spool->limit && spool->count < SEGMENTS - 1;
}

int spool_append(struct spool *spool, const struct parcel *parcel)
{
	uint64_t size = segment_record_size(parcel);
	if (parcel->size > PARCEL_MAX || SEGMENT_HEAD + size > spool->limit)
		return -EMSGSIZE;
	while (spool->count && !has_room(spool, SEGMENT_HEAD + size)) {
		spool->losses.full_items += spool->segments[0].items;
		drop_first(spool);
	}

	struct segment *last = spool->count ? &spool->segments[spool->count - 1] : NULL;
	if (spool->write_fd < 0 || !last || last->size + size > spool->segment_most) {
		int error = add_segment(spool);
		if (error < 0)
			return error;
		last = &spool->segments[spool->count - 1];
	}
	int error = segment_append(spool->write_fd, last->size, parcel);
	if (error < 0)
		return error;
	last->size += size;
	last->items += parcel->items;
	spool->bytes += size;
	return 0;
}

/* 1, 0: the first segment has no more, -errno. */
static int read_next(struct spool *spool, struct parcel *ret)
{
	char name[SEGMENT_NAME];
	if (spool->read_fd < 0)
		spool->read_fd = openat(spool->dir_fd, segment_name(spool->segments[0].id, name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (spool->read_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	uint64_t at = spool->offset;
	int result = segment_read(spool->read_fd, &at, spool->segments[0].size, spool->body, ret);
	if (at != spool->offset && result >= 0) {
		spool->losses.corrupt_records++;
		spool->offset = at;
	}
	return result;
}

int spool_peek(struct spool *spool, struct parcel *ret)
{
	while (spool->count) {
		if (!spool->body)
			spool->body = malloc(PARCEL_MAX);
		if (!spool->body)
			return -ENOMEM;
		int result = read_next(spool, ret);
		if (result < 0)
			return result;
		if (result > 0) {
			spool->peeked = true;
			spool->peeked_end = spool->offset + segment_record_size(ret);
			spool->peeked_items = ret->items;
			return 1;
		}
		drop_first(spool);
	}
	return 0;
}

void spool_pop(struct spool *spool)
{
	if (!spool->peeked)
		return;
	struct segment *first = &spool->segments[0];
	spool->peeked = false;
	spool->offset = spool->peeked_end;
	first->items -= spool->peeked_items < first->items ? spool->peeked_items : first->items;
	if (spool->offset >= first->size)
		drop_first(spool); /* also the one being written: an empty spool is an empty folder */
	else
		save_cursor(spool);
}

bool spool_is_empty(const struct spool *spool)
{
	return spool->count == 0;
}

uint64_t spool_bytes(const struct spool *spool)
{
	return spool->count ? spool->bytes - (spool->offset - SEGMENT_HEAD) : 0;
}

void spool_take_losses(struct spool *spool, struct spool_losses *ret)
{
	*ret = spool->losses;
	spool->losses = (struct spool_losses){ 0 };
}
