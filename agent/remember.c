/* SPDX-License-Identifier: Apache-2.0 */
/* What was learned, over a restart: read before the first tick, handed to the scribe now and then and at the end. */
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

/* Where the scribe is busy: what is saved takes milliseconds to make, which no tick should spend in vain. */
#define AGAIN_NS (30 * NSEC_PER_SEC)

static size_t save_outlook(const struct agent *agent, void *data, size_t room)
{
	return outlook_save(agent->outlook, agent->snap, data, room);
}

static int restore_outlook(struct agent *agent, const void *data, size_t size, char *why, size_t why_size)
{
	struct snapshot *snap = agent->snap;
	snap->boot_ns = clock_boot_ns(); /* no tick was yet: what says how long ago it was kept */
	snap->wall_ns = clock_wall_ns();
	return outlook_restore(agent->outlook, snap, data, size, why, why_size);
}

static void count_damaged_outlook(struct agent *agent)
{
	outlook_count_damaged(agent->outlook);
}

static size_t save_watch(const struct agent *agent, void *data, size_t room)
{
	return watch_saved_most() <= room ? watch_save(agent->watch, data) : 0;
}

static int restore_watch(struct agent *agent, const void *data, size_t size, char *why, size_t why_size)
{
	return watch_load(agent->watch, data, size, why, why_size);
}

/* `every_ns` is what a crash costs of it, against half a MiB or a whole one to the disk. */
static const struct {
	const char *file, *lost;
	uint64_t every_ns;
	size_t (*room)(void);
	size_t (*save)(const struct agent *agent, void *data, size_t room);
	/* 0, also with something to say in `why`; -errno: all of it is dropped, `why` says why. */
	int (*restore)(struct agent *agent, const void *data, size_t size, char *why, size_t why_size);
	void (*damaged)(struct agent *agent); /* the shelf says so already; NULL: nobody counts */
} memories[REMEMBERED_COUNT] = {
	[REMEMBERED_OUTLOOK] = { "outlook.bin", "forecasts begin anew", 600 * NSEC_PER_SEC, outlook_state_size, save_outlook, restore_outlook, count_damaged_outlook },
	[REMEMBERED_WATCH] = { "anomaly.state", "what is usual on this node is learned again", 1800 * NSEC_PER_SEC, watch_saved_most, save_watch, restore_watch, NULL },
};

static void take_back(struct agent *agent, enum remembered id, int dir_fd)
{
	char why[WHY_LEN] = "";
	size_t room = memories[id].room();
	void *data = malloc(room);
	ssize_t size = dir_fd < 0 || !data ? -ENOMEM : shelf_read(dir_fd, memories[id].file, data, room);
	int error = size < 0 ? (int)size : memories[id].restore(agent, data, (size_t)size, why, sizeof(why));
	if ((size == -EBADMSG || size == -EFBIG) && memories[id].damaged)
		memories[id].damaged(agent);
	if (error < 0 && error != -ENOENT)
		log_warning("state directory %s: %s is dropped, %s: %s", agent->state_dir, memories[id].file, memories[id].lost,
			    why[0]		 ? why :
			    error == -EBADMSG ? "its checksum or its length is wrong" :
						strerror(-error));
	else if (why[0])
		log_warning("state directory %s: %s: %s", agent->state_dir, memories[id].file, why);
	free(data);
	agent->remember_ns[id] = clock_boot_ns() + memories[id].every_ns;
}

void remember_open(struct agent *agent)
{
	int dir_fd = open(agent->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (enum remembered id = 0; id < REMEMBERED_COUNT; id++)
		take_back(agent, id, dir_fd);
	if (dir_fd >= 0)
		close(dir_fd);
}

static int remember(struct agent *agent, enum remembered id)
{
	size_t room = memories[id].room();
	void *data = malloc(room);
	if (!data)
		return -ENOMEM;
	size_t size = memories[id].save(agent, data, room);
	int error = scribe_shelf(agent->scribe, memories[id].file, data, size);
	free(data);
	return error;
}

void remember_turn(struct agent *agent)
{
	for (enum remembered id = 0; agent->scribe && id < REMEMBERED_COUNT; id++) {
		if (agent->snap->boot_ns < agent->remember_ns[id])
			continue;
		int error = remember(agent, id);
		agent->remember_ns[id] = agent->snap->boot_ns + (error ? AGAIN_NS : memories[id].every_ns);
	}
}

void remember_close(struct agent *agent)
{
	for (enum remembered id = 0; agent->scribe && agent->snap && agent->snap->seq && id < REMEMBERED_COUNT; id++)
		if (remember(agent, id) < 0)
			log_info("state directory %s: %s is some minutes old: the scribe was busy", agent->state_dir, memories[id].file);
}
