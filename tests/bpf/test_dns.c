/* SPDX-License-Identifier: Apache-2.0 */
/* The dns collector against a server of the test's own on port 53 of its own network. */
#include "network.h"

#include <linux/bpf.h>

enum { PORT = 53, WAIT_MS = 50, HEADER = 12, NXDOMAIN = 3 };

static char cgroup[32];
static uint64_t cgroup_id;
static int udp_server[2], tcp_server;

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness_open(harness, &collector_dns);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	harness_close(*state, &collector_dns);
	harness_free(*state);
	return 0;
}

static struct dns_counts results(const struct snapshot *snap, int family, uint32_t result)
{
	struct dns_key key = { .cgroup_id = cgroup_id, .result = result };

	if (family == AF_INET)
		memcpy(key.server, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16);
	else
		key.server[15] = 1;
	for (uint32_t i = 0; i < snap->dns.count; i++)
		if (!memcmp(&snap->dns.each[i].key, &key, sizeof(key)))
			return snap->dns.each[i].counts;
	return (struct dns_counts){ 0 };
}

static uint64_t answered(const struct snapshot *snap)
{
	uint64_t sum = 0;

	for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum += snap->dns.latency.buckets[i];
	return sum;
}

static int server_on(int family, int type)
{
	socklen_t size;
	union address address = loopback(family, PORT, &size);
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, &address.any, size), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 5), 0);
	return fd;
}

/* Takes what has come and answers it after the wait: the same message with the response bit and a code. */
static void answer(int fd, uint8_t code)
{
	uint8_t message[512];
	union address from;
	socklen_t size = sizeof(from);
	ssize_t length = recvfrom(fd, message, sizeof(message), 0, &from.any, &size);

	assert_true(length >= HEADER);
	usleep(WAIT_MS * 1000);
	message[2] |= 0x80;
	message[3] = code;
	assert_int_equal(sendto(fd, message, (size_t)length, 0, &from.any, size), length);
}

static void make_query(uint8_t message[HEADER + 17], uint16_t id)
{
	memset(message, 0, HEADER);
	message[0] = (uint8_t)(id >> 8);
	message[1] = (uint8_t)id;
	message[2] = 1; /* recursion desired */
	message[5] = 1; /* one question */
	memcpy(message + HEADER, "\7missing\3org\0\0\1\0\1", 17);
}

static void ask(int fd, uint16_t id)
{
	uint8_t message[HEADER + 17];

	make_query(message, id);
	assert_int_equal(send(fd, message, sizeof(message), 0), sizeof(message));
}

static void expect_answer(int fd)
{
	uint8_t message[512];

	assert_true(recv(fd, message, sizeof(message), 0) >= HEADER);
}

static void expect_nxdomain(struct harness *harness, int family, int server)
{
	harness_tick(harness, &collector_dns);
	struct dns_counts before = results(&harness->snap, family, NXDOMAIN);
	uint64_t samples = answered(&harness->snap), start = clock_boot_ns();
	int client = make_client(family, SOCK_DGRAM, PORT);

	/* Two at once with one socket, the first twice over, as a resolver does that tries again. */
	ask(client, 0x1234);
	ask(client, 0x1235);
	ask(client, 0x1234);
	for (int i = 0; i < 3; i++)
		answer(server, NXDOMAIN);
	for (int i = 0; i < 3; i++)
		expect_answer(client);
	uint64_t took = clock_boot_ns() - start;
	close(client);
	harness_tick(harness, &collector_dns);
	struct dns_counts now = results(&harness->snap, family, NXDOMAIN);
	assert_int_equal(now.requests - before.requests, 2);
	assert_in_range(now.sum_ns - before.sum_ns, 3 * WAIT_MS * NSEC_PER_MSEC, 2 * took); /* one waits for both */
	assert_true(answered(&harness->snap) >= samples + 2);
	assert_int_equal(harness->status[COLLECTOR_DNS].events_lost, 0);
}

static void an_answer_is_told_with_its_code_and_time(void **state)
{
	expect_nxdomain(*state, AF_INET, udp_server[0]);
	expect_nxdomain(*state, AF_INET6, udp_server[1]);
}

static void over_tcp_too(void **state)
{
	struct harness *harness = *state;
	uint8_t message[2 + HEADER + 17] = { 0, HEADER + 17 };
	int client = make_client(AF_INET, SOCK_STREAM, PORT), accepted = accept(tcp_server, NULL, NULL);

	harness_tick(harness, &collector_dns);
	uint64_t before = results(&harness->snap, AF_INET, 0).requests;
	make_query(message + 2, 7);
	assert_int_equal(send(client, message, sizeof(message), 0), sizeof(message));
	receive_all(accepted, sizeof(message));
	message[4] |= 0x80;
	assert_int_equal(send(accepted, message, sizeof(message), 0), sizeof(message));
	receive_all(client, sizeof(message));
	close(client);
	close(accepted);
	harness_tick(harness, &collector_dns);
	assert_int_equal(results(&harness->snap, AF_INET, 0).requests - before, 1);
}

/* The harness' interval is 0: what is open at a tick has waited too long. A late answer does not count once more. */
static void silence_is_a_timeout(void **state)
{
	struct harness *harness = *state;
	int client = make_client(AF_INET, SOCK_DGRAM, PORT);

	harness_tick(harness, &collector_dns);
	uint64_t before = results(&harness->snap, AF_INET, DNS_RESULT_TIMEOUT).requests, good = results(&harness->snap, AF_INET, 0).requests;
	ask(client, 99);
	harness_tick(harness, &collector_dns);
	assert_int_equal(results(&harness->snap, AF_INET, DNS_RESULT_TIMEOUT).requests - before, 1);
	answer(udp_server[0], 0);
	expect_answer(client);
	harness_tick(harness, &collector_dns);
	assert_int_equal(results(&harness->snap, AF_INET, DNS_RESULT_TIMEOUT).requests - before, 1);
	assert_int_equal(results(&harness->snap, AF_INET, 0).requests, good);
	close(client);
}

static void off_is_off(void **state)
{
	struct harness *harness = *state;
	int client = make_client(AF_INET, SOCK_DGRAM, PORT);

	harness_tick(harness, &collector_dns);
	uint64_t before = results(&harness->snap, AF_INET, 5).requests;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(collector_dns.set_depth(harness->state[COLLECTOR_DNS], round ? DEPTH_HISTOGRAMS : DEPTH_OFF), 0);
		ask(client, 5);
		answer(udp_server[0], 5);
		expect_answer(client);
		harness_tick(harness, &collector_dns);
		assert_int_equal(results(&harness->snap, AF_INET, 5).requests - before, round);
	}
	close(client);
}

/* Others may attach and detach theirs meanwhile: ours are those that were not there before and are of our descriptors. */
static bool is_ours(uint32_t id)
{
	for (int fd = 3; fd < 256; fd++) {
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		if (!bpf_obj_get_info_by_fd(fd, &info, &size) && info.id == id && info.type == BPF_PROG_TYPE_CGROUP_SKB)
			return true;
	}
	return false;
}

static uint32_t attached(enum bpf_attach_type type, uint32_t ids[64])
{
	int fd = open(cgroup_root(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t count = 64, flags;

	assert_int_equal(bpf_prog_query(fd, type, 0, &flags, ids, &count), 0);
	close(fd);
	return count;
}

static uint32_t own_program_at(enum bpf_attach_type type)
{
	uint32_t ids[64], count = attached(type, ids);

	for (uint32_t i = 0; i < count; i++)
		if (is_ours(ids[i]))
			return ids[i];
	return 0;
}

static bool is_attached(enum bpf_attach_type type, uint32_t id)
{
	uint32_t ids[64], count = attached(type, ids);

	for (uint32_t i = 0; i < count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static void nothing_stays_on_the_root(void **state)
{
	struct harness *harness = harness_new();

	(void)state;
	harness_open(harness, &collector_dns);
	uint32_t out = own_program_at(BPF_CGROUP_INET_EGRESS), in = own_program_at(BPF_CGROUP_INET_INGRESS);
	assert_true(out && in);
	harness_close(harness, &collector_dns);
	assert_false(is_attached(BPF_CGROUP_INET_EGRESS, out));
	assert_false(is_attached(BPF_CGROUP_INET_INGRESS, in));
	harness_free(harness);
}

static int leave(void **state)
{
	(void)state;
	leave_cgroup(cgroup);
	return 0;
}

int main(void)
{
	snprintf(cgroup, sizeof(cgroup), "dns-%d", getpid());
	enter_own_network();
	cgroup_id = enter_cgroup(cgroup);
	udp_server[0] = server_on(AF_INET, SOCK_DGRAM);
	udp_server[1] = server_on(AF_INET6, SOCK_DGRAM);
	tcp_server = server_on(AF_INET, SOCK_STREAM);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_answer_is_told_with_its_code_and_time, setup, teardown),
		cmocka_unit_test_setup_teardown(over_tcp_too, setup, teardown),
		cmocka_unit_test_setup_teardown(silence_is_a_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(off_is_off, setup, teardown),
		cmocka_unit_test(nothing_stays_on_the_root),
	};
	return cmocka_run_group_tests(tests, NULL, leave);
}
