/* SPDX-License-Identifier: Apache-2.0 */
/* The irq collector against /proc/softirqs and /proc/interrupts, and with traffic of its own on the loopback. */
#include "harness.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <time.h>

extern const struct collector collector_irq;

enum { PACKETS = 20000 };

static int setup(void **state)
{
	struct harness *harness = harness_new();

	harness_open(harness, &collector_irq);
	*state = harness;
	return 0;
}

static int teardown(void **state)
{
	harness_close(*state, &collector_irq);
	harness_free(*state);
	return 0;
}

static const struct irq_cost *softirq(const struct harness *harness, const char *vector)
{
	for (int i = 0; i < SOFTIRQ_VECTORS; i++)
		if (!strcmp(softirq_names[i], vector))
			return &harness->snap.irqs.softirqs[i];
	fail_msg("no vector %s", vector);
	return NULL;
}

/* The sum over the CPUs of a line of /proc/softirqs or /proc/interrupts. */
static uint64_t sum_of_line(const char *path, const char *name)
{
	char line[8192], *at;
	uint64_t sum = 0;
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		char *begin = line + strspn(line, " ");
		if (strncmp(begin, name, strlen(name)) != 0 || begin[strlen(name)] != ':')
			continue;
		at = begin + strlen(name) + 1;
		for (char *end; at[strspn(at, " ")] >= '0' && at[strspn(at, " ")] <= '9'; at = end)
			sum += strtoull(at, &end, 10);
	}
	fclose(file);
	return sum;
}

/* Each datagram on the loopback is one run of NET_RX, or shares one with those that came with it. */
static void send_packets(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(to);
	char bytes[64] = "";
	int in = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), out = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(in, (struct sockaddr *)&to, size), 0);
	assert_int_equal(getsockname(in, (struct sockaddr *)&to, &size), 0);
	for (int i = 0; i < PACKETS; i++) {
		assert_int_equal(sendto(out, bytes, sizeof(bytes), 0, (struct sockaddr *)&to, size), sizeof(bytes));
		assert_int_equal(recv(in, bytes, sizeof(bytes), 0), sizeof(bytes));
	}
	close(in);
	close(out);
}

static void traffic_on_the_loopback_is_soft_interrupts(void **state)
{
	struct harness *harness = *state;

	harness_tick(harness, &collector_irq);
	struct irq_cost before = *softirq(harness, "NET_RX");
	uint64_t least = sum_of_line("/proc/softirqs", "NET_RX"), begin = clock_boot_ns();
	send_packets();
	uint64_t ns = clock_boot_ns() - begin, seen = sum_of_line("/proc/softirqs", "NET_RX") - least;
	harness_tick(harness, &collector_irq);
	struct irq_cost after = *softirq(harness, "NET_RX");

	assert_true(seen >= PACKETS / 2);
	assert_true(after.count - before.count >= seen);
	/* Half a microsecond each at least, and all CPUs all the time at most. */
	assert_true(after.ns - before.ns > seen * 100);
	assert_true(after.ns - before.ns < ns * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
}

/* Timers go on by themselves. The kernel's own count is read around ours. */
static void counts_are_those_of_proc(void **state)
{
	static const char *const vectors[] = { "TIMER", "SCHED", "RCU", "NET_RX" };
	struct harness *harness = *state;
	uint64_t outer[4], inner[4], ours[4];

	for (int i = 0; i < 4; i++)
		outer[i] = sum_of_line("/proc/softirqs", vectors[i]);
	harness_tick(harness, &collector_irq);
	for (int i = 0; i < 4; i++) {
		inner[i] = sum_of_line("/proc/softirqs", vectors[i]);
		ours[i] = softirq(harness, vectors[i])->count;
	}
	nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
	for (int i = 0; i < 4; i++)
		inner[i] = sum_of_line("/proc/softirqs", vectors[i]) - inner[i];
	harness_tick(harness, &collector_irq);
	for (int i = 0; i < 4; i++) {
		uint64_t now = softirq(harness, vectors[i])->count - ours[i];

		outer[i] = sum_of_line("/proc/softirqs", vectors[i]) - outer[i];
		/* One a CPU may be counted there and not have ended here. */
		if (now + 4 < inner[i] || now > outer[i] + 4)
			fail_msg("%s: %llu, and between %llu and %llu", vectors[i], (unsigned long long)now, (unsigned long long)inner[i],
				 (unsigned long long)outer[i]);
	}
}

/* A file that is not cached is read from the disk that the root is on; its device says when it is done by an interrupt. */
static void make_device_interrupts(void)
{
	char path[64], *block = aligned_alloc(4096, 4096);

	assert_non_null(block);
	memset(block, 1, 4096);
	snprintf(path, sizeof(path), "/var/tmp/test-irq-%d", getpid());
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	unlink(path);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(pwrite(fd, block, 4096, i * 4096), 4096);
		assert_int_equal(fdatasync(fd), 0);
	}
	close(fd);
	free(block);
}

static void handlers_have_their_devices_names(void **state)
{
	struct harness *harness = *state;
	struct { uint32_t irq; uint64_t count; } before[MAX_IRQS];
	uint32_t moved = 0;

	make_device_interrupts();
	harness_tick(harness, &collector_irq);
	uint32_t rows = harness->snap.irqs.count;
	if (!rows) {
		print_message("SKIP no device of this host has a line of its own that fires\n");
		skip();
	}
	for (uint32_t i = 0; i < rows; i++) {
		char number[12];

		snprintf(number, sizeof(number), "%u", harness->snap.irqs.each[i].irq);
		before[i].irq = harness->snap.irqs.each[i].irq;
		before[i].count = harness->snap.irqs.each[i].cost.count;
		assert_true(harness->snap.irqs.each[i].name[0]);
		assert_true(harness->snap.irqs.each[i].cost.ns > 0);
		assert_true(harness->snap.irqs.each[i].cost.count <= sum_of_line("/proc/interrupts", number));
	}
	make_device_interrupts();
	harness_tick(harness, &collector_irq);
	for (uint32_t i = 0; i < harness->snap.irqs.count; i++)
		for (uint32_t k = 0; k < rows; k++)
			moved += before[k].irq == harness->snap.irqs.each[i].irq && harness->snap.irqs.each[i].cost.count > before[k].count;
	assert_true(moved > 0);
}

/* What is in one is not in the other: together they cannot be more than the CPUs had. */
static void nested_time_is_counted_once(void **state)
{
	struct harness *harness = *state;
	uint64_t all = 0, begin = clock_boot_ns();

	send_packets();
	make_device_interrupts();
	harness_tick(harness, &collector_irq);
	uint64_t ns = clock_boot_ns() - begin;
	for (int i = 0; i < SOFTIRQ_VECTORS; i++)
		all += harness->snap.irqs.softirqs[i].ns;
	for (uint32_t i = 0; i < harness->snap.irqs.count; i++)
		all += harness->snap.irqs.each[i].cost.ns;
	assert_true(all > 0 && all < ns * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
}

static void off_and_on_again_makes_no_giant(void **state)
{
	struct harness *harness = *state;
	void *collector = harness->state[COLLECTOR_IRQ];

	harness_tick(harness, &collector_irq);
	struct irq_cost before = *softirq(harness, "NET_RX");
	assert_int_equal(collector_irq.set_depth(collector, DEPTH_OFF), 0);
	send_packets();
	assert_int_equal(collector_irq.set_depth(collector, DEPTH_COUNTS), 0);
	harness_tick(harness, &collector_irq);
	struct irq_cost after = *softirq(harness, "NET_RX");
	assert_true(after.count >= before.count && after.count - before.count < PACKETS / 2);
	assert_true(after.ns - before.ns < NSEC_PER_SEC / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(traffic_on_the_loopback_is_soft_interrupts, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_are_those_of_proc, setup, teardown),
		cmocka_unit_test_setup_teardown(handlers_have_their_devices_names, setup, teardown),
		cmocka_unit_test_setup_teardown(nested_time_is_counted_once, setup, teardown),
		cmocka_unit_test_setup_teardown(off_and_on_again_makes_no_giant, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
