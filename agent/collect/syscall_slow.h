/* SPDX-License-Identifier: Apache-2.0 */
/* Single system calls: those that have not returned yet, and those that took longer than the threshold. */
#ifndef NODEMEND_COLLECT_SYSCALL_SLOW_H
#define NODEMEND_COLLECT_SYSCALL_SLOW_H

#include "snapshot.h"

struct syscall_bpf;
struct syscall_slow;

/* Once the object is loaded. 0 or -errno. */
int syscall_slow_new(struct syscall_bpf *skel, int proc_fd, struct syscall_slow **ret);
void syscall_slow_free(struct syscall_slow *slow); /* NULL is fine */

/* Walks all tasks. Before the records, so that one that ends meanwhile has been seen where it waited. */
int syscall_slow_walk(struct syscall_slow *slow, struct snapshot *snap);
/* Turns the records of the ring into events. */
int syscall_slow_take_records(struct syscall_slow *slow, struct snapshot *snap);

#endif
