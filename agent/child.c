/* SPDX-License-Identifier: Apache-2.0 */
/* See child.h. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "agent.h"
#include "core/clock.h"
#include "core/log.h"

/* One that dies at once is not started in a tight loop, and one that always does is tried twice a minute. */
#define RESPAWN_NS (500 * NSEC_PER_MSEC)
#define RESPAWN_DOUBLINGS 6

enum { FIRST_FD = 3, ABOVE_ALL = 64 };

extern char **environ;

static int spawn(const struct child_start *start, int end, pid_t *ret)
{
	/* Copies above the numbers that are to be filled, so that no dup2 overwrites a source. */
	int from[CHILD_MAX_FDS];
	for (int i = 0; i < start->fd_count; i++)
		from[i] = fcntl(start->fds[i] < 0 ? end : start->fds[i], F_DUPFD_CLOEXEC, ABOVE_ALL);

	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	for (int i = 0; i < start->fd_count; i++)
		posix_spawn_file_actions_adddup2(&actions, from[i], FIRST_FD + i);
	posix_spawn_file_actions_addclosefrom_np(&actions, FIRST_FD + start->fd_count);
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	int error = -posix_spawn(ret, start->program, &actions, &attributes, start->argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	for (int i = 0; i < start->fd_count; i++)
		close(from[i]);
	return error;
}

int child_spawn(struct child *child, const struct child_start *start)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	/* Room for everything that is in memory, so that a new child can be told at once. */
	int size = 4 << 20;
	if (setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* then what does not fit is lost, and counted */
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	if (start->first)
		(void)send(pair[0], start->first, sizeof(*start->first), MSG_DONTWAIT | MSG_NOSIGNAL); /* into an empty queue */

	pid_t pid = 0;
	int error = spawn(start, pair[1], &pid);
	close(pair[1]);
	if (error < 0) {
		close(pair[0]);
		return error;
	}
	child->pid = pid;
	child->fd = pair[0];
	child->started_ns = clock_boot_ns();
	tell_everything(child->agent, child);
	return 0;
}

static void start_at(struct child *child, uint64_t at_ns)
{
	sd_event_source_set_time(child->timer, at_ns / NSEC_PER_USEC);
	sd_event_source_set_enabled(child->timer, SD_EVENT_ONESHOT);
}

void child_start(struct child *child)
{
	if (child->pid || !child->wanted)
		return;
	int error = child->start(child->agent);
	if (error >= 0)
		return;
	log_warning("%s: cannot be started, trying again: %s", child->name, strerror(-error));
	start_at(child, clock_boot_ns() + (RESPAWN_NS << RESPAWN_DOUBLINGS));
}

static int on_respawn(sd_event_source *source, uint64_t usec, void *context)
{
	child_start(context);
	return 0;
}

int child_open(struct child *child, struct agent *agent)
{
	child->agent = agent;
	child->fd = -1;
	int error = sd_event_add_time(agent->event, &child->timer, CLOCK_BOOTTIME, 0, 1000, on_respawn, child);
	return error < 0 ? error : sd_event_source_set_enabled(child->timer, SD_EVENT_OFF);
}

void child_stop(struct child *child)
{
	if (child->pid <= 0)
		return;
	child->stopped = true;
	kill(child->pid, SIGTERM); /* our child, not yet reaped */
}

void child_close(struct child *child)
{
	child->wanted = false;
	child->timer = sd_event_source_unref(child->timer);
	if (child->fd >= 0)
		close(child->fd);
	child->fd = -1;
	child_stop(child);
}

bool child_ended(struct child *child, int pid)
{
	if (!child->pid || pid != child->pid)
		return false;
	if (child->fd >= 0)
		close(child->fd);
	child->fd = -1;
	child->pid = 0;
	bool stopped = child->stopped;
	child->stopped = false;
	if (!child->wanted)
		return true;
	if (stopped) {
		start_at(child, clock_boot_ns());
		return true;
	}

	child->restarts++;
	uint64_t now = clock_boot_ns(), lived = now - child->started_ns, wait = 0;
	if (lived >= RESPAWN_NS) {
		child->quick_deaths = 0;
	} else {
		wait = RESPAWN_NS << (child->quick_deaths < RESPAWN_DOUBLINGS ? child->quick_deaths : RESPAWN_DOUBLINGS);
		child->quick_deaths++;
	}
	log_warning("%s: ended after %.1f s, starting it again%s", child->name, (double)lived / (double)NSEC_PER_SEC, wait ? " in a while" : "");
	start_at(child, now + wait);
	return true;
}

void child_tell(struct child *child, const struct publisher_message *message)
{
	if (child->fd < 0)
		return; /* the next one is told everything */
	if (send(child->fd, message, sizeof(*message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		child->lost++;
}
