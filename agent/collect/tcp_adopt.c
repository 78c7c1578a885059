/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See tcp_adopt.h. An iterator over TCP sockets shows those of the network namespace in which it was made, so the agent's one thread
 * steps into each for a moment, once, when the collector opens. A namespace without a process is not found.
 */
#include "collect/tcp_adopt.h"

#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Containers of a large node; a walk of an empty namespace takes 20 µs. */
enum { MAX_NAMESPACES = 512 };

struct namespaces {
	uint32_t count, cut;
	ino_t each[MAX_NAMESPACES];
};

int tcp_run_walk(int link_fd)
{
	char nothing[64];
	int fd = bpf_iter_create(link_fd);
	ssize_t got;

	if (fd < 0)
		return -errno;
	do
		got = read(fd, nothing, sizeof(nothing));
	while (got > 0 || (got < 0 && errno == EINTR));
	int error = got < 0 ? -errno : 0;
	close(fd);
	return error;
}

static bool is_new(struct namespaces *known, ino_t inode)
{
	for (uint32_t i = 0; i < known->count; i++)
		if (known->each[i] == inode)
			return false;
	if (known->count == MAX_NAMESPACES) {
		known->cut++;
		return false;
	}
	known->each[known->count++] = inode;
	return true;
}

/* A process that ended meanwhile, or whose namespace is closed to us, is passed over. */
static void walk_there(int link_fd, int proc_fd, const char *pid, struct namespaces *known)
{
	char path[32];
	struct stat status;

	(void)snprintf(path, sizeof(path), "%.10s/ns/net", pid);
	if (fstatat(proc_fd, path, &status, 0) || !is_new(known, status.st_ino))
		return;
	int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (!setns(fd, CLONE_NEWNET))
		(void)tcp_run_walk(link_fd); /* what it did not see begins with its next state */
	close(fd);
}

int tcp_adopt(int link_fd, int proc_fd)
{
	struct namespaces known = { 0 };
	const struct dirent *entry;
	int home = openat(proc_fd, "self/ns/net", O_RDONLY | O_CLOEXEC), list = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *processes = list < 0 ? NULL : fdopendir(list);
	int error = 0;

	/* Home first: on the way, our own entry shows the namespace we have just stepped into. */
	if (home >= 0)
		walk_there(link_fd, proc_fd, "self", &known);
	while (home >= 0 && processes && (entry = readdir(processes)))
		if (isdigit((unsigned char)entry->d_name[0]))
			walk_there(link_fd, proc_fd, entry->d_name, &known);
	if (known.count > 1 && setns(home, CLONE_NEWNET))
		error = -errno;
	if (processes)
		closedir(processes);
	else if (list >= 0)
		close(list);
	if (home >= 0)
		close(home);
	return error ? error : (int)known.cut + !known.count;
}
