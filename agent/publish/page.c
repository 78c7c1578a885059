/* SPDX-License-Identifier: Apache-2.0 */
/* See page.h. */
#include "publish/page.h"

#include <stdlib.h>
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16, /* 32 KiB, and zlib's sign for gzip's own head and tail */ DEFLATE_MEMORY = 8 };

struct page *page_take(struct pages *account, struct text *text)
{
	struct page *page = text->failed ? NULL : calloc(1, sizeof(*page));
	if (!page)
		return NULL;

	char *exact = text->length ? realloc(text->data, text->length) : NULL;
	*page = (struct page){ .account = account, .owners = 1, .number = ++account->made, .data = exact ? exact : text->data, .length = text->length };
	*text = (struct text){ 0 };
	account->bytes += page->length;
	return page;
}

struct page *page_keep(struct page *page)
{
	page->owners++;
	return page;
}

void page_release(struct page *page)
{
	if (!page || --page->owners)
		return;
	page->account->bytes -= page->length + page->packed_length;
	free(page->packed);
	free(page->data);
	free(page);
}

/* The fastest level: an exposition shrinks to a tenth with it, and each further level costs more time than it saves bytes. */
static char *deflate_all(const char *data, size_t length, size_t *ret_length)
{
	z_stream stream = { 0 };
	if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, DEFLATE_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;

	/* What does not shrink is sent as it is: no more room than that is needed. */
	char *packed = malloc(length);
	stream.next_in = (Bytef *)(uintptr_t)data;
	stream.avail_in = (uInt)length;
	stream.next_out = (Bytef *)packed;
	stream.avail_out = (uInt)length;
	bool whole = packed && deflate(&stream, Z_FINISH) == Z_STREAM_END;
	*ret_length = stream.total_out;
	deflateEnd(&stream);
	if (!whole) {
		free(packed);
		return NULL;
	}
	char *exact = realloc(packed, *ret_length);
	if (exact)
		packed = exact;
	return packed;
}

bool page_pack(struct page *page)
{
	if (page->packed || page->unpackable || page->length < PAGE_PACK_MIN)
		return page->packed;
	page->packed = deflate_all(page->data, page->length, &page->packed_length);
	if (!page->packed)
		page->packed_length = 0;
	page->unpackable = !page->packed;
	page->account->bytes += page->packed_length;
	return page->packed;
}
