/* SPDX-License-Identifier: Apache-2.0 */
/* See kube.h. */
#include "remedies/kube.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/act.h"
#include "remedies/command.h"

enum { TOKEN_MAX = 16 << 10, CA_MAX = 64 << 10, URL_MAX = 1024, NOBODY = 65534, TASKS = 16 };
#define MEMORY (128ULL << 20)
/* For nm-kube to start and to end: its own time ends before that of the command. */
#define MARGIN_MS 500

struct credentials {
	char token[TOKEN_MAX], ca[CA_MAX];
};

/* --- where, and as whom -------------------------------------------------------------------------------------------------------- */

static int read_whole(int dir_fd, const char *name, char *ret, size_t size)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t used = 0;
	ssize_t got = 0;
	if (fd < 0)
		return -errno;
	while (used < size - 1 && (got = read(fd, ret + used, size - 1 - used)) > 0)
		used += (size_t)got;
	int error = got < 0 ? -errno : used == size - 1 ? -EFBIG : used ? 0 : -ENODATA;
	close(fd);
	ret[error ? 0 : used] = '\0';
	return error;
}

static const char *variable(const char *name, const char *otherwise)
{
	const char *value = getenv(name);
	return value && value[0] ? value : otherwise;
}

static int read_credentials(struct credentials *ret, char *why, size_t why_size)
{
	const char *folder = variable(KUBE_FOLDER_VARIABLE, KUBE_FOLDER);
	int dir_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int error = dir_fd < 0 ? -errno : read_whole(dir_fd, "token", ret->token, sizeof(ret->token));
	if (!error)
		error = read_whole(dir_fd, "ca.crt", ret->ca, sizeof(ret->ca));
	if (dir_fd >= 0)
		close(dir_fd);
	if (error) {
		snprintf(why, why_size, "the service account's token or CA in %.80s cannot be read: %s", folder, strerror(-error));
		return -ENOENT;
	}
	ret->token[strcspn(ret->token, "\r\n")] = '\0'; /* not what would end a header and begin another */
	return 0;
}

static int make_url(const char *path, char url[URL_MAX], char *why, size_t why_size)
{
	const char *host = variable(KUBE_HOST_VARIABLE, NULL), *port = variable(KUBE_PORT_VARIABLE, "443");
	if (!host) {
		snprintf(why, why_size, "no API server is named: " KUBE_HOST_VARIABLE " is not set");
		return -ENODEV;
	}
	bool bare = strchr(host, ':') && host[0] != '['; /* of IPv6 */
	if (host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]")] || port[strspn(port, "0123456789")] ||
	    snprintf(url, URL_MAX, "https://%s%s%s:%s%s", bare ? "[" : "", host, bare ? "]" : "", port, path) >= URL_MAX) {
		snprintf(why, why_size, KUBE_HOST_VARIABLE " or " KUBE_PORT_VARIABLE " is no host or port");
		return -EINVAL;
	}
	return 0;
}

void kube_node(char *ret, size_t size)
{
	const char *name = variable(KUBE_NODE_VARIABLE, NULL);
	if (name)
		snprintf(ret, size, "%s", name);
	else if (gethostname(ret, size) < 0)
		ret[0] = '\0';
	ret[size - 1] = '\0';
	for (char *at = ret; *at && !name; at++)
		*at = (char)tolower((unsigned char)*at); /* as the kubelet does it */
}

int kube_ready(char *why, size_t why_size)
{
	static struct credentials credentials;
	char url[URL_MAX];
	int error = make_url("/", url, why, why_size);
	if (!error)
		error = read_credentials(&credentials, why, why_size);
	explicit_bzero(credentials.token, sizeof(credentials.token));
	return error;
}

/* --- asking -------------------------------------------------------------------------------------------------------------------- */

/* The program beside ours: who can put another there can do so with ours. */
static int open_helper(void)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/nm-kube"));
	if (length <= 0)
		return -ENOENT;
	path[length] = '\0';
	char *slash = strrchr(path, '/');
	snprintf(slash ? slash : path, sizeof("/nm-kube"), "/nm-kube");
	int fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int run_helper(const char *input, uint64_t deadline_boot_ns, char *output, size_t output_size, char *why, size_t why_size)
{
	static const char *const argv[] = { "nm-kube", NULL };
	int helper = open_helper();
	if (helper < 0) {
		snprintf(why, why_size, "nm-kube is not beside this program: %s", strerror(-helper));
		return helper;
	}
	struct command_end end;
	const struct command command = {
		.path = "nm-kube", .argv = argv, .input = input, .input_size = strlen(input), .output = output, .output_size = output_size,
		.complaint = why, .complaint_size = why_size, .deadline_boot_ns = deadline_boot_ns, .uid = NOBODY, .gid = NOBODY, .memory_max = MEMORY,
		.tasks_max = TASKS, .opened = &helper,
	};
	int error = command_run(&command, &end);
	close(helper);
	if (!error && (end.timed_out || end.signal || end.exit_code || end.dropped_bytes)) {
		snprintf(why, why_size, "nm-kube did not come to its end");
		error = -EPROTO;
	}
	return error;
}

static int ask_once(const struct kube_question *question, const struct credentials *credentials, struct kube_answer *ret, char *why, size_t why_size)
{
	static char output[KUBE_BODY_MAX + KUBE_HEAD_MAX];
	char url[URL_MAX];
	int error = make_url(question->path, url, why, why_size);
	if (error)
		return error;
	uint64_t now = clock_boot_ns(), left_ms = question->deadline_boot_ns > now ? (question->deadline_boot_ns - now) / NSEC_PER_MSEC : 0;
	if (left_ms <= 2 * MARGIN_MS) {
		snprintf(why, why_size, "there is no time left to ask");
		return -ETIME;
	}
	const struct kube_call call = {
		.url = url, .method = (char *)question->method, .content_type = (char *)question->content_type, .body = (char *)question->body,
		.token = (char *)credentials->token, .ca = (char *)credentials->ca, .timeout_ms = (uint32_t)(left_ms - MARGIN_MS),
	};
	char *input = kube_call_write(&call);
	if (!input)
		return -ENOMEM;
	error = run_helper(input, question->deadline_boot_ns, output, sizeof(output), why, why_size);
	explicit_bzero(input, strlen(input));
	free(input);
	if (error == 0 && kube_answer_read(output, ret) < 0) {
		snprintf(why, why_size, "nm-kube's answer cannot be read");
		error = -EPROTO;
	}
	/* What was sent and came to no end may have been taken. */
	if (error == -EPROTO) {
		*ret = (struct kube_answer){ .end = KUBE_UNKNOWN, .body = output };
		output[0] = '\0';
		snprintf(ret->error, sizeof(ret->error), "%.150s", why);
		return 0;
	}
	return error;
}

int kube_ask(const struct kube_question *question, struct kube_answer *ret, char *why, size_t why_size)
{
	static struct credentials first, second;
	int error = read_credentials(&first, why, why_size);
	if (!error)
		error = ask_once(question, &first, ret, why, why_size);
	/* Refused before it was looked at: it may have been rotated since it was read. */
	if (!error && ret->end == KUBE_ANSWERED && ret->status == 401 && read_credentials(&second, why, why_size) == 0 &&
	    strcmp(first.token, second.token) != 0)
		error = ask_once(question, &second, ret, why, why_size);
	explicit_bzero(first.token, sizeof(first.token));
	explicit_bzero(second.token, sizeof(second.token));
	return error;
}
