/* SPDX-License-Identifier: Apache-2.0 */
/* See time_limit.h. A remedy's worker is one thread and uses no alarms else. */
#include "remedies/time_limit.h"

#include <errno.h>
#include <string.h>

#include "snapshot.h"

/* Again and again: the first signal may come right before the call that it is to end. */
#define AGAIN_NS (20 * NSEC_PER_MSEC)

static void on_alarm(int signal)
{
	(void)signal; /* that it came is all */
}

static void put_back(const struct time_limit *limit)
{
	(void)sigprocmask(SIG_SETMASK, &limit->mask, NULL);
	(void)sigaction(SIGALRM, &limit->action, NULL);
}

int time_limit_begin(struct time_limit *limit, uint64_t ns)
{
	struct sigaction action = { .sa_handler = on_alarm }; /* no SA_RESTART: the call is to end */
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec when = {
		.it_value = { .tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC) },
		.it_interval = { .tv_nsec = AGAIN_NS },
	};
	sigset_t alarm_only;
	sigemptyset(&action.sa_mask);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	if (ns == 0)
		when.it_value.tv_nsec = 1; /* 0 would be never */
	if (sigaction(SIGALRM, &action, &limit->action) < 0)
		return -errno;
	int error = sigprocmask(SIG_UNBLOCK, &alarm_only, &limit->mask) < 0 ? -errno : 0;
	if (error == 0 && timer_create(CLOCK_MONOTONIC, &event, &limit->timer) < 0)
		error = -errno;
	if (error == 0 && timer_settime(limit->timer, 0, &when, NULL) < 0) {
		error = -errno;
		(void)timer_delete(limit->timer);
	}
	if (error)
		put_back(limit);
	return error;
}

void time_limit_end(struct time_limit *limit)
{
	(void)timer_delete(limit->timer);
	put_back(limit);
}
