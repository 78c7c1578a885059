/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collector of what node_exporter serves and no other collector of ours needs. Quick readers run in a full tick when their
 * time has come, and until then their last block is carried on; the slow ones run in a worker every ten seconds, which writes its
 * blocks into memory that it shares with us. A reader that hangs there is set aside, longer each time, and the worker replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collect/host.h"
#include "collector.h"
#include "core/clock.h"
#include "core/pages.h"
#include "core/worker.h"

#define SLOW_NS (10 * NSEC_PER_SEC)
#define GIVE_UP_NS (5 * NSEC_PER_SEC)
#define SET_ASIDE_NS (600 * NSEC_PER_SEC)
#define SET_ASIDE_MOST_NS (86400 * NSEC_PER_SEC)

enum { SLOW_BYTES = SERIES_BYTES / 2 };

struct slow_request {
	uint64_t aside;              /* bits of enum series_source that it leaves alone */
};

struct slow_answer {
	uint32_t used, cut;
};

/* What a worker needs to know: it keeps no descriptor of the agent's, so it opens the trees by their paths. */
struct slow_room {
	char proc[PATH_LEN], sys[PATH_LEN], textfile_directory[PATH_LEN];
	struct slow_shared {
		volatile uint32_t reading; /* which source it is at */
		_Alignas(SERIES_ALIGN) char bytes[SLOW_BYTES];
	} *shared;
};
static struct slow_room slow_room; /* a forked child's own copy tells it what the parent had set */

struct host_state {
	struct host host;
	struct worker worker;
	uint64_t asked_ns, read_ns[SERIES_SOURCE_COUNT];
	uint64_t aside_until_ns[SERIES_SOURCE_COUNT], aside_for_ns[SERIES_SOURCE_COUNT];
	uint64_t cut_before, slow_cut, slow_cut_before;
	size_t slow_used;
	_Alignas(SERIES_ALIGN) char slow[SLOW_BYTES], next[SERIES_BYTES];
};

void host_run(struct host *host, enum series_source source, uint64_t now_ns, char *to, size_t size, size_t *used)
{
	const struct host_reader *reader = &host_readers[source];
	uint64_t started = clock_boot_ns();
	host->now_ns = now_ns;
	host_gather_reset(host->out, reader->help);
	int error = reader->read(host);

	/* As old as two missed readings: a third of what would be shown for ever after a hang. */
	struct series_block head = { .source = source, .success = error == 0, .measured_ns = now_ns,
				     .fresh_for_ns = 3 * (reader->every_ns ? reader->every_ns : NSEC_PER_SEC),
				     .took_ns = clock_boot_ns() - started };
	host_gather_write(host->out, &head, to, size, used);
}

/* --- in the worker ------------------------------------------------------------------------------------------------------ */

static int open_trees(struct host *host)
{
	host->proc_fd = open(slow_room.proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
	host->sys_fd = open(slow_room.sys, O_PATH | O_DIRECTORY | O_CLOEXEC);
	host->root_fd = openat(host->proc_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return host->proc_fd < 0 || host->sys_fd < 0 || host->root_fd < 0 ? -errno : 0;
}

static int serve(int fd)
{
	struct host *host = pages_new(1, sizeof(*host));
	struct slow_request request;

	if (!host || open_trees(host) < 0)
		return 1;
	host->out = host_gather_new();
	host->textfile_directory = slow_room.textfile_directory;
	while (host->out && worker_read(fd, &request, sizeof(request)) > 0) {
		size_t used = 0;
		for (uint32_t source = 0; source < SERIES_SOURCE_COUNT; source++) {
			if (!host_readers[source].read || !host_readers[source].slow || request.aside >> source & 1)
				continue;
			slow_room.shared->reading = source;
			host_run(host, source, clock_boot_ns(), slow_room.shared->bytes, SLOW_BYTES, &used);
		}
		struct slow_answer answer = { .used = (uint32_t)used, .cut = host_gather_cut(host->out) };
		if (worker_write(fd, &answer, sizeof(answer)) <= 0)
			break;
	}
	return 0;
}

/* --- the worker's keeper ------------------------------------------------------------------------------------------------ */

static void take_answer(struct host_state *state)
{
	struct slow_answer answer;
	int got = worker_receive(&state->worker, &answer, sizeof(answer));

	if (got > 0 && answer.used <= SLOW_BYTES) {
		memcpy(state->slow, slow_room.shared->bytes, answer.used);
		state->slow_used = answer.used;
		state->slow_cut += answer.cut - state->slow_cut_before;
		state->slow_cut_before = answer.cut;
	} else if (got < 0) {
		worker_stop(&state->worker);
	}
}

/* A worker in uninterruptible sleep outlives its SIGKILL: the doubling keeps their number down. */
static void replace_stuck(struct host_state *state, uint64_t now_ns, struct collector_status *status)
{
	if (!worker_is_stuck(&state->worker, now_ns))
		return;

	uint32_t source = slow_room.shared->reading;
	if (source < SERIES_SOURCE_COUNT) {
		uint64_t *aside = &state->aside_for_ns[source];
		*aside = *aside ? 2 * *aside : SET_ASIDE_NS;
		*aside = *aside < SET_ASIDE_MOST_NS ? *aside : SET_ASIDE_MOST_NS;
		state->aside_until_ns[source] = now_ns + *aside;
		status->state = COLLECTOR_DEGRADED;
		snprintf(status->why, sizeof(status->why), "%s did not answer within %llu s and is left alone for %llu min",
			series_source_names[source], GIVE_UP_NS / NSEC_PER_SEC, (unsigned long long)(*aside / (60 * NSEC_PER_SEC)));
	}
	worker_stop(&state->worker);
	state->worker.restarts++;
}

static void ask(struct host_state *state, uint64_t now_ns)
{
	struct slow_request request = { 0 };

	if (state->asked_ns && now_ns < state->asked_ns + SLOW_NS)
		return;
	if (state->worker.pid <= 0) {
		if (worker_start(&state->worker) < 0)
			return; /* the next tick tries again, the blocks grow stale */
		state->slow_cut_before = 0; /* it counts from its start */
	}
	for (uint32_t source = 0; source < SERIES_SOURCE_COUNT; source++)
		if (now_ns < state->aside_until_ns[source])
			request.aside |= 1ULL << source;
	int error = worker_send(&state->worker, &request, sizeof(request), now_ns);
	if (error == -EPIPE)
		worker_stop(&state->worker);
	else if (!error)
		state->asked_ns = now_ns;
}

/* --- the collector ------------------------------------------------------------------------------------------------------ */

static void append(struct host_state *state, size_t *used, const void *bytes, size_t size)
{
	if (size > SERIES_BYTES - *used)
		return;
	memcpy(state->next + *used, bytes, size);
	*used += size;
}

static void find_blocks(const struct series_section *section, const struct series_block *ret[SERIES_SOURCE_COUNT])
{
	struct series_cursor blocks = series_begin(section), families;

	for (uint32_t source = 0; source < SERIES_SOURCE_COUNT; source++)
		ret[source] = NULL;
	for (const struct series_block *block; (block = series_next_block(&blocks, &families));)
		ret[block->source] = block;
}

static size_t read_quick(struct host_state *state, const struct snapshot *snap)
{
	const struct series_block *before[SERIES_SOURCE_COUNT];
	uint64_t now_ns = snap->boot_ns;
	size_t used = 0;

	find_blocks(&snap->series, before);
	for (uint32_t source = 0; source < SERIES_SOURCE_COUNT; source++) {
		const struct host_reader *reader = &host_readers[source];
		if (!reader->read || reader->slow)
			continue;
		/* A tick may come a little early: half an interval is near enough. */
		if (before[source] && now_ns + snap->interval_ns / 2 < state->read_ns[source] + reader->every_ns) {
			append(state, &used, before[source], before[source]->size);
			continue;
		}
		state->read_ns[source] = now_ns;
		host_run(&state->host, source, now_ns, state->next, SERIES_BYTES, &used);
	}
	return used;
}

static int host_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct host_state *state = opaque;
	if (!full)
		return 0;

	take_answer(state);
	replace_stuck(state, snap->boot_ns, status);
	ask(state, snap->boot_ns);

	state->host.snap = snap;
	size_t used = read_quick(state, snap);
	state->host.snap = NULL;
	append(state, &used, state->slow, state->slow_used);
	memcpy(snap->series.each, state->next, used);
	snap->series.count = (uint32_t)used;
	snap->series.measured_ns = snap->boot_ns;

	uint64_t cut = host_gather_cut(state->host.out) + state->slow_cut;
	status->events_lost += cut - state->cut_before;
	snap->series.cut += (uint32_t)(cut - state->cut_before);
	state->cut_before = cut;
	return 0;
}

static void host_close(void *opaque)
{
	struct host_state *state = opaque;
	if (!state)
		return;
	worker_stop(&state->worker);
	host_gather_free(state->host.out);
	if (state->host.root_fd >= 0)
		close(state->host.root_fd);
	if (slow_room.shared)
		munmap(slow_room.shared, sizeof(*slow_room.shared));
	slow_room.shared = NULL;
	pages_free(state);
}

static void path_of(int fd, char *ret, size_t size)
{
	char link[40];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, ret, size - 1);
	ret[length < 0 ? 0 : length] = '\0';
}

static int host_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct host_state *state = pages_new(1, sizeof(*state));
	if (!state)
		return -ENOMEM;

	snprintf(status->source, sizeof(status->source), "procfs");
	state->worker = (struct worker){ .name = "host", .serve = serve, .fd = -1, .give_up_ns = GIVE_UP_NS };
	state->host.proc_fd = env->proc_fd;
	state->host.sys_fd = env->sys_fd;
	state->host.root_fd = openat(env->proc_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC); /* the root that this /proc is mounted in */
	state->host.out = host_gather_new();
	void *shared = mmap(NULL, sizeof(*slow_room.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared != MAP_FAILED)
		slow_room.shared = shared;
	if (state->host.root_fd < 0 || !state->host.out || shared == MAP_FAILED) {
		snprintf(status->why, sizeof(status->why), "no room to read into");
		host_close(state);
		return -ENOMEM;
	}
	path_of(env->proc_fd, slow_room.proc, sizeof(slow_room.proc));
	path_of(env->sys_fd, slow_room.sys, sizeof(slow_room.sys));
	snprintf(slow_room.textfile_directory, sizeof(slow_room.textfile_directory), "%s", env->config->textfile_directory);

	/* The worker is started by the first tick: it inherits our memory, which is smallest when all collectors have opened. */
	status->state = COLLECTOR_UP;
	*ret_state = state;
	return 0;
}

const struct collector collector_host = {
	.name = "host", .id = COLLECTOR_HOST, .fast = false, .open = host_open, .collect = host_collect, .close = host_close,
};
