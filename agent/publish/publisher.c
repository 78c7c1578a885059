/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publisher's process: behind its wall first, then one loop over the agent's messages, the newest snapshot and HTTP,
 * until the agent is gone.
 */
#include "publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
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
#include "publish/statsd_page.h"
#include "push/share.h"

#define RETRY_NS NSEC_PER_SEC             /* for a listening address that is taken */
#define LOOK_FIRST_NS (2 * NSEC_PER_MSEC) /* a tick is published about so long after its boot_ns */
#define LOOK_AGAIN_NS (10 * NSEC_PER_MSEC)

enum { MESSAGES_PER_TURN = 64, FEED_MODE = 0644, PAGE_MMAP_MIN = 128 << 10 };

struct loop {
	const struct publisher_args *args;
	struct publisher publisher;
	struct streams streams;
	struct http *http;
	int listener;                     /* stays ours through every new configuration; -1: not bound yet */
	struct publisher_access *rules;   /* whom to answer, until the server has taken them in; nobody before */
	bool listen_failed, open_failed;  /* said already */
	uint64_t bind_ns, open_ns,        /* not to be tried again before */
		 look_ns, expected_ns;
	struct statsd_input statsd;
	uint64_t statsd_ns;               /* when the StatsD socket has its next turn; UINT64_MAX: there is none */
	int epoll_fd;
	struct publisher_page *numbers;   /* NULL = nowhere to */
	struct statsd_page *statsd_page;  /* likewise */
	union {
		enum publisher_message_type type;
		struct publisher_message message;
		struct publisher_config config;
	};
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
		.outputs = publisher->outputs,
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

	shown_choose(publisher->shown, publisher->snap, publisher->max_shown);
	page_release(publisher->feed);
	publisher->feed = metrics_page(publisher, EXPOSITION_JSON, &(struct metric_selection){ 0 }, now_ns);
	return 1;
}

/* Readers see the old file or the new one, never a half. */
static int replace_feed(int dir_fd, const struct page *feed)
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

static void show_counters(const struct loop *loop)
{
	const uint64_t *counters = (const uint64_t *)&loop->publisher.counters;
	_Static_assert(sizeof(loop->publisher.counters) <= sizeof(loop->numbers->numbers), "the page has room for each");
	for (size_t i = 0; loop->numbers && i < sizeof(loop->publisher.counters) / sizeof(counters[0]); i++)
		atomic_store_explicit(&loop->numbers->numbers[i], counters[i], memory_order_relaxed);
}

/* Only while there is a sender to read it. */
static void show_statsd(const struct loop *loop)
{
	const struct output_page *outputs = loop->publisher.outputs;
	if (loop->statsd_page && loop->statsd.statsd && outputs && atomic_load_explicit(&outputs->count, memory_order_relaxed))
		statsd_page_write(loop->statsd_page, loop->statsd.statsd, clock_boot_ns());
}

static void tell_snapshot(struct loop *loop)
{
	show_counters(loop);
	show_statsd(loop);
	struct publisher *publisher = &loop->publisher;
	if (!publisher->feed || (loop->args->feed_dir_fd >= 0 && replace_feed(loop->args->feed_dir_fd, publisher->feed) < 0))
		publisher->counters.feed_errors++;
	if (publisher->feed)
		streams_send(&loop->streams, STREAM_METRICS, publisher->feed);
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

/* --- serving ---------------------------------------------------------------------------------------------------------- */

static void stop_serving(struct loop *loop)
{
	if (!loop->http)
		return;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, http_fd(loop->http), NULL); /* closing it does the same */
	http_close(loop->http);
	loop->http = NULL;
}

/* The server gets a copy of the listening socket: a port below 1024 cannot be had a second time. */
static int start_serving(struct loop *loop)
{
	int listener = fcntl(loop->listener, F_DUPFD_CLOEXEC, 0);
	if (listener < 0)
		return -errno;
	int error = http_open(&loop->publisher, &loop->streams, loop->rules, listener, &loop->http);
	if (error < 0)
		return error;
	struct epoll_event event = { .events = EPOLLIN, .data.fd = http_fd(loop->http) };
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, http_fd(loop->http), &event) < 0) {
		error = -errno;
		stop_serving(loop);
	}
	return error;
}

static void bind_address(struct loop *loop, uint64_t now_ns)
{
	const char *listen = loop->args->listen;
	if (loop->listener >= 0 || !listen || !*listen || now_ns < loop->bind_ns)
		return;
	int error = http_listen(listen, &loop->listener);
	if (!error && loop->listen_failed)
		log_info("publisher: listening on %s at last", listen);
	if (error && !loop->listen_failed)
		log_warning("publisher: cannot listen on %s, going on without HTTP and trying every second: %s", listen, strerror(-error));
	loop->listen_failed = error;
	loop->bind_ns = now_ns + RETRY_NS;
}

static void forget_rules(struct loop *loop)
{
	if (loop->rules)
		explicit_bzero(loop->rules, sizeof(*loop->rules));
	free(loop->rules);
	loop->rules = NULL;
}

static void serve(struct loop *loop, uint64_t now_ns)
{
	bind_address(loop, now_ns);
	if (!loop->rules || loop->listener < 0 || now_ns < loop->open_ns)
		return;
	int error = start_serving(loop);
	if (!error)
		forget_rules(loop);
	else if (!loop->open_failed)
		log_error("publisher: the HTTP server does not start%s, trying every second: %s",
			*loop->rules->cert ? " with this certificate and key" : "", strerror(-error));
	loop->open_failed = error;
	loop->open_ns = now_ns + RETRY_NS;
}

/* --- messages --------------------------------------------------------------------------------------------------------- */

/* `json` is left empty. */
static void tell_record(struct loop *loop, enum stream_event event, struct text *json)
{
	struct page *page = loop->streams.first ? page_take(&loop->publisher.pages, json) : NULL;
	if (page)
		streams_send(&loop->streams, event, page);
	page_release(page);
	text_free(json);
}

static void take_incident(struct loop *loop)
{
	struct text json = { 0 };
	const struct incident_entry *entry = records_put_incident(loop->publisher.records, &loop->message.incident);
	if (!entry)
		return;
	records_write_incident(loop->publisher.records, entry, &json);
	tell_record(loop, STREAM_INCIDENT, &json);
}

static void take_action(struct loop *loop)
{
	struct text json = { 0 };
	const struct action_entry *entry = records_put_action(loop->publisher.records, &loop->message.action);
	if (!entry)
		return;
	text_append(&json, entry->json, entry->length);
	tell_record(loop, STREAM_ACTION, &json);
}

/* With what it is told anew the server begins anew: a certificate belongs to all of it. Who is waiting to connect waits on. */
static void take_config(struct loop *loop)
{
	loop->publisher.max_shown = loop->config.max_processes_shown;
	stop_serving(loop);
	forget_rules(loop);
	loop->rules = malloc(sizeof(*loop->rules));
	if (loop->rules)
		*loop->rules = loop->config.access;
	else
		log_error("publisher: out of memory, nobody is answered until the next configuration");
	explicit_bzero(&loop->config, sizeof(loop->config));
	loop->open_ns = 0;
	loop->open_failed = false;
}

/* Texts from the wire of a message end where they may at the latest. */
static bool is_config(struct loop *loop, ssize_t size)
{
	struct publisher_access *access = &loop->config.access;
	if (size != sizeof(loop->config) || loop->type != PUBLISHER_CONFIG)
		return false;
	access->token[sizeof(access->token) - 1] = 0;
	access->cert[sizeof(access->cert) - 1] = 0;
	access->key[sizeof(access->key) - 1] = 0;
	access->client_ca[sizeof(access->client_ca) - 1] = 0;
	return true;
}

/* 0; 1: the agent is gone. */
static int take_messages(struct loop *loop)
{
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		ssize_t size = recv(loop->args->event_fd, &loop->config, sizeof(loop->config), MSG_DONTWAIT | MSG_TRUNC);
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (size <= 0)
			return 1;
		if (is_config(loop, size))
			take_config(loop);
		else if (size == sizeof(loop->message) && loop->type == PUBLISHER_INCIDENT)
			take_incident(loop);
		else if (size == sizeof(loop->message) && loop->type == PUBLISHER_ACTION)
			take_action(loop);
		else if (size == sizeof(loop->message) && loop->type == PUBLISHER_MASK)
			mask_use(&loop->message.mask);
		else
			loop->publisher.counters.messages_bad++;
	}
	return 0;
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
	if (loop->listener < 0 && loop->args->listen && *loop->args->listen && loop->bind_ns < next)
		next = loop->bind_ns;
	if (loop->listener >= 0 && loop->rules && loop->open_ns < next)
		next = loop->open_ns;
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

	/* Without the first the outputs' metrics are absent here, without the second this one's in what is pushed. */
	void *outputs = NULL, *numbers = NULL, *statsd_page = NULL;
	(void)share_map(loop->args->outputs_fd, false, sizeof(struct output_page), &outputs);
	(void)share_map(loop->args->counters_fd, true, sizeof(struct publisher_page), &numbers);
	if (loop->args->statsd_page_fd >= 0)
		(void)share_map(loop->args->statsd_page_fd, true, statsd_page_size(loop->args->statsd_max_series), &statsd_page);
	loop->statsd_page = statsd_page;
	publisher->outputs = outputs;
	loop->numbers = numbers;
	publisher->max_shown = loop->args->max_processes_shown;
	publisher->shown = calloc(1, sizeof(*publisher->shown));
	publisher->records = calloc(1, sizeof(*publisher->records));
	publisher->snap = mmap(NULL, sizeof(*publisher->snap), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!publisher->shown || !publisher->records || publisher->snap == MAP_FAILED)
		return -ENOMEM;

	loop->streams.counters = &publisher->counters;
	loop->expected_ns = clock_boot_ns();
	loop->listener = -1;
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
	/* Pages come and go with every snapshot: what goes is given back, not kept for a next one of another size. */
	mallopt(M_MMAP_THRESHOLD, PAGE_MMAP_MIN);
	settle_signals();
	umask(022);
	log_open(args->log_format, args->log_level); /* no socket is opened behind the wall */
	sandbox_close_others((const int[]){ args->ring_fd, args->event_fd, args->feed_dir_fd, args->outputs_fd, args->counters_fd, args->statsd_fd, args->statsd_page_fd, log_fd() }, 8);

	loop->args = args;
	int error = open_loop(loop);
	if (error < 0) {
		log_error("publisher: cannot open what the agent gave it: %s", strerror(-error));
		return 1;
	}
	if (take_messages(loop)) /* what is to be hidden waits there */
		return 0;
	bind_address(loop, clock_boot_ns()); /* a port below 1024 needs what is given up next */
	if (go_behind_the_wall(args) < 0)
		return 1;
	return run(loop);
}
