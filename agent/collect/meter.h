/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What our BPF programs cost the node. The kernel times each run only while somebody holds a BPF_ENABLE_STATS descriptor, and the
 * timing itself costs more than many of our programs; so it is held for a short window now and then, and the rest is estimated
 * from it. Never the sysctl: that would stay on after a kill -9, for everybody's programs.
 */
#ifndef NODEMEND_COLLECT_METER_H
#define NODEMEND_COLLECT_METER_H

#include <stdbool.h>

#include "snapshot.h"

struct meter;

/* Times an empty run, whose cost is taken off every run. 0 or -errno: a kernel before 5.8, or one that forbids it. */
int meter_new(struct meter **ret);
void meter_free(struct meter *meter); /* NULL is fine; closes an open window */
uint64_t meter_empty_run_ns(const struct meter *meter);

/* Times are of clock_awake_ns(). 0 or -errno, and then no window is open. */
int meter_begin(struct meter *meter, uint64_t now_ns);
bool meter_is_counting(const struct meter *meter);
/*
 * Ends the window: rates of each program in the section, and their sum by collector in `rates` (COST_ROWS of them; those of the
 * agent's own at `ret_own`). Programs that run on our own behalf, iterators, have a row but are in no sum: their time is in the
 * agent's. The totals grow by what the window says for all the time since the last one.
 */
int meter_end(struct meter *meter, uint64_t now_ns, struct program_section *section, uint64_t *rates, uint64_t *ret_own);

#endif
