/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sender's process: what needs privileges first, then behind its wall, then one loop over the agent's messages, the newest snapshot,
 * the exporters and what they deliver, until the agent is gone. What still waits then goes to the disk.
 */
#include "sender.h"

#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/privilege.h"
#include "mask.h"
#include "publish/records.h"
#include "publish/statsd_page.h"
#include "push/exporter.h"
#include "push/keys.h"
#include "push/wall.h"

#define LOOK_FIRST_NS (5 * NSEC_PER_MSEC) /* a tick is published about so long after its boot_ns */
#define LOOK_AGAIN_NS (20 * NSEC_PER_MSEC)

enum { MESSAGES_PER_TURN = 64, EVENTS = 16, LONGEST_SAVING_S = 5 };

struct running {
	const struct exporter *exporter;
	void *state;
	uint64_t wake_ns;
};

struct sender {
	const struct outputs *outputs;
	const struct ring *ring;
	struct snapshot *snap;
	uint64_t seq, look_ns, expected_ns;
	struct shown shown;
	struct records records;
	struct output_page *page;
	const struct publisher_page *publisher;
	struct publisher_counters counters; /* of the publisher, as of this snapshot */
	const struct statsd_page *statsd_page; /* NULL: none; and what it said last */
	struct statsd *statsd;
	struct text statsd_bytes;
	uint64_t statsd_written_ns;
	struct keys *keys;
	struct delivery *delivery;
	uint32_t running_count;
	struct running running[MAX_OUTPUTS];
	int epoll_fd, signal_fd;
	struct publisher_message message;
};

static struct moment moment_now(void)
{
	return (struct moment){ .boot_ns = clock_boot_ns(), .wall_ns = clock_wall_ns() };
}

/* --- snapshots --------------------------------------------------------------------------------------------------------- */

static void read_publisher(struct sender *sender)
{
	uint64_t *counters = (uint64_t *)&sender->counters;
	for (size_t i = 0; i < sizeof(sender->counters) / sizeof(counters[0]); i++)
		counters[i] = atomic_load_explicit(&sender->publisher->numbers[i], memory_order_relaxed);
}

/* What applications sent; NULL where there is none, or where nobody has kept it up to date for three intervals. */
static const struct statsd *read_statsd(struct sender *sender)
{
	if (!sender->statsd_page)
		return NULL;
	int error = statsd_page_read(sender->statsd_page, sender->statsd, &sender->statsd_bytes, &sender->statsd_written_ns);
	if (error == -ENOMEM || error == -EPROTO)
		log_warning("sender: what came in over StatsD cannot be read, and is not sent: %s", strerror(-error));
	bool fresh = sender->statsd_written_ns + 3 * sender->snap->interval_ns >= sender->snap->boot_ns;
	return fresh ? sender->statsd : NULL;
}

static void tell_snapshot(struct sender *sender, struct moment now)
{
	read_publisher(sender);
	shown_choose(&sender->shown, sender->snap, sender->outputs->max_processes_shown);
	const struct metric_context context = {
		.snap = sender->snap,
		.now_ns = now.boot_ns,
		.shown = &sender->shown,
		.records = &sender->records,
		.counters = &sender->counters,
		.outputs = sender->page,
		.statsd = read_statsd(sender),
	};
	for (uint32_t i = 0; i < sender->running_count; i++)
		if (sender->running[i].exporter->on_snapshot)
			sender->running[i].exporter->on_snapshot(sender->running[i].state, &context, now);
}

/* There is no message for a new snapshot: it is looked for when it is due, and then ever less often while it is late. */
static void look(struct sender *sender, struct moment now)
{
	if (now.boot_ns < sender->look_ns)
		return;
	int result = ring_read(sender->ring, sender->snap, &sender->seq);
	if (result < 0)
		sender->seq = 0; /* torn: the next one is whole */
	if (result > 0) {
		sender->expected_ns = sender->snap->boot_ns + sender->snap->interval_ns;
		sender->look_ns = sender->expected_ns + LOOK_FIRST_NS;
		tell_snapshot(sender, now);
	}
	if (now.boot_ns >= sender->look_ns) {
		uint64_t late = now.boot_ns > sender->expected_ns ? (now.boot_ns - sender->expected_ns) / 4 : 0;
		uint64_t most = sender->seq ? sender->snap->interval_ns : NSEC_PER_SEC / 4;
		late = late < most ? late : most;
		sender->look_ns = now.boot_ns + (late > LOOK_AGAIN_NS ? late : LOOK_AGAIN_NS);
	}
}

/* --- messages ---------------------------------------------------------------------------------------------------------- */

static void take_message(struct sender *sender, struct moment now)
{
	const struct publisher_message *message = &sender->message;
	if (message->type == PUBLISHER_INCIDENT)
		(void)records_put_incident(&sender->records, &message->incident); /* no memory: a gauge is off by one */
	for (uint32_t i = 0; i < sender->running_count; i++) {
		const struct running *running = &sender->running[i];
		if (message->type == PUBLISHER_INCIDENT && running->exporter->on_incident)
			running->exporter->on_incident(running->state, &message->incident, now);
		if (message->type == PUBLISHER_ACTION && running->exporter->on_action)
			running->exporter->on_action(running->state, &message->action, now);
	}
}

/* 0; 1: the agent is gone. */
static int take_messages(struct sender *sender, struct moment now)
{
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		ssize_t size = recv(SENDER_EVENT_FD, &sender->message, sizeof(sender->message), MSG_DONTWAIT | MSG_TRUNC);
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (size <= 0)
			return 1;
		if (size == sizeof(sender->message))
			take_message(sender, now);
	}
	return 0;
}

/* --- the loop ---------------------------------------------------------------------------------------------------------- */

static uint64_t turn(struct sender *sender)
{
	struct moment now = moment_now();
	look(sender, now);
	uint64_t next = sender->look_ns;
	for (uint32_t i = 0; i < sender->running_count; i++) {
		struct running *running = &sender->running[i];
		if (running->exporter->on_turn)
			running->wake_ns = running->exporter->on_turn(running->state, now);
		next = running->wake_ns < next ? running->wake_ns : next;
	}
	uint64_t keys = keys_turn(sender->keys, now.boot_ns);
	next = keys < next ? keys : next;
	uint64_t delivery = delivery_turn(sender->delivery, now.boot_ns, now.wall_ns);
	return delivery < next ? delivery : next;
}

static int milliseconds_until(uint64_t next_ns)
{
	uint64_t now_ns = clock_boot_ns();
	if (next_ns <= now_ns)
		return 0;
	uint64_t ms = (next_ns - now_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return ms < 60000 ? (int)ms : 60000;
}

static int run(struct sender *sender)
{
	for (;;) {
		struct epoll_event events[EVENTS];
		int count = epoll_wait(sender->epoll_fd, events, EVENTS, milliseconds_until(turn(sender)));
		if (count < 0 && errno != EINTR)
			return 1;
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			if (fd == sender->signal_fd)
				return 0;
			if (fd == SENDER_EVENT_FD) {
				if (take_messages(sender, moment_now()))
					return 0;
			} else if (fd != keys_fd(sender->keys)) {
				delivery_event(sender->delivery, fd, events[i].events);
			} else if (events[i].events & EPOLLHUP) {
				log_warning("sender: nm-keys has ended; ending, too, to be started with another");
				return 1;
			}
		}
	}
}

/* --- starting ---------------------------------------------------------------------------------------------------------- */

static int watch(const struct sender *sender, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	return fd < 0 || epoll_ctl(sender->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

/* A terminal's ^C goes to the whole group, but it is the agent who says when it is over. SIGTERM is read by the loop. */
static int settle_signals(struct sender *sender)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGPIPE, SIGQUIT };
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	if (sigprocmask(SIG_SETMASK, &term, NULL) < 0)
		return -errno;
	sender->signal_fd = signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
	return sender->signal_fd < 0 ? -errno : 0;
}

static int map_outputs(struct sender *sender)
{
	struct stat status;
	if (fstat(SENDER_OUTPUTS_FD, &status) < 0 || status.st_size != (off_t)sizeof(struct outputs))
		return -EPROTO;
	void *outputs = mmap(NULL, sizeof(struct outputs), PROT_READ, MAP_SHARED, SENDER_OUTPUTS_FD, 0);
	if (outputs == MAP_FAILED)
		return -errno;
	sender->outputs = outputs;
	log_open(sender->outputs->log_format, sender->outputs->log_level); /* no such socket is opened behind the wall */
	return 0;
}

static bool is_directory(int fd)
{
	struct stat status;
	return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

/* In its place stands a descriptor of another kind where there is no StatsD. */
static int open_statsd(struct sender *sender)
{
	uint32_t most = sender->outputs->statsd_max_series;
	void *page = NULL;
	if (!most || share_map(SENDER_STATSD_FD, false, statsd_page_size(most), &page) < 0)
		return 0;
	sender->statsd_page = page;
	sender->statsd = statsd_new(most, 0, 0, 0);
	return sender->statsd ? 0 : -ENOMEM;
}

static int open_what_was_given(struct sender *sender)
{
	int error = ring_open(SENDER_RING_FD, &sender->ring);
	if (!error)
		error = map_outputs(sender);
	void *page = NULL, *publisher = NULL;
	if (!error)
		error = share_map(SENDER_PAGE_FD, true, sizeof(struct output_page), &page);
	if (!error)
		error = share_map(SENDER_PUBLISHER_FD, false, sizeof(struct publisher_page), &publisher);
	if (error)
		return error;
	sender->page = page;
	sender->publisher = publisher;
	/* What is there already may have been sent by the sender before, and twice the same moment is refused. */
	sender->seq = atomic_load_explicit(&sender->ring->newest, memory_order_acquire);
	sender->snap = mmap(NULL, sizeof(*sender->snap), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sender->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sender->snap == MAP_FAILED || sender->epoll_fd < 0)
		return -errno;
	error = open_statsd(sender);
	if (!error)
		error = settle_signals(sender);
	if (!error)
		error = keys_open(sender->outputs, &sender->keys);
	if (!error)
		error = watch(sender, sender->signal_fd);
	if (!error)
		error = watch(sender, SENDER_EVENT_FD);
	return error ? error : watch(sender, keys_fd(sender->keys));
}

static int go_behind_the_wall(const char *user, int spool_fd)
{
	struct sandbox_report report;
	int error = wall_enter(user, spool_fd, &report);
	if (error < 0) {
		log_error("sender: cannot give up its privileges, so it sends nothing: %s", strerror(-error));
		return error;
	}
	if (!report.landlock)
		log_debug("sender: no Landlock in this kernel, only the user's permissions keep it from files");
	return 0;
}

static void open_exporters(struct sender *sender, const char *boot_id, int spool_fd)
{
	for (uint32_t i = 0; i < sender->outputs->output_count; i++) {
		const struct output *output = &sender->outputs->each[i];
		struct running *running = &sender->running[sender->running_count];
		const struct exporter_env env = { .outputs = sender->outputs, .output = i, .delivery = sender->delivery, .boot_id = boot_id,
						  .spool_dir_fd = spool_fd, .now = moment_now() };
		running->exporter = exporters[output->kind];
		running->wake_ns = UINT64_MAX;
		int error = running->exporter ? running->exporter->open(&env, &running->state) : -ENOTSUP;
		if (error < 0)
			log_error("output %s: cannot be opened, nothing is sent there: %s", output->name, strerror(-error));
		else
			sender->running_count++;
	}
}

int sender_run(const char *user, const char *boot_id)
{
	prctl(PR_SET_NAME, "nm-sender");
	privilege_be_ordinary();
	umask(077);
	if (close_range(SENDER_FD_END, ~0U, 0) < 0)
		return 1;
	struct sender *sender = calloc(1, sizeof(*sender));
	if (!sender)
		return 1;
	int error = open_what_was_given(sender);
	if (error < 0) {
		log_error("sender: cannot open what the agent gave it: %s", strerror(-error));
		return 1;
	}
	mask_use(&sender->outputs->mask);

	int spool_fd = is_directory(SENDER_SPOOL_FD) ? SENDER_SPOOL_FD : -1;
	if (curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK || go_behind_the_wall(user, spool_fd) < 0)
		return 1;
	error = delivery_open(sender->epoll_fd, spool_fd, sender->keys, sender->page, &sender->delivery);
	if (error < 0) {
		log_error("sender: cannot deliver anything: %s", strerror(-error));
		return 1;
	}
	open_exporters(sender, boot_id, spool_fd);

	int code = run(sender);
	alarm(LONGEST_SAVING_S); /* the agent waits for our end */
	/* What exporters remember must not be ahead of what is on disk. */
	delivery_save(sender->delivery);
	for (uint32_t i = 0; i < sender->running_count; i++)
		sender->running[i].exporter->close(sender->running[i].state);
	/* Without taking anything down: libcurl would wait for a thread that asks for a name. */
	_exit(code);
}
