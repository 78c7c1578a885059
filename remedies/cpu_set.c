/* SPDX-License-Identifier: Apache-2.0 */
/* See cpu_set.h. */
#include "remedies/cpu_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = CPU_SET_MAX / 64 };

static int parse_number(const char **at, uint32_t *ret)
{
	char *end;
	if (**at < '0' || **at > '9')
		return -EINVAL;
	unsigned long number = strtoul(*at, &end, 10);
	if (number >= CPU_SET_MAX)
		return -EINVAL;
	*at = end;
	*ret = (uint32_t)number;
	return 0;
}

int cpu_set_parse(const char *text, struct cpu_set *ret)
{
	uint32_t first, last;
	struct cpu_set set = { 0 };
	for (const char *at = text; *at && *at != '\n';) {
		if (parse_number(&at, &first) < 0)
			return -EINVAL;
		last = first;
		if (*at == '-' && (at++, parse_number(&at, &last) < 0))
			return -EINVAL;
		if (last < first)
			return -EINVAL;
		for (uint32_t cpu = first; cpu <= last; cpu++)
			set.words[cpu / 64] |= 1ULL << (cpu % 64);
		if (*at == ',' && at[1] && at[1] != '\n')
			at++;
		else if (*at && *at != '\n')
			return -EINVAL;
	}
	*ret = set;
	return 0;
}

int cpu_set_format(const struct cpu_set *set, char *ret, size_t size)
{
	size_t used = 0;
	ret[0] = '\0';
	for (uint32_t cpu = 0; cpu < CPU_SET_MAX; cpu++) {
		uint32_t first = cpu;
		if (!cpu_set_has(set, cpu))
			continue;
		while (cpu + 1 < CPU_SET_MAX && cpu_set_has(set, cpu + 1))
			cpu++;
		int put = first == cpu ? snprintf(ret + used, size - used, "%s%u", used ? "," : "", first) :
					 snprintf(ret + used, size - used, "%s%u-%u", used ? "," : "", first, cpu);
		if (put >= (int)(size - used))
			return -EOVERFLOW;
		used += (size_t)put;
	}
	return 0;
}

bool cpu_set_has(const struct cpu_set *set, uint32_t cpu)
{
	return cpu < CPU_SET_MAX && (set->words[cpu / 64] >> (cpu % 64) & 1);
}

void cpu_set_remove(struct cpu_set *set, uint32_t cpu)
{
	set->words[cpu / 64] &= ~(1ULL << (cpu % 64));
}

uint32_t cpu_set_count(const struct cpu_set *set)
{
	uint32_t count = 0;
	for (int i = 0; i < WORDS; i++)
		count += (uint32_t)__builtin_popcountll(set->words[i]);
	return count;
}

bool cpu_set_is_within(const struct cpu_set *set, const struct cpu_set *of)
{
	for (int i = 0; i < WORDS; i++)
		if (set->words[i] & ~of->words[i])
			return false;
	return true;
}

void cpu_set_intersect(struct cpu_set *set, const struct cpu_set *with)
{
	for (int i = 0; i < WORDS; i++)
		set->words[i] &= with->words[i];
}
