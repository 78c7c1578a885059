/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things are pushed to, as the `outputs`, `routes` and `labels` of the configuration say: fixed-size structs without pointers,
 * so that they cross to the sender as bytes. agent/core/output_table.c holds the keys; no secret is in here, only the names of the
 * files that hold them.
 */
#ifndef NODEMEND_OUTPUT_H
#define NODEMEND_OUTPUT_H

#include "log_format.h"
#include "mask.h"
#include "record.h"

enum {
	MAX_OUTPUTS = 16,
	MAX_ROUTES = 32,
	MAX_OUTPUT_URLS = 4,
	MAX_OUTPUT_HEADERS = 8,
	MAX_RECIPIENTS = 8,
	MAX_EXTERNAL_LABELS = 16,
	URL_LEN = 512,
	FIELD_NAME_LEN = 64,      /* of a header or a label */
};

enum output_kind { OUTPUT_REMOTE_WRITE, OUTPUT_OTLP, OUTPUT_ALERTMANAGER, OUTPUT_WEBHOOK, OUTPUT_MAIL, OUTPUT_KIND_COUNT };
extern const char *const output_kind_names[OUTPUT_KIND_COUNT];

enum webhook_format { WEBHOOK_JSON, WEBHOOK_SLACK, WEBHOOK_PAGERDUTY, WEBHOOK_FORMAT_COUNT };

/* One of headers, header_files and labels. */
struct output_field { char name[FIELD_NAME_LEN], value[PATH_LEN]; };

struct output {
	enum output_kind kind;
	char name[NAME_LEN];               /* unique; a to z, 0 to 9 and -: a folder and a label are named by it */
	uint32_t line;                     /* in its file */

	/* where, and as whom */
	uint32_t url_count;
	char urls[MAX_OUTPUT_URLS][URL_LEN]; /* without user, password and fragment; mail: one, smtp or smtps */
	char url_file[PATH_LEN];           /* instead of urls, where the address itself is the secret (webhook) */
	uint32_t header_count, header_file_count;
	struct output_field headers[MAX_OUTPUT_HEADERS], header_files[MAX_OUTPUT_HEADERS]; /* of the latter the values are paths */
	char bearer_token_file[PATH_LEN], username[NAME_LEN], password_file[PATH_LEN];
	char ca_file[PATH_LEN], cert_file[PATH_LEN], key_file[PATH_LEN], server_name[NAME_LEN];

	/* how */
	uint64_t timeout_ns, connect_timeout_ns;
	uint64_t spool_bytes;              /* 0: nothing on disk */
	uint64_t max_age_ns;               /* metrics older than this are dropped rather than sent */

	/* remote-write and otlp */
	uint64_t every_ns;
	uint32_t version;                  /* remote-write: 1 or 2 */
	bool native_histograms;            /* remote-write */
	uint32_t max_samples;              /* of one request */
	bool metrics, logs, traces;        /* otlp */
	char metrics_path[NAME_LEN], logs_path[NAME_LEN], traces_path[NAME_LEN]; /* otlp; behind the URL */

	/* alertmanager and messages to people */
	char cluster[NAME_LEN];            /* alertmanager: a label; "" = none */
	uint64_t resend_ns;                /* alertmanager */
	enum webhook_format format;        /* webhook */
	char template_file[PATH_LEN];      /* webhook, mail; "" = the built-in one */
	char routing_key_file[PATH_LEN];   /* webhook, pagerduty */
	char from[NAME_LEN], to[MAX_RECIPIENTS][NAME_LEN]; /* mail */
	uint32_t to_count;
	bool starttls;                     /* mail, smtp: without TLS nothing is sent */
};

/* Which of alertmanager, webhook and mail hears of what. An output that no route names hears of everything. agent/push/router.h says
 * what each of it means. */
enum { MAX_ROUTE_POLICIES = 8, MAX_ROUTE_FLAPS = 16 };
enum route_group { GROUP_KIND, GROUP_SEVERITY, GROUP_POLICY, GROUP_RESOURCE, ROUTE_GROUP_COUNT };
struct route {
	char to[NAME_LEN];
	uint32_t output;                   /* the same, as an index into outputs */
	char file[PATH_LEN];               /* where it stands, for messages */
	uint32_t line, column;
	uint32_t severities, kinds, states; /* bit masks of their enums; never 0 */
	uint32_t policy_count;             /* 0 = all */
	char policies[MAX_ROUTE_POLICIES][NAME_LEN];
	uint32_t group_by;                 /* bit mask of enum route_group; 0 = one message an incident */
	uint64_t group_wait_ns, group_interval_ns, repeat_ns;
	uint32_t flap_count;               /* 0 = never quiet */
	uint64_t flap_within_ns;
};

struct outputs {
	char node[NAME_LEN], listen[NAME_LEN]; /* listen: of the HTTP side, for links; "" = none */
	uint32_t label_count, output_count, route_count, max_processes_shown, statsd_max_series; /* the last: 0 = no StatsD */
	enum log_format log_format;        /* how the sender logs, and what it hides */
	uint32_t log_level;
	struct mask_rules mask;
	struct output_field labels[MAX_EXTERNAL_LABELS]; /* external labels, sorted by name; `instance` and `job` always among them */
	struct route routes[MAX_ROUTES];
	struct output each[MAX_OUTPUTS];
};

/* Copies what is in use. */
void outputs_copy(struct outputs *to, const struct outputs *from);
void outputs_set_listen(struct outputs *outputs, const char *listen);
bool outputs_equal(const struct outputs *a, const struct outputs *b);

#endif
