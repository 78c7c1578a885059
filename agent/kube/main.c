/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nm-kube: one request to the Kubernetes API server, from stdin to stdout, for a remedy that may not speak to the network itself. It is run as
 * nobody, without a capability, in a cgroup of its own (remedies/command.h); of no use by hand.
 */
#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "kube/kube.h"

enum { CALL_MAX = 256 << 10, LEAST_TRY_MS = 1000 };

static char *read_all(void)
{
	char *text = malloc(CALL_MAX + 1);
	size_t used = 0;
	ssize_t got = 0;
	while (text && used < CALL_MAX && (got = read(STDIN_FILENO, text + used, CALL_MAX - used)) > 0)
		used += (size_t)got;
	if (text)
		text[used] = '\0';
	return text;
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Many nodes meet the same trouble in the same second: up to a half more. */
static uint32_t with_jitter(uint32_t ms)
{
	uint32_t random = 0;
	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	return ms + random % (ms / 2 + 1);
}

static void try_in_time(const struct kube_call *call, struct kube_answer *answer)
{
	uint64_t until = now_ms() + call->timeout_ms;
	uint32_t wait = 0;
	for (uint32_t tries = 1;; tries++) {
		uint64_t now = now_ms(), left = until > now ? until - now : 0;
		/* A server that does not answer must leave time for asking it again. */
		uint32_t most = call->timeout_ms / 2 > LEAST_TRY_MS ? call->timeout_ms / 2 : LEAST_TRY_MS;
		kube_fetch(call, left < most ? (uint32_t)left : most, answer);
		if (!kube_may_repeat(call, answer, tries, &wait))
			return;
		wait = with_jitter(wait);
		if (now_ms() + wait + LEAST_TRY_MS / 4 >= until)
			return;
		(void)poll(NULL, 0, (int)wait);
	}
}

int main(void)
{
	static char body[KUBE_BODY_MAX];
	struct kube_answer answer = { .end = KUBE_UNREACHED, .body = body, .room = sizeof(body) };
	struct kube_call call;
	char head[KUBE_HEAD_MAX];
	char *text = read_all();
	if (!text || kube_call_read(text, &call) < 0) {
		fprintf(stderr, "nm-kube: the agent runs this itself\n");
		return 2;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	try_in_time(&call, &answer);
	kube_answer_write(&answer, head, sizeof(head));
	printf("%s\n", head);
	fwrite(answer.body, 1, answer.size, stdout);
	kube_call_free(&call);
	free(text);
	return fflush(stdout) == 0 ? 0 : 1;
}
