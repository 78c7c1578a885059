/* SPDX-License-Identifier: Apache-2.0 */
/* The armed check of all that goes through an engine; and see engine_probe.h. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"
#include "engine_probe.h"
#include "remedies/engine.h"

/* Podman's is started by the question: half a second where nothing else runs. */
#define CHECK_NS (2 * NSEC_PER_SEC)

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

int engine_probe(uint32_t index, uint64_t deadline_boot_ns, struct engine_probe *ret)
{
	struct engine engine;
	if (index >= ENGINE_KIND_COUNT)
		return -ERANGE;
	if (access(engine_sockets[index], F_OK) < 0)
		return -ENOENT;
	ret->name = engine_names[index];
	ret->answers = engine_open(&engine, (enum engine_kind)index, "", deadline_boot_ns) == 0;
	if (ret->answers) /* by its own name: Podman often stands on Docker's socket */
		snprintf(ret->text, sizeof(ret->text), "%s %.60s answers on %s", engine_names[engine.kind], engine.version, engine_sockets[index]);
	else
		snprintf(ret->text, sizeof(ret->text), "%s", engine.why);
	engine_close(&engine);
	return 0;
}
