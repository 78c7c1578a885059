/* SPDX-License-Identifier: Apache-2.0 */
/* A template of any content: refused with a fault, or filled with hostile names and then still one JSON document. The first byte chooses the form. */
#include <stdint.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "push/mail.h"
#include "push/template.h"
#include "tests/unit/notice_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
	if (!holds)
		abort();
}

static void check_mail(const struct message *message, const char *own)
{
	static const char *const to[] = { "a@example.org" };
	const struct mail_people people = { "ops", "b@example.org", to, 1 };
	struct text mail = { 0 };
	mail_write(message, &people, own, &mail);
	text_append(&mail, "", 1);
	require(!mail.failed && strstr(mail.data, "\r\n\r\n"));
	for (const char *at = mail.data; (at = strchr(at, '\n')); at++)
		require(at > mail.data && at[-1] == '\r');
	/* No header but ours: each line before the body begins with a blank or with one of these. */
	for (const char *at = mail.data; strncmp(at, "\r\n", 2) != 0; at = strstr(at, "\r\n") + 2)
		require(*at == ' ' || strchr("ACDFMSTX", *at));
	text_free(&mail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config_faults faults;
	struct incident incident;
	struct notice notice;
	struct template template;
	if (size == 0)
		return 0;
	enum template_form form = data[0] & 1 ? TEMPLATE_TEXT : TEMPLATE_JSON;
	char *text = malloc(size); /* exactly as large as it is, so that one byte beyond is seen */
	require(text != NULL);
	memcpy(text, data + 1, size - 1);

	fill_told_incident(&incident, "i1", INCIDENT_OPEN);
	make_hostile(&incident);
	notice_make(&notice_home, &incident, NOTICE_HOSTILE, &notice);
	const struct message message = { .count = 1, .items = { { .notice = &notice, .news = true } }, .thread = "i1", .wall_ns = NOTICE_OPENED_NS };
	faults.count = faults.cut = 0;
	int error = template_read(form, "template", text, size - 1, &template, &faults);
	require((error == 0) == (faults.count == 0));
	if (error == 0) {
		struct text out = { 0 };
		template_write(&template, &message, &out);
		text_append(&out, "", 1);
		require(!out.failed);
		cJSON *json = form == TEMPLATE_JSON ? cJSON_Parse(out.data) : NULL;
		require(form == TEMPLATE_TEXT || json);
		if (form == TEMPLATE_TEXT)
			check_mail(&message, out.data);
		cJSON_Delete(json);
		text_free(&out);
		template_free(&template);
	}
	free(text);
	return 0;
}
