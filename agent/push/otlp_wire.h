/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP messages, written as they come: protobuf-c packs each small message, and what encloses it gets its length in front once its end
 * is known. No tree of a request is ever built.
 */
#ifndef NODEMEND_PUSH_OTLP_WIRE_H
#define NODEMEND_PUSH_OTLP_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "publish/text.h"

/* `message` as it is: fields of the message that is being written. */
void otlp_pack(struct text *out, const ProtobufCMessage *message);
/* `message` as one value of `field`. */
void otlp_put(struct text *out, uint32_t field, const ProtobufCMessage *message);
/* What was written since `from` becomes one value of `field`. */
void otlp_enclose(struct text *out, uint32_t field, size_t from);

/* Where attributes go, and a place to clean strings in: what strangers chose may be no UTF-8, which a receiver would refuse. */
struct otlp_attributes {
	struct text *out;
	uint32_t field;
	struct text *scratch;
};

/* The string in UTF-8, good until the next; "" without memory for it, and then scratch->failed. */
const char *otlp_clean(struct text *scratch, const char *string);

/* An empty string is nothing known: left out. */
void otlp_string(const struct otlp_attributes *to, const char *key, const char *value);
void otlp_int(const struct otlp_attributes *to, const char *key, int64_t value);
/* UNKNOWN is left out. */
void otlp_amount(const struct otlp_attributes *to, const char *key, uint64_t value);
void otlp_seconds(const struct otlp_attributes *to, const char *key, uint64_t ns);
void otlp_double(const struct otlp_attributes *to, const char *key, double value);
void otlp_bool(const struct otlp_attributes *to, const char *key, bool value);
/* `count` lines of `size` bytes each, NUL-terminated; none: left out. */
enum { OTLP_MAX_LINES = 32 };
void otlp_lines(const struct otlp_attributes *to, const char *key, const char *lines, size_t size, uint32_t count);

#endif
