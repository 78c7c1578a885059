/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process that may be ended: opened by its number, held by a pidfd, and proven to be the one that was measured before it is
 * signalled. The number is never signalled. Nothing here allocates, forks, or reads what a process could make slow to read.
 */
#ifndef NODEMEND_REMEDIES_VICTIM_H
#define NODEMEND_REMEDIES_VICTIM_H

#include "remedy.h"

struct victim {
	int pidfd;
	int32_t pid;
	char comm[COMM_LEN];
	uint64_t start_ns;       /* to a clock tick, as procfs has it */
	uint64_t rss_bytes;
};

/* Holds the process with this number, whoever it is. 0; -ESRCH: there is none. */
int victim_hold(int proc_fd, int32_t pid, struct victim *ret);
/* Holds the process that `cause` was, by start, name and cgroup. 0; -ESRCH: gone. -ESTALE: it is another one now, or it has changed; `why` says what. */
int victim_open(int proc_fd, const struct cause *cause, struct victim *ret, char *why, size_t why_size);
int victim_pidfd(int32_t pid); /* or -errno */
void victim_close(struct victim *victim);
bool victim_lives(const struct victim *victim);             /* not yet ended; a zombie has ended */
bool victim_is_leaving(int proc_fd, const struct victim *victim); /* it lives, and holds no memory any more: it is about to end */
/* 1: some hierarchy has it in the cgroup `path` (or below it where `below`). */
int victim_in_cgroup(int proc_fd, int32_t pid, const char *path, bool below);

int victim_signal(const struct victim *victim, int signal); /* 0 or -errno */
/* SIGKILL, and its memory taken back where the kernel can (5.15): one that sleeps in the kernel frees nothing by itself. */
int victim_kill(const struct victim *victim);
int victim_wait(const struct victim *victim, uint64_t until_boot_ns); /* 1 ended, 0 did not, -errno */

#endif
