/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a service whether it answers, by the very probes that conditions ask by: see unit_act.h. */
#include "remedies/unit_act.h"

#include "collect/probe_once.h"

const char *ready_name(const struct probe *what)
{
	return what->type == PROBE_TYPE_COMMAND ? what->argv[0] : what->address;
}

bool ready_ask(const struct probe *what, uint64_t patience_ns, char *why, size_t size)
{
	return probe_once(what, patience_ns, why, size);
}
