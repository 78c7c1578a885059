/* SPDX-License-Identifier: Apache-2.0 */
/* Names of syscall numbers, from the headers of the compiler that built this. */
#ifndef NODEMEND_SYSCALL_NAME_H
#define NODEMEND_SYSCALL_NAME_H

#include <stddef.h>
#include <stdint.h>

#include "wire.h"

/* "read"; "syscall_512" for a number without a name, written into `buffer` (at least 24 bytes). Never NULL. */
const char *syscall_name(enum syscall_abi abi, uint16_t nr, char *buffer, size_t size);

/* "ENOENT"; "RESTART" for SYSCALL_ERRNO_RESTART; "errno_600" for one without a name, in `buffer` (at least 24 bytes). */
const char *syscall_errno_name(uint16_t error, char *buffer, size_t size);

extern const char *const syscall_abi_names[SYSCALL_ABI_COUNT];     /* "64", "32", "x32" */
extern const char *const syscall_class_names[SYSCALL_CLASS_COUNT]; /* "working", "waiting" */

#endif
