/* SPDX-License-Identifier: Apache-2.0 */
/* See crowded.h. Depth first over a stack of paths: the room it takes is that of the directories which wait, and those that find none are counted. */
#include "remedies/crowded.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/tree.h"

enum { ENTRIES_LEN = 32 * 1024, STACK_LEN = 1024 * 1024 };

struct crowd_walk {
	struct crowding *told;
	int root_fd;
	size_t used;                     /* of the stack: paths one behind the other, each ended by a NUL; the last is the next */
	char stack[STACK_LEN];
};

uint64_t inodes_used_percent(int fd)
{
	struct statvfs now;
	if (fstatvfs(fd, &now) < 0 || !now.f_files || now.f_ffree > now.f_files)
		return UNKNOWN;
	return (now.f_files - now.f_ffree) * 100 / now.f_files;
}

static void push(struct crowd_walk *walk, const char *path, const char *name)
{
	size_t length = strlen(path) + strlen(name) + 2;
	if (length > PATH_LEN * 4 || length > STACK_LEN - walk->used) {
		walk->told->left_out++;
		return;
	}
	walk->used += (size_t)snprintf(walk->stack + walk->used, length, "%s%s%s", path, path[0] ? "/" : "", name) + 1;
}

static void pop(struct crowd_walk *walk, char path[PATH_LEN * 4])
{
	size_t at = walk->used - 1;
	while (at && walk->stack[at - 1])
		at--;
	snprintf(path, (size_t)PATH_LEN * 4, "%s", walk->stack + at);
	walk->used = at;
}

static void rank(struct crowding *crowding, const char *path, uint64_t files)
{
	uint32_t at = crowding->count < CROWDED_TOP ? crowding->count++ : CROWDED_TOP - 1;
	if (crowding->top[at].files >= files && at == CROWDED_TOP - 1 && crowding->top[at].files)
		return;
	for (; at && crowding->top[at - 1].files < files; at--)
		crowding->top[at] = crowding->top[at - 1];
	crowding->top[at].files = files;
	/* Of one that is too long the end says more than the front. */
	size_t length = strlen(path);
	snprintf(crowding->top[at].path, CROWDED_PATH_LEN, "%s", path + (length < CROWDED_PATH_LEN ? 0 : length - CROWDED_PATH_LEN + 1));
}

static bool is_directory(int fd, const struct dirent64 *entry)
{
	struct stat found;
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(fd, entry->d_name, &found, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0 && S_ISDIR(found.st_mode);
}

/* 0: counted. -ETIME. */
static int count_directory(struct crowd_walk *walk, int fd, const char *path, uint64_t until_boot_ns)
{
	_Alignas(struct dirent64) char entries[ENTRIES_LEN];
	uint64_t files = 0;
	ssize_t got;
	while ((got = getdents64(fd, entries, sizeof(entries))) > 0) {
		for (ssize_t at = 0; at < got;) {
			const struct dirent64 *entry = (const void *)(entries + at);
			at += entry->d_reclen;
			if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
				continue;
			walk->told->names++;
			if (is_directory(fd, entry))
				push(walk, path, entry->d_name);
			else
				files++;
		}
		if (clock_boot_ns() >= until_boot_ns)
			break;
	}
	walk->told->directories++;
	if (files)
		rank(walk->told, path, files);
	return got > 0 ? -ETIME : 0;
}

static int open_quietly(int root_fd, const char *path)
{
	const char *name = path[0] ? path : ".";
	int fd = tree_open_below(root_fd, name, O_RDONLY | O_DIRECTORY | O_NOATIME);
	return fd == -EPERM ? tree_open_below(root_fd, name, O_RDONLY | O_DIRECTORY) : fd;
}

int crowded_find(int root_fd, uint64_t until_boot_ns, struct crowding *ret)
{
	char path[PATH_LEN * 4];
	struct crowd_walk *walk = malloc(sizeof(*walk));
	*ret = (struct crowding){ .count = 0 };
	if (!walk)
		return -ENOMEM;
	walk->told = ret;
	walk->root_fd = root_fd;
	walk->used = 0;
	push(walk, "", "");
	int error = 0;
	while (error == 0 && walk->used) {
		pop(walk, path);
		int fd = open_quietly(root_fd, path);
		if (fd < 0) {
			ret->left_out += fd != -EXDEV && fd != -ENOENT; /* another mount has inodes of its own */
			continue;
		}
		error = count_directory(walk, fd, path, until_boot_ns);
		close(fd);
	}
	ret->complete = error == 0;
	free(walk);
	return 0;
}
