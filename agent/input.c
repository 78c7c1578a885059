/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket that applications send StatsD lines to: made by the agent, which may choose its owner and place, and read by the
 * publisher, which may not. It stays open over the publisher's restarts, so that what is sent meanwhile waits.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/account.h"
#include "core/log.h"
#include "publish/statsd_page.h"

/* A socket that an agent before this one left behind; nothing else is removed. */
static void remove_stale(const char *path)
{
	struct stat status;
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
		(void)unlink(path); /* bind says it when that failed */
}

/* By descriptor, so that nobody can slip another file under the name; bound without any rights, it gets them here. */
static int give_away(const char *path, const struct statsd_settings *settings)
{
	gid_t group = (gid_t)-1;
	if (settings->group[0] && account_group(settings->group, &group) < 0) {
		log_warning("statsd: no group '%s' here, the socket stays root's", settings->group);
		group = (gid_t)-1;
	}
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), error = 0;
	struct stat status;
	char link[40];
	if (fd < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (fstat(fd, &status) < 0 || !S_ISSOCK(status.st_mode))
		error = -EEXIST;
	else if (fchownat(fd, "", (uid_t)-1, group, AT_EMPTY_PATH) < 0 || chmod(link, settings->mode) < 0)
		error = -errno;
	close(fd);
	return error;
}

static int open_statsd(const struct statsd_settings *settings)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_Static_assert(sizeof(settings->socket) == sizeof(address.sun_path), "a path that fits one fits the other");
	memcpy(address.sun_path, settings->socket, sizeof(address.sun_path));

	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	remove_stale(settings->socket);
	mode_t before = umask(0777);
	int error = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(before);
	if (!error)
		error = give_away(settings->socket, settings);
	if (!error)
		return fd;
	close(fd);
	return error;
}

void input_open(struct agent *agent)
{
	const struct statsd_settings *settings = &agent->config->statsd;
	agent->statsd_fd = -1;
	agent->statsd_page = (struct share){ -1, -1 };
	if (!settings->socket[0])
		return;
	int fd = open_statsd(settings);
	if (fd < 0) {
		log_error("statsd: no socket at %s, going on without it: %s", settings->socket, strerror(-fd));
		return;
	}
	int error = share_create(statsd_page_size(settings->max_series), &agent->statsd_page);
	if (error < 0)
		log_warning("statsd: no shared memory, what comes in is served and not pushed: %s", strerror(-error));
	agent->statsd_fd = fd;
	memcpy(agent->statsd_path, settings->socket, sizeof(agent->statsd_path));
}

void input_close(struct agent *agent)
{
	if (agent->statsd_fd < 0)
		return;
	close(agent->statsd_fd);
	share_destroy(&agent->statsd_page);
	(void)unlink(agent->statsd_path); /* gone already is fine */
	agent->statsd_fd = -1;
}

bool input_reopen(struct agent *agent, const struct config *old)
{
	const struct statsd_settings *was = &old->statsd, *is = &agent->config->statsd;
	if (!strcmp(was->socket, is->socket) && !strcmp(was->group, is->group) && was->mode == is->mode && was->max_series == is->max_series &&
	    was->max_age_ns == is->max_age_ns)
		return false;
	input_close(agent);
	input_open(agent);
	return true;
}
