/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names of cgroups while they have one: a cgroup that lives for ten milliseconds is gone before any tick could ask for it. And their
 * removal, after which nobody can be charged any more. Renaming is v1's alone: the unified hierarchy has no such operation.
 */
#include "core.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024); /* some 1500 cgroups made and removed a tick; beyond, names are asked for by handle */
} cgroup_events SEC(".maps");
counts_refused(cgroup_events);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgroup_event);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} cgroup_lost SEC(".maps");

enum { HEAD_BYTES = sizeof(struct cgroup_event) - CGROUP_PATH_LEN };

/* The unified hierarchy is the one with number 0, as "0::/" of /proc/PID/cgroup says. */
static __always_inline void tell(const struct cgroup *cgroup, enum cgroup_event_kind kind, const char *path)
{
	__u32 zero = 0, length = 0;
	struct cgroup_event *event = bpf_map_lookup_elem(&scratch, &zero);

	if (!event || BPF_CORE_READ(cgroup, root, hierarchy_id))
		return;
	event->id = BPF_CORE_READ(cgroup, kn, id);
	event->kind = kind;
	if (path) {
		long got = bpf_probe_read_kernel_str(event->path, sizeof(event->path), path);

		/* One that fills the room may have been cut, and would be another's name. */
		length = got > 0 && got < CGROUP_PATH_LEN ? (__u32)got : 0;
	}
	event->length = length;
	if (!bpf_ringbuf_output(&cgroup_events, event, HEAD_BYTES + (length & (CGROUP_PATH_LEN - 1)), BPF_RB_NO_WAKEUP))
		return;
	refuse(cgroup_events);
	__u64 *lost = bpf_map_lookup_elem(&cgroup_lost, &zero);
	if (lost)
		bump(*lost, 1);
}

/* Raw, not tp_btf: to that, kernels before 5.11 refuse an argument that points to no struct, as the path does. */
SEC("raw_tp/cgroup_mkdir")
int BPF_PROG(on_made, struct cgroup *cgroup, const char *path)
{
	tell(cgroup, CGROUP_EVENT_MADE, path);
	return 0;
}

SEC("raw_tp/cgroup_rmdir")
int BPF_PROG(on_removed, struct cgroup *cgroup, const char *path)
{
	tell(cgroup, CGROUP_EVENT_REMOVED, NULL);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
