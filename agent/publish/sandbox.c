/* SPDX-License-Identifier: Apache-2.0 */
/* See sandbox.h: user, capabilities, Landlock, seccomp, in the order in which each still may. */
#include "core/account.h"
#include "publish/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_DESCRIPTORS = 512 };

static int compare_int(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

void sandbox_close_others(const int *keep, int count)
{
	int sorted[16], last = 2;
	if (count > 16)
		count = 16;
	for (int i = 0; i < count; i++)
		sorted[i] = keep[i];
	qsort(sorted, (size_t)count, sizeof(sorted[0]), compare_int);

	for (int i = 0; i < count; i++) {
		if (sorted[i] <= last)
			continue;
		if (sorted[i] > last + 1)
			close_range((unsigned int)last + 1, (unsigned int)sorted[i] - 1, 0);
		last = sorted[i];
	}
	close_range((unsigned int)last + 1, ~0U, 0);
}

/* --- user and capabilities -------------------------------------------------------------------------------------------- */

static void drop_bounding_set(void)
{
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* needs CAP_SETPCAP; no_new_privs makes the set moot anyway */
}

static int change_user(const char *user, int feed_dir_fd, struct sandbox_report *report)
{
	if (geteuid() != 0)
		return 0;

	uid_t uid = 0;
	gid_t gid = 0;
	const char *name = user && *user ? user : "nobody";
	if (account_user(name, &uid, &gid) < 0)
		(void)account_user(name = "nobody", &uid, &gid); /* not there: uid stays 0, which is refused */
	if (uid == 0)
		return -ENOENT;
	if (feed_dir_fd >= 0 && fchownat(feed_dir_fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		return -errno;

	drop_bounding_set();
	if (setgroups(0, NULL) < 0)
		return -errno;
	if (setresgid(gid, gid, gid) < 0)
		return -errno;
	if (setresuid(uid, uid, uid) < 0)
		return -errno;
	report->user_changed = true;
	snprintf(report->user, sizeof(report->user), "%s", name);
	return 0;
}

static int drop_capabilities(void)
{
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* older kernels have none */
	cap_t none = cap_init();
	if (!none)
		return -ENOMEM;
	int error = cap_set_proc(none) < 0 ? -errno : 0;
	cap_free(none);
	return error;
}

/* --- Landlock --------------------------------------------------------------------------------------------------------- */

static int restrict_files(int feed_dir_fd)
{
	struct landlock_ruleset_attr all = { .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 }; /* all of its first version */
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (ruleset < 0)
		return -errno;

	struct landlock_path_beneath_attr feed = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
				  LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE,
		.parent_fd = feed_dir_fd,
	};
	int error = 0;
	if (feed_dir_fd >= 0 && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &feed, 0) < 0)
		error = -errno;
	else if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		error = -errno;
	close(ruleset);
	return error;
}

/* --- seccomp ---------------------------------------------------------------------------------------------------------- */

/* What the loop, the HTTP library and the C library ask for. A newer library's new call gets EPERM, not death. */
static const int allowed[] = {
	SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close),
		SCMP_SYS(dup),
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2), SCMP_SYS(exit),
	SCMP_SYS(exit_group), SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(ftruncate), SCMP_SYS(futex), SCMP_SYS(getpeername),
		SCMP_SYS(getpid),
	SCMP_SYS(getppid), SCMP_SYS(getrandom), SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(gettid), SCMP_SYS(gettimeofday),
	SCMP_SYS(getuid), SCMP_SYS(listen), SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(nanosleep),
	SCMP_SYS(newfstatat), SCMP_SYS(openat), SCMP_SYS(pipe2), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(read), SCMP_SYS(readv),
	SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_yield), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown), SCMP_SYS(sigaltstack), SCMP_SYS(unlinkat), SCMP_SYS(write), SCMP_SYS(writev),
};

/* What only somebody else's code would ask for: it ends here. */
static const int always_deadly[] = {
	SCMP_SYS(add_key), SCMP_SYS(bpf), SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(finit_module),
	SCMP_SYS(fork), SCMP_SYS(init_module), SCMP_SYS(io_uring_setup), SCMP_SYS(kexec_load), SCMP_SYS(keyctl), SCMP_SYS(kill),
		SCMP_SYS(mount),
	SCMP_SYS(move_mount), SCMP_SYS(open_by_handle_at), SCMP_SYS(perf_event_open), SCMP_SYS(pidfd_send_signal), SCMP_SYS(pivot_root),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(ptrace), SCMP_SYS(reboot), SCMP_SYS(setns), SCMP_SYS(setuid),
	SCMP_SYS(umount2), SCMP_SYS(unshare), SCMP_SYS(userfaultfd), SCMP_SYS(vfork),
};

static const int deadly[] = { SCMP_SYS(clone), SCMP_SYS(clone3) };

static int add_narrow_rules(void *filter)
{
	/* Memory is never executable; sockets are TCP over IP. abort() may signal nobody but this process. */
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_INET, 0),
					 SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, AF_INET6, 0),
					 SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	return error;
}

static int add_rules(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
	int error = 0;
	for (size_t i = 0; !error && i < count; i++)
		error = seccomp_rule_add(filter, action, calls[i], 0);
	return error;
}

int sandbox_filter_calls(const struct sandbox_filter *calls)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return -ENOMEM;

	int error = add_rules(filter, SCMP_ACT_ALLOW, calls->allowed, calls->allowed_count);
	if (!error)
		error = add_rules(filter, SCMP_ACT_KILL_PROCESS, always_deadly, sizeof(always_deadly) / sizeof(always_deadly[0]));
	if (!error)
		error = add_rules(filter, SCMP_ACT_KILL_PROCESS, calls->deadly, calls->deadly_count);
	if (!error)
		error = calls->narrow(filter);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

/* ---------------------------------------------------------------------------------------------------------------------- */

static const struct sandbox_filter publishers_filter = {
	.allowed = allowed,
	.allowed_count = sizeof(allowed) / sizeof(allowed[0]),
	.deadly = deadly,
	.deadly_count = sizeof(deadly) / sizeof(deadly[0]),
	.narrow = add_narrow_rules,
};

int sandbox_become(const char *user, int owned_fd, int death_signal, struct sandbox_report *ret)
{
	*ret = (struct sandbox_report){ 0 };
	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	(void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){ MAX_DESCRIPTORS, MAX_DESCRIPTORS });

	int error = change_user(user, owned_fd, ret);
	if (!error)
		error = drop_capabilities();
	if (error)
		return error;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	/* The change of user cleared it. Should the parent be gone already, nobody is left to close the other end of a socket either. */
	return prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) < 0 ? -errno : 0;
}

int sandbox_enter(const char *user, int feed_dir_fd, struct sandbox_report *ret)
{
	int error = sandbox_become(user, feed_dir_fd, SIGKILL, ret);
	if (error)
		return error;
	ret->landlock = restrict_files(feed_dir_fd) == 0;
	error = sandbox_filter_calls(&publishers_filter);
	ret->seccomp = error == 0;
	return error;
}
