/* SPDX-License-Identifier: Apache-2.0 */
/* See keys.h. */
#include "push/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/worker.h"

#define FRESH_NS (60 * NSEC_PER_SEC)  /* the kubelet renews a token long before it ends */
#define DOUBT_NS (5 * NSEC_PER_SEC)   /* at most so often on a refusal */
#define FIRST_NS (2 * NSEC_PER_SEC)   /* longest the start waits for one file */

struct key_answer {
	uint32_t index;
	int32_t error;
	uint32_t size;
	char content[KEY_MAX];
};

struct key {
	char path[PATH_LEN];
	char *content;              /* NULL: cannot be read */
	uint64_t asked_ns;          /* 0: not yet */
	bool said;
};

struct keys {
	struct worker reader;
	uint32_t count;
	uint64_t doubted_ns;
	struct key each[KEYS_MAX_FILES];
	struct key_answer answer;
};

/* --- the reader's side ------------------------------------------------------------------------------------------------- */

/* Inherited by the fork and never written again: what the reader may read. */
static const struct keys *readable;

static void keep_only_reading(void)
{
	static const cap_value_t reading = CAP_DAC_READ_SEARCH;
	cap_t wanted = cap_init();
	if (wanted && (cap_set_flag(wanted, CAP_PERMITTED, 1, &reading, CAP_SET) < 0 || cap_set_flag(wanted, CAP_EFFECTIVE, 1, &reading, CAP_SET) < 0 ||
		       cap_set_proc(wanted) < 0))
		(void)cap_clear(wanted); /* not root: there is nothing to give up */
	cap_free(wanted);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* it holds every secret */
}

static int read_key(const char *path, char content[KEY_MAX], uint32_t *ret_size)
{
	/* Not blocking: a FIFO put in the file's place must not stop it. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	struct stat status;
	int error = fstat(fd, &status) < 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -EINVAL;
	if (!error && status.st_size >= KEY_MAX)
		error = -EFBIG;
	uint32_t used = 0;
	while (!error && used < KEY_MAX - 1) {
		ssize_t got = read(fd, content + used, KEY_MAX - 1 - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			error = -errno;
		if (got <= 0)
			break;
		used += (uint32_t)got;
	}
	close(fd);
	*ret_size = used;
	return error;
}

static int serve(int fd)
{
	static struct key_answer answer;
	uint32_t index;
	keep_only_reading();
	while (worker_read(fd, &index, sizeof(index)) > 0) {
		memset(&answer, 0, sizeof(answer));
		answer.index = index;
		answer.error = index < readable->count ? read_key(readable->each[index].path, answer.content, &answer.size) : -EINVAL;
		if (worker_write(fd, &answer, sizeof(answer)) <= 0)
			break;
	}
	return 0;
}

/* --- the sender's side ------------------------------------------------------------------------------------------------- */

static void add_path(struct keys *keys, const char *path)
{
	for (uint32_t i = 0; i < keys->count; i++)
		if (strcmp(keys->each[i].path, path) == 0)
			return;
	if (!path[0])
		return;
	if (keys->count == KEYS_MAX_FILES) {
		log_warning("sender: more than %d files of secrets and certificates, %s is not read", KEYS_MAX_FILES, path);
		return;
	}
	memcpy(keys->each[keys->count++].path, path, strlen(path) + 1);
}

static void add_paths(struct keys *keys, const struct outputs *outputs)
{
	for (uint32_t i = 0; i < outputs->output_count; i++) {
		const struct output *output = &outputs->each[i];
		const char *const paths[] = { output->url_file, output->bearer_token_file, output->password_file, output->ca_file, output->cert_file,
					      output->key_file, output->routing_key_file, output->template_file };
		for (size_t p = 0; p < sizeof(paths) / sizeof(paths[0]); p++)
			add_path(keys, paths[p]);
		for (uint32_t h = 0; h < output->header_file_count; h++)
			add_path(keys, output->header_files[h].value);
	}
}

static void replace(struct key *key, char *content)
{
	if (key->content)
		explicit_bzero(key->content, strlen(key->content));
	free(key->content);
	key->content = content;
}

static void take(struct keys *keys, const struct key_answer *answer)
{
	if (answer->index >= keys->count || answer->size >= KEY_MAX)
		return;
	struct key *key = &keys->each[answer->index];
	if (answer->error) {
		if (!key->said)
			log_warning("sender: %s: cannot be read, looking for it again: %s", key->path, strerror(-answer->error));
		key->said = true;
		return; /* what was read before may still hold */
	}
	uint32_t size = answer->size;
	while (size && strchr(" \t\r\n", answer->content[size - 1]))
		size--;
	char *content = malloc((size_t)size + 1);
	if (!content)
		return;
	memcpy(content, answer->content, size);
	content[size] = 0;
	if (key->said)
		log_info("sender: %s: can be read again", key->path);
	key->said = false;
	replace(key, content);
}

static void ask_next(struct keys *keys, uint64_t now_ns)
{
	for (uint32_t i = 0; i < keys->count && !keys->reader.busy; i++) {
		struct key *key = &keys->each[i];
		if (key->asked_ns && now_ns < key->asked_ns + FRESH_NS)
			continue;
		if (worker_send(&keys->reader, &i, sizeof(i), now_ns) < 0)
			return;
		key->asked_ns = now_ns;
	}
}

uint64_t keys_turn(struct keys *keys, uint64_t now_ns)
{
	uint64_t next = UINT64_MAX;
	while (keys->count && worker_receive(&keys->reader, &keys->answer, sizeof(keys->answer)) == 1) {
		take(keys, &keys->answer);
		explicit_bzero(keys->answer.content, keys->answer.size);
		ask_next(keys, now_ns);
	}
	ask_next(keys, now_ns);
	for (uint32_t i = 0; i < keys->count; i++)
		if (keys->each[i].asked_ns && keys->each[i].asked_ns + FRESH_NS < next)
			next = keys->each[i].asked_ns + FRESH_NS;
	return next <= now_ns ? now_ns + NSEC_PER_SEC : next; /* the reader is at it, or gone */
}

void keys_doubt(struct keys *keys, uint64_t now_ns)
{
	if (now_ns < keys->doubted_ns + DOUBT_NS)
		return;
	keys->doubted_ns = now_ns;
	for (uint32_t i = 0; i < keys->count; i++)
		keys->each[i].asked_ns = 0;
}

const char *keys_get(const struct keys *keys, const char *path)
{
	for (uint32_t i = 0; i < keys->count; i++)
		if (strcmp(keys->each[i].path, path) == 0)
			return keys->each[i].content;
	return NULL;
}

int keys_fd(const struct keys *keys)
{
	return keys->count ? keys->reader.fd : -1;
}

/* So that the first request already has its token: a short wait for each file, and what hangs comes later. */
static void read_first(struct keys *keys)
{
	for (uint32_t i = 0; i < keys->count; i++) {
		struct pollfd wait = { .fd = keys->reader.fd, .events = POLLIN };
		(void)keys_turn(keys, clock_boot_ns());
		if (keys->reader.busy && poll(&wait, 1, (int)(FIRST_NS / NSEC_PER_MSEC)) <= 0)
			return;
		(void)keys_turn(keys, clock_boot_ns());
	}
}

int keys_open(const struct outputs *outputs, struct keys **ret)
{
	struct keys *keys = calloc(1, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	keys->reader = (struct worker){ .name = "keys", .serve = serve, .fd = -1 };
	add_paths(keys, outputs);
	readable = keys;
	int error = keys->count ? worker_start(&keys->reader) : 0;
	if (error < 0) {
		free(keys);
		return error;
	}
	read_first(keys);
	*ret = keys;
	return 0;
}

void keys_close(struct keys *keys)
{
	if (!keys)
		return;
	worker_stop(&keys->reader);
	for (uint32_t i = 0; i < keys->count; i++)
		replace(&keys->each[i], NULL);
	free(keys);
}
