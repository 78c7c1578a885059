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

/* One walk: begin, what the ended had used (cumulative, by cgroup), every thread and process in any order, end. */
void process_table_begin(struct process_table *table, uint64_t boot_ns, uint64_t interval_ns);
void process_table_take_thread(struct process_table *table, const struct thread_record *record);
void process_table_take_process(struct process_table *table, const struct process_record *record);
/* One that is as it was at the walk before, but for what the record says. */
void process_table_take_still(struct process_table *table, const struct still_record *record);
void process_table_take_ended(struct process_table *table, uint64_t cgroup_id, const struct cgroup_lives *lives);
void process_table_end(struct process_table *table, struct snapshot *snap, bool full);

/*
 * Cgroups whose row was dropped: what they ended with must not be taken again. The caller deletes the index'th in the kernel and
 * hands on what stood there at last. Good until the next walk.
 */
uint32_t process_table_forgotten(const struct process_table *table);
uint64_t process_table_forgotten_id(const struct process_table *table, uint32_t index);
void process_table_take_last(struct process_table *table, uint32_t index, const struct cgroup_lives *last);
/* Processes that no row was left for, since the start. */
uint64_t process_table_cut(const struct process_table *table);

#endif
