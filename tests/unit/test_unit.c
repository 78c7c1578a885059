/* SPDX-License-Identifier: Apache-2.0 */
/* Units over D-Bus, against a manager of the test's own that speaks systemd's part on a socket like systemd's private one. */
#include "collect_bench.h"

#include "core/clock.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

extern const struct collector collector_unit;

#define UNIT_PATH "/org/freedesktop/systemd1/unit/"

/* --- the manager ---------------------------------------------------------------------------------------------------------- */

struct line { /* what the test tells its manager */
	char active[32], sub[32], result[32];
	uint32_t main_pid, restarts;
	bool mute;       /* takes questions and answers none */
	bool silent;     /* does not tell that anything changed */
};

struct manager {
	struct line now;
	pid_t pid;
	int fd;          /* lines to it */
	char socket[108];
};

static int reply_with(sd_bus_message *call, const struct line *now, const char *property)
{
	const struct {
		const char *name, *text;
	} texts[] = { { "ActiveState", now->active }, { "SubState", now->sub }, { "Result", now->result }, { "LoadState", "loaded" } };

	if (strcmp(sd_bus_message_get_path(call), UNIT_PATH "app_2eservice") != 0)
		return sd_bus_reply_method_return(call, "v", "s", strcmp(property, "LoadState") == 0 ? "not-found" : "inactive");
	for (size_t i = 0; i < 4; i++)
		if (strcmp(property, texts[i].name) == 0)
			return sd_bus_reply_method_return(call, "v", "s", texts[i].text);
	return sd_bus_reply_method_return(call, "v", "u", strcmp(property, "MainPID") == 0 ? now->main_pid : now->restarts);
}

static int on_message(sd_bus_message *message, void *opaque, sd_bus_error *error)
{
	struct manager *manager = opaque;
	const char *interface, *property;

	if (manager->now.mute)
		return 1;
	if (sd_bus_message_is_method_call(message, "org.freedesktop.systemd1.Manager", "Subscribe"))
		return sd_bus_reply_method_return(message, "");
	if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus.Properties", "Get") &&
	    sd_bus_message_read(message, "ss", &interface, &property) >= 0)
		return reply_with(message, &manager->now, property);
	return 0;
}

static sd_bus *take_client(struct manager *manager, int listener)
{
	sd_bus *bus = NULL;
	sd_id128_t id;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 || sd_id128_randomize(&id) < 0 || sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 ||
	    sd_bus_set_server(bus, 1, id) < 0 || sd_bus_start(bus) < 0 || sd_bus_add_filter(bus, NULL, on_message, manager) < 0)
		_exit(1);
	return bus;
}

static _Noreturn void manage(struct manager *manager, int listener, int lines)
{
	sd_bus *bus = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct pollfd polled[] = {
			{ .fd = lines, .events = POLLIN },
			{ .fd = bus ? -1 : listener, .events = POLLIN },
			{ .fd = bus ? sd_bus_get_fd(bus) : -1, .events = (short)(bus ? sd_bus_get_events(bus) : 0) },
		};
		poll(polled, 3, -1);
		if (polled[0].revents) {
			if (read(lines, &manager->now, sizeof(manager->now)) != sizeof(manager->now))
				_exit(0);
			if (bus && !manager->now.silent)
				sd_bus_emit_signal(bus, UNIT_PATH "app_2eservice", "org.freedesktop.DBus.Properties", "PropertiesChanged",
						   "sa{sv}as", "org.freedesktop.systemd1.Unit", 0, 0);
		}
		if (!bus && polled[1].revents)
			bus = take_client(manager, listener);
		while (bus && sd_bus_process(bus, NULL) > 0)
			;
		if (bus && sd_bus_is_open(bus) <= 0)
			bus = sd_bus_unref(bus);
	}
}

static void start_manager(struct bench *bench, struct manager *manager)
{
	struct sockaddr_un here = { .sun_family = AF_UNIX };
	int lines[2];

	bench_say(bench, "systemd/x", "");
	snprintf(manager->socket, sizeof(manager->socket), "%s/systemd/private", bench->root);
	memcpy(here.sun_path, manager->socket, sizeof(manager->socket));
	unlink(manager->socket);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&here, sizeof(here)), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(pipe2(lines, O_CLOEXEC), 0);
	manager->pid = fork();
	if (manager->pid == 0)
		manage(manager, listener, lines[0]);
	close(listener);
	close(lines[0]);
	manager->fd = lines[1];
}

static void tell(struct manager *manager)
{
	assert_int_equal(write(manager->fd, &manager->now, sizeof(manager->now)), sizeof(manager->now));
}

static void stop_manager(struct manager *manager)
{
	kill(manager->pid, SIGKILL);
	waitpid(manager->pid, NULL, 0);
	close(manager->fd);
}

/* --- the collector -------------------------------------------------------------------------------------------------------- */

static struct condition *name_unit(struct bench *bench, const char *unit)
{
	struct policy *policy = &bench->config->policies[bench->config->policy_count++];
	policy->when_count = 1;
	policy->when[0].op = PREDICATE_LEAF;
	policy->when[0].condition.kind = CONDITION_UNIT;
	snprintf(policy->when[0].condition.unit, NAME_LEN, "%s", unit);
	return &policy->when[0].condition;
}

static void open_units(struct bench *bench, const struct manager *manager)
{
	snprintf(bench->config->systemd_bus, PATH_LEN, "unix:path=%s", manager->socket);
	bench->config->interval_ns = bench->snap->interval_ns = 200 * NSEC_PER_MSEC;
	assert_int_equal(bench_open(bench, &collector_unit), 0);
}

static void tick(struct bench *bench)
{
	bench->snap->boot_ns = clock_boot_ns();
	assert_int_equal(bench_tick(bench, 0, true), 0);
}

/* Ticks until it is so; what takes longer than `seconds` has failed. */
#define await(bench, seconds, condition)                                                                                                   \
	do {                                                                                                                               \
		struct pollfd nothing = { .fd = -1 };                                                                                      \
		uint64_t until_ns = clock_boot_ns() + (seconds) * NSEC_PER_SEC;                                                            \
		for (tick(bench); !(condition); tick(bench)) {                                                                             \
			assert_true(clock_boot_ns() < until_ns);                                                                           \
			poll(&nothing, 1, 5);                                                                                              \
		}                                                                                                                          \
	} while (0)

static const struct line running = { .active = "active", .sub = "running", .result = "success", .main_pid = 4711, .restarts = 2 };

static void a_unit_is_followed(void **given)
{
	struct bench *bench = *given;
	struct manager manager = { .now = running };
	const struct unit_sample *app = &bench->snap->units.each[0], *gone = &bench->snap->units.each[1];
	start_manager(bench, &manager);
	name_unit(bench, "app.service");
	name_unit(bench, "gone.service");
	open_units(bench, &manager);

	await(bench, 4, app->state == UNIT_ACTIVE && gone->state == UNIT_MISSING);
	assert_int_equal(bench->snap->units.count, 2);
	assert_string_equal(app->name, "app.service");
	assert_string_equal(app->sub_state, "running");
	assert_string_equal(app->result, "success");
	assert_int_equal(app->main_pid, 4711);
	assert_int_equal(app->restarts, 2);
	assert_int_equal(app->probe, PROBE_NONE);
	assert_int_equal(bench->status.state, COLLECTOR_UP);
	assert_true(snapshot_is_fresh(bench->snap, app->measured_ns));

	/* Told of a change, it knows long before it would have asked again. */
	manager.now = (struct line){ .active = "failed", .sub = "failed", .result = "exit-code", .restarts = 3 };
	tell(&manager);
	await(bench, 3, app->state == UNIT_FAILED);
	assert_string_equal(app->result, "exit-code");
	assert_int_equal(app->main_pid, 0);
	assert_int_equal(app->restarts, 3);

	/* Nothing changes: the heartbeat keeps it fresh. */
	uint64_t before_ns = app->measured_ns;
	await(bench, 3, app->measured_ns > before_ns);
	stop_manager(&manager);
}

static void a_change_nobody_told_is_found(void **given)
{
	struct bench *bench = *given;
	struct manager manager = { .now = running };
	const struct unit_sample *app = &bench->snap->units.each[0];
	start_manager(bench, &manager);
	name_unit(bench, "app.service");
	open_units(bench, &manager);
	await(bench, 4, app->state == UNIT_ACTIVE);
	snprintf(manager.now.active, sizeof(manager.now.active), "deactivating");
	manager.now.silent = true;
	tell(&manager);
	await(bench, 8, app->state == UNIT_DEACTIVATING);
	stop_manager(&manager);
}

static void a_bus_that_is_away_makes_it_unknown(void **given)
{
	struct bench *bench = *given;
	struct manager manager = { .now = running };
	const struct unit_sample *app = &bench->snap->units.each[0];
	start_manager(bench, &manager);
	name_unit(bench, "app.service");
	open_units(bench, &manager);
	await(bench, 4, app->state == UNIT_ACTIVE);

	stop_manager(&manager);
	await(bench, 4, app->state == UNIT_UNKNOWN);
	assert_int_equal(bench->status.state, COLLECTOR_DOWN);
	assert_non_null(strstr(bench->status.why, "no word from systemd at unix:path="));
	await(bench, 4, !snapshot_is_fresh(bench->snap, app->measured_ns));
	assert_string_equal(app->name, "app.service"); /* the row stays */

	start_manager(bench, &manager);
	await(bench, 10, app->state == UNIT_ACTIVE);
	assert_int_equal(bench->status.state, COLLECTOR_UP);
	stop_manager(&manager);
}

/* PID 1 hangs: what it said last is not the truth for ever. */
static void a_manager_that_is_mute_makes_it_unknown(void **given)
{
	struct bench *bench = *given;
	struct manager manager = { .now = running };
	const struct unit_sample *app = &bench->snap->units.each[0];
	start_manager(bench, &manager);
	name_unit(bench, "app.service");
	open_units(bench, &manager);
	await(bench, 4, app->state == UNIT_ACTIVE);
	manager.now.mute = true;
	tell(&manager);
	await(bench, 14, app->state == UNIT_UNKNOWN);
	await(bench, 4, !snapshot_is_fresh(bench->snap, app->measured_ns));
	stop_manager(&manager);
}

static void a_probe_runs_while_the_unit_does(void **given)
{
	struct bench *bench = *given;
	struct manager manager = { .now = running };
	const struct unit_sample *app = &bench->snap->units.each[0];
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(here);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&here, size), 0);
	assert_int_equal(listen(listener, 64), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&here, &size), 0);

	struct probe *probe = &name_unit(bench, "app.service")->probe;
	*probe = (struct probe){ .type = PROBE_TYPE_TCP, .timeout_ns = NSEC_PER_SEC, .every_ns = 50 * NSEC_PER_MSEC, .failures = 2 };
	snprintf(probe->address, sizeof(probe->address), "127.0.0.1:%u", ntohs(here.sin_port));
	snprintf(manager.now.active, sizeof(manager.now.active), "inactive");
	start_manager(bench, &manager);
	open_units(bench, &manager);
	await(bench, 4, app->state == UNIT_INACTIVE);
	assert_int_equal(app->probe, PROBE_UNKNOWN);

	manager.now = running;
	tell(&manager);
	await(bench, 4, app->probe == PROBE_PASSING);
	shutdown(listener, SHUT_RDWR); /* the manager has it, too */
	close(listener);
	await(bench, 4, app->probe == PROBE_FAILING);
	assert_non_null(strstr(app->probe_why, "refused"));

	snprintf(manager.now.active, sizeof(manager.now.active), "deactivating");
	tell(&manager);
	await(bench, 4, app->state == UNIT_DEACTIVATING && app->probe == PROBE_UNKNOWN);
	stop_manager(&manager);
}

static pid_t worker_pid(void)
{
	char text[4096], path[64], name[32];
	bench_read("/proc/thread-self/children", text, sizeof(text));
	for (char *at = text; *at;) {
		pid_t pid = (pid_t)strtol(at, &at, 10);
		at += strspn(at, " ");
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		if (pid > 0 && access(path, R_OK) == 0 && bench_read(path, name, sizeof(name)) && strcmp(name, "nm-units\n") == 0 &&
		    waitpid(pid, NULL, WNOHANG) == 0) /* not one of an earlier test */
			return pid;
	}
	return 0;
}

static void a_worker_that_dies_is_replaced(void **given)
{
	struct bench *bench = *given;
	struct manager manager = { .now = running };
	const struct unit_sample *app = &bench->snap->units.each[0];
	start_manager(bench, &manager);
	name_unit(bench, "app.service");
	open_units(bench, &manager);
	await(bench, 4, app->state == UNIT_ACTIVE);
	pid_t worker = worker_pid();
	assert_true(worker > 0);
	assert_int_equal(kill(worker, SIGKILL), 0);
	await(bench, 4, app->state == UNIT_UNKNOWN);
	assert_int_equal(bench->status.state, COLLECTOR_DOWN);
	await(bench, 8, app->state == UNIT_ACTIVE);
	assert_int_equal(bench->status.events_lost, 1);
	stop_manager(&manager);
}

static void nothing_named_needs_no_worker(void **given)
{
	struct bench *bench = *given;
	assert_int_equal(bench_open(bench, &collector_unit), 0);
	tick(bench);
	assert_int_equal(bench->snap->units.count, 0);
	assert_int_equal(bench->status.state, COLLECTOR_UP);
	assert_int_equal(worker_pid(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(nothing_named_needs_no_worker),
		BENCH_TEST(a_unit_is_followed),
		BENCH_TEST(a_change_nobody_told_is_found),
		BENCH_TEST(a_bus_that_is_away_makes_it_unknown),
		BENCH_TEST(a_manager_that_is_mute_makes_it_unknown),
		BENCH_TEST(a_probe_runs_while_the_unit_does),
		BENCH_TEST(a_worker_that_dies_is_replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
