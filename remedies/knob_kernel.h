/* SPDX-License-Identifier: Apache-2.0 */
/* Knobs of the kernel itself, as the book of leases reads and writes them: a sysctl, and whether an interface is up. */
#ifndef NODEMEND_REMEDIES_KNOB_KERNEL_H
#define NODEMEND_REMEDIES_KNOB_KERNEL_H

#include "lease.h"

/* Each: 0 or -errno; -ESTALE: it is not there any more. */
int knob_sysctl_read(const struct knob *knob, char *ret, size_t size);
int knob_sysctl_write(const struct knob *knob, const char *value);
int knob_link_read(const struct knob *knob, char *ret, size_t size);
int knob_link_write(const struct knob *knob, const char *value);

#endif
