/* SPDX-License-Identifier: Apache-2.0 */
/* See syscall_gather.h. */
#include "collect/syscall_gather.h"

#include "collect/syscall_rows.h"
#include "syscall.skel.h"

struct gathering {
	struct snapshot *snap;
	const struct syscall_bpf *skel;
	uint32_t cpus;
	uint64_t samples[MAX_SYSCALL_DEEP]; /* of the rows of the deep section */
};

static uint32_t least_of(const uint64_t *each, uint32_t count)
{
	uint32_t least = 0;

	for (uint32_t i = 1; i < count; i++)
		if (each[i] < each[least])
			least = i;
	return least;
}

static void gather_error(const void *key_, const void *value, void *arg)
{
	struct gathering *gathering = arg;
	struct syscall_error_section *section = &gathering->snap->syscall_errors;
	const struct syscall_error_key *key = key_;
	const uint64_t *counts = value;
	struct syscall_error error = {
		.nr = syscall_number_nr(key->number), .abi = syscall_number_abi(key->number), .error = key->error,
	};

	for (uint32_t cpu = 0; cpu < gathering->cpus; cpu++)
		error.count += counts[cpu];
	if (section->count < MAX_SYSCALL_ERRORS)
		section->each[section->count++] = error;
	else
		section->cut++;
}

static void gather_deep(const void *key_, const void *value, void *arg)
{
	struct gathering *gathering = arg;
	struct syscall_deep_section *section = &gathering->snap->syscall_deep;
	const struct syscall_deep_key *key = key_;

	const struct histogram *latency = value;
	uint32_t index = section->count;
	uint64_t samples = 0;

	for (uint32_t k = 0; k < HISTOGRAM_BUCKETS; k++)
		samples += latency->buckets[k];
	if (index < MAX_SYSCALL_DEEP)
		section->count++;
	else {
		section->cut++;
		index = least_of(gathering->samples, MAX_SYSCALL_DEEP);
		if (samples <= gathering->samples[index])
			return;
	}
	gathering->samples[index] = samples;
	struct syscall_deep_row *row = &section->each[index];
	*row = (struct syscall_deep_row){
		.cgroup_id = key->cgroup_id, .nr = syscall_number_nr(key->number), .abi = syscall_number_abi(key->number),
		.class = syscall_class_of(gathering->skel, key->number), .latency = *latency,
	};
}

/* The lower rung: by number, of the node. */
static void gather_counts(const void *key, const void *value, void *arg)
{
	struct gathering *gathering = arg;
	struct syscall_section *section = &gathering->snap->syscalls;
	const struct syscall_row *rows = value;
	uint32_t number = *(const uint32_t *)key;
	struct syscall_stat stat = {
		.nr = syscall_number_nr(number), .abi = syscall_number_abi(number), .class = syscall_class_of(gathering->skel, number),
	};

	for (uint32_t cpu = 0; cpu < gathering->cpus; cpu++) {
		stat.count += rows[cpu].count;
		stat.errors += rows[cpu].errors;
	}
	if (section->count < MAX_SYSCALLS)
		section->each[section->count++] = stat;
	else
		section->cut++;
}

int syscall_gather_errors(const struct object_walk *walk, const struct syscall_bpf *skel, struct snapshot *snap)
{
	struct gathering gathering = { .snap = snap, .skel = skel, .cpus = walk->cpus };
	struct syscall_error_section *section = &snap->syscall_errors;

	section->count = section->cut = 0;
	int error = object_walk_map(walk, bpf_map__fd(skel->maps.errors), gather_error, &gathering);
	if (!error)
		section->measured_ns = snap->boot_ns;
	return error;
}

int syscall_gather_deep(const struct object_walk *walk, const struct syscall_bpf *skel, struct snapshot *snap, bool looks_deep)
{
	struct gathering gathering = { .snap = snap, .skel = skel, .cpus = walk->cpus };
	struct syscall_deep_section *section = &snap->syscall_deep;
	int error = 0;

	section->count = section->cut = 0;
	if (looks_deep)
		error = object_walk_map(walk, bpf_map__fd(skel->maps.deep), gather_deep, &gathering);
	section->measured_ns = looks_deep && !error ? snap->boot_ns : 0;
	return error;
}

int syscall_gather_counts(const struct object_walk *walk, const struct syscall_bpf *skel, struct snapshot *snap, uint64_t *ret_lost)
{
	struct gathering gathering = { .snap = snap, .skel = skel, .cpus = walk->cpus };
	struct syscall_section *section = &snap->syscalls;
	uint64_t lost;
	int error = object_sum(walk, bpf_map__fd(skel->maps.counts_lost), 0, &lost, 1);

	section->count = section->cut = 0;
	if (!error)
		error = object_walk_map(walk, bpf_map__fd(skel->maps.counts), gather_counts, &gathering);
	if (error)
		return error;
	*ret_lost = lost + section->cut;
	section->measured_ns = snap->boot_ns;
	return 0;
}
