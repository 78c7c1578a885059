/* SPDX-License-Identifier: Apache-2.0 */
/* Which remedies there are: one row each. */
#include "remedies/registry.h"

#include <string.h>

const struct remedy *const remedies[REMEDY_COUNT] = {
	[REMEDY_CLEAN_FILES] = &clean_files,
	[REMEDY_RESTART_UNIT] = &restart_unit,
	[REMEDY_TERMINATE] = &terminate,
};

const struct remedy *remedy_by_name(const char *name)
{
	for (size_t i = 0; i < REMEDY_COUNT; i++)
		if (strcmp(remedies[i]->name, name) == 0)
			return remedies[i];
	return NULL;
}
