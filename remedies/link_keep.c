/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See link_keep.h. A message of a dump is, but for its header, the request that makes the same thing: it goes back as it came, and nothing
 * is lost in words of our own.
 */
#include "remedies/link_keep.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "remedies/link.h"

struct keeping {
	struct link_kept *kept;
	uint32_t index;
};

static bool append(struct link_kept *kept, const struct nlmsghdr *header)
{
	size_t size = NLMSG_ALIGN(header->nlmsg_len);
	if (size > sizeof(kept->bytes) - kept->used) {
		kept->cut = true;
		return false;
	}
	memset(kept->bytes + kept->used, 0, size);
	memcpy(kept->bytes + kept->used, header, header->nlmsg_len);
	kept->used += size;
	return true;
}

/* IPv4 addresses stay; those of the link itself and the temporary ones are made anew (addrconf, net/ipv6/addrconf.c). */
static void keep_address(struct keeping *keeping, const struct nlmsghdr *header)
{
	const struct ifaddrmsg *address = nlmsg_data(header);
	if (nlmsg_datalen(header) < (int)sizeof(*address) || address->ifa_index != keeping->index || address->ifa_family != AF_INET6)
		return;
	if (address->ifa_scope == RT_SCOPE_LINK || (address->ifa_flags & IFA_F_TEMPORARY))
		return;
	keeping->kept->addresses += append(keeping->kept, header);
}

static bool leads_through(const struct nlattr *ways, uint32_t index)
{
	const struct rtnexthop *way = nla_data(ways);
	for (int left = nla_len(ways); RTNH_OK(way, left); left -= (int)NLMSG_ALIGN(way->rtnh_len), way = RTNH_NEXT(way))
		if ((uint32_t)way->rtnh_ifindex == index)
			return true;
	return false;
}

static bool is_made_anew(const struct rtmsg *route)
{
	return (route->rtm_flags & RTM_F_CLONED) || route->rtm_table == RT_TABLE_LOCAL || route->rtm_protocol == RTPROT_KERNEL ||
	       route->rtm_protocol == RTPROT_RA || route->rtm_protocol == RTPROT_REDIRECT;
}

static void keep_route(struct keeping *keeping, const struct nlmsghdr *header)
{
	struct nlattr *has[RTA_MAX + 1];
	const struct rtmsg *route = nlmsg_data(header);
	struct link_kept *kept = keeping->kept;
	if (nlmsg_datalen(header) < (int)sizeof(*route) || nlmsg_parse((struct nlmsghdr *)header, sizeof(*route), has, RTA_MAX, NULL) < 0)
		return;
	bool several = has[RTA_MULTIPATH] && leads_through(has[RTA_MULTIPATH], keeping->index);
	bool ours = several || (has[RTA_OIF] && nla_get_u32(has[RTA_OIF]) == keeping->index);
	if (!ours || (route->rtm_flags & RTM_F_CLONED))
		return;
	kept->default_route |= route->rtm_dst_len == 0 && route->rtm_type == RTN_UNICAST;
	if (several || has[RTA_NH_ID])
		kept->shared = true;
	else if (!is_made_anew(route))
		kept->routes += append(kept, header);
}

static int on_valid(struct nl_msg *message, void *opaque)
{
	const struct nlmsghdr *header = nlmsg_hdr(message);
	if (header->nlmsg_type == RTM_NEWADDR)
		keep_address(opaque, header);
	if (header->nlmsg_type == RTM_NEWROUTE)
		keep_route(opaque, header);
	return NL_OK;
}

static int dump(struct nl_sock *socket, struct keeping *keeping, int type, unsigned char family)
{
	struct rtgenmsg all = { .rtgen_family = family };
	struct nl_cb *callbacks = nl_cb_alloc(NL_CB_DEFAULT);
	if (!callbacks)
		return -ENOMEM;
	nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, on_valid, keeping);
	int error = nl_send_simple(socket, type, NLM_F_DUMP, &all, sizeof(all));
	if (error >= 0)
		error = nl_recvmsgs(socket, callbacks);
	nl_cb_put(callbacks);
	return error < 0 ? error == -NLE_DUMP_INTR ? -EAGAIN : -EIO : 0;
}

/* Addresses first: routes are put back behind them. */
int link_keep(struct nl_sock *socket, uint32_t index, struct link_kept *ret)
{
	struct keeping keeping = { .kept = ret, .index = index };
	memset(ret, 0, offsetof(struct link_kept, bytes));
	int error = dump(socket, &keeping, RTM_GETADDR, AF_INET6);
	if (!error)
		error = dump(socket, &keeping, RTM_GETROUTE, AF_INET);
	return error ? error : dump(socket, &keeping, RTM_GETROUTE, AF_INET6);
}

static int say_again(struct nl_sock *socket, const struct nlmsghdr *header)
{
	struct nl_msg *message = nlmsg_alloc_simple(header->nlmsg_type, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
	if (!message || nlmsg_append(message, nlmsg_data(header), (size_t)nlmsg_datalen(header), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	/* What the kernel says of a way's state is nothing that it can be told. */
	if (header->nlmsg_type == RTM_NEWROUTE)
		((struct rtmsg *)nlmsg_data(nlmsg_hdr(message)))->rtm_flags &= RTNH_F_ONLINK | RTNH_F_PERVASIVE;
	return link_ask(socket, message);
}

void link_put_back(struct nl_sock *socket, struct link_kept *kept)
{
	kept->missing = 0;
	for (size_t at = 0; at < kept->used;) {
		const struct nlmsghdr *header = (const struct nlmsghdr *)(kept->bytes + at);
		int error = say_again(socket, header);
		if (error && error != -EEXIST) {
			kept->missing++;
			kept->error = error;
		}
		at += NLMSG_ALIGN(header->nlmsg_len);
	}
}
