/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state document of any content, as if its hash were right: refused with a sentence, or bounded, translated without overflow,
 * and then the same again after a round through its own writer.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "keep/state.h"
#include "keep/state_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct saved_state first, second, third;

static void require(int holds)
{
	if (!holds)
		abort();
}

static void check_bounds(const struct saved_state *state)
{
	require(state->act_count <= MAX_ACTS && state->machine_count <= MAX_MACHINES && state->incident_count <= MAX_OPEN_INCIDENTS);
	for (uint32_t i = 0; i < state->act_count; i++)
		require(state->acts[i].outcome < OUTCOME_COUNT && memchr(state->acts[i].target_key, 0, KEY_LEN));
	for (uint32_t i = 0; i < state->machine_count; i++)
		require(state->machines[i].state < ENGINE_STATE_COUNT && memchr(state->machines[i].target_key, 0, KEY_LEN));
	for (uint32_t i = 0; i < state->incident_count; i++)
		require(state->incidents[i].cause_count <= MAX_CAUSES && state->incidents[i].history_count <= MAX_INCIDENT_HISTORY &&
			state->incidents[i].action_count <= MAX_INCIDENT_ACTIONS && state->incidents[i].kind < KIND_COUNT);
}

static void write_and_read(const struct saved_state *from, struct saved_state *to)
{
	char anchor[DIGEST_LEN], why[WHY_LEN];
	cJSON *json = state_to_json(from, "", false);
	require(json != NULL);
	char *text = cJSON_PrintUnformatted(json);
	require(text && state_parse(text, strlen(text), to, anchor, why, sizeof(why)) == 0);
	require(to->act_count == from->act_count && to->machine_count == from->machine_count && to->incident_count == from->incident_count);
	cJSON_free(text);
	cJSON_Delete(json);
}

/* A name that is no UTF-8, which our own writer never wrote, is made so at the first round; from then on nothing changes. */
static void check_again(void)
{
	write_and_read(&first, &second);
	write_and_read(&second, &third);
	require(memcmp(second.machines, third.machines, sizeof(second.machines)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char anchor[DIGEST_LEN], why[WHY_LEN];
	char *text = malloc(size ? size : 1); /* exactly as large as it is, so that one byte beyond is seen */
	require(text != NULL);
	memcpy(text, data, size);
	int error = state_parse(text, size, &first, anchor, why, sizeof(why));
	require((error == 0) == (why[0] == '\0'));
	check_bounds(&first);
	if (error == 0) {
		check_again();
		state_translate(&first, "another-boot", 1000000000, 1763892000000000000);
		check_bounds(&first);
	}
	free(text);
	return 0;
}
