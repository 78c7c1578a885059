/* SPDX-License-Identifier: Apache-2.0 */
/* See tls.h. */
#include "publish/tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* Renegotiation is not needed by anybody and has been an attack before; TLS 1.3 has none. */
const char *tls_priorities(enum http_tls_version min_version)
{
	return min_version == TLS_1_3 ? "SECURE128:-VERS-ALL:+VERS-TLS1.3" :
					"SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE";
}

void tls_ask_client(void *session)
{
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
}

static bool is_verified(gnutls_session_t session)
{
	gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT };
	unsigned int status = 0;
	return gnutls_certificate_verify_peers(session, &purpose, 1, &status) == 0 && status == 0;
}

bool tls_client_is_good(void *session, enum http_client_auth wanted)
{
	unsigned int count = 0;
	bool shown = gnutls_certificate_get_peers(session, &count) && count;
	switch (wanted) {
	case CLIENT_ANY:
		return shown;
	case CLIENT_VERIFY_IF_GIVEN:
		return !shown || is_verified(session);
	case CLIENT_VERIFY:
		return shown && is_verified(session);
	default:
		return true;
	}
}
