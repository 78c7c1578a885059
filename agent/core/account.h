/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and groups of this host, from /etc/passwd and /etc/group alone. Not by NSS: its modules may ask a directory server, and the agent
 * neither waits for a network nor runs others' code as root; a service's user is a local one.
 */
#ifndef NODEMEND_CORE_ACCOUNT_H
#define NODEMEND_CORE_ACCOUNT_H

#include <sys/types.h>

int account_user(const char *name, uid_t *ret_uid, gid_t *ret_gid); /* 0, or -ENOENT with both untouched */
int account_group(const char *name, gid_t *ret_gid);

#endif
