/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents for people: text of others made safe for a terminal, numbers with units, and the reading of JSON. Everything that a
 * command prints goes through here; nothing that a process may call itself steers the terminal it is shown on.
 */
#ifndef NODEMEND_CLI_SHOW_H
#define NODEMEND_CLI_SHOW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct cJSON;

struct shown { char text[1280]; };

/*
 * The text with everything escaped that is not plainly visible: control characters and invalid UTF-8 as \xNN, controls beyond ASCII
 * (C1, direction and format marks, line separators) as \u{N}. Cut with "..." where it is too long. For printf: show_text(comm).text.
 */
struct shown show_text(const char *text);
/* The same for a member of a document: show_member(cause, "comm").text. */
struct shown show_member(const struct cJSON *object, const char *name);
/* A document on one line, every character as safe as above and still the same to a reader of JSON. */
void show_json(FILE *out, const struct cJSON *json);

struct shown show_bytes(double bytes);     /* "1.5 GiB" */
struct shown show_seconds(double seconds); /* "6 min 52 s", "850 ms" */
struct shown show_time(const char *utc);   /* "2026-11-23T10:00:00.000Z" as local "2026-11-23 11:00:00"; "" stays "" */
/* "[####......]" of 20; "" where `percent` is not a number. */
struct shown show_bar(double percent);
/* "12.3 %"; "-" where it is not a number. */
struct shown show_percent(double percent);

/* Members of a document; what is missing is "", NAN or NULL. */
const struct cJSON *get(const struct cJSON *object, const char *name);
const char *get_text(const struct cJSON *object, const char *name);
double get_number(const struct cJSON *object, const char *name);
bool get_true(const struct cJSON *object, const char *name);
uint32_t get_count(const struct cJSON *object, const char *name); /* elements of a list */
/* Seconds from one time of the document to the other; NAN where one is missing. */
double seconds_between(const char *from, const char *to);

/* Where to and how. */
struct look {
	FILE *out;
	bool terminal;   /* bars, and commands that may ask */
	bool colour;
};
struct look look_stdout(void);
enum tint { TINT_NONE, TINT_GOOD, TINT_WARN, TINT_BAD, TINT_BOLD };
/* The text, tinted where colours are wanted. */
void show_tinted(const struct look *look, enum tint tint, const char *format, ...) __attribute__((format(printf, 3, 4)));
enum tint tint_of_severity(const char *severity);

/* One sentence each, shared by several commands; the texts in them are safe. */
struct shown show_resource(const struct cJSON *resource);    /* "/data", "dd (pid 4242)" */
struct shown show_cause(const struct cJSON *incident);       /* "dd (pid 4242) causes 97 %"; "" where no cause is known */
struct shown show_action(const struct cJSON *action);        /* "clean-files: fixed, freed 200 MiB in 1.2 s" */
struct shown show_deeds(const struct cJSON *incident);       /* of the last act and what was refused since; "nothing was done" */
struct shown show_effect(const struct cJSON *effect);        /* "200 MiB freed within 5 s"; "nothing said" */

/* What the commands print, from the agent's answer. */
void cost_show(const struct look *look, const struct cJSON *document); /* of status or doctor: budget, depth, maps, coverage */
void outlook_show(const struct look *look, const struct cJSON *outlook);
void status_show(const struct look *look, const struct cJSON *status);
void incidents_show(const struct look *look, const struct cJSON *incidents);
void why_show(const struct look *look, const struct cJSON *why);
void action_show(const struct look *look, const struct cJSON *action);

#endif
