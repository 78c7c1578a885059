/* SPDX-License-Identifier: Apache-2.0 */
/* The saved state as the document nodemend.state/1; state_parse in keep/state.h is the reverse. */
#ifndef NODEMEND_KEEP_STATE_JSON_H
#define NODEMEND_KEEP_STATE_JSON_H

#include "include/state.h"

struct cJSON;
/* `lean`: without the causes and the history of incidents. Owned by the caller; NULL = out of memory. */
struct cJSON *state_to_json(const struct saved_state *state, const char *journal_head, bool lean);

#endif
