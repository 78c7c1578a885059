/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See syscall_slow.h. What a slow call waited for cannot be seen once it has returned: the walk takes the kernel stack of each that is beyond
 * the threshold, and the record that comes at the end finds it here.
 */
#include "collect/syscall_slow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collect/bpf.h"
#include "collect/kernel_symbol.h"
#include "collect/syscall_rows.h"
#include "core/pages.h"
#include "syscall.skel.h"

enum { RECORD_BYTES = 16 * 1024, MAX_STUCK = 64, GROUPS = 2 * MAX_SYSCALL_IN_FLIGHT };

/* A call beyond the threshold, as the last walk saw it. */
struct stuck {
	uint64_t start_ns;             /* 0: free */
	uint64_t seen_ns;
	int32_t tid;
	uint32_t count;
	uint64_t frames[SYSCALL_STACK];
};

/* Threads in the same call in the same cgroup. */
struct group {
	uint64_t cgroup_id, oldest_start_ns;
	uint32_t number, threads;      /* no threads: free */
};

struct syscall_slow {
	struct syscall_bpf *skel;
	struct bpf_link *walk;
	struct ring_buffer *ring;
	struct kernel_symbols *symbols;
	struct snapshot *snap;          /* of the tick that takes records */
	struct stuck stuck[MAX_STUCK];
	uint32_t cut;
	struct group groups[GROUPS];
	char records[RECORD_BYTES];
};

static int take_record(void *slow_, void *data, size_t size);

void syscall_slow_free(struct syscall_slow *slow)
{
	if (!slow)
		return;
	bpf_link__destroy(slow->walk);
	ring_buffer__free(slow->ring);
	kernel_symbols_free(slow->symbols);
	pages_free(slow);
}

int syscall_slow_new(struct syscall_bpf *skel, int proc_fd, struct syscall_slow **ret)
{
	struct syscall_slow *slow = pages_new(1, sizeof(*slow));
	char why[WHY_LEN];
	int error = -ENOMEM;

	if (!slow)
		return error;
	slow->skel = skel;
	slow->symbols = kernel_symbols_new(proc_fd);
	slow->ring = ring_buffer__new(bpf_map__fd(skel->maps.slow_calls), take_record, slow, NULL);
	if (slow->symbols && slow->ring)
		error = object_attach(skel->progs.on_task, &slow->walk, why, sizeof(why));
	if (error) {
		syscall_slow_free(slow);
		return error;
	}
	*ret = slow;
	return 0;
}

/* --- in flight -------------------------------------------------------------------------------------------------------- */

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static struct stuck *find_stuck(struct syscall_slow *slow, int32_t tid, uint64_t start_ns)
{
	for (int i = 0; i < MAX_STUCK; i++)
		if (slow->stuck[i].tid == tid && slow->stuck[i].start_ns == start_ns)
			return &slow->stuck[i];
	return NULL;
}

/* The place of the one not seen for longest: those in flight are seen at each walk. */
static struct stuck *stalest(struct syscall_slow *slow)
{
	struct stuck *least = &slow->stuck[0];

	for (int i = 1; i < MAX_STUCK; i++)
		if (slow->stuck[i].seen_ns < least->seen_ns)
			least = &slow->stuck[i];
	return least;
}

static void keep_stack(struct syscall_slow *slow, const struct in_flight_record *record, uint64_t now_ns)
{
	struct stuck *stuck = find_stuck(slow, record->tid, record->start_ns);

	if (!stuck)
		stuck = stalest(slow);
	*stuck = (struct stuck){ .start_ns = record->start_ns, .seen_ns = now_ns, .tid = record->tid };
	stuck->count = record->frames < SYSCALL_STACK ? record->frames : SYSCALL_STACK;
	memcpy(stuck->frames, record + 1, stuck->count * sizeof(stuck->frames[0]));
}

static void add_to_group(struct syscall_slow *slow, const struct in_flight_record *record)
{
	uint64_t hash = (record->cgroup_id << 12 ^ record->number) * 0x9E3779B97F4A7C15ULL;

	for (uint32_t step = 0, at = (uint32_t)(hash >> 32) % GROUPS; step < GROUPS; step++, at = (at + 1) % GROUPS) {
		struct group *group = &slow->groups[at];

		if (!group->threads)
			*group = (struct group){ .cgroup_id = record->cgroup_id, .number = record->number, .oldest_start_ns = record->start_ns };
		else if (group->cgroup_id != record->cgroup_id || group->number != record->number)
			continue;
		group->threads++;
		if (record->start_ns < group->oldest_start_ns)
			group->oldest_start_ns = record->start_ns;
		return;
	}
	slow->cut++;
}

static size_t take_in_flight(struct syscall_slow *slow, size_t size, uint64_t now_ns)
{
	size_t at = 0;

	while (size - at >= sizeof(struct in_flight_record)) {
		const struct in_flight_record *record = (const void *)(slow->records + at);
		size_t length = sizeof(*record) + (record->frames ? SYSCALL_STACK * sizeof(uint64_t) : 0);

		if (size - at < length)
			break;
		add_to_group(slow, record);
		if (record->frames)
			keep_stack(slow, record, now_ns);
		at += length;
	}
	return at;
}

static int walk_tasks(struct syscall_slow *slow, uint64_t now_ns)
{
	int fd = bpf_iter_create(bpf_link__fd(slow->walk));
	size_t filled = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, slow->records + filled, sizeof(slow->records) - filled)) > 0 || (got < 0 && errno == EINTR)) {
		if (got < 0)
			continue;
		filled += (size_t)got;
		size_t taken = take_in_flight(slow, filled, now_ns);
		filled -= taken;
		memmove(slow->records, slow->records + taken, filled);
	}
	int error = got < 0 ? -errno : 0;
	close(fd);
	return error;
}

static int compare_in_flight(const void *a_, const void *b_)
{
	const struct syscall_in_flight *a = a_, *b = b_;

	if (a->cgroup_id != b->cgroup_id)
		return a->cgroup_id > b->cgroup_id ? 1 : -1;
	if (a->abi != b->abi)
		return a->abi - b->abi;
	return a->nr != b->nr ? a->nr - b->nr : a->class - b->class;
}

static void fill_in_flight(const struct syscall_slow *slow, struct syscall_in_flight_section *section, uint64_t now_ns)
{
	section->count = 0;
	section->cut = slow->cut;
	for (uint32_t i = 0; i < GROUPS; i++) {
		const struct group *group = &slow->groups[i];

		if (!group->threads)
			continue;
		if (section->count == MAX_SYSCALL_IN_FLIGHT) {
			section->cut += group->threads;
			continue;
		}
		section->each[section->count++] = (struct syscall_in_flight){
			.cgroup_id = group->cgroup_id, .nr = syscall_number_nr(group->number), .abi = syscall_number_abi(group->number),
			.class = syscall_class_of(slow->skel, group->number), .threads = group->threads,
			.oldest_ns = now_ns > group->oldest_start_ns ? now_ns - group->oldest_start_ns : 0,
		};
	}
	qsort(section->each, section->count, sizeof(section->each[0]), compare_in_flight);
}

int syscall_slow_walk(struct syscall_slow *slow, struct snapshot *snap)
{
	uint64_t now_ns = monotonic_ns();

	memset(slow->groups, 0, sizeof(slow->groups));
	slow->cut = 0;
	int error = walk_tasks(slow, now_ns);
	if (error)
		return error;
	fill_in_flight(slow, &snap->syscall_in_flight, now_ns);
	snap->syscall_in_flight.measured_ns = snap->boot_ns;
	return 0;
}

/* --- records ----------------------------------------------------------------------------------------------------------- */

static int take_record(void *slow_, void *data, size_t size)
{
	struct syscall_slow *slow = slow_;
	const struct slow_call_record *record = data;
	struct event *event = event_add(&slow->snap->events, EVENT_SLOW_CALL);
	struct slow_call *call = &event->of.slow_call;
	struct stuck *stuck = find_stuck(slow, record->tid, record->start_ns);

	(void)size; /* one kind of record */
	event->at_ns = record->at_ns;
	event->cgroup_id = record->cgroup_id;
	event->pid = record->pid;
	event->uid = record->uid;
	memcpy(event->comm, record->comm, sizeof(event->comm));
	*call = (struct slow_call){
		.took_ns = record->took_ns, .nr = syscall_number_nr(record->number), .abi = syscall_number_abi(record->number),
		.descriptor = (uint8_t)record->descriptor, .tid = record->tid, .error = record->error,
	};
	if (stuck) {
		kernel_symbols_stack(slow->symbols, stuck->frames, stuck->count, slow->snap->boot_ns, call->waits, sizeof(call->waits));
		*stuck = (struct stuck){ 0 };
	}
	return 0;
}

int syscall_slow_take_records(struct syscall_slow *slow, struct snapshot *snap)
{
	slow->snap = snap;
	int error = ring_buffer__consume(slow->ring);
	return error < 0 ? error : 0;
}
