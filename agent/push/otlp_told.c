/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_told.h. The file is the rows behind their hash, so damage is seen; it is this host's own, in its own byte order. */
#include "push/otlp_told.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MODE = 0600 };

struct image {
	uint8_t hash[SHA256_DIGEST_SIZE];
	struct otlp_told_row rows[OTLP_TOLD_MAX];
};

static void hash_of(const void *data, size_t size, uint8_t *ret, size_t ret_size)
{
	struct sha256_ctx hash;

	sha256_init(&hash);
	sha256_update(&hash, size, data);
	sha256_digest(&hash, ret_size, ret);
}

struct otlp_told_row *otlp_told_of(struct otlp_told *told, const char *id)
{
	struct otlp_told_row *oldest = &told->rows[0];
	uint64_t key;

	hash_of(id, strlen(id), (uint8_t *)&key, sizeof(key));
	told->turn++;
	for (uint32_t i = 0; i < OTLP_TOLD_MAX; i++) {
		struct otlp_told_row *row = &told->rows[i];

		if (row->key == key) {
			row->used = told->turn;
			return row;
		}
		if (row->used < oldest->used)
			oldest = row;
	}
	*oldest = (struct otlp_told_row){ .key = key, .used = told->turn };
	return oldest;
}

int otlp_told_load(int dir_fd, const char *name, struct otlp_told *ret)
{
	uint8_t hash[SHA256_DIGEST_SIZE];
	struct image image;

	memset(ret, 0, sizeof(*ret));
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t size = read(fd, &image, sizeof(image));
	close(fd);
	if (size != sizeof(image))
		return -EBADMSG;
	hash_of(image.rows, sizeof(image.rows), hash, sizeof(hash));
	if (memcmp(hash, image.hash, sizeof(hash)) != 0)
		return -EBADMSG;
	memcpy(ret->rows, image.rows, sizeof(ret->rows));
	for (uint32_t i = 0; i < OTLP_TOLD_MAX; i++)
		ret->turn = ret->rows[i].used > ret->turn ? ret->rows[i].used : ret->turn;
	return 0;
}

/* In place: a file that was torn by a crash is seen to be, and all that is lost by it is that some is told twice. */
int otlp_told_save(int dir_fd, const char *name, struct otlp_told *told)
{
	struct image image;

	memcpy(image.rows, told->rows, sizeof(image.rows));
	hash_of(image.rows, sizeof(image.rows), image.hash, sizeof(image.hash));
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (fd < 0)
		return -errno;
	ssize_t size = write(fd, &image, sizeof(image));
	int error = size < 0 ? -errno : size != sizeof(image) ? -ENOSPC : 0;
	close(fd);
	told->changed &= error < 0;
	return error;
}
