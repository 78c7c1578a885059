/* SPDX-License-Identifier: Apache-2.0 */
/* See access.h. Secrets are compared by their MACs, so that neither time nor length says how near a guess was. */
#include "publish/access.h"

#include <crypt.h>
#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "core/clock.h"

enum { MAX_CREDENTIAL = 1024 /* "name:password"; bcrypt looks at 72 bytes of it */ };

struct mac { uint8_t bytes[SHA256_DIGEST_SIZE]; };

struct memory {
	uint32_t count, next; /* the oldest makes room */
	struct mac macs[ACCESS_REMEMBERED];
};

struct access {
	struct hmac_sha256_ctx key;  /* of this process' own: a MAC that leaks is of no use */
	bool has_token;
	struct mac token;
	enum http_unprotected unprotected;
	uint32_t user_count;
	struct http_user users[MAX_HTTP_USERS];
	struct memory right, wrong;
	uint64_t next_hash_ns;
	struct crypt_data work;
};

static void mac_of(const struct access *access, const void *data, size_t size, struct mac *ret)
{
	struct hmac_sha256_ctx context = access->key;
	hmac_sha256_update(&context, size, data);
	hmac_sha256_digest(&context, sizeof(ret->bytes), ret->bytes);
	explicit_bzero(&context, sizeof(context));
}

/* Looks at all of them, so that the time does not say which. */
static bool remembers(const struct memory *memory, const struct mac *mac)
{
	int found = 0;
	for (uint32_t i = 0; i < memory->count; i++)
		found |= memeql_sec(memory->macs[i].bytes, mac->bytes, sizeof(mac->bytes));
	return found;
}

static void remember(struct memory *memory, const struct mac *mac)
{
	memory->macs[memory->next] = *mac;
	memory->next = (memory->next + 1) % ACCESS_REMEMBERED;
	memory->count += memory->count < ACCESS_REMEMBERED;
}

/* --- basic ------------------------------------------------------------------------------------------------------------ */

static bool decode(const char *text, char credential[MAX_CREDENTIAL])
{
	struct base64_decode_ctx context;
	size_t length = strlen(text), size = MAX_CREDENTIAL - 1;
	if (BASE64_DECODE_LENGTH(length) > size)
		return false;
	base64_decode_init(&context);
	if (!base64_decode_update(&context, &size, (uint8_t *)credential, length, text) || !base64_decode_final(&context))
		return false;
	credential[size] = 0;
	return strlen(credential) == size; /* a NUL would end the password for bcrypt, and nobody has typed one */
}

/* A name that is not there is checked against somebody's hash all the same: the time must not tell names. */
static bool is_password(struct access *access, const char *name, const char *password)
{
	const struct http_user *user = NULL;
	for (uint32_t i = 0; i < access->user_count; i++)
		if (strcmp(access->users[i].name, name) == 0)
			user = &access->users[i];
	const char *wanted = user ? user->hash : access->users[0].hash;
	const char *made = crypt_r(password, wanted, &access->work);
	bool equal = made && strlen(made) == strlen(wanted) && memeql_sec(made, wanted, strlen(wanted));
	explicit_bzero(&access->work, sizeof(access->work));
	return user && equal;
}

static enum access_verdict check_user(struct access *access, char *credential, uint64_t now_ns)
{
	struct mac mac;
	mac_of(access, credential, strlen(credential), &mac);
	if (remembers(&access->right, &mac))
		return ACCESS_GRANTED;
	if (remembers(&access->wrong, &mac))
		return ACCESS_DENIED;

	char *colon = strchr(credential, ':');
	if (!colon)
		return ACCESS_DENIED;
	if (now_ns < access->next_hash_ns)
		return ACCESS_LATER;
	*colon = 0;
	uint64_t begun_ns = clock_boot_ns();
	bool right = is_password(access, credential, colon + 1);
	uint64_t took_ns = clock_boot_ns() - begun_ns;
	access->next_hash_ns = now_ns + took_ns * (1 + ACCESS_PAUSE_FACTOR);
	remember(right ? &access->right : &access->wrong, &mac);
	return right ? ACCESS_GRANTED : ACCESS_DENIED;
}

/* --- all -------------------------------------------------------------------------------------------------------------- */

/* What follows "SCHEME " in the header; NULL: it is another scheme. */
static const char *after_scheme(const char *authorization, const char *scheme)
{
	size_t length = strlen(scheme);
	if (strncasecmp(authorization, scheme, length) != 0 || authorization[length] != ' ')
		return NULL;
	return authorization + length + strspn(authorization + length, " ");
}

static bool is_unprotected(const struct access *access, const char *path)
{
	return (access->unprotected != UNPROTECTED_NONE && strcmp(path, "/healthz") == 0) ||
	       (access->unprotected == UNPROTECTED_BOTH && strcmp(path, "/readyz") == 0);
}

enum access_verdict access_check(struct access *access, const char *authorization, const char *path, uint64_t now_ns)
{
	if ((!access->has_token && !access->user_count) || is_unprotected(access, path))
		return ACCESS_GRANTED;
	if (!authorization)
		return ACCESS_DENIED;

	const char *bearer = after_scheme(authorization, "Bearer"), *basic = after_scheme(authorization, "Basic");
	if (bearer && access->has_token) {
		struct mac mac;
		mac_of(access, bearer, strlen(bearer), &mac);
		return memeql_sec(mac.bytes, access->token.bytes, sizeof(mac.bytes)) ? ACCESS_GRANTED : ACCESS_DENIED;
	}
	char credential[MAX_CREDENTIAL];
	if (!basic || !access->user_count || !decode(basic, credential))
		return ACCESS_DENIED;
	enum access_verdict verdict = check_user(access, credential, now_ns);
	explicit_bzero(credential, sizeof(credential));
	return verdict;
}

const char *access_challenge(const struct access *access)
{
	return access->user_count ? "Basic realm=\"nodemend\", charset=\"UTF-8\"" : "Bearer realm=\"nodemend\"";
}

struct access *access_open(const struct publisher_access *from)
{
	struct access *access = calloc(1, sizeof(*access));
	uint8_t key[SHA256_DIGEST_SIZE];
	if (!access || getrandom(key, sizeof(key), 0) != sizeof(key)) {
		free(access);
		return NULL;
	}
	hmac_sha256_set_key(&access->key, sizeof(key), key);
	explicit_bzero(key, sizeof(key));

	access->has_token = *from->token;
	mac_of(access, from->token, strlen(from->token), &access->token);
	access->unprotected = from->unprotected;
	access->user_count = from->user_count < MAX_HTTP_USERS ? from->user_count : MAX_HTTP_USERS;
	memcpy(access->users, from->users, sizeof(access->users));
	return access;
}

void access_free(struct access *access)
{
	if (!access)
		return;
	explicit_bzero(access, sizeof(*access));
	free(access);
}
