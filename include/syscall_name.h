/* SPDX-License-Identifier: Apache-2.0 */
/* Names of syscall numbers, from the headers of the compiler that built this. */
#ifndef NODEMEND_SYSCALL_NAME_H
#define NODEMEND_SYSCALL_NAME_H

#include <stddef.h>
#include <stdint.h>

#include "wire.h"

/* "read"; "syscall_512" for a number without a name, written into `buffer` (at least 24 bytes). Never NULL. */
const char *syscall_name(enum syscall_abi abi, uint16_t nr, char *buffer, size_t size);

extern const char *const errno_class_names[ERRNO_CLASS_COUNT]; /* "EPERM", …, "ECONN", "RESTART", "other" */

#endif
