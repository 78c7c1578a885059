/* SPDX-License-Identifier: Apache-2.0 */
/* The publisher as a process of its own: what it gives up, what it serves, what it writes, and that it ends with its agent. */
#include "publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "publish/publish.h"
#include "tests/unit/full_snapshot.h"
#include "tests/unit/http_client.h"

struct fixture {
	struct ring_writer writer;
	struct snapshot *snap;
	struct publisher_message *message;
	char root[64], listen[32];
	int feed_fd, event_fd, watch_fd;
	uint16_t port;
	pid_t pid;
	bool silent;       /* the first configuration is not sent */
};

static void configure(struct fixture *fixture, uint32_t shown, const char *token)
{
	struct publisher_config *config = calloc(1, sizeof(*config));
	config->type = PUBLISHER_CONFIG;
	config->max_processes_shown = shown;
	strcpy(config->access.token, token);
	assert_int_equal(send(fixture->event_fd, config, sizeof(*config), 0), sizeof(*config));
	free(config);
}

static void start(struct fixture *fixture)
{
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fixture->event_fd = pair[0];
	fixture->pid = fork();
	if (fixture->pid == 0) {
		struct publisher_args args = { .ring_fd = fixture->writer.fd, .event_fd = pair[1], .feed_dir_fd = fixture->feed_fd, .outputs_fd = -1, .counters_fd = -1,
					       .statsd_fd = -1, .log_level = 6, .log_format = LOG_FORMAT_TEXT,
					       .listen = fixture->listen, .node = "n1", .user = "nobody", .max_processes_shown = 10 };
		_exit(publisher_run(&args));
	}
	close(pair[1]);
	if (!fixture->silent)
		configure(fixture, 10, "");
}

static int open_fixture(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	*state = fixture;
	fixture->snap = empty_snapshot();
	fixture->message = calloc(1, sizeof(*fixture->message));
	fixture->port = free_port();
	snprintf(fixture->listen, sizeof(fixture->listen), "127.0.0.1:%u", fixture->port);
	strcpy(fixture->root, "/tmp/nodemend-publisher-XXXXXX");
	if (!mkdtemp(fixture->root) || ring_create(&fixture->writer) < 0)
		return -1;
	fixture->feed_fd = open(fixture->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture->watch_fd = inotify_init1(IN_CLOEXEC);
	return inotify_add_watch(fixture->watch_fd, fixture->root, IN_MOVED_TO) < 0 ? -1 : 0;
}

static int end(struct fixture *fixture)
{
	int status = 0;
	if (fixture->event_fd >= 0)
		close(fixture->event_fd);
	fixture->event_fd = -1;
	if (fixture->pid > 0 && waitpid(fixture->pid, &status, 0) == fixture->pid)
		fixture->pid = 0;
	return status;
}

static int close_fixture(void **state)
{
	struct fixture *fixture = *state;
	end(fixture);
	unlinkat(fixture->feed_fd, "metrics.json", 0);
	close(fixture->feed_fd);
	close(fixture->watch_fd);
	ring_destroy(&fixture->writer);
	munmap(fixture->snap, sizeof(*fixture->snap));
	free(fixture->message);
	int error = rmdir(fixture->root);
	free(fixture);
	return error;
}

static void publish(struct fixture *fixture, uint64_t seq)
{
	fill_snapshot(fixture->snap, seq, clock_boot_ns(), 30, 100);
	fixture->snap->interval_ns = NSEC_PER_SEC / 10;
	ring_publish(&fixture->writer, fixture->snap);
}

/* Until metrics.json has been replaced: by then it listens, too. */
static void await_feed(struct fixture *fixture)
{
	char buffer[4096] __attribute__((aligned(8)));
	struct pollfd ready = { .fd = fixture->watch_fd, .events = POLLIN };
	assert_int_equal(poll(&ready, 1, 10000), 1);
	assert_true(read(fixture->watch_fd, buffer, sizeof(buffer)) > 0);
}

static char *get(struct fixture *fixture, const char *target)
{
	char request[256];
	int fd = client_connect(fixture->port);
	assert_true(fd >= 0);
	int size = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target);
	assert_true(client_send(fd, request, (size_t)size));
	char *answer = client_read(fd, NULL);
	close(fd);
	return answer;
}

static void expect(struct fixture *fixture, const char *target, const char *part)
{
	char *answer = get(fixture, target);
	if (!strstr(answer, part))
		fail_msg("%s: no '%s' in: %.400s", target, part, answer);
	free(answer);
}

static void tell_incident(struct fixture *fixture, const char *id)
{
	memset(fixture->message, 0, sizeof(*fixture->message));
	fixture->message->type = PUBLISHER_INCIDENT;
	struct incident *incident = &fixture->message->incident;
	snprintf(incident->id, sizeof(incident->id), "%s", id);
	incident->opened_wall_ns = clock_wall_ns();
	incident->resource.type = TARGET_FILESYSTEM;
	strcpy(incident->resource.name, "/data");
	incident->action_count = 1;
	strcpy(incident->actions[0], "a1");
	assert_int_equal(send(fixture->event_fd, fixture->message, sizeof(*fixture->message), 0), sizeof(*fixture->message));
}

static void tell_action(struct fixture *fixture, const char *id)
{
	memset(fixture->message, 0, sizeof(*fixture->message));
	fixture->message->type = PUBLISHER_ACTION;
	struct action *action = &fixture->message->action;
	snprintf(action->id, sizeof(action->id), "%s", id);
	strcpy(action->remedy, "clean-files");
	action->target.type = TARGET_FILESYSTEM;
	effect_clear(&action->expected);
	effect_clear(&action->observed);
	action->outcome = OUTCOME_FIXED;
	action->started_wall_ns = clock_wall_ns();
	assert_int_equal(send(fixture->event_fd, fixture->message, sizeof(*fixture->message), 0), sizeof(*fixture->message));
}

static void serves_and_writes_what_is_published(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	start(fixture);
	await_feed(fixture);
	publish(fixture, 2);
	expect(fixture, "/metrics", "nodemend_ticks_total 2\n");
	await_feed(fixture);

	int fd = openat(fixture->feed_fd, "metrics.json", O_RDONLY | O_CLOEXEC);
	char begin[256] = { 0 };
	struct stat status;
	assert_true(read(fd, begin, sizeof(begin) - 1) > 0);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0644);
	close(fd);
	assert_non_null(strstr(begin, "\"schema\":\"nodemend.metrics/1\""));
	assert_non_null(strstr(begin, "\"seq\":2,"));
	assert_int_equal(faccessat(fixture->feed_fd, "metrics.json.new", F_OK, 0), -1);
}

static void records_arrive(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	start(fixture);
	await_feed(fixture);

	static const char request[] = "GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n";
	int stream = client_connect(fixture->port);
	assert_true(client_send(stream, request, sizeof(request) - 1));
	free(client_read(stream, "event: metrics\ndata: {\"schema\":\"nodemend.metrics/1\""));

	tell_action(fixture, "a1");
	char *seen = client_read(stream, "event: action\ndata: {\"schema\":\"nodemend.action/1\",\"id\":\"a1\"");
	assert_non_null(strstr(seen, "event: action\n"));
	free(seen);
	tell_incident(fixture, "i1");
	seen = client_read(stream, "event: incident\ndata: {\"schema\":\"nodemend.incident/1\",\"id\":\"i1\"");
	assert_non_null(strstr(seen, "event: incident\n"));
	free(seen);
	publish(fixture, 2);
	seen = client_read(stream, "\"seq\":2,");
	assert_non_null(strstr(seen, "event: metrics\n"));
	free(seen);
	close(stream);

	expect(fixture, "/v1/incidents", "\"id\":\"i1\"");
	expect(fixture, "/v1/incidents/i1", "\"actions\":[{\"schema\":\"nodemend.action/1\",\"id\":\"a1\"");
	expect(fixture, "/v1/actions", "\"outcome\":\"fixed\"");
	expect(fixture, "/metrics", "nodemend_incidents{kind=\"disk_exhaustion\",severity=\"warning\",state=\"open\"} 1\n");
}

static void a_bad_message_is_counted(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	start(fixture);
	await_feed(fixture);
	assert_int_equal(send(fixture->event_fd, "x", 1, 0), 1);
	memset(fixture->message, 0xff, sizeof(*fixture->message));
	assert_int_equal(send(fixture->event_fd, fixture->message, sizeof(*fixture->message), 0), sizeof(*fixture->message));
	tell_incident(fixture, "i1"); /* once it is there, the others have been read */
	for (int i = 0; i < 100; i++) {
		char *answer = get(fixture, "/v1/incidents/i1");
		bool there = strstr(answer, " 200 OK") != NULL;
		free(answer);
		if (there)
			break;
	}
	expect(fixture, "/metrics", "nodemend_publisher_messages_bad_total 2\n");
}

static char *status_of(pid_t pid)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = calloc(1, 8192);
	assert_true(fd >= 0 && read(fd, text, 8191) > 0);
	close(fd);
	return text;
}

static void assert_status(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no '%s' in %s", line, text);
}

static void gives_everything_up(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	start(fixture);
	await_feed(fixture);

	char *text = status_of(fixture->pid);
	assert_status(text, "Name:\tnm-publisher\n");
	assert_status(text, "CapInh:\t0000000000000000\n");
	assert_status(text, "CapPrm:\t0000000000000000\n");
	assert_status(text, "CapEff:\t0000000000000000\n");
	assert_status(text, "CapAmb:\t0000000000000000\n");
	assert_status(text, "NoNewPrivs:\t1\n");
	assert_status(text, "Seccomp:\t2\n");
	if (geteuid() == 0) {
		assert_status(text, "CapBnd:\t0000000000000000\n");
		assert_null(strstr(text, "Uid:\t0"));
		assert_null(strstr(strstr(text, "Uid:"), "\t0\t"));
		assert_status(text, "Groups:\t \n");
	}
	free(text);
}

static void ends_when_the_agent_lets_go(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	start(fixture);
	await_feed(fixture);
	int status = end(fixture);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(client_connect(fixture->port), -1);
}

/* The agent is a process between us and the publisher; it dies without closing anything properly. */
static void dies_with_the_agent(void **state)
{
	struct fixture *fixture = *state;
	int pids[2];
	publish(fixture, 1);
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe(pids), 0);
	pid_t agent = fork();
	if (agent == 0) {
		start(fixture);
		(void)!write(pids[1], &fixture->pid, sizeof(fixture->pid));
		pause();
		_exit(0);
	}
	pid_t publisher;
	assert_int_equal(read(pids[0], &publisher, sizeof(publisher)), sizeof(publisher));
	await_feed(fixture);

	int status;
	kill(agent, SIGKILL);
	assert_int_equal(waitpid(agent, &status, 0), agent);
	assert_int_equal(waitpid(publisher, &status, 0), publisher);
	assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	close(pids[0]);
	close(pids[1]);
}

static void goes_on_without_its_port(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(fixture->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(taken, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(taken, 1), 0);
	publish(fixture, 1);
	start(fixture);
	await_feed(fixture); /* the feed is written all the same */

	close(taken);
	int fd = -1;
	for (int tries = 0; fd < 0 && tries < 500; tries++) {
		fd = client_connect(fixture->port);
		if (fd < 0)
			poll(NULL, 0, 10); /* nothing tells when it will have tried again */
	}
	assert_true(fd >= 0);
	close(fd);
	publish(fixture, 2);
	expect(fixture, "/metrics", "nodemend_ticks_total 2\n");
}

static void a_new_configuration_is_taken(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	start(fixture);
	await_feed(fixture);
	expect(fixture, "/metrics", " 200 OK");
	configure(fixture, 3, "s3cret");
	char *answer = NULL;
	for (int tries = 0; tries < 500 && !(answer && strstr(answer, " 401 ")); tries++) {
		free(answer);
		answer = get(fixture, "/metrics");
	}
	assert_non_null(strstr(answer, "WWW-Authenticate: Bearer"));
	free(answer);
	configure(fixture, 3, "");
	for (answer = NULL; !(answer && strstr(answer, " 200 OK"));) {
		free(answer);
		answer = get(fixture, "/readyz");
	}
	free(answer);
	publish(fixture, 2);
	expect(fixture, "/metrics", "nodemend_series_folded_total{entity=\"process\"} 187\n"); /* 90, then 97 of 100 */
}

/* Until it has been told whom to answer, nobody is. */
static void nobody_is_answered_before_the_rules_are_known(void **state)
{
	struct fixture *fixture = *state;
	publish(fixture, 1);
	fixture->silent = true;
	start(fixture);
	await_feed(fixture); /* it is up, and listens */
	struct timeval limit = { .tv_usec = 200000 };
	int fd = client_connect(fixture->port);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_true(client_send(fd, "GET /metrics HTTP/1.0\r\n\r\n", 25));
	char *answer = client_read(fd, NULL);
	assert_string_equal(answer, "");
	free(answer);
	configure(fixture, 10, "");
	limit = (struct timeval){ .tv_sec = 20 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	answer = client_read(fd, NULL);
	assert_non_null(strstr(answer, " 200 OK"));
	free(answer);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(serves_and_writes_what_is_published),
		TEST(records_arrive),
		TEST(a_bad_message_is_counted),
		TEST(gives_everything_up),
		TEST(ends_when_the_agent_lets_go),
		TEST(dies_with_the_agent),
		TEST(goes_on_without_its_port),
		TEST(a_new_configuration_is_taken),
		TEST(nobody_is_answered_before_the_rules_are_known),
	};
	return cmocka_run_group_tests_name("publisher", tests, NULL, NULL);
}
