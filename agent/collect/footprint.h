/* SPDX-License-Identifier: Apache-2.0 */
/* What processes that share most of their memory, as ours do, hold together: each page once. */
#ifndef NODEMEND_COLLECT_FOOTPRINT_H
#define NODEMEND_COLLECT_FOOTPRINT_H

#include <stddef.h>
#include <stdint.h>

/*
 * The process' proportional share (Pss) by /proc/PID/smaps_rollup (v4.14): summed over all that share a page it is that page. 0, or -errno where the
 * process is gone or not to be looked at. The kernel walks the process' page tables for it: 60 us for the agent, so it is not for each tick.
 */
int footprint_read(int proc_fd, int pid, uint64_t *ret_bytes);
int footprint_parse(const char *text, size_t size, uint64_t *ret_bytes);

#endif
