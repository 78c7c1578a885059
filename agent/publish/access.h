/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is answered: a bearer token, or users with bcrypt hashes. A hash takes tens of milliseconds by design and the publisher
 * has one thread, so what was checked once is remembered by its MAC, right or wrong, and of what is new only so much is
 * checked that hashing takes a fifth of the time at most; who comes beyond that is told to come later.
 */
#ifndef NODEMEND_PUBLISH_ACCESS_H
#define NODEMEND_PUBLISH_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "publisher.h"

enum { ACCESS_REMEMBERED = 32 /* of each kind, right and wrong */, ACCESS_PAUSE_FACTOR = 4 };
enum access_verdict { ACCESS_GRANTED, ACCESS_DENIED, ACCESS_LATER };

struct access;
/* Copies what it needs. NULL: no memory, or no random bytes. */
struct access *access_open(const struct publisher_access *from);
/* `authorization`: the header as it came, NULL where there is none. */
enum access_verdict access_check(struct access *access, const char *authorization, const char *path, uint64_t now_ns);
/* The scheme to ask for in WWW-Authenticate. */
const char *access_challenge(const struct access *access);
void access_free(struct access *access); /* NULL is fine */

#endif
