/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A knob that is turned for a time: what it was, what it is, and until when are written down before it is turned, so that whoever comes
 * next can turn it back: the agent, its successor, or `nodemend undo` where there is none.
 *
 * The book is a file in the run directory. What is turned here is gone at a reboot, and so may the book be; it must outlive a process,
 * for which the page cache is durable enough, and so nothing here waits for a disk. A book from before a reboot is told apart by its boot id.
 */
#ifndef NODEMEND_LEASE_H
#define NODEMEND_LEASE_H

#include "remedy.h"

enum { LEASE_VERSION = 2, MAX_LEASES = 64, LEASE_TEXT_LEN = 96, LEASE_KEY_LEN = 16, LEASE_OWNERS = 4 };

enum knob_kind {
	KNOB_CGROUP, /* one line of a control file: `file`, and its directory's inode, which is the cgroup's id; `key` where a line is one device's */
	KNOB_NICE,   /* a process' nice value, of all its threads: `pid` with `start_ns` */
	KNOB_STOP,   /* whether a process runs: KNOB_STOPPED or KNOB_RUNNING; likewise */
	KNOB_SYSCTL, /* the one value of `file`, below /proc/sys */
	KNOB_LINK,   /* "up" or "down": the interface `file` whose index is `directory_inode` */
	KNOB_NOFILE, /* a process' soft limit of open files: likewise */
	KNOB_SWAPFILE, /* a file that is swapped to while it is there: `file`, its directory's inode, `key` "MIB:PRIORITY" */
	KNOB_ZRAM, /* a device that is: `file`, `key` likewise, `absent` its algorithm */
	KNOB_KIND_COUNT,
};

#define KNOB_STOPPED "stopped"
#define KNOB_RUNNING "running"

struct knob {
	enum knob_kind kind;
	char file[PATH_LEN];          /* absolute */
	uint64_t directory_inode;
	char key[LEASE_KEY_LEN];      /* "8:0"; "" = the file is one value */
	char absent[LEASE_TEXT_LEN];  /* with a key: what to write where there was no line for it */
	int32_t pid;
	uint64_t start_ns;
};

/* TURNING: written down, and turned or about to be, by words that may not be the kernel's: whatever stands there, if not what was, is ours. */
enum lease_held { LEASE_HELD = 1, LEASE_TURNING = 2 };

struct lease {
	uint64_t sum;                 /* over all that follows */
	uint32_t version;             /* LEASE_VERSION: of this layout */
	uint32_t held;                /* 0: an empty place; else enum lease_held */
	char action_id[ID_LEN], remedy[NAME_LEN], boot_id[40];
	struct knob knob;
	char before[LEASE_TEXT_LEN], during[LEASE_TEXT_LEN];
	char earlier[LEASE_TEXT_LEN]; /* what it was turned to by the lease before this one: it stands if we end before it is turned again */
	char owners[LEASE_OWNERS][ID_LEN]; /* acts that had it before `action_id`, the last one first: theirs to turn back no more */
	uint64_t expires_boot_ns;
	int64_t set_wall_ns;
};

enum lease_choice { LEASES_EXPIRED, LEASES_OF_ACTION, LEASES_ALL };
/* What became of one. FOREIGN: somebody else turned it meanwhile, so it is theirs. GONE: the cgroup or process is, or the host was started anew.
 * TAKEN_OVER: a later act has it, and turns it back; only told of LEASES_OF_ACTION. */
enum lease_end { LEASE_RETURNED, LEASE_FOREIGN, LEASE_GONE, LEASE_FAILED, LEASE_TAKEN_OVER, LEASE_END_COUNT };
extern const char *const lease_end_names[LEASE_END_COUNT];

typedef void lease_teller(const struct lease *lease, enum lease_end end, int error, void *context);

/*
 * Writes down and turns. A knob that is on lease already keeps what it was before the first of them, as long as it stands as that lease left it.
 * 0; -errno with nothing turned, and a step that says why: -ENOSPC no place in the book, -EBUSY the book is held by another for too long,
 * -ESTALE the knob is not that cgroup's or process' any more, -EADDRINUSE another agent, with a book of its own, has it on lease.
 */
int lease_take(const struct remedy_request *request, const struct knob *knob, const char *value, uint64_t for_ns, struct remedy_result *result);

/* From now on for so long: what has proven itself. 0; -ENOENT: it is not on lease; -errno. */
int lease_extend(const char *book, const struct knob *knob, uint64_t for_ns);

/*
 * Turns back. What failed stays in the book and is tried again. `tell` may be NULL. 0, also where there is no book; -errno where it cannot be
 * read. A place with a wrong sum or of another version is skipped and counted.
 */
int leases_return(const char *book, enum lease_choice which, const char *action_id, uint64_t now_boot_ns, lease_teller *tell, void *context,
		  struct lease_report *ret);

/* The text of a knob as it stands: 0 or -errno. For plans. */
int knob_read(const struct knob *knob, char *ret, size_t size);
/* 1: this book has it on lease and it stands as it was left; then `ret` is what it was before. 0: it does not; -EADDRINUSE: another agent has
 * it; -errno. */
int lease_find(const char *book, const struct knob *knob, char *ret, size_t size);
/* What a person would call it: the control file, or "nice value" and the like. */
const char *knob_name(const struct knob *knob);

#endif
