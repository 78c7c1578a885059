/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a call is counted: the place of (cgroup, call) among this CPU's counters. Dense tables lead to it, so the usual case is five loads
 * and no hash (all that costs 2 ns more than one fixed row); places are handed out here on first use, and come back through the agent.
 */
#ifndef NODEMEND_SYSCALL_ROWS_BPF_H
#define NODEMEND_SYSCALL_ROWS_BPF_H

#include "core.bpf.h"

#define unlikely(condition) __builtin_expect(!!(condition), 0)

/*
 * One element a CPU rather than a per-CPU array: it is found once a call, by an inlined lookup, and holds rows and histograms alike.
 * Sized to the possible CPUs by the agent: 256 KB each.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct syscall_counters);
} counters SEC(".maps");

/* index -> the rows by id; 0 none yet. Index 0 has rows 0 … SYSCALL_IDS - 1 from the start. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SYSCALL_CGROUPS);
	__type(key, __u32);
	__type(value, __u32[SYSCALL_IDS]);
} cgroup_rows SEC(".maps");

/* kernfs id -> index; ids are never used again. The agent deletes those of cgroups that are gone. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SYSCALL_CGROUPS);
	__type(key, __u64);
	__type(value, __u32);
} cgroup_indexes SEC(".maps");
counts_refused(cgroup_indexes);

/* errno by call. Per CPU: EAGAIN can be as frequent as calls are. Preallocated, 16 KB and 8 KB a CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct syscall_error_key);
	__type(value, __u64);
} errors SEC(".maps");
counts_refused(errors);

__u32 ids[SYSCALL_NUMBERS];                       /* number -> id; 0 none yet */
__u32 numbers[SYSCALL_IDS];                       /* and back */
__u64 ids_taken;                                  /* beside id 0, which is SYSCALL_NUMBER_OTHER */
__u64 owners[SYSCALL_CGROUPS];                    /* index -> kernfs id; 0 free. Index 0 is all that have none */
__u32 row_owners[SYSCALL_ROWS];                   /* row -> index << 8 | id */
struct syscall_tickets free_rows, free_cgroups;
__u16 free_row_each[SYSCALL_ROWS];
__u16 free_cgroup_each[SYSCALL_CGROUPS];

/*
 * The tracepoints of system calls run BPF with preemption off on every kernel (6.13 made them faultable and kept it so for BPF), a system call
 * is not made from an interrupt, and each processor has its own counters: a plain addition loses nothing and saves 5 ns of a locked one.
 */
#define count(counter, by) ((void)((counter) += (by)))

/* The next place, or `none` when the agent has to bring some back first. Eight tries: as many CPUs at once on first use is rare. */
#define TAKE(tickets, each, size, none)                                                                      \
	({                                                                                                   \
		__u32 place_ = (none);                                                                       \
		for (int try_ = 0; try_ < 8; try_++) {                                                       \
			__u64 ticket_ = *(volatile __u64 *)&(tickets).taken;                                 \
			if (ticket_ >= *(volatile __u64 *)&(tickets).given)                                  \
				break;                                                                       \
			if (__sync_val_compare_and_swap(&(tickets).taken, ticket_, ticket_ + 1) != ticket_)  \
				continue;                                                                    \
			place_ = (each)[ticket_ & ((size) - 1)];                                             \
			break;                                                                               \
		}                                                                                            \
		place_;                                                                                      \
	})

/*
 * What is rare is in global functions, which the verifier looks at once and for itself: inlined or static, the ways through them multiply
 * each other's, and on_sys_exit took 18 800 instructions of looking. Such functions take numbers only, on all our kernels.
 */

/* Whoever comes second while the first is at it counts this one call under "other". */
__noinline __u32 new_id(__u32 number)
{
	number &= SYSCALL_NUMBERS - 1;
	if (number == SYSCALL_NUMBER_OTHER || *(volatile __u64 *)&ids_taken >= SYSCALL_IDS - 1)
		return 0;
	if (__sync_val_compare_and_swap(&ids[number], 0, SYSCALL_CLAIMED))
		return 0;
	__u64 id = __sync_fetch_and_add(&ids_taken, 1) + 1;
	if (id >= SYSCALL_IDS)
		return 0;
	numbers[id & (SYSCALL_IDS - 1)] = number;
	*(volatile __u32 *)&ids[number] = id;
	return id;
}

static __always_inline __u32 id_of(__u32 number)
{
	__u32 id = ids[number & (SYSCALL_NUMBERS - 1)];

	return unlikely(id - 1 >= SYSCALL_IDS - 1) ? new_id(number) : id;
}

__noinline __u32 new_row(__u32 cgroup, __u32 id)
{
	__u32 *rows = bpf_map_lookup_elem(&cgroup_rows, &cgroup);

	id &= SYSCALL_IDS - 1;
	if (!rows || !cgroup || *(volatile __u64 *)&free_rows.taken >= *(volatile __u64 *)&free_rows.given)
		return id;
	if (__sync_val_compare_and_swap(&rows[id], 0, SYSCALL_CLAIMED))
		return id;
	__u32 row = TAKE(free_rows, free_row_each, SYSCALL_ROWS, 0) & (SYSCALL_ROWS - 1);
	if (row)
		row_owners[row] = cgroup << 8 | id;
	*(volatile __u32 *)&rows[id] = row;
	return row ? row : id;
}

__noinline __u32 find_cgroup(__u64 cgroup_id)
{
	__u32 *known = bpf_map_lookup_elem(&cgroup_indexes, &cgroup_id);

	if (known)
		return *known;
	__u32 claim = 0;
	if (*(volatile __u64 *)&free_cgroups.taken >= *(volatile __u64 *)&free_cgroups.given) {
		refuse(cgroup_indexes);
		return 0;
	}
	if (bpf_map_update_elem(&cgroup_indexes, &cgroup_id, &claim, BPF_NOEXIST))
		return 0;
	__u32 index = TAKE(free_cgroups, free_cgroup_each, SYSCALL_CGROUPS, 0) & (SYSCALL_CGROUPS - 1);
	if (!index) {
		bpf_map_delete_elem(&cgroup_indexes, &cgroup_id);
		return 0;
	}
	*(volatile __u64 *)&owners[index] = cgroup_id;
	bpf_map_update_elem(&cgroup_indexes, &cgroup_id, &index, BPF_EXIST);
	return index;
}

/* An index is good while it belongs to the task's cgroup, so one that was given to another meanwhile is noticed by itself. */
static __always_inline __u32 cgroup_index(struct syscall_counters *mine, __u64 cgroup_id)
{
	__u32 index = mine->cgroup & (SYSCALL_CGROUPS - 1);

	if (unlikely(owners[index] != cgroup_id)) {
		index = find_cgroup(cgroup_id) & (SYSCALL_CGROUPS - 1);
		mine->cgroup = index;
	}
	return index;
}

static __always_inline __u32 row_of(struct syscall_counters *mine, __u32 id, __u64 cgroup_id)
{
	__u32 index = cgroup_index(mine, cgroup_id), *rows = bpf_map_lookup_elem(&cgroup_rows, &index);
	__u32 row = rows ? rows[id & (SYSCALL_IDS - 1)] : 0;

	if (unlikely(row - 1 >= SYSCALL_ROWS - 1))
		row = new_row(index, id);
	return row & (SYSCALL_ROWS - 1);
}

static __always_inline struct syscall_counters *my_counters(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&counters, &cpu);
}

/* 0: has no room; the rest of the row's errors is then the sum of those without a name. */
__noinline __u32 count_errno(__u32 number, __u32 error)
{
	struct syscall_error_key key = { .number = number & (SYSCALL_WAITED - 1), .error = error >= 512 && error <= 516 ? SYSCALL_ERRNO_RESTART : error };
	__u64 none = 0, *counter = bpf_map_lookup_elem(&errors, &key);

	if (!counter) {
		bpf_map_update_elem(&errors, &key, &none, BPF_NOEXIST);
		counter = bpf_map_lookup_elem(&errors, &key);
	}
	if (counter)
		count(*counter, 1);
	else
		refuse(errors);
	return counter != NULL;
}

#endif
