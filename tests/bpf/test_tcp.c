/* SPDX-License-Identifier: Apache-2.0 */
/* The tcp collector against connections the test makes, breaks and refuses itself, and against what the kernel says of them. */
#include "network.h"

#include <sys/prctl.h>

#include "collect/bpf.h"
#include "tcp.skel.h"
#include "signals/tcp.h"

enum { RESPONSE = 40000, CHURN = 20000, FAR_PORT = 7777, SHORT = 1000 };

static char cgroup[32], far_cgroup[32];
static uint64_t cgroup_id;

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness_open(harness, &collector_tcp);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	struct harness *harness = *state;

	harness_close(harness, &collector_tcp);
	if (harness->state[COLLECTOR_SOCKET])
		harness_close(harness, &collector_socket);
	harness_free(harness);
	return 0;
}

/* --- looking things up ------------------------------------------------------------------------------------------------ */

static struct tcp_counts of_peer(const struct snapshot *snap, enum tcp_direction direction, const char *address, uint16_t port)
{
	struct peer_key key = { .cgroup_id = cgroup_id, .port = port, .direction = (uint8_t)direction };

	if (strchr(address, ':')) {
		assert_int_equal(inet_pton(AF_INET6, address, key.address), 1);
	} else {
		key.address[10] = key.address[11] = 0xff;
		assert_int_equal(inet_pton(AF_INET, address, &key.address[12]), 1);
	}
	for (uint32_t i = 0; i < snap->peers.count; i++)
		if (!memcmp(&snap->peers.each[i].key, &key, sizeof(key)))
			return snap->peers.each[i].counts;
	return (struct tcp_counts){ 0 };
}

static struct tcp_counts of_cgroup(const struct snapshot *snap, enum tcp_direction direction)
{
	for (uint32_t i = 0; i < snap->tcp.count; i++)
		if (snap->tcp.each[i].key.cgroup_id == cgroup_id && snap->tcp.each[i].key.direction == direction)
			return snap->tcp.each[i].counts;
	return (struct tcp_counts){ 0 };
}

/* The newest record of ours with this service port. */
static const struct event *record_of(const struct snapshot *snap, enum tcp_direction direction, uint16_t port)
{
	const struct event_section *events = &snap->events;

	for (uint64_t seq = events->total; seq && seq + MAX_EVENTS > events->total; seq--) {
		const struct event *event = &events->each[seq % MAX_EVENTS];
		const struct peer_key *key = &event->of.connection.connection.peer;

		if (event->kind == EVENT_CONNECTION && key->direction == direction && key->port == port && event->cgroup_id == cgroup_id)
			return event;
	}
	return NULL;
}

static uint64_t samples(const struct histogram *histogram)
{
	uint64_t sum = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum += histogram->buckets[i];
	return sum;
}

/* How many sockets of ours the kernel's table still holds. */
static void count_port(const void *key, const void *value, void *arg)
{
	const struct tcp_connection *connection = value;
	uint32_t *counts = arg;

	(void)key;
	if (connection->peer.cgroup_id == cgroup_id && connection->peer.port == counts[0])
		counts[1]++;
}

static uint32_t rows_left(uint16_t port)
{
	struct object_walk walk;
	uint32_t counts[2] = { port, 0 };

	assert_int_equal(object_walk_init(&walk, 64 * 1024), 0);
	assert_int_equal(object_walk_map(&walk, object_shared_map("connections"), count_port, counts), 0);
	object_walk_free(&walk);
	return counts[1];
}

static void await_no_rows(uint16_t port)
{
	while (rows_left(port))
		sched_yield();
}

/* --- whole lives ------------------------------------------------------------------------------------------------------ */

/* The first to close is the client. Both ends in this process. */
static uint16_t talk(int family)
{
	uint16_t port;
	int server = make_server(family, SOCK_STREAM, 5, &port), client = make_client(family, SOCK_STREAM, port);
	int accepted = accept(server, NULL, NULL);

	assert_true(client >= 0 && accepted >= 0);
	send_all(client, SHORT); /* less than a window: nobody has to read at the same time */
	receive_all(accepted, SHORT);
	for (int i = 0; i < 10; i++) {
		send_all(accepted, RESPONSE / 10);
		receive_all(client, RESPONSE / 10);
	}
	shutdown(client, SHUT_WR);
	expect_end(accepted);
	close(accepted);
	expect_end(client);
	close(client);
	close(server);
	await_no_rows(port);
	return port;
}

static void expect_life(const struct event *event, enum tcp_direction direction, uint16_t port, uint64_t sent, uint64_t received)
{
	assert_non_null(event);
	const struct tcp_record *record = &event->of.connection;
	const struct tcp_connection *connection = &record->connection;

	assert_int_equal(event->pid, getpid());
	assert_string_equal(event->comm, "test_tcp");
	assert_int_equal(record->end, TCP_END_FIN);
	assert_int_equal(connection->flows[TCP_SENT_BYTES], sent);
	assert_int_equal(connection->flows[TCP_RECEIVED_BYTES], received);
	assert_true(connection->flows[TCP_SENT_SEGMENTS] > 0 && connection->flows[TCP_RECEIVED_SEGMENTS] > 0);
	assert_int_equal(direction == TCP_OUT ? connection->peer_port : connection->local_port, port);
	assert_true(connection->local_port != 0 && connection->peer_port != 0);
	assert_memory_equal(connection->local, connection->peer.address, 16);
	assert_true(connection->start_ns <= connection->established_ns && connection->established_ns < record->at_ns);
	assert_true(record->srtt_us > 0);
	assert_false(connection->adopted);
}

static void expect_lives(struct harness *harness, int family, const char *address)
{
	struct tcp_counts none = of_cgroup(&harness->snap, TCP_OUT);
	uint64_t connects = samples(&harness->snap.tcp.histograms[TCP_HISTOGRAM_CONNECT]);
	uint64_t rtts = samples(&harness->snap.tcp.histograms[TCP_HISTOGRAM_RTT]);
	uint16_t port = talk(family);

	harness_tick(harness, &collector_tcp);
	struct tcp_counts out = of_peer(&harness->snap, TCP_OUT, address, port), in = of_peer(&harness->snap, TCP_IN, address, port);
	assert_int_equal(out.connections, 1);
	assert_int_equal(out.sent_bytes, SHORT);
	assert_int_equal(out.received_bytes, RESPONSE);
	assert_int_equal(out.ends[TCP_END_FIN], 1);
	assert_int_equal(out.connect_count, 1);
	assert_true(out.connect_sum_ns > 0 && out.rtt_count == 1 && out.rtt_sum_us > 0);
	assert_int_equal(in.connections, 1);
	assert_int_equal(in.sent_bytes, RESPONSE);
	assert_int_equal(in.received_bytes, SHORT);
	assert_int_equal(in.ends[TCP_END_FIN], 1);
	assert_int_equal(in.connect_count, 0);
	assert_int_equal(of_cgroup(&harness->snap, TCP_OUT).sent_bytes - none.sent_bytes, SHORT);
	assert_true(samples(&harness->snap.tcp.histograms[TCP_HISTOGRAM_CONNECT]) > connects);
	assert_true(samples(&harness->snap.tcp.histograms[TCP_HISTOGRAM_RTT]) >= rtts + 2);
	expect_life(record_of(&harness->snap, TCP_OUT, port), TCP_OUT, port, SHORT, RESPONSE);
	expect_life(record_of(&harness->snap, TCP_IN, port), TCP_IN, port, RESPONSE, SHORT);
}

static void a_life_is_told_with_both_ends(void **state)
{
	struct harness *harness = *state;

	harness_tick(harness, &collector_tcp);
	expect_lives(harness, AF_INET, "127.0.0.1");
	expect_lives(harness, AF_INET6, "::1");
	assert_int_equal(harness->status[COLLECTOR_TCP].events_lost, 0);
}

/* While it lives its bytes are counted and summaries told; at its end only what is new, and who reads from it is its owner. */
static void a_living_connection_is_told_and_counted_once(void **state)
{
	struct harness *harness = *state;
	uint16_t port;

	harness_needs(harness, &collector_tcp, NULL); /* the walk over the living */
	int server = make_server(AF_INET, SOCK_STREAM, 5, &port), client = make_client(AF_INET, SOCK_STREAM, port);
	int accepted = accept(server, NULL, NULL);
	harness_open(harness, &collector_socket);
	for (int round = 1; round <= 3; round++) {
		send_all(client, SHORT);
		receive_all(accepted, SHORT);
		harness_tick(harness, &collector_tcp);
		assert_int_equal(of_peer(&harness->snap, TCP_OUT, "127.0.0.1", port).sent_bytes, SHORT * round);
		assert_int_equal(of_peer(&harness->snap, TCP_IN, "127.0.0.1", port).received_bytes, SHORT * round);
		const struct event *event = record_of(&harness->snap, TCP_IN, port);
		assert_non_null(event);
		assert_int_equal(event->of.connection.end, TCP_LIVES);
		assert_int_equal(event->of.connection.connection.flows[TCP_RECEIVED_BYTES], SHORT * round);
		assert_int_equal(event->pid, getpid());
	}
	send_all(client, 1);
	close(client);
	receive_all(accepted, 1);
	close(accepted);
	close(server);
	await_no_rows(port);
	harness_tick(harness, &collector_tcp);
	assert_int_equal(of_peer(&harness->snap, TCP_OUT, "127.0.0.1", port).sent_bytes, SHORT * 3 + 1);
	assert_int_equal(of_peer(&harness->snap, TCP_IN, "127.0.0.1", port).received_bytes, SHORT * 3 + 1);
	assert_int_equal(of_peer(&harness->snap, TCP_IN, "127.0.0.1", port).connections, 1);
}

/* --- failures and resets ---------------------------------------------------------------------------------------------- */

static void a_refusal_is_counted(void **state)
{
	struct harness *harness = *state;
	uint16_t port;

	close(make_server(AF_INET, SOCK_STREAM, 5, &port)); /* nobody listens there any more */
	harness_tick(harness, &collector_tcp);
	uint64_t stray = harness->snap.tcp.resets_sent_alone;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(make_client(AF_INET, SOCK_STREAM, port), -1);
		assert_int_equal(errno, ECONNREFUSED);
	}
	harness_tick(harness, &collector_tcp);
	struct tcp_counts out = of_peer(&harness->snap, TCP_OUT, "127.0.0.1", port);
	assert_int_equal(out.failures[TCP_END_REFUSED], 3);
	assert_int_equal(out.resets_received, 3);
	assert_int_equal(out.connections, 0);
	assert_int_equal(out.connect_count, 0);
	if (stray == UNKNOWN)
		print_message("SKIP stray resets: this kernel does not tell them\n");
	else
		assert_true(harness->snap.tcp.resets_sent_alone >= stray + 3);
	assert_int_equal(record_of(&harness->snap, TCP_OUT, port)->of.connection.end, TCP_END_REFUSED);
}

/* With data that nobody read, close() sends a reset instead of an end. */
static void a_reset_is_told_on_both_sides(void **state)
{
	struct harness *harness = *state;
	uint16_t port;
	int server = make_server(AF_INET, SOCK_STREAM, 5, &port), client = make_client(AF_INET, SOCK_STREAM, port);
	int accepted = accept(server, NULL, NULL);
	struct pollfd wait = { .fd = accepted, .events = POLLIN }, hangup = { .fd = client, .events = POLLIN };

	send_all(client, SHORT);
	assert_int_equal(poll(&wait, 1, -1), 1);
	close(accepted);
	assert_int_equal(poll(&hangup, 1, -1), 1);
	close(client);
	close(server);
	await_no_rows(port);
	harness_tick(harness, &collector_tcp);
	struct tcp_counts in = of_peer(&harness->snap, TCP_IN, "127.0.0.1", port), out = of_peer(&harness->snap, TCP_OUT, "127.0.0.1", port);
	assert_int_equal(in.ends[TCP_END_RESET_SENT], 1);
	assert_int_equal(in.resets_sent, 1);
	assert_int_equal(in.resets_received, 0);
	assert_int_equal(out.ends[TCP_END_RESET_RECEIVED], 1);
	assert_int_equal(out.resets_received, 1);
	assert_int_equal(out.resets_sent, 0);
	assert_int_equal(record_of(&harness->snap, TCP_IN, port)->of.connection.end, TCP_END_RESET_SENT);
	assert_int_equal(record_of(&harness->snap, TCP_IN, port)->pid, getpid());
}

/* --- a far end that can be cut off ------------------------------------------------------------------------------------ */

/* Takes one connection after the other and reads each to its end, in a network of its own behind a veth pair. */
static void be_far(int ready, int go)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(FAR_PORT) };
	char word;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter_cgroup(far_cgroup);
	enter_own_network();
	assert_int_equal(write(ready, "x", 1), 1);
	assert_int_equal(read(go, &word, 1), 1);
	run("ip addr add 10.9.0.2/24 dev vb && ip link set vb up");
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(server, 5), 0);
	assert_int_equal(write(ready, "x", 1), 1);
	for (;;) {
		char block[16384];
		int fd = accept(server, NULL, NULL);
		while (recv(fd, block, sizeof(block), 0) > 0)
			;
		close(fd);
	}
}

static pid_t start_far(void)
{
	int ready[2], go[2];
	char word, command[128];

	assert_true(!pipe(ready) && !pipe(go));
	pid_t pid = fork();
	if (!pid)
		be_far(ready[1], go[0]);
	assert_int_equal(read(ready[0], &word, 1), 1);
	snprintf(command, sizeof(command), "ip link add va type veth peer name vb netns %d && ip addr add 10.9.0.1/24 dev va && ip link set va up", pid);
	run(command);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(read(ready[0], &word, 1), 1);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
	return pid;
}

static void end_far(pid_t pid)
{
	run("ip link del va"); /* before the namespace at its other end is taken apart */
	kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

/* To an address of the link layer that nobody has, whatever is sent is dropped without a word. */
static void cut_off(const char *address)
{
	char command[128];

	snprintf(command, sizeof(command), "ip neigh replace %s lladdr 02:00:00:00:99:99 dev va nud permanent", address);
	run(command);
}

static int connect_far(const char *ip, int give_up_ms)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(FAR_PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (give_up_ms ? SOCK_NONBLOCK : 0), 0);

	assert_int_equal(inet_pton(AF_INET, ip, &address.sin_addr), 1);
	if (give_up_ms)
		assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &give_up_ms, sizeof(give_up_ms)), 0);
	assert_true(!connect(fd, (struct sockaddr *)&address, sizeof(address)) || (give_up_ms && errno == EINPROGRESS));
	return fd;
}

static int await_error(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	int error = 0;
	socklen_t size = sizeof(error);

	assert_int_equal(poll(&wait, 1, -1), 1);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
	close(fd);
	return error;
}

static void silence_and_no_way_are_told_apart(void **state)
{
	struct harness *harness = *state;
	pid_t far = start_far();

	cut_off("10.9.0.3");
	int silent = connect_far("10.9.0.3", 500), nowhere = connect_far("10.9.0.4", 10000); /* the second finds no neighbour */
	assert_int_equal(await_error(silent), ETIMEDOUT);
	assert_int_equal(await_error(nowhere), EHOSTUNREACH);
	harness_tick(harness, &collector_tcp);
	assert_int_equal(of_peer(&harness->snap, TCP_OUT, "10.9.0.3", FAR_PORT).failures[TCP_END_TIMED_OUT], 1);
	assert_int_equal(of_peer(&harness->snap, TCP_OUT, "10.9.0.4", FAR_PORT).failures[TCP_END_UNREACHABLE], 1);
	end_far(far);
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	memset(&info, 0, sizeof(info));
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	return info;
}

/* What is sent into the void comes again until the way is back; then the kernel's own count is the truth. */
static void retransmits_are_the_kernels(void **state)
{
	struct harness *harness = *state;

	harness_needs(harness, &collector_tcp, NULL); /* what came since the last retransmit */
	pid_t far = start_far();
	int fd = connect_far("10.9.0.2", 0);
	for (int round = 0; round < 2; round++) {
		uint32_t before = info_of(fd).tcpi_total_retrans;
		cut_off("10.9.0.2");
		send_all(fd, 20000);
		while (info_of(fd).tcpi_total_retrans < before + 2)
			usleep(1000);
		run("ip neigh del 10.9.0.2 dev va; true");
		while (info_of(fd).tcpi_unacked || info_of(fd).tcpi_notsent_bytes)
			usleep(1000);
	}
	struct tcp_info info = info_of(fd);
	harness_tick(harness, &collector_tcp);
	struct tcp_counts out = of_peer(&harness->snap, TCP_OUT, "10.9.0.2", FAR_PORT);
	assert_true(info.tcpi_total_retrans >= 4);
	assert_int_equal(out.retransmits, info.tcpi_total_retrans);
	assert_int_equal(out.sent_segments, info.tcpi_segs_out);
	assert_int_equal(out.received_segments, info.tcpi_segs_in);
	assert_int_equal(out.sent_bytes, 40000); /* each once */
	assert_int_equal(record_of(&harness->snap, TCP_OUT, FAR_PORT)->of.connection.srtt_us, info.tcpi_rtt);
	close(fd);
	end_far(far);
}

/* --- listeners -------------------------------------------------------------------------------------------------------- */

static const struct listener *listener_of(const struct snapshot *snap, uint16_t port)
{
	for (uint32_t i = 0; i < snap->listeners.count; i++)
		if (snap->listeners.each[i].port == port && snap->listeners.each[i].cgroup_id == cgroup_id)
			return &snap->listeners.each[i];
	return NULL;
}

static int connect_later(uint16_t port)
{
	socklen_t size;
	union address address = loopback(AF_INET, port, &size);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(!connect(fd, &address.any, size) || errno == EINPROGRESS);
	return fd;
}

/* A backlog of 1 holds two; the third finds it full. */
static void a_full_backlog_is_seen(void **state)
{
	struct harness *harness = *state;
	uint16_t port;
	int server = make_server(AF_INET, SOCK_STREAM, 1, &port), clients[5];

	harness_tick(harness, &collector_tcp);
	assert_non_null(listener_of(&harness->snap, port));
	assert_int_equal(listener_of(&harness->snap, port)->backlog, 0);
	uint64_t overflows = harness->snap.tcp.listen_overflows;
	assert_true(overflows != UNKNOWN);
	for (int i = 0; i < 5; i++)
		clients[i] = connect_later(port);
	do
		harness_tick(harness, &collector_tcp);
	while (harness->snap.tcp.listen_overflows == overflows);
	const struct listener *listener = listener_of(&harness->snap, port);
	assert_int_equal(listener->backlog, 2);
	assert_int_equal(listener->limit, 1);
	assert_true(listener->drops > 0);
	for (int i = 0; i < 5; i++)
		close(clients[i]);
	close(server);
	harness_tick(harness, &collector_tcp);
	assert_null(listener_of(&harness->snap, port));
}

/* --- older than the agent --------------------------------------------------------------------------------------------- */

static void what_is_older_is_adopted(void **state)
{
	struct harness *harness = harness_new();
	uint16_t port;
	int server = make_server(AF_INET, SOCK_STREAM, 5, &port), client = make_client(AF_INET, SOCK_STREAM, port);
	int accepted = accept(server, NULL, NULL);

	(void)state;
	send_all(client, SHORT);
	receive_all(accepted, SHORT);
	harness_open(harness, &collector_tcp);
	harness_needs(harness, &collector_tcp, NULL);
	send_all(client, 7);
	receive_all(accepted, 7);
	harness_tick(harness, &collector_tcp);
	assert_non_null(listener_of(&harness->snap, port));
	assert_int_equal(of_peer(&harness->snap, TCP_OUT, "127.0.0.1", port).sent_bytes, 7);
	assert_int_equal(of_peer(&harness->snap, TCP_IN, "127.0.0.1", port).received_bytes, 7);
	assert_int_equal(of_peer(&harness->snap, TCP_IN, "127.0.0.1", port).connections, 0);
	close(client);
	expect_end(accepted);
	close(accepted);
	close(server);
	await_no_rows(port);
	harness_tick(harness, &collector_tcp);
	assert_true(record_of(&harness->snap, TCP_IN, port)->of.connection.connection.adopted);
	assert_int_equal(record_of(&harness->snap, TCP_IN, port)->of.connection.end, TCP_END_FIN);
	harness_close(harness, &collector_tcp);
	harness_free(harness);
}

/* Not one of the namespace we are in: a container's, when the agent starts anew. */
static void live_elsewhere(int ready, int go)
{
	uint16_t port;
	char word;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter_own_network();
	int server = make_server(AF_INET, SOCK_STREAM, 5, &port), client = make_client(AF_INET, SOCK_STREAM, port);
	int accepted = accept(server, NULL, NULL);
	send_all(client, SHORT);
	receive_all(accepted, SHORT);
	assert_int_equal(write(ready, &port, sizeof(port)), sizeof(port));
	assert_int_equal(read(go, &word, 1), 1);
	send_all(client, 9);
	receive_all(accepted, 9);
	assert_int_equal(write(ready, &port, sizeof(port)), sizeof(port));
	assert_int_equal(read(go, &word, 1), 0);
	_exit(0);
}

static ino_t own_netns(void)
{
	struct stat status;

	assert_int_equal(stat("/proc/thread-self/ns/net", &status), 0);
	return status.st_ino;
}

static void what_is_older_elsewhere_is_adopted_too(void **state)
{
	struct harness *harness = harness_new();
	int ready[2], go[2];
	uint16_t port;
	ino_t home = own_netns();

	(void)state;
	assert_true(!pipe2(ready, O_CLOEXEC) && !pipe2(go, O_CLOEXEC));
	pid_t pid = fork();
	if (!pid) {
		close(go[1]);
		live_elsewhere(ready[1], go[0]);
	}
	assert_int_equal(read(ready[0], &port, sizeof(port)), sizeof(port));
	harness_open(harness, &collector_tcp);
	assert_int_equal(own_netns(), home);
	if (harness->status[COLLECTOR_TCP].state != COLLECTOR_UP) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	harness_needs(harness, &collector_tcp, NULL);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(read(ready[0], &port, sizeof(port)), sizeof(port));
	harness_tick(harness, &collector_tcp);
	assert_int_equal(of_peer(&harness->snap, TCP_OUT, "127.0.0.1", port).sent_bytes, 9);
	assert_int_equal(of_peer(&harness->snap, TCP_IN, "127.0.0.1", port).received_bytes, 9);
	assert_non_null(listener_of(&harness->snap, port));
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
	reap(pid);
	harness_close(harness, &collector_tcp);
	harness_free(harness);
}

/* --- many peers, and those of the gone --------------------------------------------------------------------------------- */

/* Each address of 127/8 is a peer. The totals do not care whether one found a row; and the silent make room. */
static void more_peers_than_rows_are_counted(void **state)
{
	struct harness *harness = *state;
	enum { PEERS = MAX_PEERS + 100 };
	uint16_t port;

	close(make_server(AF_INET, SOCK_STREAM, 5, &port));
	harness_tick(harness, &collector_tcp);
	uint64_t before = harness->snap.tcp.total[TCP_OUT].failures[TCP_END_REFUSED];
	uint64_t ours = of_cgroup(&harness->snap, TCP_OUT).failures[TCP_END_REFUSED];
	for (uint32_t i = 0; i < PEERS; i++) {
		struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x7f010000 + i + 1) };
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
		assert_int_equal(errno, ECONNREFUSED);
		close(fd);
	}
	harness_tick(harness, &collector_tcp);
	assert_true(harness->snap.tcp.total[TCP_OUT].failures[TCP_END_REFUSED] - before >= PEERS);
	assert_int_equal(of_cgroup(&harness->snap, TCP_OUT).failures[TCP_END_REFUSED] - ours, PEERS);
	assert_int_equal(harness->snap.peers.count, MAX_PEERS);
	assert_true(harness->status[COLLECTOR_TCP].events_lost >= 100);

	uint16_t late = talk(AF_INET);
	harness_tick(harness, &collector_tcp);
	assert_int_equal(of_peer(&harness->snap, TCP_OUT, "127.0.0.1", late).connections, 1);
	assert_true(harness->snap.peers.count < MAX_PEERS);
}

/* A row outlives its cgroup until it has stood still for a tick. The totals stay as they were. */
static void rows_of_cgroups_that_are_gone_are_given_up(void **state)
{
	struct harness *harness = *state;
	uint16_t port = talk(AF_INET);

	for (int tick = 0; tick < 2; tick++) {
		harness->snap.cgroups.measured_ns = clock_boot_ns(); /* a fresh list without ours */
		harness_tick(harness, &collector_tcp);
		assert_int_equal(of_peer(&harness->snap, TCP_OUT, "127.0.0.1", port).connections, tick ? 0 : 1);
		assert_int_equal(of_cgroup(&harness->snap, TCP_OUT).connections, tick ? 0 : 1);
		assert_true(harness->snap.tcp.total[TCP_OUT].connections >= 1);
	}
}

/* The governor's lower steps: counts go on, records and histograms do not. */
static void counts_alone_are_still_exact(void **state)
{
	struct harness *harness = *state;

	assert_int_equal(collector_tcp.set_depth(harness->state[COLLECTOR_TCP], DEPTH_COUNTS), 0);
	harness_tick(harness, &collector_tcp);
	uint64_t before = samples(&harness->snap.tcp.histograms[TCP_HISTOGRAM_RTT]); /* of others' connections, until then */
	uint16_t port = talk(AF_INET);
	harness_tick(harness, &collector_tcp);
	assert_int_equal(of_peer(&harness->snap, TCP_OUT, "127.0.0.1", port).sent_bytes, SHORT);
	assert_null(record_of(&harness->snap, TCP_OUT, port));
	assert_int_equal(samples(&harness->snap.tcp.histograms[TCP_HISTOGRAM_RTT]), before);
	assert_int_equal(collector_tcp.set_depth(harness->state[COLLECTOR_TCP], DEPTH_HISTOGRAMS), 0);
	port = talk(AF_INET);
	harness_tick(harness, &collector_tcp);
	assert_non_null(record_of(&harness->snap, TCP_OUT, port));
	assert_true(samples(&harness->snap.tcp.histograms[TCP_HISTOGRAM_RTT]) >= before + 2);
}

/* --- the lower rung --------------------------------------------------------------------------------------------------- */

/* Below v5.12 the kernel refuses every atomic instruction but a plain addition: the programs of that rung must have none, and load. */
static void the_rung_without_a_walk_has_old_instructions(void **state)
{
	struct tcp_bpf *skel = tcp_bpf__open();
	struct bpf_program *program, *newer[] = { skel->progs.on_state, skel->progs.on_retransmit, skel->progs.on_connection };
	int checked = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		bpf_program__set_autoload(newer[i], false);
	assert_int_equal(tcp_bpf__load(skel), 0);
	bpf_object__for_each_program(program, skel->obj) {
		const struct bpf_insn *each = bpf_program__insns(program);

		for (size_t i = 0; bpf_program__autoload(program) && i < bpf_program__insn_cnt(program); i++)
			assert_false((each[i].code & 0xe7) == (BPF_STX | BPF_ATOMIC) && each[i].imm != 0);
		checked += bpf_program__autoload(program);
	}
	assert_int_equal(checked, 7);
	tcp_bpf__destroy(skel);
}

/* --- churn ------------------------------------------------------------------------------------------------------------ */

static void churn_is_counted_exactly(void **state)
{
	struct harness *harness = *state;
	uint16_t port;
	int server = make_server(AF_INET, SOCK_STREAM, 5, &port);

	harness_tick(harness, &collector_tcp);
	uint64_t told = harness->snap.events.by_kind[EVENT_CONNECTION], untold = harness->snap.tcp.records_untold;
	struct tcp_counts before = harness->snap.tcp.total[TCP_OUT];
	for (int i = 0; i < CHURN; i++) {
		int client = make_client(AF_INET, SOCK_STREAM, port), accepted = accept(server, NULL, NULL);

		assert_true(client >= 0 && accepted >= 0);
		assert_int_equal(send(client, "hello", 5, 0), 5);
		receive_all(accepted, 5);
		close(client);
		close(accepted);
	}
	close(server);
	await_no_rows(port);
	harness_tick(harness, &collector_tcp);
	struct tcp_counts out = of_peer(&harness->snap, TCP_OUT, "127.0.0.1", port), in = of_peer(&harness->snap, TCP_IN, "127.0.0.1", port);
	assert_int_equal(out.connections, CHURN);
	assert_int_equal(out.sent_bytes, 5 * CHURN);
	assert_int_equal(out.ends[TCP_END_FIN], CHURN);
	assert_int_equal(in.connections, CHURN);
	assert_int_equal(in.received_bytes, 5 * CHURN);
	assert_int_equal(in.ends[TCP_END_FIN], CHURN);
	assert_true(harness->snap.tcp.total[TCP_OUT].connections - before.connections >= CHURN);

	/* Each end of each had a record: told, without room among the events, or without room in the ring. */
	told = harness->snap.events.by_kind[EVENT_CONNECTION] - told;
	untold = harness->snap.tcp.records_untold - untold;
	assert_true(told > 0 && told < 100 && harness->status[COLLECTOR_TCP].events_lost > 0);
	assert_true(told + untold + harness->status[COLLECTOR_TCP].events_lost >= 2 * CHURN);
}

static int leave(void **state)
{
	(void)state;
	leave_cgroup(cgroup);
	leave_cgroup(far_cgroup);
	return 0;
}

int main(void)
{
	snprintf(cgroup, sizeof(cgroup), "tcp-%d", getpid());
	snprintf(far_cgroup, sizeof(far_cgroup), "tcp-far-%d", getpid());
	enter_own_network();
	cgroup_id = enter_cgroup(cgroup);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_life_is_told_with_both_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(a_living_connection_is_told_and_counted_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reset_is_told_on_both_sides, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_and_no_way_are_told_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(retransmits_are_the_kernels, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_backlog_is_seen, setup, teardown),
		cmocka_unit_test(what_is_older_is_adopted),
		cmocka_unit_test(what_is_older_elsewhere_is_adopted_too),
		cmocka_unit_test_setup_teardown(more_peers_than_rows_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_of_cgroups_that_are_gone_are_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_alone_are_still_exact, setup, teardown),
		cmocka_unit_test(the_rung_without_a_walk_has_old_instructions),
		cmocka_unit_test_setup_teardown(churn_is_counted_exactly, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, leave);
}
