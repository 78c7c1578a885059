/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log reader keeps: how far it has read, together with what it has found up to there, in one file that is replaced as a whole. So
 * after a restart nothing is missed and nothing counts twice. It is not synced: what a power failure takes is the boot's anyway.
 */
#ifndef NODEMEND_COLLECT_LOGS_STATE_H
#define NODEMEND_COLLECT_LOGS_STATE_H

#include "collect/logs_match.h"
#include "collect/logs_source.h"

struct log_saved {
	char boot_id[40];
	uint64_t kernel_next;                    /* 0: the kernel's log was not read */
	struct {
		uint64_t stream;                 /* 0 = free */
		char cursor[LOG_CURSOR_LEN];     /* of a journal */
		struct log_source_row row;       /* its counters go on */
	} streams[MAX_LOG_SOURCES];
	uint32_t place_count, track_count, count_count;
	struct log_place places[LOG_PLACES_MAX];
	struct log_count counts[MAX_LOG_COUNTS];
	struct log_track tracks[MAX_LOG_ROWS];
};

/* 0; or -errno with *ret as one that knows nothing: -ENOENT there is none, -EINVAL it is damaged or of another version. */
int log_state_read(const char *folder, struct log_saved *ret);
int log_state_write(const char *folder, const struct log_saved *saved);
/* The same from memory, for tests and fuzzing: 0 or -EINVAL. */
int log_state_parse(const void *bytes, size_t size, struct log_saved *ret);
size_t log_state_format(const struct log_saved *saved, void *ret, size_t room);

#endif
