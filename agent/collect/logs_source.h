/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source of lines: the kernel's log, the journal, or the files of a glob. Each gives what is new to a sink, in pieces, so that a flood
 * costs a bounded part of a processor; what it leaves out to keep up, it counts. Its place is where it would go on after a restart: never
 * behind a line that has not been told.
 */
#ifndef NODEMEND_COLLECT_LOGS_SOURCE_H
#define NODEMEND_COLLECT_LOGS_SOURCE_H

#include "collect/logs_join.h"

#include <sys/types.h>

enum {
	LOG_FILES_MAX = 32,          /* of one source */
	LOG_PLACES_MAX = MAX_LOG_SOURCES * LOG_FILES_MAX, /* of all: a place that is not kept would be read anew */
	LOG_HEAD_LEN = 64,           /* the first bytes of a file, by which it is known again */
	LOG_CURSOR_LEN = 256,
};

/* How much may be read now; thread time, so that it holds however busy the node is. */
struct log_budget {
	uint64_t cpu_until_ns;       /* of clock_thread_ns(); 0 = no bound */
	uint32_t bytes;              /* of each file or record source */
};
bool log_budget_is_spent(const struct log_budget *budget);

/* --- the kernel ----------------------------------------------------------------------------------------------------------- */

/* One record of /dev/kmsg as printk_ext_header of kernel/printk/printk.c writes it. false: it is none. `text` points into it. */
struct kmsg_record {
	uint64_t seq, at_us;
	uint32_t facility, level;
	const char *text;
	size_t length;
};
bool kmsg_parse(const char *record, size_t size, struct kmsg_record *ret);

struct kmsg_reader {
	int fd;
	bool begun;
	uint64_t next;               /* the sequence number that comes next; what is before it has been told */
};
/* `next` 0: from now on; else from there, or from the oldest that is left, which counts what is missing. */
int kmsg_open(struct kmsg_reader *reader, const char *path, bool from_now_on, uint64_t next);
void kmsg_close(struct kmsg_reader *reader);
/* Returns whether there is more; what is new goes to the sink. */
bool kmsg_step(struct kmsg_reader *reader, const struct log_budget *budget, const struct log_sink *sink, struct log_source_row *row);

/* --- the journal ---------------------------------------------------------------------------------------------------------- */

struct sd_journal;
struct journal_reader {
	struct sd_journal *journal;
	bool on_entry;               /* it stands on one that has not been told */
	uint32_t behind;             /* steps in a row that did not reach the end */
	char place[LOG_CURSOR_LEN];  /* the newest that has been told; "": none yet */
	char last[LOG_CURSOR_LEN];   /* the newest that was read, where lines are put together */
	char cgroup[PATH_LEN];       /* ours, as journald names it; "": unknown */
	struct log_join *join;
};
/* `directory` "": the host's own. `cursor` "": from now on. */
int journald_open(struct journal_reader *reader, const char *directory, const char *cursor, struct regex *continues);
void journald_close(struct journal_reader *reader);
/* What to poll, and until when; and what to do when it is ready. */
int journald_poll(const struct journal_reader *reader, short *ret_events);
bool journald_step(struct journal_reader *reader, const struct log_budget *budget, uint64_t now_ns, const struct log_sink *sink, struct log_source_row *row);

/* --- files ---------------------------------------------------------------------------------------------------------------- */

struct stat;
/* A regular file that no kernel makes up, for reading; symbolic links are followed where root made them. A descriptor or -errno. */
int log_open_regular(int folder, const char *path, struct stat *ret);

struct log_place {                   /* plain, as it is kept */
	uint64_t stream;             /* whose */
	uint64_t dev, inode, offset; /* at the beginning of a line */
	uint64_t head;               /* hash of its first `head_length` bytes: an inode number alone may be another's by now */
	uint32_t head_length;
	bool inside;                 /* of a line too long to be looked at as a whole */
	bool left;                   /* rotated away: read to its end only */
	char path[PATH_LEN];
};

struct log_file {
	int fd;
	uint64_t at;                 /* read up to here; place.offset is where what is held begins */
	uint64_t grew_ns;            /* when it last had something new */
	bool rest;                   /* it had more than there was time for */
	struct log_place place;
	struct log_join *join;
};

struct log_files {
	char glob[PATH_LEN];
	uint64_t stream, look_ns;
	bool known;                  /* it has looked before: what is new now is new, and read from its beginning */
	bool same_boot;              /* as the run before */
	bool beyond;                 /* there were more names than there is room: what is met for the first time now need not be new */
	uint64_t passed;             /* bytes of such that were not read, not yet counted */
	char why[96];                /* what is not followed */
	uint32_t count, turn;
	struct log_file each[LOG_FILES_MAX];
	struct regex *continues;
	char *buffer;
};
/* `places` are those of a run before, of any stream; `known` whether this stream was followed then, `same_boot` whether in this boot. 0 or -ENOMEM. */
int files_open(struct log_files *files, const char *glob, uint64_t stream, struct regex *continues, const struct log_place *places, uint32_t count,
	       bool known, bool same_boot);
void files_close(struct log_files *files);
bool files_step(struct log_files *files, const struct log_budget *budget, uint64_t now_ns, const struct log_sink *sink, struct log_source_row *row);
/* Appends where it stands; returns how many. */
uint32_t files_places(const struct log_files *files, struct log_place *ret, uint32_t room);

#endif
