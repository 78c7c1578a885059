/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a message of protobuf, one after the other, where they lie: what a stranger sent is not made into a tree, so that it cannot be a large one.
 * protobuf.dev/programming-guides/encoding.
 */
#ifndef NODEMEND_REMEDIES_PROTOBUF_READ_H
#define NODEMEND_REMEDIES_PROTOBUF_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pb_message {
	const unsigned char *at, *end;
	bool broken;
};

struct pb_field {
	uint32_t number;
	bool is_bytes;               /* text, bytes, or a message */
	uint64_t value;              /* of a varint */
	struct pb_message bytes;
};

static inline bool pb_varint(struct pb_message *message, uint64_t *ret)
{
	uint64_t value = 0;
	for (unsigned int shift = 0; shift < 64 && message->at < message->end; shift += 7) {
		unsigned char byte = *message->at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return !(message->broken = true);
}

/* False: there is no more, or what follows makes no sense, which is then in `broken`. Numbers of fixed size are passed over. */
static inline bool pb_next(struct pb_message *message, struct pb_field *ret)
{
	static const uint64_t fixed[] = { [1] = 8, [5] = 4 };
	uint64_t key, length;
	while (message->at < message->end && !message->broken) {
		if (!pb_varint(message, &key))
			return false;
		*ret = (struct pb_field){ .number = (uint32_t)(key >> 3), .is_bytes = (key & 7) == 2 };
		if ((key & 7) == 0)
			return pb_varint(message, &ret->value);
		length = (key & 7) == 1 || (key & 7) == 5 ? fixed[key & 7] : UINT64_MAX;
		if (ret->is_bytes && !pb_varint(message, &length))
			return false;
		if (length > (uint64_t)(message->end - message->at))
			return !(message->broken = true);
		ret->bytes = (struct pb_message){ .at = message->at, .end = message->at + length };
		message->at += length;
		if (ret->is_bytes)
			return true;
	}
	return false;
}

/* False: it does not fit, or has a NUL; `ret` is then "". */
static inline bool pb_text(const struct pb_field *field, char *ret, size_t size)
{
	size_t length = (size_t)(field->bytes.end - field->bytes.at);
	bool good = field->is_bytes && length < size && !memchr(field->bytes.at, '\0', length);
	if (good)
		memcpy(ret, field->bytes.at, length);
	ret[good ? length : 0] = '\0';
	return good;
}

#endif
