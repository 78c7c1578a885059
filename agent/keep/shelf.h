/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are replaced as a whole: what was learned. `sha256 <hex> <length>` in a head of 96 bytes, then so many bytes. Written beside and renamed
 * over the old one, so that a crash or a full disk keeps the old. Losing one costs some hours of learning and no decision, so it is not preallocated.
 */
#ifndef NODEMEND_KEEP_SHELF_H
#define NODEMEND_KEEP_SHELF_H

#include <stddef.h>
#include <sys/types.h>

/* Under another name, to the disk, then in place. 0 or -errno: the old one stays. */
int shelf_write(int dir_fd, const char *name, const void *data, size_t size);
/* Up to `room`; the size, -ENOENT, -EFBIG: there is more than that; -EBADMSG: its checksum or its length is wrong; or -errno. */
ssize_t shelf_read(int dir_fd, const char *name, void *data, size_t room);

#endif
