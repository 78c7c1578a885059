/* SPDX-License-Identifier: Apache-2.0 */
/* See template.h. Where JSON is wanted, what is none is refused first: from then on {{ can only stand inside a string. */
#include "push/template.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

struct place { uint32_t line, column; };

/* Columns count characters, as an editor does. */
static struct place place_of(const char *text, size_t at)
{
	struct place place = { 1, 1 };
	for (size_t i = 0; i < at; i++) {
		if (text[i] == '\n')
			place = (struct place){ place.line + 1, 1 };
		else if (((unsigned char)text[i] & 0xc0) != 0x80)
			place.column++;
	}
	return place;
}

/* cJSON lets a bare line end stand in a string; whoever is sent it does not. `size` where there is none. */
static size_t find_bare_control(const char *text, size_t size)
{
	bool inside = false;
	for (size_t i = 0; i < size; i++) {
		if (inside && (unsigned char)text[i] < ' ')
			return i;
		if (inside && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			inside = !inside;
	}
	return size;
}

static int check_size(const char *file, const char *text, size_t size, struct config_faults *faults)
{
	if (size > TEMPLATE_MAX_SIZE || memchr(text, 0, size)) {
		config_fault(faults, file, 0, 0, size > TEMPLATE_MAX_SIZE ? "a template has at most 64 KiB" : "a template is text, without NUL");
		return -EINVAL;
	}
	return 0;
}

static int check_json(const char *file, const char *text, size_t size, struct config_faults *faults)
{
	const char *end = text;
	cJSON *json = cJSON_ParseWithLengthOpts(text, size, &end, 0);
	/* With a length cJSON does not look behind the document. */
	size_t at = end >= text && end <= text + size ? (size_t)(end - text) : size;
	while (json && at < size && strchr(" \t\r\n", text[at]))
		at++;
	if (json && at == size)
		at = find_bare_control(text, size);
	bool whole = json && at == size;
	cJSON_Delete(json);
	if (whole)
		return 0;
	struct place place = place_of(text, at);
	config_fault(faults, file, place.line, place.column, "not JSON from here on; a template is one JSON document with {{field}} in its strings");
	return -EINVAL;
}

static bool is_blank(char letter)
{
	return letter == ' ' || letter == '\t';
}

/* The field of "{{ name }}" whose inside is text[start, end). */
static const struct message_field *read_field(const char *file, const char *text, size_t start, size_t end, struct config_faults *faults)
{
	while (start < end && is_blank(text[start]))
		start++;
	while (end > start && is_blank(text[end - 1]))
		end--;
	const struct message_field *field = message_field_find(text + start, end - start);
	if (field)
		return field;

	struct place place = place_of(text, start);
	char name[64], shown[CONFIG_SHOWN_LEN];
	size_t length = end - start < sizeof(name) - 1 ? end - start : sizeof(name) - 1;
	memcpy(name, text + start, length);
	name[length] = '\0';
	config_fault(faults, file, place.line, place.column, "unknown field %s; docs/outputs.md lists the known ones", config_shown(shown, name));
	return NULL;
}

static int read_parts(const char *file, const char *text, size_t size, struct template *ret, struct config_faults *faults)
{
	int error = 0;
	size_t at = 0;
	for (;;) {
		const char *open = memmem(text + at, size - at, "{{", 2);
		struct template_part *part = &ret->parts[ret->count++];
		size_t start = open ? (size_t)(open - text) : size;
		*part = (struct template_part){ .start = (uint32_t)at, .length = (uint32_t)(start - at) };
		if (!open)
			return error;

		const char *close = memmem(open, size - start, "}}", 2);
		const char *end = memchr(open, ret->form == TEMPLATE_JSON ? '"' : '\n', size - start);
		struct place place = place_of(text, start);
		if (!close || (end && end < close)) {
			config_fault(faults, file, place.line, place.column, "{{ without }} in the same %s", ret->form == TEMPLATE_JSON ? "string" : "line");
			return -EINVAL;
		}
		if (ret->count > TEMPLATE_MAX_FIELDS) {
			config_fault(faults, file, place.line, place.column, "more than %d fields in a template", TEMPLATE_MAX_FIELDS);
			return -EINVAL;
		}
		part->field = read_field(file, text, start + 2, (size_t)(close - text), faults);
		if (!part->field)
			error = -EINVAL;
		at = (size_t)(close - text) + 2;
	}
}

int template_read(enum template_form form, const char *file, const char *text, size_t size, struct template *ret, struct config_faults *faults)
{
	struct template template = { .form = form };
	int error = check_size(file, text, size, faults);
	if (!error && form == TEMPLATE_JSON)
		error = check_json(file, text, size, faults);
	if (!error)
		error = read_parts(file, text, size, &template, faults);
	if (error)
		return error;
	template.text = malloc(size + 1);
	if (!template.text)
		return -ENOMEM;
	memcpy(template.text, text, size);
	template.text[size] = '\0';
	*ret = template;
	return 0;
}

void template_free(struct template *template)
{
	free(template->text);
	*template = (struct template){ 0 };
}

void template_write(const struct template *template, const struct message *message, struct text *out)
{
	struct text value = { 0 };
	for (uint32_t i = 0; i < template->count; i++) {
		const struct template_part *part = &template->parts[i];
		text_append(out, template->text + part->start, part->length);
		if (!part->field)
			continue;
		text_reset(&value);
		part->field->write(message, &value);
		text_append(&value, "", 1);
		if (!value.failed && template->form == TEMPLATE_JSON)
			text_label_value(out, value.data); /* JSON's escapes, without the quotes */
		else if (!value.failed)
			text_string(out, value.data);
		out->failed |= value.failed;
	}
	text_free(&value);
}
