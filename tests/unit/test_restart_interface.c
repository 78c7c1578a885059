/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restart-interface on a real pair of virtual Ethernet ends in a network namespace of the test's own: whose other end is deaf, or wakes up when it
 * sees the carrier go and come; what goes with a link is there again; and a link is never left down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "decide/hands.h"
#include "lease.h"

enum far_side { DEAF, WAKES, TALKS };
struct shared {
	volatile enum far_side far;
	volatile bool near_sends;
};

static char place[] = "/tmp/nodemend-link-XXXXXX";
static struct shared *shared;
static struct remedy_request request;
static struct remedy_result result;
static pid_t far_pid, near_pid;

static void run(const char *command)
{
	int status = system(command);
	if (status)
		fail_msg("%s: status %d", command, status);
}

static bool says(const char *command, const char *what)
{
	char text[8192];
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	size_t got = fread(text, 1, sizeof(text) - 1, pipe);
	text[got] = '\0';
	pclose(pipe);
	return strstr(text, what) != NULL;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static short flags_of(int fd, const char *name)
{
	struct ifreq request_of = { 0 };
	snprintf(request_of.ifr_name, sizeof(request_of.ifr_name), "%s", name);
	return ioctl(fd, SIOCGIFFLAGS, &request_of) < 0 ? 0 : request_of.ifr_flags;
}

/* At once, which IFF_RUNNING is not: that comes by way of a work queue that takes its time. */
static bool has_carrier(int fd, const char *name)
{
	struct ethtool_value value = { .cmd = ETHTOOL_GLINK };
	struct ifreq request_of = { .ifr_data = (char *)&value };
	snprintf(request_of.ifr_name, sizeof(request_of.ifr_name), "%s", name);
	return ioctl(fd, SIOCETHTOOL, &request_of) == 0 && value.data;
}

static bool is_up(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up = flags_of(fd, name) & IFF_UP;
	close(fd);
	return up;
}

/* --- both ends ------------------------------------------------------------------------------------------------------------ */

/* In a namespace of its own, so that nothing of the kernel answers for it. */
static _Noreturn void be_far(int ready)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0 || write(ready, "r", 1) != 1)
		_exit(1);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	bool talks = false, had_carrier = false;
	unsigned char frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xb5 };
	for (;; pause_ms(5)) {
		bool carrier = has_carrier(fd, "far0");
		if (shared->far == DEAF)
			talks = false;
		if (shared->far == TALKS || (shared->far == WAKES && had_carrier && !carrier))
			talks = true;
		had_carrier = carrier;
		struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("far0"), .sll_halen = 6 };
		if (talks && carrier)
			(void)sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to));
	}
}

static _Noreturn void be_near(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	const unsigned char frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 8, 0x88, 0xb5 };
	for (;; pause_ms(5)) {
		struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("near0"), .sll_halen = 6 };
		if (shared->near_sends)
			(void)sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to));
	}
}

/* 0; or a reason to skip. */
static const char *make_pair(void)
{
	char command[256], byte;
	int ready[2];
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		return "no network namespace of our own";
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || pipe(ready) < 0)
		return "no memory";
	far_pid = fork();
	if (far_pid == 0)
		be_far(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		return "no second network namespace";
	close(ready[0]);
	close(ready[1]);
	snprintf(command, sizeof(command),
		 "{ ip link set lo up && ip link add near0 type veth peer name far0 netns %d && "
		 "nsenter -t %d -n sh -c 'echo 1 >/proc/sys/net/ipv6/conf/far0/disable_ipv6; ip link set far0 up'; } 2>/dev/null", far_pid, far_pid);
	if (system(command))
		return "no virtual Ethernet pair";
	near_pid = fork();
	if (near_pid == 0)
		be_near();
	return NULL;
}

static int set_up(void **state)
{
	(void)state;
	shared->far = DEAF;
	shared->near_sends = true;
	run("ip link set near0 down; ip addr flush dev near0; ip -6 route flush dev near0; ip link set near0 up;"
	    "ip addr add 10.9.0.1/24 dev near0; ip addr add fd00:9::1/64 dev near0 nodad;"
	    "ip route add 10.10.0.0/16 via 10.9.0.2 metric 7; ip route add 10.11.0.0/16 via 10.9.0.3 table 100; ip -6 route add fd00:10::/64 via fd00:9::2");
	memset(&request, 0, sizeof(request));
	struct lease_report left;
	snprintf(request.lease_book, sizeof(request.lease_book), "%s/leases", place);
	(void)leases_return(request.lease_book, LEASES_ALL, "", clock_boot_ns(), NULL, NULL, &left); /* with what marks them as held */
	(void)unlink(request.lease_book);
	snprintf(request.action_id, sizeof(request.action_id), "a-1");
	request.verb = REMEDY_VERB_APPLY;
	request.remedy = REMEDY_RESTART_INTERFACE;
	request.target.type = TARGET_INTERFACE;
	snprintf(request.target.name, sizeof(request.target.name), "near0");
	request.deadline_boot_ns = clock_boot_ns() + 20 * NSEC_PER_SEC;
	request.args.restart_interface = (struct restart_interface_args){ .watch_ns = 300 * NSEC_PER_MSEC, .down_ns = 100 * NSEC_PER_MSEC };
	effect_clear(&request.expect);
	return 0;
}

static void everything_is_there(void)
{
	assert_true(is_up("near0"));
	assert_true(says("ip addr show dev near0", "10.9.0.1/24"));
	assert_true(says("ip addr show dev near0", "fd00:9::1/64"));
	assert_true(says("ip route show", "10.10.0.0/16 via 10.9.0.2 dev near0 metric 7"));
	assert_true(says("ip route show table 100", "10.11.0.0/16 via 10.9.0.3"));
	assert_true(says("ip -6 route show", "fd00:10::/64 via fd00:9::2"));
}

static void outcome_is(enum outcome outcome)
{
	if (result.outcome == outcome)
		return;
	for (uint32_t i = 0; i < result.step_count; i++)
		printf("%s: %s\n", result.steps[i].name, result.steps[i].detail);
	fail_msg("outcome %d and not %d: %s %s", result.outcome, outcome, result.refused_by, result.why);
}

static void refused(const char *by)
{
	hands_run(&request, &result);
	outcome_is(OUTCOME_REFUSED);
	assert_string_equal(result.refused_by, by);
	assert_int_equal(access(request.lease_book, F_OK), -1); /* nothing was turned */
}

/* --- the tests ------------------------------------------------------------------------------------------------------------ */

static void a_dead_link_comes_back_with_all_that_it_had(void **state)
{
	shared->far = WAKES;
	hands_run(&request, &result);
	outcome_is(OUTCOME_FIXED);
	everything_is_there();
	assert_non_null(strstr(result.plan[1], "put back 1 addresses and 3 routes"));
}

static void one_that_stays_dead_is_said_to_be_so(void **state)
{
	request.deadline_boot_ns = clock_boot_ns() + 900 * NSEC_PER_MSEC;
	hands_run(&request, &result);
	outcome_is(OUTCOME_NO_EFFECT);
	everything_is_there();
}

static void one_that_hears_is_left_alone(void **state)
{
	shared->far = TALKS;
	request.args.restart_interface.watch_ns = 10 * NSEC_PER_SEC; /* the first packet ends it */
	refused("alive");
	everything_is_there();
}

static void silence_where_nobody_speaks_says_nothing(void **state)
{
	shared->near_sends = false;
	run("echo 1 >/proc/sys/net/ipv6/conf/near0/disable_ipv6"); /* nor the kernel by itself */
	hands_run(&request, &result);
	run("echo 0 >/proc/sys/net/ipv6/conf/near0/disable_ipv6");
	assert_string_equal(result.refused_by, "idle");
}

static void the_way_out_is_left_unless_it_is_meant(void **state)
{
	run("ip route add default via 10.9.0.2");
	refused("default-route");
	request.args.restart_interface.even_default_route = true;
	shared->far = WAKES;
	hands_run(&request, &result);
	outcome_is(OUTCOME_FIXED);
	assert_true(says("ip route show", "default via 10.9.0.2"));
	everything_is_there();
	run("ip route del default");
	run("ip -6 route add default via fd00:9::2");
	request.args.restart_interface.even_default_route = false;
	(void)unlink(request.lease_book);
	refused("default-route");
	run("ip -6 route del default");
}

static void what_is_not_a_link_by_itself_is_refused(void **state)
{
	snprintf(request.target.name, sizeof(request.target.name), "lo");
	refused("loopback");
	snprintf(request.target.name, sizeof(request.target.name), "gone0");
	refused("target-changed");
	snprintf(request.target.name, sizeof(request.target.name), "near0");
	run("ip link set near0 down");
	refused("not-up");
	run("ip link set near0 up");
	request.target.type = TARGET_NODE;
	refused("no-interface");
}

static void a_member_and_its_bridge_are_refused(void **state)
{
	if (system("ip link add bridge0 type bridge 2>/dev/null && ip link set bridge0 up"))
		skip();
	run("ip link set near0 master bridge0");
	refused("is-member");
	snprintf(request.target.name, sizeof(request.target.name), "bridge0");
	refused("has-members");
	run("ip link set near0 nomaster; ip link del bridge0");
}

static void what_carries_vlans_is_refused(void **state)
{
	if (system("ip link add link near0 name near0.7 type vlan id 7 2>/dev/null") && system("ip link add link near0 name near0.7 type macvlan 2>/dev/null"))
		skip();
	refused("carries-others");
	run("ip link del near0.7");
}

static void a_route_with_several_ways_is_refused(void **state)
{
	run("ip route add 10.12.0.0/16 nexthop via 10.9.0.2 nexthop via 10.9.0.3");
	refused("shared-route");
	run("ip route del 10.12.0.0/16");
}

static void a_plan_and_a_pulled_switch_turn_nothing(void **state)
{
	request.verb = REMEDY_VERB_PLAN;
	hands_run(&request, &result);
	outcome_is(OUTCOME_NONE);
	assert_non_null(strstr(result.plan[0], "near0 has a carrier, sent "));
	assert_int_equal(access(request.lease_book, F_OK), -1);
	request.verb = REMEDY_VERB_APPLY;
	snprintf(request.kill_switch, sizeof(request.kill_switch), "%s", place);
	refused("kill-switch");
	request.kill_switch[0] = '\0';
	snprintf(request.lease_book, sizeof(request.lease_book), "%s/nowhere/leases", place);
	refused("lease-book");
	everything_is_there();
}

/* Killed while it is down: whoever reads the book next takes it up. */
static void a_link_is_never_left_down(void **state)
{
	struct lease_report report;
	request.args.restart_interface.down_ns = 5 * NSEC_PER_SEC;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		hands_run(&request, &result);
		_exit(0);
	}
	for (int i = 0; i < 2000 && is_up("near0"); i++)
		pause_ms(5);
	assert_false(is_up("near0"));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(leases_return(request.lease_book, LEASES_EXPIRED, "", clock_boot_ns(), NULL, NULL, &report), 0);
	assert_int_equal(report.held, 1);
	assert_int_equal(leases_return(request.lease_book, LEASES_EXPIRED, "", clock_boot_ns() + 16 * NSEC_PER_SEC, NULL, NULL, &report), 0);
	assert_int_equal(report.returned, 1);
	assert_true(is_up("near0"));
}

#define TEST(name_) cmocka_unit_test_setup(name_, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_dead_link_comes_back_with_all_that_it_had), TEST(one_that_stays_dead_is_said_to_be_so), TEST(one_that_hears_is_left_alone),
		TEST(silence_where_nobody_speaks_says_nothing), TEST(the_way_out_is_left_unless_it_is_meant), TEST(what_is_not_a_link_by_itself_is_refused),
		TEST(a_member_and_its_bridge_are_refused), TEST(what_carries_vlans_is_refused), TEST(a_route_with_several_ways_is_refused),
		TEST(a_plan_and_a_pulled_switch_turn_nothing), TEST(a_link_is_never_left_down),
	};
	char book[PATH_LEN];
	if (!mkdtemp(place))
		return 1;
	const char *problem = make_pair();
	int failed = 0;
	if (problem)
		printf("SKIP restart-interface: %s\n", problem);
	else
		failed = cmocka_run_group_tests(tests, NULL, NULL);
	const pid_t children[] = { far_pid, near_pid };
	for (size_t i = 0; i < sizeof(children) / sizeof(children[0]); i++)
		if (children[i] > 0) {
			kill(children[i], SIGKILL);
			waitpid(children[i], NULL, 0);
		}
	struct lease_report left;
	snprintf(book, sizeof(book), "%s/leases", place);
	(void)leases_return(book, LEASES_ALL, "", clock_boot_ns(), NULL, NULL, &left);
	(void)unlink(book);
	(void)rmdir(place);
	return failed;
}
