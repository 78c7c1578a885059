/* SPDX-License-Identifier: Apache-2.0 */
/* What webhooks are sent: a message in the form that each kind of receiver reads. */
#ifndef NODEMEND_PUSH_WEBHOOK_H
#define NODEMEND_PUSH_WEBHOOK_H

#include "push/message.h"

/* nodemend.webhook/1, see docs/schema. */
void webhook_write_json(const struct message *message, struct text *out);
/* An incoming webhook of Slack: blocks, and the text of notifications; cut to what Slack takes. */
void webhook_write_slack(const struct message *message, struct text *out);

/* PagerDuty's Events API v2 takes one event a request: those of item `index`, in this order, until false. News only; what began to be
 * mended before it was told is triggered and then acknowledged, what was over before it was told wakes nobody. */
bool webhook_write_pagerduty(const struct message *message, uint32_t index, uint32_t event, struct text *out);
/* The key goes in when an event is sent: until then it may lie on a disk. */
void webhook_add_routing_key(const char *event, size_t size, const char *routing_key, struct text *out);

/* A JSON member with a comma before it where one is due; nothing where the value is "". */
void webhook_member(struct text *out, const char *name, const char *value);

#endif
