/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of system calls as the kernel's programs keep them, made into totals that never fall: by call for the node, and by
 * cgroup and call. Hands out the places that the programs take, and takes back those of cgroups that are gone.
 */
#ifndef NODEMEND_COLLECT_SYSCALL_ROWS_H
#define NODEMEND_COLLECT_SYSCALL_ROWS_H

#include "collect/bpf.h"
#include "snapshot.h"

struct syscall_bpf;

struct syscall_losses { uint64_t starts, errors_unnamed, deep, slow, slow_records; };

struct syscall_rows;
/* Before the object is loaded: sizes the maps. */
int syscall_rows_size(struct syscall_bpf *skel);
/* After it, before anything is attached: fills the pools. */
int syscall_rows_new(struct syscall_bpf *skel, struct syscall_rows **ret);
void syscall_rows_free(struct syscall_rows *rows); /* NULL is fine */

/* Reads the counters. 0 or -errno. */
int syscall_rows_read(struct syscall_rows *rows, struct syscall_losses *ret_losses);
/* The node's calls and the cgroups' rows, both in the order that snapshot.h says. */
void syscall_rows_fill(const struct syscall_rows *rows, struct syscall_section *calls, struct syscall_cgroup_section *cgroups);
/* Gives up the places of cgroups that have ended and are still; what they counted goes on under cgroup 0. */
void syscall_rows_retire(struct syscall_rows *rows, const struct snapshot *snap);
uint32_t syscall_rows_cgroups(const struct syscall_rows *rows); /* that hold a place now */

/* What a number stands for. */
static inline uint16_t syscall_number_nr(uint32_t number) { return number % SYSCALL_NR_MAX; }
uint8_t syscall_class_of(const struct syscall_bpf *skel, uint32_t number); /* enum syscall_class */
static inline uint8_t syscall_number_abi(uint32_t number) { return (uint8_t)(number % SYSCALL_WAITED / SYSCALL_NR_MAX); }

#endif
