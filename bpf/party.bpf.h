/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writes down who takes part in an event; see signals/party.h. */
#ifndef NODEMEND_PARTY_BPF_H
#define NODEMEND_PARTY_BPF_H

#include "core.bpf.h"
#include "signals/party.h"

static __always_inline void fill_party(struct party *party, const struct task_struct *task)
{
	const struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	party->start_ns = BPF_CORE_READ(leader, start_boottime);
	party->cgroup_id = task_cgroup_id(task);
	party->pid = task_pid_seen(leader);
	party->uid = BPF_CORE_READ(task, real_cred, euid.val);
	BPF_CORE_READ_STR_INTO(&party->comm, leader, comm);
}

#endif
