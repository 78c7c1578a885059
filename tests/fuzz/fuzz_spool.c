/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spool whose only segment (and, from its first byte on, cursor) is anything: opening and draining it ends, what it gives is within its
 * bounds, and what is put behind the damage comes out whole.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "push/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char path[] = "/dev/shm/nodemend-spool-XXXXXX";
static int dir_fd;

static void require(int holds)
{
	if (!holds)
		abort();
}

static void remove_directory(void)
{
	(void)unlinkat(dir_fd, "s/cursor", 0);
	(void)unlinkat(dir_fd, "s", AT_REMOVEDIR);
	rmdir(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	require(mkdtemp(path) != NULL);
	dir_fd = open(path, O_RDONLY | O_DIRECTORY);
	require(dir_fd >= 0);
	struct spool *spool;
	require(spool_open(dir_fd, "s", 1 << 20, &spool) == 0);
	spool_close(spool);
	return atexit(remove_directory);
}

static void put_file(const char *name, const uint8_t *data, size_t size)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char text[] = "put behind it";
	const struct parcel last = { .made_wall_ns = 7, .type = 1, .items = 2, .body = text, .size = sizeof(text) };
	size_t cursor = size && data[0] == 'c' ? (size < 24 ? size : 24) : 0;
	put_file("s/cursor", data, cursor);
	put_file("s/0000000000000001.seg", data + cursor, size - cursor);

	struct spool *spool;
	struct parcel parcel;
	require(spool_open(dir_fd, "s", 1 << 20, &spool) == 0);
	require(spool_append(spool, &last) == 0);
	size_t given = 0;
	bool came = false;
	while (spool_peek(spool, &parcel) == 1) {
		require(parcel.size <= PARCEL_MAX && ++given <= size / 32 + 1);
		came = parcel.size == sizeof(text) && memcmp(parcel.body, text, sizeof(text)) == 0 && parcel.made_wall_ns == 7;
		spool_pop(spool);
	}
	require(came && spool_is_empty(spool) && spool_bytes(spool) == 0);
	spool_close(spool);
	return 0;
}
