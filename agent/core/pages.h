/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large tables as pages of their own: what nobody has touched costs no memory, which a heap that has freed something before cannot
 * promise. And clearing and copying large, mostly empty structs without writing what is the same already: a page of zeros that was only read
 * costs no memory. A configuration of 13 policies is 0.8 MB of which 0.2 are used; the state's tables are 0.6 MB, usually empty.
 */
#ifndef NODEMEND_CORE_PAGES_H
#define NODEMEND_CORE_PAGES_H

#include <stddef.h>
#include <string.h>

enum { PAGE_STRIDE = 4096 };

/* Zeros; NULL without memory or where the product overflows. Given back by pages_free(). */
void *pages_new(size_t count, size_t size);
void pages_free(void *pages); /* NULL is fine */

static inline void pages_copy(void *to, const void *from, size_t size)
{
	for (size_t at = 0; at < size; at += PAGE_STRIDE) {
		size_t part = size - at < PAGE_STRIDE ? size - at : PAGE_STRIDE;
		if (memcmp((char *)to + at, (const char *)from + at, part) != 0)
			memcpy((char *)to + at, (const char *)from + at, part);
	}
}

static inline void pages_clear(void *memory, size_t size)
{
	static const char zeros[PAGE_STRIDE];
	for (size_t at = 0; at < size; at += PAGE_STRIDE)
		pages_copy((char *)memory + at, zeros, size - at < PAGE_STRIDE ? size - at : PAGE_STRIDE);
}

#endif
