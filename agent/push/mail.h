/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message as a mail (RFC 5322): text/plain in UTF-8 as quoted-printable, an incident's mails in one thread, marked as made by a machine
 * so that nobody's holiday answers it. Nothing that a stranger named can begin a header line of its own.
 */
#ifndef NODEMEND_PUSH_MAIL_H
#define NODEMEND_PUSH_MAIL_H

#include "push/message.h"

/* Addresses as the configuration has them: checked there, and cleaned here once more. */
struct mail_people {
	const char *output;       /* its name: two outputs' mails are two mails */
	const char *from;
	const char *const *to;
	uint32_t to_count;
};

/* `own`: the subject, an empty line and the text, from a template; NULL = the built-in ones. */
void mail_write(const struct message *message, const struct mail_people *people, const char *own, struct text *out);

/* The text of a header, as encoded words (RFC 2047) where it is not plain ASCII; folded, starting at `column`. */
void mail_header_text(const char *value, size_t column, struct text *out);
/* Quoted-printable (RFC 2045), lines ended by CRLF. */
void mail_body_text(const char *value, struct text *out);

#endif
