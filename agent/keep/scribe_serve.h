/* SPDX-License-Identifier: Apache-2.0 */
/* What agent and scribe say to each other. The first request carries two descriptors: the state directory and the shared buffer. */
#ifndef NODEMEND_KEEP_SCRIBE_SERVE_H
#define NODEMEND_KEEP_SCRIBE_SERVE_H

#include "include/state.h"
#include "keep/learnt.h"

enum scribe_verb { SCRIBE_HELLO, SCRIBE_ACTION, SCRIBE_STATE, SCRIBE_SHELF, SCRIBE_LEARNT };

struct scribe_request {
	enum scribe_verb verb;
	uint32_t slot;               /* STATE: of the shared buffer; LEARNT: bytes in it */
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
enum { SHELF_MAX = 1 << 20, SHELF_NAME_LEN = 32 };
struct scribe_shelf {
	char name[SHELF_NAME_LEN];
	uint32_t size;
	char data[SHELF_MAX];
};

/* Two, so that one is read while the other is written: the agent never waits, the scribe never sees half a state. */
struct scribe_shared {
	struct saved_state slots[2];
	struct scribe_shelf shelf;   /* the agent's again once the answer is there */
	_Alignas(4096) char learnt[LEARNT_MOST]; /* one is enough: it is filled only while the scribe has none in hand */
};

/* The scribe's own loop, in the child. */
int scribe_serve(int fd);

#endif
