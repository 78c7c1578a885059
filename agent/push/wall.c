/* SPDX-License-Identifier: Apache-2.0 */
/* See wall.h. */
#include "push/wall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- Landlock ---------------------------------------------------------------------------------------------------------- */

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define KEEPING (READING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | \
	LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR)

static int allow_below(int ruleset, int fd, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int restrict_files(int spool_fd)
{
	/* resolv.conf, hosts and the host's certificate authorities; they are replaced by renaming, so folders rather than files. */
	static const char *const readable[] = { "/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf", "/usr/share/ca-certificates",
						"/dev/urandom" };
	struct landlock_ruleset_attr all = { .handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1 }; /* all of its first version */
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (ruleset < 0)
		return -errno;

	int error = spool_fd < 0 ? 0 : allow_below(ruleset, spool_fd, KEEPING);
	for (size_t i = 0; !error && i < sizeof(readable) / sizeof(readable[0]); i++) {
		int fd = open(readable[i], O_PATH | O_CLOEXEC);
		if (fd < 0)
			continue; /* not on this host */
		/* A file takes no right of a folder. */
		error = allow_below(ruleset, fd, readable[i][1] == 'd' ? LANDLOCK_ACCESS_FS_READ_FILE : READING);
		close(fd);
	}
	if (!error && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		error = -errno;
	close(ruleset);
	return error;
}

/* --- seccomp ----------------------------------------------------------------------------------------------------------- */

/* What the loop, libcurl, OpenSSL and the resolver's threads ask for. A newer library's new call gets EPERM, not death. */
static const int allowed[] = {
	SCMP_SYS(alarm), SCMP_SYS(bind), SCMP_SYS(brk), SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close), SCMP_SYS(connect), SCMP_SYS(dup),
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2), SCMP_SYS(exit),
	SCMP_SYS(exit_group), SCMP_SYS(fallocate), SCMP_SYS(fcntl), SCMP_SYS(fdatasync), SCMP_SYS(fstat), SCMP_SYS(ftruncate), SCMP_SYS(futex),
	SCMP_SYS(getdents64), SCMP_SYS(geteuid), SCMP_SYS(getpeername), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getrandom), SCMP_SYS(getsockname), SCMP_SYS(getsockopt),
	SCMP_SYS(gettid), SCMP_SYS(gettimeofday), SCMP_SYS(getuid), SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(mkdirat),
	SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(nanosleep), SCMP_SYS(newfstatat), SCMP_SYS(openat), SCMP_SYS(pipe2), SCMP_SYS(poll),
	SCMP_SYS(ppoll), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(recvfrom),
	SCMP_SYS(recvmmsg), SCMP_SYS(recvmsg), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(restart_syscall), SCMP_SYS(rseq), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_yield), SCMP_SYS(sendmmsg), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(set_robust_list),
	SCMP_SYS(setitimer), SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(sigaltstack), SCMP_SYS(socketpair), SCMP_SYS(sysinfo), SCMP_SYS(uname),
	SCMP_SYS(unlinkat), SCMP_SYS(write), SCMP_SYS(writev),
};

static int allow_socket(scmp_filter_ctx filter, int family, int type)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family, 0),
				SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, (scmp_datum_t)type));
}

static int narrow(void *filter)
{
	int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* Names are asked for in a thread of its own. glibc tries clone3 first, whose flags no filter can see, and falls back on ENOSYS. */
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	static const int families[] = { AF_INET, AF_INET6 }, types[] = { SOCK_STREAM, SOCK_DGRAM };
	for (int i = 0; !error && i < 4; i++)
		error = allow_socket(filter, families[i / 2], types[i % 2]);
	if (!error) /* getaddrinfo() asks the kernel which addresses this host has */
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3, SCMP_A0(SCMP_CMP_EQ, AF_NETLINK, 0),
					 SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW), SCMP_A2(SCMP_CMP_EQ, NETLINK_ROUTE, 0));
	if (!error)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	return error;
}

/* ----------------------------------------------------------------------------------------------------------------------- */

int wall_enter(const char *user, int spool_fd, struct sandbox_report *ret)
{
	static const struct sandbox_filter filter = {
		.allowed = allowed,
		.allowed_count = sizeof(allowed) / sizeof(allowed[0]),
		.narrow = narrow,
	};
	int error = sandbox_become(user, spool_fd, SIGTERM, ret);
	if (error)
		return error;
	ret->landlock = restrict_files(spool_fd) == 0;
	error = sandbox_filter_calls(&filter);
	ret->seccomp = error == 0;
	return error;
}
