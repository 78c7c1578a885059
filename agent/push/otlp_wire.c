/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp_wire.h. */
#include "push/otlp_wire.h"

#include <math.h>

#include "snapshot.h"

/* The generated code stands here: it is compiled with our warnings and needs no object of its own. */
#include "otlp.pb-c.c" /* NOLINT(bugprone-suspicious-include): said above */

enum { WIRE_LENGTH_DELIMITED = 2, VARINT_MAX = 10 };

static size_t put_varint(uint8_t *bytes, uint64_t value)
{
	size_t size = 0;

	for (; value >= 0x80; value >>= 7)
		bytes[size++] = (uint8_t)(value | 0x80);
	bytes[size++] = (uint8_t)value;
	return size;
}

static size_t put_head(uint8_t head[2 * VARINT_MAX], uint32_t field, size_t length)
{
	size_t size = put_varint(head, (uint64_t)field << 3 | WIRE_LENGTH_DELIMITED);
	return size + put_varint(head + size, length);
}

void otlp_pack(struct text *out, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);

	if (text_reserve(out, size))
		out->length += protobuf_c_message_pack(message, (uint8_t *)out->data + out->length);
}

void otlp_put(struct text *out, uint32_t field, const ProtobufCMessage *message)
{
	uint8_t head[2 * VARINT_MAX];

	text_append(out, (const char *)head, put_head(head, field, protobuf_c_message_get_packed_size(message)));
	otlp_pack(out, message);
}

void otlp_enclose(struct text *out, uint32_t field, size_t from)
{
	uint8_t head[2 * VARINT_MAX];
	size_t length = out->length - from, size = put_head(head, field, length);

	if (!text_reserve(out, size))
		return;
	memmove(out->data + from + size, out->data + from, length);
	memcpy(out->data + from, head, size);
	out->length += size;
}

const char *otlp_clean(struct text *scratch, const char *string)
{
	text_reset(scratch);
	text_utf8(scratch, string);
	text_append(scratch, "", 1);
	return scratch->failed ? "" : scratch->data;
}

/* --- attributes ------------------------------------------------------------------------------------------------------------ */

static void put_attribute(const struct otlp_attributes *to, const char *key, Otlp__AnyValue *value)
{
	Otlp__KeyValue attribute = OTLP__KEY_VALUE__INIT;

	attribute.key = (char *)key;
	attribute.value = value;
	to->out->failed |= to->scratch->failed;
	otlp_put(to->out, to->field, &attribute.base);
}

void otlp_string(const struct otlp_attributes *to, const char *key, const char *string)
{
	Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;

	if (!*string)
		return;
	value.value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
	value.string_value = (char *)otlp_clean(to->scratch, string);
	put_attribute(to, key, &value);
}

void otlp_int(const struct otlp_attributes *to, const char *key, int64_t number)
{
	Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;

	value.value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
	value.int_value = number;
	put_attribute(to, key, &value);
}

void otlp_amount(const struct otlp_attributes *to, const char *key, uint64_t number)
{
	if (number <= INT64_MAX) /* beyond are UNKNOWN and what no host has */
		otlp_int(to, key, (int64_t)number);
}

void otlp_seconds(const struct otlp_attributes *to, const char *key, uint64_t ns)
{
	if (ns != UNKNOWN)
		otlp_double(to, key, (double)ns / (double)NSEC_PER_SEC);
}

void otlp_double(const struct otlp_attributes *to, const char *key, double number)
{
	Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;

	if (!isfinite(number))
		return;
	value.value_case = OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE;
	value.double_value = number;
	put_attribute(to, key, &value);
}

void otlp_bool(const struct otlp_attributes *to, const char *key, bool truth)
{
	Otlp__AnyValue value = OTLP__ANY_VALUE__INIT;

	value.value_case = OTLP__ANY_VALUE__VALUE_BOOL_VALUE;
	value.bool_value = truth;
	put_attribute(to, key, &value);
}

/* All are cleaned one behind the other into the scratch buffer, which moves while it grows: hence the second pass. */
void otlp_lines(const struct otlp_attributes *to, const char *key, const char *lines, size_t size, uint32_t count)
{
	Otlp__AnyValue value = OTLP__ANY_VALUE__INIT, each[OTLP_MAX_LINES], *list[OTLP_MAX_LINES];
	Otlp__ArrayValue array = OTLP__ARRAY_VALUE__INIT;
	size_t at[OTLP_MAX_LINES];

	count = count < OTLP_MAX_LINES ? count : OTLP_MAX_LINES;
	if (!count)
		return;
	text_reset(to->scratch);
	for (uint32_t i = 0; i < count; i++) {
		at[i] = to->scratch->length;
		text_utf8(to->scratch, lines + i * size);
		text_append(to->scratch, "", 1);
	}
	if (to->scratch->failed) {
		to->out->failed = true;
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		otlp__any_value__init(&each[i]);
		each[i].value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
		each[i].string_value = to->scratch->data + at[i];
		list[i] = &each[i];
	}
	array.n_values = count;
	array.values = list;
	value.value_case = OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
	value.array_value = &array;
	put_attribute(to, key, &value);
}
