/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is credited with a fatal signal. What the kernel says of it decides first; then who the sender is, by its cgroup where that
 * has a unit, else by its name, which a process may choose: this is for reading, no decision hangs on it.
 */
#include <fnmatch.h>
#include <string.h>

#include "signals/kill.h"

enum { SIG_HUP = 1, SIG_INT = 2, SIG_QUIT = 3 };

const char *const killer_names[KILLER_COUNT] = {
	[KILLER_CONTAINER_RUNTIME] = "container_runtime",
	[KILLER_EARLYOOM] = "earlyoom",
	[KILLER_KERNEL] = "kernel",
	[KILLER_KERNEL_FAULT] = "kernel_fault",
	[KILLER_KERNEL_OOM] = "kernel_oom",
	[KILLER_KUBELET] = "kubelet",
	[KILLER_NODEMEND] = "nodemend",
	[KILLER_OPERATOR] = "operator",
	[KILLER_OTHER] = "other",
	[KILLER_SELF] = "self",
	[KILLER_SYSTEMD] = "systemd",
	[KILLER_SYSTEMD_OOMD] = "systemd-oomd",
	[KILLER_TERMINAL] = "terminal",
	[KILLER_UNKNOWN] = "unknown",
};

/* Globs; a name is cut at 15 characters. */
static const struct {
	const char *comm, *unit;
	enum killer killer;
} known[] = {
	{ "buildah", NULL, KILLER_CONTAINER_RUNTIME },
	{ "conmon", NULL, KILLER_CONTAINER_RUNTIME },
	{ "containerd*", "containerd.service", KILLER_CONTAINER_RUNTIME },
	{ "crio", "crio.service", KILLER_CONTAINER_RUNTIME },
	{ "crun", NULL, KILLER_CONTAINER_RUNTIME },
	{ "dockerd", "docker.service", KILLER_CONTAINER_RUNTIME },
	{ "podman", NULL, KILLER_CONTAINER_RUNTIME },
	{ "runc*", NULL, KILLER_CONTAINER_RUNTIME },
	{ "earlyoom", "earlyoom.service", KILLER_EARLYOOM },
	{ "kubelet", "kubelet.service", KILLER_KUBELET },
	{ "systemd-oomd", "systemd-oomd.service", KILLER_SYSTEMD_OOMD },
	{ "systemd", NULL, KILLER_SYSTEMD },
};

static bool is_same(const struct party *a, const struct party *b)
{
	return a->start_ns == b->start_ns && a->pid == b->pid;
}

/* The kernel sends these on its own for a terminal only: a key was pressed, or it hung up. */
static bool is_of_terminal(uint32_t signal)
{
	return signal == SIG_HUP || signal == SIG_INT || signal == SIG_QUIT;
}

static enum killer killer_in_kernel(const struct fatal_record *record)
{
	if (record->flags & FATAL_FLAG_OOM)
		return KILLER_KERNEL_OOM;
	return is_of_terminal(record->signal) ? KILLER_TERMINAL : KILLER_KERNEL;
}

enum killer killer_of(const struct fatal_record *record, const char *unit, bool ours)
{
	switch (record->origin) {
	case FATAL_BY_FAULT:
		return KILLER_KERNEL_FAULT;
	case FATAL_BY_KERNEL:
		return killer_in_kernel(record);
	case FATAL_UNSEEN:
		return KILLER_OTHER;
	}
	if (is_same(&record->sender, &record->target))
		return KILLER_SELF;
	if (ours)
		return KILLER_NODEMEND;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (fnmatch(known[i].comm, record->sender.comm, 0) == 0 || (known[i].unit && strcmp(known[i].unit, unit) == 0))
			return known[i].killer;
	/* A login has a terminal, or a scope of its own; cron and services have neither. */
	if (record->flags & FATAL_FLAG_TERMINAL || fnmatch("session-*.scope", unit, 0) == 0)
		return KILLER_OPERATOR;
	return KILLER_OTHER;
}
