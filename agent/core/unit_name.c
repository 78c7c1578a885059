/* SPDX-License-Identifier: Apache-2.0 */
/* See unit_name.h. */
#include "core/unit_name.h"

#include <string.h>

const char *unit_suffix(const char *name)
{
	static const char *const suffixes[] = {
		".automount", ".device", ".mount", ".path", ".scope", ".service", ".slice", ".socket", ".swap", ".target", ".timer",
	};
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot && dot != name && i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcmp(suffixes[i], dot) == 0)
			return suffixes[i];
	return NULL;
}

const char *unit_name_problem(const char *name)
{
	if (strpbrk(name, "*?["))
		return "one unit by its full name is wanted, no glob";
	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.\\-@")])
		return "a character that no unit's name has";
	if (!unit_suffix(name))
		return "no unit's suffix; write the full name, such as nginx.service";
	return NULL;
}
