/* SPDX-License-Identifier: Apache-2.0 */
/* The drop collector against packets that the test has dropped for a reason it knows. */
#include "network.h"

enum { PACKETS = 500 };

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness->snap.interfaces.count = 1; /* as the interface collector fills it */
	harness->snap.interfaces.each[0] = (struct interface){ .name = "lo", .index = 1 };
	harness_open(harness, &collector_drop);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	harness_close(*state, &collector_drop);
	harness_free(*state);
	return 0;
}

static uint64_t drops_of(const struct snapshot *snap, const char *reason, enum drop_protocol protocol)
{
	for (uint32_t i = 0; i < snap->drops.count; i++)
		if (!strcmp(snap->drops.each[i].name, reason))
			return snap->drops.each[i].counts.packets[protocol];
	return 0;
}

static uint64_t drops_at(const struct snapshot *snap, const char *device)
{
	for (uint32_t i = 0; i < snap->drop_devices.count; i++)
		if (!strcmp(snap->drop_devices.each[i].name, device))
			return snap->drop_devices.each[i].packets;
	return 0;
}

/* Unconnected, so that the answers to the earlier ones do not fail the later. */
static void send_into_nothing(int family, uint16_t port, int count)
{
	socklen_t size;
	union address address = loopback(family, port, &size);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (int i = 0; i < count; i++)
		assert_int_equal(sendto(fd, "x", 1, 0, &address.any, size), 1);
	close(fd);
}

static uint16_t closed_port(int family)
{
	uint16_t port;

	close(make_server(family, SOCK_DGRAM, 0, &port));
	return port;
}

static void a_closed_port_is_no_socket(void **state)
{
	static const struct { int family; enum drop_protocol protocol; } kinds[] = { { AF_INET, DROP_IPV4 }, { AF_INET6, DROP_IPV6 } };
	struct harness *harness = *state;

	for (int i = 0; i < 2; i++) {
		harness_tick(harness, &collector_drop);
		uint64_t before = drops_of(&harness->snap, "NO_SOCKET", kinds[i].protocol), device = drops_at(&harness->snap, "lo");
		send_into_nothing(kinds[i].family, closed_port(kinds[i].family), PACKETS);
		harness_tick(harness, &collector_drop);
		assert_in_range(drops_of(&harness->snap, "NO_SOCKET", kinds[i].protocol) - before, PACKETS, PACKETS + PACKETS / 10);
		/* Our loopback and no other's: the index is 1 in every namespace. */
		assert_in_range(drops_at(&harness->snap, "lo") - device, PACKETS, 2 * PACKETS + PACKETS / 10);
	}
	assert_int_equal(harness->status[COLLECTOR_DROP].events_lost, 0);
}

/* Of small datagrams more than the buffer holds: what does not fit, and only that, is dropped. What is read is no drop. */
static void a_full_buffer_is_told_exactly(void **state)
{
	struct harness *harness = *state;
	uint16_t port;
	int fd = make_server(AF_INET, SOCK_DGRAM, 0, &port), least = 1, kept = 0;
	char byte;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)), 0);
	harness_tick(harness, &collector_drop);
	uint64_t before = drops_of(&harness->snap, "SOCKET_RCVBUFF", DROP_IPV4) + drops_of(&harness->snap, "PROTO_MEM", DROP_IPV4);
	send_into_nothing(AF_INET, port, PACKETS);
	while (recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
		kept++;
	harness_tick(harness, &collector_drop);
	assert_true(kept > 0 && kept < PACKETS);
	uint64_t dropped = drops_of(&harness->snap, "SOCKET_RCVBUFF", DROP_IPV4) + drops_of(&harness->snap, "PROTO_MEM", DROP_IPV4) - before;
	assert_in_range(dropped, PACKETS - kept, PACKETS - kept + PACKETS / 10);
	close(fd);
}

static uint64_t purged(const struct snapshot *snap)
{
	return drops_of(snap, "QUEUE_PURGE", DROP_IPV4) + drops_of(snap, "NOT_SPECIFIED", DROP_IPV4);
}

/* What a socket still held when it was closed: in its queue the word of the device holds something else, and is followed nowhere. */
static void what_nobody_read_has_no_device(void **state)
{
	struct harness *harness = *state;
	uint16_t port;
	int fd = make_server(AF_INET, SOCK_DGRAM, 0, &port);

	harness_tick(harness, &collector_drop);
	uint64_t before = purged(&harness->snap), device = drops_at(&harness->snap, "lo");
	send_into_nothing(AF_INET, port, 20);
	close(fd);
	do /* the socket is freed a grace period later */
		harness_tick(harness, &collector_drop);
	while (purged(&harness->snap) < before + 20);
	assert_int_equal(drops_at(&harness->snap, "lo"), device);
}

static void off_is_off(void **state)
{
	struct harness *harness = *state;
	uint16_t port = closed_port(AF_INET);

	harness_tick(harness, &collector_drop);
	uint64_t before = drops_at(&harness->snap, "lo");
	assert_int_equal(collector_drop.set_depth(harness->state[COLLECTOR_DROP], DEPTH_OFF), 0);
	send_into_nothing(AF_INET, port, PACKETS);
	harness_tick(harness, &collector_drop);
	assert_int_equal(drops_at(&harness->snap, "lo"), before);
	assert_int_equal(collector_drop.set_depth(harness->state[COLLECTOR_DROP], DEPTH_HISTOGRAMS), 0);
	send_into_nothing(AF_INET, port, PACKETS);
	harness_tick(harness, &collector_drop);
	assert_true(drops_at(&harness->snap, "lo") >= before + PACKETS);
}

int main(void)
{
	enter_own_network();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_closed_port_is_no_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_buffer_is_told_exactly, setup, teardown),
		cmocka_unit_test_setup_teardown(what_nobody_read_has_no_device, setup, teardown),
		cmocka_unit_test_setup_teardown(off_is_off, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
