/* SPDX-License-Identifier: Apache-2.0 */
/* See probe.h. Its commands are in probe_command.c. */
#include "collect/probe.h"

#include "collect/probe_command.h"
#include "collect/procfs.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEAST_PAUSE_NS (10 * NSEC_PER_MSEC) /* whatever `every` says, a probe is no load test */

enum { PROBE_PAGE = 16384, HTTP_STATUS_SIZE = sizeof("HTTP/1.1 200") - 1 };

/* --- the verdict -------------------------------------------------------------------------------------------------------- */

static void become_idle(struct probe_run *run)
{
	if (run->fd >= 0)
		close(run->fd);
	run->fd = -1;
	run->events = 0;
	run->pid = 0;
	run->page_size = 0;
	run->phase = PROBE_IDLE;
}

static bool judge(struct probe_run *run, uint64_t now_ns, bool passed)
{
	enum probe_state before = run->state;

	run->failed = passed ? 0 : run->failed + 1;
	if (passed)
		run->state = PROBE_PASSING;
	else if (run->failed >= run->what->failures)
		run->state = PROBE_FAILING;
	run->next_ns = run->started_ns + run->what->every_ns;
	if (run->next_ns < now_ns + LEAST_PAUSE_NS)
		run->next_ns = now_ns + LEAST_PAUSE_NS;
	if (passed)
		run->why[0] = '\0';
	return run->state != before || !passed;
}

__attribute__((format(printf, 3, 4))) static bool fail(struct probe_run *run, uint64_t now_ns, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(run->why, sizeof(run->why), format, arguments);
	va_end(arguments);
	if (run->phase != PROBE_ENDING)
		become_idle(run);
	return judge(run, now_ns, false);
}

static bool pass(struct probe_run *run, uint64_t now_ns)
{
	become_idle(run);
	return judge(run, now_ns, true);
}

/* --- TCP and HTTP ------------------------------------------------------------------------------------------------------- */

struct endpoint {
	char host[PATH_LEN], port[8], path[PATH_LEN]; /* path: "" for TCP */
};

/* "host:port", "[v6]:port"; with "http://" before it the port may be missing and a path may follow. */
static int split_address(const struct probe *what, struct endpoint *ret)
{
	struct span all = { what->address, what->address + strlen(what->address) };
	bool http = what->type == PROBE_TYPE_HTTP;

	if (http && !span_starts(&all, "http://"))
		return -EINVAL;
	const char *slash = memchr(all.at, '/', (size_t)(all.end - all.at));
	snprintf(ret->path, sizeof(ret->path), "%s", !http ? "" : slash ? slash : "/");
	if (slash)
		all.end = slash;

	struct span host = all, port = { all.end, all.end };
	const char *bracket = memchr(all.at, ']', (size_t)(all.end - all.at));
	const char *colon = memrchr(all.at, ':', (size_t)(all.end - all.at));
	if (colon && (!bracket || colon > bracket)) {
		host.end = colon;
		port.at = colon + 1;
	}
	if (bracket) {
		if (*host.at != '[' || bracket + 1 != host.end)
			return -EINVAL;
		host = (struct span){ host.at + 1, bracket };
	}
	uint64_t number = 80;
	if (span_copy(&host, ret->host, sizeof(ret->host)) == 0)
		return -EINVAL;
	if (port.at < port.end || !http) /* getaddrinfo takes 65616 for 80 */
		if (!span_number(&port, &number) || number == 0 || number > UINT16_MAX)
			return -EINVAL;
	snprintf(ret->port, sizeof(ret->port), "%u", (uint16_t)number);
	return 0;
}

/* Numeric only: a name would have to be looked up, and that blocks. */
static int begin_connect(const struct endpoint *endpoint, int *ret_fd)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *address;

	if (getaddrinfo(endpoint->host, endpoint->port, &hints, &address) != 0)
		return -EINVAL;
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = fd < 0 || (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS) ? -errno : 0;
	freeaddrinfo(address);
	if (error) {
		if (fd >= 0)
			close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

static bool start_connection(struct probe_run *run, uint64_t now_ns)
{
	struct endpoint endpoint;

	int error = split_address(run->what, &endpoint);
	if (!error)
		error = begin_connect(&endpoint, &run->fd);
	if (error)
		return fail(run, now_ns, "%.80s: %s", run->what->address, strerror(-error));
	run->phase = PROBE_CONNECTING;
	run->events = POLLOUT;
	run->reply_size = 0;
	return false;
}

static bool send_request(struct probe_run *run, uint64_t now_ns)
{
	struct endpoint endpoint;
	char request[PATH_LEN * 3];

	(void)split_address(run->what, &endpoint); /* it was good enough to connect by */
	int size = snprintf(request, sizeof(request),
			    "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUser-Agent: nodemend\r\nAccept: */*\r\nConnection: close\r\n\r\n",
			    endpoint.path, strchr(endpoint.host, ':') ? "[" : "", endpoint.host, strchr(endpoint.host, ':') ? "]" : "",
			    endpoint.port);
	/* Well under the smallest send buffer, and this is the first write: it goes whole or not at all. */
	if (size >= (int)sizeof(request) || send(run->fd, request, (size_t)size, MSG_NOSIGNAL) != size)
		return fail(run, now_ns, "%.80s: the request could not be sent", run->what->address);
	run->phase = PROBE_READING;
	run->events = POLLIN;
	return false;
}

static bool finish_connect(struct probe_run *run, uint64_t now_ns)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(run->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error)
		return fail(run, now_ns, "%.80s: %s", run->what->address, strerror(error));
	return run->what->type == PROBE_TYPE_HTTP ? send_request(run, now_ns) : pass(run, now_ns);
}

/* What has come so far is looked at whenever more does: a page that never ends has passed by then, or is cut. */
static bool look_at_body(struct probe_run *run, uint64_t now_ns, bool ended)
{
	const char *head_end = memmem(run->page, run->page_size, "\r\n\r\n", 4);
	size_t skip = head_end ? (size_t)(head_end - run->page) + 4 : run->page_size;

	if (head_end && regex_match(run->body, run->page + skip, run->page_size - skip) == REGEX_YES)
		return pass(run, now_ns);
	if (!ended && run->page_size < PROBE_PAGE)
		return false;
	return fail(run, now_ns, "%.80s: the answer does not match %.60s", run->what->address, run->what->body);
}

static bool begin_body(struct probe_run *run, uint64_t now_ns)
{
	char why[WHY_LEN];
	if (!run->page)
		run->page = malloc(PROBE_PAGE);
	if (!run->body)
		run->body = regex_new(run->what->body, why, sizeof(why));
	if (!run->page || !run->body)
		return fail(run, now_ns, "%.80s: out of memory", run->what->address);
	memcpy(run->page, run->reply, run->reply_size);
	run->page_size = run->reply_size;
	run->phase = PROBE_READING_BODY;
	return look_at_body(run, now_ns, false);
}

static bool read_body(struct probe_run *run, uint64_t now_ns)
{
	ssize_t got = recv(run->fd, run->page + run->page_size, PROBE_PAGE - run->page_size, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	run->page_size += got > 0 ? (size_t)got : 0;
	return look_at_body(run, now_ns, got <= 0);
}

static bool read_status(struct probe_run *run, uint64_t now_ns)
{
	ssize_t got = recv(run->fd, run->reply + run->reply_size, sizeof(run->reply) - run->reply_size, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0)
		return fail(run, now_ns, "%.80s: no answer: %s", run->what->address, got ? strerror(errno) : "closed");
	run->reply_size += (size_t)got;
	if (run->reply_size < HTTP_STATUS_SIZE)
		return false;

	struct span line = { run->reply, run->reply + HTTP_STATUS_SIZE }, word;
	uint64_t status;
	if (!span_starts(&line, "HTTP/1.") || !span_word(&line, &word) || !span_next_number(&line, &status))
		return fail(run, now_ns, "%.80s: the answer is not HTTP", run->what->address);
	if (status < run->what->status_from || status > run->what->status_to)
		return fail(run, now_ns, "%.80s: status %llu", run->what->address, (unsigned long long)status);
	return run->what->body[0] ? begin_body(run, now_ns) : pass(run, now_ns);
}

/* --- commands ----------------------------------------------------------------------------------------------------------- */

static bool start_command(struct probe_run *run, uint64_t now_ns)
{
	int error = command_start(run->what, &run->pid, &run->fd);
	if (error)
		return fail(run, now_ns, "%.80s: %s", run->what->argv[0],
			    error == -EACCES ? "not run: it must be executable, and neither it nor its path writable by others than root"
					     : strerror(-error));
	run->phase = PROBE_RUNNING;
	run->events = POLLIN;
	return false;
}

static bool finish_command(struct probe_run *run, uint64_t now_ns)
{
	int status = command_reap(run->pid);

	if (run->phase == PROBE_ENDING) { /* judged when its time was up */
		become_idle(run);
		return false;
	}
	if (status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return pass(run, now_ns);
	if (status >= 0 && WIFSIGNALED(status))
		return fail(run, now_ns, "%.80s: killed by signal %d", run->what->argv[0], WTERMSIG(status));
	return fail(run, now_ns, "%.80s: exit code %d", run->what->argv[0], status >= 0 ? WEXITSTATUS(status) : -1);
}

/* --- all of them -------------------------------------------------------------------------------------------------------- */

void probe_init(struct probe_run *run, const struct probe *what, uint64_t first_ns)
{
	*run = (struct probe_run){ .what = what, .fd = -1, .next_ns = first_ns };
	run->state = what->type == PROBE_TYPE_NONE ? PROBE_NONE : PROBE_UNKNOWN;
}

uint64_t probe_due_ns(const struct probe_run *run)
{
	switch (run->phase) {
	case PROBE_IDLE:
		return run->what->type == PROBE_TYPE_NONE ? UINT64_MAX : run->next_ns;
	case PROBE_ENDING:
		return UINT64_MAX;
	default:
		return run->started_ns + run->what->timeout_ns;
	}
}

static bool overstayed(struct probe_run *run, uint64_t now_ns)
{
	const char *subject = run->phase == PROBE_RUNNING ? run->what->argv[0] : run->what->address;

	if (run->phase == PROBE_RUNNING) {
		command_kill(run->pid);
		run->phase = PROBE_ENDING;
	}
	return fail(run, now_ns, "%.80s: no answer within %llu ms", subject, (unsigned long long)(run->what->timeout_ns / NSEC_PER_MSEC));
}

static bool start(struct probe_run *run, uint64_t now_ns)
{
	run->started_ns = now_ns;
	return run->what->type == PROBE_TYPE_COMMAND ? start_command(run, now_ns) : start_connection(run, now_ns);
}

bool probe_step(struct probe_run *run, bool ready, uint64_t now_ns)
{
	if (run->phase == PROBE_IDLE)
		return now_ns >= probe_due_ns(run) && start(run, now_ns);

	if (ready) {
		switch (run->phase) {
		case PROBE_CONNECTING:
			return finish_connect(run, now_ns);
		case PROBE_READING:
			return read_status(run, now_ns);
		case PROBE_READING_BODY:
			return read_body(run, now_ns);
		default:
			return finish_command(run, now_ns);
		}
	}
	return now_ns >= probe_due_ns(run) && overstayed(run, now_ns);
}

void probe_reset(struct probe_run *run, uint64_t next_ns)
{
	if (run->phase == PROBE_RUNNING) {
		command_kill(run->pid);
		run->phase = PROBE_ENDING;
	} else if (run->phase != PROBE_ENDING) {
		become_idle(run);
	}
	run->next_ns = next_ns;
	run->failed = 0;
	run->state = run->what->type == PROBE_TYPE_NONE ? PROBE_NONE : PROBE_UNKNOWN;
	run->why[0] = '\0';
}

void probe_free(struct probe_run *run)
{
	regex_free(run->body);
	free(run->page);
	run->body = NULL;
	run->page = NULL;
}

void probe_reap_strays(const struct probe_run *runs, uint32_t count)
{
	pid_t ours[MAX_UNITS];
	uint32_t known = 0;

	for (uint32_t i = 0; i < count && known < MAX_UNITS; i++)
		if (runs[i].pid > 0)
			ours[known++] = runs[i].pid;
	command_reap_strays(ours, known);
}
