/* SPDX-License-Identifier: Apache-2.0 */
/* What the HTTP library leaves to its user in TLS: which versions are spoken, and whether the client's certificate is good. */
#ifndef NODEMEND_PUBLISH_TLS_H
#define NODEMEND_PUBLISH_TLS_H

#include <stdbool.h>

#include "config.h"

/* GnuTLS' priority string. */
const char *tls_priorities(enum http_tls_version min_version);
/* Before the handshake: the client is to show a certificate if it has one. */
void tls_ask_client(void *session);
/* Whether who is at the other end of a session (a gnutls_session_t) may ask for anything. */
bool tls_client_is_good(void *session, enum http_client_auth wanted);

#endif
