/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files of /proc and /sys: reading them whole into one buffer, and taking them apart without scanf, locale or copies.
 * The parsers of the collectors are declared here too, apart from their files, so that tests and the fuzzer reach them.
 * A text that was cut off, or a number that does not fit, is -EINVAL: better no figure than a wrong one.
 */
#ifndef NODEMEND_COLLECT_PROCFS_H
#define NODEMEND_COLLECT_PROCFS_H

#include "snapshot.h"

#include <stddef.h>
#include <sys/types.h>

enum { PROCFS_BUFFER = 256 * 1024 }; /* /proc/stat of 512 CPUs takes 60 KiB, mountinfo of a busy container host 100 */

/* A piece of text, not terminated. */
struct span {
	const char *at, *end;
};

int procfs_open(int dir_fd, const char *path);                     /* a fd or -errno */
/* Reads from the start; the bytes read, terminated. -ENODATA: empty. -EFBIG: more than `size` - 1. */
ssize_t procfs_read(int fd, char *buffer, size_t size);
ssize_t procfs_read_at(int dir_fd, const char *path, char *buffer, size_t size); /* opens, reads, closes */

/* Whole lines without a NUL; -EINVAL where the last one has no newline. */
int span_of(const char *text, size_t size, struct span *ret);
bool span_line(struct span *text, struct span *ret_line);          /* false: no more */
bool span_word(struct span *line, struct span *ret_word);          /* words stand between blanks and tabs */
bool span_is(const struct span *word, const char *text);
bool span_starts(struct span *text, const char *prefix);           /* and steps over it */
bool span_number(const struct span *word, uint64_t *ret);          /* decimal digits only, up to UINT64_MAX - 1 */
bool span_next_number(struct span *line, uint64_t *ret);           /* span_word, then span_number */
bool span_fixed2(const struct span *word, uint32_t *ret);          /* "12.34" = 1234 */
size_t span_copy(const struct span *word, char *to, size_t size);  /* as much as fits, terminated; the full length */

/* --- the parsers, each beside its collector ---------------------------------------------------------------------------- */

/* `ret` is written whole, raw and unclamped; `ret_cut`: CPUs with a number of MAX_CPUS or more. */
int cpu_parse_stat(const char *text, size_t size, struct cpu_section *ret, uint32_t *ret_cut);
int cpu_parse_loadavg(const char *text, size_t size, struct cpu_section *ret);
int memory_parse_meminfo(const char *text, size_t size, struct memory_section *ret);
int memory_parse_vmstat(const char *text, size_t size, struct memory_section *ret);
int psi_parse(const char *text, size_t size, struct psi_line *ret_some, struct psi_line *ret_full, bool *ret_has_full);
/* Fills the counters of at most MAX_DISKS whole disks; busy_permille is the collector's. */
int disk_parse(const char *text, size_t size, struct disk_section *ret);
int interface_parse(const char *text, size_t size, struct interface_section *ret); /* /proc/net/dev */
int netstat_parse(const char *text, size_t size, struct tcp_section *ret); /* the two listen_ counters only */

#endif
