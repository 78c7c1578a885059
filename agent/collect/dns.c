/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS requests by cgroup, server and result. The two programs hang on the root of the v2 hierarchy by links, which leave others'
 * programs there alone (links are always BPF_F_ALLOW_MULTI) and are gone with us. Without such a hierarchy: DOWN.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/bpf.h"
#include "collect/process_procfs.h"
#include "dns.skel.h"

enum {
	WALK_BYTES = 64 * 1024,
	ROWS_HIGH = MAX_DNS_ROWS * 3 / 4,
	TIMEOUT_INTERVALS = 10,
	COUNTS = sizeof(struct dns_counts) / sizeof(uint64_t),
	HISTOGRAM_WORDS = sizeof(struct histogram) / sizeof(uint64_t),
};
/* A resolver gives up sooner; what is answered later has helped nobody. */
#define TIMEOUT_NS (10 * NSEC_PER_SEC)

struct dns_state {
	struct dns_bpf *skel;
	struct bpf_link *egress, *ingress, *requests;
	struct object_walk walk;
	int cgroup_fd;
	struct snapshot *snap;          /* of the round under way */
};

static void detach(struct dns_state *state)
{
	bpf_link__destroy(state->egress);
	bpf_link__destroy(state->ingress);
	state->egress = state->ingress = NULL;
}

static void close_dns(void *state_)
{
	struct dns_state *state = state_;

	if (!state)
		return;
	detach(state);
	bpf_link__destroy(state->requests);
	object_close(dns, state->skel);
	object_walk_free(&state->walk);
	if (state->cgroup_fd >= 0)
		close(state->cgroup_fd);
	free(state);
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

static int attach(struct dns_state *state, char *why)
{
	state->egress = bpf_program__attach_cgroup(state->skel->progs.on_egress, state->cgroup_fd);
	int error = state->egress ? 0 : -errno;
	if (!error) {
		state->ingress = bpf_program__attach_cgroup(state->skel->progs.on_ingress, state->cgroup_fd);
		error = state->ingress ? 0 : -errno;
	}
	if (error) {
		detach(state);
		snprintf(why, WHY_LEN, "cannot attach to the root cgroup: %s", strerror(-error));
	}
	return error;
}

static int attach_walk(struct dns_state *state)
{
	union bpf_iter_link_info info = { .map = { .map_fd = (uint32_t)bpf_map__fd(state->skel->maps.dns_requests) } };
	struct bpf_iter_attach_opts options;

	memset(&options, 0, sizeof(options)); /* libbpf refuses it with anything in its padding */
	options.sz = sizeof(options);
	options.link_info = &info;
	options.link_info_len = sizeof(info);
	state->requests = bpf_program__attach_iter(state->skel->progs.on_request, &options);
	return state->requests ? 0 : -errno;
}

static int load(struct dns_state *state, const struct collector_env *env, char *why)
{
	struct bpf_object_open_opts options = object_options(env);
	const char *root = process_procfs_cgroup_root(env->sys_fd);
	uint64_t timeout_ns = TIMEOUT_INTERVALS * env->config->interval_ns;

	state->cgroup_fd = root ? openat(env->sys_fd, root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (state->cgroup_fd < 0) {
		snprintf(why, WHY_LEN, "no cgroup v2 hierarchy to see packets on");
		return -ENOENT;
	}
	state->skel = dns_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	state->skel->rodata->timeout_ns = timeout_ns < TIMEOUT_NS ? timeout_ns : TIMEOUT_NS;
	int error = object_load(state->skel->obj, why, WHY_LEN);
	if (!error)
		error = attach_walk(state);
	return error ? error : attach(state, why);
}

static int open_dns(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct dns_state *state = calloc(1, sizeof(*state));
	char why[WHY_LEN] = "";
	int error = -ENOMEM;

	if (state) {
		state->cgroup_fd = -1;
		error = object_walk_init(&state->walk, WALK_BYTES);
		if (!error)
			error = load(state, env, why);
	}
	if (error) {
		close_dns(state);
		return collector_down(status, error, why);
	}
	collector_up(status, COLLECTOR_UP, "cgroup_skb", state->skel->obj);
	*ret_state = state;
	return 0;
}

/* Off, packets pass by unseen: what was asked and not yet answered will count as timed out. */
static int set_depth_dns(void *state_, enum depth depth)
{
	struct dns_state *state = state_;
	char why[WHY_LEN];

	if (depth == DEPTH_OFF) {
		detach(state);
		return 0;
	}
	state->skel->data->depth = depth;
	return state->egress ? 0 : attach(state, why);
}

/* --- the section ------------------------------------------------------------------------------------------------------ */

static int give_up_old(const struct dns_state *state)
{
	char nothing[64];
	int fd = bpf_iter_create(bpf_link__fd(state->requests));
	ssize_t got;

	if (fd < 0)
		return -errno;
	do
		got = read(fd, nothing, sizeof(nothing)); /* the walk itself does it, and writes nothing */
	while (got > 0 || (got < 0 && errno == EINTR));
	int error = got < 0 ? -errno : 0;
	close(fd);
	return error;
}

static void take_row(const void *key, const void *value, void *state_)
{
	struct dns_state *state = state_;
	struct dns_section *section = &state->snap->dns;

	if (section->count == MAX_DNS_ROWS) {
		section->cut++;
		return;
	}
	section->each[section->count++] = (struct dns_row){ .key = *(const struct dns_key *)key, .counts = *(const struct dns_counts *)value };
}

static int compare_requests(const void *a, const void *b)
{
	const struct dns_row *left = a, *right = b;

	if (left->counts.requests != right->counts.requests)
		return right->counts.requests > left->counts.requests ? 1 : -1;
	return memcmp(&left->key, &right->key, sizeof(left->key));
}

/* When the table fills up: rows of cgroups without a name, and the smallest. The totals have what they counted. */
static void prune(struct dns_state *state)
{
	const struct dns_section *section = &state->snap->dns;
	int fd = bpf_map__fd(state->skel->maps.dns_results);

	if (section->count <= ROWS_HIGH)
		return;
	for (uint32_t i = 0; i < section->count; i++)
		if (i >= ROWS_HIGH || !snapshot_cgroup(state->snap, section->each[i].key.cgroup_id))
			(void)bpf_map_delete_elem(fd, &section->each[i].key);
}

static int collect_dns(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct dns_state *state = state_;
	struct dns_section *section = &snap->dns;
	uint64_t notes[DNS_NOTE_COUNT];
	int error = give_up_old(state);

	if (error)
		return error;
	state->snap = snap;
	section->count = section->cut = 0;
	/* Rows before totals, so that the rest is never negative. */
	error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.dns_results), take_row, state);
	for (uint32_t i = 0; !error && i < DNS_RESULT_COUNT; i++)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.dns_totals), i, (uint64_t *)&section->total[i], COUNTS);
	if (!error)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.dns_latency), 0, (uint64_t *)&section->latency, HISTOGRAM_WORDS);
	if (!error)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.dns_notes), 0, notes, DNS_NOTE_COUNT);
	if (error)
		return error;
	qsort(section->each, section->count, sizeof(section->each[0]), compare_requests);
	prune(state);
	status->events_lost = notes[DNS_LOSS_REQUEST] + notes[DNS_LOSS_ROW];
	section->measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_dns = {
	.name = "dns",
	.id = COLLECTOR_DNS,
	.open = open_dns,
	.collect = collect_dns,
	.close = close_dns,
	.set_depth = set_depth_dns,
};
