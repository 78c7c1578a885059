/* SPDX-License-Identifier: Apache-2.0 */
/* See heap.h. */
#include "core/heap.h"

#include <malloc.h>

enum { MAPPED = 128 << 10, NEVER_MAPPED = 32 << 20, NEVER_TRIMMED = 256 << 20 };

void heap_keep_small(void)
{
	/* By its own judgement glibc would keep more than a megabyte for ever. */
	mallopt(M_MMAP_THRESHOLD, MAPPED);
	mallopt(M_TRIM_THRESHOLD, 64 << 10);
	mallopt(M_TOP_PAD, 4 << 10);
	malloc_trim(0);
}

void heap_reuse_begin(void)
{
	mallopt(M_MMAP_THRESHOLD, NEVER_MAPPED);
	mallopt(M_TRIM_THRESHOLD, NEVER_TRIMMED);
}

void heap_reuse_end(void)
{
	mallopt(M_MMAP_THRESHOLD, MAPPED);
}
