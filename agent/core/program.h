/* SPDX-License-Identifier: Apache-2.0 */
/* A program that is not ours and that root is to run: who could have written it, or put another in its place. */
#ifndef NODEMEND_CORE_PROGRAM_H
#define NODEMEND_CORE_PROGRAM_H

/*
 * Opens (O_PATH) the file that `path` leads to: absolute, executable, owned by root, and neither it nor any directory or link on the way to it
 * in the hands of anybody else. 0 and the descriptor, by which it is to be run; -EACCES: not so; other -errno.
 */
int program_open(const char *path, int *ret_fd);

#endif
