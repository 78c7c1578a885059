/* SPDX-License-Identifier: Apache-2.0 */
/* A set of processors, in the lists that the kernel reads and writes: "0,2-3" (Documentation/admin-guide/cputopology.rst). */
#ifndef NODEMEND_REMEDIES_CPU_SET_H
#define NODEMEND_REMEDIES_CPU_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CPU_SET_MAX = 8192 }; /* the largest CONFIG_NR_CPUS of any architecture */

struct cpu_set {
	uint64_t words[CPU_SET_MAX / 64];
};

/* 0; -EINVAL: no such list. An empty one is an empty set; a newline may end it. */
int cpu_set_parse(const char *text, struct cpu_set *ret);
/* 0; -EOVERFLOW. */
int cpu_set_format(const struct cpu_set *set, char *ret, size_t size);
bool cpu_set_has(const struct cpu_set *set, uint32_t cpu);
void cpu_set_remove(struct cpu_set *set, uint32_t cpu);
uint32_t cpu_set_count(const struct cpu_set *set);
bool cpu_set_is_within(const struct cpu_set *set, const struct cpu_set *of);
void cpu_set_intersect(struct cpu_set *set, const struct cpu_set *with);

#endif
