/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From threads to processes to cgroups: adds up the records of one walk, wherever they come from, compares them with the walk
 * before, and writes the process and cgroup sections. It asks the kernel nothing.
 */
#ifndef NODEMEND_COLLECT_PROCESS_TABLE_H
#define NODEMEND_COLLECT_PROCESS_TABLE_H

#include "snapshot.h"

struct process_table;

/* `told_of_ends`: process_table_take_ended() will be called. NULL: no memory. */
struct process_table *process_table_new(bool told_of_ends);
void process_table_free(struct process_table *table);

/* One walk: begin, take every thread and process in any order, what the ended had used (cumulative, by cgroup), end. */
void process_table_begin(struct process_table *table, uint64_t boot_ns);
void process_table_take_thread(struct process_table *table, const struct thread_record *record);
void process_table_take_process(struct process_table *table, const struct process_record *record);
void process_table_take_ended(struct process_table *table, uint64_t cgroup_id, const struct ended_cost *cost);
void process_table_end(struct process_table *table, struct snapshot *snap, bool full);

/* Cgroups whose row was dropped: what they ended with must not be taken again. Good until the next walk. */
const uint64_t *process_table_forgotten(const struct process_table *table, uint32_t *ret_count);
/* Processes that no row was left for, since the start. */
uint64_t process_table_cut(const struct process_table *table);

#endif
