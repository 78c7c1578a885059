/* SPDX-License-Identifier: Apache-2.0 */
/* Which container engines answer on this node, for those who tell of it and do nothing to them; remedies/engine.h is for those who do. */
#ifndef NODEMEND_ENGINE_PROBE_H
#define NODEMEND_ENGINE_PROBE_H

#include "remedy.h"

struct engine_probe {
	const char *name;            /* of the engine whose default socket it is */
	bool answers;
	char text[WHY_LEN];          /* which one and where; or why it does not */
};

/* The `index`th, from 0. 0; -ENOENT: it has no socket here; -ERANGE: there are no more. */
int engine_probe(uint32_t index, uint64_t deadline_boot_ns, struct engine_probe *ret);

#endif
