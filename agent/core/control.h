/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket's wire: one JSON object a line each way. Request {"command":"status", …}; answer
 * {"ok":true, …} or {"ok":false,"code":N,"error":"a sentence"} with the exit code of docs/cli.md. `stream` is not here: HTTP has it.
 */
#ifndef NODEMEND_CORE_CONTROL_H
#define NODEMEND_CORE_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cJSON;
struct sd_event;
struct control;

enum {
	CONTROL_MAX_PEERS = 16,
	CONTROL_MAX_READERS = 12,            /* peers that are not root: root can always say "pause" */
	CONTROL_MAX_REQUEST = 64 << 10,
	CONTROL_MAX_ANSWER = 4 << 20,
};
#define CONTROL_PATIENCE_NS (10 * 1000000000ULL)

/* Answers one command; `root` says whether the peer may change things. The answer is owned by the caller. NULL = out of memory. */
typedef struct cJSON *(*control_handler)(void *context, const struct cJSON *request, bool root);

/* Listens on <run_dir>/control.sock (0660, group nodemend where it exists) within the event loop. Bounded: 16 peers, 64 KiB a
 * request, 4 MiB an answer, 10 s a peer; a slow peer costs only itself. 0 or -errno; -EADDRINUSE: another agent lives there. */
int control_listen(struct sd_event *event, const char *run_dir, control_handler handler, void *context, struct control **ret);
/* How long a peer may stay, from now on: tests are less patient. */
void control_set_patience(struct control *control, uint64_t patience_ns);
/* Peers turned away for want of room, and peers cut off (too slow, too much, or gone in the middle). */
void control_counts(const struct control *control, uint64_t *ret_turned_away, uint64_t *ret_cut_off);
void control_close(struct control *control);

/* Client side: sends and waits up to 5 s. 0 and *ret_answer (cJSON_Delete), or -errno: -ENOENT, -ECONNREFUSED: no agent; -EACCES;
 * -ETIMEDOUT; -ECONNRESET: it hung up; -EPROTO: not our language. */
int control_call(const char *run_dir, const struct cJSON *request, struct cJSON **ret_answer);
struct cJSON *control_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
