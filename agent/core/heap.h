/* SPDX-License-Identifier: Apache-2.0 */
/* What glibc's heap is told: keep little while running, keep everything while opening. */
#ifndef NODEMEND_CORE_HEAP_H
#define NODEMEND_CORE_HEAP_H

/* Gives back what is free, and from now on at once. For a process that runs for months and allocates when it opens. */
void heap_keep_small(void);
/*
 * libbpf reads the kernel's 5 MB of types again for each object: with the same pages for each, opening one takes 9 ms instead of
 * 15. Between the two calls large blocks come from the heap, and what is freed stays there until heap_keep_small(). Never around
 * our own large tables, which must be pages that nobody has touched.
 */
void heap_reuse_begin(void);
void heap_reuse_end(void);

#endif
