/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that were dropped, by the kernel's own reason (v5.17, c504e5c2f964: net: skb: introduce kfree_skb_reason()) and by device.
 * Packets that came to a good end go through consume_skb and never pass here. It fires in softirqs above all, and where it is often,
 * the node is being flooded: a per-CPU array and a row of a small preallocated table.
 */
#include "core.bpf.h"

#include <bpf/bpf_endian.h>

#include "signals/drop.h"

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_IPV6 = 0x86dd };

/* What the agent's devices are in; their indexes mean nothing elsewhere. */
const volatile __u32 own_netns = 0;
/* The reason that is none, by the running kernel's own number; 0 where there is no SKB_CONSUMED yet. */
const volatile __u32 reason_consumed = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_REASON_SLOTS);
	__type(key, __u32);
	__type(value, struct drop_counts);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} drop_devices SEC(".maps");
counts_refused(drop_devices);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[DROP_LOSS_COUNT]);
} drop_losses SEC(".maps");

static __always_inline enum drop_protocol protocol_of(const struct sk_buff *skb)
{
	switch (bpf_ntohs(skb->protocol)) {
	case ETHERTYPE_IPV4: return DROP_IPV4;
	case ETHERTYPE_IPV6: return DROP_IPV6;
	case ETHERTYPE_ARP: return DROP_ARP;
	default: return DROP_OTHER;
	}
}

/* 0: none. In a socket's queue the word holds something else (dev_scratch), which is no address, so that reading it gives zeros. */
static __always_inline __u32 own_device_of(const struct sk_buff *skb)
{
	const struct net_device *device = skb->dev;

	return device && device->nd_net.net->ns.inum == own_netns ? (__u32)device->ifindex : 0;
}

static __always_inline void add_to_device(__u32 device)
{
	__u64 none = 0, *packets = bpf_map_lookup_elem(&drop_devices, &device);
	__u32 zero = 0;

	if (!packets) {
		bpf_map_update_elem(&drop_devices, &device, &none, BPF_NOEXIST);
		packets = bpf_map_lookup_elem(&drop_devices, &device);
	}
	if (!packets) {
		refuse(drop_devices);
		packets = bpf_map_lookup_elem(&drop_losses, &zero);
	}
	if (packets)
		bump(*packets, 1);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(on_drop, struct sk_buff *skb, void *location, enum skb_drop_reason why)
{
	__u32 reason = why, slot = reason < DROP_REASON_SLOTS ? reason : DROP_REASON_SLOTS - 1;
	struct drop_counts *counts;

	if (!reason || (reason_consumed && reason == reason_consumed))
		return 0;
	counts = bpf_map_lookup_elem(&drops, &slot);
	if (counts)
		bump(counts->packets[protocol_of(skb)], 1);
	__u32 device = own_device_of(skb);
	if (device)
		add_to_device(device);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
