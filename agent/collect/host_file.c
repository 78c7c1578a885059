/* SPDX-License-Identifier: Apache-2.0 */
/* What readers share: whole files, small files, directories, numbers. */
#include "collect/host.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t host_read(struct host *host, int dir_fd, const char *path)
{
	return procfs_read_at(dir_fd, path, host->buffer, sizeof(host->buffer));
}

int host_lines(struct host *host, int dir_fd, const char *path, struct span *ret)
{
	ssize_t length = host_read(host, dir_fd, path);
	if (length < 0)
		return (int)length;
	if (memchr(host->buffer, '\0', (size_t)length))
		return -EINVAL;
	*ret = (struct span){ host->buffer, host->buffer + length };
	return 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

int host_text(int dir_fd, const char *path, char *ret, size_t size)
{
	*ret = '\0';
	int fd = procfs_open(dir_fd, path);
	if (fd < 0)
		return fd;
	ssize_t length = pread(fd, ret, size - 1, 0);
	int error = length < 0 ? -errno : 0;
	close(fd);
	if (length < 0)
		length = 0;

	while (length && is_space(ret[length - 1]))
		length--;
	ret[length] = '\0';
	size_t blanks = 0;
	while (is_space(ret[blanks]))
		blanks++;
	memmove(ret, ret + blanks, (size_t)length - blanks + 1);
	return error;
}

/* No locale, no hexadecimal floats: what the kernel writes are digits, a sign, sometimes a point. */
bool host_parse_number(const char *text, double *ret)
{
	const char *digits = text + (*text == '-' || *text == '+');
	char *end;

	if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) {
		unsigned long long value = strtoull(digits, &end, 16);
		*ret = *text == '-' ? -(double)value : (double)value;
		return end > digits + 2 && !*end;
	}
	if (*digits < '0' || *digits > '9' || strspn(digits, "0123456789.eE+-") != strlen(digits))
		return false;
	*ret = strtod(text, &end);
	return !*end && isfinite(*ret);
}

int host_number(int dir_fd, const char *path, double *ret)
{
	char text[64];
	int error = host_text(dir_fd, path, text, sizeof(text));
	if (error)
		return error;
	return host_parse_number(text, ret) ? 0 : -EINVAL;
}

bool span_real(const struct span *word, double *ret)
{
	char text[64];
	return span_copy(word, text, sizeof(text)) < sizeof(text) && host_parse_number(text, ret);
}

bool span_hex(const struct span *word, uint64_t *ret)
{
	uint64_t value = 0;

	if (word->at >= word->end || word->end - word->at > 16)
		return false;
	for (const char *at = word->at; at < word->end; at++) {
		const char *digits = "0123456789abcdef", *digit = strchr(digits, *at | 0x20);
		if (!digit || !*at)
			return false;
		value = value << 4 | (uint64_t)(digit - digits);
	}
	*ret = value;
	return true;
}

int host_open_dir(int dir_fd, const char *path)
{
	int fd = openat(dir_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool grow(struct host_names *names)
{
	if (names->count < names->capacity)
		return true;
	uint32_t capacity = names->capacity ? 2 * names->capacity : 16;
	void *each = capacity > HOST_MAX_ENTRIES ? NULL : realloc(names->each, capacity * sizeof(names->each[0]));
	if (!each)
		return false;
	names->each = each;
	names->capacity = capacity;
	return true;
}

int host_list(int dir_fd, const char *path, struct host_names *ret)
{
	*ret = (struct host_names){ 0 };
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		int error = -errno;
		close(fd);
		return error;
	}
	for (const struct dirent *entry; (entry = readdir(dir));) {
		size_t length = strlen(entry->d_name);
		if (entry->d_name[0] == '.' || length >= NAME_LEN)
			continue;
		if (!grow(ret))
			break;
		memcpy(ret->each[ret->count++], entry->d_name, length + 1);
	}
	closedir(dir);
	if (ret->count)
		qsort(ret->each, ret->count, sizeof(ret->each[0]), compare_names);
	return 0;
}

void host_names_free(struct host_names *names)
{
	free(names->each);
	*names = (struct host_names){ 0 };
}

uint32_t host_put_files(struct host *host, int dir_fd, const struct host_file *files, size_t count, const struct host_label *labels,
	uint32_t label_count)
{
	uint32_t found = 0;

	for (size_t i = 0; i < count; i++) {
		double value = 0;
		if (host_number(dir_fd, files[i].path, &value) < 0)
			continue;
		host_put(host, files[i].family, files[i].type, files[i].scale != 0 ? value * files[i].scale : value, labels, label_count);
		found++;
	}
	return found;
}
