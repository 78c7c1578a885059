/* SPDX-License-Identifier: Apache-2.0 */
/* See keep/state.h: the slots. What stands in them is state_json.c's. */
#include "keep/state.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/pages.h"
#include "keep/state_json.h"

enum { SLOTS = 2, HEADER_MAX = 128, HASHED_FROM = 72 }; /* "sha256 ", 64 digits, a blank */

static const char *const slot_names[SLOTS] = { "state.json.a", "state.json.b" };

struct state_file {
	int dir_fd;
	int fds[SLOTS];                /* -1 = to be made */
	uint64_t seq;                  /* of the newest whole slot */
	uint32_t next;                 /* the slot to write */
	char anchor[DIGEST_LEN];
	bool said_lean;
	char buffer[STATE_SLOT_SIZE];
};

/* --- reading a slot ------------------------------------------------------------------------------------------------------ */

enum slot_state { SLOT_EMPTY, SLOT_WHOLE, SLOT_BROKEN };

struct slot {
	enum slot_state state;
	uint64_t seq;
	const char *text;              /* into the buffer it was read to */
	size_t size;
	const char *why;               /* BROKEN */
};

static bool all_zero(const char *data, size_t size)
{
	return size == 0 || (data[0] == '\0' && memcmp(data, data + 1, size - 1) == 0);
}

static struct slot broken_slot(const char *why)
{
	return (struct slot){ .state = SLOT_BROKEN, .why = why };
}

/* Digits and the one character that ends them; what comes behind, or NULL. */
static const char *read_number(const char *at, char end, uint64_t *ret)
{
	char *behind;
	if (*at < '0' || *at > '9')
		return NULL; /* strtoull would take blanks and signs */
	errno = 0;
	*ret = strtoull(at, &behind, 10);
	return errno || *behind != end ? NULL : behind + 1;
}

/* `sha256 <hex> <length> <seq>\n`: what comes behind, or NULL. `first` is NUL-terminated. */
static const char *read_header(const char *first, char ret_hex[DIGEST_LEN], uint64_t *ret_length, uint64_t *ret_seq)
{
	if (strncmp(first, "sha256 ", 7) != 0 || strspn(first + 7, "0123456789abcdef") != DIGEST_LEN - 1 || first[HASHED_FROM - 1] != ' ')
		return NULL;
	memcpy(ret_hex, first + 7, DIGEST_LEN - 1);
	ret_hex[DIGEST_LEN - 1] = '\0';
	const char *at = read_number(first + HASHED_FROM, ' ', ret_length);
	return at ? read_number(at, '\n', ret_seq) : NULL;
}

/* `size` is what is there of STATE_SLOT_SIZE; a slot is made whole under another name, so a shorter one was cut. */
static struct slot parse_slot(char *data, size_t size)
{
	if (size == STATE_SLOT_SIZE && all_zero(data, size))
		return (struct slot){ .state = SLOT_EMPTY };
	if (size < HEADER_MAX)
		return broken_slot("it is cut short");

	char first[HEADER_MAX + 1], hex[DIGEST_LEN], digest[DIGEST_LEN];
	uint64_t length, seq;
	memcpy(first, data, HEADER_MAX);
	first[HEADER_MAX] = '\0';
	const char *behind = read_header(first, hex, &length, &seq);
	if (!behind)
		return broken_slot("its first line is no header");
	size_t begin = (size_t)(behind - first);
	if (length > size - begin)
		return broken_slot("it is cut short");

	digest_of(data + HASHED_FROM, begin + length - HASHED_FROM, digest);
	if (strcmp(digest, hex) != 0)
		return broken_slot("its hash does not match");
	return (struct slot){ .state = SLOT_WHOLE, .seq = seq, .text = data + begin, .size = length };
}

static struct slot read_slot(int fd, char *buffer)
{
	ssize_t size = file_read(fd, buffer, STATE_SLOT_SIZE, 0);
	return size < 0 ? broken_slot("it cannot be read") : parse_slot(buffer, (size_t)size);
}

/* --- opening ------------------------------------------------------------------------------------------------------------- */

/* Zeros, not fallocate: blocks that were written once are rewritten in place without any allocation, also of metadata. */
static int fill_slot(int fd, char *zeros)
{
	memset(zeros, 0, STATE_SLOT_SIZE);
	int error = file_write(fd, zeros, STATE_SLOT_SIZE, 0);
	if (error == 0 && fsync(fd) < 0)
		error = -errno;
	return error;
}

/* A new slot gets its name once it has its blocks: a slot that is shorter was damaged. */
static int make_slot(struct state_file *file, uint32_t slot)
{
	char name[32];
	snprintf(name, sizeof(name), "%s.new", slot_names[slot]);
	(void)unlinkat(file->dir_fd, name, 0);
	int fd = file_open(file->dir_fd, name, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return fd;
	int error = fill_slot(fd, file->buffer);
	if (error == 0 && (renameat(file->dir_fd, name, file->dir_fd, slot_names[slot]) < 0 || fsync(file->dir_fd) < 0))
		error = -errno;
	if (error < 0) {
		close(fd);
		(void)unlinkat(file->dir_fd, name, 0);
		return error;
	}
	file->fds[slot] = fd;
	return 0;
}

static int open_slot(struct state_file *file, uint32_t slot)
{
	int fd = file_open(file->dir_fd, slot_names[slot], O_RDWR);
	if (fd == -ENOENT)
		return make_slot(file, slot);
	if (fd < 0)
		return fd;
	file->fds[slot] = fd;

	struct slot found = read_slot(fd, file->buffer);
	if (found.state == SLOT_WHOLE && found.seq >= file->seq) {
		file->seq = found.seq;
		file->next = (slot + 1) % SLOTS; /* never over the newest */
	}
	return 0;
}

void state_clear(struct saved_state *state)
{
	pages_clear(state, sizeof(*state));
}

int state_open(int dir_fd, struct state_file **ret)
{
	struct state_file *file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->fds[0] = file->fds[1] = -1;
	file->dir_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = file->dir_fd < 0 ? -errno : 0;
	for (uint32_t i = 0; i < SLOTS && !error; i++)
		error = open_slot(file, i);
	if (error < 0) {
		state_close(file);
		return error;
	}
	*ret = file;
	return 0;
}

void state_close(struct state_file *file)
{
	if (!file)
		return;
	for (uint32_t i = 0; i < SLOTS; i++)
		if (file->fds[i] >= 0)
			close(file->fds[i]);
	if (file->dir_fd >= 0)
		close(file->dir_fd);
	free(file);
}

void state_anchor(struct state_file *file, const char *journal_head)
{
	snprintf(file->anchor, sizeof(file->anchor), "%s", journal_head);
}

/* --- loading ------------------------------------------------------------------------------------------------------------- */

/* The newest slot whose document is good, as saved. Fills `why` with what was wrong on the way. Zeros *ret otherwise. */
static int load_newest(const int fds[SLOTS], char *buffer, struct saved_state *ret, char ret_anchor[DIGEST_LEN], char *why, size_t why_size)
{
	struct slot slots[SLOTS];
	uint32_t empty = 0;
	why[0] = '\0';
	for (uint32_t i = 0; i < SLOTS; i++) {
		slots[i] = (struct slot){ .state = SLOT_EMPTY };
		if (fds[i] >= 0)
			slots[i] = read_slot(fds[i], buffer);
		empty += slots[i].state == SLOT_EMPTY;
		if (slots[i].state == SLOT_BROKEN)
			snprintf(why, why_size, "%s: %s", slot_names[i], slots[i].why);
	}

	state_clear(ret);
	uint32_t first = slots[1].state == SLOT_WHOLE && (slots[0].state != SLOT_WHOLE || slots[1].seq > slots[0].seq);
	for (uint32_t i = 0; i < SLOTS; i++) {
		uint32_t at = (first + i) % SLOTS;
		if (slots[at].state != SLOT_WHOLE)
			continue;
		struct slot slot = read_slot(fds[at], buffer); /* one buffer for both */
		char fault[WHY_LEN];
		if (slot.state == SLOT_WHOLE && state_parse(slot.text, slot.size, ret, ret_anchor, fault, sizeof(fault)) == 0)
			return 0;
		snprintf(why, why_size, "%s: %s", slot_names[at], slot.state == SLOT_WHOLE ? fault : "it cannot be read");
	}
	return empty == SLOTS ? -ENOENT : -EBADMSG;
}

/* Only what holds something: an empty slot is nobody's evidence. */
static void set_aside(struct state_file *file)
{
	for (uint32_t i = 0; i < SLOTS; i++) {
		char name[64];
		if (file->fds[i] < 0 || read_slot(file->fds[i], file->buffer).state == SLOT_EMPTY)
			continue;
		if (file_set_aside(file->dir_fd, slot_names[i], clock_wall_ns(), name, sizeof(name)) < 0)
			continue; /* then it is overwritten by the saves to come: running goes before keeping what is broken */
		close(file->fds[i]);
		file->fds[i] = -1;
		int error = make_slot(file, i);
		if (error < 0)
			log_warning("state: %s: not made anew yet, tried again at each save: %s", slot_names[i], strerror(-error));
	}
	file->seq = 0;
	file->next = 0;
}

int state_load(struct state_file *file, const char *boot_id, int64_t boot_now_ns, int64_t wall_now_ns, struct saved_state *ret, char *why, size_t why_size)
{
	int error = load_newest(file->fds, file->buffer, ret, file->anchor, why, why_size);
	if (error == -EBADMSG)
		set_aside(file);
	if (error < 0)
		return error;
	state_translate(ret, boot_id, boot_now_ns, wall_now_ns);
	return 0;
}

int state_read_anchor(int dir_fd, char ret[DIGEST_LEN])
{
	char *buffer = malloc(STATE_SLOT_SIZE), why[WHY_LEN];
	struct saved_state *state = malloc(sizeof(*state));
	int fds[SLOTS], error = -ENOMEM;
	for (uint32_t i = 0; i < SLOTS; i++)
		fds[i] = file_open(dir_fd, slot_names[i], O_RDONLY);
	if (buffer && state)
		error = load_newest(fds, buffer, state, ret, why, sizeof(why));
	for (uint32_t i = 0; i < SLOTS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(buffer);
	free(state);
	return error;
}

/* --- saving -------------------------------------------------------------------------------------------------------------- */

/* Prints the document behind room for the header. Its length or -errno. */
static int print_document(struct state_file *file, const struct saved_state *state, bool lean)
{
	cJSON *json = state_to_json(state, file->anchor, lean);
	if (!json)
		return -ENOMEM;
	bool fits = cJSON_PrintPreallocated(json, file->buffer + HEADER_MAX, STATE_SLOT_SIZE - HEADER_MAX, false);
	cJSON_Delete(json);
	return fits ? (int)strlen(file->buffer + HEADER_MAX) : -EFBIG;
}

static int format_slot(struct state_file *file, const struct saved_state *state, const char **ret, size_t *ret_size)
{
	int length = print_document(file, state, false);
	if (length == -EFBIG) {
		length = print_document(file, state, true);
		if (!file->said_lean)
			log_warning("state: it does not fit into %d bytes: kept without the causes and the history of open incidents", STATE_SLOT_SIZE);
		file->said_lean = true;
	}
	if (length < 0)
		return length;

	/* The header's hashed part right before the document, then the hash before that. */
	char numbers[64], header[HEADER_MAX], hex[DIGEST_LEN];
	int tail = snprintf(numbers, sizeof(numbers), "%d %" PRIu64 "\n", length, file->seq + 1);
	char *hashed = file->buffer + HEADER_MAX - tail;
	memcpy(hashed, numbers, (size_t)tail);
	digest_of(hashed, (size_t)tail + (size_t)length, hex);
	int head = snprintf(header, sizeof(header), "sha256 %s ", hex);
	memcpy(hashed - head, header, (size_t)head);
	*ret = hashed - head;
	*ret_size = (size_t)head + (size_t)tail + (size_t)length;
	return 0;
}

int state_save(struct state_file *file, const struct saved_state *state)
{
	if (file->fds[file->next] < 0) {
		int error = make_slot(file, file->next);
		if (error < 0)
			return error;
	}
	const char *data;
	size_t size;
	int error = format_slot(file, state, &data, &size);
	if (error < 0)
		return error;
	error = file_write(file->fds[file->next], data, size, 0);
	if (error < 0)
		return error; /* the other slot still holds the last one; this one is written again */
	if (fdatasync(file->fds[file->next]) < 0)
		return -errno;
	file->seq++;
	file->next = (file->next + 1) % SLOTS;
	return 0;
}
