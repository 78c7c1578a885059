/* SPDX-License-Identifier: Apache-2.0 */
/* What every remedy says and asks in the same words: whether to go on, why it will not, and how names of strangers are shown. */
#ifndef NODEMEND_REMEDIES_ACT_H
#define NODEMEND_REMEDIES_ACT_H

#include "remedy.h"

/* For `problem` of struct remedy: a text that ends, and a path that says what a look at it shows: absolute, no empty, "." or ".." part. */
#define ENDED(text_) (memchr((text_), '\0', sizeof(text_)) != NULL)
enum { LONGEST_WAIT_S = 24 * 3600 }; /* as the configuration's tables have it */
bool request_path_is_plain(const char *path);

/* Asked right before each single act. NULL: go on; else the guard that stops it: "kill-switch" (also when nobody can say whether
 * the file is there) or "deadline". */
const char *act_halted(const struct remedy_request *request);

/* Both set the outcome and the sentence; printf-like. */
void act_refuse(struct remedy_result *result, const char *refused_by, const char *format, ...) __attribute__((format(printf, 3, 4)));
void act_fail(struct remedy_result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A name of a stranger in plain ASCII: what a terminal or a document could stumble over becomes \xNN; cut at the end. Returns `buffer`. */
const char *act_shown(char *buffer, size_t size, const char *text);

/* Waits for `events` on `fd` until `until_boot_ns`; 1 came, 0 did not, -errno. A past time asks once. */
int act_wait(int fd, short events, uint64_t until_boot_ns);

#endif
