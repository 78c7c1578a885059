/* SPDX-License-Identifier: Apache-2.0 */
/* What an output remembers over a restart: one small file, OUTPUT.told, beside the spools. */
#ifndef NODEMEND_PUSH_MEMORY_H
#define NODEMEND_PUSH_MEMORY_H

#include "publish/text.h"

enum { MEMORY_MAX = 1 << 20 };

/* Replaces it as a whole. 0 or -errno. */
int memory_write(int dir_fd, const char *output, const char *data, size_t size);
/* 0; -ENOENT: there is none; -EFBIG, or another -errno. */
int memory_read(int dir_fd, const char *output, struct text *ret);

#endif
