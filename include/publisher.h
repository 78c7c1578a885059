/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wall between the agent and the publisher. Numbers cross in a sealed shared-memory ring that the publisher can only
 * read; incidents and actions cross a SOCK_SEQPACKET pair as the structs of record.h. The agent never waits for the
 * publisher: a full socket drops the record and counts it, and a new publisher is told everything that is in memory.
 */
#ifndef NODEMEND_PUBLISHER_H
#define NODEMEND_PUBLISHER_H

#include <stdatomic.h>

#include "config.h"
#include "mask.h"
#include "record.h"
#include "snapshot.h"

/* One to write while the other is read for a whole interval; each is resident in both processes. */
enum { RING_SLOTS = 2 };

/* One writer; readers retry when seq was odd or changed (seqlock). slot = seq of the snapshot % RING_SLOTS. */
struct ring_slot {
	_Atomic uint64_t version;
	struct snapshot snapshot;
};

struct ring {
	uint64_t size;                 /* sizeof(struct ring): a mismatch means another build; refuse */
	_Atomic uint64_t newest;       /* snapshot.seq; 0 = none yet */
	struct ring_slot slots[RING_SLOTS];
};

struct ring_writer { int fd; struct ring *ring; };
/* memfd, sealed against resizing and against any new writable mapping. 0 or -errno. */
int ring_create(struct ring_writer *ret);
void ring_publish(struct ring_writer *writer, const struct snapshot *snap);
void ring_destroy(struct ring_writer *writer);
/* Read side: maps fd read-only. */
int ring_open(int fd, const struct ring **ret);
/* Copies the newest into `to`. 1: there is one newer than *seq (which is set); 0: nothing new; -EAGAIN: writer was too fast. */
int ring_read(const struct ring *ring, struct snapshot *to, uint64_t *seq);

/* PUBLISHER_MASK is there before its reader is: what is to be hidden is known before anything is shown. */
enum publisher_message_type { PUBLISHER_INCIDENT, PUBLISHER_ACTION, PUBLISHER_MASK, PUBLISHER_CONFIG };
struct publisher_message {
	enum publisher_message_type type;
	union {
		struct incident incident;
		struct action action;
		struct mask_rules mask;
	};
};

/* Whom the HTTP side answers, with what the files hold: the publisher opens none of them. Texts end in NUL; "" = none. */
enum { ACCESS_CERT_ROOM = 32 << 10, ACCESS_KEY_ROOM = 16 << 10, ACCESS_CA_ROOM = 64 << 10, ACCESS_TOKEN_ROOM = 4 << 10 };
struct publisher_access {
	enum http_client_auth client_auth;
	enum http_tls_version min_version;
	enum http_unprotected unprotected;
	uint32_t user_count;
	struct http_user users[MAX_HTTP_USERS];
	char token[ACCESS_TOKEN_ROOM];
	char cert[ACCESS_CERT_ROOM], key[ACCESS_KEY_ROOM], client_ca[ACCESS_CA_ROOM]; /* PEM */
};

/* The other message: the first that a publisher gets, before which it serves nobody, and again whenever a file or the configuration
 * has changed. */
struct publisher_config {
	enum publisher_message_type type; /* PUBLISHER_CONFIG */
	uint32_t max_processes_shown;
	struct publisher_access access;
};

/* Reads the files that the configuration names. 0; or -errno and in `why` a sentence with the file, never with what is in it. */
int publisher_access_read(const struct config *config, struct publisher_access *ret, char *why, size_t why_size);

/* Runs the publisher on inherited descriptors until `event_fd` closes; never returns to the agent's code. Exit code. */
struct publisher_args {
	int ring_fd, event_fd;
	int feed_dir_fd;            /* <run-dir>/feed, owned by the publisher's user: metrics.json is replaced here */
	int outputs_fd;             /* the sender's counters (push/share.h); -1 = none */
	int counters_fd;            /* where its own go, for the sender; -1 = nowhere */
	const char *listen;         /* "host:port"; "" = none */
	const char *node;
	const char *user;           /* to become; then no capabilities and a seccomp filter */
	uint32_t max_processes_shown;
	enum log_format log_format;
	uint32_t log_level;
	int statsd_fd;              /* the bound datagram socket; -1 = none */
	int statsd_page_fd;         /* where what came in goes, for the sender; -1 = nowhere */
	uint32_t statsd_max_series;
	uint64_t statsd_max_age_ns;
};
int publisher_run(const struct publisher_args *args);
/* The same with the arguments as words, as the agent gives them. -EINVAL: these are none of its. */
int publisher_start(int argc, char **argv);

#endif
