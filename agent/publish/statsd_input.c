/* SPDX-License-Identifier: Apache-2.0 */
/* See statsd_input.h. */
#include "publish/statsd_input.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "core/clock.h"
#include "snapshot.h"

/*
 * At most a tenth of one processor, 10 ms in every 100: some ten thousand datagrams, a hundred thousand a second. What comes faster
 * waits in the kernel's queue, and then its sender waits or is told EAGAIN. A turn is short enough for a scrape not to notice.
 */
#define WINDOW_NS (100 * NSEC_PER_MSEC)
#define SHARE_NS (10 * NSEC_PER_MSEC)
#define EXPIRE_EVERY_NS NSEC_PER_SEC
enum { DATAGRAMS_PER_TURN = 64 };

static int arm(struct statsd_input *input, int operation)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.fd = input->fd };
	return epoll_ctl(input->epoll_fd, operation, input->fd, &event) < 0 ? -errno : 0;
}

int statsd_input_open(struct statsd_input *input, int fd, int epoll_fd, uint32_t max_series, uint64_t max_age_ns)
{
	uint64_t seed = 0;
	(void)!getrandom(&seed, sizeof(seed), GRND_NONBLOCK); /* without it a sender might guess the buckets: slower, not wrong */
	*input = (struct statsd_input){ .fd = fd, .epoll_fd = epoll_fd, .armed = true };
	input->statsd = statsd_new(max_series, max_age_ns, seed, clock_boot_ns());
	if (!input->statsd)
		return -ENOMEM;
	return arm(input, EPOLL_CTL_ADD);
}

void statsd_input_ready(struct statsd_input *input)
{
	input->ready = true;
	input->armed = false;
}

/* true: the queue is empty. */
static bool read_some(struct statsd_input *input, uint64_t now_ns)
{
	char datagram[STATSD_DATAGRAM_MAX];
	for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
		ssize_t size = recv(input->fd, datagram, sizeof(datagram), MSG_DONTWAIT | MSG_TRUNC);
		if (size < 0)
			return errno != EINTR;
		/* One that was cut has no whole last line, and which line that is nobody knows: it is malformed as a whole. */
		if ((size_t)size > sizeof(datagram))
			statsd_refuse(input->statsd);
		else
			statsd_take(input->statsd, datagram, (size_t)size, now_ns);
	}
	return false;
}

uint64_t statsd_input_run(struct statsd_input *input, uint64_t now_ns)
{
	if (now_ns >= input->expire_ns) {
		statsd_expire(input->statsd, now_ns);
		input->expire_ns = now_ns + EXPIRE_EVERY_NS;
	}
	if (now_ns - input->window_ns >= WINDOW_NS) {
		input->window_ns = now_ns;
		input->spent_ns = 0;
	}
	if (!input->ready)
		return input->expire_ns;
	if (input->spent_ns >= SHARE_NS)
		return input->window_ns + WINDOW_NS;

	bool empty = read_some(input, now_ns);
	input->spent_ns += clock_boot_ns() - now_ns;
	if (!empty)
		return now_ns;
	input->ready = false;
	if (!input->armed)
		input->armed = arm(input, EPOLL_CTL_MOD) == 0;
	return input->expire_ns;
}
