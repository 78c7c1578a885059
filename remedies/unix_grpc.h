/* SPDX-License-Identifier: Apache-2.0 */
/* One call of gRPC without streams over a unix socket that root serves, by a deadline: CRI and containerd's own interface. HTTP/2 is nghttp2's. */
#ifndef NODEMEND_REMEDIES_UNIX_GRPC_H
#define NODEMEND_REMEDIES_UNIX_GRPC_H

#include <stddef.h>
#include <stdint.h>

struct grpc_call {
	const char *socket, *path;      /* "/runtime.v1.ImageService/ListImages" */
	const char *namespace;          /* containerd's header of that name; NULL: none */
	const void *request;            /* a message of protobuf, of at most 4 KiB */
	size_t request_size;
	uint64_t deadline_boot_ns;
	void *body;                     /* for the answer's message, which begins at GRPC_PREFIX */
	size_t room;
};
enum { GRPC_PREFIX = 5, GRPC_MOST_REQUEST = 4096 };

/*
 * 0 and the message's size. -ENOENT, -EBUSY, -EOPNOTSUPP, -EREMOTEIO: the server says so, and `why` has its sentence. -ETIME, -EPERM, -EPROTO, -EFBIG, or
 * what connect says.
 */
int unix_grpc(const struct grpc_call *call, size_t *ret_size, char *why, size_t why_size);

#endif
