/* SPDX-License-Identifier: Apache-2.0 */
/* The part of value.h that reads whole mappings: which key is which setting, what is missing, and what was probably meant. */
#include "core/value.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy.h"

void reader_fault(struct reader *reader, const struct yaml_item *at, const char *format, ...)
{
	char text[sizeof(reader->faults->each[0].text)];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	config_fault(reader->faults, reader->file, at->line, at->column, "%s", text);
}

const struct setting *section_find(const struct section *section, const char *name)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (strcmp(section->settings[i].name, name) == 0)
			return &section->settings[i];
	return NULL;
}

void section_defaults(const struct section *section, void *base)
{
	char why[VALUE_WHY_LEN];
	for (uint32_t i = 0; i < section->count; i++) {
		const struct setting *setting = &section->settings[i];
		if (setting->section)
			section_defaults(setting->section, (char *)base + setting->offset);
		else if (setting->initial && value_set_text(setting, setting->initial, base, why) < 0)
			assert(!"a default in the tables is not valid"); /* test_config reads them all */
	}
}

/* --- unknown keys ------------------------------------------------------------------------------------------------------ */

static uint32_t smallest(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t least = a < b ? a : b;
	return least < c ? least : c;
}

static char fold(char letter)
{
	return letter == '-' ? '_' : letter >= 'A' && letter <= 'Z' ? (char)(letter | 0x20) : letter;
}

/* Edits between two words (Levenshtein), with - and _ and upper and lower case the same; words too long to be a slip are far away. */
static uint32_t edit_distance(const char *a, const char *b)
{
	enum { LONGEST = 32 };
	uint32_t row[LONGEST + 1], length = (uint32_t)strlen(b);
	if (strlen(a) > LONGEST || length > LONGEST)
		return LONGEST;

	for (uint32_t j = 0; j <= length; j++)
		row[j] = j;
	for (uint32_t i = 1; a[i - 1]; i++) {
		uint32_t diagonal = row[0];
		row[0] = i;
		for (uint32_t j = 1; j <= length; j++) {
			uint32_t above = row[j];
			row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (fold(a[i - 1]) != fold(b[j - 1])));
			diagonal = above;
		}
	}
	return row[length];
}

static const struct setting *nearest_setting(const struct section *section, const char *name)
{
	const struct setting *nearest = NULL;
	uint32_t least = 2 + (uint32_t)strlen(name) / 4; /* a slip or two; more is another word */
	for (uint32_t i = 0; i < section->count; i++) {
		uint32_t distance = edit_distance(name, section->settings[i].name);
		if (section->settings[i].type != VALUE_LATER && distance < least) {
			nearest = &section->settings[i];
			least = distance;
		}
	}
	return nearest;
}

void section_unknown_key(struct reader *reader, const struct section *section, const struct yaml_item *key)
{
	char shown[CONFIG_SHOWN_LEN], known[160] = "";
	const struct setting *nearest = nearest_setting(section, key->text);
	size_t used = 0;
	if (nearest) {
		reader_fault(reader, key, "unknown key %s in %s; did you mean %s?", config_shown(shown, key->text), section->name,
			     nearest->name);
		return;
	}
	for (uint32_t i = 0; i < section->count && used < sizeof(known); i++)
		if (section->settings[i].type != VALUE_LATER)
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", section->settings[i].name);
	if (used >= sizeof(known))
		memcpy(known + sizeof(known) - 4, "...", 4);
	reader_fault(reader, key, "unknown key %s in %s; known: %s", config_shown(shown, key->text), section->name, known);
}

/* --- values in their places -------------------------------------------------------------------------------------------- */

static void set_or_fault(struct reader *reader, const struct setting *setting, const struct yaml_item *item, void *base)
{
	char why[VALUE_WHY_LEN];
	if (item->kind != ITEM_SCALAR)
		reader_fault(reader, item, "%s: a %s where one value is wanted", setting->name,
			     item->kind == ITEM_LIST ? "list" : "mapping");
	else if (yaml_is_null(item))
		reader_fault(reader, item, "%s: no value; give one, or remove the key", setting->name);
	else if (value_set_text(setting, item->text, base, why) < 0)
		reader_fault(reader, item, "%s: %s", setting->name, why);
}

static void read_listed(struct reader *reader, const struct setting *setting, const struct yaml_item *item, void *base)
{
	if (item->kind != ITEM_LIST) {
		set_or_fault(reader, setting, item, base);
		return;
	}
	for (const struct yaml_item *member = item->first; member; member = member->next)
		set_or_fault(reader, setting, member, base);
}

static void read_setting(struct reader *reader, const struct setting *setting, const struct yaml_item *item, void *base)
{
	switch (setting->type) {
	case VALUE_LATER:
		reader_fault(reader, item->key, "%s is not known in this version; remove it (%s)", setting->name, setting->help);
		break;
	case VALUE_CUSTOM:
		setting->read(reader, item, base);
		break;
	case VALUE_SECTION:
		section_read(reader, setting->section, item, (char *)base + setting->offset);
		break;
	case VALUE_LIST:
	case VALUE_PATTERNS:
	case VALUE_CHOICES:
		read_listed(reader, setting, item, base);
		break;
	case VALUE_THRESHOLD:
		if (item->kind == ITEM_MAPPING)
			threshold_read(reader, setting, item, base);
		else
			set_or_fault(reader, setting, item, base);
		break;
	default:
		set_or_fault(reader, setting, item, base);
	}
}

static void report_missing(struct reader *reader, const struct section *section, const struct yaml_item *mapping, uint64_t given)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (section->settings[i].required && !(given >> i & 1))
			reader_fault(reader, mapping, "%s: %s is missing: %s", section->name, section->settings[i].name,
				     section->settings[i].help ? section->settings[i].help : "it has no default");
}

uint64_t section_read(struct reader *reader, const struct section *section, const struct yaml_item *mapping, void *base)
{
	if (mapping->kind != ITEM_MAPPING) {
		reader_fault(reader, mapping, "%s: %s where a mapping (key: value) is wanted", section->name,
			     yaml_is_null(mapping)	  ? "nothing"
			     : mapping->kind == ITEM_LIST ? "a list"
							  : "one value");
		return 0;
	}

	uint64_t given = 0;
	for (const struct yaml_item *member = mapping->first; member; member = member->next) {
		const struct setting *setting = section_find(section, member->key->text);
		if (!setting) {
			section_unknown_key(reader, section, member->key);
			continue;
		}
		given |= 1ULL << (setting - section->settings);
		read_setting(reader, setting, member, base);
	}
	report_missing(reader, section, mapping, given);
	return given;
}
