/* SPDX-License-Identifier: Apache-2.0 */
/* See share.h. */
#include "push/share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* clang-format off */
const char *const failure_names[FAILURE_COUNT] = {
	[FAILURE_CONNECT] = "connect",
	[FAILURE_TLS] = "tls",
	[FAILURE_TIMEOUT] = "timeout",
	[FAILURE_STATUS] = "status",
	[FAILURE_PROTOCOL] = "protocol",
	[FAILURE_SECRET] = "secret",
};

const char *const drop_names[DROP_COUNT] = {
	[DROP_REFUSED] = "refused",
	[DROP_AGE] = "age",
	[DROP_QUEUE_FULL] = "queue_full",
	[DROP_SPOOL_FULL] = "spool_full",
	[DROP_SPOOL_CORRUPT] = "spool_corrupt",
	[DROP_TOO_LARGE] = "too_large",
};
/* clang-format on */

int share_create(size_t size, struct share *ret)
{
	struct share share = { .write_fd = memfd_create("nodemend-counters", MFD_ALLOW_SEALING | MFD_CLOEXEC), .read_fd = -1 };
	if (share.write_fd < 0)
		return -errno;

	/* Mode 0600: what can only be read cannot be opened anew for writing by another user. */
	const uint64_t first = size;
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", share.write_fd);
	if (ftruncate(share.write_fd, (off_t)size) < 0 || fchmod(share.write_fd, 0600) < 0 ||
	    pwrite(share.write_fd, &first, sizeof(first), 0) != sizeof(first) ||
	    fcntl(share.write_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail;
	share.read_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (share.read_fd < 0)
		goto fail;
	*ret = share;
	return 0;

fail:;
	int error = -errno;
	share_destroy(&share);
	return error;
}

void share_destroy(struct share *share)
{
	if (share->write_fd >= 0)
		close(share->write_fd);
	if (share->read_fd >= 0)
		close(share->read_fd);
	share->write_fd = share->read_fd = -1;
}

int share_map(int fd, bool writable, size_t size, void **ret)
{
	struct stat status;
	if (fstat(fd, &status) < 0)
		return -errno;
	int seals = fcntl(fd, F_GET_SEALS);
	if (status.st_size != (off_t)size || seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EPROTO;
	void *page = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	if (*(const uint64_t *)page != size) {
		munmap(page, size);
		return -EPROTO;
	}
	*ret = page;
	return 0;
}

void share_unmap(void *page, size_t size)
{
	if (page)
		munmap(page, size);
}
