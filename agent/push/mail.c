/* SPDX-License-Identifier: Apache-2.0 */
/* See mail.h: which headers there are. mail_text.c encodes them. */
#include "push/mail.h"

#include <stdio.h>
#include <time.h>

/* What may stand in a Message-ID without quotes (RFC 5322, dot-atom), and nothing else. */
static void write_atom(const char *value, struct text *out)
{
	bool any = false;
	for (const char *at = value; *at; at++) {
		bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || *at == '-';
		bool dot = *at == '.' && any && at[1] && at[1] != '.';
		text_append(out, plain || dot ? at : "-", 1);
		any = true;
	}
	if (!any)
		text_string(out, "node");
}

static void write_message_id(const struct message *message, const struct mail_people *people, uint32_t sequence, struct text *out)
{
	text_string(out, "<");
	write_atom(message->thread, out);
	text_string(out, ".");
	text_u64(out, sequence);
	text_string(out, ".");
	write_atom(people->output, out);
	text_string(out, "@");
	write_atom(message->items[0].notice->node, out);
	text_string(out, ".nodemend>");
}

/* Addresses are ASCII; whatever else is in one, or steers, is left out. */
static void write_address(const char *address, struct text *out)
{
	for (const char *at = address; *at; at++)
		if (*at > ' ' && *at < 0x7f && !strchr("<>,;\"\\", *at))
			text_append(out, at, 1);
}

static void write_date(int64_t wall_ns, struct text *out)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t seconds = (time_t)(wall_ns / (int64_t)NSEC_PER_SEC);
	struct tm utc = { 0 };
	char buffer[80];
	(void)gmtime_r(&seconds, &utc);
	snprintf(buffer, sizeof(buffer), "%s, %d %s %d %02d:%02d:%02d +0000", days[utc.tm_wday % 7], utc.tm_mday, months[utc.tm_mon % 12],
		 1900 + utc.tm_year, utc.tm_hour, utc.tm_min, utc.tm_sec);
	text_string(out, buffer);
}

/* The subject and the body of a template's text, or the built-in ones. */
static void write_words(const struct message *message, const char *own, struct text *subject, struct text *body)
{
	size_t line = own ? strcspn(own, "\r\n") : 0;
	const char *rest = own ? own + line + strspn(own + line, "\r\n") : NULL;
	if (own) {
		text_append(subject, own, line);
		text_string(body, rest);
	} else {
		message_title(message, subject);
		message_body(message, body);
	}
	text_append(subject, "", 1);
	text_append(body, "", 1);
}

static void write_people(const struct mail_people *people, struct text *out)
{
	text_string(out, "From: nodemend <");
	write_address(people->from, out);
	text_string(out, ">\r\nTo: ");
	for (uint32_t i = 0; i < people->to_count; i++) {
		text_string(out, i ? ",\r\n <" : "<");
		write_address(people->to[i], out);
		text_string(out, ">");
	}
}

void mail_write(const struct message *message, const struct mail_people *people, const char *own, struct text *out)
{
	struct text subject = { 0 }, body = { 0 };
	write_words(message, own, &subject, &body);
	out->failed |= subject.failed || body.failed;
	write_people(people, out);
	text_string(out, "\r\nSubject: ");
	if (!out->failed)
		mail_header_text(subject.data, strlen("Subject: "), out);
	text_string(out, "\r\nDate: ");
	write_date(message->wall_ns, out);
	text_string(out, "\r\nMessage-ID: ");
	write_message_id(message, people, message->sequence, out);
	if (message->sequence) {
		text_string(out, "\r\nIn-Reply-To: ");
		write_message_id(message, people, 0, out);
		text_string(out, "\r\nReferences: ");
		write_message_id(message, people, 0, out);
	}
	text_string(out, "\r\nAuto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\nX-Nodemend-Incident: ");
	write_atom(message->items[0].notice->id, out);
	text_string(out, "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
	if (!out->failed)
		mail_body_text(body.data, out);
	text_free(&subject);
	text_free(&body);
}
