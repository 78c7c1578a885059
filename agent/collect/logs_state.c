/* SPDX-License-Identifier: Apache-2.0 */
/* See logs_state.h. A head, then only what is in use of each table. Read back it is a stranger's: every count and text is looked at. */
#include "collect/logs_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_NAME "logs.state"
#define STATE_MAGIC "nmlogs1"

/* The sizes are the version: tables of another build are other tables. */
struct head {
	char magic[8];
	uint32_t saved_size, track_size, place_size, count_size;
	uint64_t checksum, length;
};

static uint64_t sum(const char *bytes, size_t size)
{
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a: against damage, not against malice; the folder is root's */
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3ULL;
	return hash;
}

static struct head head_of(void)
{
	return (struct head){ .magic = STATE_MAGIC, .saved_size = sizeof(struct log_saved), .track_size = sizeof(struct log_track),
			      .place_size = sizeof(struct log_place), .count_size = sizeof(struct log_count) };
}

struct part {
	void *at;
	size_t size;
};
enum { PARTS = 4 };

static void parts_of(struct log_saved *saved, struct part ret[PARTS])
{
	ret[0] = (struct part){ saved, offsetof(struct log_saved, places) };
	ret[1] = (struct part){ saved->places, saved->place_count * sizeof(saved->places[0]) };
	ret[2] = (struct part){ saved->counts, saved->count_count * sizeof(saved->counts[0]) };
	ret[3] = (struct part){ saved->tracks, saved->track_count * sizeof(saved->tracks[0]) };
}

size_t log_state_format(const struct log_saved *saved, void *ret, size_t room)
{
	struct head head = head_of();
	struct part parts[PARTS];
	size_t used = sizeof(head);

	parts_of((struct log_saved *)saved, parts); /* only read */
	for (int i = 0; i < PARTS; i++) {
		if (used + parts[i].size > room)
			return 0;
		memcpy((char *)ret + used, parts[i].at, parts[i].size);
		used += parts[i].size;
	}
	head.length = used - sizeof(head);
	head.checksum = sum((const char *)ret + sizeof(head), head.length);
	memcpy(ret, &head, sizeof(head));
	return used;
}

static bool is_closed(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool is_bool(const bool *value)
{
	return *(const unsigned char *)value <= 1;
}

static bool is_sound(const struct log_saved *saved)
{
	bool sound = is_closed(saved->boot_id, sizeof(saved->boot_id));
	for (uint32_t i = 0; i < MAX_LOG_SOURCES; i++)
		sound &= is_closed(saved->streams[i].cursor, LOG_CURSOR_LEN) && is_closed(saved->streams[i].row.name, LOG_PATH_LEN) &&
			 is_closed(saved->streams[i].row.why, sizeof(saved->streams[i].row.why));
	for (uint32_t i = 0; i < saved->place_count; i++)
		sound &= is_closed(saved->places[i].path, PATH_LEN) && saved->places[i].head_length <= LOG_HEAD_LEN && is_bool(&saved->places[i].inside) &&
			 is_bool(&saved->places[i].left) && saved->places[i].offset <= INT64_MAX;
	for (uint32_t i = 0; i < saved->count_count; i++)
		sound &= is_closed(saved->counts[i].pattern, LOG_NAME_LEN) && is_closed(saved->counts[i].source, LOG_PATH_LEN);
	for (uint32_t i = 0; i < saved->track_count; i++) {
		const struct log_row *row = &saved->tracks[i].row;
		sound &= row->about < TARGET_TYPE_COUNT && is_bool(&row->raised) && is_closed(row->name, LOG_PATH_LEN) && is_closed(row->log, LOG_PATH_LEN) &&
			 is_closed(row->device, LOG_NAME_LEN) && is_closed(row->line, LOG_LINE_LEN) && is_bool(&saved->tracks[i].window.raised) &&
			 saved->tracks[i].window.before <= saved->tracks[i].window.matched && is_bool(&saved->tracks[i].used) &&
			 is_bool(&saved->tracks[i].changed) && is_bool(&saved->tracks[i].gone);
	}
	return sound;
}

static int parse(const char *bytes, size_t size, struct log_saved *saved)
{
	struct head head, wanted = head_of();
	if (size < sizeof(head) + offsetof(struct log_saved, places))
		return -EINVAL;
	memcpy(&head, bytes, sizeof(head));
	if (memcmp(&head, &wanted, offsetof(struct head, checksum)) != 0 || head.length != size - sizeof(head) ||
	    head.checksum != sum(bytes + sizeof(head), head.length))
		return -EINVAL;

	memcpy(saved, bytes + sizeof(head), offsetof(struct log_saved, places));
	if (saved->place_count > LOG_PLACES_MAX || saved->count_count > MAX_LOG_COUNTS || saved->track_count > MAX_LOG_ROWS)
		return -EINVAL;
	struct part parts[PARTS];
	parts_of(saved, parts);
	size_t used = sizeof(head) + parts[0].size;
	for (int i = 1; i < PARTS; i++) {
		if (parts[i].size > size - used)
			return -EINVAL;
		memcpy(parts[i].at, bytes + used, parts[i].size);
		used += parts[i].size;
	}
	return used == size && is_sound(saved) ? 0 : -EINVAL;
}

int log_state_parse(const void *bytes, size_t size, struct log_saved *ret)
{
	int error = parse(bytes, size, ret);
	if (error)
		memset(ret, 0, sizeof(*ret));
	return error;
}

int log_state_read(const char *folder, struct log_saved *ret)
{
	char path[PATH_LEN + sizeof("/" STATE_NAME)];
	enum { MOST = sizeof(struct head) + sizeof(struct log_saved) };

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "%s/" STATE_NAME, folder);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	char *bytes = malloc(MOST + 1);
	ssize_t got = bytes ? read(fd, bytes, MOST + 1) : -1;
	int error = !bytes ? -ENOMEM : got < 0 ? -errno : log_state_parse(bytes, (size_t)got, ret);
	free(bytes);
	close(fd);
	return error;
}

int log_state_write(const char *folder, const struct log_saved *saved)
{
	char path[PATH_LEN + sizeof("/" STATE_NAME)], next[PATH_LEN + sizeof("/" STATE_NAME ".new")];
	size_t room = sizeof(struct head) + sizeof(*saved);
	int error = 0;

	snprintf(path, sizeof(path), "%s/" STATE_NAME, folder);
	snprintf(next, sizeof(next), "%s/" STATE_NAME ".new", folder);
	char *bytes = malloc(room);
	if (!bytes)
		return -ENOMEM;
	size_t size = log_state_format(saved, bytes, room);
	int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		error = -errno;
	else if (write(fd, bytes, size) != (ssize_t)size)
		error = errno ? -errno : -ENOSPC;
	if (fd >= 0 && close(fd) < 0 && !error)
		error = -errno;
	if (!error && rename(next, path) < 0)
		error = -errno;
	free(bytes);
	return error;
}
