/* SPDX-License-Identifier: Apache-2.0 */
/* See open_files.h. Three walks: for the largest files, for all who hold these, and for all who map them. Nothing is asked of a file server. */
#include "remedies/open_files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "remedies/act.h"

/* 4 µs each: two seconds a walk. A node has some thousand; its limit is fs.nr_open times the processes. */
enum { MAX_DESCRIPTORS = 500000, TEXT_LEN = 16 * 1024, SMALL_LEN = 4096, SECTOR_BYTES = 512 };

struct walk {
	struct open_files *files;
	const struct open_files_wanted *wanted;
	const struct remedy_request *request;
	int proc_fd;
	int32_t pid;
	int fd_dir;
	uint64_t descriptors;
};

/* --- one process ------------------------------------------------------------------------------------------------------------ */

static int read_small(int proc_fd, int32_t pid, const char *name, char *buffer, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "%d/%.40s", (int)pid, name);
	int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got = read(fd, buffer, size - 1);
	int error = got < 0 ? -errno : 0;
	close(fd);
	buffer[got < 0 ? 0 : got] = '\0';
	return error;
}

int open_file_flags(int proc_fd, int32_t pid, int32_t fd, uint32_t *ret)
{
	char name[32], text[SMALL_LEN];
	snprintf(name, sizeof(name), "fdinfo/%d", (int)fd);
	int error = read_small(proc_fd, pid, name, text, sizeof(text));
	if (error < 0)
		return error;
	const char *flags = strstr(text, "flags:");
	if (!flags)
		return -EINVAL;
	*ret = (uint32_t)strtoul(flags + strlen("flags:"), NULL, 8);
	return 0;
}

int open_file_stat(int proc_fd, int32_t pid, int32_t fd, struct stat *ret)
{
	char path[48];
	struct statx found;
	snprintf(path, sizeof(path), "%d/fd/%d", (int)pid, (int)fd);
	if (statx(proc_fd, path, AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &found) < 0)
		return -errno;
	*ret = (struct stat){ .st_dev = makedev(found.stx_dev_major, found.stx_dev_minor), .st_ino = found.stx_ino, .st_mode = found.stx_mode,
			      .st_nlink = found.stx_nlink, .st_blocks = (blkcnt_t)found.stx_blocks, .st_size = (off_t)found.stx_size };
	return 0;
}

/* "PID (comm) S ppid …"; the last parenthesis ends the name. */
static void name_writer(int proc_fd, struct file_writer *writer)
{
	char text[SMALL_LEN];
	if (read_small(proc_fd, writer->pid, "stat", text, sizeof(text)) < 0)
		return;
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	if (!open || !close || close < open || strlen(close) < 4)
		return;
	*close = '\0';
	snprintf(writer->comm, sizeof(writer->comm), "%s", open + 1);
	writer->parent = (int32_t)strtol(close + 4, NULL, 10);
}

/* --- the walk over descriptors ---------------------------------------------------------------------------------------------- */

/* One that has ended is nobody's holder; one that may not be looked at may be anybody's. */
static void note_error(struct open_files *files, int error)
{
	if (error != ENOENT && error != ESRCH)
		files->incomplete = true;
}

typedef void descriptor_visit(struct walk *walk, const char *number);

static int walk_process(struct walk *walk, const char *pid, descriptor_visit *visit)
{
	char path[64];
	snprintf(path, sizeof(path), "%.15s/fd", pid);
	walk->pid = (int32_t)strtol(pid, NULL, 10);
	int fd = openat(walk->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		note_error(walk->files, errno);
		if (fd >= 0)
			close(fd);
		return 0;
	}
	walk->fd_dir = dirfd(folder);
	const struct dirent *entry;
	while ((entry = readdir(folder))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (++walk->descriptors > MAX_DESCRIPTORS) {
			walk->files->incomplete = true;
			break;
		}
		visit(walk, entry->d_name);
	}
	closedir(folder);
	return act_halted(walk->request) ? -ECANCELED : 0;
}

static int each_process(struct walk *walk, int (*visit_process)(struct walk *walk, const char *pid, descriptor_visit *visit), descriptor_visit *visit)
{
	int error = 0, fd = openat(walk->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		error = -errno;
		if (fd >= 0)
			close(fd);
		return error;
	}
	const struct dirent *entry;
	walk->descriptors = 0;
	while (error == 0 && (entry = readdir(folder)))
		if (isdigit((unsigned char)entry->d_name[0]))
			error = visit_process(walk, entry->d_name, visit);
	closedir(folder);
	return error;
}

static struct open_file *known(struct open_files *files, dev_t dev, ino_t ino)
{
	for (uint32_t i = 0; i < files->count; i++)
		if (files->each[i].dev == dev && files->each[i].ino == ino)
			return &files->each[i];
	return NULL;
}

/* The smallest gives way when there is no room. */
static struct open_file *place_for(struct open_files *files, uint64_t bytes)
{
	if (files->count < MAX_OPEN_FILES)
		return &files->each[files->count++];
	struct open_file *smallest = &files->each[0];
	for (uint32_t i = 1; i < files->count; i++)
		if (files->each[i].bytes < smallest->bytes)
			smallest = &files->each[i];
	files->cut++;
	return smallest->bytes < bytes ? smallest : NULL;
}

/* The kernel marks a deleted file in the link's text; the count of links says whether the mark is the kernel's. */
static bool read_path(const struct walk *walk, const char *number, char path[PATH_LEN])
{
	static const char mark[] = " (deleted)";
	ssize_t length = readlinkat(walk->fd_dir, number, path, PATH_LEN - 1);
	if (length <= 0 || length == PATH_LEN - 1 || path[0] != '/')
		return false;
	path[length] = '\0';
	size_t end = (size_t)length - (sizeof(mark) - 1);
	if ((size_t)length > sizeof(mark) - 1 && strcmp(path + end, mark) == 0)
		path[end] = '\0';
	return true;
}

static void find_file(struct walk *walk, const char *number)
{
	const struct open_files_wanted *wanted = walk->wanted;
	char path[PATH_LEN];
	struct stat found = { .st_ino = 0 };
	if (!read_path(walk, number, path) || !wanted->is_meant(path, wanted->context))
		return;
	if (open_file_stat(walk->proc_fd, walk->pid, (int32_t)strtol(number, NULL, 10), &found) < 0 || !S_ISREG(found.st_mode))
		return;
	uint64_t bytes = (uint64_t)found.st_blocks * SECTOR_BYTES;
	uint32_t dev = major(found.st_dev) << 20 | minor(found.st_dev);
	if (dev != wanted->dev || bytes < wanted->min_bytes || (wanted->deleted_only && found.st_nlink) || known(walk->files, found.st_dev, found.st_ino))
		return;
	struct open_file *file = place_for(walk->files, bytes);
	if (!file)
		return;
	*file = (struct open_file){ .dev = found.st_dev, .ino = found.st_ino, .bytes = bytes, .links = (uint32_t)found.st_nlink };
	memcpy(file->path, path, sizeof(file->path));
}

static void find_holder(struct walk *walk, const char *number)
{
	struct stat found = { .st_ino = 0 };
	struct file_writer writer = { .pid = walk->pid, .fd = (int32_t)strtol(number, NULL, 10) };
	char first;
	ssize_t length = readlinkat(walk->fd_dir, number, &first, 1);
	if (length == 1 && first != '/')
		return; /* a socket, a pipe, … */
	int error = length < 0 ? -errno : open_file_stat(walk->proc_fd, walk->pid, writer.fd, &found);
	struct open_file *file = error == 0 ? known(walk->files, found.st_dev, found.st_ino) : NULL;
	if (file)
		error = open_file_flags(walk->proc_fd, walk->pid, writer.fd, &writer.flags);
	if (error < 0)
		note_error(walk->files, -error);
	if (!file || error < 0)
		return;
	if ((writer.flags & O_ACCMODE) == O_RDONLY) {
		file->readers++;
		return;
	}
	if (file->writer_count == MAX_FILE_WRITERS) {
		file->writers_cut++;
		return;
	}
	name_writer(walk->proc_fd, &writer);
	file->writers[file->writer_count++] = writer;
}

/* --- maps and locks --------------------------------------------------------------------------------------------------------- */

/* "7f…-7f… rw-s 00000000 08:01 1234   /path": two subvolumes of one btrfs may carry other numbers here than in stat, so that there the inode decides. */
static void read_map(struct walk *walk, const char *line)
{
	unsigned int major_number, minor_number;
	unsigned long long ino;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers, and they fit */
	if (sscanf(line, "%*s %*s %*s %x:%x %llu", &major_number, &minor_number, &ino) != 3 || !ino)
		return;
	for (uint32_t i = 0; i < walk->files->count; i++) {
		struct open_file *file = &walk->files->each[i];
		if (file->ino == ino && (file->dev == makedev(major_number, minor_number) || major(file->dev) == 0))
			file->mapped = true;
	}
}

static int walk_maps(struct walk *walk, const char *pid, descriptor_visit *visit)
{
	(void)visit;
	char path[64], text[TEXT_LEN];
	size_t held = 0;
	snprintf(path, sizeof(path), "%.15s/maps", pid);
	int fd = openat(walk->proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		note_error(walk->files, errno);
		return 0;
	}
	for (;;) {
		ssize_t got = read(fd, text + held, sizeof(text) - 1 - held);
		if (got < 0)
			note_error(walk->files, errno);
		if (got <= 0)
			break;
		held += (size_t)got;
		text[held] = '\0';
		char *line = text, *end;
		for (; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			read_map(walk, line);
		}
		held -= (size_t)(line - text);
		memmove(text, line, held);
		if (held == sizeof(text) - 1)
			held = 0; /* no line is so long */
	}
	close(fd);
	return act_halted(walk->request) ? -ECANCELED : 0;
}

/* "1: POSIX  ADVISORY  WRITE 1234 08:01:5678 0 EOF"; those who wait have a "->" before it. */
static bool names_file(const char *line, dev_t dev, ino_t ino)
{
	char words[32];
	unsigned int major_number, minor_number;
	unsigned long long number;
	for (const char *at = line; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
		snprintf(words, sizeof(words), "%.*s", (int)(strcspn(at, " ") < sizeof(words) - 1 ? strcspn(at, " ") : sizeof(words) - 1), at);
		/* NOLINTNEXTLINE(cert-err34-c): likewise */
		if (sscanf(words, "%x:%x:%llu", &major_number, &minor_number, &number) == 3)
			return number == ino && (dev == makedev(major_number, minor_number) || major(dev) == 0);
	}
	return false;
}

bool open_file_is_locked(int proc_fd, dev_t dev, ino_t ino)
{
	char *line = NULL;
	size_t size = 0;
	bool locked = false;
	int fd = openat(proc_fd, "locks", O_RDONLY | O_CLOEXEC);
	FILE *locks = fd < 0 ? NULL : fdopen(fd, "r");
	if (!locks) {
		if (fd >= 0)
			close(fd);
		return true;
	}
	while (!locked && getline(&line, &size, locks) > 0)
		locked = names_file(line, dev, ino);
	free(line);
	(void)fclose(locks);
	return locked;
}

/* --- all of it -------------------------------------------------------------------------------------------------------------- */

static int compare_bytes(const void *a, const void *b)
{
	const struct open_file *left = a, *right = b;
	return (left->bytes < right->bytes) - (left->bytes > right->bytes);
}

int open_files_find(struct open_files *files, int proc_fd, const struct open_files_wanted *wanted, const struct remedy_request *request)
{
	struct walk walk = { .files = files, .wanted = wanted, .request = request, .proc_fd = proc_fd };
	*files = (struct open_files){ .count = 0 };
	int error = each_process(&walk, walk_process, find_file);
	files->descriptors = walk.descriptors;
	if (error < 0 || !files->count)
		return error;
	qsort(files->each, files->count, sizeof(files->each[0]), compare_bytes);
	error = each_process(&walk, walk_process, find_holder);
	if (error == 0)
		error = each_process(&walk, walk_maps, NULL);
	for (uint32_t i = 0; error == 0 && i < files->count; i++)
		files->each[i].locked = open_file_is_locked(proc_fd, files->each[i].dev, files->each[i].ino);
	return error;
}
