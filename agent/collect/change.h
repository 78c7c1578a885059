/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the change collector: each looks at one kind of source and adds what it found. */
#ifndef NODEMEND_COLLECT_CHANGE_H
#define NODEMEND_COLLECT_CHANGE_H

#include "snapshot.h"

/* So many a tick at most: an upgrade of a thousand files is one story, and its first lines tell it. */
enum { CHANGES_A_TICK = 8 };

struct change_sink {
	struct snapshot *snap;
	uint32_t left;           /* of this tick */
};
void change_add(struct change_sink *sink, enum change_kind kind, uint64_t cgroup_id, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* change_exec.c: which files the programs were started from. */
struct change_exec;
struct change_exec *change_exec_new(void);
void change_exec_free(struct change_exec *exec);
void change_exec_look(struct change_exec *exec, int proc_fd, uint64_t since_ns, struct change_sink *sink);

/* change_etc.c: what is written below <root>/etc. -errno where it cannot be watched. */
struct change_etc;
int change_etc_open(const char *root, struct change_etc **ret);
void change_etc_close(struct change_etc *etc);
void change_etc_read(struct change_etc *etc, struct change_sink *sink);
uint64_t change_etc_lost(const struct change_etc *etc);

/* change_package.c: what the package manager logs. */
struct change_package;
struct change_package *change_package_new(const char *root);
void change_package_free(struct change_package *package);
void change_package_look(struct change_package *package, struct change_sink *sink);
/* "upgrade nginx:amd64 1.22 1.24" of a line of dpkg.log; false: the line says something else. */
bool change_package_parse(const char *line, char *ret, size_t size);

#endif
