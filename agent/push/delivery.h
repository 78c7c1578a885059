/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that leaves the node goes through here: one outlet an address, each with a queue in memory and a spool on disk
 * behind it, all of them driven by one libcurl multi handle in the sender's one epoll loop. An outlet has one request in flight, so
 * its parcels arrive in the order in which they were put.
 *
 * A 2xx takes a parcel off. Network errors, timeouts, 408, 429 and 5xx are tried again, after a back-off with jitter or the
 * answer's Retry-After; every other answer drops the parcel, is counted, and is said with its first line at most once a minute. Redirects
 * are not followed; of an answer at most 64 KiB are read.
 */
#ifndef NODEMEND_PUSH_DELIVERY_H
#define NODEMEND_PUSH_DELIVERY_H

#include <stdbool.h>

#include "output.h"
#include "publish/text.h"
#include "push/parcel.h"
#include "push/share.h"

struct delivery;
struct outlet;
struct keys;

/* How a parcel's body is to be sent. The HTTP method is POST. */
struct parcel_type {
	const char *suffix;         /* appended to the output's URL, such as "/v1/logs"; "" = none */
	const char *content_type;
	const char *encoding;       /* Content-Encoding; NULL = none */
	const char *header;         /* one more, such as "X-Prometheus-Remote-Write-Version: 0.1.0"; NULL = none */
	bool ages;                  /* metrics: dropped when older than the output's max_age */
};

struct answer {
	long status;                /* HTTP or SMTP; 0: there was none */
	const char *body;           /* NUL-terminated, cut at 64 KiB; hostile */
	size_t size;
	const char *content_type;   /* NULL = none said */
	int64_t written;            /* what the family's count_headers add up to; -1 = none of them was there */
};

/* What an answer means where the rule at the top of this file is not it. */
enum verdict { VERDICT_DEFAULT, VERDICT_TAKEN, VERDICT_AGAIN, VERDICT_REFUSED, VERDICT_CHANGED };

/* One protocol: const, shared by the outlets that speak it. */
struct outlet_family {
	const struct parcel_type *types;
	uint32_t type_count;
	const char *const *count_headers; /* in which a receiver says how many items it took, lower case with the colon; NULL ends them; NULL = none */
	/* NULL: HTTP. Else sets what is special on a libcurl easy handle right before it is started (SMTP: sender, recipients). 0 or -errno. */
	int (*prepare)(void *context, void *easy, const struct parcel *parcel);
	/* NULL: the parcel's body as it is. Else writes what is sent instead, with the secrets that a spool must not hold. 0; or -errno, as for a
	 * secret that cannot be read. */
	int (*fill)(void *context, const struct parcel *parcel, struct text *ret);
	/* NULL: by the rule. Called with each complete answer, and with an SMTP server's no. VERDICT_CHANGED: `ret` holds the parcel in the form of *ret_type, and that is
	 * tried at once (a receiver that does not know the newer protocol). */
	enum verdict (*judge)(void *context, const struct parcel *parcel, const struct answer *answer, struct text *ret, uint32_t *ret_type);
};

/* The descriptor `epoll_fd` is the loop's; spool_dir_fd -1: memory only. Everything given is borrowed until delivery_close(). */
int delivery_open(int epoll_fd, int spool_dir_fd, struct keys *keys, struct output_page *page, struct delivery **ret);
/* Puts what is still in memory on disk; waits for nobody. Nothing may be put afterwards. */
void delivery_save(struct delivery *delivery);
/* The same, and gives everything back; may wait for a name that is being asked for. NULL is fine. */
void delivery_close(struct delivery *delivery);

/* `output` is the index into outputs->each, `url` the index of its URL. The spool's folder is named by the output, with .1, .2, … behind it for
 * the second address on. */
int delivery_add(struct delivery *delivery, const struct outputs *outputs, uint32_t output, uint32_t url, const struct outlet_family *family,
		 void *context, struct outlet **ret);
/* Takes a copy. 0; -EMSGSIZE, -ENOMEM: dropped and counted. Never waits. */
int outlet_put(struct outlet *outlet, const struct parcel *parcel);
/* From judge(): the receiver takes the parcel, but for so many of its items. They count as dropped, not as sent. */
void outlet_reject(struct outlet *outlet, uint64_t items);
/* Whether nothing waits; for protocols in which a newer parcel makes an older one moot. */
bool outlet_is_idle(const struct outlet *outlet);
/* The content of a secret file as it now is, without the newline at its end; NULL where it cannot be read. Good until the next turn. */
const char *delivery_secret(struct delivery *delivery, const char *path);

/* What the loop does: after epoll_wait, for each event that is not its own; then once a turn. Returns when to come again (boot ns). */
void delivery_event(struct delivery *delivery, int fd, uint32_t epoll_events);
uint64_t delivery_turn(struct delivery *delivery, uint64_t now_ns, int64_t wall_ns);

#endif
