/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the sender behind its wall for good. What holds afterwards:
 *   - the publisher's user without groups or capabilities, and no way back; it ends by SIGTERM with its parent, to save what waits;
 *   - no new program, no ptrace, no BPF, no mount, no namespace, no signal to others: the process is killed for trying;
 *   - sockets only over IP, TCP and UDP (names are asked for), nothing that listens; no executable memory; threads, but no processes;
 *   - where the kernel has Landlock: files are read below /etc and where resolvers keep resolv.conf, and written in the spool's folder.
 */
#ifndef NODEMEND_PUSH_WALL_H
#define NODEMEND_PUSH_WALL_H

#include "publish/sandbox.h"

/* 0; or -errno when a wall does not stand: then nothing may be sent. `spool_fd` -1: none. */
int wall_enter(const char *user, int spool_fd, struct sandbox_report *ret);

#endif
