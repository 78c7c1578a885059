/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces: by netlink in a network namespace of the test's own, and from /proc/net/dev. */
#include "collect_bench.h"

#include "collect/procfs.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <sched.h>
#include <sys/socket.h>

extern const struct collector collector_interface;

static const struct interface *row_of(const struct bench *bench, const char *name)
{
	for (uint32_t i = 0; i < bench->snap->interfaces.count; i++)
		if (strcmp(bench->snap->interfaces.each[i].name, name) == 0)
			return &bench->snap->interfaces.each[i];
	return NULL;
}

static void change_link(const char *name, const char *type, bool up)
{
	struct nl_sock *socket = nl_socket_alloc();
	assert_int_equal(nl_connect(socket, NETLINK_ROUTE), 0);
	struct rtnl_link *link = rtnl_link_alloc();
	rtnl_link_set_name(link, name);
	if (type) {
		assert_int_equal(rtnl_link_set_type(link, type), 0);
		rtnl_link_set_mtu(link, 1280);
	}
	if (up)
		rtnl_link_set_flags(link, IFF_UP);
	assert_int_equal(rtnl_link_add(socket, link, NLM_F_CREATE), 0);
	rtnl_link_put(link);
	nl_socket_free(socket);
}

/* Over loopback, which counts what it sends as received, too. */
static void send_bytes(size_t size)
{
	char data[1024] = { 0 };
	const struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(sendto(fd, data, size, 0, (const struct sockaddr *)&to, sizeof(to)), size);
	close(fd);
}

static void netlink_tells_of_our_namespace(void **given)
{
	struct bench *bench = *given;
	if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0)
		skip();
	change_link("fake0", "bridge", false);
	bench_say(bench, "sys/class/net/fake0/speed", "2500\n");
	bench_say(bench, "sys/class/net/lo/speed", "-1\n");
	assert_int_equal(bench_open(bench, &collector_interface), 0);
	assert_int_equal(bench->status.state, COLLECTOR_UP);
	assert_string_equal(bench->status.source, "netlink");
	assert_int_equal(bench_tick(bench, 0, true), 0);

	const struct interface *fake = row_of(bench, "fake0");
	assert_non_null(fake);
	assert_false(fake->up);
	assert_int_equal(fake->mtu, 1280);
	assert_int_equal(fake->speed_bits, 2500000000ULL);
	assert_true(row_of(bench, "lo")->speed_bits == UNKNOWN);
	assert_false(row_of(bench, "lo")->up);
	assert_int_equal(row_of(bench, "lo")->rx_delta_bytes, 0);

	change_link("lo", NULL, true);
	send_bytes(1000);
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	const struct interface *lo = row_of(bench, "lo");
	assert_true(lo->tx_delta_bytes >= 1028); /* with its headers; and the ICMP answer that nobody listens at port 9 */
	assert_int_equal(lo->rx_delta_bytes, lo->tx_delta_bytes);
	assert_true(lo->up);
	assert_int_equal(bench->snap->interfaces.measured_ns, bench->snap->boot_ns);

	uint64_t before = lo->tx_bytes;
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(row_of(bench, "lo")->tx_delta_bytes, row_of(bench, "lo")->tx_bytes - before);
}

static void many_interfaces_need_more_than_one_message(void **given)
{
	struct bench *bench = *given;
	char name[32];
	if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0)
		skip();
	for (int i = 0; i < 80; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		change_link(name, "bridge", false);
	}
	assert_int_equal(bench_open(bench, &collector_interface), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_true(bench->snap->interfaces.count >= 81);
	assert_non_null(row_of(bench, "many0"));
	assert_non_null(row_of(bench, "many79"));
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_true(bench->snap->interfaces.count >= 81);
}

static void tables_and_their_limits(void **given)
{
	struct bench *bench = *given;
	const struct interface_section *section = &bench->snap->interfaces;
	bench_say(bench, "proc/net/stat/arp_cache", "entries  allocs\n0000000a 00000082\n0000000a 00000096\n");
	bench_say(bench, "proc/sys/net/ipv4/neigh/default/gc_thresh3", "1024\n");
	bench_say(bench, "proc/net/stat/ndisc_cache", "entries  allocs\n00000200 00000000\n");
	bench_say(bench, "proc/sys/net/ipv6/neigh/default/gc_thresh3", "1024\n");
	assert_int_equal(bench_open(bench, &collector_interface), 0);
	assert_int_equal(bench_tick(bench, 0, true), 0);
	assert_int_equal(section->neighbours, 512); /* IPv6 is fuller */
	assert_int_equal(section->neighbours_max, 1024);
	assert_true(section->conntrack == UNKNOWN && section->conntrack_max == UNKNOWN);

	bench_say(bench, "proc/net/stat/arp_cache", "entries  allocs\n00000300 00000082\n");
	bench_say(bench, "proc/net/stat/ndisc_cache", "entries\nxyz 1\n");
	bench_say(bench, "proc/sys/net/netfilter/nf_conntrack_count", "17\n");
	bench_say(bench, "proc/sys/net/netfilter/nf_conntrack_max", "65536\n");
	assert_int_equal(bench_tick(bench, NSEC_PER_SEC, true), 0);
	assert_int_equal(section->neighbours, 768);
	assert_int_equal(section->conntrack, 17);
	assert_int_equal(section->conntrack_max, 65536);
}

static void parses_proc_net_dev(void **given)
{
	char text[4096];
	struct interface_section *ret = calloc(1, sizeof(*ret));
	size_t size = bench_read(FIXTURES "proc/net/dev", text, sizeof(text));
	assert_int_equal(interface_parse(text, size, ret), 0);
	assert_int_equal(ret->count, 4);
	assert_string_equal(ret->each[3].name, "eth0");
	assert_int_equal(ret->each[3].rx_bytes, 117592793);
	assert_int_equal(ret->each[3].rx_packets, 2882);
	assert_int_equal(ret->each[3].tx_bytes, 124004);
	assert_int_equal(ret->each[3].tx_packets, 1442);

	static const char *const bad[] = { "", "a\nb\n lo 1 2\n", "a\nb\n lo: 1 2 3\n", "a\nb\n : 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n", "a\n" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(interface_parse(bad[i], strlen(bad[i]), ret), -EINVAL);
	static const char colons[] = "a\nb\n we:ird: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
	assert_int_equal(interface_parse(colons, strlen(colons), ret), 0);
	assert_string_equal(ret->each[0].name, "we:ird");
	assert_int_equal(ret->each[0].tx_collisions, 14);
	free(ret);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(netlink_tells_of_our_namespace),
		BENCH_TEST(many_interfaces_need_more_than_one_message),
		BENCH_TEST(tables_and_their_limits),
		BENCH_TEST(parses_proc_net_dev),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
