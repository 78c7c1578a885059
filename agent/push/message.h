/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message to people: some incidents that are told together, those that are news first. The router makes it; webhooks and mail
 * give it its form. The fields that a template may name are one table, from which `check` and docs/ are made, too.
 */
#ifndef NODEMEND_PUSH_MESSAGE_H
#define NODEMEND_PUSH_MESSAGE_H

#include <stdio.h>

#include "push/notice.h"

enum { MESSAGE_MAX = 20 }; /* more is not read by anybody; the rest is a number */

enum message_reason { REASON_NEW, REASON_CHANGED, REASON_REPEAT, REASON_COUNT };
extern const char *const message_reason_names[REASON_COUNT];

struct message_item {
	const struct notice *notice;
	bool news;                 /* false: told before, and still so */
	bool told_before;
};

struct message {
	enum message_reason reason;
	bool firing;               /* something in it is not resolved */
	char thread[ID_LEN];       /* what keeps a group's messages together: the first incident's id */
	uint32_t sequence;         /* of the thread: 0 is its first */
	int64_t wall_ns;
	uint32_t count, cut;       /* cut: of those still firing, not listed */
	struct message_item items[MESSAGE_MAX]; /* at least one */
};

/* "[critical] n1: disk exhaustion of /data, and 2 more" */
void message_title(const struct message *message, struct text *out);
/* Every incident's title, a line each. */
void message_list(const struct message *message, struct text *out);
/* The description of each, with a blank line between: the body of a mail. */
void message_body(const struct message *message, struct text *out);

/* What a template may name: of the message, or of its first incident. */
struct message_field {
	const char *name, *help;
	void (*write)(const struct message *message, struct text *out); /* not escaped */
};
extern const struct message_field message_fields[];
extern const size_t message_field_count;
/* NULL = there is none of that name. */
const struct message_field *message_field_find(const char *name, size_t length);
void message_print_fields(FILE *out);

#endif
