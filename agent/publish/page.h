/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that many readers are sent at once: made once, packed with gzip at most once, and gone with the last who holds them.
 * The owner of the account knows at any time how many bytes all of them take.
 */
#ifndef NODEMEND_PUBLISH_PAGE_H
#define NODEMEND_PUBLISH_PAGE_H

#include "publish/text.h"

/* Below it gzip's head and a round of deflate cost more than they save. */
enum { PAGE_PACK_MIN = 1024 };

struct pages {
	size_t bytes;      /* of all that are alive */
	uint64_t made;     /* so far */
};

struct page {
	struct pages *account;
	uint32_t owners;
	bool outdated;     /* whoever asks now gets a newer one */
	bool unpackable;   /* gzip was tried and did not work out */
	uint64_t number;   /* in the order of making */
	char *data, *packed;
	size_t length, packed_length;
};

/* Takes the text's bytes, which is empty afterwards. One owner: the caller. NULL: it had failed, or there is no memory. */
struct page *page_take(struct pages *account, struct text *text);
struct page *page_keep(struct page *page);     /* one owner more; returns it */
void page_release(struct page *page);          /* NULL is fine */
/* Makes page->packed where it is worth it; false: there is none. */
bool page_pack(struct page *page);

#endif
