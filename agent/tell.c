/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the world: the ring of snapshots, the publisher that serves what is in it, and, where an output is configured, the sender that
 * pushes it. child.c keeps both alive.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/account.h"
#include "core/log.h"
#include "sender.h"

/* The publisher's user, who is the sender's, too; nobody where it does not exist. */
static void lesser_user(const struct agent *agent, uid_t *ret_uid, gid_t *ret_gid)
{
	*ret_uid = 0;
	*ret_gid = 0;
	if (account_user(agent->config->publisher_user, ret_uid, ret_gid) < 0)
		(void)account_user("nobody", ret_uid, ret_gid); /* not there either: what it should own stays root's */
}

/* What is started beside us stands beside us. */
static int program_beside_ours(const char *name, char *path, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", path, size - 1);
	if (length < 0)
		return -errno;
	path[length] = 0;
	char *slash = strrchr(path, '/');
	if (!slash || (size_t)(slash - path) + strlen(name) + 1 > size)
		return -ENAMETOOLONG;
	memcpy(slash, name, strlen(name) + 1);
	return 0;
}

/* --- publisher --------------------------------------------------------------------------------------------------------- */

static int open_feed(struct agent *agent)
{
	char path[PATH_LEN + 16];
	snprintf(path, sizeof(path), "%s/feed", agent->run_dir);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return -errno;
	uid_t uid;
	gid_t gid;
	lesser_user(agent, &uid, &gid);
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

static int start_publisher(struct agent *agent)
{
	const struct config *config = agent->config;
	char shown[16], format[16], level[16], series[16], age[24];
	snprintf(shown, sizeof(shown), "%u", config->max_processes_shown);
	snprintf(format, sizeof(format), "%d", config->log_format);
	snprintf(level, sizeof(level), "%u", config->log_level);
	snprintf(series, sizeof(series), "%u", config->statsd.max_series);
	snprintf(age, sizeof(age), "%" PRIu64, config->statsd.max_age_ns);
	/* A program of its own maps none of the agent's libraries; ours can do the same where somebody copied it alone. */
	char path[PATH_MAX];
	bool lean = !program_beside_ours("/nm-publisher", path, sizeof(path)) && !access(path, X_OK);
	char *const argv[] = { "nodemend", lean ? "nm-publisher" : "publish", "--ring-fd", "3", "--event-fd", "4", "--feed-fd", "5", "--outputs-fd", "6", "--counters-fd", "7",
			       "--listen", agent->config->listen, "--node", agent->config->node, "--user", agent->config->publisher_user,
			       "--processes", shown, "--log-format", format, "--log-level", level, "--statsd-series", series, "--statsd-age", age,
			       agent->statsd_fd < 0 ? NULL : "--statsd-fd", "8", agent->statsd_page.write_fd < 0 ? NULL : "--statsd-page-fd", "9", NULL };
	const struct publisher_message mask = { .type = PUBLISHER_MASK, .mask = config->mask };
	const struct child_start start = {
		.program = lean ? path : "/proc/self/exe",
		.argv = lean ? argv + 1 : argv,
		.fds = { agent->ring.fd, -1, agent->feed_fd, agent->sender_page.read_fd, agent->publisher_page.write_fd, agent->statsd_fd,
			 agent->statsd_page.write_fd },
		.fd_count = agent->statsd_fd < 0 ? 5 : agent->statsd_page.write_fd < 0 ? 6 : 7,
		.first = &mask,
	};
	return child_spawn(&agent->publisher, &start);
}

/* --- sender ------------------------------------------------------------------------------------------------------------ */

/* <state-dir>/spool, the sender's user's own; in a folder that only root can enter, so it is handed over open. -1: memory only. */
static int open_spool(const struct agent *agent)
{
	char path[PATH_LEN + 16];
	snprintf(path, sizeof(path), "%s/spool", agent->state_dir);
	uid_t uid;
	gid_t gid;
	lesser_user(agent, &uid, &gid);
	int fd = -1;
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || (geteuid() == 0 && fchown(fd, uid, gid) < 0)) {
		log_warning("sender: %s cannot be opened, what cannot be delivered is kept in memory only: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* What the sender is to do, as bytes that nobody can change any more. A descriptor or -errno. */
static int seal_outputs(const struct outputs *outputs)
{
	int fd = memfd_create("nodemend-outputs", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = 0;
	if (ftruncate(fd, sizeof(*outputs)) < 0) {
		error = -errno;
	} else {
		struct outputs *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		error = shared == MAP_FAILED ? -errno : 0;
		if (!error) {
			outputs_copy(shared, outputs);
			munmap(shared, sizeof(*shared));
		}
	}
	if (!error && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		error = -errno;
	if (error)
		close(fd);
	return error ? error : fd;
}



static int start_sender(struct agent *agent)
{
	char path[PATH_MAX];
	int error = program_beside_ours("/nm-sender", path, sizeof(path));
	if (error < 0)
		return error;
	int outputs_fd = seal_outputs(&agent->config->outputs);
	if (outputs_fd < 0)
		return outputs_fd;
	int spool_fd = open_spool(agent);

	char *const argv[] = { "nm-sender", agent->config->publisher_user, agent->boot_id, NULL };
	const struct child_start start = {
		.program = path,
		.argv = argv,
		/* By the order of enum sender_fd; without a spool or StatsD a second of another kind stands there, which the sender finds out. */
		.fds = { agent->ring.fd, -1, outputs_fd, agent->sender_page.write_fd, agent->publisher_page.read_fd, spool_fd < 0 ? outputs_fd : spool_fd,
			 agent->statsd_page.read_fd < 0 ? outputs_fd : agent->statsd_page.read_fd },
		.fd_count = SENDER_FD_END - SENDER_RING_FD,
	};
	error = child_spawn(&agent->sender, &start);
	close(outputs_fd);
	if (spool_fd >= 0)
		close(spool_fd);
	return error;
}

/* Where an output is configured. */
static void want_sender(struct agent *agent)
{
	agent->sender.wanted = agent->config->outputs.output_count > 0;
	child_start(&agent->sender);
}

void tell_reloaded(struct agent *agent, bool publish, bool outputs)
{
	if (publish)
		child_stop(&agent->publisher); /* it comes back with the new arguments */
	if (!outputs)
		return;
	child_stop(&agent->sender); /* likewise, if it is wanted still */
	want_sender(agent);
	if (!agent->sender.wanted)
		atomic_store_explicit(&agent->page->count, 0, memory_order_relaxed); /* no figures of outputs that are no more */
}

/* --- both -------------------------------------------------------------------------------------------------------------- */

static int open_pages(struct agent *agent)
{
	void *page = NULL;
	int error = share_create(sizeof(struct output_page), &agent->sender_page);
	if (!error)
		error = share_create(sizeof(struct publisher_page), &agent->publisher_page);
	if (!error)
		error = share_map(agent->sender_page.write_fd, true, sizeof(struct output_page), &page);
	agent->page = page;
	return error;
}

int tell_open(struct agent *agent)
{
	agent->publisher = (struct child){ .name = "publisher", .start = start_publisher, .fd = -1, .wanted = true };
	agent->sender = (struct child){ .name = "sender", .start = start_sender, .fd = -1 };
	agent->sender_page = agent->publisher_page = (struct share){ -1, -1 };
	int error = open_feed(agent);
	if (error < 0)
		return error;
	error = ring_create(&agent->ring);
	if (error < 0)
		return error;
	error = open_pages(agent);
	if (error < 0)
		return error;
	error = child_open(&agent->publisher, agent);
	if (error < 0)
		return error;
	error = child_open(&agent->sender, agent);
	if (error < 0)
		return error;
	error = start_publisher(agent);
	if (error < 0)
		return error;
	want_sender(agent);
	return 0;
}

void tell_close(struct agent *agent)
{
	child_close(&agent->sender);
	child_close(&agent->publisher);
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
	share_unmap(agent->page, sizeof(*agent->page));
	agent->page = NULL;
	share_destroy(&agent->sender_page);
	share_destroy(&agent->publisher_page);
	ring_destroy(&agent->ring);
}

void tell_child_ended(struct agent *agent, int pid)
{
	if (child_ended(&agent->publisher, pid) || !child_ended(&agent->sender, pid))
		return;
	atomic_store_explicit(&agent->page->restarts, agent->sender.restarts, memory_order_relaxed);
}

static void tell_message(struct agent *agent, const struct publisher_message *message)
{
	child_tell(&agent->publisher, message);
	child_tell(&agent->sender, message);
	if (agent->page)
		atomic_store_explicit(&agent->page->messages_lost, agent->sender.lost, memory_order_relaxed);
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

static void tell_one_action(struct child *child, const struct action *action)
{
	struct publisher_message message = { .type = PUBLISHER_ACTION, .action = *action };
	action_mask(&message.action);
	child_tell(child, &message);
}

static void tell_one_incident(struct child *child, const struct incident *incident)
{
	struct publisher_message message = { .type = PUBLISHER_INCIDENT, .incident = *incident };
	incident_mask(&message.incident);
	child_tell(child, &message);
}

void tell_everything(struct agent *agent, struct child *child)
{
	const struct engine *engine = &agent->engine;
	if (child == &agent->publisher)
		web_tell(agent); /* before anything is served */
	uint32_t actions = engine->recent_action_count < MAX_RECENT ? engine->recent_action_count : MAX_RECENT;
	for (uint32_t i = 0; i < actions; i++)
		tell_one_action(child, &engine->recent_actions[(engine->recent_action_count - actions + i) % MAX_RECENT]);
	uint32_t incidents = engine->recent_incident_count < MAX_RECENT ? engine->recent_incident_count : MAX_RECENT;
	for (uint32_t i = 0; i < incidents; i++) {
		const struct incident *incident = &engine->recent_incidents[(engine->recent_incident_count - incidents + i) % MAX_RECENT];
		if (incident->id[0]) /* else it is open again */
			tell_one_incident(child, incident);
	}
	for (uint32_t i = 0; i < agent->saved->incident_count; i++)
		tell_one_incident(child, &agent->saved->incidents[i]);
}
