/* SPDX-License-Identifier: Apache-2.0 */
/* See privilege.h. */
#include "core/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const cap_value_t kept[] = {
	CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN,            /* BPF programs and iterators; before 5.8 the last alone */
	CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH,            /* /proc/PID of others; cgroups by their handles */
	CAP_KILL,                                       /* terminate, and our own publisher */
	CAP_LEASE, CAP_FOWNER, CAP_DAC_OVERRIDE,        /* clean-files, as the files' owners where it can */
	CAP_SETUID, CAP_SETGID, CAP_CHOWN, CAP_SETPCAP, /* becoming those owners; the publisher's user, who then has nothing */
	CAP_NET_BIND_SERVICE,                           /* http.listen below 1024 */
	CAP_NET_ADMIN,                                  /* socket buffers beyond the default; restart-interface, raise-conntrack, raise-neighbours */
	CAP_SYSLOG,                                     /* the kernel's log, for the log reader */
	CAP_IPC_LOCK, CAP_SYS_NICE, CAP_SYS_RESOURCE,   /* locked memory, first at the processor, last for the OOM killer */
};

static int is_kept(cap_value_t capability)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (kept[i] == capability)
			return 1;
	return 0;
}

int privilege_bound(void)
{
	cap_t have = cap_get_proc();
	if (!have)
		return -errno;

	int error = 0;
	for (cap_value_t capability = 0; capability < cap_max_bits() && !error; capability++) {
		if (is_kept(capability))
			continue;
		if (cap_set_flag(have, CAP_EFFECTIVE, 1, &capability, CAP_CLEAR) < 0 || cap_set_flag(have, CAP_PERMITTED, 1, &capability, CAP_CLEAR) < 0 ||
		    cap_set_flag(have, CAP_INHERITABLE, 1, &capability, CAP_CLEAR) < 0)
			error = -errno;
		/* Else an exec by root would have it back. Not allowed without CAP_SETPCAP, and then it is not ours to begin with. */
		(void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	}
	if (!error && cap_set_proc(have) < 0)
		error = -errno;
	cap_free(have);
	return error;
}

/* By an exec or by a file with capabilities root would have back what it gave up. Not allowed without CAP_SETPCAP: then it is not ours. */
static void bound_to(const int *needed, unsigned int count)
{
	for (cap_value_t capability = 0; capability < cap_max_bits(); capability++) {
		bool drop = true;
		for (unsigned int i = 0; i < count; i++)
			drop &= needed[i] != capability;
		if (drop)
			(void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	}
}

int privilege_keep(const int *needed, unsigned int count)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	bound_to(needed, count);

	cap_t have = cap_get_proc(), kept_caps = cap_init();
	int error = have && kept_caps ? 0 : -errno;

	for (unsigned int i = 0; i < count && !error; i++) {
		cap_value_t capability = needed[i];
		cap_flag_value_t has = CAP_CLEAR;
		(void)cap_get_flag(have, capability, CAP_PERMITTED, &has);
		if (has == CAP_SET && (cap_set_flag(kept_caps, CAP_EFFECTIVE, 1, &capability, CAP_SET) < 0 ||
				       cap_set_flag(kept_caps, CAP_PERMITTED, 1, &capability, CAP_SET) < 0))
			error = -errno;
	}
	if (!error && cap_set_proc(kept_caps) < 0)
		error = -errno;
	cap_free(have);
	cap_free(kept_caps);
	return error;
}

void privilege_be_ordinary(void)
{
	(void)setpriority(PRIO_PROCESS, 0, 0);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "0", 1);
	close(fd);
}
