/* SPDX-License-Identifier: Apache-2.0 */
/* Ends of processes that some crash condition asks for: the newest, each with whose it was. For the task collector, which sees all ends. */
#ifndef NODEMEND_COLLECT_CRASH_H
#define NODEMEND_COLLECT_CRASH_H

#include "collector.h"

struct crash_filter;
/* Of the conditions of a configuration, which must stay; NULL without memory, or where no condition asks: then nothing is kept. */
struct crash_filter *crash_filter_new(const struct config *config);
/* Whether both ask for the same; NULL asks for nothing. */
bool crash_filter_same(const struct crash_filter *one, const struct crash_filter *other);
void crash_filter_free(struct crash_filter *filter);
/* The signals and exit codes that some condition asks for, bit n for n: ends that are worth a wake-up. NULL: none. */
void crash_filter_wants(const struct crash_filter *filter, uint64_t *ret_signals, uint64_t ret_codes[4]);

/* One end, kept if a condition may mean it. */
void crash_add(const struct crash_filter *filter, struct snapshot *snap, const struct task_event *end);
/* Says whose it was: by the cgroup's row as the cgroup collector has named it. */
void crash_name(struct crash *crash, const struct cgroup *cgroup);

#endif
