/* SPDX-License-Identifier: Apache-2.0 */
/* The plain file work that journal and state share: open without following anything, write whole, digest, set aside. */
#ifndef NODEMEND_KEEP_FILES_H
#define NODEMEND_KEEP_FILES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { DIGEST_LEN = 65, MAX_ASIDE = 8 };

/* A regular file below dir_fd, never through a symbolic link; made 0640 where O_CREAT says so. The fd or -errno; -EINVAL: not a regular file. */
int file_open(int dir_fd, const char *name, int flags);
/* All of it at `offset`. 0 or -errno. */
int file_write(int fd, const void *data, size_t size, off_t offset);
/* Up to `size`; bytes read or -errno. */
ssize_t file_read(int fd, void *data, size_t size, off_t offset);
/* Renames to <name>.corrupt-<time>, never over another; of more than MAX_ASIDE such the oldest goes. 0 or -errno. */
int file_set_aside(int dir_fd, const char *name, int64_t wall_ns, char *ret_name, size_t size);
/* How many <name>.corrupt-* there are. */
uint32_t files_aside(int dir_fd, const char *name);
/* SHA-256 as lower-case hex. */
void digest_of(const void *data, size_t size, char ret[DIGEST_LEN]);

#endif
