/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket against peers that are strangers, greedy, slow, mad or gone: each costs only itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "core/control.h"
#include "core/control_socket.h"

enum { NOBODY = 65534 };

struct scene {
	char dir[64];
	sd_event *event;
	struct control *control;
	uint32_t asked;
};

static cJSON *handle(void *context, const cJSON *request, bool root)
{
	struct scene *scene = context;
	const char *command = cJSON_GetStringValue(cJSON_GetObjectItem(request, "command"));
	scene->asked++;
	if (command && strcmp(command, "change") == 0 && !root)
		return control_error(4, "for root alone");
	cJSON *answer = cJSON_CreateObject();
	cJSON_AddTrueToObject(answer, "ok");
	cJSON_AddItemToObject(answer, "echo", cJSON_Duplicate(cJSON_GetObjectItem(request, "word"), true));
	double size = cJSON_GetNumberValue(cJSON_GetObjectItem(request, "size"));
	if (size > 0) {
		char *text = malloc((size_t)size + 1);
		assert_non_null(text);
		memset(text, 'x', (size_t)size);
		text[(size_t)size] = '\0';
		cJSON_AddStringToObject(answer, "text", text);
		free(text);
	}
	return answer;
}

static int open_scene(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	assert_non_null(scene);
	strcpy(scene->dir, "/tmp/nodemend-control-XXXXXX");
	assert_non_null(mkdtemp(scene->dir));
	assert_int_equal(chmod(scene->dir, 0755), 0);
	assert_true(sd_event_new(&scene->event) >= 0);
	assert_int_equal(control_listen(scene->event, scene->dir, handle, scene, &scene->control), 0);
	*state = scene;
	return 0;
}

static int close_scene(void **state)
{
	struct scene *scene = *state;
	control_close(scene->control);
	sd_event_unref(scene->event);
	char path[128];
	snprintf(path, sizeof(path), "%s/control.lock", scene->dir);
	(void)unlink(path);
	(void)rmdir(scene->dir);
	free(scene);
	return 0;
}

static int try_connect(const struct scene *scene)
{
	struct sockaddr_un address;
	control_address(scene->dir, -1, &address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	int error = -errno;
	close(fd);
	return error;
}

/* Lets the server take what is there; for what has no event on our side. */
static void turn(struct scene *scene)
{
	while (sd_event_run(scene->event, 0) > 0)
		;
}

static int connect_peer(struct scene *scene)
{
	int fd = try_connect(scene);
	assert_true(fd >= 0);
	turn(scene);
	return fd;
}

static bool is_readable(int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	return poll(&poller, 1, 0) > 0;
}

/* One line of the server's, or "" when it hung up; runs the server meanwhile. Owned by the caller. */
static char *read_line(struct scene *scene, int fd)
{
	size_t size = 8 << 20, length = 0;
	char *line = calloc(1, size);
	assert_non_null(line);
	for (;;) {
		while (!is_readable(fd))
			assert_true(sd_event_run(scene->event, UINT64_MAX) >= 0);
		ssize_t got = recv(fd, line + length, 1, 0);
		if (got <= 0 || line[length] == '\n') {
			line[length] = '\0';
			return line;
		}
		/* Fast through the middle of a long line. */
		length++;
		got = recv(fd, line + length, size - length - 1, MSG_PEEK | MSG_DONTWAIT);
		char *end = got > 0 ? memchr(line + length, '\n', (size_t)got) : NULL;
		size_t take = end ? (size_t)(end - line - (ssize_t)length) : got > 0 ? (size_t)got : 0;
		if (take)
			assert_int_equal(recv(fd, line + length, take, 0), take);
		length += take;
		line[length] = '\0';
	}
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void expect(struct scene *scene, int fd, const char *part)
{
	char *line = read_line(scene, fd);
	if (!strstr(line, part))
		fail_msg("wanted %s in: %.200s", part, line);
	free(line);
}

static void expect_end(struct scene *scene, int fd)
{
	char *line = read_line(scene, fd);
	assert_string_equal(line, "");
	free(line);
}

static void expect_alive(struct scene *scene)
{
	int fd = connect_peer(scene);
	say(fd, "{\"command\":\"echo\",\"word\":\"alive\"}\n");
	expect(scene, fd, "\"alive\"");
	close(fd);
	turn(scene);
}

static uint64_t cut_off(const struct scene *scene)
{
	uint64_t turned_away, cut;
	control_counts(scene->control, &turned_away, &cut);
	return cut;
}

static uint64_t turned_away(const struct scene *scene)
{
	uint64_t away, cut;
	control_counts(scene->control, &away, &cut);
	return away;
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *context)
{
	*(bool *)context = true;
	return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

/* What control_call says in a process of its own: 0 = ok, a code of the answer, or 100 - error. */
static int call_from_child(struct scene *scene, const char *dir, const char *command, uid_t uid)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(ends[0]);
		if (uid && (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
			_exit(99);
		cJSON *request = cJSON_CreateObject(), *answer = NULL;
		cJSON_AddStringToObject(request, "command", command);
		int error = control_call(dir, request, &answer);
		if (error < 0)
			_exit(100 - error);
		_exit(cJSON_IsTrue(cJSON_GetObjectItem(answer, "ok")) ? 0 : (int)cJSON_GetNumberValue(cJSON_GetObjectItem(answer, "code")));
	}

	/* The child's end of the pipe closes with it. */
	close(ends[1]);
	bool ended = false;
	sd_event_source *source;
	assert_true(sd_event_add_io(scene->event, &source, ends[0], EPOLLIN, on_end, &ended) >= 0);
	while (!ended)
		assert_true(sd_event_run(scene->event, UINT64_MAX) >= 0);
	sd_event_source_disable_unref(source);
	close(ends[0]);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* --- who ---------------------------------------------------------------------------------------------------------------- */

static void root_is_answered(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(call_from_child(*state, ((struct scene *)*state)->dir, "change", 0), 0);
}

static void stranger_cannot_connect(void **state)
{
	if (geteuid() != 0)
		skip();
	struct scene *scene = *state;
	assert_int_equal(call_from_child(scene, scene->dir, "change", NOBODY), 100 + EACCES);
	assert_int_equal(scene->asked, 0);
}

/* As a member of the group: the socket lets it in, the command does not. */
static void reader_cannot_change(void **state)
{
	if (geteuid() != 0)
		skip();
	struct scene *scene = *state;
	char path[128];
	snprintf(path, sizeof(path), "%s/control.sock", scene->dir);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(call_from_child(scene, scene->dir, "change", NOBODY), 4);
	assert_int_equal(call_from_child(scene, scene->dir, "look", NOBODY), 0);
}

static void readers_leave_room_for_root(void **state)
{
	if (geteuid() != 0)
		skip();
	struct scene *scene = *state;
	char path[128];
	int fds[CONTROL_MAX_PEERS + 4];
	snprintf(path, sizeof(path), "%s/control.sock", scene->dir);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(seteuid(NOBODY), 0);
	for (size_t i = 0; i < CONTROL_MAX_PEERS + 4; i++)
		fds[i] = connect_peer(scene);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(turned_away(scene), CONTROL_MAX_PEERS + 4 - CONTROL_MAX_READERS);
	expect_alive(scene);
	for (size_t i = 0; i < CONTROL_MAX_PEERS + 4; i++)
		close(fds[i]);
}

/* --- what ---------------------------------------------------------------------------------------------------------------- */

static void requests_on_one_line_each(void **state)
{
	struct scene *scene = *state;
	int fd = connect_peer(scene);
	say(fd, "{\"word\":\"one\"}\n{\"word\":\"two\"}\r\n{\"word\":\"th");
	expect(scene, fd, "\"one\"");
	expect(scene, fd, "\"two\"");
	say(fd, "ree\"}\n");
	expect(scene, fd, "\"three\"");
	close(fd);
}

static void garbage_is_told_so(void **state)
{
	struct scene *scene = *state;
	static const char *const garbage[] = {
		"\n", "nonsense\n", "[]\n", "42\n", "{}{}\n", "{\"command\":\n", "\x01\xff\xfe\n", "{\"a\":1} x\n", "null\n", "\"{}\"\n",
	};
	int fd = connect_peer(scene);
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		say(fd, garbage[i]);
		expect(scene, fd, "\"code\":2");
	}
	assert_int_equal(scene->asked, 0);
	say(fd, "{\"word\":\"and now?\"}\n");
	expect(scene, fd, "and now?");
	close(fd);
}

static void nul_is_not_an_end(void **state)
{
	struct scene *scene = *state;
	int fd = connect_peer(scene);
	assert_int_equal(send(fd, "{}\0{}\n", 6, 0), 6);
	expect(scene, fd, "\"code\":2");
	assert_int_equal(scene->asked, 0);
	close(fd);
}

static void deep_nesting_is_refused(void **state)
{
	struct scene *scene = *state;
	int fd = connect_peer(scene);
	char *text = malloc(CONTROL_MAX_REQUEST);
	assert_non_null(text);
	memset(text, '[', 60000);
	text[60000] = '\n';
	assert_int_equal(send(fd, text, 60001, 0), 60001);
	free(text);
	expect(scene, fd, "\"code\":2");
	close(fd);
	expect_alive(scene);
}

static void endless_line_is_cut_off(void **state)
{
	struct scene *scene = *state;
	int fd = connect_peer(scene);
	static char block[64 << 10];
	memset(block, 'a', sizeof(block));
	size_t sent = 0;
	while (sent < 1 << 20) {
		ssize_t now = send(fd, block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (now < 0 && errno != EAGAIN)
			break;
		sent += now > 0 ? (size_t)now : 0;
		turn(scene);
	}
	assert_true(sent < 1 << 20);
	expect(scene, fd, "at most 65536 bytes");
	expect_end(scene, fd);
	close(fd);
	assert_int_equal(cut_off(scene), 1);
	assert_int_equal(scene->asked, 0);
	expect_alive(scene);
}

static void half_a_request_is_dropped(void **state)
{
	struct scene *scene = *state;
	int fd = connect_peer(scene);
	say(fd, "{\"command\":\"ec");
	close(fd);
	turn(scene);
	assert_int_equal(cut_off(scene), 1);
	assert_int_equal(scene->asked, 0);
	expect_alive(scene);
}

static void peer_that_closes_before_its_answer(void **state)
{
	struct scene *scene = *state;
	int fd = try_connect(scene);
	assert_true(fd >= 0);
	say(fd, "{\"size\":3000000}\n");
	close(fd);
	turn(scene);
	assert_int_equal(scene->asked, 1);
	expect_alive(scene);
}

/* --- how much ------------------------------------------------------------------------------------------------------------ */

static void hundred_connections(void **state)
{
	struct scene *scene = *state;
	int fds[100];
	for (size_t i = 0; i < 100; i++)
		fds[i] = connect_peer(scene);
	uint64_t room = geteuid() == 0 ? CONTROL_MAX_PEERS : CONTROL_MAX_READERS;
	assert_int_equal(turned_away(scene), 100 - room);
	expect(scene, fds[99], "too many");
	say(fds[0], "{\"word\":\"still here\"}\n");
	expect(scene, fds[0], "still here");
	close(fds[1]);
	turn(scene);
	expect_alive(scene);
	for (size_t i = 0; i < 100; i++)
		if (i != 1)
			close(fds[i]);
}

static void peer_that_does_not_read(void **state)
{
	struct scene *scene = *state;
	int fd = connect_peer(scene);
	say(fd, "{\"size\":3000000}\n{\"word\":\"after it\"}\n");
	turn(scene);
	expect_alive(scene);
	char *line = read_line(scene, fd);
	assert_true(strlen(line) > 3000000);
	free(line);
	expect(scene, fd, "after it");
	assert_int_equal(cut_off(scene), 0);
	close(fd);
}

static void answer_has_a_bound(void **state)
{
	struct scene *scene = *state;
	int fd = connect_peer(scene);
	say(fd, "{\"size\":5000000}\n");
	expect(scene, fd, "ask for less");
	close(fd);
}

static void silent_peer_is_cut_off(void **state)
{
	struct scene *scene = *state;
	control_set_patience(scene->control, 1000000);
	int fd = connect_peer(scene);
	expect_end(scene, fd);
	close(fd);
	assert_int_equal(cut_off(scene), 1);
	control_set_patience(scene->control, CONTROL_PATIENCE_NS);
	expect_alive(scene);
}

/* --- where --------------------------------------------------------------------------------------------------------------- */

static void socket_is_for_root_and_group(void **state)
{
	struct scene *scene = *state;
	struct stat status;
	char path[128];
	snprintf(path, sizeof(path), "%s/control.sock", scene->dir);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0660);
	control_close(scene->control);
	scene->control = NULL;
	assert_int_equal(stat(path, &status), -1);
	assert_int_equal(try_connect(scene), -ENOENT);
}

static void living_agent_is_not_replaced(void **state)
{
	struct scene *scene = *state;
	struct control *second = NULL;
	assert_int_equal(control_listen(scene->event, scene->dir, handle, scene, &second), -EADDRINUSE);
	assert_null(second);
	expect_alive(scene);
}

/* One that holds no lock of ours answers there: it is left alone all the same. */
static void living_stranger_is_not_replaced(void **state)
{
	struct scene *scene = *state;
	control_close(scene->control);
	scene->control = NULL;
	struct sockaddr_un address;
	control_address(scene->dir, -1, &address);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(control_listen(scene->event, scene->dir, handle, scene, &scene->control), -EADDRINUSE);
	close(fd); /* it died, and its socket is stale */
	assert_int_equal(control_listen(scene->event, scene->dir, handle, scene, &scene->control), 0);
	expect_alive(scene);
}

static void what_is_no_socket_stays(void **state)
{
	struct scene *scene = *state;
	control_close(scene->control);
	scene->control = NULL;
	char path[128];
	snprintf(path, sizeof(path), "%s/control.sock", scene->dir);
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(control_listen(scene->event, scene->dir, handle, scene, &scene->control), -EEXIST);
	assert_int_equal(unlink(path), 0);
}

static void missing_directory_is_said(void **state)
{
	struct control *control = NULL;
	struct scene *scene = *state;
	cJSON *answer = NULL, *request = cJSON_CreateObject();
	assert_int_equal(control_listen(scene->event, "/nonexistent/nodemend", handle, scene, &control), -ENOENT);
	assert_int_equal(control_call("/nonexistent/nodemend", request, &answer), -ENOENT);
	assert_null(answer);
	cJSON_Delete(request);
}

static void long_directory_works(void **state)
{
	struct scene *scene = *state;
	char name[200], path[320];
	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(path, sizeof(path), "%s/%s", scene->dir, name);
	assert_int_equal(mkdir(path, 0755), 0);

	struct control *deep = NULL;
	assert_int_equal(control_listen(scene->event, path, handle, scene, &deep), 0);
	assert_int_equal(call_from_child(scene, path, "look", 0), 0);
	control_close(deep);
	char lock[400];
	snprintf(lock, sizeof(lock), "%s/control.lock", path);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(rmdir(path), 0);
}

#define WITH_SCENE(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SCENE(root_is_answered), WITH_SCENE(stranger_cannot_connect), WITH_SCENE(reader_cannot_change), WITH_SCENE(readers_leave_room_for_root),
		WITH_SCENE(requests_on_one_line_each), WITH_SCENE(garbage_is_told_so), WITH_SCENE(nul_is_not_an_end), WITH_SCENE(deep_nesting_is_refused),
		WITH_SCENE(endless_line_is_cut_off), WITH_SCENE(half_a_request_is_dropped), WITH_SCENE(peer_that_closes_before_its_answer),
		WITH_SCENE(hundred_connections), WITH_SCENE(peer_that_does_not_read), WITH_SCENE(answer_has_a_bound), WITH_SCENE(silent_peer_is_cut_off),
		WITH_SCENE(socket_is_for_root_and_group), WITH_SCENE(living_agent_is_not_replaced), WITH_SCENE(living_stranger_is_not_replaced),
		WITH_SCENE(what_is_no_socket_stays), WITH_SCENE(missing_directory_is_said), WITH_SCENE(long_directory_works),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
