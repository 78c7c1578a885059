/* SPDX-License-Identifier: Apache-2.0 */
/* The only place that asks the kernel for the time: boot time for everything that counts, wall time for people,
 * and what has run for what is a rate. */
#ifndef NODEMEND_CORE_CLOCK_H
#define NODEMEND_CORE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_boot_ns(void); /* CLOCK_BOOTTIME */
int64_t clock_wall_ns(void);  /* CLOCK_REALTIME */
/* CLOCK_MONOTONIC. For what is to be divided by time, since it stands still while the host is suspended, as the work does; and to compare
 * with stamps that the kernel made by it. */
uint64_t clock_awake_ns(void);
uint64_t clock_thread_ns(void); /* processor time of the calling thread */
/* "2026-11-23T10:00:00.000Z"; `size` at least 25. Returns `buffer`. */
char *clock_format(int64_t wall_ns, char *buffer, size_t size);
int clock_parse(const char *text, int64_t *ret_wall_ns); /* the reverse; 0 or -EINVAL */

#endif
