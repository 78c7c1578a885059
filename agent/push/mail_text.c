/* SPDX-License-Identifier: Apache-2.0 */
/* The two encodings of mail.h. */
#include "push/mail.h"

/* RFC 5322 asks for 78; an encoded word has at most 75 (RFC 2047), and a line of quoted-printable 76 (RFC 2045). */
enum { HEADER_LINE = 76, WORD_LINE = 75, BODY_LINE = 76 };

static void write_hex(unsigned char byte, struct text *out)
{
	static const char digits[] = "0123456789ABCDEF";
	char pair[3] = { '=', digits[byte >> 4], digits[byte & 15] };
	text_append(out, pair, sizeof(pair));
}

static size_t character_length(const char *at)
{
	size_t length = 1;
	while (((unsigned char)at[length] & 0xc0) == 0x80)
		length++;
	return length;
}

/* --- headers ---------------------------------------------------------------------------------------------------------- */

/* Printable ASCII that no reader takes for an encoded word; and no word that cannot be folded. */
static bool is_plain(const char *value)
{
	size_t word = 0;
	for (const char *at = value; *at; at++) {
		word = *at == ' ' ? 0 : word + 1;
		if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f || word > HEADER_LINE)
			return false;
	}
	return !strstr(value, "=?");
}

/* Folding puts CRLF before a space that is there already, so that unfolding gives the text back. */
static void write_folded(const char *value, size_t column, struct text *out)
{
	while (*value) {
		size_t length = strcspn(value + 1, " ") + 1;
		if (column + length > HEADER_LINE && *value == ' ' && value[1] && value[1] != ' ') {
			text_string(out, "\r\n");
			column = 0;
		}
		text_append(out, value, length);
		column += length;
		value += length;
	}
}

/* Whether a byte stands for itself in the Q encoding, in any header. */
static bool is_q_safe(unsigned char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || strchr("!*+-/", byte);
}

static size_t q_length(const char *at, size_t length)
{
	return length == 1 && (*at == ' ' || is_q_safe((unsigned char)*at)) ? 1 : 3 * length;
}

static void write_q(const char *at, size_t length, struct text *out)
{
	for (size_t i = 0; i < length; i++) {
		if (at[i] == ' ')
			text_string(out, "_");
		else if (is_q_safe((unsigned char)at[i]))
			text_append(out, at + i, 1);
		else
			write_hex((unsigned char)at[i], out);
	}
}

void mail_header_text(const char *value, size_t column, struct text *out)
{
	static const char begin[] = "=?utf-8?q?", end[] = "?=";
	if (is_plain(value)) {
		write_folded(value, column, out);
		return;
	}
	text_string(out, begin);
	column += sizeof(begin) - 1;
	for (const char *at = value; *at;) {
		/* A character is never split: each word must be valid by itself. */
		size_t length = character_length(at), size = q_length(at, length);
		if (column + size + sizeof(end) - 1 > WORD_LINE) {
			text_string(out, end);
			text_string(out, "\r\n ");
			text_string(out, begin);
			column = 1 + sizeof(begin) - 1;
		}
		write_q(at, length, out);
		column += size;
		at += length;
	}
	text_string(out, end);
}

/* --- the body --------------------------------------------------------------------------------------------------------- */

void mail_body_text(const char *value, struct text *out)
{
	size_t column = 0;
	for (const char *at = value; *at; at++) {
		unsigned char byte = (unsigned char)*at;
		if (byte == '\n') {
			text_string(out, "\r\n");
			column = 0;
			continue;
		}
		/* A blank before the line's end would be lost on the way; a dot at its beginning means something to SMTP, a From_ to mailboxes. */
		bool ends = at[1] == '\n' || !at[1];
		bool plain = byte == ' ' ? !ends : byte > ' ' && byte < 0x7f && byte != '=' && !(column == 0 && (byte == '.' || byte == 'F'));
		size_t size = plain ? 1 : 3;
		if (column + size > BODY_LINE - 1) {
			text_string(out, "=\r\n");
			column = 0;
		}
		if (plain)
			text_append(out, at, 1);
		else
			write_hex(byte, out);
		column += size;
	}
}
