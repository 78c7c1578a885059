/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's own alarm for pressure: a descriptor that becomes readable as EPOLLPRI while tasks wait too long for a resource. */
#ifndef NODEMEND_GOVERN_PRESSURE_H
#define NODEMEND_GOVERN_PRESSURE_H

#include "snapshot.h"

/* Some tasks waited for this share of the time: what the triggers ask for, and what stands for one where they are refused. */
enum { PRESSURE_PERMILLE = 75 };

/* Ladder: 1 s windows, as soon as can be; 2 s, all that the kernel allows without CAP_SYS_RESOURCE (v6.4, d82caa273565). The
 * descriptor, or -errno: no PSI, or no triggers for us. */
int pressure_open(int proc_fd, enum psi_resource resource);
/* One trigger for a policy, on any pressure file: `permille` of the window stalled. The descriptor, or -errno. */
int pressure_trigger(int dir_fd, const char *file, bool full, uint32_t permille, uint32_t window_s);

#endif
