/* SPDX-License-Identifier: Apache-2.0 */
/* See account.h. */
#include "core/account.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

int account_user(const char *name, uid_t *ret_uid, gid_t *ret_gid)
{
	FILE *file = fopen("/etc/passwd", "re");
	int error = -ENOENT;
	for (const struct passwd *entry; file && error && (entry = fgetpwent(file));) {
		if (strcmp(entry->pw_name, name) != 0)
			continue;
		*ret_uid = entry->pw_uid;
		*ret_gid = entry->pw_gid;
		error = 0;
	}
	if (file)
		(void)fclose(file); /* only read */
	return error;
}

int account_group(const char *name, gid_t *ret_gid)
{
	FILE *file = fopen("/etc/group", "re");
	int error = -ENOENT;
	for (const struct group *entry; file && error && (entry = fgetgrent(file));) {
		if (strcmp(entry->gr_name, name) != 0)
			continue;
		*ret_gid = entry->gr_gid;
		error = 0;
	}
	if (file)
		(void)fclose(file);
	return error;
}
