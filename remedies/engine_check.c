/* SPDX-License-Identifier: Apache-2.0 */
/* The armed check of all that goes through an engine. */
#include <errno.h>
#include <stdio.h>

#include "core/clock.h"
#include "remedies/engine.h"

#define CHECK_NS (NSEC_PER_SEC)

/* Which of the first `count` kinds answer where they are by default; a policy may name a socket elsewhere, and finds out when it acts. */
static int check(const struct remedy_request *request, enum engine_kind count, struct remedy_result *result)
{
	size_t used = 0;
	for (enum engine_kind kind = 0; kind < count; kind++) {
		uint64_t soon = clock_boot_ns() + CHECK_NS;
		struct engine engine;
		int error = engine_open(&engine, kind, "", soon < request->deadline_boot_ns ? soon : request->deadline_boot_ns);
		result->armed |= error == 0;
		if (error < 0 && used < sizeof(result->why))
			used += (size_t)snprintf(result->why + used, sizeof(result->why) - used, "%s%s: %.60s", used ? "; " : "", engine_names[kind],
						 error == -ENOENT || error == -ECONNREFUSED ? "nobody serves on its socket" : engine.why);
		engine_close(&engine);
	}
	if (result->armed)
		result->why[0] = '\0';
	return 0;
}

int engines_check(const struct remedy_request *request, struct remedy_result *result)
{
	return check(request, ENGINE_KIND_COUNT, result);
}

int engines_check_containers(const struct remedy_request *request, struct remedy_result *result)
{
	return check(request, ENGINE_CONTAINERD, result);
}
