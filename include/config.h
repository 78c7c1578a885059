/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration after parsing: one flat struct, const once loaded, replaced as a whole by a reload. The table that
 * says each key's name, type, unit, default, range and help is agent/core/config_table.c; parsing, `check`, the
 * reference in docs/ and the error messages are made from it.
 */
#ifndef NODEMEND_CONFIG_H
#define NODEMEND_CONFIG_H

#include <stdio.h>

#include "log_format.h"
#include "mask.h"
#include "output.h"
#include "policy.h"

/* By name, as doctor lists them; the same order as agent/collect/collect.c. */
enum collector_id {
	COLLECTOR_CPU,
	COLLECTOR_MEMORY,
	COLLECTOR_PSI,
	COLLECTOR_FILESYSTEM,
	COLLECTOR_LOG,
	COLLECTOR_DISK,
	COLLECTOR_INTERFACE,
	COLLECTOR_SYSCALL,
	COLLECTOR_TASK,
	COLLECTOR_FSWRITE,
	COLLECTOR_TCP,
	COLLECTOR_SOCKET,
	COLLECTOR_DROP,
	COLLECTOR_DNS,
	COLLECTOR_OOM,
	COLLECTOR_BLOCK,
	COLLECTOR_FSOP,
	COLLECTOR_DELETED,
	COLLECTOR_PROCESS,
	COLLECTOR_CGROUP,
	COLLECTOR_IDENTITY,
	COLLECTOR_KILL,
	COLLECTOR_RECLAIM,
	COLLECTOR_PAGECACHE,
	COLLECTOR_SCHED,
	COLLECTOR_IRQ,
	COLLECTOR_UNIT,
	COLLECTOR_HOST,
	COLLECTOR_CHANGE,
	COLLECTOR_COUNT,
};
#define TEXTFILE_DEFAULT "/var/lib/prometheus/node-exporter" /* where Debian's node_exporter looks */
extern const char *const collector_names[COLLECTOR_COUNT];

/* How the HTTP side is reached, in the shape and the words of Prometheus' web configuration. */
enum { MAX_HTTP_USERS = 16, HTTP_HASH_LEN = 64 };
enum http_client_auth { CLIENT_NONE, CLIENT_REQUEST, CLIENT_ANY, CLIENT_VERIFY_IF_GIVEN, CLIENT_VERIFY, CLIENT_AUTH_COUNT };
enum http_tls_version { TLS_1_2, TLS_1_3, TLS_VERSION_COUNT };
enum http_unprotected { UNPROTECTED_NONE, UNPROTECTED_HEALTHZ, UNPROTECTED_BOTH, UNPROTECTED_COUNT };

struct http_tls {
	char cert_file[PATH_LEN], key_file[PATH_LEN], client_ca_file[PATH_LEN]; /* "" = none; with a cert_file it is TLS */
	enum http_client_auth client_auth;
	enum http_tls_version min_version;
};

struct http_user {
	char name[NAME_LEN], hash[HTTP_HASH_LEN]; /* bcrypt */
};

struct http_auth {
	char bearer_token_file[PATH_LEN];
	uint32_t user_count;
	struct http_user users[MAX_HTTP_USERS];
	enum http_unprotected unprotected;        /* of /healthz and /readyz, who is answered without being asked who he is */
};
/* StatsD lines over a unix datagram socket. */
struct statsd_settings {
	char socket[108];                  /* "" = none; as long as a unix socket's path may be */
	char group[NAME_LEN];              /* "" = root's */
	uint32_t mode, max_series;
	uint64_t max_age_ns;
};

struct config {
	char node[NAME_LEN];               /* never empty: the host's name where the file says nothing */
	uint64_t interval_ns;
	enum mode mode;                    /* ceiling */
	uint64_t hold_down_ns;             /* an incident that comes back so soon is reopened; 0 = it never is */
	uint64_t startup_grace_ns;         /* no act before the agent is this old */
	struct budget acts_per_node, acts_per_remedy; /* of all policies together */
	char listen[NAME_LEN];             /* "" = no HTTP */
	double budget_cpu_percent;         /* of all online processors together */
	struct http_tls tls;
	struct http_auth auth;
	uint64_t budget_memory_bytes;
	uint64_t slice_cpu_ns, slice_io_bytes, slice_rss_bytes; /* a process that used so much more is told of while it lives */
	uint64_t measure_every_ns, deep_for_ns; /* deep_for 0 = never */
	bool collectors[COLLECTOR_COUNT];
	char host_root[PATH_LEN];          /* where the node's own file system is seen: "/", or a mount of it */
	uint64_t slow_syscall_ns;          /* a working system call beyond this has a record; 0 = a second */
	char systemd_bus[PATH_LEN];        /* D-Bus address; "" = the system bus */
	char journal_directory[PATH_LEN];  /* "" = where the host has it */
	char publisher_user[NAME_LEN];     /* "nodemend"; falls back to nobody where it does not exist */
	uint32_t max_processes_shown;      /* per-process series in the outputs */
	char textfile_directory[PATH_LEN]; /* "" = none */
	struct statsd_settings statsd;
	enum log_format log_format;
	uint32_t log_level;                /* as syslog counts: 3 error, 4 warning, 6 info, 7 debug */
	struct mask_rules mask;
	struct protection protect;
	uint32_t policy_count;
	struct policy policies[MAX_POLICIES];
	struct outputs outputs;            /* of routes and outputs, too, only what their counts say is ever written or read */
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
