/* SPDX-License-Identifier: Apache-2.0 */
/* See syscall_trait.h: one table by name, so that it holds for every ABI and architecture. */
#include "collect/syscall_trait.h"

#include <stdlib.h>
#include <string.h>

#include "syscall_name.h"

enum { WAITS = SYSCALL_TRAIT_WAITS, MAY_WAIT = SYSCALL_TRAIT_MAY_WAIT, ON = SYSCALL_TRAIT_DESCRIPTOR, WATCHED = SYSCALL_TRAIT_WATCHED };

/* Sorted. flock and fcntl are work: a lock that is not given is trouble. So is a write to a pipe that nobody empties. */
static const struct trait {
	const char *name;
	uint8_t traits;
} traits[] = {
	{ "_newselect", WAITS },
	{ "accept", WAITS | ON },
	{ "accept4", WAITS | ON },
	{ "clock_nanosleep", WAITS },
	{ "clock_nanosleep_time64", WAITS },
	{ "close", ON },
	{ "copy_file_range", ON },
	{ "epoll_pwait", WAITS | ON },
	{ "epoll_pwait2", WAITS | ON },
	{ "epoll_wait", WAITS | ON },
	{ "fallocate", WATCHED | ON },
	{ "fcntl", ON },
	{ "fcntl64", ON },
	{ "fdatasync", WATCHED | ON },
	{ "flock", ON },
	{ "fstat", ON },
	{ "fsync", WATCHED | ON },
	{ "ftruncate", ON },
	{ "futex", WAITS },
	{ "futex_time64", WAITS },
	{ "futex_wait", WAITS },
	{ "futex_waitv", WAITS },
	{ "getdents", ON },
	{ "getdents64", ON },
	{ "io_getevents", WAITS },
	{ "io_pgetevents", WAITS },
	{ "io_pgetevents_time64", WAITS },
	{ "io_uring_enter", WAITS | ON },
	{ "ioctl", ON },
	{ "lseek", ON },
	{ "mq_timedreceive", WAITS | ON },
	{ "mq_timedreceive_time64", WAITS | ON },
	{ "msgrcv", WAITS },
	{ "msync", WATCHED },
	{ "nanosleep", WAITS },
	{ "pause", WAITS },
	{ "poll", WAITS },
	{ "ppoll", WAITS },
	{ "ppoll_time64", WAITS },
	{ "pread64", ON },
	{ "preadv", ON },
	{ "preadv2", MAY_WAIT | ON },
	{ "pselect6", WAITS },
	{ "pselect6_time64", WAITS },
	{ "pwrite64", ON },
	{ "pwritev", ON },
	{ "pwritev2", ON },
	{ "read", MAY_WAIT | ON },
	{ "readv", MAY_WAIT | ON },
	{ "recv", WAITS | ON },
	{ "recvfrom", WAITS | ON },
	{ "recvmmsg", WAITS | ON },
	{ "recvmmsg_time64", WAITS | ON },
	{ "recvmsg", WAITS | ON },
	{ "restart_syscall", WAITS },
	{ "rt_sigsuspend", WAITS },
	{ "rt_sigtimedwait", WAITS },
	{ "rt_sigtimedwait_time64", WAITS },
	{ "select", WAITS },
	{ "semop", WAITS },
	{ "semtimedop", WAITS },
	{ "semtimedop_time64", WAITS },
	{ "sendfile", ON },
	{ "sendfile64", ON },
	{ "sendmmsg", ON },
	{ "sendmsg", ON },
	{ "sendto", ON },
	{ "sigsuspend", WAITS },
	{ "splice", MAY_WAIT | ON },
	{ "sync_file_range", WATCHED | ON },
	{ "syncfs", ON },
	{ "tee", MAY_WAIT | ON },
	{ "wait4", WAITS },
	{ "waitid", WAITS },
	{ "waitpid", WAITS },
	{ "write", ON },
	{ "writev", ON },
};

static int compare_name(const void *name, const void *entry)
{
	return strcmp(name, ((const struct trait *)entry)->name);
}

uint8_t syscall_traits_of(uint32_t number)
{
	char buffer[24];
	const char *name = syscall_name((enum syscall_abi)(number % SYSCALL_WAITED / SYSCALL_NR_MAX), number % SYSCALL_NR_MAX, buffer,
		sizeof(buffer));
	const struct trait *found = bsearch(name, traits, sizeof(traits) / sizeof(traits[0]), sizeof(traits[0]), compare_name);

	return found ? found->traits : 0;
}
