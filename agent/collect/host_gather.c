/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples come device by device and leave family by family. Each family keeps a chain of its rows, in the order in which they came;
 * labels stand in one pool of text until they are written.
 */
#include "collect/host.h"
#include "core/pages.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	MAX_FAMILIES = 2048,
	MAX_ROWS = 32768,
	POOL_BYTES = 4 << 20,
	HASH_SLOTS = 2 * MAX_FAMILIES,
	NAME_MAX_LEN = 256,
	HELP_MAX_LEN = 1024,
};

struct family {
	uint32_t name, help, name_size, help_size; /* places in the pool */
	uint32_t first, last, rows, bytes;
	uint8_t type;
};

struct row {
	double value;
	uint32_t next, labels, label_bytes;
	uint8_t label_count, suffix;
};

struct host_gather {
	const char *help;
	uint32_t cut, families_used, rows_used, pool_used;
	uint16_t slots[HASH_SLOTS];              /* index + 1 */
	struct family families[MAX_FAMILIES];
	struct row rows[MAX_ROWS];
	char pool[POOL_BYTES];
};

struct host_gather *host_gather_new(void)
{
	return pages_new(1, sizeof(struct host_gather));
}

void host_gather_free(struct host_gather *gather)
{
	pages_free(gather);
}

void host_gather_reset(struct host_gather *gather, const char *help)
{
	gather->help = help;
	gather->families_used = gather->rows_used = gather->pool_used = 0;
	pages_clear(gather->slots, sizeof(gather->slots));
}

uint32_t host_gather_cut(const struct host_gather *gather)
{
	return gather->cut;
}

static size_t padded(size_t size)
{
	return (size + SERIES_ALIGN - 1) / SERIES_ALIGN * SERIES_ALIGN;
}

/* NO_INDEX: the pool is full. */
static uint32_t keep(struct host_gather *gather, const char *text, size_t size)
{
	if (size > POOL_BYTES - gather->pool_used)
		return NO_INDEX;
	uint32_t at = gather->pool_used;
	memcpy(gather->pool + at, text, size);
	gather->pool_used += (uint32_t)size;
	return at;
}

/* FNV-1a. */
static uint32_t hash(const char *name)
{
	uint32_t value = 2166136261U;
	for (; *name; name++)
		value = (value ^ (unsigned char)*name) * 16777619U;
	return value;
}

static struct family *add_family(struct host_gather *gather, const char *name, const char *help, enum series_type type)
{
	char own[HELP_MAX_LEN];
	size_t name_size = strlen(name) + 1;
	if (gather->families_used == MAX_FAMILIES || name_size > NAME_MAX_LEN)
		return NULL;
	if (!help) {
		snprintf(own, sizeof(own), "%s.", gather->help ? gather->help : "");
		help = own;
	}
	size_t help_size = strnlen(help, HELP_MAX_LEN - 1) + 1;

	struct family *family = &gather->families[gather->families_used];
	*family = (struct family){ .name_size = (uint32_t)name_size, .help_size = (uint32_t)help_size, .first = NO_INDEX, .type = type };
	family->bytes = (uint32_t)padded(sizeof(struct series_family) + name_size + help_size);
	family->name = keep(gather, name, name_size);
	family->help = family->name == NO_INDEX ? NO_INDEX : keep(gather, help, help_size);
	if (family->help == NO_INDEX)
		return NULL;
	gather->pool[family->help + help_size - 1] = '\0';
	gather->families_used++;
	return family;
}

static struct family *find_family(struct host_gather *gather, const char *name, const char *help, enum series_type type)
{
	uint32_t slot = hash(name) % HASH_SLOTS;

	for (; gather->slots[slot]; slot = (slot + 1) % HASH_SLOTS) {
		struct family *family = &gather->families[gather->slots[slot] - 1];
		if (strcmp(gather->pool + family->name, name) == 0)
			return family;
	}
	struct family *family = add_family(gather, name, help, type);
	if (family)
		gather->slots[slot] = (uint16_t)gather->families_used;
	return family;
}

static bool keep_labels(struct host_gather *gather, const struct host_label *labels, uint32_t count, struct row *row)
{
	uint32_t begin = gather->pool_used;

	if (count > SERIES_MAX_LABELS)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (keep(gather, labels[i].name, strlen(labels[i].name) + 1) == NO_INDEX ||
		    keep(gather, labels[i].value, strlen(labels[i].value) + 1) == NO_INDEX) {
			gather->pool_used = begin;
			return false;
		}
	}
	row->labels = begin;
	row->label_bytes = gather->pool_used - begin;
	row->label_count = (uint8_t)count;
	return true;
}

int host_put_full(struct host *host, const char *name, const char *help, enum series_type type, enum series_suffix suffix,
	double value, const struct host_label *labels, uint32_t count)
{
	struct host_gather *gather = host->out;
	struct family *family = find_family(gather, name, help, type);
	if (family && family->type != type)
		return -EEXIST;

	struct row row = { .value = value, .next = NO_INDEX, .suffix = suffix };
	if (!family || gather->rows_used == MAX_ROWS || !keep_labels(gather, labels, count, &row)) {
		gather->cut++;
		return 0;
	}
	uint32_t index = gather->rows_used++;
	gather->rows[index] = row;
	if (family->first == NO_INDEX)
		family->first = index;
	else
		gather->rows[family->last].next = index;
	family->last = index;
	family->rows++;
	family->bytes += (uint32_t)padded(sizeof(struct series_sample) + row.label_bytes);
	return 0;
}

void host_put(struct host *host, const char *family, enum series_type type, double value, const struct host_label *labels, uint32_t count)
{
	(void)host_put_full(host, family, NULL, type, SERIES_PLAIN, value, labels, count); /* a reader of ours names a family once */
}

/* Copies, and pads with zeros: no byte of the section is left as it was. */
static char *append(char *at, const void *data, size_t size)
{
	memcpy(at, data, size);
	return at + size;
}

static char *pad(char *at, const char *begin)
{
	size_t size = (size_t)(at - begin), more = padded(size) - size;
	memset(at, 0, more);
	return at + more;
}

static void write_family(const struct host_gather *gather, const struct family *family, char *begin)
{
	struct series_family head = { .size = family->bytes, .samples = family->rows, .name_size = (uint16_t)family->name_size,
				      .help_size = (uint16_t)family->help_size, .type = family->type };
	char *at = append(begin, &head, sizeof(head));
	at = append(at, gather->pool + family->name, family->name_size);
	at = pad(append(at, gather->pool + family->help, family->help_size), begin);

	for (uint32_t i = family->first; i != NO_INDEX; i = gather->rows[i].next) {
		const struct row *row = &gather->rows[i];
		struct series_sample sample = { .value = row->value, .labels = row->label_count, .suffix = row->suffix,
						.size = (uint32_t)padded(sizeof(sample) + row->label_bytes) };
		char *start = at;
		at = append(at, &sample, sizeof(sample));
		at = pad(append(at, gather->pool + row->labels, row->label_bytes), start);
	}
}

void host_gather_write(struct host_gather *gather, const struct series_block *head, char *to, size_t size, size_t *used)
{
	struct series_block block = *head;
	size_t at = *used + sizeof(block);
	if (at > size)
		return;

	for (uint32_t i = 0; i < gather->families_used; i++) {
		const struct family *family = &gather->families[i];
		if (!family->rows)
			continue;
		if (family->bytes > size - at) {
			gather->cut += family->rows;
			continue;
		}
		write_family(gather, family, to + at);
		at += family->bytes;
	}
	block.size = (uint32_t)(at - *used);
	memcpy(to + *used, &block, sizeof(block));
	*used = at;
}
