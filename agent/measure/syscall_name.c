/* SPDX-License-Identifier: Apache-2.0 */
/* See include/syscall_name.h. The tables are made at build from the compiler's <asm/unistd*.h>: `[0] = "read",` a line. */
#include "syscall_name.h"

#include <stdio.h>

static const char *const names_64[SYSCALL_NR_MAX] = {
#include "syscalls_64.inc"
};

static const char *const names_32[SYSCALL_NR_MAX] = {
#include "syscalls_32.inc"
};

const char *const errno_class_names[ERRNO_CLASS_COUNT] = {
	[ERRNO_CLASS_EPERM] = "EPERM",
	[ERRNO_CLASS_ENOENT] = "ENOENT",
	[ERRNO_CLASS_EINTR] = "EINTR",
	[ERRNO_CLASS_EIO] = "EIO",
	[ERRNO_CLASS_EBADF] = "EBADF",
	[ERRNO_CLASS_EAGAIN] = "EAGAIN",
	[ERRNO_CLASS_ENOMEM] = "ENOMEM",
	[ERRNO_CLASS_EACCES] = "EACCES",
	[ERRNO_CLASS_EEXIST] = "EEXIST",
	[ERRNO_CLASS_EINVAL] = "EINVAL",
	[ERRNO_CLASS_EMFILE] = "EMFILE",
	[ERRNO_CLASS_ENOSPC] = "ENOSPC",
	[ERRNO_CLASS_EPIPE] = "EPIPE",
	[ERRNO_CLASS_ETIMEDOUT] = "ETIMEDOUT",
	[ERRNO_CLASS_ECONN] = "ECONN",
	[ERRNO_CLASS_RESTART] = "RESTART",
	[ERRNO_CLASS_OTHER] = "other",
};

const char *syscall_name(enum syscall_abi abi, uint16_t nr, char *buffer, size_t size)
{
	const char *const *names = abi == SYSCALL_ABI_64 ? names_64 : names_32;

	if (nr < SYSCALL_NR_MAX && names[nr])
		return names[nr];
	snprintf(buffer, size, "syscall_%u", nr);
	return buffer;
}
