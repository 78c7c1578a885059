/* SPDX-License-Identifier: Apache-2.0 */
/* The socket collector against exchanges of known size: exact by process and by cgroup, over both protocols and both families. */
#include "network.h"

enum { REQUEST = 300000, RESPONSE = 70000, DATAGRAM = 1200, DATAGRAMS = 50, OWNERS_IN_KERNEL = 4096 };

static char server_cgroup[32], client_cgroup[32];

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness_open(harness, &collector_socket);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	harness_close(*state, &collector_socket);
	harness_free(*state);
	return 0;
}

static struct socket_counts of_process(const struct snapshot *snap, pid_t pid)
{
	for (uint32_t i = 0; i < snap->sockets.count; i++)
		if (snap->sockets.each[i].pid == pid)
			return snap->sockets.each[i].counts;
	return (struct socket_counts){ 0 };
}

static struct socket_counts of_cgroup(const struct snapshot *snap, uint64_t id)
{
	for (uint32_t i = 0; i < snap->socket_cgroups.count; i++)
		if (snap->socket_cgroups.each[i].id == id)
			return snap->socket_cgroups.each[i].counts;
	return (struct socket_counts){ 0 };
}

/* The client asks over TCP, the server answers and both wait for the end; then datagrams one way. */
static void serve(int family, int tcp, int udp)
{
	int fd = accept(tcp, NULL, NULL);
	char datagram[DATAGRAM + 1];

	receive_all(fd, REQUEST);
	send_all(fd, RESPONSE);
	expect_end(fd);
	close(fd);
	for (int i = 0; i < DATAGRAMS; i++) {
		assert_int_equal(recv(udp, datagram, sizeof(datagram), MSG_PEEK), DATAGRAM); /* takes nothing */
		assert_int_equal(recv(udp, datagram, sizeof(datagram), 0), DATAGRAM);
	}
	(void)family;
}

static void ask(int family, uint16_t tcp_port, uint16_t udp_port)
{
	int fd = make_client(family, SOCK_STREAM, tcp_port), udp = make_client(family, SOCK_DGRAM, udp_port);
	char datagram[DATAGRAM] = { 0 };

	send_all(fd, REQUEST);
	receive_all(fd, RESPONSE);
	close(fd);
	for (int i = 0; i < DATAGRAMS; i++)
		assert_int_equal(send(udp, datagram, sizeof(datagram), 0), DATAGRAM);
	close(udp);
}

static void expect_exact(struct harness *harness, int family)
{
	uint16_t tcp_port, udp_port;
	int tcp = make_server(family, SOCK_STREAM, 5, &tcp_port), udp = make_server(family, SOCK_DGRAM, 0, &udp_port);

	uint64_t client_id = enter_cgroup(client_cgroup), server_id = enter_cgroup(server_cgroup);
	harness_tick(harness, &collector_socket);
	struct socket_counts served = of_cgroup(&harness->snap, server_id), asked = of_cgroup(&harness->snap, client_id);
	struct socket_counts total = harness->snap.sockets.total;

	pid_t server = fork();
	if (!server) {
		enter_cgroup(server_cgroup);
		serve(family, tcp, udp);
		_exit(0);
	}
	pid_t client = fork();
	if (!client) {
		enter_cgroup(client_cgroup);
		ask(family, tcp_port, udp_port);
		_exit(0);
	}
	reap(client);
	reap(server);
	close(tcp);
	close(udp);
	harness_tick(harness, &collector_socket);

	struct socket_counts now = of_process(&harness->snap, client);
	assert_int_equal(now.bytes[SOCKET_TCP_SENT], REQUEST);
	assert_int_equal(now.bytes[SOCKET_TCP_RECEIVED], RESPONSE);
	assert_int_equal(now.bytes[SOCKET_UDP_SENT], DATAGRAM * DATAGRAMS);
	assert_int_equal(now.operations[SOCKET_UDP_SENT], DATAGRAMS);
	assert_int_equal(now.bytes[SOCKET_UDP_RECEIVED], 0);
	assert_int_equal(now.operations[SOCKET_TCP_SENT], (REQUEST + 16383) / 16384);

	now = of_process(&harness->snap, server);
	assert_int_equal(now.bytes[SOCKET_TCP_RECEIVED], REQUEST);
	assert_int_equal(now.bytes[SOCKET_TCP_SENT], RESPONSE);
	assert_int_equal(now.bytes[SOCKET_UDP_RECEIVED], DATAGRAM * DATAGRAMS);
	assert_int_equal(now.operations[SOCKET_UDP_RECEIVED], DATAGRAMS);

	now = of_cgroup(&harness->snap, client_id);
	assert_int_equal(now.bytes[SOCKET_TCP_SENT] - asked.bytes[SOCKET_TCP_SENT], REQUEST);
	assert_int_equal(now.bytes[SOCKET_UDP_SENT] - asked.bytes[SOCKET_UDP_SENT], DATAGRAM * DATAGRAMS);
	now = of_cgroup(&harness->snap, server_id);
	assert_int_equal(now.bytes[SOCKET_TCP_RECEIVED] - served.bytes[SOCKET_TCP_RECEIVED], REQUEST);
	assert_int_equal(now.operations[SOCKET_UDP_RECEIVED] - served.operations[SOCKET_UDP_RECEIVED], DATAGRAMS);
	now = harness->snap.sockets.total;
	assert_true(now.bytes[SOCKET_TCP_SENT] - total.bytes[SOCKET_TCP_SENT] >= REQUEST + RESPONSE);
	assert_true(now.bytes[SOCKET_UDP_RECEIVED] - total.bytes[SOCKET_UDP_RECEIVED] >= DATAGRAM * DATAGRAMS);
	assert_int_equal(harness->status[COLLECTOR_SOCKET].events_lost, 0);
}

static void an_exchange_is_counted_exactly(void **state)
{
	expect_exact(*state, AF_INET);
	expect_exact(*state, AF_INET6);
}

static void send_datagrams(int count)
{
	uint16_t port;
	int server = make_server(AF_INET, SOCK_DGRAM, 0, &port), client = make_client(AF_INET, SOCK_DGRAM, port);

	for (int i = 0; i < count; i++)
		assert_int_equal(send(client, "x", 1, 0), 1);
	close(client);
	close(server);
}

static void off_is_off_and_nothing_falls(void **state)
{
	struct harness *harness = *state;

	harness_needs(harness, &collector_socket, NULL);
	send_datagrams(7);
	assert_int_equal(collector_socket.set_depth(harness->state[COLLECTOR_SOCKET], DEPTH_OFF), 0);
	send_datagrams(100);
	harness_tick(harness, &collector_socket);
	assert_int_equal(of_process(&harness->snap, getpid()).operations[SOCKET_UDP_SENT], 7);
	assert_int_equal(collector_socket.set_depth(harness->state[COLLECTOR_SOCKET], DEPTH_COUNTS), 0);
	send_datagrams(5);
	harness_tick(harness, &collector_socket);
	assert_int_equal(of_process(&harness->snap, getpid()).operations[SOCKET_UDP_SENT], 12);
}

/* More processes in one tick than there are rows: the rest has no name, which is counted, and is in the totals all the same. Once the
 * walk over the processes does not show them any more, their rows are given up, and there is room again. */
static void what_has_no_room_is_counted(void **state)
{
	struct harness *harness = *state;
	enum { PROCESSES = OWNERS_IN_KERNEL + 200 };

	harness_many(PROCESSES);
	harness_tick(harness, &collector_socket);
	uint64_t before = harness->snap.sockets.total.operations[SOCKET_UDP_SENT];
	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();
		if (!pid) {
			send_datagrams(1);
			_exit(0);
		}
		reap(pid);
	}
	harness_tick(harness, &collector_socket);
	assert_true(harness->status[COLLECTOR_SOCKET].events_lost >= 200);
	assert_true(harness->snap.sockets.total.operations[SOCKET_UDP_SENT] - before >= PROCESSES);
	assert_int_equal(harness->snap.sockets.count, MAX_SOCKET_PROCESSES);

	for (int i = 0; i < 6; i++) /* at most 1024 a tick */
		harness_tick(harness, &collector_socket);
	uint64_t lost = harness->status[COLLECTOR_SOCKET].events_lost;
	pid_t pid = fork();
	if (!pid) {
		send_datagrams(3);
		_exit(0);
	}
	reap(pid);
	harness_tick(harness, &collector_socket);
	assert_int_equal(of_process(&harness->snap, pid).operations[SOCKET_UDP_SENT], 3);
	assert_true(harness->status[COLLECTOR_SOCKET].events_lost - lost < 100); /* others' */
}

static int leave(void **state)
{
	(void)state;
	leave_cgroup(client_cgroup);
	leave_cgroup(server_cgroup);
	return 0;
}

int main(void)
{
	snprintf(server_cgroup, sizeof(server_cgroup), "socket-server-%d", getpid());
	snprintf(client_cgroup, sizeof(client_cgroup), "socket-client-%d", getpid());
	enter_own_network();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_exchange_is_counted_exactly, setup, teardown),
		cmocka_unit_test_setup_teardown(off_is_off_and_nothing_falls, setup, teardown),
		cmocka_unit_test_setup_teardown(what_has_no_room_is_counted, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, leave);
}
