/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object's programs at their hooks: put on, taken off as the governor says, and put on again. One at a function (fentry, fexit) stays where it is,
 * since before v5.13 (f3a95075549e) it cannot be attached a second time; it is off by the word that it asks first (bpf/functions.bpf.h).
 */
#ifndef NODEMEND_COLLECT_HOOKS_H
#define NODEMEND_COLLECT_HOOKS_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_HOOKS = 24, MAX_FUNCTION_HOOKS = 8 };

struct hooks {
	struct bpf_link *each[MAX_HOOKS], *functions[MAX_FUNCTION_HOOKS];
	uint32_t count, function_count;
	bool on;
};

/* All that are loaded, from the last to the first; `gate` is the object's functions_on. 0, or -errno with the reason, and then none is on. */
int hooks_put_on(struct hooks *hooks, const struct bpf_object *object, volatile bool *gate, char *why, size_t why_size);
void hooks_take_off(struct hooks *hooks, volatile bool *gate);
void hooks_free(struct hooks *hooks); /* before the object is closed; those at functions, too */

#endif
