/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_id.h. */
#include "push/otlp_id.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

/* With its NUL, so that "ab","c" and "a","bc" differ. */
static void add_string(struct sha256_ctx *hash, const char *string)
{
	sha256_update(hash, strlen(string) + 1, (const uint8_t *)string);
}

static void add_number(struct sha256_ctx *hash, uint32_t number)
{
	const uint8_t bytes[] = { (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number };
	sha256_update(hash, sizeof(bytes), bytes);
}

static void begin(struct sha256_ctx *hash, const char *purpose, const struct otlp_node *node)
{
	sha256_init(hash);
	add_string(hash, purpose);
	add_string(hash, node->host_id);
	add_string(hash, node->name);
}

/* All zeros is the one id that OTLP forbids. */
static void finish(struct sha256_ctx *hash, uint8_t *ret, size_t size)
{
	uint8_t any = 0;

	sha256_digest(hash, size, ret);
	for (size_t i = 0; i < size; i++)
		any |= ret[i];
	if (!any)
		ret[size - 1] = 1;
}

void otlp_trace_id(const struct otlp_node *node, const char *incident, uint8_t ret[OTLP_TRACE_ID_LEN])
{
	struct sha256_ctx hash;

	begin(&hash, "nodemend trace", node);
	add_string(&hash, incident);
	finish(&hash, ret, OTLP_TRACE_ID_LEN);
}

void otlp_span_id(const uint8_t trace[OTLP_TRACE_ID_LEN], enum otlp_span what, const char *id, uint32_t index,
		  uint8_t ret[OTLP_SPAN_ID_LEN])
{
	struct sha256_ctx hash;

	sha256_init(&hash);
	add_string(&hash, "nodemend span");
	sha256_update(&hash, OTLP_TRACE_ID_LEN, trace);
	add_number(&hash, what);
	add_string(&hash, id);
	add_number(&hash, index);
	finish(&hash, ret, OTLP_SPAN_ID_LEN);
}

void otlp_uid(const struct otlp_node *node, const char *id, uint32_t index, char ret[OTLP_UID_LEN])
{
	uint8_t bytes[OTLP_UID_LEN / 2];
	struct sha256_ctx hash;

	begin(&hash, "nodemend record", node);
	add_string(&hash, id);
	add_number(&hash, index);
	finish(&hash, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}
