/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets and certificates from their files. A process of its own, nm-keys, keeps root's right to read them and nothing else: it answers
 * the number of a file, out of a list that was fixed before the sender gave up its privileges, with what is in it. So tokens may rotate
 * (Kubernetes swaps a symlink) without a reload, and the sender, which talks to strangers, can read no file of root's.
 */
#ifndef NODEMEND_PUSH_KEYS_H
#define NODEMEND_PUSH_KEYS_H

#include <stdbool.h>

#include "output.h"

enum { KEYS_MAX_FILES = 64, KEY_MAX = 128 << 10 };

struct keys;

/* Before privileges are dropped. Reads all files that the outputs name; one that cannot be read is said once, and looked for again. */
int keys_open(const struct outputs *outputs, struct keys **ret);
void keys_close(struct keys *keys); /* not from behind the wall, which lets nobody be signalled. NULL is fine */
/* Where answers come in; -1 without files. */
int keys_fd(const struct keys *keys);
/* Takes answers and asks anew for what is older than a minute. Returns when to come again (boot ns). Never waits. */
uint64_t keys_turn(struct keys *keys, uint64_t now_ns);
/* Asks for all of them at the next turn: a receiver has refused what we know. */
void keys_doubt(struct keys *keys, uint64_t now_ns);
/* The content, NUL-terminated, newlines and blanks at its end left out; NULL where it cannot be read. Good until the next turn. */
const char *keys_get(const struct keys *keys, const char *path);

#endif
