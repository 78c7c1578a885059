/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the calling process behind the wall for good. What holds afterwards:
 *   - another user without groups or capabilities, and no way back (no_new_privs); files of root are closed to it;
 *   - no new program, no ptrace, no BPF, no mount, no namespace, no signal to others: the process is killed for trying;
 *   - no outgoing connection and no socket but TCP over IP to listen on; no executable memory; all else is EPERM;
 *   - it dies with its parent;
 *   - where the kernel has Landlock: no file is opened, made or removed but in the feed's folder. Without it the file
 *     permissions of the user are the only bound, since seccomp cannot look at a path.
 */
#ifndef NODEMEND_PUBLISH_SANDBOX_H
#define NODEMEND_PUBLISH_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

struct sandbox_report {
	bool user_changed, landlock, seccomp;
	char user[64];
};

/* Call with every descriptor open that will be needed. `feed_dir_fd` -1: no folder to write to. 0, or -errno when a wall that this process
 * could have put up does not stand: then it must not serve. A process that is not root keeps its user, and *ret says so. */
int sandbox_enter(const char *user, int feed_dir_fd, struct sandbox_report *ret);

/* The walls one by one, for another process that wants others: its user, no capabilities, no new ones, no core dump; dies by `death_signal` with
 * its parent. `owned_fd` is given to that user; -1: none. */
int sandbox_become(const char *user, int owned_fd, int death_signal, struct sandbox_report *ret);

/* A system call that is in neither list nor allowed by `narrow` (a scmp_filter_ctx; 0 or -errno) gets EPERM; one of `deadly`, or of those that
 * only somebody else's code would ask for, ends the process. */
struct sandbox_filter {
	const int *allowed, *deadly;
	size_t allowed_count, deadly_count;
	int (*narrow)(void *filter);
};
int sandbox_filter_calls(const struct sandbox_filter *filter);

/* Closes every descriptor from 3 on that is not among `keep`. */
void sandbox_close_others(const int *keep, int count);

#endif
