/* SPDX-License-Identifier: Apache-2.0 */
/* A cgroup v2 with the memory controller for tests that need one, in a mount namespace of their own; hosts without it skip, and say so. */
#ifndef NODEMEND_TESTS_BPF_MEMCG_H
#define NODEMEND_TESTS_BPF_MEMCG_H

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "harness.h"

static char memcg_root[] = "/tmp/nodemend-test-XXXXXX";
static bool memcg_mounted;

static inline bool memcg_write(const char *group, const char *file, const char *text)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s%s%s", memcg_root, group, group[0] ? "/" : "", file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return written;
}

/* The number behind `name` in a file of names and numbers; UNKNOWN without such a line. */
static inline uint64_t memcg_number(const char *path, const char *name)
{
	char line[256], key[64];
	unsigned long long value;
	uint64_t found = UNKNOWN;

	FILE *file = fopen(path, "re");
	if (!file)
		return UNKNOWN;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %llu", key, &value) == 2 && !strcmp(key, name))
			found = value;
	fclose(file);
	return found;
}

static inline uint64_t memcg_stat(const char *group, const char *file, const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s/%s", memcg_root, group, file);
	return memcg_number(path, name);
}

/* NULL; or why there is no memory controller that we may use. */
static inline const char *memcg_prepare(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return "no mount namespace of its own (root is needed)";
	if (!mkdtemp(memcg_root))
		return "no folder in /tmp";
	if (mount("none", memcg_root, "cgroup2", 0, NULL))
		return "no cgroup v2";
	memcg_mounted = true;
	return memcg_write("", "cgroup.subtree_control", "+memory") ? NULL : "cgroup v2 has no memory controller on this host";
}

static inline void memcg_done(void)
{
	if (memcg_mounted)
		umount(memcg_root);
	rmdir(memcg_root);
}

/* Its id. */
static inline uint64_t memcg_make(const char *group, const char *limit)
{
	char path[160];
	struct stat inode;

	snprintf(path, sizeof(path), "%s/%s", memcg_root, group);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(stat(path, &inode), 0);
	assert_true(memcg_write(group, "memory.max", limit));
	(void)memcg_write(group, "memory.swap.max", "0"); /* where swap is accounted */
	return inode.st_ino;
}

static inline void memcg_remove(const char *group)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", memcg_root, group);
	assert_int_equal(rmdir(path), 0);
}

#endif
