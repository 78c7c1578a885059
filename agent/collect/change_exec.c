/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which file each program was started from. A program whose file has the same path on the same file system and is another than when it was
 * started last has been deployed anew. Asked of new processes only, so many a tick; nothing here waits for a disk or a server.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "collect/change.h"

enum { MAX_BINARIES = 1024, RUN = 16, LOOKS_A_TICK = 16, FIRST_LOOKS = 1024 };

struct binary {
	uint64_t key;            /* of path and device; 0: free */
	uint64_t inode, changed_ns, seen_ns;
};

struct change_exec {
	struct binary each[MAX_BINARIES];
};

struct change_exec *change_exec_new(void)
{
	return calloc(1, sizeof(struct change_exec));
}

void change_exec_free(struct change_exec *exec)
{
	free(exec);
}

/* Containers have paths of their own, and a device of their own each: the key is both. */
static uint64_t key_of(const char *path, const struct statx *status)
{
	uint64_t hash = 0xcbf29ce484222325ULL ^ ((uint64_t)status->stx_dev_major << 20 | status->stx_dev_minor);
	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3ULL;
	return hash ? hash : 1;
}

/* A known one, or the place of the one in its neighbourhood that was not started for longest. */
static struct binary *find(struct change_exec *exec, uint64_t key)
{
	struct binary *oldest = NULL;
	for (uint32_t i = 0; i < RUN; i++) {
		struct binary *binary = &exec->each[(key + i) % MAX_BINARIES];
		if (binary->key == key)
			return binary;
		if (!oldest || binary->seen_ns < oldest->seen_ns)
			oldest = binary;
	}
	*oldest = (struct binary){ .key = key };
	return oldest;
}

/* The path of its file, without the mark of one that is gone; false: there is none to read. */
static bool read_path(int proc_fd, int32_t pid, char path[PATH_LEN], struct statx *ret)
{
	char link[32];
	snprintf(link, sizeof(link), "%d/exe", pid);
	ssize_t length = readlinkat(proc_fd, link, path, PATH_LEN - 1);
	if (length <= 0)
		return false;
	path[length] = '\0';
	static const char gone[] = " (deleted)";
	if (length > (ssize_t)sizeof(gone) - 1 && strcmp(path + length - (sizeof(gone) - 1), gone) == 0)
		path[length - (ssize_t)(sizeof(gone) - 1)] = '\0';
	/* The link leads to the open file itself: no path is walked, and a server that does not answer is not asked. */
	return statx(proc_fd, link, AT_STATX_DONT_SYNC, STATX_INO | STATX_MTIME | STATX_CTIME, ret) == 0;
}

static void look(struct change_exec *exec, int proc_fd, const struct process *process, struct change_sink *sink)
{
	char path[PATH_LEN];
	struct statx status;
	if (!read_path(proc_fd, process->pid, path, &status))
		return;
	uint64_t changed = (uint64_t)status.stx_mtime.tv_sec * NSEC_PER_SEC + status.stx_mtime.tv_nsec;
	struct binary *binary = find(exec, key_of(path, &status));
	bool known = binary->seen_ns != 0, same = binary->inode == status.stx_ino && binary->changed_ns == changed;
	binary->inode = status.stx_ino;
	binary->changed_ns = changed;
	binary->seen_ns = sink->snap->boot_ns;
	if (known && !same)
		change_add(sink, CHANGE_BINARY, process->cgroup_id, "%.15s (pid %d) was started from another %.100s than before", process->comm,
			   process->pid, path);
}

void change_exec_look(struct change_exec *exec, int proc_fd, uint64_t since_ns, struct change_sink *sink)
{
	const struct process_section *processes = &sink->snap->processes;
	uint32_t left = since_ns ? LOOKS_A_TICK : FIRST_LOOKS;
	/* One that was born right before the last look may not have had its program yet. */
	uint64_t from = since_ns > sink->snap->interval_ns ? since_ns - sink->snap->interval_ns : 0;
	for (uint32_t i = 0; i < processes->count; i++) {
		const struct process *process = &processes->each[i];
		if (process->kernel_thread || process->state == 'Z' || process->start_ns < from)
			continue;
		if (!left) { /* it may have been of another file; twice where two looks see it */
			sink->snap->changes.lost += since_ns != 0;
			continue;
		}
		left--;
		look(exec, proc_fd, process, sink);
	}
}
