/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers out of the kernel's own files, by a directory that is held: a cgroup's, or a root that a test may make. Nothing here allocates. */
#ifndef NODEMEND_REMEDIES_FIGURE_H
#define NODEMEND_REMEDIES_FIGURE_H

#include <stddef.h>
#include <stdint.h>

enum { FIGURE_TEXT_LEN = 16384 }; /* /proc/vmstat, the longest, has 5 KB */

/* All of a file, ended. 0; -errno; -EFBIG: it is longer than `size`. */
int figure_text(int dir_fd, const char *file, char *ret, size_t size);
/* A file that is one number; "max" is UNKNOWN. */
int figure_one(int dir_fd, const char *file, uint64_t *ret);
/* The number behind a name: "name 17", "Name: 17", "Name: 17 kB" (in bytes). -ENOENT: no such line, or no such file. */
int figure_named(int dir_fd, const char *file, const char *name, uint64_t *ret);
/* `total` of the line "some" or "full" of a pressure file, in nanoseconds. */
int figure_stalled(int dir_fd, const char *file, const char *line, uint64_t *ret_ns);

#endif
