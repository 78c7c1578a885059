/* SPDX-License-Identifier: Apache-2.0 */
/* A network interface of this namespace as a remedy sees it, and the one thing that is done to it. By rtnetlink. */
#ifndef NODEMEND_REMEDIES_LINK_H
#define NODEMEND_REMEDIES_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "snapshot.h"

struct nl_sock;
struct nl_msg;

struct link_facts {
	uint32_t index;
	bool loopback, up, carrier;
	uint32_t master;                 /* the bridge, bond or VRF that it is a part of; 0: none */
	uint32_t members, carried;       /* links that are a part of it; links that lie upon it (VLANs and the like) */
	uint64_t rx_packets, tx_packets, rx_errors, tx_errors;
};

/* For requests of one's own; every answer is waited for at most two seconds. 0 or -errno. */
int link_connect(struct nl_sock **ret);
/* Sends a request and waits for the kernel's word on it. Frees the message. 0 or -errno. */
int link_ask(struct nl_sock *socket, struct nl_msg *message);
/* 0; -ENODEV: there is none of that name; -errno. */
int link_look(struct nl_sock *socket, const char *name, struct link_facts *ret);

/* Of the interface of that name and index, which must be the same; -ESTALE where it is not. For leases. */
int link_is_up(const char *name, uint32_t index, bool *ret);
int link_set(const char *name, uint32_t index, bool up);

#endif
