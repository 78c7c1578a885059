/* SPDX-License-Identifier: Apache-2.0 */
/* What was learned, over a restart: read before the first tick, handed to the scribe every few minutes and at the end. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "keep/scribe.h"
#include "keep/shelf.h"

#define OUTLOOK_FILE "outlook.bin"
/* What a crash costs of the history, against half a MiB to the disk. */
#define REMEMBER_EVERY_NS (10 * 60 * NSEC_PER_SEC)

static void take_back(struct agent *agent, const void *data, ssize_t size)
{
	char why[WHY_LEN] = "";
	struct snapshot *snap = agent->snap;
	snap->boot_ns = clock_boot_ns(); /* no tick was yet: what says how long ago it was kept */
	snap->wall_ns = clock_wall_ns();
	int error = outlook_restore(agent->outlook, snap, data, (size_t)size, why, sizeof(why));
	if (error < 0)
		log_warning("state directory %s: " OUTLOOK_FILE " is dropped, forecasts begin anew: %s", agent->state_dir, why);
	else if (why[0])
		log_warning("state directory %s: " OUTLOOK_FILE ": %s", agent->state_dir, why);
}

void remember_open(struct agent *agent)
{
	size_t room = outlook_state_size();
	int dir_fd = open(agent->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	void *data = malloc(room);
	ssize_t size = dir_fd < 0 || !data ? -ENOMEM : shelf_read(dir_fd, OUTLOOK_FILE, data, room);
	if (size >= 0)
		take_back(agent, data, size);
	else if (size != -ENOENT)
		log_warning("state directory %s: " OUTLOOK_FILE " cannot be read, forecasts begin anew: %s", agent->state_dir, strerror((int)-size));
	free(data);
	if (dir_fd >= 0)
		close(dir_fd);
	agent->remembered_ns = clock_boot_ns();
}

static int remember(struct agent *agent)
{
	size_t room = outlook_state_size();
	void *data = malloc(room);
	if (!data)
		return -ENOMEM;
	size_t size = outlook_save(agent->outlook, agent->snap, data, room);
	int error = scribe_shelf(agent->scribe, OUTLOOK_FILE, data, size);
	free(data);
	return error;
}

void remember_turn(struct agent *agent)
{
	if (!agent->scribe || agent->snap->boot_ns < agent->remembered_ns + REMEMBER_EVERY_NS)
		return;
	if (remember(agent) == 0)
		agent->remembered_ns = agent->snap->boot_ns; /* else at the next tick */
}

void remember_close(struct agent *agent)
{
	if (!agent->scribe || !agent->snap || !agent->snap->seq)
		return;
	if (remember(agent) < 0)
		log_info("state directory %s: " OUTLOOK_FILE " is some minutes old: the scribe was busy", agent->state_dir);
}
