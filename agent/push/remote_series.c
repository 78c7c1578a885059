/* SPDX-License-Identifier: Apache-2.0 */
/* See remote_series.h. */
#include "push/remote_series.h"

#include <stdlib.h>
#include <string.h>

/* --- labels ------------------------------------------------------------------------------------------------------------ */

static void insert_sorted(struct label *list, uint32_t *count, struct label label)
{
	uint32_t at = *count;
	if (*count == REMOTE_MAX_LABELS)
		return;
	for (; at > 0 && strcmp(list[at - 1].name, label.name) > 0; at--)
		list[at] = list[at - 1];
	list[at] = label;
	(*count)++;
}

static bool is_among(const struct label *labels, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(labels[i].name, name) == 0)
			return true;
	return false;
}

uint32_t series_labels(struct text *text, const struct metric *metric, const char *suffix, const struct label *labels, uint32_t count, const char *le,
		       const struct outputs *outputs)
{
	struct label list[REMOTE_MAX_LABELS];
	uint32_t used = 0, kept = 0;
	char name[320]; /* as long as a text file's may be, with its suffix */
	snprintf(name, sizeof(name), "%s%s", metric->name, suffix);
	insert_sorted(list, &used, (struct label){ "__name__", name });
	if (le)
		insert_sorted(list, &used, (struct label){ "le", le });
	for (uint32_t i = 0; i < count; i++)
		insert_sorted(list, &used, labels[i]);
	for (uint32_t i = 0; i < outputs->label_count; i++)
		if (!is_among(labels, count, outputs->labels[i].name))
			insert_sorted(list, &used, (struct label){ outputs->labels[i].name, outputs->labels[i].value });

	for (uint32_t i = 0; i < used; i++) {
		if (!list[i].value[0])
			continue; /* an empty label is none */
		text_append(text, list[i].name, strlen(list[i].name) + 1);
		text_utf8(text, list[i].value);
		text_append(text, "", 1);
		kept++;
	}
	return kept;
}

/* --- sets -------------------------------------------------------------------------------------------------------------- */

/* FNV-1a, in 32 bits. */
static uint32_t hash_bytes(const char *bytes, size_t size)
{
	uint32_t hash = 2166136261U;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ (uint8_t)bytes[i]) * 16777619U;
	return hash;
}

const char *series_set_at(const struct series_set *set, uint32_t i, size_t *ret_size)
{
	size_t end = i + 1 < set->count ? set->places[i + 1] : set->pool.length;
	*ret_size = end - set->places[i];
	return set->pool.data + set->places[i];
}

/* The slot that holds it, or the empty one where it would go. */
static uint32_t find(const struct series_set *set, const char *labels, size_t size)
{
	uint32_t slot = hash_bytes(labels, size) & (set->slots - 1);
	for (; set->table[slot]; slot = (slot + 1) & (set->slots - 1)) {
		size_t other_size;
		const char *other = series_set_at(set, set->table[slot] - 1, &other_size);
		if (other_size == size && memcmp(other, labels, size) == 0)
			break;
	}
	return slot;
}

static bool grow(struct series_set *set)
{
	uint32_t room = set->room ? set->room * 2 : 1024;
	if (room > SERIES_MAX)
		return false;
	uint32_t *places = realloc(set->places, room * sizeof(places[0]));
	if (!places)
		return false;
	set->places = places;
	uint32_t *table = calloc((size_t)room * 2, sizeof(table[0]));
	if (!table)
		return false;
	free(set->table);
	set->table = table;
	set->room = room;
	set->slots = room * 2;
	for (uint32_t i = 0; i < set->count; i++) {
		size_t size;
		const char *labels = series_set_at(set, i, &size);
		set->table[find(set, labels, size)] = i + 1;
	}
	return true;
}

bool series_set_add(struct series_set *set, const char *labels, size_t size, uint64_t *lost)
{
	if ((set->count == set->room && !grow(set)) || !text_reserve(&set->pool, size)) {
		if (lost)
			(*lost)++;
		return false;
	}
	uint32_t slot = find(set, labels, size);
	if (set->table[slot])
		return false;
	set->places[set->count++] = (uint32_t)set->pool.length;
	text_append(&set->pool, labels, size);
	set->table[slot] = set->count;
	return true;
}

uint32_t series_set_find(const struct series_set *set, const char *labels, size_t size)
{
	return set->slots ? set->table[find(set, labels, size)] : 0;
}

void series_set_empty(struct series_set *set)
{
	text_reset(&set->pool);
	set->count = 0;
	if (set->table)
		memset(set->table, 0, set->slots * sizeof(set->table[0]));
}

void series_set_free(struct series_set *set)
{
	text_free(&set->pool);
	free(set->places);
	free(set->table);
	memset(set, 0, sizeof(*set));
}
