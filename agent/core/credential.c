/* SPDX-License-Identifier: Apache-2.0 */
/* See credential.h. */
#include "core/credential.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int credential_read(const char *path, char *buffer, size_t room, char why[CREDENTIAL_WHY_LEN])
{
	/* Not blocking: a FIFO put in the file's place must not stop the agent. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		int error = -errno;
		snprintf(why, CREDENTIAL_WHY_LEN, "cannot be read: %s", strerror(-error));
		return error;
	}

	struct stat stat;
	size_t used = 0;
	int error = fstat(fd, &stat) < 0 ? -errno : S_ISREG(stat.st_mode) ? 0 : -EINVAL;
	if (error)
		snprintf(why, CREDENTIAL_WHY_LEN, "%s", error == -EINVAL ? "not a regular file" : "cannot be read");
	while (!error && used < room) {
		ssize_t got = read(fd, buffer + used, room - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			error = -errno;
			snprintf(why, CREDENTIAL_WHY_LEN, "cannot be read: %s", strerror(errno));
		}
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	close(fd);
	if (error)
		return error;
	if (used == room || memchr(buffer, 0, used)) {
		explicit_bzero(buffer, used);
		snprintf(why, CREDENTIAL_WHY_LEN, used == room ? "larger than %zu bytes" : "holds a NUL byte", room - 1);
		return -EINVAL;
	}
	buffer[used] = 0;
	return 0;
}

int credential_trim_token(char *token, char why[CREDENTIAL_WHY_LEN])
{
	size_t from = strspn(token, " \t\r\n"), length = strlen(token);
	while (length > from && strchr(" \t\r\n", token[length - 1]))
		length--;
	memmove(token, token + from, length - from);
	token[length - from] = 0;

	for (const char *at = token; *at; at++) {
		if (*at > ' ' && *at < 0x7f)
			continue;
		snprintf(why, CREDENTIAL_WHY_LEN, "not one token: it holds blanks, control characters or what is not ASCII");
		return -EINVAL;
	}
	if (!*token)
		snprintf(why, CREDENTIAL_WHY_LEN, "empty");
	return *token ? 0 : -EINVAL;
}

/* --- PEM -------------------------------------------------------------------------------------------------------------- */

static gnutls_datum_t datum(const char *text)
{
	return (gnutls_datum_t){ .data = (unsigned char *)(uintptr_t)text, .size = (unsigned int)strlen(text) };
}

const char *credential_certificate_problem(const char *pem)
{
	gnutls_datum_t data = datum(pem);
	gnutls_x509_crt_t *list = NULL;
	unsigned int count = 0;
	if (gnutls_x509_crt_list_import2(&list, &count, &data, GNUTLS_X509_FMT_PEM, 0) < 0)
		return "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)";
	for (unsigned int i = 0; i < count; i++)
		gnutls_x509_crt_deinit(list[i]);
	gnutls_free(list);
	return count ? NULL : "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)";
}

const char *credential_key_problem(const char *pem)
{
	gnutls_datum_t data = datum(pem);
	gnutls_x509_privkey_t key;
	if (gnutls_x509_privkey_init(&key) < 0)
		return "cannot be checked: out of memory";
	int error = gnutls_x509_privkey_import2(key, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
	gnutls_x509_privkey_deinit(key);
	if (error == GNUTLS_E_DECRYPTION_FAILED)
		return "is locked with a passphrase, and nobody is there to type it: give one without";
	return error < 0 ? "holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)" : NULL;
}

const char *credential_pair_problem(const char *certificate, const char *key)
{
	gnutls_datum_t first = datum(certificate), second = datum(key);
	gnutls_certificate_credentials_t credentials;
	if (gnutls_certificate_allocate_credentials(&credentials) < 0)
		return "cannot be checked: out of memory";
	int error = gnutls_certificate_set_x509_key_mem2(credentials, &first, &second, GNUTLS_X509_FMT_PEM, NULL, 0);
	gnutls_certificate_free_credentials(credentials);
	if (error == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		return "is not the key of that certificate";
	return error < 0 ? "does not go with that certificate" : NULL;
}

/* --- bcrypt ----------------------------------------------------------------------------------------------------------- */

const char *credential_hash_problem(const char *hash, unsigned int max_cost)
{
	static const char form[] = "not a bcrypt hash ($2b$10$ and 53 characters): make one with `htpasswd -nBC 10 NAME`";
	static const char digits[] = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	if (strlen(hash) != 60 || hash[0] != '$' || hash[1] != '2' || !strchr("aby", hash[2]) || hash[3] != '$' || hash[6] != '$' ||
	    strspn(hash + 7, digits) != 53 || hash[4] < '0' || hash[4] > '3' || hash[5] < '0' || hash[5] > '9')
		return form;
	unsigned int cost = (unsigned int)(hash[4] - '0') * 10 + (unsigned int)(hash[5] - '0');
	if (cost < 4)
		return form;
	return cost > max_cost ? "a bcrypt hash that takes too long to check: make one of cost 10 with `htpasswd -nBC 10 NAME`" : NULL;
}
