/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A struct and its JSON object, told once: a table of fields that is written and read by the same rows, so that the two
 * directions cannot drift apart. Whatever is written can be read back; what is read is bounded by the struct it goes into.
 */
#ifndef NODEMEND_KEEP_DOCUMENT_H
#define NODEMEND_KEEP_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

enum field_type {
	FIELD_TEXT,     /* char[]: made valid UTF-8 without control codes beyond C0; cut where it does not fit */
	FIELD_EXACT,    /* the same, and its bytes as hex in "<name>_bytes" where that changed something: for what is compared later */
	FIELD_ID,       /* char[] of letters, digits and ._:- only */
	FIELD_CHOICE,   /* an enum by its name */
	FIELD_TIME,     /* int64_t, wall ns: ISO 8601 in UTC with milliseconds; 0 is null */
	FIELD_SECONDS,  /* uint64_t ns as seconds; UNKNOWN is absent */
	FIELD_AMOUNT,   /* uint64_t as a number; UNKNOWN is absent */
	FIELD_TRUTH,    /* uint64_t 0 or 1 as a boolean; UNKNOWN is absent */
	FIELD_UNSIGNED, /* uint32_t */
	FIELD_SIGNED,   /* int16_t or int32_t, by size */
	FIELD_U64,      /* as decimal text: identities and clocks outgrow the 2^53 that a JSON number holds exactly */
	FIELD_I64,
	FIELD_DOUBLE,   /* not finite is absent */
	FIELD_PERMILLE, /* uint32_t permille as a fraction of one */
	FIELD_BOOL,
	FIELD_OBJECT,   /* a struct */
	FIELD_LIST,     /* an array of structs, or of bare values where the element's only row has no name */
};

enum { FIELD_OMIT = 1, FIELD_NULL = 2, FIELD_NEEDED = 4 }; /* zero is absent; zero is null; absence is a fault */

struct fields;

struct field {
	const char *name;
	enum field_type type;
	uint32_t flags, offset, size;
	const char *const *names;      /* CHOICE */
	uint32_t name_count;
	const struct fields *inner;    /* OBJECT, LIST */
	uint32_t count_offset, stride; /* LIST: a uint32_t at count_offset, elements of `stride` bytes */
};

struct fields {
	const struct field *each;
	uint32_t count;
	const struct fields *by_type;  /* more rows, chosen by the enum at offset 0; NULL = none */
	uint32_t type_count;
};

#define FIELD_AT(structure, member) .offset = offsetof(struct structure, member), .size = sizeof(((struct structure *)NULL)->member)
#define FIELD_NAMES(table) .names = (table), .name_count = sizeof(table) / sizeof((table)[0])
#define FIELD_EACH(structure, member, counter) \
	FIELD_AT(structure, member), .count_offset = offsetof(struct structure, counter), .stride = sizeof(((struct structure *)NULL)->member[0])
#define FIELDS(table) { .each = (table), .count = sizeof(table) / sizeof((table)[0]) }

/* Adds the rows of `from` to `object`. 0 or -ENOMEM. */
int fields_write(const struct fields *fields, const void *from, struct cJSON *object);
/* Fills `to`, which arrives zeroed. 0, or -EINVAL with the name of the row at fault in *ret_bad (NULL is fine). */
int fields_read(const struct fields *fields, const struct cJSON *object, void *to, const char **ret_bad);

/* Text as it may be shown: valid UTF-8, U+FFFD for what was not and for DEL and C1. `to` holds 3 * strlen + 1 bytes. True: something was replaced. */
bool text_clean(const char *from, size_t size, char *to);
/* Copies what fits, whole characters only. */
void text_copy(char *to, size_t size, const char *from);

#endif
