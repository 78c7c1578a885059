/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are replaced as a whole: what was learned. What is in them, and whether it is whole, is for whom they belong to. */
#ifndef NODEMEND_KEEP_SHELF_H
#define NODEMEND_KEEP_SHELF_H

#include <stddef.h>
#include <sys/types.h>

/* Under another name, to the disk, then in place. 0 or -errno: the old one stays. */
int shelf_write(int dir_fd, const char *name, const void *data, size_t size);
/* Up to `room`; the size, -ENOENT, -EFBIG: there is more than that; or -errno. */
ssize_t shelf_read(int dir_fd, const char *name, void *data, size_t room);

#endif
