/* SPDX-License-Identifier: Apache-2.0 */
/* See group_control.h. */
#include "remedies/group_control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "remedies/group.h"

static const char *const v2_places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

static const char *v2_mount(void)
{
	struct statfs kind;
	for (size_t i = 0; i < sizeof(v2_places) / sizeof(v2_places[0]); i++)
		if (statfs(v2_places[i], &kind) == 0 && kind.f_type == CGROUP2_SUPER_MAGIC)
			return v2_places[i];
	return NULL;
}

/* 0; -ENOENT: no such file; -ENAMETOOLONG. */
static int fill(struct knob *ret, const char *mount, const char *path, const char *file)
{
	struct stat directory;
	memset(ret, 0, sizeof(*ret));
	ret->kind = KNOB_CGROUP;
	if (snprintf(ret->file, sizeof(ret->file), "%s%s", mount, path) >= (int)sizeof(ret->file))
		return -ENAMETOOLONG;
	if (lstat(ret->file, &directory) < 0)
		return -errno;
	ret->directory_inode = directory.st_ino;
	size_t used = strlen(ret->file);
	if (snprintf(ret->file + used, sizeof(ret->file) - used, "/%s", file) >= (int)(sizeof(ret->file) - used))
		return -ENAMETOOLONG;
	return access(ret->file, W_OK) == 0 ? 0 : -errno;
}

/* --- v1 ------------------------------------------------------------------------------------------------------------------ */

struct v1_search {
	const char *controller;
	char path[PATH_LEN];   /* of the first member; "" = none seen yet */
	uint32_t members;
};

/* The controllers of a line of /proc/PID/cgroup are a list between commas. */
static bool names_controller(const char *list, const char *controller)
{
	size_t length = strlen(controller);
	for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
		if (strncmp(at, controller, length) == 0 && (at[length] == ',' || !at[length]))
			return true;
	return false;
}

static int v1_path_of(int32_t pid, const char *controller, char ret[PATH_LEN])
{
	char name[48], text[8192], *save = NULL;
	snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)pid);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -ESRCH;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return -ESRCH;
	text[got] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
		if (!path)
			continue;
		*path = '\0';
		if (names_controller(list + 1, controller))
			return snprintf(ret, PATH_LEN, "%s", path + 1) < PATH_LEN ? 0 : -ENAMETOOLONG;
	}
	return -ENOENT;
}

/* All members must be in one and the same cgroup of the controller, else turning it would hit others or miss some. */
static int visit_member(int32_t pid, void *context)
{
	struct v1_search *search = context;
	char path[PATH_LEN];
	int error = v1_path_of(pid, search->controller, path);
	if (error == -ESRCH)
		return 0; /* has ended */
	if (error)
		return error;
	if (search->members++ == 0)
		memcpy(search->path, path, sizeof(path));
	return strcmp(search->path, path) == 0 ? 0 : -EPERM;
}

enum { MAX_LEVELS = 16, MAX_GROUPS_BELOW = 1024 };

static uint32_t count_lines(int dir_fd)
{
	char text[4096];
	uint32_t lines = 0;
	int fd = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	for (ssize_t got; fd >= 0 && (got = read(fd, text, sizeof(text))) > 0;)
		for (ssize_t i = 0; i < got; i++)
			lines += text[i] == '\n';
	if (fd >= 0)
		close(fd);
	return lines;
}

/* A limit holds for all that is below, too. UINT32_MAX where that cannot be told. Takes `dir_fd`. */
static uint32_t count_below(int dir_fd, uint32_t level, uint32_t *groups)
{
	uint32_t count = count_lines(dir_fd);
	DIR *directory = level < MAX_LEVELS && ++*groups < MAX_GROUPS_BELOW ? fdopendir(dir_fd) : NULL;
	if (!directory) {
		close(dir_fd);
		return UINT32_MAX;
	}
	for (struct dirent *entry; count != UINT32_MAX && (entry = readdir(directory));) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		int fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		uint32_t below = fd < 0 ? 0 : count_below(fd, level + 1, groups); /* removed a moment ago: nobody was in it */
		count = below == UINT32_MAX ? UINT32_MAX : count + below;
	}
	closedir(directory);
	return count;
}

static uint32_t count_members(const char *mount, const char *path)
{
	char name[2 * PATH_LEN];
	uint32_t groups = 0;
	snprintf(name, sizeof(name), "%s%s", mount, path);
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? UINT32_MAX : count_below(fd, 0, &groups);
}

static const char *v1_name(const struct control_name *name)
{
	return name->v1_controller ? name->v1_controller : name->controller;
}

static int find_v1(uint64_t id, const char *path, const struct control_name *name, struct knob *ret)
{
	char mount[PATH_LEN];
	snprintf(mount, sizeof(mount), "/sys/fs/cgroup/%s", v1_name(name));
	struct group group;
	int error = group_open(id, path, &group);
	if (error == -ENODEV) /* no v2 at all: the path is the controller's own */
		return strcmp(path, "/") == 0 ? -EPERM : fill(ret, mount, path, name->v1);
	if (error)
		return error;
	struct v1_search search = { .controller = v1_name(name) };
	error = group_each(&group, visit_member, &search);
	group_close(&group);
	if (error)
		return error;
	if (!search.members)
		return -ESTALE;
	if (strcmp(search.path, "/") == 0 || count_members(mount, search.path) > search.members)
		return -EPERM;
	return fill(ret, mount, search.path, name->v1);
}

/* --- both ---------------------------------------------------------------------------------------------------------------- */

int group_control(uint64_t id, const char *path, const struct control_name *name, struct knob *ret, bool *ret_v2)
{
	const char *mount = v2_mount();
	*ret_v2 = false;
	if (strcmp(path, "/") == 0)
		return -EPERM;
	if (mount && name->v2) {
		int error = fill(ret, mount, path, name->v2);
		if (error == 0 && ret->directory_inode != id)
			return -ESTALE;
		*ret_v2 = error == 0;
		if (error != -ENOENT)
			return error;
	}
	return name->v1 ? find_v1(id, path, name, ret) : -ENOENT;
}

bool control_exists(const struct control_name *name)
{
	char text[1024] = "", path[PATH_LEN];
	const char *mount = v2_mount();
	if (!name->controller)
		return mount != NULL;
	if (mount && name->v2) {
		snprintf(path, sizeof(path), "%s/cgroup.controllers", mount);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		text[got > 0 ? got : 0] = '\0';
		for (char *save = NULL, *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
			if (strcmp(word, name->controller) == 0)
				return true;
	}
	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/cgroup.procs", v1_name(name));
	return name->v1 && access(path, F_OK) == 0;
}
