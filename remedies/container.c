/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See container.h. A cgroup's path names the container, and whoever may make cgroups may lie by it: only where the process that the engine has for
 * the container is in that very cgroup is it the one.
 */
#include "remedies/container.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "decide/protect.h"
#include "remedies/act.h"
#include "remedies/victim.h"

/* As terminate has it: who drove less than this of it is no cause. */
enum { LEAST_SHARE_PERMILLE = 50, REASON_LEN = 160, MAX_LEVELS_UP = 16 };

/* --- whose cgroup -------------------------------------------------------------------------------------------------------- */

struct place {
	uint64_t id;
	const char *path;
	struct path_identity identity;
};

/* Below what a user's own manager was given nobody vouches for an id, and the engine of that user is not the node's. */
static const char *against(const struct place *place)
{
	if (!place->identity.container_id[0])
		return "it is in no container";
	if (place->identity.claimed)
		return "it is a user's own container";
	if (strlen(place->identity.container_id) != 64)
		return "its runtime has no interface that is known here";
	return NULL;
}

static int find_place(struct container *container, struct place *place)
{
	const struct remedy_request *request = container->request;
	const char *why = "no candidate says in which cgroup it is";
	bool own = request->target.type == TARGET_CGROUP;
	for (uint32_t i = 0; i < (own ? 1 : request->candidate_count); i++) {
		const struct cause *cause = own ? NULL : &request->candidates[i];
		if (cause && (!cause->cgroup_id || !cause->cgroup[0] || cause->share_permille < LEAST_SHARE_PERMILLE))
			continue;
		place->id = own ? request->target.cgroup_id : cause->cgroup_id;
		place->path = own ? request->target.name : cause->cgroup;
		identity_of_path(place->path, &place->identity);
		why = against(place);
		/* Nor is the next one taken where the first cause is no container: it did less. */
		break;
	}
	if (why)
		act_refuse(container->result, place->path ? "no-container" : "no-candidate", "%s", why);
	return why ? 1 : 0;
}

/* The first cause may be a cgroup that the container made inside of itself: who is asked about is the whole of it. */
static int open_group(struct container *container, const struct place *place)
{
	char up[MAX_LEVELS_UP * 3 + 1] = "";
	struct group *group = &container->group;
	const char *inner = strstr(place->path, container->id);
	inner = inner ? inner + strcspn(inner, "/") : "";
	int error = group_open(place->id, place->path, group);
	if (error == -ENODEV)
		act_refuse(container->result, "no-cgroup-v2", "who is in the container is read from the v2 hierarchy, and there is none");
	else if (error)
		act_refuse(container->result, "target-changed", "the cgroup is gone, or another one has its name now");
	if (error)
		return 1;

	size_t length = 0;
	for (const char *at = inner; *at; at++) {
		if (*at != '/')
			continue;
		if (length + sizeof("../") > sizeof(up))
			return -ELOOP;
		memcpy(up + length, "../", sizeof("../"));
		length += strlen("../");
	}
	if (!length)
		return 0;
	int fd = openat(group->fd, up, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	group_close(group);
	group->fd = fd;
	group->path[inner - place->path] = '\0';
	return 0;
}

static int note_group(struct container *container)
{
	struct stat found;
	if (fstat(container->group.fd, &found) < 0)
		return -errno;
	container->cgroup_id = found.st_ino;
	return 0;
}

/* --- which engine -------------------------------------------------------------------------------------------------------- */

static bool may_have(enum engine_kind kind, enum runtime runtime)
{
	return runtime == RUNTIME_UNKNOWN || runtime == (kind == ENGINE_DOCKER ? RUNTIME_DOCKER : RUNTIME_PODMAN);
}

/* 0: it knows the container. -ENOENT: it does not. */
static int ask(struct container *container, enum engine_kind kind)
{
	struct engine *engine = &container->engine;
	engine_close(engine);
	int error = engine_open(engine, kind, container->args->socket, container->request->deadline_boot_ns);
	return error < 0 ? error : engine_look(engine, container->id, &container->facts);
}

static int find_engine(struct container *container, enum runtime runtime)
{
	int error = -ENOENT;
	if (runtime != RUNTIME_UNKNOWN && runtime != RUNTIME_DOCKER && runtime != RUNTIME_PODMAN) {
		act_refuse(container->result, "no-runtime", "it is a container of %s, which is not acted through", runtime_names[runtime]);
		return 1;
	}
	for (enum engine_kind kind = 0; kind < ENGINE_CONTAINERD && error; kind++) {
		/* A socket that is named is asked once, whoever serves there. */
		if (container->args->socket[0] ? kind == 0 : may_have(kind, runtime))
			error = ask(container, kind);
	}
	if (error)
		act_refuse(container->result, "no-runtime", "no engine says that it has the container: %.100s", container->engine.why);
	return error ? 1 : 0;
}

/* --- never --------------------------------------------------------------------------------------------------------------- */

static int visit_member(int32_t pid, void *context)
{
	struct container *container = context;
	char buffer[REASON_LEN];
	struct victim victim;
	int error = victim_hold(container->proc_fd, pid, &victim);
	if (error == -ESRCH)
		return 0;
	const char *rule = error < 0 ? "unknown: it cannot be held" :
				       protect_process(&container->request->protect, container->proc_fd, pid, buffer, sizeof(buffer));
	bool lives = error < 0 || victim_lives(&victim);
	if (error == 0)
		victim_close(&victim);
	if (rule && lives) {
		act_refuse(container->result, "never-list", "process %" PRId32 " in it is protected: %.100s", pid, rule);
		return -ECANCELED;
	}
	container->members += lives;
	container->rss_bytes += lives ? victim.rss_bytes : 0;
	return 0;
}

static const char *protecting_rule(const struct container *container, char *buffer, size_t size)
{
	const struct engine_facts *facts = &container->facts;
	const struct protection *protect = &container->request->protect;
	if (facts->sandbox)
		return "built-in: a pod's sandbox, which holds what its containers share";
	if (facts->kubelet)
		return "built-in: a pod's container, which is kubelet's to end";
	const char *rule = protect_container(protect, facts->name, facts->image, buffer, size);
	return rule ? rule : protect_cgroup(protect, container->group.path, buffer, size);
}

static int look(struct container *container)
{
	char buffer[REASON_LEN];
	const struct engine_facts *facts = &container->facts;
	struct remedy_result *result = container->result;
	const char *rule = protecting_rule(container, buffer, sizeof(buffer));
	if (rule) {
		act_refuse(result, "never-list", "%s", rule);
		return 1;
	}
	if (!facts->running || facts->pid <= 1) {
		act_refuse(result, "not-running", "the container is %.40s", facts->status);
		return 1;
	}
	if (victim_in_cgroup(container->proc_fd, facts->pid, container->group.path, true) != 1) {
		act_refuse(result, "target-changed", "the engine has another cgroup for this container");
		return 1;
	}
	container->members = container->rss_bytes = 0;
	int error = group_each(&container->group, visit_member, container);
	if (error && error != -ECANCELED)
		act_refuse(result, "unknown-members", "a member of the container cannot be seen from here: %s", strerror(-error));
	return error ? 1 : 0;
}

/* --- one container ------------------------------------------------------------------------------------------------------- */

int container_open(struct container *container, const struct remedy_request *request, const struct container_args *args, struct remedy_result *result)
{
	struct place place = { 0 };
	*container = (struct container){ .request = request, .args = args, .result = result, .group = { .fd = -1 }, .proc_fd = -1 };
	int error = find_place(container, &place);
	if (error)
		return error;
	memcpy(container->id, place.identity.container_id, sizeof(container->id));
	container->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (container->proc_fd < 0)
		return -errno;
	error = open_group(container, &place);
	if (error == 0)
		error = note_group(container);
	if (error == 0)
		error = find_engine(container, place.identity.runtime);
	return error ? error : look(container);
}

void container_close(struct container *container)
{
	engine_close(&container->engine);
	group_close(&container->group);
	if (container->proc_fd >= 0)
		close(container->proc_fd);
}

int container_again(struct container *container)
{
	struct engine_facts before = container->facts;
	int error = engine_look(&container->engine, container->id, &container->facts);
	if (error < 0) {
		container_failed(container, error);
		return 1;
	}
	if (container->facts.pid != before.pid || container->facts.started_wall_ns != before.started_wall_ns) {
		act_refuse(container->result, "target-changed", "it was started anew meanwhile");
		return 1;
	}
	error = look(container);
	const char *halted = error ? NULL : act_halted(container->request);
	if (halted)
		act_refuse(container->result, halted, "stopped by the %s", halted);
	return error || halted;
}

const char *container_shown(const struct container *container, char *buffer, size_t size)
{
	return act_shown(buffer, size, container->facts.name[0] ? container->facts.name : container->id);
}

uint64_t container_grace_s(const struct container *container)
{
	uint64_t now = clock_boot_ns(), deadline = container->request->deadline_boot_ns, left = deadline > now ? (deadline - now) / 2 : 0;
	return (container->args->grace_ns < left ? container->args->grace_ns : left) / NSEC_PER_SEC;
}

void container_failed(struct container *container, int error)
{
	if (error == -ENOENT)
		act_refuse(container->result, "target-changed", "the container is gone");
	else
		act_fail(container->result, "%s", container->engine.why[0] ? container->engine.why : strerror(-error));
}

/* --- arguments ----------------------------------------------------------------------------------------------------------- */

#define ARGUMENT(member_) MEMBER(union remedy_args, member_)
#define MOST_GRACE (600.0 * NSEC_PER_SEC)

static const struct setting restart_settings[] = {
	{ .name = "socket", .type = VALUE_PATH, ARGUMENT(restart_container.socket), .initial = "",
	  .help = "where its engine serves; left out: /run/docker.sock or /run/podman/podman.sock, as its cgroup says" },
	{ .name = "grace", .type = VALUE_DURATION, ARGUMENT(restart_container.grace_ns), .max = MOST_GRACE, .initial = "10s",
	  .help = "how long it may take to end by itself, at most half of the within" },
};
static const struct setting kill_settings[] = {
	{ .name = "socket", .type = VALUE_PATH, ARGUMENT(kill_container.socket), .initial = "",
	  .help = "where its engine serves; left out: /run/docker.sock or /run/podman/podman.sock, as its cgroup says" },
	{ .name = "grace", .type = VALUE_DURATION, ARGUMENT(kill_container.grace_ns), .max = MOST_GRACE, .initial = "5s",
	  .help = "how long it may take to end by itself, at most half of the within; 0s: SIGKILL at once" },
};
const struct section restart_container_arguments = SECTION("restart-container", "Restarts the container that causes it, through its engine.", restart_settings);
const struct section kill_container_arguments = SECTION("kill-container", "Ends the container that causes it, through its engine.", kill_settings);

const char *container_problem(const struct container_args *args)
{
	if (!ENDED(args->socket) || (args->socket[0] && !request_path_is_plain(args->socket)))
		return "socket is no plain absolute path";
	return args->grace_ns > LONGEST_WAIT_S * NSEC_PER_SEC ? "grace is out of its range" : NULL;
}
