/* SPDX-License-Identifier: Apache-2.0 */
/* See pages.h. The size stands in a page in front. */
#include "core/pages.h"

#include <sys/mman.h>

void *pages_new(size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total) || __builtin_add_overflow(total, PAGE_STRIDE, &total))
		return NULL;
	void *pages = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return NULL;
	*(size_t *)pages = total;
	return (char *)pages + PAGE_STRIDE;
}

void pages_free(void *pages)
{
	if (!pages)
		return;
	void *head = (char *)pages - PAGE_STRIDE;
	(void)munmap(head, *(size_t *)head); /* fails for nothing that pages_new() returned */
}
