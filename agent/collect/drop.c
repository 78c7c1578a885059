/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dropped packets by the kernel's reason, whose names come from the running kernel's own BTF: the numbers behind them change from
 * release to release. Before v5.17 the kernel gives no reason, and what is freed is not told from what is dropped: DOWN.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "collect/bpf.h"
#include "drop.skel.h"

enum { WALK_BYTES = 64 * 1024, LAST_SLOT = DROP_REASON_SLOTS - 1, PROTOCOLS = DROP_PROTOCOL_COUNT };

struct drop_state {
	struct drop_bpf *skel;
	struct bpf_link *link;
	struct object_walk walk;
	struct snapshot *snap;          /* of the round under way */
	char names[DROP_REASON_SLOTS][DROP_REASON_LEN];
};

static void close_drop(void *state_)
{
	struct drop_state *state = state_;

	if (!state)
		return;
	bpf_link__destroy(state->link);
	object_close(drop, state->skel);
	object_walk_free(&state->walk);
	free(state);
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

static void keep_name(struct drop_state *state, uint32_t number, const char *name, uint32_t *ret_consumed)
{
	static const char prefix[] = "SKB_DROP_REASON_";

	if (!strcmp(name, "SKB_CONSUMED"))
		*ret_consumed = number;
	if (number >= LAST_SLOT || strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return;
	snprintf(state->names[number], DROP_REASON_LEN, "%s", name + sizeof(prefix) - 1);
}

static int read_names(struct drop_state *state, const struct collector_env *env, uint32_t *ret_consumed)
{
	struct btf *btf = env->btf_path ? btf__parse(env->btf_path, NULL) : btf__load_vmlinux_btf();
	int id = btf ? btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM) : -ENOENT;
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	*ret_consumed = 0;
	for (uint32_t i = 0; type && i < btf_vlen(type); i++) {
		const struct btf_enum *each = &btf_enum(type)[i];
		keep_name(state, (uint32_t)each->val, btf__name_by_offset(btf, each->name_off), ret_consumed);
	}
	btf__free(btf);
	for (uint32_t i = 0; i < LAST_SLOT; i++)
		if (!state->names[i][0])
			snprintf(state->names[i], DROP_REASON_LEN, "REASON_%u", i);
	snprintf(state->names[LAST_SLOT], DROP_REASON_LEN, "OTHER_SUBSYSTEM");
	return type ? 0 : -ENOENT;
}

static int attach(struct drop_state *state, char *why)
{
	return object_attach(state->skel->progs.on_drop, &state->link, why, WHY_LEN);
}

static int load(struct drop_state *state, const struct collector_env *env, char *why)
{
	struct bpf_object_open_opts options = object_options(env);
	uint32_t consumed;
	struct stat netns;

	if (object_tracepoint_arguments(env, "kfree_skb") < 3 || read_names(state, env, &consumed)) {
		snprintf(why, WHY_LEN, "kfree_skb tells no reason before kernel 5.17");
		return -ENOENT;
	}
	state->skel = drop_bpf__open_opts(&options);
	if (!state->skel)
		return -errno;
	state->skel->rodata->reason_consumed = consumed;
	state->skel->rodata->own_netns = fstatat(env->proc_fd, "self/ns/net", &netns, 0) ? 0 : (uint32_t)netns.st_ino;
	int error = object_load(state->skel->obj, why, WHY_LEN);
	return error ? error : attach(state, why);
}

static int open_drop(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct drop_state *state = calloc(1, sizeof(*state));
	char why[WHY_LEN] = "";
	int error = -ENOMEM;

	if (state && !object_walk_init(&state->walk, WALK_BYTES))
		error = load(state, env, why);
	if (error) {
		close_drop(state);
		return collector_down(status, error, why);
	}
	collector_up(status, COLLECTOR_UP, "tp_btf", state->skel->obj);
	*ret_state = state;
	return 0;
}

static int set_depth_drop(void *state_, enum depth depth)
{
	struct drop_state *state = state_;
	char why[WHY_LEN];

	if (depth != DEPTH_OFF)
		return state->link ? 0 : attach(state, why);
	bpf_link__destroy(state->link);
	state->link = NULL;
	return 0;
}

/* --- the sections ----------------------------------------------------------------------------------------------------- */

static void take_reason(const void *key, const void *value, void *state_)
{
	struct drop_state *state = state_;
	struct drop_section *section = &state->snap->drops;
	const struct drop_counts *counts = value;
	uint32_t slot = *(const uint32_t *)key;
	uint64_t packets = 0;

	if (slot >= DROP_REASON_SLOTS || section->count >= DROP_REASON_SLOTS)
		return;
	struct drop_reason *reason = &section->each[section->count];
	*reason = (struct drop_reason){ 0 };
	for (uint32_t cpu = 0; cpu < state->walk.cpus; cpu++)
		for (int protocol = 0; protocol < PROTOCOLS; protocol++) {
			reason->counts.packets[protocol] += counts[cpu].packets[protocol];
			packets += counts[cpu].packets[protocol];
		}
	if (!packets)
		return;
	memcpy(reason->name, state->names[slot], sizeof(reason->name));
	section->count++;
}

static const struct interface *interface_of(const struct interface_section *section, uint32_t index)
{
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].index == index)
			return &section->each[i];
	return NULL;
}

/* The interface collector, which runs before, has the names. A device that is gone has none any more: it counts in the rest. */
static void take_device(const void *key, const void *value, void *state_)
{
	struct drop_state *state = state_;
	struct drop_device_section *section = &state->snap->drop_devices;
	struct drop_device device = { .index = *(const uint32_t *)key, .packets = *(const uint64_t *)value };
	const struct interface *interface = interface_of(&state->snap->interfaces, device.index);

	if (!interface)
		return;
	snprintf(device.name, sizeof(device.name), "%.15s", interface->name);
	if (section->count == MAX_DROP_DEVICES)
		section->cut++;
	else
		section->each[section->count++] = device;
}

static int compare_index(const void *a, const void *b)
{
	uint32_t left = ((const struct drop_device *)a)->index, right = ((const struct drop_device *)b)->index;
	return (left > right) - (left < right);
}

static int collect_drop(void *state_, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct drop_state *state = state_;
	struct drop_device_section *devices = &snap->drop_devices;
	uint64_t lost[DROP_LOSS_COUNT];

	state->snap = snap;
	snap->drops.count = devices->count = devices->cut = 0;
	/* Devices before reasons, so that the rest is never negative. */
	int error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.drop_devices), take_device, state);
	if (!error)
		error = object_walk_map(&state->walk, bpf_map__fd(state->skel->maps.drops), take_reason, state);
	if (!error)
		error = object_sum(&state->walk, bpf_map__fd(state->skel->maps.drop_losses), 0, lost, DROP_LOSS_COUNT);
	if (error)
		return error;
	qsort(devices->each, devices->count, sizeof(devices->each[0]), compare_index);
	status->events_lost = lost[DROP_LOSS_DEVICE] + object_missed(state->skel->obj);
	snap->drops.measured_ns = devices->measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_drop = {
	.name = "drop",
	.id = COLLECTOR_DROP,
	.open = open_drop,
	.collect = collect_drop,
	.close = close_drop,
	.set_depth = set_depth_drop,
};
