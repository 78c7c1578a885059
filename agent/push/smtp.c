/* SPDX-License-Identifier: Apache-2.0 */
/* The exporter of mails: SMTP by libcurl, with STARTTLS or from the first byte on, and what a server's codes mean for a mail. */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "push/mail.h"
#include "push/people.h"

struct smtp {
	char from[NAME_LEN + 2];
	struct curl_slist *recipients;
	const struct parcel *parcel;   /* on its way */
	size_t sent;
};

static const struct parcel_type parcel_types[] = { { .suffix = "" } };

/* --- one mail --------------------------------------------------------------------------------------------------------- */

static size_t on_read(char *buffer, size_t one, size_t room, void *context)
{
	struct smtp *smtp = context;
	size_t left = smtp->parcel->size - smtp->sent, size = one * room < left ? one * room : left;
	memcpy(buffer, (const char *)smtp->parcel->body + smtp->sent, size);
	smtp->sent += size;
	return size;
}

/* A connection that was kept and has died meanwhile is begun anew, with the mail from its start. */
static int on_seek(void *context, curl_off_t offset, int origin)
{
	struct smtp *smtp = context;
	if (origin != SEEK_SET || offset < 0 || (size_t)offset > smtp->parcel->size)
		return CURL_SEEKFUNC_FAIL;
	smtp->sent = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static int prepare(void *context, void *easy, const struct parcel *parcel)
{
	struct people *people = context;
	struct smtp *smtp = people->own;
	smtp->parcel = parcel;
	smtp->sent = 0;
	curl_easy_setopt(easy, CURLOPT_MAIL_FROM, smtp->from);
	curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, smtp->recipients);
	/* One address that the server does not know must not keep the mail from the others. */
	curl_easy_setopt(easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
	curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)(people->output->starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
	curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)parcel->size);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(easy, CURLOPT_READDATA, smtp);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, smtp);
	return 0;
}

/* RFC 5321, 4.2.1: 4yz is transient, 5yz permanent. But who we are (RFC 4954: 530, 534, 535, 538) is for a person to put right, and then
 * the mail should go. */
static enum verdict judge(void *context, const struct parcel *parcel, const struct answer *answer, struct text *ret, uint32_t *ret_type)
{
	long status = answer->status;
	if (status < 400)
		return VERDICT_DEFAULT;
	bool who = status == 530 || status == 534 || status == 535 || status == 538;
	return status < 500 || who ? VERDICT_AGAIN : VERDICT_REFUSED;
}

/* --- the exporter ----------------------------------------------------------------------------------------------------- */

static void send_mail(struct people *people, const struct message *message)
{
	const struct output *output = people->output;
	const char *to[MAX_RECIPIENTS];
	struct mail_people parties = { .output = output->name, .from = output->from, .to = to, .to_count = output->to_count };
	struct text own = { 0 };
	for (uint32_t i = 0; i < output->to_count; i++)
		to[i] = output->to[i];
	bool has_own = people_write_template(people, message, &own);
	text_append(&own, "", 1);
	mail_write(message, &parties, has_own && !own.failed ? own.data : NULL, &people->body);
	text_free(&own);
	people_put(people, message->count);
}

static const struct outlet_family family = { .types = parcel_types, .type_count = 1, .prepare = prepare, .judge = judge };
static const struct people_form form = { .family = &family, .send = send_mail, .template_form = TEMPLATE_TEXT };

static void close_mail(void *state)
{
	struct people *people = state;
	struct smtp *smtp = people ? people->own : NULL;
	if (smtp)
		curl_slist_free_all(smtp->recipients);
	people_close(people);
}

/* In brackets, as RFC 5321 has it. */
static void write_path(char path[NAME_LEN + 2], const char *address)
{
	snprintf(path, NAME_LEN + 2, "<%s>", address);
}

static int open_mail(const struct exporter_env *env, void **ret)
{
	struct people *people = NULL;
	int error = people_open(env, &form, &people);
	struct smtp *smtp = error ? NULL : calloc(1, sizeof(*smtp));
	if (error < 0)
		return error;
	people->own = smtp;
	if (smtp)
		write_path(smtp->from, people->output->from);
	for (uint32_t i = 0; smtp && i < people->output->to_count; i++) {
		char path[NAME_LEN + 2];
		write_path(path, people->output->to[i]);
		struct curl_slist *more = curl_slist_append(smtp->recipients, path);
		if (!more)
			error = -ENOMEM;
		smtp->recipients = more ? more : smtp->recipients;
	}
	if (!smtp || error < 0) {
		close_mail(people);
		return -ENOMEM;
	}
	*ret = people;
	return 0;
}

const struct exporter mail_exporter = {
	.open = open_mail,
	.close = close_mail,
	.on_incident = people_on_incident,
	.on_action = people_on_action,
	.on_turn = people_on_turn,
};
