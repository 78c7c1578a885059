/* SPDX-License-Identifier: Apache-2.0 */
/* Probes: what passes, what fails and why it says, that nothing waits past its time, and that nothing a command started stays. */
#include "collect_bench.h"

#include "collect/probe.h"
#include "collect/probe_command.h"
#include "core/clock.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* --- running one ---------------------------------------------------------------------------------------------------------- */

/* Until its next verdict; false: none within ten seconds. */
static bool judged(struct probe_run *run)
{
	uint64_t until_ns = clock_boot_ns() + 10 * NSEC_PER_SEC;
	uint32_t failed = run->failed;

	run->next_ns = 0;
	while (clock_boot_ns() < until_ns) {
		struct pollfd polled = { .fd = run->fd, .events = run->events };
		poll(&polled, 1, 1);
		bool busy = run->phase != PROBE_IDLE;
		(void)probe_step(run, run->fd >= 0 && polled.revents, clock_boot_ns());
		if (run->failed != failed || (busy && run->phase == PROBE_IDLE))
			return true;
	}
	return false;
}

static void settle(struct probe_run *run)
{
	for (int i = 0; i < 1000 && run->phase != PROBE_IDLE; i++) {
		struct pollfd polled = { .fd = run->fd, .events = run->events };
		poll(&polled, 1, 10);
		(void)probe_step(run, polled.revents, clock_boot_ns());
	}
	assert_int_equal(run->phase, PROBE_IDLE);
}

static struct probe tcp_or_http(enum probe_type type, const char *format, uint16_t port)
{
	struct probe probe = { .type = type, .timeout_ns = 300 * NSEC_PER_MSEC, .every_ns = NSEC_PER_SEC, .failures = 1, .status_from = 200,
			       .status_to = 399 };
	const char *at = strchr(format, '#');
	snprintf(probe.address, sizeof(probe.address), "%.*s%u%s", (int)(at - format), format, port, at + 1);
	return probe;
}

static struct probe command(const char *first, const char *second, const char *third)
{
	struct probe probe = { .type = PROBE_TYPE_COMMAND, .timeout_ns = 5 * NSEC_PER_SEC, .every_ns = NSEC_PER_SEC, .failures = 1 };
	snprintf(probe.argv[0], PATH_LEN, "%s", first);
	snprintf(probe.argv[1], PATH_LEN, "%s", second ? second : "");
	snprintf(probe.argv[2], PATH_LEN, "%s", third ? third : "");
	return probe;
}

static enum probe_state verdict(const struct probe *probe, char *ret_why)
{
	struct probe_run run;
	probe_init(&run, probe, 0);
	assert_int_equal(run.state, PROBE_UNKNOWN);
	assert_true(judged(&run));
	memcpy(ret_why, run.why, WHY_LEN);
	enum probe_state state = run.state;
	settle(&run);
	probe_free(&run);
	return state;
}

/* --- the other side ------------------------------------------------------------------------------------------------------- */

struct server {
	int fd;
	uint16_t port;
	pid_t pid;
};

static void listen_here(struct server *server)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(here);
	server->pid = 0;
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&here, size), 0);
	assert_int_equal(listen(server->fd, 8), 0);
	assert_int_equal(getsockname(server->fd, (struct sockaddr *)&here, &size), 0);
	server->port = ntohs(here.sin_port);
}

/* A child that answers each request with the text, in two pieces; NULL: with nothing, ever. */
static void answer_with(struct server *server, const char *text)
{
	listen_here(server);
	server->pid = fork();
	if (server->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		char request[2048];
		int peer = accept(server->fd, NULL, NULL);
		ssize_t got = read(peer, request, sizeof(request) - 1);
		request[got > 0 ? got : 0] = '\0';
		if (!text)
			continue;
		if (strncmp(request, "GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:", 42) != 0)
			text = "HTTP/1.1 400 Bad Request\r\n\r\n";
		(void)!write(peer, text, 5);
		(void)!write(peer, text + 5, strlen(text) - 5);
		close(peer);
	}
}

static void stop_server(struct server *server)
{
	close(server->fd);
	if (server->pid > 0) {
		kill(server->pid, SIGKILL);
		waitpid(server->pid, NULL, 0);
	}
}

/* --- TCP and HTTP --------------------------------------------------------------------------------------------------------- */

static void tcp_connects_or_not(void **given)
{
	struct server server;
	char why[WHY_LEN];
	listen_here(&server);
	struct probe probe = tcp_or_http(PROBE_TYPE_TCP, "127.0.0.1:#", server.port);
	assert_int_equal(verdict(&probe, why), PROBE_PASSING);
	stop_server(&server);
	assert_int_equal(verdict(&probe, why), PROBE_FAILING);
	assert_non_null(strstr(why, "refused"));
}

static void http_status_decides(void **given)
{
	static const struct {
		const char *answer;
		enum probe_state state;
		const char *why;
	} table[] = {
		{ "HTTP/1.1 200 OK\r\n\r\n", PROBE_PASSING, "" },
		{ "HTTP/1.1 204 No Content\r\n\r\n", PROBE_PASSING, "" },
		{ "HTTP/1.0 399 Odd\r\n\r\n", PROBE_PASSING, "" },
		{ "HTTP/1.1 199 Odd\r\n\r\n", PROBE_FAILING, "status 199" },
		{ "HTTP/1.1 400 Odd\r\n\r\n", PROBE_FAILING, "status 400" },
		{ "HTTP/1.1 503 Unavailable\r\n\r\n", PROBE_FAILING, "status 503" },
		{ "SSH-2.0-OpenSSH_9.2p1\r\n", PROBE_FAILING, "not HTTP" },
		{ "HTTP/1.1 20", PROBE_FAILING, "closed" },
		{ NULL, PROBE_FAILING, "within 300 ms" },
	};
	char why[WHY_LEN];

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct server server;
		answer_with(&server, table[i].answer);
		struct probe probe = tcp_or_http(PROBE_TYPE_HTTP, "http://127.0.0.1:#/health?x=1", server.port);
		assert_int_equal(verdict(&probe, why), table[i].state);
		assert_non_null(strstr(why, table[i].why));
		stop_server(&server);
	}
}

static void http_says_what_it_must(void **given)
{
	static const struct {
		const char *answer;
		uint32_t from, to;
		const char *body;
		enum probe_state state;
		const char *why;
	} table[] = {
		{ "HTTP/1.1 204 No Content\r\n\r\n", 204, 204, "", PROBE_PASSING, "" },
		{ "HTTP/1.1 200 OK\r\n\r\n", 204, 204, "", PROBE_FAILING, "status 200" },
		{ "HTTP/1.1 503 Odd\r\nX: y\r\n\r\nall is well", 200, 599, "^all is (well|fine)$", PROBE_PASSING, "" },
		{ "HTTP/1.0 200 OK\r\n\r\nx", 200, 399, "^x$", PROBE_PASSING, "" }, /* all of it with the status line */
		{ "HTTP/1.1 200 OK\r\nX: well\r\n\r\nall is lost", 200, 399, "well", PROBE_FAILING, "does not match well" },
		{ "HTTP/1.1 200 OK\r\nX: well\r\n", 200, 399, "well", PROBE_FAILING, "does not match" },
	};
	char why[WHY_LEN];
	(void)given;

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct server server;
		answer_with(&server, table[i].answer);
		struct probe probe = tcp_or_http(PROBE_TYPE_HTTP, "http://127.0.0.1:#/health?x=1", server.port);
		probe.status_from = table[i].from;
		probe.status_to = table[i].to;
		strcpy(probe.body, table[i].body);
		assert_int_equal(verdict(&probe, why), table[i].state);
		assert_non_null(strstr(why, table[i].why));
		stop_server(&server);
	}
}

static void bad_addresses_fail_at_once(void **given)
{
	static const struct {
		enum probe_type type;
		const char *address;
	} table[] = {
		{ PROBE_TYPE_TCP, "" },
		{ PROBE_TYPE_TCP, "127.0.0.1" },
		{ PROBE_TYPE_TCP, "localhost:80" },
		{ PROBE_TYPE_TCP, "127.0.0.1:http" },
		{ PROBE_TYPE_TCP, "127.0.0.1:1234567" },
		{ PROBE_TYPE_TCP, "[::1:80" },
		{ PROBE_TYPE_TCP, "::1]:80" },
		{ PROBE_TYPE_HTTP, "127.0.0.1:80/" },
		{ PROBE_TYPE_HTTP, "http://" },
		{ PROBE_TYPE_HTTP, "http:///x" },
	};
	char why[WHY_LEN];
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct probe probe = { .type = table[i].type, .timeout_ns = 60 * NSEC_PER_SEC, .every_ns = NSEC_PER_SEC, .failures = 1 };
		snprintf(probe.address, sizeof(probe.address), "%s", table[i].address);
		assert_int_equal(verdict(&probe, why), PROBE_FAILING);
		assert_non_null(strstr(why, "Invalid argument"));
	}
}

static void so_many_failures_in_a_row(void **given)
{
	struct server server;
	struct probe_run run;
	listen_here(&server);
	struct probe probe = tcp_or_http(PROBE_TYPE_TCP, "127.0.0.1:#", server.port);
	probe.failures = 3;
	probe_init(&run, &probe, 0);
	assert_true(judged(&run));
	assert_int_equal(run.state, PROBE_PASSING);
	assert_true(run.next_ns >= run.started_ns + probe.every_ns);
	stop_server(&server);

	for (uint32_t i = 1; i <= 3; i++) {
		assert_true(judged(&run));
		assert_int_equal(run.failed, i);
		assert_int_equal(run.state, i < 3 ? PROBE_PASSING : PROBE_FAILING);
	}
	probe_reset(&run, UINT64_MAX);
	assert_int_equal(run.state, PROBE_UNKNOWN);
	assert_int_equal(run.failed, 0);
	assert_false(probe_step(&run, false, clock_boot_ns()));
	assert_int_equal(run.phase, PROBE_IDLE);
}

/* --- commands ------------------------------------------------------------------------------------------------------------- */

static void a_command_says_by_its_exit_code(void **given)
{
	char why[WHY_LEN];
	struct probe yes = command("/bin/true", NULL, NULL), no = command("/bin/sh", "-c", "exit 7"),
		     dies = command("/bin/sh", "-c", "kill -9 $$");
	assert_int_equal(verdict(&yes, why), PROBE_PASSING);
	assert_int_equal(verdict(&no, why), PROBE_FAILING);
	assert_non_null(strstr(why, "exit code 7"));
	assert_int_equal(verdict(&dies, why), PROBE_FAILING);
	assert_non_null(strstr(why, "signal 9"));
}

static void a_command_inherits_nothing(void **given)
{
	char why[WHY_LEN];
	setenv("SECRET", "1", 1);
	int leaked = open("/etc/passwd", O_RDONLY);
	struct probe probe = command(
		"/bin/sh", "-c",
		"test -z \"$SECRET\" && test \"$PWD\" = / && test \"$(readlink /proc/$$/fd/0)\" = /dev/null && ! test -e /proc/$$/fd/3 && "
		"! test -e /proc/$$/fd/4 && ! test -e /proc/$$/fd/5 && test \"$(umask)\" = 0077");
	assert_int_equal(verdict(&probe, why), PROBE_PASSING);
	close(leaked);
}

static pid_t pid_in(const char *path)
{
	char text[32] = "";
	struct pollfd nothing = { .fd = -1 };
	for (int i = 0; i < 1000 && !strchr(text, '\n'); i++) {
		if (access(path, R_OK) == 0)
			bench_read(path, text, sizeof(text));
		poll(&nothing, 1, 5);
	}
	return (pid_t)atoi(text);
}

static bool is_gone(pid_t pid)
{
	struct pollfd nothing = { .fd = -1 };
	for (int i = 0; i < 1000; i++) {
		if (kill(pid, 0) < 0 && errno == ESRCH)
			return true;
		waitpid(pid, NULL, WNOHANG);
		poll(&nothing, 1, 5);
	}
	return false;
}

static void a_command_that_hangs_is_ended_with_its_group(void **given)
{
	struct bench *bench = *given;
	struct probe_run run;
	char script[PATH_LEN], file[128];
	snprintf(file, sizeof(file), "%s/pid", bench->root);
	snprintf(script, sizeof(script), "trap '' TERM; sleep 1000 & echo $! > %s; wait", file);
	struct probe probe = command("/bin/sh", "-c", script);
	probe.timeout_ns = 300 * NSEC_PER_MSEC;
	probe_init(&run, &probe, 0);
	assert_true(judged(&run));
	assert_int_equal(run.state, PROBE_FAILING);
	assert_non_null(strstr(run.why, "within 300 ms"));
	pid_t inner = pid_in(file);
	assert_true(inner > 0);
	settle(&run);
	assert_int_equal(run.failed, 1); /* judged once, not again when it died */
	assert_true(is_gone(inner));
}

static void what_a_command_leaves_in_its_group_ends(void **given)
{
	struct bench *bench = *given;
	char script[PATH_LEN], file[128], why[WHY_LEN];
	snprintf(file, sizeof(file), "%s/pid", bench->root);
	snprintf(script, sizeof(script), "sleep 1000 & echo $! > %s", file);
	struct probe probe = command("/bin/sh", "-c", script);
	assert_int_equal(verdict(&probe, why), PROBE_PASSING);
	pid_t left = pid_in(file);
	assert_true(left > 0);
	assert_true(is_gone(left));
}

static void what_forks_away_is_found(void **given)
{
	struct bench *bench = *given;
	struct probe_run runs[2];
	char script[PATH_LEN], file[128];
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	snprintf(file, sizeof(file), "%s/pid", bench->root);
	snprintf(script, sizeof(script), "setsid sh -c 'echo $$ > %s; exec sleep 1000' &", file);
	struct probe probe = command("/bin/sh", "-c", script), bystander = command("/bin/sleep", "1000", NULL);
	probe_init(&runs[0], &probe, 0);
	probe_init(&runs[1], &bystander, 0);
	(void)probe_step(&runs[1], false, clock_boot_ns());
	assert_int_equal(runs[1].phase, PROBE_RUNNING);
	assert_true(judged(&runs[0]));
	/* It may die with the group before it has one of its own; then it said nothing, and there is nothing to find. */
	pid_t away = access(file, F_OK) == 0 ? pid_in(file) : 0;
	for (int i = 0; away > 0 && i < 1000 && kill(away, 0) == 0; i++) {
		struct pollfd nothing = { .fd = -1 };
		probe_reap_strays(runs, 2);
		poll(&nothing, 1, 5);
	}
	if (away > 0)
		assert_int_equal(kill(away, 0), -1);
	assert_int_equal(kill(runs[1].pid, 0), 0); /* that one is no stray */
	probe_reset(&runs[1], UINT64_MAX);
	settle(&runs[1]);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void only_what_root_alone_can_change_is_run(void **given)
{
	struct bench *bench = *given;
	char path[128], link[128], why[WHY_LEN];
	assert_int_equal(probe_command_check("/bin/true"), 0); /* through the link /bin, too */
	assert_int_equal(probe_command_check("/usr/bin/../bin/true"), 0);
	assert_int_equal(probe_command_check("bin/true"), -EACCES);
	assert_int_equal(probe_command_check(""), -EACCES);
	assert_int_equal(probe_command_check("/"), -EACCES);
	assert_int_equal(probe_command_check("/usr/bin"), -EACCES);
	assert_int_equal(probe_command_check("/etc/passwd"), -EACCES);
	assert_int_equal(probe_command_check("/bin/true/"), -EACCES);
	assert_int_equal(probe_command_check("/nonexistent/x"), -ENOENT);

	/* Its own mode is fine; the directory above, /tmp, is everybody's. */
	bench_say(bench, "script", "#!/bin/sh\nexit 0\n");
	snprintf(path, sizeof(path), "%s/script", bench->root);
	chmod(path, 0755);
	assert_int_equal(probe_command_check(path), -EACCES);
	snprintf(link, sizeof(link), "%s/link", bench->root);
	assert_int_equal(symlink("/bin/true", link), 0);
	assert_int_equal(probe_command_check(link), -EACCES); /* whoever can turn the link chooses what root runs */

	struct probe probe = command(path, NULL, NULL);
	assert_int_equal(verdict(&probe, why), PROBE_FAILING);
	assert_non_null(strstr(why, "not run"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BENCH_TEST(tcp_connects_or_not),
		BENCH_TEST(http_status_decides),
		BENCH_TEST(http_says_what_it_must),
		BENCH_TEST(bad_addresses_fail_at_once),
		BENCH_TEST(so_many_failures_in_a_row),
		BENCH_TEST(a_command_says_by_its_exit_code),
		BENCH_TEST(a_command_inherits_nothing),
		BENCH_TEST(a_command_that_hangs_is_ended_with_its_group),
		BENCH_TEST(what_a_command_leaves_in_its_group_ends),
		BENCH_TEST(what_forks_away_is_found),
		BENCH_TEST(only_what_root_alone_can_change_is_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
