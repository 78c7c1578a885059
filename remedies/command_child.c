/* SPDX-License-Identifier: Apache-2.0 */
/* See command_child.h. It runs in the child of a fork: no allocation, no lock, no message but a number. */
#include "remedies/command_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/privilege.h"

enum { FIRST_KEPT = 16, PROGRAM_FD = 3 };

/* Root over files and over its own identity, as logrotate or a package manager needs it; no more. */
#define ROOT_KEEPS                                                                                                                          \
	(1ULL << CAP_CHOWN | 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_DAC_READ_SEARCH | 1ULL << CAP_FOWNER | 1ULL << CAP_FSETID | 1ULL << CAP_KILL | \
	 1ULL << CAP_SETGID | 1ULL << CAP_SETUID)

/* --- system calls ---------------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#endif

#ifdef NATIVE
#define DENY BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define NO(call_) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call_, 0, 1), DENY

/* What no command has a use for and holes in kernels have been reached by: a list of what is refused and not of what is allowed, since it
 * is not known what a user's own program does. Another ABI has other numbers, and so is refused as a whole. */
static const struct sock_filter refused[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0),
	DENY,
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef __x86_64__
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* x32 */
	DENY,
#endif
	NO(acct),
	NO(bpf),
	NO(clock_settime),
	NO(delete_module),
	NO(finit_module),
	NO(init_module),
	NO(io_uring_setup),
	NO(kexec_file_load),
	NO(kexec_load),
	NO(perf_event_open),
	NO(process_vm_readv),
	NO(process_vm_writev),
	NO(ptrace),
	NO(reboot),
	NO(settimeofday),
	NO(userfaultfd),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static int refuse_calls(void)
{
	const struct sock_fprog program = { .len = sizeof(refused) / sizeof(refused[0]), .filter = (struct sock_filter *)refused };
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0)
		return 0;
	return errno == EINVAL ? 0 : -errno; /* a kernel without filters */
}
#else
static int refuse_calls(void)
{
	return 0;
}
#endif

/* --- rights ------------------------------------------------------------------------------------------------------------------ */

static void bound_capabilities(uint64_t kept)
{
	for (int capability = 0; capability < 64; capability++)
		if (!(kept >> capability & 1))
			(void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); /* refused without CAP_SETPCAP: then there is nothing of root to keep from it */
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* The plain calls: the library's would tell threads of a process that this one is a copy of. */
static int become_user(uid_t uid, gid_t gid)
{
	bool is_root = geteuid() == 0;
	if (is_root && syscall(SYS_setgroups, 0, NULL) < 0)
		return -errno;
	if (syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0)
		return -errno;
	return 0;
}

static int give_up_rights(const struct command *command)
{
	bound_capabilities(command->uid == 0 ? ROOT_KEEPS | command->capabilities : 0);
	int error = become_user(command->uid, command->gid);
	if (error)
		return error;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : refuse_calls();
}

/* --- surroundings ------------------------------------------------------------------------------------------------------------- */

static void reset_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	/* By the kernel's own call: libc keeps two numbers to itself, and one that started us may have had them ignored. KILL and STOP refuse. */
	const struct { uint64_t handler, flags, restorer, mask; } by_default = { 0 };
	for (int number = 1; number < NSIG; number++)
		(void)syscall(SYS_rt_sigaction, number, &by_default, NULL, sizeof(by_default.mask));
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Away from where they are to be first, since one of them may stand where another belongs. */
static int arrange(const struct command_child *child, int *ret_status)
{
	int from[] = { child->input, child->output, child->complaint, child->program, child->status };
	enum { COUNT = sizeof(from) / sizeof(from[0]) };
	for (size_t i = 0; i < COUNT; i++) {
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FIRST_KEPT);
		if (from[i] < 0)
			return -errno;
	}
	for (int i = 0; i < COUNT - 1; i++)
		if (dup2(from[i], i) < 0)
			return -errno;
	if (dup3(from[COUNT - 1], COUNT - 1, O_CLOEXEC) < 0)
		return -errno;
	*ret_status = COUNT - 1;
	return close_range(COUNT, ~0U, 0) < 0 ? -errno : 0;
}

static int enter_group(int procs)
{
	return procs < 0 || write(procs, "0", 1) == 1 ? 0 : -errno;
}

static int limit(const struct command_child *child)
{
	const struct rlimit none = { 0, 0 }, data = { child->data_max, child->data_max };
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	return child->data_max && setrlimit(RLIMIT_DATA, &data) < 0 ? -errno : 0;
}

static int prepare(const struct command_child *child, int *status)
{
	int error = enter_group(child->group_procs);
	setsid();
	privilege_be_ordinary();
	reset_signals();
	umask(077);
	if (!error)
		error = chdir("/") < 0 ? -errno : arrange(child, status);
	if (!error)
		error = limit(child);
	if (!error)
		error = give_up_rights(child->command);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* not before: a change of the user takes it back */
	if (!error && getppid() != child->parent)
		error = -ESRCH;
	return error;
}

_Noreturn void command_become(const struct command_child *child)
{
	int status = child->status;
	int error = prepare(child, &status);
	if (!error) {
		/* By the descriptor, which stays open in the command, since a script's interpreter opens it by this name. Not by execveat first: that
		 * names scripts /dev/fd/3, which not every node has, and 5.10 in an initramfs answers ENOENT to all of them. */
		char *const *argv = (char *const *)child->command->argv;
		(void)execve("/proc/self/fd/3", argv, child->environment);
		error = -errno;
		if (error == -ENOENT && access("/proc/self/fd/3", F_OK) < 0) {
			(void)syscall(SYS_execveat, PROGRAM_FD, "", argv, child->environment, AT_EMPTY_PATH);
			error = -errno;
		}
	}
	(void)!write(status, &error, sizeof(error));
	_exit(127);
}
