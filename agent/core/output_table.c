/* SPDX-License-Identifier: Apache-2.0 */
/* See output_table.h: tables only. */
#include "core/output_table.h"

#define SECONDS(n) ((n) * (double)NSEC_PER_SEC)

static const char *const format_choices[] = { [WEBHOOK_JSON] = "json", [WEBHOOK_SLACK] = "slack", [WEBHOOK_PAGERDUTY] = "pagerduty" };
static const char *const severity_choices[] = {
	[SEVERITY_WARNING] = "warning", [SEVERITY_CRITICAL] = "critical", [SEVERITY_EMERGENCY] = "emergency",
};
static const char *const kind_choices[] = {
	[KIND_DISK_EXHAUSTION] = "disk_exhaustion", [KIND_MEMORY_EXHAUSTION] = "memory_exhaustion", [KIND_CPU_EXHAUSTION] = "cpu_exhaustion",
	[KIND_IO_SATURATION] = "io_saturation",	    [KIND_PROCESS_CRASH] = "process_crash",	    [KIND_SERVICE_DOWN] = "service_down",
	[KIND_SERVICE_HUNG] = "service_hung",	    [KIND_PID_EXHAUSTION] = "pid_exhaustion",	    [KIND_FD_EXHAUSTION] = "fd_exhaustion",
	[KIND_NETWORK_SATURATION] = "network_saturation", [KIND_OOM_KILL] = "oom_kill",		    [KIND_KERNEL_FAULT] = "kernel_fault",
	[KIND_LOG_PATTERN] = "log_pattern",	    [KIND_ANOMALY] = "anomaly",			    [KIND_DEPENDENCY_DOWN] = "dependency_down",
};
static const char *const state_choices[] = {
	[INCIDENT_OPEN] = "open", [INCIDENT_MENDING] = "mending", [INCIDENT_RESOLVED] = "resolved", [INCIDENT_NEEDS_HUMAN] = "needs_human",
};
static const char *const group_choices[] = {
	[GROUP_KIND] = "kind", [GROUP_SEVERITY] = "severity", [GROUP_POLICY] = "policy", [GROUP_RESOURCE] = "resource",
};

#define FILE_OF(name_, member_, help_) { .name = (name_), .type = VALUE_PATH, MEMBER(struct output, member_), .min = 1, .help = (help_) }

static const struct setting delivery_settings[] = {
	{ .name = "name", .type = VALUE_STRING, .required = true, MEMBER(struct output, name), .min = 1,
	  .help = "unique; a to z, 0 to 9 and -; metrics and the spool's folder are named by it" },
	{ .name = "url", .type = VALUE_CUSTOM, .read = output_read_url, .help = "where to: http:// or https://, host, port and path" },
	{ .name = "urls", .type = VALUE_CUSTOM, .read = output_read_url, .help = "several of them, up to 4; each gets everything" },
	{ .name = "headers", .type = VALUE_CUSTOM, .read = output_read_headers, .help = "a mapping, up to 8; not for secrets" },
	{ .name = "header_files", .type = VALUE_CUSTOM, .read = output_read_header_files,
	  .help = "likewise, each value the path of a file that holds it" },
	FILE_OF("bearer_token_file", bearer_token_file, "holds the token; read again every minute and after a 401, so it may rotate"),
	{ .name = "username", .type = VALUE_STRING, MEMBER(struct output, username), .min = 1, .help = "for basic authentication" },
	FILE_OF("password_file", password_file, "holds the password; likewise"),
	FILE_OF("ca_file", ca_file, "whom to trust instead of the host's certificate authorities, PEM"),
	FILE_OF("cert_file", cert_file, "the client's certificate, PEM"),
	FILE_OF("key_file", key_file, "its key, PEM"),
	{ .name = "server_name", .type = VALUE_STRING, MEMBER(struct output, server_name), .min = 1,
	  .help = "the name that the server's certificate must carry, where it is not the URL's" },
	{ .name = "timeout", .type = VALUE_DURATION, MEMBER(struct output, timeout_ns), .min = 0.1 * NSEC_PER_SEC, .max = SECONDS(300),
	  .initial = "10s", .help = "for a whole request" },
	{ .name = "connect_timeout", .type = VALUE_DURATION, MEMBER(struct output, connect_timeout_ns), .min = 0.1 * NSEC_PER_SEC, .max = SECONDS(60),
	  .initial = "5s", .help = "for name, connection and TLS" },
	{ .name = "spool", .type = VALUE_BYTES, MEMBER(struct output, spool_bytes), .max = 64.0 * 1024 * 1024 * 1024, .initial = "64MiB",
	  .help = "on disk for what cannot be delivered yet, each address its own; the oldest is dropped first; 0: none" },
	{ .name = "max_age", .type = VALUE_DURATION, MEMBER(struct output, max_age_ns), .min = SECONDS(1), .max = SECONDS(30.0 * 86400),
	  .initial = "1h", .help = "metrics older than this are dropped rather than sent" },
};
const struct section delivery_section = SECTION("output", "What every output takes.", delivery_settings);

#define EVERY { .name = "every", .type = VALUE_DURATION, MEMBER(struct output, every_ns), .min = 0.1 * NSEC_PER_SEC, .max = SECONDS(3600), \
	.initial = "15s", .help = "between two sendings of the newest snapshot; rounded to the agent's interval" }
#define SAMPLES { .name = "max_samples", .type = VALUE_COUNT, MEMBER(struct output, max_samples), .min = 10, .max = 100000, .initial = "2000", \
	.help = "in one request" }

static const uint32_t version_values[] = { 1, 2 };
static const char *const version_choices[] = { "1", "2" };

static const struct setting remote_write_settings[] = {
	EVERY,
	{ .name = "version", .type = VALUE_CHOICE, MEMBER(struct output, version), CHOICES(version_choices), .choice_values = version_values,
	  .initial = "1", .help = "of the protocol; from 2 it falls back to 1 where the receiver says 415" },
	{ .name = "native_histograms", .type = VALUE_BOOL, MEMBER(struct output, native_histograms), .initial = "false",
	  .help = "send histograms as native ones, too; the receiver must have them enabled" },
	SAMPLES,
};
#define PATH(name_, member_, initial_) { .name = (name_), .type = VALUE_STRING, MEMBER(struct output, member_), .initial = (initial_), \
	.help = "put behind the URL; \"\": the URL is whole" }

static const struct setting otlp_settings[] = {
	EVERY,
	{ .name = "metrics", .type = VALUE_BOOL, MEMBER(struct output, metrics), .initial = "true", .help = "send metrics" },
	{ .name = "logs", .type = VALUE_BOOL, MEMBER(struct output, logs), .initial = "true", .help = "send incidents and actions as log records" },
	{ .name = "traces", .type = VALUE_BOOL, MEMBER(struct output, traces), .initial = "true", .help = "send each incident as a trace" },
	PATH("metrics_path", metrics_path, "/v1/metrics"),
	PATH("logs_path", logs_path, "/v1/logs"),
	PATH("traces_path", traces_path, "/v1/traces"),
	SAMPLES,
};
static const struct setting alertmanager_settings[] = {
	{ .name = "cluster", .type = VALUE_STRING, MEMBER(struct output, cluster), .initial = "", .help = "a label of every alert; \"\": none" },
	{ .name = "resend", .type = VALUE_DURATION, MEMBER(struct output, resend_ns), .min = SECONDS(1), .max = SECONDS(3600), .initial = "1m",
	  .help = "how often what is firing is said again" },
};
static const struct setting webhook_settings[] = {
	{ .name = "format", .type = VALUE_CHOICE, MEMBER(struct output, format), CHOICES(format_choices), .initial = "json", .help = "whose it is" },
	FILE_OF("template", template_file, "the body, with the fields of docs/outputs.md; instead of the built-in one"),
	FILE_OF("url_file", url_file, "holds the URL, where that itself is the secret; instead of url"),
	FILE_OF("routing_key_file", routing_key_file, "PagerDuty's integration key"),
};
static const struct setting mail_settings[] = {
	{ .name = "server", .type = VALUE_CUSTOM, .read = output_read_url, .help = "smtp:// or smtps://, host and port; instead of url" },
	{ .name = "from", .type = VALUE_STRING, .required = true, MEMBER(struct output, from), .min = 1, .help = "the sender's address" },
	{ .name = "to", .type = VALUE_LIST, .required = true, .offset = offsetof(struct output, to), .size = NAME_LEN, .room = MAX_RECIPIENTS,
	  .count_offset = offsetof(struct output, to_count), .help = "the recipients' addresses" },
	{ .name = "starttls", .type = VALUE_BOOL, MEMBER(struct output, starttls), .initial = "true",
	  .help = "with smtp://: nothing is sent without TLS; false only for a server on this node" },
	FILE_OF("template", template_file, "subject, an empty line, and the text; instead of the built-in one"),
};

const struct section output_sections[OUTPUT_KIND_COUNT] = {
	[OUTPUT_REMOTE_WRITE] = SECTION("remote-write", "Prometheus remote write: Prometheus, Thanos, Mimir, VictoriaMetrics.", remote_write_settings),
	[OUTPUT_OTLP] = SECTION("otlp", "OpenTelemetry over HTTP, as protobuf with gzip.", otlp_settings),
	[OUTPUT_ALERTMANAGER] = SECTION("alertmanager", "The v2 API of one or several Alertmanagers.", alertmanager_settings),
	[OUTPUT_WEBHOOK] = SECTION("webhook", "Incidents as JSON, for Slack or for PagerDuty.", webhook_settings),
	[OUTPUT_MAIL] = SECTION("mail", "Incidents as mail.", mail_settings),
};

static const struct setting route_settings[] = {
	{ .name = "to", .type = VALUE_STRING, .required = true, MEMBER(struct route, to), .min = 1,
	  .help = "the name of an alertmanager, webhook or mail" },
	{ .name = "severity", .type = VALUE_CHOICES, MEMBER(struct route, severities), CHOICES(severity_choices), .help = "only these; all where nothing is said" },
	{ .name = "kinds", .type = VALUE_CHOICES, MEMBER(struct route, kinds), CHOICES(kind_choices), .help = "likewise" },
	{ .name = "states", .type = VALUE_CHOICES, MEMBER(struct route, states), CHOICES(state_choices),
	  .help = "likewise; needs_human goes through in any case, and so does the end of what was told" },
	{ .name = "policies", .type = VALUE_LIST, .offset = offsetof(struct route, policies), .size = NAME_LEN, .room = MAX_ROUTE_POLICIES,
	  .count_offset = offsetof(struct route, policy_count), .help = "only incidents of these policies, by name" },
	{ .name = "group_by", .type = VALUE_CHOICES, MEMBER(struct route, group_by), CHOICES(group_choices),
	  .help = "incidents alike in these share a message; one each where nothing is said" },
	{ .name = "group_wait", .type = VALUE_DURATION, MEMBER(struct route, group_wait_ns), .max = SECONDS(3600), .initial = "10s",
	  .help = "how long the first of a group waits for more" },
	{ .name = "group_interval", .type = VALUE_DURATION, MEMBER(struct route, group_interval_ns), .min = SECONDS(1), .max = SECONDS(86400), .initial = "5m",
	  .help = "between two messages of a group that changed; without group_by, group_wait stands for it" },
	{ .name = "repeat", .type = VALUE_DURATION, MEMBER(struct route, repeat_ns), .min = SECONDS(60), .max = SECONDS(30.0 * 86400), .initial = "4h",
	  .help = "between two messages of one that did not" },
	{ .name = "flap_count", .type = VALUE_COUNT, MEMBER(struct route, flap_count), .max = MAX_ROUTE_FLAPS, .initial = "3",
	  .help = "what ends so many times within flap_within is told of as flapping, and then not until it is calm; 0: never" },
	{ .name = "flap_within", .type = VALUE_DURATION, MEMBER(struct route, flap_within_ns), .min = SECONDS(1), .max = SECONDS(86400), .initial = "30m",
	  .help = "see flap_count; calm is what has neither begun nor ended for so long" },
};
const struct section route_section = SECTION("route", "Which incidents an output hears of; one that no route names hears of all, one message each.",
	route_settings);
