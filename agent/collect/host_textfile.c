/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The *.prom files of a directory, for what only a script knows. A file is taken whole or not at all: it is parsed once to see
 * that all of it is good, and only then a second time to put its series. Refusals are logged once, with file and line.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect/textfile.h"
#include "config.h"
#include "core/log.h"
#include "core/pages.h"

enum { SLOTS = 4 * TEXTFILE_SERIES, KNOWN_TYPES = 4096 };

/* Of one reading of the directory: which series and which families there are so far. */
struct merge {
	struct host *host;
	const char *file;
	uint32_t series, added, type_count;
	uint64_t series_hashes[SLOTS];
	uint32_t added_slots[TEXTFILE_SERIES];
	struct { uint64_t name; uint8_t type; } types[KNOWN_TYPES];
};

struct textfile_room {
	struct textfile_parser *parser;
	struct merge merge;
	uint64_t logged[TEXTFILE_FILES]; /* what was said of each place in the list, so that it is said once */
	char text[TEXTFILE_BYTES + 1];
};

static uint64_t hash(uint64_t value, const char *text)
{
	for (; *text; text++)
		value = (value ^ (unsigned char)*text) * 1099511628211ULL;
	return (value ^ 0xff) * 1099511628211ULL; /* an end that no text holds: "a" + "bc" is not "ab" + "c" */
}

static uint64_t hash_of(const struct textfile_sample *sample)
{
	uint64_t value = hash(hash(14695981039346656037ULL, sample->family), series_suffixes[sample->suffix]);
	for (uint32_t i = 0; i < sample->label_count; i++)
		value = hash(hash(value, sample->labels[i].name), sample->labels[i].value);
	return value ? value : 1;
}

static bool belongs_to_us(const char *family)
{
	static const char *const prefixes[] = { "nodemend_", "node_textfile_", "node_scrape_collector_" };
	for (size_t i = 0; i < HOST_COUNT(prefixes); i++)
		if (strncmp(family, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* One family has one type, in whatever files it stands. */
static bool type_agrees(struct merge *merge, const struct textfile_sample *sample)
{
	uint64_t name = hash(14695981039346656037ULL, sample->family);
	for (uint32_t i = 0; i < merge->type_count; i++)
		if (merge->types[i].name == name)
			return merge->types[i].type == sample->type;
	if (merge->type_count < KNOWN_TYPES) {
		merge->types[merge->type_count].name = name;
		merge->types[merge->type_count++].type = sample->type;
	}
	return true;
}

static bool check_sample(void *opaque, const struct textfile_sample *sample, struct textfile_fault *fault)
{
	struct merge *merge = opaque;
	uint64_t wanted = hash_of(sample);
	uint32_t slot = (uint32_t)(wanted % SLOTS);

	if (belongs_to_us(sample->family)) {
		snprintf(fault->text, sizeof(fault->text), "%.80s is the agent's own name", sample->family);
		return false;
	}
	if (!type_agrees(merge, sample)) {
		snprintf(fault->text, sizeof(fault->text), "%.80s has another type in a file before", sample->family);
		return false;
	}
	if (merge->series + merge->added == TEXTFILE_SERIES) {
		snprintf(fault->text, sizeof(fault->text), "more than %d series in all files", TEXTFILE_SERIES);
		return false;
	}
	while (merge->series_hashes[slot] && merge->series_hashes[slot] != wanted)
		slot = (slot + 1) % SLOTS;
	if (merge->series_hashes[slot]) {
		snprintf(fault->text, sizeof(fault->text), "a series of %.80s that was there before", sample->family);
		return false;
	}
	merge->series_hashes[slot] = wanted;
	merge->added_slots[merge->added++] = slot;
	return true;
}

static bool put_sample(void *opaque, const struct textfile_sample *sample, struct textfile_fault *fault)
{
	const struct merge *merge = opaque;
	char help[PATH_LEN + 32];

	snprintf(help, sizeof(help), "Metric read from %s", merge->file);
	int error = host_put_full(merge->host, sample->family, sample->help ? sample->help : help, sample->type, sample->suffix,
		sample->value, sample->labels, sample->label_count);
	if (error)
		snprintf(fault->text, sizeof(fault->text), "%.80s has another type in a file before", sample->family);
	return error == 0;
}

/* In the reverse order of their coming: then no search ever stops at a gap that was none when its series came. */
static void forget_added(struct merge *merge, uint32_t types_before)
{
	while (merge->added)
		merge->series_hashes[merge->added_slots[--merge->added]] = 0;
	merge->type_count = types_before;
}

/* A file that is replaced meanwhile is read whole under the old name; one that is written in place has changed when we are through. */
static ssize_t read_whole(int dir_fd, const char *name, char *text, struct stat *ret_about)
{
	struct stat after;
	int fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t length = -EINVAL;
	if (fstat(fd, ret_about) == 0 && S_ISREG(ret_about->st_mode)) {
		length = ret_about->st_size > TEXTFILE_BYTES ? -EFBIG : procfs_read(fd, text, TEXTFILE_BYTES + 1);
		length = length == -ENODATA ? 0 : length;
		if (fstat(fd, &after) < 0 || after.st_size != ret_about->st_size || after.st_mtim.tv_sec != ret_about->st_mtim.tv_sec ||
		    after.st_mtim.tv_nsec != ret_about->st_mtim.tv_nsec || (length >= 0 && length != after.st_size))
			length = -EAGAIN;
	}
	close(fd);
	return length;
}

static void log_once(struct textfile_room *room, uint32_t place, const char *path, const struct textfile_fault *fault)
{
	uint64_t said = hash(hash(14695981039346656037ULL + fault->line, path), fault->text);
	if (room->logged[place] == said)
		return;
	room->logged[place] = said;
	log_warning("%s:%u: not taken: %s", path, fault->line, fault->text);
}

static bool take_file(struct textfile_room *room, int dir_fd, const char *directory, const char *name, uint32_t place)
{
	enum { ATTEMPTS = 3 };
	struct merge *merge = &room->merge;
	struct textfile_fault fault = { 0 };
	char path[PATH_LEN + NAME_LEN];
	struct stat about = { 0 };
	ssize_t length = -EAGAIN;
	uint32_t types_before = merge->type_count;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	merge->file = path;
	merge->added = 0;
	for (int i = 0; i < ATTEMPTS && length == -EAGAIN; i++)
		length = read_whole(dir_fd, name, room->text, &about);
	if (length < 0)
		snprintf(fault.text, sizeof(fault.text), "%s", length == -EAGAIN	? "it changes while it is read"
							: length == -EINVAL	? "not a regular file"
										: strerror((int)-length));
	if (length < 0 || textfile_parse(room->parser, room->text, (size_t)length, check_sample, merge, &fault) < 0) {
		forget_added(merge, types_before);
		log_once(room, place, path, &fault);
		return false;
	}
	merge->series += merge->added;
	room->logged[place] = 0;
	(void)textfile_parse(room->parser, room->text, (size_t)length, put_sample, merge, &fault); /* it was good a moment ago */
	host_put_full(merge->host, "node_textfile_mtime_seconds", "When the file was last written, in unix time.", SERIES_GAUGE, SERIES_PLAIN,
		(double)about.st_mtim.tv_sec + (double)about.st_mtim.tv_nsec / 1e9, HOST_LABELS({ "file", path }));
	return true;
}

static bool has_end(const char *name, const char *end)
{
	size_t length = strlen(name), behind = strlen(end);
	return length > behind && strcmp(name + length - behind, end) == 0;
}

static bool take_directory(struct textfile_room *room, struct host *host, const char *directory)
{
	struct host_names names;
	bool good = true;
	uint32_t files = 0;
	int dir_fd = openat(host->root_fd, directory[1] ? directory + 1 : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return errno == ENOENT && strcmp(directory, TEXTFILE_DEFAULT) == 0;

	if (host_list(dir_fd, ".", &names) < 0)
		good = false;
	for (uint32_t i = 0; i < names.count; i++) {
		if (!has_end(names.each[i], ".prom"))
			continue;
		if (files == TEXTFILE_FILES) {
			good = false;
			break;
		}
		good &= take_file(room, dir_fd, directory, names.each[i], files++);
	}
	host_names_free(&names);
	close(dir_fd);
	return good;
}

int host_read_textfile(struct host *host)
{
	static struct textfile_room *room; /* kept between two readings: it knows what was said already */
	bool good = true;

	if (host->textfile_directory && host->textfile_directory[0]) {
		room = room ? room : pages_new(1, sizeof(*room));
		if (room && !room->parser)
			room->parser = textfile_parser_new();
		if (!room || !room->parser)
			return -ENOMEM;
		room->merge.host = host;
		room->merge.series = room->merge.type_count = 0;
		pages_clear(room->merge.series_hashes, sizeof(room->merge.series_hashes));
		good = take_directory(room, host, host->textfile_directory);
	}
	host_put_full(host, "node_textfile_scrape_error", "1 where the directory or one of its files could not be taken.", SERIES_GAUGE,
		SERIES_PLAIN, !good, HOST_NONE);
	return 0;
}
