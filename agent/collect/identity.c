/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of the containers that cgroups belong to. Each cgroup with a container in its path has a row here from its first tick
 * on; a worker looks the names up, since the state of a runtime may lie on a filesystem that hangs. A container is asked for once,
 * again every minute (it may have been renamed), and ever more rarely where nobody knows it. No inotify: what is new shows as a
 * new cgroup, whatever the runtime, and by then its runtime has written down its name.
 */
#include "collect/identity_wire.h"
#include "collector.h"
#include "core/pages.h"
#include "core/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define AGAIN_NS (60 * NSEC_PER_SEC)
#define BACKOFF_FIRST_NS NSEC_PER_SEC        /* Docker writes a name some milliseconds after it made the cgroup */
#define BACKOFF_MOST_NS (60 * NSEC_PER_SEC)
#define GIVE_UP_NS (10 * NSEC_PER_SEC)       /* 32 containers and folders of 16384 logs take 0.2 s on a slow disk */

struct watch { /* beside each row of the section */
	uint64_t ask_ns, backoff_ns;
};

struct identity_state {
	struct worker worker;
	bool begun;          /* the rows are of this opening: those of one before a reload are asked for anew */
	uint64_t retry_ns, backoff_ns;
	struct watch watches[MAX_IDENTITIES], next_watches[MAX_IDENTITIES];
	struct identity_section next;
	struct identity_batch batch;
	struct identity_answer answer;
};

static uint64_t longer(uint64_t backoff_ns)
{
	uint64_t next_ns = backoff_ns ? backoff_ns * 2 : BACKOFF_FIRST_NS;
	return next_ns < BACKOFF_MOST_NS ? next_ns : BACKOFF_MOST_NS;
}

/* --- rows --------------------------------------------------------------------------------------------------------------- */

/* Of the same cgroups as before, with none in between? Both are in the order of ids. */
static bool rows_stand(const struct cgroup_section *cgroups, const struct identity_section *section)
{
	uint32_t row = 0;
	for (uint32_t i = 0; i < cgroups->count; i++)
		if (cgroups->each[i].container[0]) {
			if (row == section->count || section->each[row].id != cgroups->each[i].id)
				return row == MAX_IDENTITIES;
			row++;
		}
	return row == section->count;
}

/* What a runtime does not keep by an id of its own, or a user vouches for alone, is not looked up: what the path says is all. */
static bool can_be_asked(const struct path_identity *said)
{
	return !said->claimed && (said->runtime == RUNTIME_UNKNOWN || said->runtime == RUNTIME_CONTAINERD || said->runtime == RUNTIME_CRIO ||
				  said->runtime == RUNTIME_DOCKER || said->runtime == RUNTIME_PODMAN);
}

static void begin_row(const struct cgroup *cgroup, uint64_t now_ns, struct cgroup_identity *ret_row, struct watch *ret_watch)
{
	struct path_identity said;
	identity_of_path(cgroup->path, &said);

	*ret_row = (struct cgroup_identity){ .id = cgroup->id, .runtime = said.runtime };
	memcpy(ret_row->pod_uid, said.pod_uid, sizeof(ret_row->pod_uid));
	memcpy(ret_row->container, said.container, sizeof(ret_row->container));
	*ret_watch = (struct watch){ .ask_ns = can_be_asked(&said) ? now_ns : UINT64_MAX };
}

static void make_rows(struct identity_state *state, const struct snapshot *snap, struct identity_section *section)
{
	const struct cgroup_section *cgroups = &snap->cgroups;
	uint32_t old = 0, count = 0, cut = 0;

	if (rows_stand(cgroups, section))
		return;
	for (uint32_t i = 0; i < cgroups->count; i++) {
		if (!cgroups->each[i].container[0])
			continue;
		if (count == MAX_IDENTITIES) {
			cut++;
			continue;
		}
		while (old < section->count && section->each[old].id < cgroups->each[i].id)
			old++;
		if (old < section->count && section->each[old].id == cgroups->each[i].id) {
			state->next.each[count] = section->each[old];
			state->next_watches[count] = state->watches[old];
		} else {
			begin_row(&cgroups->each[i], snap->boot_ns, &state->next.each[count], &state->next_watches[count]);
		}
		count++;
	}
	memcpy(section->each, state->next.each, count * sizeof(section->each[0]));
	memcpy(state->watches, state->next_watches, count * sizeof(state->watches[0]));
	section->count = count;
	section->cut = cut;
}

/* --- questions and answers ---------------------------------------------------------------------------------------------- */

static void ask_for(struct identity_state *state, const struct snapshot *snap, uint32_t row)
{
	const struct cgroup *cgroup = snapshot_cgroup(snap, snap->identities.each[row].id);
	struct path_identity said;

	if (!cgroup)
		return;
	identity_of_path(cgroup->path, &said);
	struct identity_question *question = &state->batch.each[state->batch.count++];
	*question = (struct identity_question){ .id = cgroup->id, .runtime = said.runtime };
	memcpy(question->container_id, said.container_id, sizeof(question->container_id));
	memcpy(question->pod_uid, said.pod_uid, sizeof(question->pod_uid));
}

static int ask(struct identity_state *state, const struct snapshot *snap)
{
	state->batch.count = 0;
	for (uint32_t i = 0; i < snap->identities.count && state->batch.count < IDENTITY_BATCH; i++)
		if (state->watches[i].ask_ns <= snap->boot_ns)
			ask_for(state, snap, i);
	if (!state->batch.count) {
		worker_stop(&state->worker); /* it would only be one more process */
		return 0;
	}

	int error = state->worker.pid > 0 ? 0 : worker_start(&state->worker);
	if (error)
		return error;
	return worker_send(&state->worker, &state->batch, sizeof(state->batch), snap->boot_ns);
}

static uint32_t find_row(const struct identity_section *section, uint64_t id)
{
	uint32_t from = 0, to = section->count;
	while (from < to) {
		uint32_t middle = (from + to) / 2;
		if (section->each[middle].id < id)
			from = middle + 1;
		else
			to = middle;
	}
	return from < section->count && section->each[from].id == id ? from : NO_INDEX;
}

/* What is no longer to be found stays: what the runtime has dropped it had named, and a cgroup never changes hands. */
static void take_names(const struct cgroup_identity *said, struct cgroup_identity *row)
{
	struct cgroup_identity old = *row;

	*row = *said;
	if (!row->runtime)
		row->runtime = old.runtime;
	row->sandbox |= old.sandbox;
	if (!row->container[0] && !row->sandbox)
		memcpy(row->container, old.container, sizeof(row->container));
	if (!row->pod[0]) {
		memcpy(row->pod, old.pod, sizeof(row->pod));
		memcpy(row->namespace, old.namespace, sizeof(row->namespace));
		memcpy(row->pod_uid, old.pod_uid, sizeof(row->pod_uid));
	}
}

static void take_answer(struct identity_state *state, struct snapshot *snap, const struct cgroup_identity *said, int error)
{
	uint32_t row = find_row(&snap->identities, said->id);
	if (row == NO_INDEX)
		return;
	struct watch *watch = &state->watches[row];
	if (!error)
		take_names(said, &snap->identities.each[row]);
	/* Half a name may become a whole one: kubelet links the logs after the container has started. */
	bool whole = !error && (said->container[0] || said->sandbox);
	watch->backoff_ns = whole ? 0 : longer(watch->backoff_ns);
	watch->ask_ns = snap->boot_ns + (whole ? AGAIN_NS : watch->backoff_ns);
}

static int take_answers(struct identity_state *state, struct snapshot *snap)
{
	int got = worker_receive(&state->worker, &state->answer, sizeof(state->answer));
	if (got <= 0)
		return got;
	for (uint32_t i = 0; i < state->answer.count && i < IDENTITY_BATCH; i++)
		take_answer(state, snap, &state->answer.each[i], state->answer.error[i]);
	state->backoff_ns = 0;
	return 0;
}

/* --- the collector ------------------------------------------------------------------------------------------------------ */

static void give_up(struct identity_state *state, uint64_t now_ns, struct collector_status *status, const char *why)
{
	worker_stop(&state->worker);
	state->worker.restarts++;
	state->backoff_ns = longer(state->backoff_ns);
	state->retry_ns = now_ns + state->backoff_ns;
	status->events_lost++;
	status->state = COLLECTOR_DEGRADED;
	snprintf(status->why, sizeof(status->why), "%s: new containers are without names until the worker is back", why);
}

static int talk(struct identity_state *state, struct snapshot *snap)
{
	int error = state->worker.pid > 0 ? take_answers(state, snap) : 0;
	if (error)
		return error;
	if (worker_is_stuck(&state->worker, snap->boot_ns))
		return -ETIMEDOUT;
	return state->worker.busy ? 0 : ask(state, snap);
}

static int identity_collect(void *opaque, struct snapshot *snap, bool full, struct collector_status *status)
{
	struct identity_state *state = opaque;
	uint32_t cut = snap->identities.cut;

	if (!state->begun)
		snap->identities.count = 0;
	state->begun = true;
	make_rows(state, snap, &snap->identities);
	if (snap->identities.cut > cut)
		status->events_lost += snap->identities.cut - cut;
	snap->identities.measured_ns = snap->boot_ns;
	if (snap->boot_ns < state->retry_ns)
		return 0;

	int error = talk(state, snap);
	if (error)
		give_up(state, snap->boot_ns, status, error == -ETIMEDOUT ? "the runtimes' state does not answer" : "the worker ended");
	else if (!state->backoff_ns) {
		status->state = COLLECTOR_UP;
		status->why[0] = '\0';
	}
	return 0;
}

static void identity_close(void *opaque)
{
	struct identity_state *state = opaque;
	if (!state)
		return;
	worker_stop(&state->worker);
	pages_free(state);
}

static int identity_open(const struct collector_env *env, struct collector_status *status, void **ret_state)
{
	struct identity_state *state = pages_new(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	memcpy(state->batch.root, env->config->host_root, sizeof(state->batch.root));
	state->worker = (struct worker){ .name = "names", .serve = identity_serve, .fd = -1, .give_up_ns = GIVE_UP_NS };
	snprintf(status->source, sizeof(status->source), "cgroup paths, runtimes' state");
	status->state = COLLECTOR_UP;
	*ret_state = state;
	return 0;
}

const struct collector collector_identity = {
	.name = "identity", .id = COLLECTOR_IDENTITY, .fast = true, .open = identity_open, .collect = identity_collect, .close = identity_close,
};
