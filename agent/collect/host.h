/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What node_exporter's collectors tell of a host, by readers of one source each: files of /proc and /sys in, samples out. A
 * reader holds nothing between two readings; what it says is gathered by family and written as one block of include/series.h.
 * Those whose files may make a reader wait (sensors, firmware, a foreign directory) run in a worker.
 */
#ifndef NODEMEND_COLLECT_HOST_H
#define NODEMEND_COLLECT_HOST_H

#include <dirent.h>
#include <stddef.h>

#include "collect/procfs.h"
#include "series.h"
#include "snapshot.h"

struct host_label {
	const char *name, *value;
};

/* Gathers the samples of one source, in whatever order they come. Large, and touched only as far as it is used. */
struct host_gather;
struct host_gather *host_gather_new(void);
void host_gather_free(struct host_gather *gather);
void host_gather_reset(struct host_gather *gather, const char *help);
/* Writes the block behind `*used` bytes of `to` and moves `*used`; what does not fit is left out and counted. */
void host_gather_write(struct host_gather *gather, const struct series_block *head, char *to, size_t size, size_t *used);
uint32_t host_gather_cut(const struct host_gather *gather); /* series left out since it was made */

/* What a reader works with. */
struct host {
	int proc_fd, sys_fd, root_fd;
	const struct snapshot *snap;     /* the rows that others measured in this tick; NULL in the worker */
	const char *textfile_directory;  /* "" = none */
	struct host_gather *out;
	uint64_t now_ns;                 /* boot time of this reading */
	uint64_t mounts_ns;              /* of `mounts`, the text of mountinfo that host_read_filesystem() keeps for a while */
	size_t mounts_length;
	char buffer[PROCFS_BUFFER];      /* of host_read() */
	char mounts[PROCFS_BUFFER];
};

struct host_reader {
	/* 0, or -errno: nothing to tell of here, or it could not be read. What was put until then is kept. */
	int (*read)(struct host *host);
	uint64_t every_ns;
	bool slow;                       /* in the worker */
	const char *help;                /* what stands behind a family's name in its HELP; NULL for one that says it itself */
};
extern const struct host_reader host_readers[SERIES_SOURCE_COUNT]; /* .read NULL: other collectors measure it */

/* Runs one reader and writes its block. */
void host_run(struct host *host, enum series_source source, uint64_t now_ns, char *to, size_t size, size_t *used);

void host_put(struct host *host, const char *family, enum series_type type, double value, const struct host_label *labels, uint32_t count);
/* The same with all that a text file may say. 0; -EEXIST: the family is there with another type. */
int host_put_full(struct host *host, const char *family, const char *help, enum series_type type, enum series_suffix suffix,
	double value, const struct host_label *labels, uint32_t count);
#define HOST_LABELS(...) \
	(const struct host_label[]){ __VA_ARGS__ }, (uint32_t)(sizeof((const struct host_label[]){ __VA_ARGS__ }) / sizeof(struct host_label))
#define HOST_NONE NULL, 0

/* Reads a whole file into host->buffer; its size or -errno. Behind it stands a NUL. */
ssize_t host_read(struct host *host, int dir_fd, const char *path);
/* The lines of a file, the last one with or without its newline. 0 or -errno. */
int host_lines(struct host *host, int dir_fd, const char *path, struct span *ret);
/* A small file's text without the blanks and newlines around it, or "" and -errno. */
int host_text(int dir_fd, const char *path, char *ret, size_t size);
/* A small file's number, decimal and signed, or hexadecimal behind 0x. 0 or -errno. */
int host_number(int dir_fd, const char *path, double *ret);
bool host_parse_number(const char *text, double *ret);
bool span_real(const struct span *word, double *ret);
bool span_hex(const struct span *word, uint64_t *ret);

/* The entries of a directory but those that begin with a dot, by name; at most so many as the kernel's other tables hold. */
enum { HOST_MAX_ENTRIES = 1024 };
struct host_names {
	uint32_t count, capacity;
	char (*each)[NAME_LEN];
};
int host_list(int dir_fd, const char *path, struct host_names *ret); /* 0 or -errno; host_names_free() in both cases */
void host_names_free(struct host_names *names);
int host_open_dir(int dir_fd, const char *path); /* O_PATH; a fd or -errno */

/* Files with one number each, and what they are called: put where they exist. */
struct host_file {
	const char *path, *family;
	enum series_type type;
	double scale;                    /* 0 = 1 */
};
/* How many of them were there. */
uint32_t host_put_files(struct host *host, int dir_fd, const struct host_file *files, size_t count, const struct host_label *labels,
	uint32_t label_count);

#define HOST_COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* The readers, each in the file of its kind. */
#define HOST_READERS(X) \
	X(arp) X(bcache) X(bonding) X(btrfs) X(conntrack) X(cpu) X(cpufreq) X(diskstats) X(dmi) X(edac) X(entropy) X(fibrechannel) X(filefd) \
	X(filesystem) X(hwmon) X(infiniband) X(ipvs) X(mdadm) X(meminfo) X(netclass) X(netdev) X(netstat) X(nfs) X(nfsd) X(nvme) X(os) \
	X(powersupply) X(rapl) X(schedstat) X(selinux) X(sockstat) X(softnet) X(tapestats) X(textfile) X(thermal_zone) X(time) X(timex) \
	X(udp_queues) X(uname) X(vmstat) X(xfs) X(zfs)
#define HOST_DECLARE(name) int host_read_##name(struct host *host);
HOST_READERS(HOST_DECLARE)
#undef HOST_DECLARE

#endif
