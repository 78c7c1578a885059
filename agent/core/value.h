/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One setting: a row of a table that says a key's name, type, place, default, range and help. Reading, checking, error messages
 * and the reference in docs/ are all made from such rows; config_table.c and policy_table.c hold them.
 */
#ifndef NODEMEND_CORE_VALUE_H
#define NODEMEND_CORE_VALUE_H

#include "core/yaml.h"

enum value_type {
	VALUE_STRING,
	VALUE_PATH,       /* absolute and normalised */
	VALUE_ADDRESS,    /* host:port, the host numeric: nothing here asks a name server */
	VALUE_URL,        /* http://host:port/path, likewise */
	VALUE_BOOL,
	VALUE_COUNT,      /* uint32_t or uint64_t */
	VALUE_BYTES,      /* uint64_t */
	VALUE_DURATION,   /* uint64_t, nanoseconds */
	VALUE_PERCENT,    /* double */
	VALUE_TIMES,      /* 3 or 3x: double */
	VALUE_CHOICE,     /* one of `choices`, by index; "" is no choice */
	VALUE_CHOICES,    /* one or a list of them: a bit mask */
	VALUE_MODE,       /* 0660: uint32_t, permissions in octal */
	VALUE_LIST,       /* strings; appended to what is there */
	VALUE_PATTERNS,   /* the same, each a PCRE2 that compiles */
	VALUE_REGEX,      /* one text that is a PCRE2 that compiles */
	VALUE_RATE,       /* 3/1h: struct budget */
	VALUE_SAMPLES,    /* 8/10: struct sample_window */
	VALUE_WINDOW,     /* 02:00-04:00: struct day_window */
	VALUE_THRESHOLD,  /* 90, {above: 90, clear: 85} or {warning: 80, critical: 90, …}: struct threshold in `unit` */
	VALUE_SECTION,    /* settings of its own, placed from `offset` on */
	VALUE_CUSTOM,     /* `read` does it; with a `section`, by that one too: its defaults and its reference are made as ever */
	VALUE_LATER,      /* a name that is reserved: said to be unknown in this version */
	VALUE_TYPE_COUNT,
};

struct reader;
struct section;

struct setting {
	const char *name;
	enum value_type type;
	bool required;
	bool above;                  /* threshold: trouble lies above */
	enum value_type unit;        /* threshold */
	uint32_t offset, size;       /* of the member; list: of one element */
	uint32_t room, count_offset; /* list */
	uint32_t tag;                /* the table's own: which measure, which remedies */
	double min, max;             /* in the base unit; max 0 = unbounded */
	const char *const *choices;
	uint32_t choice_count;
	const uint32_t *choice_values; /* NULL: the index itself */
	const struct section *section;
	void (*read)(struct reader *reader, const struct yaml_item *item, void *base);
	const char *initial;         /* default as it would be written; NULL = zero, or nothing */
	const char *help;
};

struct section {
	const char *name;            /* as messages call it */
	const char *help;
	const struct setting *settings;
	uint32_t count;
};

#define SECTION(name_, help_, settings_) \
	{ .name = (name_), .help = (help_), .settings = (settings_), .count = sizeof(settings_) / sizeof((settings_)[0]) }
#define MEMBER(type_, member_) .offset = offsetof(type_, member_), .size = sizeof(((type_ *)0)->member_)
#define CHOICES(names_) .choices = (names_), .choice_count = sizeof(names_) / sizeof((names_)[0])

/* Where a reading stands and where its faults go; `context` is the caller's own, for custom readers. */
struct reader {
	const char *file;
	struct config_faults *faults;
	void *context;
	bool reads_files;            /* whether what values name may be looked at: not where a text is only tried */
};
void reader_fault(struct reader *reader, const struct yaml_item *at, const char *format, ...) __attribute__((format(printf, 3, 4)));

enum { VALUE_WHY_LEN = 160, VALUE_TEXT_LEN = 64 };

/* Sets one scalar value from its text. 0; or -EINVAL and in `why` what would be right. */
int value_set_text(const struct setting *setting, const char *text, void *base, char why[VALUE_WHY_LEN]);
/* The text of a number in the setting's unit: "10m", "2GiB", "90". Returns `buffer`. */
const char *value_format(enum value_type type, double value, char buffer[VALUE_TEXT_LEN]);
/* "any path", "50ms to 1m", "cpu, memory, io": what a setting takes, for messages and the reference. */
void value_describe(const struct setting *setting, char *buffer, size_t size);
/* Why `path` is not absolute and normalised; NULL when it is. */
const char *path_problem(const char *path);

/* Fills in every default of a section and of the sections in it. */
void section_defaults(const struct section *section, void *base);
/* Reads a mapping into `base`; each fault is reported and the rest still read. Returns the bits of the settings that were given. */
uint64_t section_read(struct reader *reader, const struct section *section, const struct yaml_item *mapping, void *base);
/* threshold.c: the mapping forms of VALUE_THRESHOLD. */
void threshold_read(struct reader *reader, const struct setting *setting, const struct yaml_item *mapping, void *base);
const struct setting *section_find(const struct section *section, const char *name);
/* Says that `key` is not known in `section`, and which known one was probably meant. */
void section_unknown_key(struct reader *reader, const struct section *section, const struct yaml_item *key);

/* What VALUE_WINDOW sets; the same members in the same order as struct policy's blocked_by has them. */
struct day_window { bool has_window; uint16_t from_min, to_min; };

#endif
