/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anything at all as a request to a hand-made agent, as root and not, and as an answer to be shown. What is
 * shown never steers a terminal, whatever came in.
 */
#include "tests/unit/agent_fixture.h"

#include <cjson/cJSON.h>

#include "cli/show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct agent *the_agent(void)
{
	static struct agent *agent; /* made once: it is only read, or put back below */
	if (!agent)
		agent = fixture_new();
	return agent;
}

static void show_all(FILE *out, const cJSON *json)
{
	struct look look = { .out = out, .terminal = true };
	status_show(&look, json);
	incidents_show(&look, json);
	why_show(&look, json);
	action_show(&look, json);
	show_json(out, json);
}

/* What is shown may hold nothing but text and line ends. */
static void check_shown(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((unsigned char)text[i] < ' ' && text[i] != '\n') || text[i] == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 4096)
		return 0;
	cJSON *json = cJSON_ParseWithLength((const char *)data + 1, size - 1);
	if (!json)
		return 0;
	struct agent *agent = the_agent();
	cJSON *answer = cJSON_IsObject(json) ? agent_answer(agent, json, data[0] & 1) : NULL;
	agent->saved->pause.paused = agent->reload_pending = false;

	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	if (!out)
		return 0;
	show_all(out, json);
	show_all(out, answer);
	fclose(out);
	check_shown(text, length);
	free(text);
	cJSON_Delete(answer);
	cJSON_Delete(json);
	return 0;
}
