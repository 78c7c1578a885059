/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel takes from an interface that goes down, and does not give back: kept as it was said, and said again. */
#ifndef NODEMEND_REMEDIES_LINK_KEEP_H
#define NODEMEND_REMEDIES_LINK_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEPT_BYTES = 64 * 1024 };

struct nl_sock;

struct link_kept {
	uint32_t addresses, routes;      /* that would be put back: global ones of IPv6; of both, those that neither the kernel nor a router made */
	bool default_route;              /* any: one of the ways out of this node leads through it */
	bool shared;                     /* a route with several ways, or by a nexthop object: it cannot be put back by itself */
	bool cut;                        /* more than there is room for */
	uint32_t missing;                /* after link_put_back(): what could not be put back yet */
	int error;                       /* of the last of those */
	size_t used;
	unsigned char bytes[KEPT_BYTES]; /* messages of the kernel, one behind the other */
};

/* 0 or -errno. */
int link_keep(struct nl_sock *socket, uint32_t index, struct link_kept *ret);
/* Everything that is not there any more; may be called again. */
void link_put_back(struct nl_sock *socket, struct link_kept *kept);

#endif
