/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server side of the control socket: peers that may be hostile, each with its own bounds. What a command means is the
 * handler's; the client side is control_call.c.
 */
#include "core/control.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "core/account.h"
#include "core/control_socket.h"
#include "core/log.h"

/* Acting goes before answering, and whoever asks without end must not cost a core: so many turns a second, then the others'. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 50)
#define TURNS_USEC 1000000
#define CONNECTIONS 256
#define TURNS 64

struct peer {
	struct control *control;
	int fd;                         /* -1 = free */
	bool root;
	sd_event_source *io, *timer;
	char *request;                  /* CONTROL_MAX_REQUEST, allocated at accept */
	size_t request_length;
	char *answer;                   /* being sent; NULL = none */
	size_t answer_length, answer_sent;
};

struct control {
	int dir_fd, lock_fd, fd;
	sd_event_source *source;
	control_handler handler;
	void *context;
	uint64_t patience_ns, turned_away, cut_off;
	struct peer peers[CONTROL_MAX_PEERS];
};

struct cJSON *control_error(int code, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);

	cJSON *error = cJSON_CreateObject();
	if (cJSON_AddFalseToObject(error, "ok") && cJSON_AddNumberToObject(error, "code", code) && cJSON_AddStringToObject(error, "error", text))
		return error;
	cJSON_Delete(error);
	return NULL;
}

/* --- one peer --------------------------------------------------------------------------------------------------------- */

static void peer_close(struct peer *peer)
{
	peer->io = sd_event_source_disable_unref(peer->io);
	peer->timer = sd_event_source_disable_unref(peer->timer);
	if (peer->fd >= 0)
		close(peer->fd);
	free(peer->request);
	free(peer->answer);
	*peer = (struct peer){ .control = peer->control, .fd = -1 };
}

static void peer_cut_off(struct peer *peer)
{
	peer->control->cut_off++;
	peer_close(peer);
}

/* Last words: who has no room for one line is gone already. */
static void say(int fd, const char *sentence, int code)
{
	char line[160];
	int length = snprintf(line, sizeof(line), "{\"ok\":false,\"code\":%d,\"error\":\"%s\"}\n", code, sentence);
	(void)!send(fd, line, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The text of the answer with its newline; NULL = out of memory. */
static char *line_of(const cJSON *json, size_t *ret_length)
{
	char *text = cJSON_PrintUnformatted(json);
	if (!text)
		return NULL;
	size_t length = strlen(text);
	char *line = realloc(text, length + 2);
	if (!line) {
		free(text);
		return NULL;
	}
	line[length] = '\n';
	line[length + 1] = '\0';
	*ret_length = length + 1;
	return line;
}

static cJSON *answer_to(const struct peer *peer, const char *text, size_t length)
{
	const char *end = NULL;
	cJSON *request = cJSON_ParseWithLengthOpts(text, length, &end, false);
	cJSON *answer;
	while (end && end < text + length && (*end == ' ' || *end == '\t' || *end == '\r'))
		end++;
	if (!cJSON_IsObject(request) || end != text + length)
		answer = control_error(2, "a request is one JSON object on one line");
	else
		answer = peer->control->handler(peer->control->context, request, peer->root);
	cJSON_Delete(request);
	return answer;
}

/* 0, or -ENOMEM. */
static int peer_answer(struct peer *peer, cJSON *answer)
{
	if (!answer)
		return -ENOMEM;
	peer->answer = line_of(answer, &peer->answer_length);
	peer->answer_sent = 0;
	cJSON_Delete(answer);
	if (!peer->answer)
		return -ENOMEM;
	if (peer->answer_length <= CONTROL_MAX_ANSWER)
		return 0;

	free(peer->answer);
	peer->answer = NULL;
	return peer_answer(peer, control_error(1, "the answer is larger than %d bytes: ask for less", CONTROL_MAX_ANSWER));
}

/* 1: all is sent; 0: the peer must read first; -errno. */
static int peer_send(struct peer *peer)
{
	while (peer->answer_sent < peer->answer_length) {
		ssize_t sent = send(peer->fd, peer->answer + peer->answer_sent, peer->answer_length - peer->answer_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		peer->answer_sent += (size_t)sent;
	}
	free(peer->answer);
	peer->answer = NULL;
	return 1;
}

/* Takes one line out of the buffer and answers it. 1: answered whole; 0: no whole line, or not yet sent; -errno: end it. */
static int peer_step(struct peer *peer)
{
	char *end = memchr(peer->request, '\n', peer->request_length);
	if (!end && peer->request_length == CONTROL_MAX_REQUEST) {
		say(peer->fd, "a request has at most 65536 bytes", 2);
		return -EMSGSIZE;
	}
	if (!end)
		return 0;

	size_t length = (size_t)(end - peer->request);
	int error = peer_answer(peer, answer_to(peer, peer->request, length));
	if (error < 0)
		return error;
	peer->request_length -= length + 1;
	memmove(peer->request, end + 1, peer->request_length);
	return peer_send(peer);
}

/* 1: something came; 0: nothing now; -ENODATA: the peer closed; -errno. */
static int peer_receive(struct peer *peer)
{
	size_t room = CONTROL_MAX_REQUEST - peer->request_length;
	ssize_t got = recv(peer->fd, peer->request + peer->request_length, room, MSG_DONTWAIT);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (got == 0)
		return -ENODATA;
	peer->request_length += (size_t)got;
	return 1;
}

/* One read and one answer an event: whoever asks a thousand things at once waits behind everybody else between them. */
static int on_peer(sd_event_source *source, int fd, uint32_t events, void *context)
{
	struct peer *peer = context;
	int step = peer->answer ? peer_send(peer) : 1;
	if (step > 0) {
		int received = (events & EPOLLIN) && peer->request_length < CONTROL_MAX_REQUEST ? peer_receive(peer) : 0;
		if (received == -ENODATA && peer->request_length == 0) {
			peer_close(peer);
			return 0;
		}
		step = received < 0 ? received : peer_step(peer);
	}
	if (step < 0) {
		peer_cut_off(peer);
		return 0;
	}

	/* A line that waits in the buffer makes no event of its own: a writable socket does. */
	bool more = peer->answer || memchr(peer->request, '\n', peer->request_length);
	if (sd_event_source_set_io_events(peer->io, more ? EPOLLOUT : EPOLLIN) < 0)
		peer_cut_off(peer);
	return 0;
}

static int on_overstay(sd_event_source *source, uint64_t usec, void *context)
{
	peer_cut_off(context);
	return 0;
}

/* --- the socket ------------------------------------------------------------------------------------------------------- */

static struct peer *free_peer(struct control *control, bool root)
{
	struct peer *free_one = NULL;
	uint32_t readers = 0;
	for (uint32_t i = 0; i < CONTROL_MAX_PEERS; i++) {
		struct peer *peer = &control->peers[i];
		if (peer->fd < 0)
			free_one = peer;
		else if (!peer->root)
			readers++;
	}
	return root || readers < CONTROL_MAX_READERS ? free_one : NULL;
}

static void turn_away(struct control *control, int fd)
{
	say(fd, "too many are talking to the agent at once: try again in a moment", 1);
	control->turned_away++;
	close(fd);
}

static int prepare(sd_event_source *source, unsigned int turns)
{
	int error = sd_event_source_set_priority(source, PRIORITY);
	return error < 0 ? error : sd_event_source_set_ratelimit(source, TURNS_USEC, turns);
}

static int on_connection(sd_event_source *source, int listen_fd, uint32_t events, void *context)
{
	struct control *control = context;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return 0; /* gone again, or no descriptors now: it stays in the backlog */

	struct ucred who;
	socklen_t size = sizeof(who);
	bool root = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.uid == 0;
	struct peer *peer = free_peer(control, root);
	if (!peer) {
		turn_away(control, fd);
		return 0;
	}

	sd_event *event = sd_event_source_get_event(source);
	peer->fd = fd;
	peer->root = root;
	peer->request = malloc(CONTROL_MAX_REQUEST);
	int error = peer->request ? 0 : -ENOMEM;
	if (error == 0)
		error = sd_event_add_io(event, &peer->io, fd, EPOLLIN, on_peer, peer);
	if (error >= 0)
		error = sd_event_add_time_relative(event, &peer->timer, CLOCK_MONOTONIC, control->patience_ns / 1000, 0, on_overstay, peer);
	if (error >= 0)
		error = prepare(peer->io, TURNS);
	if (error < 0)
		peer_cut_off(peer);
	return 0;
}

/* Held as long as the agent lives, so that of two that start at once only one finds the old socket stale. */
static int take_lock(int dir_fd)
{
	int fd = openat(dir_fd, "control.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return fd;
	int error = errno == EAGAIN || errno == EACCES ? -EADDRINUSE : -errno;
	close(fd);
	return error;
}

/* 0: nothing is in the way; -EADDRINUSE: somebody answers there. What is not a socket is not ours to remove. */
static int remove_stale(int dir_fd, const struct sockaddr_un *address)
{
	struct stat found;
	if (fstatat(dir_fd, CONTROL_SOCKET, &found, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(found.st_mode))
		return -EEXIST;

	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
	close(fd);
	if (error != -ECONNREFUSED)
		return error == 0 || error == -EAGAIN ? -EADDRINUSE : error;
	return unlinkat(dir_fd, CONTROL_SOCKET, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* Nobody can connect before listen(), so that the mode is right from the first moment on. */
static int bind_socket(struct control *control, const struct sockaddr_un *address)
{
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (control->fd < 0)
		return -errno;
	if (bind(control->fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return -errno;
	gid_t group;
	if (account_group("nodemend", &group) == 0 && fchownat(control->dir_fd, CONTROL_SOCKET, (uid_t)-1, group, AT_SYMLINK_NOFOLLOW) < 0)
		log_warning("control: the group nodemend cannot read status: %s", strerror(errno));
	if (fchmodat(control->dir_fd, CONTROL_SOCKET, 0660, 0) < 0)
		return -errno;
	return listen(control->fd, CONTROL_MAX_PEERS) < 0 ? -errno : 0;
}

static int open_socket(struct control *control, const char *run_dir)
{
	control->dir_fd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (control->dir_fd < 0)
		return -errno;
	control->lock_fd = take_lock(control->dir_fd);
	if (control->lock_fd < 0)
		return control->lock_fd;

	struct sockaddr_un address;
	control_address(run_dir, control->dir_fd, &address);
	int error = remove_stale(control->dir_fd, &address);
	return error < 0 ? error : bind_socket(control, &address);
}

int control_listen(struct sd_event *event, const char *run_dir, control_handler handler, void *context, struct control **ret)
{
	struct control *control = calloc(1, sizeof(*control));
	if (!control)
		return -ENOMEM;
	control->dir_fd = control->lock_fd = control->fd = -1;
	control->handler = handler;
	control->context = context;
	control->patience_ns = CONTROL_PATIENCE_NS;
	for (uint32_t i = 0; i < CONTROL_MAX_PEERS; i++)
		control->peers[i] = (struct peer){ .control = control, .fd = -1 };

	int error = open_socket(control, run_dir);
	if (error < 0)
		goto fail;
	error = sd_event_add_io(event, &control->source, control->fd, EPOLLIN, on_connection, control);
	if (error < 0)
		goto fail;
	error = prepare(control->source, CONNECTIONS);
	if (error < 0)
		goto fail;
	*ret = control;
	return 0;
fail:
	control_close(control);
	return error;
}

void control_set_patience(struct control *control, uint64_t patience_ns)
{
	control->patience_ns = patience_ns;
}

void control_counts(const struct control *control, uint64_t *ret_turned_away, uint64_t *ret_cut_off)
{
	*ret_turned_away = control->turned_away;
	*ret_cut_off = control->cut_off;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void control_close(struct control *control)
{
	if (!control)
		return;
	for (uint32_t i = 0; i < CONTROL_MAX_PEERS; i++)
		peer_close(&control->peers[i]);
	sd_event_source_disable_unref(control->source);
	if (control->fd >= 0)
		(void)unlinkat(control->dir_fd, CONTROL_SOCKET, 0); /* somebody took it away already: as wanted */
	close_fd(control->fd);
	close_fd(control->lock_fd);
	close_fd(control->dir_fd);
	free(control);
}
