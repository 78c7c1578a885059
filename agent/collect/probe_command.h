/* SPDX-License-Identifier: Apache-2.0 */
/* Running a probe's command as root without trusting it: who may have written it, what it inherits, and how it ends. */
#ifndef NODEMEND_COLLECT_PROBE_COMMAND_H
#define NODEMEND_COLLECT_PROBE_COMMAND_H

#include "policy.h"

#include <sys/types.h>

/*
 * Absolute, executable, owned by root, and neither the file nor any directory or link on the way to it in the hands of anybody
 * else. 0; -EACCES: not so; other -errno.
 */
int probe_command_check(const char *path);
/* Checks and starts it, in a session of its own and with nothing of ours but /dev/null. 0, *ret_pid and a pidfd; or -errno. */
int command_start(const struct probe *what, pid_t *ret_pid, int *ret_pidfd);
void command_kill(pid_t pid);   /* with its process group; not yet reaped */
/* For one that ended: its wait status, or -1. What is left of its process group ends, too. */
int command_reap(pid_t pid);
/* Kills and reaps all children of this process (a subreaper) but `ours`. */
void command_reap_strays(const pid_t *ours, uint32_t count);

#endif
