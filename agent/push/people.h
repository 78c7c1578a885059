/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What webhooks and mails have in common: incidents go through the router, its messages to one outlet, and what was told is remembered
 * in the spool's folder. A form says how a message is written.
 */
#ifndef NODEMEND_PUSH_PEOPLE_H
#define NODEMEND_PUSH_PEOPLE_H

#include "push/deeds.h"
#include "push/exporter.h"
#include "push/router.h"
#include "push/template.h"

struct people;

struct people_form {
	const struct outlet_family *family; /* its context is the struct people */
	/* Writes the message and hands it over with people_put(), once or more often. */
	void (*send)(struct people *people, const struct message *message);
	enum template_form template_form;
};

/* The newest of what is open: what an act asks to be told may be what no rule of this output takes. */
enum { PEOPLE_SEEN = 48 };

struct people {
	const struct people_form *form;
	const struct output *output;
	struct delivery *delivery;
	struct outlet *outlet;
	struct notice_home home;
	struct router *router;
	struct deeds deeds;
	uint32_t seen_count;
	struct notice seen[PEOPLE_SEEN];
	struct message message;
	struct text body;
	bool template_failed;      /* said */
	int spool_dir_fd;
	uint64_t lost_before;      /* of router->lost, what is counted */
	struct moment last;        /* turn */
	uint64_t unsaved_ns;       /* since when something told is not in the file; 0 = all is */
	void *own;                 /* the form's */
};

int people_open(const struct exporter_env *env, const struct people_form *form, struct people **ret);
void people_close(void *people);
/* Hands people->body over, and empties it. */
void people_put(struct people *people, uint32_t items);
/* Fills the output's template, if it has one that can be used. False: the built-in form is wanted. */
bool people_write_template(struct people *people, const struct message *message, struct text *out);

/* The exporter's other calls. */
void people_on_incident(void *people, const struct incident *incident, struct moment now);
void people_on_action(void *people, const struct action *action, struct moment now);
uint64_t people_on_turn(void *people, struct moment now);

#endif
