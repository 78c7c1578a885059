/* SPDX-License-Identifier: Apache-2.0 */
/* See spool_segment.h. */
#include "push/spool_segment.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

static const char magic[SEGMENT_HEAD + 1] = "nmspool1";
static const uint8_t sync_word[4] = { 0x89, 'n', 'm', 'r' };

struct record_head {
	uint8_t sync[4];
	uint32_t crc;              /* of the rest of the head and of the body */
	uint32_t length, type, items, zero;
	int64_t made_wall_ns;
};

uint64_t segment_record_size(const struct parcel *parcel)
{
	return sizeof(struct record_head) + parcel->size;
}

static uint32_t crc_of(const struct record_head *head, const void *body)
{
	const size_t from = offsetof(struct record_head, length);
	uLong crc = crc32(0, (const uint8_t *)head + from, (uInt)(sizeof(*head) - from));
	return (uint32_t)crc32(crc, body, head->length);
}

int segment_begin(int fd)
{
	ssize_t written = pwrite(fd, magic, SEGMENT_HEAD, 0);
	return written == SEGMENT_HEAD ? 0 : written < 0 ? -errno : -ENOSPC;
}

int segment_append(int fd, uint64_t size, const struct parcel *parcel)
{
	struct record_head head = {
		.length = (uint32_t)parcel->size, .type = parcel->type, .items = parcel->items, .made_wall_ns = parcel->made_wall_ns,
	};
	memcpy(head.sync, sync_word, sizeof(sync_word));
	head.crc = crc_of(&head, parcel->body);
	const struct iovec parts[] = { { &head, sizeof(head) }, { (void *)parcel->body, parcel->size } };
	ssize_t written = pwritev(fd, parts, 2, (off_t)size);
	if (written == (ssize_t)(sizeof(head) + parcel->size))
		return 0;
	int error = written < 0 ? -errno : -ENOSPC;
	(void)!ftruncate(fd, (off_t)size); /* else the half record is skipped by its CRC */
	return error;
}

/* 1, 0: not all there, -errno. */
static int read_all(int fd, void *to, size_t size, uint64_t at)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = pread(fd, (char *)to + done, size - done, (off_t)(at + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return 0;
		done += (size_t)got;
	}
	return 1;
}

static bool is_head(const struct record_head *head, uint64_t room)
{
	return memcmp(head->sync, sync_word, sizeof(sync_word)) == 0 && head->length <= PARCEL_MAX && sizeof(*head) + head->length <= room;
}

int segment_measure(int fd, uint64_t *ret_size, uint64_t *ret_items, bool *ret_torn)
{
	char start[SEGMENT_HEAD];
	struct stat status;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || read_all(fd, start, sizeof(start), 0) != 1 || memcmp(start, magic, sizeof(start)) != 0)
		return -EINVAL;

	uint64_t size = (uint64_t)status.st_size, at = SEGMENT_HEAD, items = 0;
	struct record_head head;
	while (size - at >= sizeof(head) && read_all(fd, &head, sizeof(head), at) == 1 && is_head(&head, size - at)) {
		items += head.items;
		at += sizeof(head) + head.length;
	}
	/* A head that runs beyond the end, or half a head: the writer was killed. What is broken otherwise may have whole records behind it. */
	bool torn = at < size && (size - at < sizeof(head) || (memcmp(head.sync, sync_word, sizeof(sync_word)) == 0 && head.length <= PARCEL_MAX));
	*ret_torn = torn && ftruncate(fd, (off_t)at) == 0;
	*ret_size = *ret_torn ? at : size;
	*ret_items = items;
	return 0;
}

/* 1 whole, 0 broken, -errno. */
static int read_record(int fd, uint64_t at, uint64_t size, uint8_t *body, struct parcel *ret)
{
	struct record_head head;
	if (size - at < sizeof(head))
		return 0;
	int result = read_all(fd, &head, sizeof(head), at);
	if (result <= 0)
		return result;
	if (!is_head(&head, size - at))
		return 0;
	result = read_all(fd, body, head.length, at + sizeof(head));
	if (result <= 0 || crc_of(&head, body) != head.crc)
		return result < 0 ? result : 0;
	*ret = (struct parcel){ .made_wall_ns = head.made_wall_ns, .type = head.type, .items = head.items, .body = body, .size = head.length };
	return 1;
}

/* Where the next sync word stands at or behind `at`; `size` where there is none. */
static uint64_t find_sync(int fd, uint64_t at, uint64_t size)
{
	uint8_t window[4096];
	while (at + sizeof(sync_word) <= size) {
		size_t part = size - at < sizeof(window) ? (size_t)(size - at) : sizeof(window);
		if (read_all(fd, window, part, at) != 1)
			return size;
		const uint8_t *found = memmem(window, part, sync_word, sizeof(sync_word));
		if (found)
			return at + (uint64_t)(found - window);
		at += part - (sizeof(sync_word) - 1);
		if (part < sizeof(window))
			return size;
	}
	return size;
}

int segment_read(int fd, uint64_t *at, uint64_t size, uint8_t *body, struct parcel *ret)
{
	for (uint64_t place = *at; place < size; place = find_sync(fd, place + 1, size)) {
		int result = read_record(fd, place, size, body, ret);
		if (result < 0)
			return result;
		if (result > 0) {
			*at = place;
			return 1;
		}
	}
	/* The rest holds nothing: only worth a word where there is a rest. */
	if (*at < size)
		*at = size;
	return 0;
}
