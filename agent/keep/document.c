/* SPDX-License-Identifier: Apache-2.0 */
/* See document.h. Numbers and names only; what the documents are stands with their tables. */
#include "keep/document.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "mask.h"
#include "snapshot.h"

/* The longest text of any record is PATH_LEN; each byte of it may become the three of U+FFFD. */
enum { TEXT_MAX = PATH_LEN, CLEAN_MAX = 3 * TEXT_MAX + 1 };

/* 2^53: up to here a double counts by ones. */
#define EXACT_MAX 9007199254740992.0

/* --- text -------------------------------------------------------------------------------------------------------------- */

/* Length of the character at `at`, 0 where it is none that may be shown. RFC 3629: no overlong forms, no surrogates. */
static size_t character(const unsigned char *at, size_t left)
{
	if (at[0] < 0x80)
		return at[0] != 0x7f;
	size_t length = at[0] >= 0xc2 && at[0] <= 0xdf ? 2 : at[0] >= 0xe0 && at[0] <= 0xef ? 3 : at[0] >= 0xf0 && at[0] <= 0xf4 ? 4 : 0;
	if (!length || length > left)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;

	bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
	bool outside = (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf4 && at[1] >= 0x90);
	bool c1 = at[0] == 0xc2 && at[1] < 0xa0;
	return overlong || outside || c1 ? 0 : length;
}

bool text_clean(const char *from, size_t size, char *to)
{
	bool changed = false;
	size_t length = strnlen(from, size);
	for (size_t at = 0; at < length;) {
		size_t step = character((const unsigned char *)from + at, length - at);
		if (step) {
			memcpy(to, from + at, step);
			to += step;
			at += step;
		} else {
			memcpy(to, "\xef\xbf\xbd", 3);
			to += 3;
			at++;
			changed = true;
		}
	}
	*to = '\0';
	return changed;
}

void text_copy(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size);
	if (length == size) {
		length--;
		while (length > 0 && ((unsigned char)from[length] & 0xc0) == 0x80)
			length--;
	}
	memcpy(to, from, length);
	to[length] = '\0';
}

static bool is_id(const char *text)
{
	return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-") == strlen(text);
}

static int put_bytes(cJSON *object, const char *name, const char *text, size_t size)
{
	char key[64], hex[2 * TEXT_MAX + 1] = "";
	snprintf(key, sizeof(key), "%s_bytes", name);
	size_t length = strnlen(text, size);
	for (size_t i = 0; i < length; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned char)text[i]);
	return cJSON_AddStringToObject(object, key, hex) ? 0 : -ENOMEM;
}

static int hex_digit(char digit)
{
	const char *digits = "0123456789abcdef";
	const char *at = digit ? strchr(digits, digit) : NULL;
	return at ? (int)(at - digits) : -1;
}

static int get_bytes(const cJSON *object, const char *name, char *to, size_t size)
{
	char key[64];
	snprintf(key, sizeof(key), "%s_bytes", name);
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
	if (!item)
		return 0;
	if (!cJSON_IsString(item))
		return -EINVAL;

	size_t length = strlen(item->valuestring);
	if (length % 2 || length / 2 >= size)
		return -EINVAL;
	memset(to, 0, size); /* the text that stood there may be longer */
	for (size_t i = 0; i < length; i += 2) {
		int high = hex_digit(item->valuestring[i]), low = hex_digit(item->valuestring[i + 1]);
		if (high < 0 || low < 0 || high + low == 0)
			return -EINVAL;
		to[i / 2] = (char)(high << 4 | low);
	}
	return 0;
}

/* --- writing ----------------------------------------------------------------------------------------------------------- */

static uint64_t load_u64(const void *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static uint32_t load_u32(const void *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static double load_signed(const struct field *field, const void *at)
{
	int16_t small;
	int32_t value;
	if (field->size == sizeof(small)) {
		memcpy(&small, at, sizeof(small));
		return small;
	}
	memcpy(&value, at, sizeof(value));
	return value;
}

static bool is_zero(const struct field *field, const void *at)
{
	switch (field->type) {
	case FIELD_TEXT:
	case FIELD_EXACT:
	case FIELD_ID:
		return *(const char *)at == '\0';
	case FIELD_LIST:
		return false;
	case FIELD_OBJECT:
		if (!(field->flags & FIELD_OMIT))
			return false;
		/* fall through */
	default:
		for (uint32_t i = 0; i < field->size; i++)
			if (((const char *)at)[i])
				return false;
		return true;
	}
}

static bool is_unknown(const struct field *field, const void *at)
{
	double number;
	switch (field->type) {
	case FIELD_SECONDS:
	case FIELD_AMOUNT:
	case FIELD_TRUTH:
		return load_u64(at) == UNKNOWN;
	case FIELD_DOUBLE:
		memcpy(&number, at, sizeof(number));
		return !isfinite(number);
	default:
		return false;
	}
}

/* Its bytes in hex would say what the text does not. */
static bool is_masked(const char *text)
{
	char masked[CLEAN_MAX];
	mask_text(masked, sizeof(masked), text);
	return strcmp(masked, text) != 0;
}

static cJSON *text_value(const struct field *field, const void *at)
{
	char clean[CLEAN_MAX], text[32];
	switch (field->type) {
	case FIELD_CHOICE:
		return load_u32(at) < field->name_count ? cJSON_CreateString(field->names[load_u32(at)]) : cJSON_CreateNull();
	case FIELD_TIME:
		return load_u64(at) ? cJSON_CreateString(clock_format((int64_t)load_u64(at), text, sizeof(text))) : cJSON_CreateNull();
	case FIELD_U64:
		snprintf(text, sizeof(text), "%" PRIu64, load_u64(at));
		return cJSON_CreateString(text);
	case FIELD_I64:
		snprintf(text, sizeof(text), "%" PRId64, (int64_t)load_u64(at));
		return cJSON_CreateString(text);
	case FIELD_ID:
		(void)text_clean(at, field->size < TEXT_MAX ? field->size : TEXT_MAX, clean);
		return cJSON_CreateString(clean);
	default:
		(void)text_clean(at, field->size < TEXT_MAX ? field->size : TEXT_MAX, clean);
		mask_in_place(clean, sizeof(clean)); /* every document of a record passes here: the last place before it leaves */
		return cJSON_CreateString(clean);
	}
}

static cJSON *list_value(const struct field *field, const void *base);

static cJSON *object_value(const struct fields *fields, const void *from)
{
	cJSON *object = cJSON_CreateObject();
	if (object && fields_write(fields, from, object) < 0) {
		cJSON_Delete(object);
		return NULL;
	}
	return object;
}

static cJSON *value_of(const struct field *field, const void *base)
{
	const char *at = (const char *)base + field->offset;
	double number;
	switch (field->type) {
	case FIELD_SECONDS:
		return cJSON_CreateNumber((double)load_u64(at) / 1e9);
	case FIELD_AMOUNT:
		return cJSON_CreateNumber((double)load_u64(at));
	case FIELD_TRUTH:
		return cJSON_CreateBool(load_u64(at) != 0);
	case FIELD_UNSIGNED:
		return cJSON_CreateNumber(load_u32(at));
	case FIELD_SIGNED:
		return cJSON_CreateNumber(load_signed(field, at));
	case FIELD_DOUBLE:
		memcpy(&number, at, sizeof(number));
		return cJSON_CreateNumber(number);
	case FIELD_PERMILLE:
		return cJSON_CreateNumber(load_u32(at) / 1000.0);
	case FIELD_BOOL:
		return cJSON_CreateBool(*at != 0);
	case FIELD_OBJECT:
		return object_value(field->inner, at);
	case FIELD_LIST:
		return list_value(field, base);
	default:
		return text_value(field, at);
	}
}

static bool is_bare(const struct fields *fields)
{
	return fields->count == 1 && !fields->each[0].name;
}

static cJSON *list_value(const struct field *field, const void *base)
{
	cJSON *list = cJSON_CreateArray();
	uint32_t count = load_u32((const char *)base + field->count_offset), max = field->size / field->stride;
	for (uint32_t i = 0; list && i < count && i < max; i++) {
		const char *at = (const char *)base + field->offset + (size_t)i * field->stride;
		cJSON *item = is_bare(field->inner) ? value_of(&field->inner->each[0], at) : object_value(field->inner, at);
		if (!item) {
			cJSON_Delete(list);
			return NULL;
		}
		cJSON_AddItemToArray(list, item);
	}
	return list;
}

static int write_field(const struct field *field, const void *from, cJSON *object)
{
	const char *at = (const char *)from + field->offset;
	bool zero = is_zero(field, at);
	if ((zero && field->flags & FIELD_OMIT) || is_unknown(field, at))
		return 0;

	cJSON *item = zero && field->flags & FIELD_NULL ? cJSON_CreateNull() : value_of(field, from);
	if (!item)
		return -ENOMEM;
	if (!cJSON_AddItemToObjectCS(object, field->name, item)) {
		cJSON_Delete(item);
		return -ENOMEM;
	}

	char clean[CLEAN_MAX];
	if (field->type == FIELD_EXACT && text_clean(at, field->size, clean) && !is_masked(clean))
		return put_bytes(object, field->name, at, field->size);
	return 0;
}

static const struct fields *rows_by_type(const struct fields *fields, const void *base)
{
	uint32_t type = load_u32(base);
	return fields->by_type && type < fields->type_count ? &fields->by_type[type] : NULL;
}

int fields_write(const struct fields *fields, const void *from, cJSON *object)
{
	for (uint32_t i = 0; i < fields->count; i++) {
		int error = write_field(&fields->each[i], from, object);
		if (error < 0)
			return error;
	}
	const struct fields *more = fields->by_type ? rows_by_type(fields, from) : NULL;
	return more ? fields_write(more, from, object) : 0;
}

/* --- reading ----------------------------------------------------------------------------------------------------------- */

static int read_text(const struct field *field, const cJSON *object, const char *text, char *to)
{
	if (field->type == FIELD_ID && (!is_id(text) || strlen(text) >= field->size))
		return -EINVAL;
	text_copy(to, field->size, text);
	return field->type == FIELD_EXACT ? get_bytes(object, field->name, to, field->size) : 0;
}

static int read_choice(const struct field *field, const char *text, void *to)
{
	for (uint32_t i = 0; i < field->name_count; i++) {
		if (strcmp(field->names[i], text) == 0) {
			memcpy(to, &i, sizeof(i));
			return 0;
		}
	}
	return -EINVAL;
}

static int read_decimal(const struct field *field, const char *text, void *to)
{
	bool negative = text[0] == '-' && field->type == FIELD_I64;
	if (text[negative] < '0' || text[negative] > '9')
		return -EINVAL; /* strtoull would take blanks and signs */
	char *end;
	errno = 0;
	uint64_t value = field->type == FIELD_I64 ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10);
	if (errno || *end)
		return -EINVAL;
	memcpy(to, &value, sizeof(value));
	return 0;
}

static int read_string(const struct field *field, const cJSON *object, const cJSON *item, void *to)
{
	if (!cJSON_IsString(item))
		return -EINVAL;
	int64_t wall_ns = 0;
	switch (field->type) {
	case FIELD_CHOICE:
		return read_choice(field, item->valuestring, to);
	case FIELD_U64:
	case FIELD_I64:
		return read_decimal(field, item->valuestring, to);
	case FIELD_TIME:
		if (clock_parse(item->valuestring, &wall_ns) < 0)
			return -EINVAL;
		memcpy(to, &wall_ns, sizeof(wall_ns));
		return 0;
	default:
		return read_text(field, object, item->valuestring, to);
	}
}

static int whole_in(double number, double low, double high)
{
	return number >= low && number <= high && floor(number) == number ? 0 : -EINVAL;
}

static int read_signed(const struct field *field, double number, void *to)
{
	int16_t small = 0;
	int32_t value = 0;
	if (field->size == sizeof(small)) {
		if (whole_in(number, INT16_MIN, INT16_MAX) < 0)
			return -EINVAL;
		small = (int16_t)number;
		memcpy(to, &small, sizeof(small));
		return 0;
	}
	if (whole_in(number, INT32_MIN, INT32_MAX) < 0)
		return -EINVAL;
	value = (int32_t)number;
	memcpy(to, &value, sizeof(value));
	return 0;
}

static int read_amount(double number, void *to)
{
	/* Larger ones were written rounded; the double is whole anyway. */
	if (!(number >= 0 && number < 18446744073709551616.0) || (number < EXACT_MAX && floor(number) != number))
		return -EINVAL;
	uint64_t amount = (uint64_t)number;
	memcpy(to, &amount, sizeof(amount));
	return 0;
}

static int read_number(const struct field *field, const cJSON *item, void *to)
{
	if (!cJSON_IsNumber(item))
		return -EINVAL;
	double number = item->valuedouble;
	uint32_t small;
	switch (field->type) {
	case FIELD_DOUBLE:
		if (!isfinite(number))
			return -EINVAL;
		memcpy(to, &number, sizeof(number));
		return 0;
	case FIELD_SECONDS:
		return read_amount(round(number * 1e9), to);
	case FIELD_AMOUNT:
		return read_amount(number, to);
	case FIELD_SIGNED:
		return read_signed(field, number, to);
	case FIELD_PERMILLE:
		if (!(number >= 0 && number <= UINT32_MAX / 1000.0))
			return -EINVAL;
		small = (uint32_t)lround(number * 1000);
		break;
	default:
		if (whole_in(number, 0, UINT32_MAX) < 0)
			return -EINVAL;
		small = (uint32_t)number;
		break;
	}
	memcpy(to, &small, sizeof(small));
	return 0;
}

static int read_bool(const struct field *field, const cJSON *item, void *to)
{
	if (!cJSON_IsBool(item))
		return -EINVAL;
	bool value = cJSON_IsTrue(item);
	uint64_t truth = value;
	if (field->type == FIELD_TRUTH)
		memcpy(to, &truth, sizeof(truth));
	else
		memcpy(to, &value, sizeof(value));
	return 0;
}

static int read_value(const struct field *field, const cJSON *object, const cJSON *item, void *base, const char **ret_bad);

static int read_list(const struct field *field, const cJSON *list, void *base, const char **ret_bad)
{
	if (!cJSON_IsArray(list))
		return -EINVAL;
	uint32_t count = 0, max = field->size / field->stride;
	const cJSON *item;
	cJSON_ArrayForEach(item, list) {
		if (count == max)
			return -EINVAL;
		char *at = (char *)base + field->offset + (size_t)count * field->stride;
		int error = is_bare(field->inner) ? read_value(&field->inner->each[0], NULL, item, at, ret_bad) : fields_read(field->inner, item, at, ret_bad);
		if (error < 0)
			return error;
		count++;
	}
	memcpy((char *)base + field->count_offset, &count, sizeof(count));
	return 0;
}

static int read_value(const struct field *field, const cJSON *object, const cJSON *item, void *base, const char **ret_bad)
{
	char *at = (char *)base + field->offset;
	switch (field->type) {
	case FIELD_SECONDS:
	case FIELD_AMOUNT:
	case FIELD_UNSIGNED:
	case FIELD_SIGNED:
	case FIELD_DOUBLE:
	case FIELD_PERMILLE:
		return read_number(field, item, at);
	case FIELD_TRUTH:
	case FIELD_BOOL:
		return read_bool(field, item, at);
	case FIELD_OBJECT:
		return fields_read(field->inner, item, at, ret_bad);
	case FIELD_LIST:
		return read_list(field, item, base, ret_bad);
	default:
		return read_string(field, object, item, at);
	}
}

static int read_field(const struct field *field, const cJSON *object, void *to, const char **ret_bad)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, field->name);
	bool can_be_unknown = field->type == FIELD_SECONDS || field->type == FIELD_AMOUNT || field->type == FIELD_TRUTH;
	if (item && !cJSON_IsNull(item))
		return read_value(field, object, item, to, ret_bad);
	if (field->flags & FIELD_NEEDED)
		return -EINVAL;

	uint64_t unknown = UNKNOWN;
	if (can_be_unknown && !(field->flags & FIELD_OMIT))
		memcpy((char *)to + field->offset, &unknown, sizeof(unknown));
	return 0;
}

int fields_read(const struct fields *fields, const cJSON *object, void *to, const char **ret_bad)
{
	if (!cJSON_IsObject(object))
		return -EINVAL;
	for (uint32_t i = 0; i < fields->count; i++) {
		int error = read_field(&fields->each[i], object, to, ret_bad);
		if (error < 0) {
			if (ret_bad && !*ret_bad)
				*ret_bad = fields->each[i].name;
			return error;
		}
	}
	const struct fields *more = fields->by_type ? rows_by_type(fields, to) : NULL;
	return more ? fields_read(more, object, to, ret_bad) : 0;
}
