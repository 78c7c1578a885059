/* SPDX-License-Identifier: Apache-2.0 */
/* Files below /etc that are written, moved there or removed, by inotify on its folders to the second level down. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "collect/change.h"

enum { MAX_WATCHES = 512, FOLDER_LEN = 96, DEEPEST = 2 };
#define WATCHED (IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_CREATE | IN_ONLYDIR | IN_DONT_FOLLOW)

struct watch {
	int number;              /* inotify's; -1: free */
	uint32_t depth;
	char folder[FOLDER_LEN]; /* "/etc", "/etc/nginx" */
};

struct change_etc {
	int root_fd, fd;
	uint32_t count;
	uint64_t lost;           /* events that the kernel's queue had no room for; folders without a watch */
	struct watch each[MAX_WATCHES];
	_Alignas(struct inotify_event) char buffer[4096];
};

static struct watch *find(struct change_etc *etc, int number)
{
	for (uint32_t i = 0; i < etc->count; i++)
		if (etc->each[i].number == number)
			return &etc->each[i];
	return NULL;
}

static void watch_folder(struct change_etc *etc, const char *folder, uint32_t depth)
{
	char path[64];
	int fd = openat(etc->root_fd, folder + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	/* By its descriptor: the root may be a mount of the node elsewhere, and no name is walked twice. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int number = etc->count < MAX_WATCHES ? inotify_add_watch(etc->fd, path, WATCHED & ~(uint32_t)IN_DONT_FOLLOW) : -1;
	if (number < 0) {
		etc->lost++;
		close(fd);
		return;
	}
	/* The same number again is the same folder, moved: it and what is below it go on under the new name. */
	struct watch *known = find(etc, number), *watch = known ? known : &etc->each[etc->count++];
	watch->number = number;
	watch->depth = depth;
	snprintf(watch->folder, sizeof(watch->folder), "%s", folder);

	DIR *directory = depth < DEEPEST ? fdopendir(fd) : NULL;
	if (!directory) {
		close(fd);
		return;
	}
	for (struct dirent *entry; (entry = readdir(directory));) {
		char below[FOLDER_LEN];
		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (snprintf(below, sizeof(below), "%s/%s", folder, entry->d_name) < (int)sizeof(below))
			watch_folder(etc, below, depth + 1);
	}
	closedir(directory);
}

int change_etc_open(const char *root, struct change_etc **ret)
{
	struct change_etc *etc = calloc(1, sizeof(*etc));
	if (!etc)
		return -ENOMEM;
	etc->fd = -1;
	etc->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (etc->root_fd >= 0)
		etc->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int error = etc->fd < 0 ? -errno : 0;
	if (!error)
		watch_folder(etc, "/etc", 0);
	if (!error && !etc->count)
		error = -ENOENT;
	if (error < 0) {
		change_etc_close(etc);
		return error;
	}
	*ret = etc;
	return 0;
}

void change_etc_close(struct change_etc *etc)
{
	if (!etc)
		return;
	if (etc->fd >= 0)
		close(etc->fd);
	if (etc->root_fd >= 0)
		close(etc->root_fd);
	free(etc);
}

uint64_t change_etc_lost(const struct change_etc *etc)
{
	return etc->lost;
}

/* What editors and package managers write beside the file, and take away again. */
static bool is_passing(const char *name)
{
	static const char *const ends[] = { "~", ".swp", ".swx", ".tmp", ".dpkg-new", ".dpkg-tmp", ".dpkg-old", ".lock", ".pid" };
	size_t length = strlen(name);
	if (name[0] == '.' || name[0] == '#')
		return true;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (length >= strlen(ends[i]) && strcmp(name + length - strlen(ends[i]), ends[i]) == 0)
			return true;
	return false;
}

static void take(struct change_etc *etc, const struct inotify_event *event, struct change_sink *sink)
{
	if (event->mask & IN_Q_OVERFLOW)
		etc->lost++;
	struct watch *watch = find(etc, event->wd);
	if (!watch)
		return;
	if (event->mask & IN_IGNORED) { /* the folder is gone */
		*watch = etc->each[--etc->count];
		return;
	}
	if (!event->len || is_passing(event->name))
		return;
	if (event->mask & IN_ISDIR) {
		char below[FOLDER_LEN];
		bool fits = snprintf(below, sizeof(below), "%s/%.80s", watch->folder, event->name) < (int)sizeof(below);
		if (fits && watch->depth < DEEPEST && event->mask & (IN_CREATE | IN_MOVED_TO))
			watch_folder(etc, below, watch->depth + 1);
		return;
	}
	if (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE))
		change_add(sink, CHANGE_CONFIGURATION, 0, "%s/%.60s was %s", watch->folder, event->name, event->mask & IN_DELETE ? "removed" : "written");
}

void change_etc_read(struct change_etc *etc, struct change_sink *sink)
{
	/* What the queue holds beyond this waits for the next tick. */
	for (uint32_t round = 0; round < 4; round++) {
		ssize_t length = read(etc->fd, etc->buffer, sizeof(etc->buffer));
		if (length <= 0)
			return;
		for (char *at = etc->buffer; at < etc->buffer + length;) {
			const struct inotify_event *event = (const struct inotify_event *)(void *)at;
			take(etc, event, sink);
			at += sizeof(*event) + event->len;
		}
	}
}
