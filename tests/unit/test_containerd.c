/* SPDX-License-Identifier: Apache-2.0 */
/* containerd's answers as bytes of protobuf, whole and broken; and the client of gRPC against a server that does to each call what a test wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/clock.h"
#include "remedies/engine_containerd.h"
#include "remedies/unix_grpc.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct engine_images images;
static struct engine_containers containers;

/* --- messages ------------------------------------------------------------------------------------------------------------ */

struct text {
	unsigned char bytes[4096];
	size_t size;
};

static void put_varint(struct text *text, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		text->bytes[text->size++] = (unsigned char)(value | 0x80);
	text->bytes[text->size++] = (unsigned char)value;
}

static void put_number(struct text *text, uint32_t field, uint64_t value)
{
	put_varint(text, field << 3);
	put_varint(text, value);
}

static void put_bytes(struct text *text, uint32_t field, const void *bytes, size_t size)
{
	put_varint(text, field << 3 | 2);
	put_varint(text, size);
	memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
}

static void put_text(struct text *text, uint32_t field, const char *value)
{
	put_bytes(text, field, value, strlen(value));
}

static void put_image(struct text *list, const char *id, const char *tag, const char *digest, uint64_t size, bool pinned)
{
	struct text image = { .size = 0 };
	put_text(&image, 1, id);
	if (tag)
		put_text(&image, 2, tag);
	if (digest)
		put_text(&image, 3, digest);
	put_number(&image, 4, size);
	if (pinned)
		put_number(&image, 8, 1);
	put_bytes(list, 1, image.bytes, image.size);
}

static void put_arrival(struct text *list, const char *name, uint64_t seconds)
{
	struct text record = { .size = 0 }, time = { .size = 0 };
	put_number(&time, 1, seconds);
	put_text(&record, 1, name);
	put_bytes(&record, 7, time.bytes, time.size);
	put_bytes(list, 1, record.bytes, record.size);
}

static void put_container(struct text *list, const char *id, const char *spec, const char *ref)
{
	struct text container = { .size = 0 }, image = { .size = 0 };
	put_text(&container, 1, id);
	put_text(&image, 1, spec);
	put_bytes(&container, 4, image.bytes, image.size);
	if (ref)
		put_text(&container, 5, ref);
	put_bytes(list, 1, container.bytes, container.size);
}

static struct text three_images(void)
{
	struct text list = { .size = 0 };
	put_image(&list, "sha256:" ID_A, "shop/web:1", "shop/web@sha256:" ID_B, 1000, false);
	put_image(&list, "sha256:" ID_B, "registry.k8s.io/pause:3.9", NULL, 10, false);
	put_image(&list, "sha256:0123", "odd", NULL, 10, false);
	return list;
}

static void images_are_read(void **state)
{
	struct text list = three_images(), arrivals = { .size = 0 };
	assert_int_equal(containerd_read_images(list.bytes, list.size, &images), 0);
	assert_int_equal(images.count, 2);
	assert_int_equal(images.cut, 1);
	assert_string_equal(images.each[0].id, ID_A);
	assert_int_equal(images.each[0].name_count, 2);
	assert_int_equal(images.each[0].bytes, 1000);
	assert_int_equal(images.each[0].own_bytes, UNKNOWN);
	assert_false(images.each[0].pinned);
	assert_true(images.each[1].pinned); /* what sandboxes are made of, which no list of containers has */

	/* Each of its names is a record: the youngest counts. */
	put_arrival(&arrivals, "shop/web:1", 2000);
	put_arrival(&arrivals, "sha256:" ID_A, 3000);
	put_arrival(&arrivals, "shop/web@sha256:" ID_B, 1000);
	put_arrival(&arrivals, "registry.k8s.io/pause:3.9", UINT64_MAX);
	containerd_read_arrivals(arrivals.bytes, arrivals.size, &images);
	assert_int_equal(images.each[0].arrived_wall_ns, 3000 * (int64_t)NSEC_PER_SEC);
	assert_int_equal(images.each[1].arrived_wall_ns, 0);
}

static void a_container_must_say_its_image(void **state)
{
	struct text list = { .size = 0 };
	put_container(&list, ID_A, "shop/web:1", "sha256:" ID_B);
	put_container(&list, ID_A, "sha256:" ID_A, NULL);
	put_container(&list, ID_A, "shop/web:1", "shop/web@sha256:" ID_B);
	assert_int_equal(containerd_read_containers(list.bytes, list.size, &containers), 0);
	assert_int_equal(containers.count, 2);
	assert_int_equal(containers.cut, 1);
	assert_string_equal(containers.each[0].image_id, ID_B);
	assert_string_equal(containers.each[0].image, "shop/web:1");
	assert_string_equal(containers.each[1].image_id, ID_A);
	assert_true(containers.each[0].of_pod);
}

static void what_is_broken_is_said(void **state)
{
	static const char *const broken[] = { "\x0a", "\x0a\x05hell", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x0b", "\x09ghijklm", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" };
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_int_equal(containerd_read_images(broken[i], strlen(broken[i]), &images), -EPROTO);
	struct text list = three_images();
	uint32_t seed = 7;
	for (int round = 0; round < 20000; round++) {
		seed = seed * 1664525 + 1013904223;
		size_t size = (seed >> 8) % (list.size + 1);
		unsigned char *copy = malloc(size ? size : 1); /* of its own size, so that a sanitizer sees the byte beyond it */
		memcpy(copy, list.bytes, size);
		for (int i = 0; i < 2 && size; i++) {
			seed = seed * 1664525 + 1013904223;
			copy[(seed >> 8) % size] = (unsigned char)(seed >> 24);
		}
		int read = containerd_read_images(copy, size, &images);
		containerd_read_arrivals(copy, size, &images);
		(void)containerd_read_containers(copy, size, &containers);
		assert_true(read == 0 || read == -EPROTO);
		free(copy);
	}
}

/* --- calls --------------------------------------------------------------------------------------------------------------- */

static struct reply {
	const char *status, *grpc, *message;
	const unsigned char *body;
	size_t size, sent;
	size_t endless;              /* so many bytes, whatever the body says */
	const char *raw;             /* instead of HTTP/2 */
	bool silent;
} reply;

static char dir[64], path[108];
static int listening;
static pthread_t thread;
static char seen_path[128], seen_namespace[32];
static unsigned char seen_body[64];
static size_t seen_size;
static bool asked;

static ssize_t give_body(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t length, uint32_t *flags, nghttp2_data_source *source, void *context)
{
	size_t whole = reply.endless ? reply.endless : reply.size, left = whole - reply.sent, piece = left < length ? left : length;
	if (reply.endless)
		memset(buffer, 0, piece);
	else if (piece)
		memcpy(buffer, reply.body + reply.sent, piece);
	reply.sent += piece;
	if (reply.sent == whole) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (reply.grpc) {
			nghttp2_nv trailers[] = { { (uint8_t *)"grpc-status", (uint8_t *)reply.grpc, 11, strlen(reply.grpc), 0 },
						  { (uint8_t *)"grpc-message", (uint8_t *)reply.message, 12, strlen(reply.message), 0 } };
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			nghttp2_submit_trailer(session, stream, trailers, 2);
		}
	}
	return (ssize_t)piece;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) || asked || reply.silent)
		return 0;
	asked = true;
	nghttp2_nv headers[] = { { (uint8_t *)":status", (uint8_t *)reply.status, 7, strlen(reply.status), 0 } };
	nghttp2_data_provider provider = { .read_callback = give_body };
	return nghttp2_submit_response(session, frame->hd.stream_id, headers, 1, &provider);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length, const uint8_t *value, size_t length, uint8_t flags,
		     void *context)
{
	if (strcmp((const char *)name, ":path") == 0)
		snprintf(seen_path, sizeof(seen_path), "%s", (const char *)value);
	if (strcmp((const char *)name, "containerd-namespace") == 0)
		snprintf(seen_namespace, sizeof(seen_namespace), "%s", (const char *)value);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t length, void *context)
{
	for (size_t i = 0; i < length && seen_size < sizeof(seen_body); i++)
		seen_body[seen_size++] = data[i];
	return 0;
}

static void serve_http2(int fd)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *session;
	const uint8_t *bytes;
	uint8_t buffer[4096];
	ssize_t size;
	nghttp2_session_callbacks_new(&callbacks);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_server_new(&session, callbacks, NULL);
	nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, NULL, 0);
	for (bool open = true; open;) {
		while (open && (size = nghttp2_session_mem_send(session, &bytes)) > 0)
			for (ssize_t done; open && size > 0; bytes += done, size -= done)
				open = (done = send(fd, bytes, (size_t)size, MSG_NOSIGNAL)) > 0;
		size = open ? recv(fd, buffer, sizeof(buffer), 0) : 0;
		open = size > 0 && nghttp2_session_mem_recv(session, buffer, (size_t)size) >= 0;
	}
	nghttp2_session_del(session);
	nghttp2_session_callbacks_del(callbacks);
}

static void *serve(void *context)
{
	char request[256];
	for (int fd; (fd = accept(listening, NULL, NULL)) >= 0; close(fd)) {
		if (!reply.raw) {
			serve_http2(fd);
			continue;
		}
		(void)!recv(fd, request, sizeof(request), 0);
		for (size_t left = reply.endless ? reply.endless : strlen(reply.raw); left;) {
			ssize_t done = send(fd, reply.raw, left < strlen(reply.raw) ? left : strlen(reply.raw), MSG_NOSIGNAL);
			if (done <= 0)
				break;
			left -= (size_t)done;
		}
	}
	return NULL;
}

static unsigned char body[4096];
static char why[WHY_LEN];
static size_t answered;

static int ask_for(struct reply wanted, uint64_t within_ns)
{
	static const char request[] = "\x0a\x01x";
	reply = wanted;
	asked = false;
	seen_size = 0;
	seen_path[0] = seen_namespace[0] = '\0';
	const struct grpc_call call = { .socket = path, .path = "/a.B/C", .namespace = "k8s.io", .request = request, .request_size = 3,
					.deadline_boot_ns = clock_boot_ns() + within_ns, .body = body, .room = sizeof(body) };
	return unix_grpc(&call, &answered, why, sizeof(why));
}

static int ask(struct reply wanted)
{
	return ask_for(wanted, 30 * NSEC_PER_SEC);
}

#define MESSAGE(text_) .body = (const unsigned char *)(text_), .size = sizeof(text_) - 1

static void a_call_and_its_answer(void **state)
{
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "0", .message = "", MESSAGE("\0\0\0\0\x05hello") }), 0);
	assert_int_equal(answered, 5);
	assert_memory_equal(body + GRPC_PREFIX, "hello", 5);
	assert_string_equal(seen_path, "/a.B/C");
	assert_string_equal(seen_namespace, "k8s.io");
	assert_int_equal(seen_size, 8);
	assert_memory_equal(seen_body, "\0\0\0\0\x03\x0a\x01x", 8);
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "0", .message = "", MESSAGE("\0\0\0\0\0") }), 0);
	assert_int_equal(answered, 0);
}

static void what_the_server_says_is_told(void **state)
{
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "5", .message = "no such image" }), -ENOENT);
	assert_string_equal(why, "status 5: no such image");
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "12", .message = "" }), -EOPNOTSUPP);
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "9", .message = "" }), -EBUSY);
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "13", .message = "" }), -EREMOTEIO);
}

static void an_answer_must_be_one(void **state)
{
	assert_int_equal(ask((struct reply){ .status = "503", .grpc = "0", .message = "", MESSAGE("\0\0\0\0\0") }), -EPROTO);
	assert_int_equal(ask((struct reply){ .status = "200", MESSAGE("\0\0\0\0\0") }), -EPROTO); /* no status of gRPC */
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "x", .message = "", MESSAGE("\0\0\0\0\0") }), -EPROTO);
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "0", .message = "", MESSAGE("\x01\0\0\0\0") }), -EPROTO); /* compressed */
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "0", .message = "", MESSAGE("\0\0\0\0\x06hello") }), -EPROTO);
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "0", .message = "", MESSAGE("\0\xff\xff\xff\xffhello") }), -EPROTO);
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "0", .message = "", MESSAGE("\0\0") }), -EPROTO);
	assert_int_equal(ask((struct reply){ .status = "200", .grpc = "0", .message = "", .endless = 1 << 20 }), -EFBIG);
}

static void each_peer_ends_in_its_error(void **state)
{
	assert_int_equal(ask((struct reply){ .raw = "HTTP/1.1 400 Bad Request\r\n\r\n" }), -EPROTO);
	assert_int_equal(ask((struct reply){ .raw = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" }), -EPROTO);
	assert_int_equal(ask((struct reply){ .raw = "garbage ", .endless = 1 << 24 }), -EPROTO);
	assert_int_equal(ask((struct reply){ .raw = "" }), -EPROTO); /* hangs up */
	assert_int_equal(ask_for((struct reply){ .status = "200", .silent = true }, 100 * NSEC_PER_MSEC), -ETIME);
	char saved = path[0];
	path[0] = 'x';
	assert_int_equal(ask((struct reply){ .status = "200" }), -ENOENT);
	path[0] = saved;
}

static int open_all(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(dir, sizeof(dir), "/tmp/nodemend-grpc-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	memcpy(address.sun_path, path, sizeof(path));
	listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listening < 0 || bind(listening, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listening, 8) < 0)
		return -1;
	return pthread_create(&thread, NULL, serve, NULL) ? -1 : 0;
}

static int close_all(void **state)
{
	(void)shutdown(listening, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(listening);
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_are_read),
		cmocka_unit_test(a_container_must_say_its_image),
		cmocka_unit_test(what_is_broken_is_said),
		cmocka_unit_test(a_call_and_its_answer),
		cmocka_unit_test(what_the_server_says_is_told),
		cmocka_unit_test(an_answer_must_be_one),
		cmocka_unit_test(each_peer_ends_in_its_error),
	};
	if (geteuid() != 0) {
		printf("SKIP containerd: not root, whom alone the client listens to\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, open_all, close_all);
}
