/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that hold secrets or certificates: read with a bound, checked before anybody relies on them. No message ever holds
 * what is in them.
 */
#ifndef NODEMEND_CORE_CREDENTIAL_H
#define NODEMEND_CORE_CREDENTIAL_H

#include <stddef.h>

enum { CREDENTIAL_WHY_LEN = 160 };

/* Fills `buffer`, with a NUL behind it. 0; or -errno and in `why` what is wrong with the file. */
int credential_read(const char *path, char *buffer, size_t room, char why[CREDENTIAL_WHY_LEN]);
/* A token of one line: blanks and the line's end around it are cut off. 0, or -EINVAL: nothing there, or what no header can carry. */
int credential_trim_token(char *token, char why[CREDENTIAL_WHY_LEN]);

/* What is wrong with PEM text; NULL: nothing. The pair is checked last: whether the key is the certificate's. */
const char *credential_certificate_problem(const char *pem);
const char *credential_key_problem(const char *pem);
const char *credential_pair_problem(const char *certificate, const char *key);
/* Whether it has the form of a bcrypt hash as crypt(5) knows it, and does not cost more than `max_cost`. */
const char *credential_hash_problem(const char *hash, unsigned int max_cost);

#endif
