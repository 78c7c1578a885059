/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slack's incoming webhooks: a header, then a section an incident. Slack refuses a whole message for one text that is too long, so all of
 * them are cut to what its reference allows; and it gives &, < and > a meaning, so those are escaped, or a comm named <!channel> would
 * call everybody.
 * https://api.slack.com/reference/block-kit/blocks, https://api.slack.com/reference/surfaces/formatting#escaping
 */
#include "push/webhook.h"

/* In characters; bytes are never fewer. */
enum { HEADER_MOST = 150, SECTION_MOST = 3000, TEXT_MOST = 3000, BLOCKS_MOST = 50 };
_Static_assert(MESSAGE_MAX + 2 <= BLOCKS_MOST, "a header, each incident, and how many more");

/* &, < and > as Slack wants them, cut before what would go beyond `most` bytes: whole characters, whole entities. */
static void escape(const char *value, size_t most, struct text *out)
{
	size_t start = out->length;
	for (const char *at = value; *at;) {
		size_t length = 1;
		while (((unsigned char)at[length] & 0xc0) == 0x80)
			length++;
		const char *entity = *at == '&' ? "&amp;" : *at == '<' ? "&lt;" : *at == '>' ? "&gt;" : NULL;
		if (out->length - start + (entity ? strlen(entity) : length) > most)
			return;
		if (entity)
			text_string(out, entity);
		else
			text_append(out, at, length);
		at += length;
	}
}

/* `words`, as a JSON string of at most `most` characters. */
static void slack_string(struct text *words, size_t most, bool escaped, struct text *out)
{
	struct text cut = { 0 };
	text_append(words, "", 1);
	if (!words->failed && escaped) {
		escape(words->data, most, &cut);
	} else if (!words->failed) {
		size_t length = strnlen(words->data, most);
		while (length && ((unsigned char)words->data[length] & 0xc0) == 0x80)
			length--;
		text_append(&cut, words->data, length);
	}
	text_append(&cut, "", 1);
	out->failed |= words->failed || cut.failed;
	if (!out->failed)
		text_json_string(out, cut.data);
	text_free(&cut);
	text_reset(words);
}

static void write_section(const struct notice *notice, struct text *words, struct text *out)
{
	notice_title(notice, words);
	text_string(words, "\n");
	notice_description(notice, words);
	text_string(out, ",\n{\"type\":\"section\",\"text\":{\"type\":\"mrkdwn\",\"text\":");
	slack_string(words, SECTION_MOST, true, out);
	text_string(out, ",\"verbatim\":true}}");
}

void webhook_write_slack(const struct message *message, struct text *out)
{
	struct text words = { 0 };
	message_title(message, &words);
	text_string(out, "{\"text\":");
	slack_string(&words, TEXT_MOST, true, out);
	text_string(out, ",\"blocks\":[\n{\"type\":\"header\",\"text\":{\"type\":\"plain_text\",\"emoji\":false,\"text\":");
	message_title(message, &words);
	slack_string(&words, HEADER_MOST, false, out);
	text_string(out, "}}");
	for (uint32_t i = 0; i < message->count; i++)
		write_section(message->items[i].notice, &words, out);
	if (message->cut) {
		text_string(out, ",\n{\"type\":\"context\",\"elements\":[{\"type\":\"plain_text\",\"emoji\":false,\"text\":\"");
		text_u64(out, message->cut);
		text_string(out, " more that were told before\"}]}");
	}
	text_string(out, "]}");
	text_free(&words);
}
