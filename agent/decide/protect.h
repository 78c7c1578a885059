/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The never-list: what no remedy may touch. Built in: PID 1, kernel threads, ourselves with our parents and cgroup, what the
 * node lives by (systemd, D-Bus, sshd, container runtimes, kubelet, etcd, …); added to by `protect:`. Read right before each act.
 */
#ifndef NODEMEND_DECIDE_PROTECT_H
#define NODEMEND_DECIDE_PROTECT_H

#include "remedy.h"

/* NULL: not protected; else the rule that protects it ("built-in: sshd", "protect.comms: postgres"), static or in `buffer`. */
const char *protect_comm(const struct protection *protection, const char *comm, char *buffer, size_t size);
const char *protect_cgroup(const struct protection *protection, const char *path, char *buffer, size_t size);
const char *protect_unit(const struct protection *protection, const char *unit, char *buffer, size_t size);
/* By its name, or its image's; either may be "". */
const char *protect_container(const struct protection *protection, const char *name, const char *image, char *buffer, size_t size);
/* All of it for one live process, by procfs: comm, cgroup and unit, kernel thread, PID 1, ours, our ancestors. An unreadable
 * process is protected ("unknown"): what cannot be told apart is not ended. */
const char *protect_process(const struct protection *protection, int proc_fd, int32_t pid, char *buffer, size_t size);

#endif
