/* SPDX-License-Identifier: Apache-2.0 */
/* Between the parts of mask.h: a text with one mark a byte, and the finders that set them. */
#ifndef NODEMEND_CORE_MASK_FIND_H
#define NODEMEND_CORE_MASK_FIND_H

#include "mask.h"

struct marked {
	const char *text;     /* not closed at `length` where it was cut */
	size_t length;
	unsigned char hidden[MASK_TEXT_MAX];
};

void mark_hidden(struct marked *marked, size_t from, size_t to);
/* The word at `from`: up to a blank, or what its quotes hold. Returns where it ends as a whole. */
size_t find_word(const struct marked *marked, size_t from, size_t *ret_start, size_t *ret_end);
size_t word_end(const struct marked *marked, size_t from);

/* How sure a name makes it that its value is secret: weak ones ("key", "pass") only count before = or as an option. */
enum secrecy { NOT_SECRET, WEAK_SECRET, SECRET };
enum secrecy name_secrecy(const char *name, size_t length);
/* Names the user calls secret. */
bool is_user_key(const char *name, size_t length);

void find_values(struct marked *marked);    /* name=value, "name": "value", Name: value */
void find_options(struct marked *marked);   /* --name value, and what single tools call theirs */
void find_shapes(struct marked *marked);    /* user:password@, tokens with a known beginning, private keys */

#endif
