/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network interfaces of the agent's namespace, by an RTM_GETLINK dump over one netlink socket that stays open; where the
 * kernel refuses that, /proc/net/dev, which knows neither state nor MTU. The speed comes from sysfs, rarely asked: the driver
 * answers it under the global network lock.
 */
#include "collect/procfs.h"
#include "collector.h"
#include "core/pages.h"

#include <errno.h>
#include <linux/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MAX_RECEIVES = 256,            /* a dump comes in messages of up to 32 KiB: some 20 interfaces each */
	SPEED_TICKS = 60,
};

struct interface_state {
	int proc_fd, sys_fd, dev_fd;   /* dev_fd: /proc/net/dev, -1 while netlink works */
	struct nl_sock *socket;
	struct nl_cb *callbacks;
	bool done;
	int error;                     /* of the dump under way */
	uint32_t ticks;
	uint64_t full_ns;
	struct interface_section next;
	char buffer[PROCFS_BUFFER];
};

/* --- netlink ------------------------------------------------------------------------------------------------------------ */

static void fill(struct interface *row, struct rtnl_link *link)
{
	const struct {
		uint64_t *to;
		rtnl_link_stat_id_t from;
	} counters[] = {
		{ &row->rx_bytes, RTNL_LINK_RX_BYTES }, { &row->rx_packets, RTNL_LINK_RX_PACKETS },
		{ &row->rx_errors, RTNL_LINK_RX_ERRORS }, { &row->rx_dropped, RTNL_LINK_RX_DROPPED },
		{ &row->tx_bytes, RTNL_LINK_TX_BYTES }, { &row->tx_packets, RTNL_LINK_TX_PACKETS },
		{ &row->tx_errors, RTNL_LINK_TX_ERRORS }, { &row->tx_dropped, RTNL_LINK_TX_DROPPED },
		{ &row->rx_multicast, RTNL_LINK_MULTICAST }, { &row->tx_collisions, RTNL_LINK_COLLISIONS },
	};
	const char *name = rtnl_link_get_name(link);
	uint8_t state = rtnl_link_get_operstate(link);

	memset(row, 0, sizeof(*row));
	snprintf(row->name, sizeof(row->name), "%s", name ? name : "");
	row->index = (uint32_t)rtnl_link_get_ifindex(link);
	row->mtu = rtnl_link_get_mtu(link);
	row->speed_bits = UNKNOWN;
	/* Loopback and many virtual devices never say more than "unknown": there the administrator's word and the carrier's count. */
	row->up = state == IF_OPER_UP ||
		  (state == IF_OPER_UNKNOWN && (rtnl_link_get_flags(link) & IFF_UP) && (rtnl_link_get_flags(link) & IFF_RUNNING));
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		*counters[i].to = rtnl_link_get_stat(link, counters[i].from);
}

static void take_link(struct nl_object *object, void *opaque)
{
	struct interface_state *state = opaque;

	if (state->next.count < MAX_INTERFACES)
		fill(&state->next.each[state->next.count++], (struct rtnl_link *)object);
	else
		state->next.cut++;
}

static int on_valid(struct nl_msg *message, void *opaque)
{
	struct interface_state *state = opaque;

	if (nlmsg_hdr(message)->nlmsg_type != RTM_NEWLINK)
		return NL_SKIP;
	if (nl_msg_parse(message, take_link, state) < 0)
		state->error = -EPROTO;
	return NL_OK;
}

static int on_finish(struct nl_msg *message, void *opaque)
{
	struct interface_state *state = opaque;
	state->done = true;
	return NL_STOP;
}

/* The table changed under the dump: what came is not one moment's truth. */
static int on_interrupted(struct nl_msg *message, void *opaque)
{
	struct interface_state *state = opaque;
	state->error = -EAGAIN;
	return NL_OK;
}

static int on_error(struct sockaddr_nl *peer, struct nlmsgerr *error, void *opaque)
{
	struct interface_state *state = opaque;
	state->error = error->error;
	state->done = true;
	return NL_STOP;
}

static void disconnect(struct interface_state *state)
{
	nl_socket_free(state->socket);
	state->socket = NULL;
}

static int connect_netlink(struct interface_state *state)
{
	state->socket = nl_socket_alloc();
	if (!state->socket)
		return -ENOMEM;
	nl_socket_disable_auto_ack(state->socket);

	int error = nl_connect(state->socket, NETLINK_ROUTE);
	if (!error)
		error = nl_socket_set_nonblocking(state->socket);
	if (error) {
		disconnect(state);
		return error == -NLE_NOMEM ? -ENOMEM : -EPROTONOSUPPORT;
	}
	return 0;
}

/* The kernel writes a dump while it is being asked and received, so nothing here waits for anybody. */
static int dump(struct interface_state *state)
{
	struct ifinfomsg all = { .ifi_family = AF_UNSPEC };

	state->next.count = state->next.cut = 0;
	state->error = 0;
	state->done = false;
	if (nl_send_simple(state->socket, RTM_GETLINK, NLM_F_DUMP, &all, sizeof(all)) < 0)
		return -EIO;
	for (int i = 0; i < MAX_RECEIVES && !state->done; i++)
		if (nl_recvmsgs(state->socket, state->callbacks) < 0)
			return -EIO;
	return state->done ? state->error : -EOVERFLOW;
}

/* What is left of a dump that went wrong would be taken for the next one's beginning: start again with a socket of its own. */
static int dump_afresh(struct interface_state *state)
{
	int error = 0;

	for (int attempt = 0; attempt < 2; attempt++) {
		error = state->socket ? 0 : connect_netlink(state);
		if (error)
			return error;
		error = dump(state);
		if (!error)
			return 0;
		disconnect(state);
	}
	return error;
}

static int open_netlink(struct interface_state *state)
{
	state->callbacks = nl_cb_alloc(NL_CB_DEFAULT);
	if (!state->callbacks)
		return -ENOMEM;
	nl_cb_set(state->callbacks, NL_CB_VALID, NL_CB_CUSTOM, on_valid, state);
	nl_cb_set(state->callbacks, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, state);
	nl_cb_set(state->callbacks, NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_interrupted, state);
	nl_cb_err(state->callbacks, NL_CB_CUSTOM, on_error, state);

	return dump_afresh(state);
}

/* --- /proc/net/dev ------------------------------------------------------------------------------------------------------ */

static int parse_device(struct span *line, struct interface *ret)
{
	uint64_t skipped;
	uint64_t *const order[] = {
		&ret->rx_bytes, &ret->rx_packets, &ret->rx_errors, &ret->rx_dropped, &skipped, &skipped, &skipped, &ret->rx_multicast,
		&ret->tx_bytes, &ret->tx_packets, &ret->tx_errors, &ret->tx_dropped, &skipped, &ret->tx_collisions, &skipped, &skipped,
	};
	const char *colon = line->end;

	/* A name may hold colons (and nearly anything else but blanks and slashes): the numbers begin behind the last one. */
	while (colon > line->at && colon[-1] != ':')
		colon--;
	if (colon == line->at)
		return -EINVAL;
	struct span name = { line->at, colon - 1 }, word;
	if (!span_word(&name, &word))
		return -EINVAL;

	*ret = (struct interface){ .speed_bits = UNKNOWN };
	if (span_copy(&word, ret->name, sizeof(ret->name)) >= sizeof(ret->name))
		return -EINVAL;
	line->at = colon;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (!span_next_number(line, order[i]))
			return -EINVAL;
	return 0;
}

int interface_parse(const char *text, size_t size, struct interface_section *ret)
{
	struct span whole, line;

	int error = span_of(text, size, &whole);
	if (error)
		return error;
	if (!span_line(&whole, &line) || !span_line(&whole, &line)) /* two lines of heading */
		return -EINVAL;

	ret->count = ret->cut = 0;
	while (span_line(&whole, &line)) {
		struct interface row;
		error = parse_device(&line, &row);
		if (error)
			return error;
		if (ret->count < MAX_INTERFACES)
			ret->each[ret->count++] = row;
		else
			ret->cut++;
	}
	return 0;
}

static int read_procfs(struct interface_state *state)
{
	ssize_t length = procfs_read(state->dev_fd, state->buffer, sizeof(state->buffer));
	if (length < 0)
		return (int)length;

	int error = interface_parse(state->buffer, (size_t)length, &state->next);
	if (error)
		return error;
	for (uint32_t i = 0; i < state->next.count; i++) {
		char path[NAME_LEN + 32];
		struct span word;
		snprintf(path, sizeof(path), "class/net/%s/operstate", state->next.each[i].name);
		length = procfs_read_at(state->sys_fd, path, state->buffer, sizeof(state->buffer));
		if (length > 0 && span_of(state->buffer, (size_t)length, &word) == 0)
			state->next.each[i].up = span_starts(&word, "up\n") || span_starts(&word, "unknown\n");
	}
	return 0;
}

/* --- tables of the namespace -------------------------------------------------------------------------------------------- */

static uint64_t read_number(struct interface_state *state, const char *path)
{
	uint64_t value;
	struct span line, word;
	ssize_t length = procfs_read_at(state->proc_fd, path, state->buffer, sizeof(state->buffer));

	if (length < 0 || span_of(state->buffer, (size_t)length, &line) || !span_line(&line, &word) || !span_number(&word, &value))
		return UNKNOWN;
	return value;
}

/* The first number of the second line, in hexadecimal: the table's entries, the same on each processor's line. */
static uint64_t read_entries(struct interface_state *state, const char *path)
{
	struct span whole, line, word;
	char digits[17];
	ssize_t length = procfs_read_at(state->proc_fd, path, state->buffer, sizeof(state->buffer));

	if (length < 0 || span_of(state->buffer, (size_t)length, &whole) || !span_line(&whole, &line) || !span_line(&whole, &line) ||
	    !span_word(&line, &word) || span_copy(&word, digits, sizeof(digits)) >= sizeof(digits) ||
	    digits[strspn(digits, "0123456789abcdef")])
		return UNKNOWN;
	return strtoull(digits, NULL, 16);
}

static void read_tables(struct interface_state *state, struct interface_section *section)
{
	static const struct { const char *entries, *limit; } families[] = {
		{ "net/stat/arp_cache", "sys/net/ipv4/neigh/default/gc_thresh3" },
		{ "net/stat/ndisc_cache", "sys/net/ipv6/neigh/default/gc_thresh3" },
	};
	section->conntrack = read_number(state, "sys/net/netfilter/nf_conntrack_count");
	section->conntrack_max = read_number(state, "sys/net/netfilter/nf_conntrack_max");
	section->neighbours = section->neighbours_max = UNKNOWN;
	double fullest = -1;
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		uint64_t entries = read_entries(state, families[i].entries), limit = read_number(state, families[i].limit);
		if (entries == UNKNOWN || limit == UNKNOWN || !limit || (double)entries / (double)limit <= fullest)
			continue;
		fullest = (double)entries / (double)limit;
		section->neighbours = entries;
		section->neighbours_max = limit;
	}
}

/* --- the collector ------------------------------------------------------------------------------------------------------ */

static uint64_t read_speed(struct interface_state *state, const char *name)
{
	char path[NAME_LEN + 32];
	uint64_t megabits;
	struct span line, word;

	snprintf(path, sizeof(path), "class/net/%s/speed", name);
	ssize_t length = procfs_read_at(state->sys_fd, path, state->buffer, sizeof(state->buffer));
	if (length < 0 || span_of(state->buffer, (size_t)length, &line) || !span_line(&line, &word) || !span_number(&word, &megabits))
		return UNKNOWN; /* -1, or EINVAL while it is down */
	if (megabits == 0 || megabits >= UINT32_MAX) /* drivers that mean -1 */
		return UNKNOWN;
	return megabits * 1000000;
}

static const struct interface *find(const struct interface_section *rows, const struct interface *like)
{
	for (uint32_t i = 0; i < rows->count; i++)
		if (rows->each[i].index == like->index && strcmp(rows->each[i].name, like->name) == 0)
			return &rows->each[i];
	return NULL;
}

static void complete(struct interface_state *state, const struct interface_section *old, bool full)
{
	bool ask_all = state->ticks++ % SPEED_TICKS == 0;

	for (uint32_t i = 0; i < state->next.count; i++) {
		struct interface *row = &state->next.each[i];
		const struct interface *before = state->full_ns ? find(old, row) : NULL;

		row->speed_bits = ask_all || !before || before->up != row->up ? read_speed(state, row->name) : before->speed_bits;
		if (!before)
			continue; /* what it carried before it was seen belongs to no interval */
		if (full) {
			row->rx_delta_bytes = row->rx_bytes > before->rx_bytes ? row->rx_bytes - before->rx_bytes : 0;
			row->tx_delta_bytes = row->tx_bytes > before->tx_bytes ? row->tx_bytes - before->tx_bytes : 0;
		} else {
			row->rx_delta_bytes = before->rx_delta_bytes;
			row->tx_delta_bytes = before->tx_delta_bytes;
		}
	}
}

static void interface_close(void *opaque)
{
	struct interface_state *state = opaque;
	if (!state)
		return;
	nl_socket_free(state->socket);
	nl_cb_put(state->callbacks);
	if (state->dev_fd >= 0)
		close(state->dev_fd);
	pages_free(state);
}

static int interface_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct interface_state *state = pages_new(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	state->proc_fd = env->proc_fd;
	state->sys_fd = env->sys_fd;
	state->dev_fd = -1;

	int error = open_netlink(state);
	if (!error) {
		status->state = COLLECTOR_UP;
		snprintf(status->source, sizeof(status->source), "netlink");
		*ret_state = state;
		return 0;
	}

	disconnect(state);
	status->state = COLLECTOR_DEGRADED;
	snprintf(status->source, sizeof(status->source), "procfs");
	snprintf(status->why, sizeof(status->why), "no netlink, so no MTU: %s", strerror(-error));
	state->dev_fd = procfs_open(env->proc_fd, "net/dev");
	if (state->dev_fd < 0) {
		snprintf(status->why, sizeof(status->why), "neither netlink (%s) nor /proc/net/dev (%s)", strerror(-error),
			 strerror(-state->dev_fd));
		error = state->dev_fd;
		interface_close(state);
		return error;
	}
	*ret_state = state;
	return 0;
}

static int interface_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct interface_state *state = opaque;

	int error = state->dev_fd < 0 ? dump_afresh(state) : read_procfs(state);
	if (error)
		return error;

	complete(state, &snap->interfaces, full);
	if (full) {
		state->full_ns = snap->boot_ns;
		read_tables(state, &snap->interfaces);
	}

	status->events_lost += state->next.cut;
	memcpy(snap->interfaces.each, state->next.each, state->next.count * sizeof(state->next.each[0]));
	snap->interfaces.count = state->next.count;
	snap->interfaces.cut = state->next.cut;
	snap->interfaces.measured_ns = snap->boot_ns;
	return 0;
}

const struct collector collector_interface = {
	.name = "interface",
	.id = COLLECTOR_INTERFACE,
	.fast = false,
	.open = interface_open,
	.collect = interface_collect,
	.close = interface_close,
};
