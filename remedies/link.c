/* SPDX-License-Identifier: Apache-2.0 */
/* See link.h. */
#include "remedies/link.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* libnl has errors of its own, which are coarser than the kernel's. */
static int errno_of(int error)
{
	static const struct {
		int libnl, kernel;
	} table[] = {
		{ NLE_EXIST, -EEXIST }, { NLE_NODEV, -ENODEV }, { NLE_OBJ_NOTFOUND, -ENODEV }, { NLE_PERM, -EPERM }, { NLE_NOMEM, -ENOMEM },
		{ NLE_AGAIN, -EAGAIN }, { NLE_INVAL, -EINVAL }, { NLE_DUMP_INTR, -EAGAIN }, { NLE_BUSY, -EBUSY }, { NLE_NOACCESS, -EACCES },
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (-error == table[i].libnl)
			return table[i].kernel;
	return error ? -EIO : 0;
}

int link_connect(struct nl_sock **ret)
{
	const struct timeval patience = { .tv_sec = 2 };
	struct nl_sock *socket = nl_socket_alloc();
	if (!socket)
		return -ENOMEM;
	int error = nl_connect(socket, NETLINK_ROUTE);
	if (error == 0 && setsockopt(nl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		error = -NLE_FAILURE;
	if (error) {
		nl_socket_free(socket);
		return errno_of(error);
	}
	*ret = socket;
	return 0;
}

int link_ask(struct nl_sock *socket, struct nl_msg *message)
{
	return errno_of(nl_send_sync(socket, message));
}

/* --- looking -------------------------------------------------------------------------------------------------------------- */

struct look {
	const char *name;
	struct link_facts *facts;
	bool found;
};

static void take(struct look *look, struct rtnl_link *link)
{
	struct link_facts *facts = look->facts;
	unsigned int flags = rtnl_link_get_flags(link);
	look->found = true;
	*facts = (struct link_facts){
		.index = (uint32_t)rtnl_link_get_ifindex(link), .loopback = flags & IFF_LOOPBACK, .up = flags & IFF_UP, .carrier = flags & IFF_LOWER_UP,
		.master = (uint32_t)rtnl_link_get_master(link), .rx_packets = rtnl_link_get_stat(link, RTNL_LINK_RX_PACKETS),
		.tx_packets = rtnl_link_get_stat(link, RTNL_LINK_TX_PACKETS), .rx_errors = rtnl_link_get_stat(link, RTNL_LINK_RX_ERRORS),
		.tx_errors = rtnl_link_get_stat(link, RTNL_LINK_TX_ERRORS),
	};
}

static void find(struct nl_object *object, void *opaque)
{
	struct look *look = opaque;
	struct rtnl_link *link = (struct rtnl_link *)object;
	const char *name = rtnl_link_get_name(link);
	if (name && strcmp(name, look->name) == 0)
		take(look, link);
}

/* A pair of virtual Ethernet ends names its other end as a VLAN names what it lies upon. */
static bool is_a_pair(struct rtnl_link *link)
{
	const char *type = rtnl_link_get_type(link);
	return type && (strcmp(type, "veth") == 0 || strcmp(type, "netkit") == 0);
}

static void count_others(struct nl_object *object, void *opaque)
{
	struct link_facts *facts = ((struct look *)opaque)->facts;
	struct rtnl_link *link = (struct rtnl_link *)object;
	if ((uint32_t)rtnl_link_get_ifindex(link) == facts->index)
		return;
	facts->members += (uint32_t)rtnl_link_get_master(link) == facts->index;
	facts->carried += (uint32_t)rtnl_link_get_link(link) == facts->index && !is_a_pair(link);
}

int link_look(struct nl_sock *socket, const char *name, struct link_facts *ret)
{
	struct nl_cache *links = NULL;
	struct look look = { .name = name, .facts = ret };
	memset(ret, 0, sizeof(*ret));
	int error = rtnl_link_alloc_cache(socket, AF_UNSPEC, &links);
	if (error < 0)
		return errno_of(error);
	nl_cache_foreach(links, find, &look);
	if (look.found)
		nl_cache_foreach(links, count_others, &look);
	nl_cache_free(links);
	return look.found ? 0 : -ENODEV;
}

/* --- one by its name and number ------------------------------------------------------------------------------------------- */

static int look_at(struct nl_sock *socket, const char *name, uint32_t index, struct link_facts *ret)
{
	struct rtnl_link *link = NULL;
	struct look look = { .name = name, .facts = ret };
	int error = rtnl_link_get_kernel(socket, (int)index, NULL, &link);
	if (error < 0)
		return error == -NLE_NODEV || error == -NLE_OBJ_NOTFOUND ? -ESTALE : errno_of(error);
	find((struct nl_object *)link, &look);
	rtnl_link_put(link);
	return look.found ? 0 : -ESTALE;
}

int link_is_up(const char *name, uint32_t index, bool *ret)
{
	struct nl_sock *socket = NULL;
	struct link_facts facts = { 0 };
	int error = link_connect(&socket);
	if (error)
		return error;
	error = look_at(socket, name, index, &facts);
	nl_socket_free(socket);
	if (error == 0)
		*ret = facts.up;
	return error;
}

int link_set(const char *name, uint32_t index, bool up)
{
	/* Of the flags only this one: what others turn meanwhile is theirs. */
	struct ifinfomsg what = { .ifi_family = AF_UNSPEC, .ifi_index = (int)index, .ifi_flags = up ? IFF_UP : 0, .ifi_change = IFF_UP };
	struct nl_sock *socket = NULL;
	struct link_facts facts = { 0 };
	int error = link_connect(&socket);
	if (error)
		return error;
	error = look_at(socket, name, index, &facts);
	struct nl_msg *message = error ? NULL : nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_REQUEST);
	if (!error && !message)
		error = -ENOMEM;
	if (!error && nlmsg_append(message, &what, sizeof(what), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(message);
		error = -ENOMEM;
	}
	if (!error)
		error = link_ask(socket, message);
	nl_socket_free(socket);
	return error == -ENODEV ? -ESTALE : error;
}
