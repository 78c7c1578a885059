/* SPDX-License-Identifier: Apache-2.0 */
/* See include/syscall_name.h. The tables are made at build from the compiler's <asm/unistd*.h>: `[0] = "read",` a line. */
#include "syscall_name.h"

#include <stdio.h>
#include <string.h>

static const char *const names_64[SYSCALL_NR_MAX] = {
#include "syscalls_64.inc"
};

static const char *const names_32[SYSCALL_NR_MAX] = {
#include "syscalls_32.inc"
};

const char *syscall_name(enum syscall_abi abi, uint16_t nr, char *buffer, size_t size)
{
	const char *const *names = abi == SYSCALL_ABI_32 ? names_32 : names_64;

	if (nr < SYSCALL_NR_MAX && names[nr])
		return names[nr];
	snprintf(buffer, size, "syscall_%u", nr);
	return buffer;
}

const char *syscall_errno_name(uint16_t error, char *buffer, size_t size)
{
	const char *name = error == SYSCALL_ERRNO_RESTART ? "RESTART" : strerrorname_np(error);

	if (name)
		return name;
	snprintf(buffer, size, "errno_%u", error);
	return buffer;
}

const char *const syscall_abi_names[SYSCALL_ABI_COUNT] = { [SYSCALL_ABI_64] = "64", [SYSCALL_ABI_32] = "32", [SYSCALL_ABI_X32] = "x32" };
const char *const syscall_class_names[SYSCALL_CLASS_COUNT] = { [SYSCALL_WORKING] = "working", [SYSCALL_WAITING] = "waiting" };
