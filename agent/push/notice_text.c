/* SPDX-License-Identifier: Apache-2.0 */
/* The sentences of notice.h. */
#include "push/notice.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

void notice_number(double value, struct text *out)
{
	char buffer[32];
	if (!isfinite(value))
		return;
	snprintf(buffer, sizeof(buffer), "%.6g", value);
	text_string(out, buffer);
}

void notice_seconds(uint64_t ns, struct text *out)
{
	uint64_t seconds = ns / NSEC_PER_SEC;
	char buffer[48];
	if (ns == UNKNOWN)
		return;
	if (seconds < 60)
		snprintf(buffer, sizeof(buffer), "%.3gs", (double)ns / (double)NSEC_PER_SEC);
	else if (seconds < 3600)
		snprintf(buffer, sizeof(buffer), "%um %us", (unsigned int)(seconds / 60), (unsigned int)(seconds % 60));
	else
		snprintf(buffer, sizeof(buffer), "%lluh %um", (unsigned long long)(seconds / 3600), (unsigned int)(seconds / 60 % 60));
	text_string(out, buffer);
}

void notice_time(int64_t wall_ns, struct text *out)
{
	time_t seconds = (time_t)(wall_ns / (int64_t)NSEC_PER_SEC);
	struct tm utc;
	char buffer[64];
	if (wall_ns <= 0 || !gmtime_r(&seconds, &utc))
		return;
	size_t length = strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(buffer + length, sizeof(buffer) - length, ".%03dZ", (int)(wall_ns / 1000000 % 1000));
	text_string(out, buffer);
}

void notice_status(const struct notice *notice, struct text *out)
{
	static const char *const words[INCIDENT_STATE_COUNT] = { NULL, "mending", "resolved", "needs a human" };
	if (notice->flapping)
		text_string(out, notice->state == INCIDENT_RESOLVED ? "calm" : "flapping");
	else
		text_string(out, words[notice->state] ? words[notice->state] : severity_names[notice->severity]);
}

void notice_subject(const struct notice *notice, struct text *out)
{
	for (const char *at = incident_kind_names[notice->kind]; *at; at++)
		text_append(out, *at == '_' ? " " : at, 1);
	text_string(out, " of ");
	text_string(out, notice->resource);
	if (notice->pid > 0) {
		text_string(out, " (pid ");
		text_u64(out, (uint64_t)notice->pid);
		text_string(out, ")");
	}
}

void notice_title(const struct notice *notice, struct text *out)
{
	text_string(out, "[");
	notice_status(notice, out);
	text_string(out, "] ");
	text_string(out, notice->node);
	text_string(out, ": ");
	notice_subject(notice, out);
}

void notice_summary(const struct notice *notice, struct text *out)
{
	notice_subject(notice, out);
	text_string(out, " on ");
	text_string(out, notice->node);
	if (notice->flapping) {
		text_string(out, notice->state == INCIDENT_RESOLVED ? " has been calm since" : " comes and goes; quiet until it is calm");
		return;
	}
	if (notice->state == INCIDENT_RESOLVED) {
		text_string(out, " is over after ");
		notice_seconds(notice->resolved_wall_ns > notice->opened_wall_ns ? (uint64_t)(notice->resolved_wall_ns - notice->opened_wall_ns) : 0,
			       out);
		return;
	}
	if (!notice->metric[0] || !isfinite(notice->value))
		return;
	text_string(out, ": ");
	text_string(out, notice->metric);
	text_string(out, " is ");
	notice_number(notice->value, out);
	if (isfinite(notice->threshold)) {
		text_string(out, ", threshold ");
		notice_number(notice->threshold, out);
	}
	if (notice->exhausted_in_ns != UNKNOWN) {
		text_string(out, ", exhausted in ");
		notice_seconds(notice->exhausted_in_ns, out);
	}
}

static void line(struct text *out, const char *head, const char *text)
{
	if (!text[0])
		return;
	text_string(out, "\n");
	text_string(out, head);
	text_string(out, text);
}

void notice_description(const struct notice *notice, struct text *out)
{
	notice_summary(notice, out);
	if (notice->cause[0]) {
		line(out, "Cause: ", notice->cause);
		text_string(out, ", ");
		text_decimal(out, notice->share_permille, 1);
		text_string(out, " % of it");
		if (notice->evidence[0]) {
			text_string(out, ": ");
			text_string(out, notice->evidence);
		}
	}
	line(out, "Done: ", notice->action);
	line(out, "State: ", notice->why);
	line(out, "Policy: ", notice->policy);
	line(out, "Incident: ", notice->id);
	line(out, "See: ", notice->url);
}
