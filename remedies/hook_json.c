/* SPDX-License-Identifier: Apache-2.0 */
/* See hook.h. What is told holds names of strangers; what is answered is a stranger's as a whole. */
#include "remedies/hook.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/utf8.h"
#include "remedies/act.h"

#define SCHEMA "nodemend.hook/1"
/* The largest whole number that every reader of JSON keeps (RFC 8259, 6). */
#define WHOLE_MAX 9007199254740992.0

/* --- the question ------------------------------------------------------------------------------------------------------------ */

/* As it is where it is text; a byte that is none becomes \xNN, as everywhere. */
static void add_text(cJSON *object, const char *name, const char *text)
{
	char clean[PATH_LEN * 4];
	size_t used = 0;
	for (const unsigned char *at = (const unsigned char *)text; *at && used < sizeof(clean) - 5;) {
		size_t length = *at < 0x80 ? 1 : utf8_length(at);
		if (length) {
			memcpy(clean + used, at, length);
			used += length;
			at += length;
		} else {
			used += (size_t)snprintf(clean + used, sizeof(clean) - used, "\\x%02x", *at++);
		}
	}
	clean[used] = '\0';
	if (text[0])
		cJSON_AddStringToObject(object, name, clean);
}

static void add_target(cJSON *document, const struct target *target)
{
	cJSON *object = cJSON_AddObjectToObject(document, "target");
	cJSON_AddStringToObject(object, "type", target_type_names[target->type]);
	add_text(object, "name", target->name);
	add_text(object, "device", target->device);
	if (target->pid)
		cJSON_AddNumberToObject(object, "pid", target->pid);
}

static void add_cause(cJSON *list, const struct cause *cause)
{
	cJSON *object = cJSON_CreateObject();
	cJSON_AddNumberToObject(object, "rank", cause->rank);
	if (cause->pid)
		cJSON_AddNumberToObject(object, "pid", cause->pid);
	add_text(object, "comm", cause->comm);
	add_text(object, "cgroup", cause->cgroup);
	add_text(object, "unit", cause->unit);
	add_text(object, "namespace", cause->namespace);
	add_text(object, "pod", cause->pod);
	add_text(object, "container", cause->container);
	cJSON_AddNumberToObject(object, "share", cause->share_permille / 1000.0);
	add_text(object, "evidence", cause->evidence);
	cJSON_AddItemToArray(list, object);
}

static void add_story(cJSON *document, const struct remedy_story *story)
{
	if (!story->policy[0])
		return; /* by hand */
	add_text(document, "policy", story->policy);
	add_text(document, "incident", story->incident);
	cJSON_AddStringToObject(document, "kind", incident_kind_names[story->kind]);
	cJSON_AddStringToObject(document, "severity", severity_names[story->severity]);
	cJSON *signal = cJSON_AddObjectToObject(document, "signal");
	add_text(signal, "metric", story->signal.metric);
	if (isfinite(story->signal.value))
		cJSON_AddNumberToObject(signal, "value", story->signal.value);
	if (isfinite(story->signal.threshold))
		cJSON_AddNumberToObject(signal, "threshold", story->signal.threshold);
}

char *hook_question(const struct remedy_request *request, uint64_t now_boot_ns)
{
	cJSON *document = cJSON_CreateObject();
	uint64_t left = request->deadline_boot_ns > now_boot_ns ? request->deadline_boot_ns - now_boot_ns : 0;
	cJSON_AddStringToObject(document, "schema", SCHEMA);
	cJSON_AddStringToObject(document, "mode", request->verb == REMEDY_VERB_APPLY ? "apply" : "plan");
	add_text(document, "action", request->action_id);
	add_story(document, &request->story);
	add_target(document, &request->target);
	cJSON *causes = cJSON_AddArrayToObject(document, "causes");
	for (uint32_t i = 0; i < request->candidate_count; i++)
		add_cause(causes, &request->candidates[i]);
	cJSON_AddNumberToObject(document, "seconds", (double)left / (double)NSEC_PER_SEC);
	char *text = cJSON_PrintUnformatted(document);
	cJSON_Delete(document);
	return text;
}

/* --- the answer ---------------------------------------------------------------------------------------------------------------- */

static const char *text_of(const cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsString(item) ? item->valuestring : "";
}

static enum outcome outcome_of(const char *name)
{
	static const enum outcome known[] = { OUTCOME_FIXED, OUTCOME_IMPROVED, OUTCOME_NO_EFFECT, OUTCOME_FAILED, OUTCOME_REFUSED };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, outcome_names[known[i]]) == 0)
			return known[i];
	return OUTCOME_NONE;
}

static void take_amount(const cJSON *object, const char *name, uint64_t *ret)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
	if (cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < WHOLE_MAX)
		*ret = (uint64_t)item->valuedouble;
}

static void take_plan(const cJSON *list, struct remedy_result *result)
{
	const cJSON *line;
	char shown[PLAN_LINE_LEN];
	cJSON_ArrayForEach(line, list)
		if (cJSON_IsString(line))
			result_plan(result, "%s", act_shown(shown, sizeof(shown), line->valuestring));
}

enum outcome hook_answer(const char *said, struct remedy_result *result, char *say, size_t say_size)
{
	const char *begin = said + strspn(said, " \t\r\n");
	cJSON *document = *begin == '{' ? cJSON_Parse(begin) : NULL;
	char line[HOOK_SAID_LEN];

	snprintf(line, sizeof(line), "%.*s", (int)strcspn(begin, "\r\n"), document ? "" : begin);
	act_shown(say, say_size, document ? text_of(document, "say") : line);
	if (!document)
		return OUTCOME_NONE;
	take_plan(cJSON_GetObjectItemCaseSensitive(document, "plan"), result);
	const cJSON *observed = cJSON_GetObjectItemCaseSensitive(document, "observed");
	take_amount(observed, "freed_bytes", &result->observed.freed_bytes);
	take_amount(observed, "freed_files", &result->observed.freed_files);
	take_amount(observed, "exited", &result->observed.exited);
	enum outcome outcome = outcome_of(text_of(document, "outcome"));
	cJSON_Delete(document);
	return outcome;
}
