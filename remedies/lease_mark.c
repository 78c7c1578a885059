/* SPDX-License-Identifier: Apache-2.0 */
/* See lease_mark.h. trusted.* needs CAP_SYS_ADMIN to be read and written, and kernfs carries it in either version of cgroups. */
#include "remedies/lease_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "remedies/group.h"
#include "remedies/knob.h"

enum { MARK_LEN = 2 * LEASE_TEXT_LEN + 80, MARK_NAME_LEN = 200 };

/* Of what has no directory of its own: a process, or one of the kernel's. */
static bool name_by_kind(const struct knob *knob, char name[MARK_NAME_LEN])
{
	static const char *const of_process[KNOB_KIND_COUNT] = { [KNOB_NICE] = "nice", [KNOB_STOP] = "stop", [KNOB_NOFILE] = "nofile" };
	if (of_process[knob->kind])
		return snprintf(name, MARK_NAME_LEN, "trusted.nodemend.%s.%" PRId32 ".%" PRIu64, of_process[knob->kind], knob->pid, knob->start_ns) <
		       MARK_NAME_LEN;
	if (snprintf(name, MARK_NAME_LEN, "trusted.nodemend.%d.%" PRIu64 ".%s", (int)knob->kind, knob->directory_inode, knob->file) >= MARK_NAME_LEN)
		return false;
	for (char *at = name; (at = strchr(at, '/')); )
		*at = '.';
	return true;
}

/* What carries the mark of this knob, by a descriptor of its own (attributes are not to be had by an O_PATH one); and the mark's name. */
static int open_bearer(const struct knob *knob, char name[MARK_NAME_LEN])
{
	if (knob->kind != KNOB_CGROUP)
		return name_by_kind(knob, name) ? group_open_hierarchy() : -ENAMETOOLONG;
	const char *slash = strrchr(knob->file, '/');
	if (snprintf(name, MARK_NAME_LEN, "trusted.nodemend.%s%s%s", slash ? slash + 1 : "", knob->key[0] ? "." : "", knob->key) >= MARK_NAME_LEN)
		return -ENAMETOOLONG;
	return knob_directory(knob);
}

/* "1 DEV INODE EXPIRES", then a line each of what it was and what it is. */
static bool parse(char *text, struct lease_mark *ret)
{
	char *end, *before = strchr(text, '\n'), *during = before ? strchr(before + 1, '\n') : NULL;
	if (!during || strncmp(text, "1 ", 2) != 0)
		return false;
	*before++ = *during++ = '\0';
	ret->book_dev = strtoull(text + 2, &end, 10);
	ret->book_inode = strtoull(end, &end, 10);
	ret->expires_boot_ns = strtoull(end, &end, 10);
	return *end == '\0' && snprintf(ret->before, sizeof(ret->before), "%s", before) < (int)sizeof(ret->before) &&
	       snprintf(ret->during, sizeof(ret->during), "%s", during) < (int)sizeof(ret->during);
}

int lease_mark_read(const struct knob *knob, struct lease_mark *ret)
{
	char name[MARK_NAME_LEN], text[MARK_LEN];
	int fd = open_bearer(knob, name);
	if (fd < 0)
		return 0;
	ssize_t got = fgetxattr(fd, name, text, sizeof(text) - 1);
	int error = got < 0 ? -errno : 0;
	close(fd);
	if (error)
		return error == -ERANGE ? -EBADMSG : 0;
	text[got] = '\0';
	return parse(text, ret) ? 1 : -EBADMSG;
}

int lease_mark_write(const struct knob *knob, const struct lease_mark *mark, bool fresh)
{
	char name[MARK_NAME_LEN], text[MARK_LEN];
	int fd = open_bearer(knob, name);
	if (fd < 0)
		return 0;
	int length = snprintf(text, sizeof(text), "1 %" PRIu64 " %" PRIu64 " %" PRIu64 "\n%s\n%s", mark->book_dev, mark->book_inode, mark->expires_boot_ns, mark->before,
			      mark->during);
	int error = fsetxattr(fd, name, text, (size_t)length, fresh ? XATTR_CREATE : 0) < 0 ? -errno : 0;
	close(fd);
	return error == -EEXIST ? error : 0;
}

void lease_mark_remove(const struct knob *knob)
{
	char name[MARK_NAME_LEN];
	int fd = open_bearer(knob, name);
	if (fd < 0)
		return; /* it went with the cgroup */
	(void)fremovexattr(fd, name); /* there was none, where nothing can carry one */
	close(fd);
}
