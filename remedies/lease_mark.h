/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mark on what is turned, so that two agents with a book each do not take one knob for their own: the second would write down as "before" what
 * the first one turned it to, and leave it at that for ever. It is an extended attribute of the cgroup's own directory, which every mount
 * namespace sees and which goes with the cgroup; for a process, of the v2 hierarchy's root.
 */
#ifndef NODEMEND_REMEDIES_LEASE_MARK_H
#define NODEMEND_REMEDIES_LEASE_MARK_H

#include "lease.h"

struct lease_mark {
	uint64_t book_dev, book_inode; /* whose: the book is a file, and never another one while it is in use */
	uint64_t expires_boot_ns;
	char before[LEASE_TEXT_LEN], during[LEASE_TEXT_LEN];
};

/* 1 and the mark; 0: there is none, or nothing here can carry one; -EBADMSG: one that another version wrote. */
int lease_mark_read(const struct knob *knob, struct lease_mark *ret);
/* `fresh`: -EEXIST where there is one by now. 0 also where nothing can carry one: then a lease is as good as its book. */
int lease_mark_write(const struct knob *knob, const struct lease_mark *mark, bool fresh);
void lease_mark_remove(const struct knob *knob);

#endif
