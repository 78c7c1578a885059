/* SPDX-License-Identifier: Apache-2.0 */
/* See message.h. */
#include "push/message.h"

const char *const message_reason_names[REASON_COUNT] = { "new", "changed", "repeat" };

static void write_more(uint32_t more, struct text *out)
{
	if (!more)
		return;
	text_string(out, ", and ");
	text_u64(out, more);
	text_string(out, " more");
}

void message_title(const struct message *message, struct text *out)
{
	notice_title(message->items[0].notice, out);
	write_more(message->count - 1 + message->cut, out);
}

void message_list(const struct message *message, struct text *out)
{
	for (uint32_t i = 0; i < message->count; i++) {
		text_string(out, i ? "\n" : "");
		notice_title(message->items[i].notice, out);
	}
	if (message->cut) {
		text_string(out, "\n");
		text_u64(out, message->cut);
		text_string(out, " more that were told before");
	}
}

void message_body(const struct message *message, struct text *out)
{
	for (uint32_t i = 0; i < message->count; i++) {
		text_string(out, i ? "\n\n" : "");
		notice_title(message->items[i].notice, out);
		text_string(out, "\n");
		notice_description(message->items[i].notice, out);
	}
	text_string(out, "\n");
	if (message->cut) {
		text_string(out, "\n");
		text_u64(out, message->cut);
		text_string(out, " more that were told before\n");
	}
}
