/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <state-dir>/anomaly.state: what the detector of anomalies has learnt, `sha256 <hex> <length>\n` and so many bytes. Written beside and renamed over the
 * old, so that a crash or a full disk keeps the old. Losing it costs some hours of learning and no decision, so it is not preallocated.
 */
#ifndef NODEMEND_KEEP_LEARNT_H
#define NODEMEND_KEEP_LEARNT_H

#include <stddef.h>

#define LEARNT_FILE "anomaly.state"
enum { LEARNT_MOST = 3 << 19 };

/* 0, or -errno and the old one stands. */
int learnt_save(int dir_fd, const void *data, size_t size);
/* 0 with *ret (free it) and *ret_size; -ENOENT; -EBADMSG: it is damaged, `why` says how. */
int learnt_load(int dir_fd, void **ret, size_t *ret_size, char *why, size_t why_size);

#endif
