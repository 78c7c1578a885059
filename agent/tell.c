/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping the publisher: started with three descriptors and nothing else, started again when it dies, told without waiting.
 * Whatever happens to it, the agent goes on.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "core/account.h"
#include "core/clock.h"
#include "core/log.h"

/* A publisher that dies at once is not started in a tight loop, and one that always does is tried twice a minute. */
#define RESPAWN_NS (500 * NSEC_PER_MSEC)
#define RESPAWN_DOUBLINGS 6

extern char **environ;

static int open_feed(struct agent *agent)
{
	char path[PATH_LEN + 16];
	snprintf(path, sizeof(path), "%s/feed", agent->run_dir);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	uid_t uid = 0;
	gid_t gid = 0;
	if (account_user(agent->config->publisher_user, &uid, &gid) < 0)
		(void)account_user("nobody", &uid, &gid); /* not there either: the folder stays root's */
	agent->feed_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (agent->feed_fd < 0)
		return -errno;
	if (geteuid() == 0 && fchown(agent->feed_fd, uid, gid) < 0)
		return -errno;

	/* The publisher owns only the folder below; readers find the feed where it is promised. */
	char link[PATH_LEN + 16];
	snprintf(link, sizeof(link), "%s/metrics.json", agent->run_dir);
	if (symlink("feed/metrics.json", link) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

/* Before the publisher is there to read it: what it must hide, it knows before it shows anything. */
static void tell_config(const struct config *config, int fd)
{
	struct publisher_message message = { .type = PUBLISHER_CONFIG };
	memcpy(message.config.listen, config->listen, sizeof(message.config.listen));
	memcpy(message.config.node, config->node, sizeof(message.config.node));
	message.config.max_processes_shown = config->max_processes_shown;
	message.config.mask = config->mask;
	(void)send(fd, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL); /* the first into an empty queue */
}

static int spawn_publisher(struct agent *agent)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	/* Room for everything that is in memory, so that a new publisher can be told at once. */
	int size = 4 << 20;
	if (setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)); /* then what does not fit is sent a tick later */
	fcntl(pair[0], F_SETFL, O_NONBLOCK);

	tell_config(agent->config, pair[0]);

	const struct config *config = agent->config;
	char shown[16], format[16], level[16], series[16], age[24];
	snprintf(shown, sizeof(shown), "%u", config->max_processes_shown);
	snprintf(format, sizeof(format), "%d", config->log_format);
	snprintf(level, sizeof(level), "%u", config->log_level);
	snprintf(series, sizeof(series), "%u", config->statsd.max_series);
	snprintf(age, sizeof(age), "%" PRIu64, config->statsd.max_age_ns);
	char *const argv[] = { "nodemend", "publish", "--ring-fd", "3", "--event-fd", "4", "--feed-fd", "5", "--listen", agent->config->listen, "--node",
			       agent->config->node, "--user", agent->config->publisher_user, "--processes", shown, "--log-format", format, "--log-level", level,
			       "--statsd-series", series, "--statsd-age", age, agent->statsd_fd < 0 ? NULL : "--statsd-fd", "6", NULL };
	int count = agent->statsd_fd < 0 ? 3 : 4;

	/* Copies above the numbers that are to be filled, so that no dup2 overwrites a source. */
	const int ours[4] = { agent->ring.fd, pair[1], agent->feed_fd, agent->statsd_fd };
	int from[4];
	for (int i = 0; i < count; i++)
		from[i] = fcntl(ours[i], F_DUPFD_CLOEXEC, 64);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	for (int i = 0; i < count; i++)
		posix_spawn_file_actions_adddup2(&actions, from[i], 3 + i);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3 + count);
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	pid_t pid = 0;
	int error = -posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	for (int i = 0; i < count; i++)
		close(from[i]);
	close(pair[1]);
	if (error < 0) {
		close(pair[0]);
		return error;
	}

	agent->publisher_pid = pid;
	agent->publisher_fd = pair[0];
	agent->publisher_started_ns = clock_boot_ns();
	tell_everything(agent);
	return 0;
}

static int on_respawn(sd_event_source *source, uint64_t usec, void *context)
{
	struct agent *agent = context;
	if (agent->publisher_pid)
		return 0;
	int error = spawn_publisher(agent);
	if (error < 0) {
		log_warning("publisher: cannot be started, trying again: %s", strerror(-error));
		sd_event_source_set_time(source, (clock_boot_ns() + RESPAWN_NS) / NSEC_PER_USEC);
		sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	}
	return 0;
}

int tell_open(struct agent *agent)
{
	agent->publisher_fd = -1;
	int error = open_feed(agent);
	if (error < 0)
		return error;
	error = ring_create(&agent->ring);
	if (error < 0)
		return error;
	error = sd_event_add_time(agent->event, &agent->publisher_timer, CLOCK_BOOTTIME, 0, 1000, on_respawn, agent);
	if (error < 0)
		return error;
	sd_event_source_set_enabled(agent->publisher_timer, SD_EVENT_OFF);
	return spawn_publisher(agent);
}

void tell_close(struct agent *agent)
{
	agent->publisher_timer = sd_event_source_unref(agent->publisher_timer);
	if (agent->publisher_fd >= 0)
		close(agent->publisher_fd);
	agent->publisher_fd = -1;
	if (agent->publisher_pid > 0)
		kill(agent->publisher_pid, SIGTERM); /* our child, not yet reaped */
	if (agent->feed_fd > 0) {
		(void)unlinkat(agent->feed_fd, "metrics.json", 0);
		(void)unlinkat(agent->feed_fd, "metrics.json.new", 0);
		close(agent->feed_fd);
	}
	char path[PATH_LEN + 16];
	snprintf(path, sizeof(path), "%s/metrics.json", agent->run_dir);
	(void)unlink(path);
	snprintf(path, sizeof(path), "%s/feed", agent->run_dir);
	(void)rmdir(path);
	ring_destroy(&agent->ring);
}

void tell_child_ended(struct agent *agent, int pid)
{
	if (pid != agent->publisher_pid)
		return;
	close(agent->publisher_fd);
	agent->publisher_fd = -1;
	agent->publisher_pid = 0;
	agent->publisher_restarts++;
	uint64_t now = clock_boot_ns(), lived = now - agent->publisher_started_ns;
	uint64_t wait = 0;
	if (lived >= RESPAWN_NS) {
		agent->publisher_quick_deaths = 0;
	} else {
		wait = RESPAWN_NS << (agent->publisher_quick_deaths < RESPAWN_DOUBLINGS ? agent->publisher_quick_deaths : RESPAWN_DOUBLINGS);
		agent->publisher_quick_deaths++;
	}
	log_warning("publisher: ended after %.1f s, starting it again%s", (double)lived / (double)NSEC_PER_SEC, wait ? " in a while" : "");
	sd_event_source_set_time(agent->publisher_timer, (now + wait) / NSEC_PER_USEC);
	sd_event_source_set_enabled(agent->publisher_timer, SD_EVENT_ONESHOT);
}

static void tell_message(struct agent *agent, const struct publisher_message *message)
{
	if (agent->publisher_fd < 0)
		return; /* the next one is told everything */
	if (send(agent->publisher_fd, message, sizeof(*message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		agent->records_dropped++;
}

void tell_incident(struct agent *agent, const struct incident *incident)
{
	struct publisher_message message = { .type = PUBLISHER_INCIDENT, .incident = *incident };
	incident_mask(&message.incident);
	tell_message(agent, &message);
}

void tell_action(struct agent *agent, const struct action *action)
{
	struct publisher_message message = { .type = PUBLISHER_ACTION, .action = *action };
	action_mask(&message.action);
	tell_message(agent, &message);
}

void tell_everything(struct agent *agent)
{
	const struct engine *engine = &agent->engine;
	uint32_t actions = engine->recent_action_count < MAX_RECENT ? engine->recent_action_count : MAX_RECENT;
	for (uint32_t i = 0; i < actions; i++)
		tell_action(agent, &engine->recent_actions[(engine->recent_action_count - actions + i) % MAX_RECENT]);
	uint32_t incidents = engine->recent_incident_count < MAX_RECENT ? engine->recent_incident_count : MAX_RECENT;
	for (uint32_t i = 0; i < incidents; i++)
		tell_incident(agent, &engine->recent_incidents[(engine->recent_incident_count - incidents + i) % MAX_RECENT]);
	for (uint32_t i = 0; i < agent->saved->incident_count; i++)
		tell_incident(agent, &agent->saved->incidents[i]);
}
