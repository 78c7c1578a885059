/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the package manager has done: dpkg's own log line by line, of others that their database is another one. What is not in the page
 * cache is not read: the agent does not wait for a disk, least of all while one is in trouble.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "collect/change.h"

enum { PIECE = 4096, PIECES_A_LOOK = 16, EVERY = 5 };

static const struct {
	const char *path, *words;
	bool lines;              /* dpkg.log: is read */
} sources[] = {
	{ "var/log/dpkg.log", "dpkg has changed packages", true },
	{ "var/lib/rpm/rpmdb.sqlite", "rpm has changed packages", false },
	{ "var/lib/rpm/Packages", "rpm has changed packages", false },
	{ "lib/apk/db/installed", "apk has changed packages", false },
	{ "var/lib/pacman/local", "pacman has changed packages", false },
};
enum { SOURCES = sizeof(sources) / sizeof(sources[0]) };

struct change_package {
	int root_fd;
	uint32_t turns;
	struct { bool seen; int64_t changed_ns; uint64_t size, read; } was[SOURCES]; /* read: up to there, of what is read */
};

struct change_package *change_package_new(const char *root)
{
	struct change_package *package = calloc(1, sizeof(*package));
	if (package)
		package->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return package;
}

void change_package_free(struct change_package *package)
{
	if (!package)
		return;
	if (package->root_fd >= 0)
		close(package->root_fd);
	free(package);
}

bool change_package_parse(const char *line, char *ret, size_t size)
{
	char verb[16], name[64], old[48], new[48];
	if (sscanf(line, "%*[0-9-] %*[0-9:] %15s %63s %47s %47s", verb, name, old, new) != 4)
		return false;
	if (strcmp(verb, "upgrade") == 0)
		snprintf(ret, size, "%s was upgraded from %s to %s", name, old, new);
	else if (strcmp(verb, "install") == 0)
		snprintf(ret, size, "%s %s was installed", name, new);
	else if (strcmp(verb, "remove") == 0 || strcmp(verb, "purge") == 0)
		snprintf(ret, size, "%s %s was removed", name, old);
	else
		return false;
	return true;
}

/* The whole lines from there on, as far as they fit; returns their bytes. 0: none can be had without waiting. */
static size_t read_piece(int fd, uint64_t from, struct change_sink *sink)
{
	char buffer[PIECE + 1], text[CHANGE_TEXT_LEN], *rest = NULL;
	struct iovec into = { buffer, PIECE };
	ssize_t length = preadv2(fd, &into, 1, (off_t)from, RWF_NOWAIT);
	if (length < 0 && errno == EOPNOTSUPP)
		length = preadv2(fd, &into, 1, (off_t)from, 0); /* tmpfs and such, which have no disk to wait for */
	if (length <= 0)
		return 0;
	char *last = memrchr(buffer, '\n', (size_t)length);
	if (!last)
		return length == PIECE ? PIECE : 0; /* no line of dpkg's is so long; half of one is read when it is whole */
	*last = '\0';
	for (char *line = strtok_r(buffer, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (change_package_parse(line, text, sizeof(text))) /* half of its lines are of triggers and configuring: they say nothing new */
			change_add(sink, CHANGE_PACKAGE, 0, "%s", text);
	return (size_t)(last + 1 - buffer);
}

/* Returns up to where was read: what is more waits for the next look. */
static uint64_t read_lines(const struct change_package *package, const char *path, uint64_t from, struct change_sink *sink)
{
	size_t got = 1;
	int fd = openat(package->root_fd, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return from;
	for (int i = 0; i < PIECES_A_LOOK && got; i++) {
		got = read_piece(fd, from, sink);
		from += got;
	}
	close(fd);
	return from;
}

static void look(struct change_package *package, uint32_t at, struct change_sink *sink)
{
	struct statx status;
	if (statx(package->root_fd, sources[at].path, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, STATX_SIZE | STATX_MTIME, &status) < 0)
		return;
	int64_t changed = status.stx_mtime.tv_sec * (int64_t)NSEC_PER_SEC + status.stx_mtime.tv_nsec;
	bool seen = package->was[at].seen, same = package->was[at].changed_ns == changed;
	if (!seen)
		package->was[at].read = status.stx_size;
	else if (status.stx_size < package->was[at].size)
		package->was[at].read = 0; /* rotated: from its beginning */
	package->was[at].seen = true;
	package->was[at].changed_ns = changed;
	package->was[at].size = status.stx_size;
	if (sources[at].lines && status.stx_size > package->was[at].read)
		package->was[at].read = read_lines(package, sources[at].path, package->was[at].read, sink);
	else if (!sources[at].lines && seen && !same)
		change_add(sink, CHANGE_PACKAGE, 0, "%s", sources[at].words);
}

void change_package_look(struct change_package *package, struct change_sink *sink)
{
	if (package->root_fd < 0 || package->turns++ % EVERY)
		return;
	for (uint32_t i = 0; i < SOURCES; i++)
		look(package, i, sink);
}
