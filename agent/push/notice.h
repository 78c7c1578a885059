/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person, a pager or Alertmanager is told about one incident: the few facts of the record that matter to somebody who was
 * just woken up. Every text in here is valid UTF-8 on one line and has its secrets masked, whoever chose it; formats escape, and
 * need not think of more.
 */
#ifndef NODEMEND_PUSH_NOTICE_H
#define NODEMEND_PUSH_NOTICE_H

#include "publish/text.h"
#include "record.h"

struct notice {
	char id[ID_LEN];
	char node[NAME_LEN], cluster[NAME_LEN], policy[NAME_LEN];
	enum incident_kind kind;
	enum severity severity;
	enum incident_state state;
	char parent[ID_LEN];             /* the incident that it comes from, and which is told instead; "" = none */
	bool flapping;                   /* of a resource that comes and goes, not of one incident */
	int64_t opened_wall_ns, resolved_wall_ns; /* 0 = not yet */
	enum target_type resource_type;
	char resource[PATH_LEN], device[PATH_LEN];
	int32_t pid;                     /* process only */
	char metric[NAME_LEN];
	double value, threshold;
	uint64_t exhausted_in_ns;        /* UNKNOWN = not said */
	char cause[PATH_LEN];            /* the first: "dd (pid 4242) of app.service"; "" = not known */
	uint32_t share_permille;
	char evidence[EVIDENCE_LEN];
	char action[EVIDENCE_LEN];       /* the newest: "clean-files: fixed, 200 MiB freed"; "" = none */
	char why[WHY_LEN];               /* of its state */
	char url[PATH_LEN];              /* of the whole record; "" = nobody serves it */
};

/* What is the same for all notices of a node. `base_url` is that of the HTTP side, without a slash at its end; "" = none. */
struct notice_home { char node[NAME_LEN], cluster[NAME_LEN], base_url[PATH_LEN]; };

/* `deed`: see deeds.h; NULL = none known. */
void notice_make(const struct notice_home *home, const struct incident *incident, const char *deed, struct notice *ret);
/* Whoever's text, as it may leave the node: on one line, masked, cut to whole characters. The only way into a notice. */
void notice_take(char *to, size_t size, const char *from);

/* Whether two are about the same trouble of the same thing, be it by another policy, or a process that was started anew. */
bool notice_same_resource(const struct notice *a, const struct notice *b);
/* And by the same policy, of the same process: what an alert's labels say, but for the severity. */
bool notice_same_subject(const struct notice *a, const struct notice *b);

/* --- in words; none of them escapes --- */
void notice_status(const struct notice *notice, struct text *out);      /* "critical", "resolved", "needs a human", "mending", "flapping", "calm" */
void notice_subject(const struct notice *notice, struct text *out);     /* "disk exhaustion of /data" */
void notice_title(const struct notice *notice, struct text *out);       /* "[critical] n1: disk exhaustion of /data" */
void notice_summary(const struct notice *notice, struct text *out);     /* one sentence: the subject, the numbers */
void notice_description(const struct notice *notice, struct text *out); /* and who, what was done, why; lines */
void notice_time(int64_t wall_ns, struct text *out);                    /* RFC 3339 in UTC, with milliseconds; 0 writes nothing */
void notice_number(double value, struct text *out);                     /* not finite writes nothing */
void notice_seconds(uint64_t ns, struct text *out);                     /* "6m 52s"; UNKNOWN writes nothing */

#endif
