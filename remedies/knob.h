/* SPDX-License-Identifier: Apache-2.0 */
/* The knobs that may be on lease: how each kind is read (lease.h) and turned. */
#ifndef NODEMEND_REMEDIES_KNOB_H
#define NODEMEND_REMEDIES_KNOB_H

#include <sys/types.h>

#include "lease.h"

/* All of it, up to `size`: what comes in pieces, or is interrupted, is read on. -errno. */
ssize_t read_whole(int fd, char *ret, size_t size);
/* 0; -ESTALE: the cgroup or process is gone, or another has its name or number; -ETIMEDOUT: it did not stop, and was let go again; -errno. */
int knob_write(const struct knob *knob, const char *value);
/* The directory that a control file is in, if it is still that cgroup's. A descriptor, or -errno as above. */
int knob_directory(const struct knob *knob);

#endif
