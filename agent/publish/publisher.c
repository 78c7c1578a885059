/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publisher's process: behind its wall first, then one loop over the agent's messages, the newest snapshot and HTTP,
 * until the agent is gone.
 */
#include "publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "publish/http.h"
#include "publish/sandbox.h"
#include "publish/statsd_input.h"

#define RETRY_NS NSEC_PER_SEC             /* for a listening address that is taken */
#define LOOK_FIRST_NS (2 * NSEC_PER_MSEC) /* a tick is published about so long after its boot_ns */
#define LOOK_AGAIN_NS (10 * NSEC_PER_MSEC)

enum { MESSAGES_PER_TURN = 64, FEED_MODE = 0644 };

struct loop {
	const struct publisher_args *args;
	char listen[NAME_LEN];
	struct publisher publisher;
	struct streams streams;
	struct http *http;
	bool listen_failed;               /* said already */
	uint64_t retry_ns, look_ns, expected_ns;
	struct statsd_input statsd;
	uint64_t statsd_ns;               /* when the StatsD socket has its next turn; UINT64_MAX: there is none */
	int epoll_fd;
	struct publisher_message message;
};

/* --- snapshots -------------------------------------------------------------------------------------------------------- */

void publisher_context(const struct publisher *publisher, uint64_t now_ns, struct metric_context *ret)
{
	*ret = (struct metric_context){
		.snap = publisher->seq ? publisher->snap : NULL,
		.now_ns = now_ns,
		.shown = publisher->shown,
		.records = publisher->records,
		.counters = &publisher->counters,
		.statsd = publisher->statsd,
	};
}

int publisher_refresh(struct publisher *publisher, uint64_t now_ns)
{
	int result = ring_read(publisher->ring, publisher->snap, &publisher->seq);
	if (result < 0) {
		/* The copy is torn: nothing may be read from it until the next one is whole. */
		publisher->seq = 0;
		publisher->counters.ring_errors++;
		return 0;
	}
	if (result == 0)
		return 0;

	struct metric_context context;
	shown_choose(publisher->shown, publisher->snap, publisher->max_shown);
	publisher_context(publisher, now_ns, &context);
	text_reset(&publisher->feed);
	metrics_write(&json_writer, &context, 0, &publisher->feed);
	return 1;
}

/* Readers see the old file or the new one, never a half. */
static int replace_feed(int dir_fd, const struct text *feed)
{
	int fd = openat(dir_fd, "metrics.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FEED_MODE);
	if (fd < 0)
		return -errno;

	int error = 0;
	for (size_t done = 0; done < feed->length;) {
		ssize_t size = write(fd, feed->data + done, feed->length - done);
		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0) {
			error = size < 0 ? -errno : -EIO;
			break;
		}
		done += (size_t)size;
	}
	if (close(fd) < 0 && !error)
		error = -errno;
	if (!error && renameat(dir_fd, "metrics.json.new", dir_fd, "metrics.json") < 0)
		error = -errno;
	if (error)
		(void)unlinkat(dir_fd, "metrics.json.new", 0);
	return error;
}

static void tell_snapshot(struct loop *loop)
{
	struct publisher *publisher = &loop->publisher;
	if (publisher->feed.failed || (loop->args->feed_dir_fd >= 0 && replace_feed(loop->args->feed_dir_fd, &publisher->feed) < 0))
		publisher->counters.feed_errors++;
	if (!publisher->feed.failed)
		streams_send(&loop->streams, "metrics", publisher->feed.data, publisher->feed.length);
}

/* There is no message for a new snapshot: it is looked for when it is due, and then ever less often while it is late. */
static void look(struct loop *loop, uint64_t seq_told, uint64_t now_ns)
{
	struct publisher *publisher = &loop->publisher;
	if (now_ns >= loop->look_ns)
		(void)publisher_refresh(publisher, now_ns); /* nothing new: looked for again below */
	if (publisher->seq && publisher->seq != seq_told) {
		tell_snapshot(loop);
		loop->expected_ns = publisher->snap->boot_ns + publisher->snap->interval_ns;
		loop->look_ns = loop->expected_ns + LOOK_FIRST_NS;
	}
	if (now_ns >= loop->look_ns) {
		uint64_t late = now_ns > loop->expected_ns ? (now_ns - loop->expected_ns) / 4 : 0;
		uint64_t most = publisher->seq ? publisher->snap->interval_ns : NSEC_PER_SEC / 4;
		late = late < most ? late : most;
		loop->look_ns = now_ns + (late > LOOK_AGAIN_NS ? late : LOOK_AGAIN_NS);
	}
}

/* --- messages --------------------------------------------------------------------------------------------------------- */

static void take_incident(struct loop *loop)
{
	struct publisher *publisher = &loop->publisher;
	const struct incident_entry *entry = records_put_incident(publisher->records, &loop->message.incident);
	if (!entry)
		return;
	text_reset(&publisher->page);
	records_write_incident(publisher->records, entry, &publisher->page);
	if (!publisher->page.failed)
		streams_send(&loop->streams, "incident", publisher->page.data, publisher->page.length);
}

static void take_action(struct loop *loop)
{
	const struct action_entry *entry = records_put_action(loop->publisher.records, &loop->message.action);
	if (entry)
		streams_send(&loop->streams, "action", entry->json, entry->length);
}

static void stop_serving(struct loop *loop)
{
	if (!loop->http)
		return;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, http_fd(loop->http), NULL); /* closing it does the same */
	http_close(loop->http);
	loop->http = NULL;
}

static void take_config(struct loop *loop)
{
	char listen[NAME_LEN];
	snprintf(listen, sizeof(listen), "%.*s", NAME_LEN - 1, loop->message.config.listen);
	mask_use(&loop->message.config.mask);
	loop->publisher.max_shown = loop->message.config.max_processes_shown;
	if (strcmp(listen, loop->listen) == 0)
		return;
	stop_serving(loop);
	memcpy(loop->listen, listen, sizeof(listen));
	loop->retry_ns = 0;
	loop->listen_failed = false;
}

/* 0; 1: the agent is gone. */
static int take_messages(struct loop *loop)
{
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		ssize_t size = recv(loop->args->event_fd, &loop->message, sizeof(loop->message), MSG_DONTWAIT | MSG_TRUNC);
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (size <= 0)
			return 1;
		if (size != sizeof(loop->message)) {
			loop->publisher.counters.messages_bad++;
			continue;
		}
		switch (loop->message.type) {
		case PUBLISHER_INCIDENT:
			take_incident(loop);
			break;
		case PUBLISHER_ACTION:
			take_action(loop);
			break;
		case PUBLISHER_CONFIG:
			take_config(loop);
			break;
		default:
			loop->publisher.counters.messages_bad++;
		}
	}
	return 0;
}

/* --- serving ---------------------------------------------------------------------------------------------------------- */

static int start_serving(struct loop *loop)
{
	int listener;
	int error = http_listen(loop->listen, &listener);
	if (error < 0)
		return error;
	error = http_open(&loop->publisher, &loop->streams, listener, &loop->http);
	if (error < 0)
		return error;
	struct epoll_event event = { .events = EPOLLIN, .data.fd = http_fd(loop->http) };
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, http_fd(loop->http), &event) < 0) {
		error = -errno;
		http_close(loop->http);
		loop->http = NULL;
	}
	return error;
}

static void serve(struct loop *loop, uint64_t now_ns)
{
	if (loop->http || !*loop->listen || now_ns < loop->retry_ns)
		return;

	int error = start_serving(loop);
	if (!error) {
		if (loop->listen_failed)
			log_info("publisher: listening on %s at last", loop->listen);
		loop->listen_failed = false;
		return;
	}
	if (!loop->listen_failed)
		log_warning("publisher: cannot listen on %s, going on without HTTP and trying every second: %s", loop->listen,
			strerror(-error));
	loop->listen_failed = true;
	loop->retry_ns = now_ns + RETRY_NS;
}

static int milliseconds_until(uint64_t next_ns, uint64_t now_ns)
{
	if (next_ns <= now_ns)
		return 0;
	uint64_t ms = (next_ns - now_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return ms < 60000 ? (int)ms : 60000;
}

static uint64_t wake_ns(const struct loop *loop, uint64_t now_ns)
{
	uint64_t next = loop->look_ns < loop->statsd_ns ? loop->look_ns : loop->statsd_ns;
	if (!loop->http && *loop->listen && loop->retry_ns < next)
		next = loop->retry_ns;
	if (loop->http) {
		uint64_t http = http_next_ns(loop->http, now_ns);
		next = http < next ? http : next;
	}
	return next;
}

static int run(struct loop *loop)
{
	uint64_t told = 0;
	for (;;) {
		uint64_t now_ns = clock_boot_ns();
		serve(loop, now_ns);
		look(loop, told, now_ns);
		told = loop->publisher.seq ? loop->publisher.seq : told;
		if (loop->http)
			http_run(loop->http, now_ns);
		if (loop->statsd.statsd)
			loop->statsd_ns = statsd_input_run(&loop->statsd, clock_boot_ns());

		struct epoll_event events[4];
		int count = epoll_wait(loop->epoll_fd, events, 4, milliseconds_until(wake_ns(loop, now_ns), now_ns));
		if (count < 0 && errno != EINTR)
			return 1;
		for (int i = 0; i < count; i++)
			if (events[i].data.fd == loop->args->event_fd && take_messages(loop))
				return 0;
			else if (loop->statsd.statsd && events[i].data.fd == loop->statsd.fd)
				statsd_input_ready(&loop->statsd);
	}
}

/* --- starting --------------------------------------------------------------------------------------------------------- */

static int open_loop(struct loop *loop)
{
	struct publisher *publisher = &loop->publisher;
	int error = ring_open(loop->args->ring_fd, &publisher->ring);
	if (error < 0)
		return error;

	publisher->max_shown = loop->args->max_processes_shown;
	publisher->shown = calloc(1, sizeof(*publisher->shown));
	publisher->records = calloc(1, sizeof(*publisher->records));
	publisher->snap = mmap(NULL, sizeof(*publisher->snap), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!publisher->shown || !publisher->records || publisher->snap == MAP_FAILED)
		return -ENOMEM;

	loop->streams.counters = &publisher->counters;
	loop->expected_ns = clock_boot_ns();
	snprintf(loop->listen, sizeof(loop->listen), "%s", loop->args->listen ? loop->args->listen : "");
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = loop->args->event_fd };
	if (loop->epoll_fd < 0 || epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->args->event_fd, &event) < 0)
		return -errno;

	const struct publisher_args *args = loop->args;
	loop->statsd_ns = UINT64_MAX;
	if (args->statsd_fd < 0)
		return 0;
	error = statsd_input_open(&loop->statsd, args->statsd_fd, loop->epoll_fd, args->statsd_max_series, args->statsd_max_age_ns);
	publisher->statsd = loop->statsd.statsd;
	return error;
}

/* A terminal's ^C goes to the whole group, but it is the agent who says when it is over. */
static void settle_signals(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGPIPE, SIGQUIT };
	sigset_t none;
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int go_behind_the_wall(const struct publisher_args *args)
{
	struct sandbox_report report;
	int error = sandbox_enter(args->user, args->feed_dir_fd, &report);
	if (error < 0) {
		log_error("publisher: cannot give up its privileges, so it does not serve: %s", strerror(-error));
		return error;
	}
	if (!report.user_changed)
		log_warning("publisher: not started by root, keeps its user");
	else if (args->user && strcmp(args->user, report.user) != 0)
		log_info("publisher: no user '%s' here, runs as %s", args->user, report.user);
	if (!report.landlock)
		log_debug("publisher: no Landlock in this kernel, only the user's permissions keep it from files");
	return 0;
}

int publisher_run(const struct publisher_args *args)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	if (!loop)
		return 1;

	prctl(PR_SET_NAME, "nm-publisher");
	settle_signals();
	umask(022);
	log_open(args->log_format, args->log_level); /* no socket is opened behind the wall */
	sandbox_close_others((const int[]){ args->ring_fd, args->event_fd, args->feed_dir_fd, args->statsd_fd, log_fd() }, 5);

	loop->args = args;
	int error = open_loop(loop);
	if (error < 0) {
		log_error("publisher: cannot open what the agent gave it: %s", strerror(-error));
		return 1;
	}
	if (take_messages(loop)) /* what is to be hidden waits there */
		return 0;
	serve(loop, clock_boot_ns()); /* a port below 1024 needs what is given up next */
	if (go_behind_the_wall(args) < 0)
		return 1;
	return run(loop);
}
