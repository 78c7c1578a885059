/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the Kubernetes API server and what became of it. fetch.c makes it, over TLS and by libcurl, so it is for nm-kube and the sender
 * alone; wire.c carries it between nm-kube, which has no rights, and whoever runs that. Where the server is and what to show it is the
 * caller's to know (remedies/kube.h).
 */
#ifndef NODEMEND_KUBE_KUBE_H
#define NODEMEND_KUBE_KUBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	KUBE_BODY_MAX = 512 << 10,     /* a node with all its images and conditions is some 50 KiB */
	KUBE_HEAD_MAX = 1024,          /* of an answer on the wire */
	KUBE_ERROR_LEN = 160,
};

struct kube_call {
	char *url;                     /* https only */
	char *method;                  /* GET, POST, PATCH */
	char *content_type;            /* of the body; NULL: none */
	char *body;
	char *token;                   /* of the service account */
	char *ca;                      /* PEM; no other CA is trusted */
	uint32_t timeout_ms;           /* for all tries together */
};

/* Whether the server has taken a request is what an act must know: UNREACHED says that it has not, UNKNOWN that nobody can tell. */
enum kube_end { KUBE_ANSWERED, KUBE_UNREACHED, KUBE_UNKNOWN };

struct kube_answer {
	enum kube_end end;
	long status;                   /* HTTP; where ANSWERED */
	long retry_after_s;            /* 0: not said */
	char error[KUBE_ERROR_LEN];    /* where it was not answered */
	char *body;                    /* NUL-terminated; hostile */
	size_t size, room;
};

/* One try, at most `timeout_ms`. `ret->body` and `room` are the caller's. */
void kube_fetch(const struct kube_call *call, uint32_t timeout_ms, struct kube_answer *ret);
/*
 * Whether the same may be sent again after this answer: what never reached the server may; else only what asks for a state and not for a
 * deed (GET, PATCH), where the server is busy or broken. And how long to wait before that, without the jitter.
 */
bool kube_may_repeat(const struct kube_call *call, const struct kube_answer *answer, uint32_t tries, uint32_t *ret_wait_ms);

/* As text; the caller frees it. NULL: out of memory. */
char *kube_call_write(const struct kube_call *call);
/* 0 or -EINVAL. kube_call_free() gives back what it was filled with. */
int kube_call_read(const char *text, struct kube_call *ret);
void kube_call_free(struct kube_call *call);
/* The line before the body; `size` at least KUBE_HEAD_MAX. */
void kube_answer_write(const struct kube_answer *answer, char *buffer, size_t size);
/* Out of a line and what follows it: `ret->body` points into `text`. 0 or -EINVAL. */
int kube_answer_read(char *text, struct kube_answer *ret);

#endif
