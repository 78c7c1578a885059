/* SPDX-License-Identifier: Apache-2.0 */
/* The exporter to webhooks: one form each, see webhook.h. */
#include "push/webhook.h"

#include <errno.h>

#include "push/people.h"

static const struct parcel_type parcel_types[] = { { .suffix = "", .content_type = "application/json" } };

static int add_routing_key(void *context, const struct parcel *parcel, struct text *ret)
{
	struct people *people = context;
	const char *key = delivery_secret(people->delivery, people->output->routing_key_file);
	if (!key || !*key)
		return -EACCES;
	webhook_add_routing_key(parcel->body, parcel->size, key, ret);
	return 0;
}

static void send_json(struct people *people, const struct message *message)
{
	if (!people_write_template(people, message, &people->body))
		webhook_write_json(message, &people->body);
	people_put(people, message->count);
}

static void send_slack(struct people *people, const struct message *message)
{
	if (!people_write_template(people, message, &people->body))
		webhook_write_slack(message, &people->body);
	people_put(people, message->count);
}

static void send_pagerduty(struct people *people, const struct message *message)
{
	for (uint32_t i = 0; i < message->count; i++)
		for (uint32_t event = 0; webhook_write_pagerduty(message, i, event, &people->body); event++)
			people_put(people, 1);
}

static const struct outlet_family plain_family = { .types = parcel_types, .type_count = 1 };
static const struct outlet_family pagerduty_family = { .types = parcel_types, .type_count = 1, .fill = add_routing_key };

static const struct people_form forms[WEBHOOK_FORMAT_COUNT] = {
	[WEBHOOK_JSON] = { .family = &plain_family, .send = send_json, .template_form = TEMPLATE_JSON },
	[WEBHOOK_SLACK] = { .family = &plain_family, .send = send_slack, .template_form = TEMPLATE_JSON },
	[WEBHOOK_PAGERDUTY] = { .family = &pagerduty_family, .send = send_pagerduty },
};

static int open_webhook(const struct exporter_env *env, void **ret)
{
	struct people *people = NULL;
	int error = people_open(env, &forms[env->outputs->each[env->output].format], &people);
	if (!error)
		*ret = people;
	return error;
}

const struct exporter webhook_exporter = {
	.open = open_webhook,
	.close = people_close,
	.on_incident = people_on_incident,
	.on_action = people_on_action,
	.on_turn = people_on_turn,
};
