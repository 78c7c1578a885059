/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outlook's state with any content, as if its digest were right: what it takes back it can live with, for a while, and keep again. And
 * the bytes as they are: refused, or the same.
 */
#include <stdlib.h>
#include <string.h>

#include "detect/outlook_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct snapshot snap;

static void require(bool so)
{
	if (!so)
		abort();
}

/* The input, over and over, so that a short one fills a record as well. */
static void spread(void *to, size_t room, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < room; i++)
		((uint8_t *)to)[i] = size ? data[i % size] : 0;
}

static size_t forge(const uint8_t *data, size_t size, char *state)
{
	struct state_head *head = (struct state_head *)state;
	spread(head, sizeof(*head), data, size);
	memcpy(head->magic, OUTLOOK_MAGIC, sizeof(head->magic));
	head->version = STATE_VERSION;
	head->series_size = sizeof(struct remembered);
	head->sized_size = sizeof(struct sized);
	head->series_count %= 4;
	head->sized_count %= 3;
	size_t behind = head->series_count * sizeof(struct remembered) + head->sized_count * sizeof(struct sized);
	head->size = (uint32_t)(sizeof(*head) + behind);
	spread(head + 1, behind, data + size / 2, size - size / 2);
	outlook_state_digest(head, head + 1, behind, head->digest);
	return head->size;
}

static void live_on(struct outlook *outlook)
{
	for (int i = 0; i < 3; i++) {
		snap.boot_ns += 61 * NSEC_PER_SEC;
		snap.memory.measured_ns = snap.cgroups.measured_ns = snap.processes.measured_ns = snap.boot_ns;
		outlook_look(outlook, &snap);
		require(snap.outlook.count <= MAX_OUTLOOK && snap.outlook.sizing_count <= MAX_SIZED && snap.outlook.leak_count <= MAX_LEAKS);
		for (uint32_t row = 0; row < snap.outlook.count; row++)
			require(snap.outlook.each[row].evidence < EVIDENCE_COUNT && snap.outlook.each[row].resource < CAPACITY_COUNT);
	}
}

static void keep_again(const struct outlook *outlook)
{
	char *state = malloc(outlook_state_size()), why[WHY_LEN];
	struct outlook *next = outlook_new();
	require(state && next);
	size_t kept = outlook_save(outlook, &snap, state, outlook_state_size());
	require(kept && outlook_restore(next, &snap, state, kept, why, sizeof(why)) == 0);
	outlook_free(next);
	free(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *state = malloc(outlook_state_size()), *exact = malloc(size ? size : 1), why[WHY_LEN];
	struct outlook *outlook = outlook_new();
	require(state && exact && outlook);
	memset(&snap.memory, 0, sizeof(snap.memory));
	snap.boot_ns = 1000 * NSEC_PER_SEC;
	snap.interval_ns = NSEC_PER_SEC;
	snap.wall_ns = 1795485165500000000;
	snap.memory.total = 1000;
	snap.memory.available = 100;
	snap.memory.swap_total = snap.memory.swap_free = UNKNOWN;
	snap.cgroups.count = 1;
	snap.cgroups.each[0] = (struct cgroup){ .id = 1, .path = "/a", .processes = 1, .memory_max = UNKNOWN, .pids_max = UNKNOWN };

	memcpy(exact, data, size); /* as large as it is, so that one byte beyond is seen */
	(void)outlook_restore(outlook, &snap, exact, size, why, sizeof(why));
	size_t forged = forge(data, size, state);
	if (outlook_restore(outlook, &snap, state, forged, why, sizeof(why)) == 0) {
		live_on(outlook);
		keep_again(outlook);
	}
	outlook_free(outlook);
	free(exact);
	free(state);
	return 0;
}
