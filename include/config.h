/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration after parsing: one flat struct, const once loaded, replaced as a whole by a reload. The table that
 * says each key's name, type, unit, default, range and help is agent/core/config_table.c; parsing, `check`, the
 * reference in docs/ and the error messages are made from it.
 */
#ifndef NODEMEND_CONFIG_H
#define NODEMEND_CONFIG_H

#include <stdio.h>

#include "mask.h"
#include "policy.h"

/* By name, as doctor lists them; the same order as agent/collect/collect.c. */
enum collector_id {
	COLLECTOR_CPU,
	COLLECTOR_MEMORY,
	COLLECTOR_PSI,
	COLLECTOR_FILESYSTEM,
	COLLECTOR_DISK,
	COLLECTOR_INTERFACE,
	COLLECTOR_SYSCALL,
	COLLECTOR_TASK,
	COLLECTOR_FSWRITE,
	COLLECTOR_PROCESS,
	COLLECTOR_CGROUP,
	COLLECTOR_UNIT,
	COLLECTOR_COUNT,
};
extern const char *const collector_names[COLLECTOR_COUNT];

/* StatsD lines over a unix datagram socket. */
struct statsd_settings {
	char socket[108];                  /* "" = none; as long as a unix socket's path may be */
	char group[NAME_LEN];              /* "" = root's */
	uint32_t mode, max_series;
	uint64_t max_age_ns;
};

/* In the order of the words for them. */
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNALD, LOG_FORMAT_COUNT };

struct config {
	char node[NAME_LEN];               /* never empty: the host's name where the file says nothing */
	uint64_t interval_ns;
	enum mode mode;                    /* ceiling */
	uint64_t startup_grace_ns;         /* no act before the agent is this old */
	char listen[NAME_LEN];             /* "" = no HTTP */
	double budget_cpu_percent;
	uint64_t budget_memory_bytes;
	bool collectors[COLLECTOR_COUNT];
	char systemd_bus[PATH_LEN];        /* D-Bus address; "" = the system bus */
	char publisher_user[NAME_LEN];     /* "nodemend"; falls back to nobody where it does not exist */
	uint32_t max_processes_shown;      /* per-process series in the outputs */
	struct statsd_settings statsd;
	enum log_format log_format;
	uint32_t log_level;                /* as syslog counts: 3 error, 4 warning, 6 info, 7 debug */
	struct mask_rules mask;
	struct protection protect;
	uint32_t policy_count;
	struct policy policies[MAX_POLICIES];
};

/* One fault: file:line:column: what, and what would be right. */
struct config_fault {
	char file[PATH_LEN];
	uint32_t line, column;   /* from 1; 0 = the file as a whole */
	char text[256];
};

struct config_faults {
	uint32_t count, cut;
	struct config_fault each[64];
};

/* Embedded defaults, and the shipped policies (all in shadow). Of the policies only the first policy_count are ever written or read. */
void config_defaults(struct config *config);
/* Copies what is in use. */
void config_copy(struct config *to, const struct config *from);

/*
 * Reads `path` (NULL: /etc/nodemend/nodemend.yaml and the .yaml files of conf.d beside it, where they exist) over the defaults. The
 * first file that names `policies` replaces the shipped ones, the next ones add theirs. 0; or -EINVAL with at least one fault and *ret
 * as the defaults.
 */
int config_load(const char *path, struct config *ret, struct config_faults *faults);
/* The same for text in memory, over the defaults, too; `name` stands for the file in faults. Never reads beyond `size`; for tests and
 * fuzzing. */
int config_parse(const char *name, const char *text, size_t size, struct config *config, struct config_faults *faults);

enum { CONFIG_MAX_FILES = 64 };
/* The files of a folder (NULL: /etc/nodemend) in the order in which they are read: nodemend.yaml, then conf.d's by name. How many
 * there are; those beyond `room` are counted, not named. */
uint32_t config_places(const char *folder, char (*ret_paths)[PATH_LEN], uint32_t room);
/* config_load(NULL) for another folder. */
int config_load_folder(const char *folder, struct config *ret, struct config_faults *faults);

/* Adds one; beyond the room they are counted in `cut`. */
void config_fault(struct config_faults *faults, const char *file, uint32_t line, uint32_t column, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* Somebody's text in double quotes, cut to fit and with every character that could steer a terminal escaped. Returns `buffer`. */
enum { CONFIG_SHOWN_LEN = 72 };
const char *config_shown(char buffer[CONFIG_SHOWN_LEN], const char *text);
/* Whether a text has none of them. */
bool config_is_plain(const char *text);

void config_print_faults(const struct config_faults *faults, FILE *out);
/* The reference for docs/, in Markdown, from the tables. */
void config_print_reference(FILE *out);

#endif
