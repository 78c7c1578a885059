/* SPDX-License-Identifier: Apache-2.0 */
/* What is older than the agent: one walk over the TCP sockets of each network namespace that a process is in. */
#ifndef NODEMEND_COLLECT_TCP_ADOPT_H
#define NODEMEND_COLLECT_TCP_ADOPT_H

/* Runs an iterator, which writes no records, to its end. 0 or -errno. */
int tcp_run_walk(int link_fd);
/* The same in each namespace found below `proc_fd`. How many were left out; -errno: the caller is not back in its own. */
int tcp_adopt(int link_fd, int proc_fd);

#endif
