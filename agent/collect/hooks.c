/* SPDX-License-Identifier: Apache-2.0 */
/* See hooks.h. */
#include "collect/hooks.h"

#include <errno.h>
#include <string.h>

#include "collect/bpf.h"

static bool is_at_function(const struct bpf_program *program)
{
	const char *section = bpf_program__section_name(program);

	return !strncmp(section, "fentry/", 7) || !strncmp(section, "fexit/", 6);
}

static void destroy(struct bpf_link **links, uint32_t *count)
{
	while (*count)
		bpf_link__destroy(links[--*count]);
}

int hooks_put_on(struct hooks *hooks, const struct bpf_object *object, volatile bool *gate, char *why, size_t why_size)
{
	struct bpf_program *program = NULL;
	bool functions_are_on = hooks->function_count;
	int error = 0;

	while (!error && (program = bpf_object__prev_program(object, program))) {
		bool function = is_at_function(program);
		uint32_t *count = function ? &hooks->function_count : &hooks->count, room = function ? MAX_FUNCTION_HOOKS : MAX_HOOKS;

		if (!bpf_program__autoload(program) || (function && functions_are_on))
			continue;
		error = *count == room ? -ENOSPC : object_attach(program, function ? &hooks->functions[*count] : &hooks->each[*count], why, why_size);
		*count += !error;
	}
	if (error) {
		hooks_take_off(hooks, gate);
		return error;
	}
	*gate = hooks->on = true;
	return 0;
}

void hooks_take_off(struct hooks *hooks, volatile bool *gate)
{
	*gate = hooks->on = false;
	destroy(hooks->each, &hooks->count);
}

void hooks_free(struct hooks *hooks)
{
	destroy(hooks->each, &hooks->count);
	destroy(hooks->functions, &hooks->function_count);
}
