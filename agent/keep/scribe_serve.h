/* SPDX-License-Identifier: Apache-2.0 */
/* What agent and scribe say to each other. The first request carries two descriptors: the state directory and the shared buffer. */
#ifndef NODEMEND_KEEP_SCRIBE_SERVE_H
#define NODEMEND_KEEP_SCRIBE_SERVE_H

#include "include/state.h"

enum scribe_verb { SCRIBE_HELLO, SCRIBE_ACTION, SCRIBE_STATE, SCRIBE_SHELF };

struct scribe_request {
	enum scribe_verb verb;
	uint32_t slot;               /* STATE, SHELF: which of the shared buffer */
	uint64_t ticket;             /* ACTION */
	struct action action;
};

struct scribe_answer {
	enum scribe_verb verb;
	uint64_t ticket;
	int32_t error;               /* 0 = it is durable (HELLO: the journal is open); -errno */
	bool moved;                  /* HELLO: a corrupt journal was set aside */
};

/* A file that is replaced as a whole: what was learned, which may be some minutes old but never half of one and half of another. */
enum { SHELF_COUNT = 2, SHELF_MAX = 3 << 19, SHELF_NAME_LEN = 32 };
struct scribe_shelf {
	_Alignas(4096) char name[SHELF_NAME_LEN];
	uint32_t size;
	char data[SHELF_MAX];
};

/* Two, so that one is read while the other is written: the agent never waits, the scribe never sees half a state. */
struct scribe_shared {
	struct saved_state slots[2];
	struct scribe_shelf shelves[SHELF_COUNT]; /* one a file; the agent's again once the answer is there */
};

/* The scribe's own loop, in the child. */
int scribe_serve(int fd);

#endif
