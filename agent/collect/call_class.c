/* SPDX-License-Identifier: Apache-2.0 */
/* See call_class.h. By names, since numbers differ between architectures and between the tables of one. */
#include "collect/call_class.h"

#include <stdlib.h>
#include <string.h>

#include "syscall_name.h"

struct named_class {
	const char *name;
	enum call_class class;
};

/* Sorted. A read or write waits for whatever its descriptor is. */
static const struct named_class named[] = {
	{ "_newselect", CALL_NETWORK },
	{ "accept", CALL_NETWORK },
	{ "accept4", CALL_NETWORK },
	{ "connect", CALL_NETWORK },
	{ "epoll_pwait", CALL_NETWORK },
	{ "epoll_pwait2", CALL_NETWORK },
	{ "epoll_wait", CALL_NETWORK },
	{ "futex", CALL_FUTEX },
	{ "futex_time64", CALL_FUTEX },
	{ "futex_wait", CALL_FUTEX },
	{ "futex_waitv", CALL_FUTEX },
	{ "poll", CALL_NETWORK },
	{ "ppoll", CALL_NETWORK },
	{ "ppoll_time64", CALL_NETWORK },
	{ "pselect6", CALL_NETWORK },
	{ "pselect6_time64", CALL_NETWORK },
	{ "read", CALL_BY_DESCRIPTOR },
	{ "readv", CALL_BY_DESCRIPTOR },
	{ "recv", CALL_NETWORK },
	{ "recvfrom", CALL_NETWORK },
	{ "recvmmsg", CALL_NETWORK },
	{ "recvmmsg_time64", CALL_NETWORK },
	{ "recvmsg", CALL_NETWORK },
	{ "sched_yield", CALL_YIELD },
	{ "select", CALL_NETWORK },
	{ "send", CALL_NETWORK },
	{ "sendmmsg", CALL_NETWORK },
	{ "sendmsg", CALL_NETWORK },
	{ "sendto", CALL_NETWORK },
	{ "socketcall", CALL_NETWORK },
	{ "write", CALL_BY_DESCRIPTOR },
	{ "writev", CALL_BY_DESCRIPTOR },
};

static int compare_name(const void *name, const void *row)
{
	return strcmp(name, ((const struct named_class *)row)->name);
}

void call_classes_fill(uint8_t ret[SYSCALL_ABI_COUNT][SYSCALL_NR_MAX])
{
	for (int abi = 0; abi < SYSCALL_ABI_COUNT; abi++) {
		for (int nr = 0; nr < SYSCALL_NR_MAX; nr++) {
			char buffer[24];
			const char *name = syscall_name((enum syscall_abi)abi, (uint16_t)nr, buffer, sizeof(buffer));
			const struct named_class *found = bsearch(name, named, sizeof(named) / sizeof(named[0]), sizeof(named[0]),
								  compare_name);

			ret[abi][nr] = (uint8_t)(found ? found->class : CALL_PLAIN);
		}
	}
}
