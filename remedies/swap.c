/* SPDX-License-Identifier: Apache-2.0 */
/* See swap.h. The header is the one of mkswap(8), version 1: include/linux/swap.h, union swap_header. */
#include "remedies/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/figure.h"
#include "remedies/time_limit.h"

static const char label[16] = "nodemend";
static const char signature[] = "SWAPSPACE2";

/* Less than others wait for the book of leases, which is held meanwhile. What has been read back by then stays so: the next try goes on from there. */
#define END_WITHIN_NS (300 * NSEC_PER_MSEC)
enum { MOST_PAGE = 65536, HEADER_AT = 1024, KEEP_DIVISOR = 20, FD_PATH_LEN = 40 };

struct header {
	uint32_t version, last_page, bad_pages;
	unsigned char uuid[16];
	char label[16];
};

/* --- the header ---------------------------------------------------------------------------------------------------------- */

static int write_header(int fd, uint64_t bytes)
{
	static char page[MOST_PAGE];
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	struct header header = { .version = 1, .last_page = (uint32_t)(bytes / size - 1) };
	if (size > sizeof(page) || bytes / size < 10)
		return -EINVAL;
	memcpy(header.label, label, sizeof(label));
	memset(page, 0, size);
	memcpy(page + HEADER_AT, &header, sizeof(header));
	memcpy(page + size - (sizeof(signature) - 1), signature, sizeof(signature) - 1);
	ssize_t put = pwrite(fd, page, size, 0);
	return put == (ssize_t)size ? 0 : put < 0 ? -errno : -EIO;
}

static bool is_ours(int fd)
{
	struct header header;
	char end[sizeof(signature)] = "";
	long size = sysconf(_SC_PAGESIZE);
	return pread(fd, &header, sizeof(header), HEADER_AT) == (ssize_t)sizeof(header) && memcmp(header.label, label, sizeof(label)) == 0 &&
	       pread(fd, end, sizeof(signature) - 1, size - (long)(sizeof(signature) - 1)) == (ssize_t)sizeof(signature) - 1 && strcmp(end, signature) == 0;
}

/* --- on and off ---------------------------------------------------------------------------------------------------------- */

void swap_key(char ret[LEASE_KEY_LEN], uint64_t bytes, uint32_t priority)
{
	snprintf(ret, LEASE_KEY_LEN, "%u:%u", (unsigned)(bytes >> 20), (unsigned)priority);
}

/* A number of digits alone that ends at `end`; `ret_rest` is behind that. 0 or -EINVAL. */
static int read_number(const char *text, char end, unsigned long most, unsigned long *ret, const char **ret_rest)
{
	char *rest;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	*ret = strtoul(text, &rest, 10);
	if (*rest != end || *ret > most)
		return -EINVAL;
	*ret_rest = end ? rest + 1 : rest;
	return 0;
}

static int read_key(const struct knob *knob, uint64_t *ret_bytes, uint32_t *ret_priority)
{
	unsigned long mib, priority;
	const char *rest;
	if (read_number(knob->key, ':', SWAP_MOST_BYTES >> 20, &mib, &rest) < 0 || read_number(rest, '\0', SWAP_MOST_PRIORITY, &priority, &rest) < 0 || !mib)
		return -EINVAL;
	*ret_bytes = (uint64_t)mib << 20;
	*ret_priority = (uint32_t)priority;
	return 0;
}

/* "/path/of/it   file   524284   0   -2": a name and its kind, size and use in kB, and its priority. */
int swap_in_use(const char *path, uint64_t *ret_used)
{
	char text[FIGURE_TEXT_LEN], *save = NULL;
	size_t length = strlen(path);
	int error = figure_text(AT_FDCWD, "/proc/swaps", text, sizeof(text));
	*ret_used = 0;
	if (error)
		return error;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *rest = NULL;
		if (strncmp(line, path, length) != 0 || (line[length] != ' ' && line[length] != '\t'))
			continue;
		(void)strtok_r(line + length, " \t", &rest); /* file or partition */
		(void)strtok_r(NULL, " \t", &rest);          /* its size */
		const char *used = strtok_r(NULL, " \t", &rest);
		*ret_used = used ? strtoull(used, NULL, 10) * 1024 : 0;
		return 1;
	}
	return 0;
}

int swap_may_end(uint64_t used_bytes)
{
	uint64_t available = 0, total = 0;
	int error = figure_named(AT_FDCWD, "/proc/meminfo", "MemAvailable", &available);
	if (error == 0)
		error = figure_named(AT_FDCWD, "/proc/meminfo", "MemTotal", &total);
	if (error)
		return error;
	return available > used_bytes && available - used_bytes >= total / KEEP_DIVISOR ? 0 : -EBUSY;
}

static int turn_on(int fd, uint32_t priority)
{
	char path[FD_PATH_LEN];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return swapon(path, SWAP_FLAG_PREFER | ((int)priority & SWAP_FLAG_PRIO_MASK)) < 0 ? -errno : 0;
}

static int turn_off(int fd, const char *name)
{
	char path[FD_PATH_LEN];
	struct time_limit limit;
	uint64_t used;
	int on = swap_in_use(name, &used);
	if (on <= 0)
		return on;
	int error = swap_may_end(used);
	if (error == 0)
		error = time_limit_begin(&limit, END_WITHIN_NS);
	if (error)
		return error;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	error = swapoff(path) < 0 ? -errno : 0;
	time_limit_end(&limit);
	return error;
}

/* --- a file -------------------------------------------------------------------------------------------------------------- */

/* Of the directory that was meant: another of its name is not touched. */
static int open_directory(const struct knob *knob)
{
	char directory[PATH_LEN];
	struct stat held;
	const char *slash = strrchr(knob->file, '/');
	if (!slash)
		return -EINVAL;
	snprintf(directory, sizeof(directory), "%.*s", slash == knob->file ? 1 : (int)(slash - knob->file), knob->file);
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? -ESTALE : -errno;
	if (fstat(fd, &held) == 0 && held.st_ino == knob->directory_inode)
		return fd;
	close(fd);
	return -ESTALE;
}

static const char *name_of(const struct knob *knob)
{
	return strrchr(knob->file, '/') + 1;
}

/* A descriptor of our own file; -ENOENT: there is none; -EEXIST: something else is there. */
static int open_ours(int directory, const char *name)
{
	struct stat file;
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP ? -EEXIST : -errno;
	if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_uid == geteuid() && (file.st_mode & 07777) == 0600 && is_ours(fd))
		return fd;
	close(fd);
	return -EEXIST;
}

int swapfile_read(const struct knob *knob, char *ret, size_t size)
{
	int directory = open_directory(knob);
	if (directory < 0)
		return directory;
	int fd = open_ours(directory, name_of(knob));
	close(directory);
	if (fd < 0 && fd != -ENOENT && fd != -EEXIST)
		return fd;
	snprintf(ret, size, "%s", fd >= 0 ? "on" : fd == -ENOENT ? "off" : "foreign");
	if (fd >= 0)
		close(fd);
	return 0;
}

/* Without a name until it is whole: whoever is killed in between leaves nothing behind. */
static int make_file(const struct knob *knob, int directory)
{
	char path[FD_PATH_LEN];
	uint64_t bytes = 0;
	uint32_t priority = 0;
	int error = read_key(knob, &bytes, &priority), fd = error ? -1 : openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return error ? error : -errno;
	error = fallocate(fd, 0, 0, (off_t)bytes) < 0 ? -errno : write_header(fd, bytes);
	if (error == 0 && fsync(fd) < 0)
		error = -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (error == 0 && linkat(AT_FDCWD, path, directory, name_of(knob), AT_SYMLINK_FOLLOW) < 0)
		error = -errno;
	close(fd);
	if (error)
		return error;
	/* Opened anew: by the descriptor above the kernel knows it as a file without a name. */
	fd = open_ours(directory, name_of(knob));
	error = fd < 0 ? fd : turn_on(fd, priority);
	if (fd >= 0)
		close(fd);
	if (error)
		(void)unlinkat(directory, name_of(knob), 0);
	return error;
}

static int remove_file(const struct knob *knob, int directory)
{
	int fd = open_ours(directory, name_of(knob));
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	int error = turn_off(fd, knob->file);
	close(fd);
	return error == 0 && unlinkat(directory, name_of(knob), 0) < 0 ? -errno : error;
}

int swapfile_write(const struct knob *knob, const char *value)
{
	int directory = open_directory(knob);
	if (directory < 0)
		return directory;
	int error = strcmp(value, "on") == 0 ? make_file(knob, directory) : strcmp(value, "off") == 0 ? remove_file(knob, directory) : -EINVAL;
	close(directory);
	return error;
}

/* --- zram ---------------------------------------------------------------------------------------------------------------- */

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return error;
}

int zram_add(uint32_t *ret)
{
	uint64_t number;
	int error = figure_one(AT_FDCWD, "/sys/class/zram-control/hot_add", &number); /* reading it makes one */
	if (error == 0)
		*ret = (uint32_t)number;
	return error;
}

int zram_remove(uint32_t number)
{
	char text[16];
	snprintf(text, sizeof(text), "%u", number);
	return put("/sys/class/zram-control/hot_remove", text);
}

/* "/dev/zram3", and nothing else. */
static int number_of(const struct knob *knob, uint32_t *ret)
{
	static const char before[] = "/dev/zram";
	unsigned long number;
	const char *rest;
	if (strncmp(knob->file, before, sizeof(before) - 1) != 0 || read_number(knob->file + sizeof(before) - 1, '\0', UINT32_MAX, &number, &rest) < 0)
		return -EINVAL;
	*ret = (uint32_t)number;
	return 0;
}

static void attribute(uint32_t number, const char *name, char ret[64])
{
	snprintf(ret, 64, "/sys/block/zram%u/%.20s", number, name);
}

int zram_read(const struct knob *knob, char *ret, size_t size)
{
	char path[64];
	uint32_t number;
	uint64_t bytes = 0;
	int error = number_of(knob, &number);
	if (error)
		return error;
	attribute(number, "disksize", path);
	error = figure_one(AT_FDCWD, path, &bytes);
	if (error)
		return error == -ENOENT ? -ESTALE : error;
	int fd = bytes ? open(knob->file, O_RDONLY | O_CLOEXEC) : -1;
	snprintf(ret, size, "%s", !bytes ? "off" : fd >= 0 && is_ours(fd) ? "on" : "foreign");
	if (fd >= 0)
		close(fd);
	return 0;
}

static int make_device(const struct knob *knob, uint32_t number)
{
	char path[64], text[32];
	uint64_t bytes = 0;
	uint32_t priority = 0;
	int error = read_key(knob, &bytes, &priority);
	attribute(number, "comp_algorithm", path);
	if (error == 0 && knob->absent[0])
		error = put(path, knob->absent);
	attribute(number, "disksize", path);
	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	if (error == 0)
		error = put(path, text);
	if (error)
		return error;
	int fd = open(knob->file, O_RDWR | O_CLOEXEC);
	error = fd < 0 ? -errno : write_header(fd, bytes);
	if (error == 0 && fsync(fd) < 0)
		error = -errno;
	if (error == 0)
		error = turn_on(fd, priority);
	if (fd >= 0)
		close(fd);
	attribute(number, "reset", path);
	if (error)
		(void)put(path, "1");
	return error;
}

static int remove_device(const struct knob *knob, uint32_t number)
{
	char path[64];
	int fd = open(knob->file, O_RDONLY | O_CLOEXEC);
	int error = fd < 0 ? -errno : turn_off(fd, knob->file);
	if (fd >= 0)
		close(fd); /* an open device cannot be reset */
	attribute(number, "reset", path);
	if (error == 0)
		error = put(path, "1");
	return error ? error : zram_remove(number);
}

int zram_write(const struct knob *knob, const char *value)
{
	uint32_t number;
	int error = number_of(knob, &number);
	if (error)
		return error;
	return strcmp(value, "on") == 0 ? make_device(knob, number) : strcmp(value, "off") == 0 ? remove_device(knob, number) : -EINVAL;
}
