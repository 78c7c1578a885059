/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A payload as data: a JSON document (for mails: a text) in which {{field}} stands for a field of message.h. There is no logic in it, and
 * no value can break out of its string.
 */
#ifndef NODEMEND_PUSH_TEMPLATE_H
#define NODEMEND_PUSH_TEMPLATE_H

#include "config.h"
#include "push/message.h"

/* JSON: one document, values escaped for its strings. TEXT: anything on lines, values as they are. */
enum template_form { TEMPLATE_JSON, TEMPLATE_TEXT };

enum { TEMPLATE_MAX_SIZE = 64 << 10, TEMPLATE_MAX_FIELDS = 256 };

/* `length` bytes as they stand, then a field, if any. */
struct template_part { uint32_t start, length; const struct message_field *field; };

struct template {
	enum template_form form;
	char *text;
	uint32_t count;
	struct template_part parts[TEMPLATE_MAX_FIELDS + 1];
};

/* Takes a copy of the text. 0; or -EINVAL (with a fault at its line and column for everything that is wrong), -ENOMEM. */
int template_read(enum template_form form, const char *file, const char *text, size_t size, struct template *ret, struct config_faults *faults);
void template_free(struct template *template);
void template_write(const struct template *template, const struct message *message, struct text *out);

#endif
