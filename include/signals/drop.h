/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause */
/* Packets that the kernel dropped, by its own reason and by device. */
#ifndef NODEMEND_SIGNALS_DROP_H
#define NODEMEND_SIGNALS_DROP_H

#ifndef __bpf__
#include <linux/types.h>
#endif

enum drop_protocol { DROP_IPV4, DROP_IPV6, DROP_ARP, DROP_OTHER, DROP_PROTOCOL_COUNT };

/* The kernel's core has 128 reasons so far; those of its subsystems (mac80211, openvswitch: above 2^16) are in the last slot. */
enum { DROP_REASON_SLOTS = 256 };

struct drop_counts {
	__u64 packets[DROP_PROTOCOL_COUNT];
};

enum drop_loss { DROP_LOSS_DEVICE, DROP_LOSS_COUNT };

#ifndef __bpf__
#include <stdint.h>

enum { DROP_REASON_LEN = 48, MAX_DROP_DEVICES = 128 };

struct drop_reason {
	char name[DROP_REASON_LEN];     /* as in enum skb_drop_reason, without its prefix */
	struct drop_counts counts;
};

struct drop_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct drop_reason each[DROP_REASON_SLOTS]; /* those that occurred */
};

struct drop_device {
	uint32_t index;
	char name[16];
	uint64_t packets;
};

/* The rest: packets of no device any more, or of another network namespace. */
struct drop_device_section {
	uint64_t measured_ns;
	uint32_t count, cut;
	struct drop_device each[MAX_DROP_DEVICES];
};
#endif

#endif
