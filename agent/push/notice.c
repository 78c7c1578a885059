/* SPDX-License-Identifier: Apache-2.0 */
/* See notice.h: from the record to what is told of it. */
#include "push/notice.h"

#include <stdio.h>

#include "keep/document.h"
#include "mask.h"

void notice_take(char *to, size_t size, const char *from)
{
	struct text clean = { 0 };
	text_utf8(&clean, from);
	text_append(&clean, "", 1);
	for (size_t i = 0; !clean.failed && i < clean.length; i++)
		if (clean.data[i] == '\n')
			clean.data[i] = ' ';
	if (!clean.failed)
		mask_in_place(clean.data, clean.length); /* a deed's words are no record's, and a template may show any */
	text_copy(to, size, clean.failed ? "" : clean.data);
	text_free(&clean);
}

#define TAKE(to, from) notice_take((to), sizeof(to), (from))

/* "dd (pid 4242) of app.service": a name alone says little where ten processes carry it. */
static void take_cause(struct notice *notice, const struct cause *cause)
{
	char said[PATH_LEN + COMM_LEN + 32], pid[24] = "";
	const char *group = cause->unit[0] ? cause->unit : cause->cgroup;
	if (cause->pid > 0)
		snprintf(pid, sizeof(pid), " (pid %d)", cause->pid);
	if (cause->comm[0])
		snprintf(said, sizeof(said), "%s%s%s%s", cause->comm, pid, group[0] ? " of " : "", group);
	else
		snprintf(said, sizeof(said), "%s%s", group, pid);
	TAKE(notice->cause, said);
	TAKE(notice->evidence, cause->evidence);
	notice->share_permille = cause->share_permille;
}

void notice_make(const struct notice_home *home, const struct incident *incident, const char *deed, struct notice *ret)
{
	*ret = (struct notice){
		.kind = incident->kind,
		.severity = incident->severity,
		.state = incident->state,
		.opened_wall_ns = incident->opened_wall_ns,
		.resolved_wall_ns = incident->resolved_wall_ns,
		.resource_type = incident->resource.type,
		.value = incident->signal.value,
		.threshold = incident->signal.threshold,
		.exhausted_in_ns = incident->signal.exhausted_in_ns,
	};
	TAKE(ret->id, incident->id);
	TAKE(ret->parent, incident->parent);
	TAKE(ret->node, home->node);
	TAKE(ret->cluster, home->cluster);
	TAKE(ret->policy, incident->policy);
	TAKE(ret->resource, incident->resource.name);
	TAKE(ret->metric, incident->signal.metric);
	TAKE(ret->action, deed ? deed : "");
	if (incident->resource.type == TARGET_FILESYSTEM)
		TAKE(ret->device, incident->resource.device);
	if (incident->resource.type == TARGET_PROCESS)
		ret->pid = incident->resource.pid;
	if (incident->cause_count)
		take_cause(ret, &incident->causes[0]);
	if (incident->history_count && incident->history_count <= MAX_INCIDENT_HISTORY)
		TAKE(ret->why, incident->history[incident->history_count - 1].why);
	if (home->base_url[0])
		snprintf(ret->url, sizeof(ret->url), "%.200s/v1/incidents/%.39s", home->base_url, ret->id);
}

bool notice_same_resource(const struct notice *a, const struct notice *b)
{
	return a->kind == b->kind && a->resource_type == b->resource_type && strcmp(a->resource, b->resource) == 0;
}

bool notice_same_subject(const struct notice *a, const struct notice *b)
{
	return notice_same_resource(a, b) && a->pid == b->pid && strcmp(a->policy, b->policy) == 0;
}
