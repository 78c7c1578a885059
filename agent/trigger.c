/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own triggers for the psi conditions that name `window: 2s`: one of the node's or of a cgroup's pressure files each. When one
 * fires the loop wakes and looks at once. A cgroup that is not there yet is asked for again every few ticks; where the kernel refuses, the
 * condition is still polled, and doctor says so.
 */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "collect/mount.h"
#include "collect/procfs.h"
#include "core/clock.h"
#include "core/log.h"
#include "govern/pressure.h"

enum { RETRY_TICKS = 5 };

struct watch {
	struct agent *agent;
	uint32_t index;
	struct sd_event_source *source;
};

struct triggers {
	int cgroup_fd;                  /* the unified hierarchy; -1: none */
	uint32_t ticks;
	struct watch each[MAX_TRIGGERS];
};

static int on_trigger(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct watch *watch = context;
	struct agent *agent = watch->agent;
	struct trigger *trigger = &agent->snap->triggers.each[watch->index];

	(void)fd;
	if (events & EPOLLERR) {
		/* The cgroup was removed. */
		trigger->error = ENOENT;
		watch->source = sd_event_source_disable_unref(source);
		return 0;
	}
	trigger->fired_ns = clock_boot_ns();
	wheel_turn(agent, false);
	return 0;
}

static int open_unified(void)
{
	char *text = malloc(PROCFS_BUFFER);
	struct span whole, line;
	struct mount mount;
	int found = -ENOENT, proc = text ? open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	ssize_t length = proc < 0 ? -ENOMEM : procfs_read_at(proc, "self/mountinfo", text, PROCFS_BUFFER);
	if (length >= 0 && span_of(text, (size_t)length, &whole) == 0)
		while (found < 0 && span_line(&whole, &line))
			if (mount_parse(&line, &mount) == 0 && strcmp(mount.type, "cgroup2") == 0)
				found = open(mount.mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc >= 0)
		close(proc);
	free(text);
	return found < 0 ? -1 : found;
}

static void watch(struct agent *agent, uint32_t index)
{
	static const char *const node_files[PSI_RESOURCE_COUNT] = {
		[PSI_CPU] = "pressure/cpu", [PSI_MEMORY] = "pressure/memory", [PSI_IO] = "pressure/io",
	};
	static const char *const group_files[PSI_RESOURCE_COUNT] = {
		[PSI_CPU] = "cpu.pressure", [PSI_MEMORY] = "memory.pressure", [PSI_IO] = "io.pressure",
	};
	struct trigger *trigger = &agent->snap->triggers.each[index];
	struct watch *own = &agent->triggers->each[index];
	char path[TRIGGER_CGROUP_LEN + 32];

	if (trigger->cgroup[0])
		snprintf(path, sizeof(path), "%s/%s", trigger->cgroup + 1, group_files[trigger->resource]);
	else
		snprintf(path, sizeof(path), "%s", node_files[trigger->resource]);
	int fd = pressure_trigger(trigger->cgroup[0] ? agent->triggers->cgroup_fd : agent->env.proc_fd, path, trigger->full, trigger->permille,
				  TRIGGER_WINDOW_S);
	if (fd >= 0) {
		own->agent = agent;
		own->index = index;
		int error = sd_event_add_io(agent->event, &own->source, fd, EPOLLPRI, on_trigger, own);
		if (!error)
			error = sd_event_source_set_io_fd_own(own->source, true);
		if (error < 0) {
			own->source = sd_event_source_disable_unref(own->source);
			close(fd);
			fd = error;
		}
	}

	int32_t error = fd < 0 ? -fd : 0;
	if (error != trigger->error && error)
		log_info("pressure: the kernel does not watch %s for a policy, which polls it instead: %s", path, strerror(error));
	trigger->error = error;
}

static void add(struct agent *agent, const struct condition *condition)
{
	struct trigger_section *section = &agent->snap->triggers;
	struct trigger wanted = { .resource = (uint8_t)condition->psi_resource, .full = condition->measure == MEASURE_PSI_FULL,
				  .permille = (uint32_t)(condition->threshold.raise * 10 + 0.5) };
	snprintf(wanted.cgroup, sizeof(wanted.cgroup), "%s", condition->cgroup);

	for (uint32_t i = 0; i < section->count; i++)
		if (trigger_is(&section->each[i], condition))
			return;
	if (section->count == MAX_TRIGGERS) {
		section->cut++;
		return;
	}
	section->each[section->count] = wanted;
	watch(agent, section->count++);
}

static void forget(struct agent *agent)
{
	for (uint32_t i = 0; i < MAX_TRIGGERS; i++)
		agent->triggers->each[i].source = sd_event_source_disable_unref(agent->triggers->each[i].source);
	memset(&agent->snap->triggers, 0, sizeof(agent->snap->triggers));
}

void trigger_reload(struct agent *agent)
{
	if (!agent->triggers)
		return;
	forget(agent);
	for (uint32_t i = 0; i < agent->config->policy_count; i++) {
		const struct policy *policy = &agent->config->policies[i];
		for (uint32_t leaf = 0; leaf < policy->when_count; leaf++)
			if (policy->when[leaf].op == PREDICATE_LEAF && condition_wants_trigger(&policy->when[leaf].condition))
				add(agent, &policy->when[leaf].condition);
	}
	if (agent->snap->triggers.cut)
		log_warning("pressure: %u conditions are polled: the kernel is asked to watch no more than %u", agent->snap->triggers.cut, MAX_TRIGGERS);
}

int trigger_open(struct agent *agent)
{
	agent->triggers = calloc(1, sizeof(*agent->triggers));
	if (!agent->triggers)
		return -ENOMEM;
	agent->triggers->cgroup_fd = open_unified();
	trigger_reload(agent);
	return 0;
}

void trigger_turn(struct agent *agent)
{
	struct trigger_section *section = &agent->snap->triggers;
	if (!agent->triggers || ++agent->triggers->ticks % RETRY_TICKS)
		return;
	for (uint32_t i = 0; i < section->count; i++)
		if (section->each[i].error == ENOENT)
			watch(agent, i);
}

void trigger_close(struct agent *agent)
{
	if (!agent->triggers)
		return;
	forget(agent);
	if (agent->triggers->cgroup_fd >= 0)
		close(agent->triggers->cgroup_fd);
	free(agent->triggers);
	agent->triggers = NULL;
}
