/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names have secret values. A name is cut into words at - _ . and where a capital follows a small letter: PGPASSWORD,
 * db-password, accessToken. The last word decides most: password_file and token-ttl speak about a secret and hold none.
 */
#include <ctype.h>
#include <string.h>

#include "core/mask_find.h"

/* As a whole word, or at the end of one: pgpassword, mypasswd. Never at its beginning: tokenize, secretary. */
static const char *const endings[] = { "apikey", "authtoken", "passphrase", "passwd", "password", "passwords", "secret", "secretkey", "token" };
static const char *const words[] = { "authorization", "bearer", "cookie", "credential", "credentials", "jwt", "privatekey", "secrets", "sessionid",
				     "signature" };
static const char *const weak_words[] = { "key", "otp", "pass", "passcode", "pwd", "sig", "userpass" };
/* What makes a key one that is kept secret; sort keys, foreign keys and partition keys are none. */
static const char *const key_owners[] = { "access", "account", "api",	 "app",	    "auth",    "client",  "encryption", "license",
					  "master", "private", "secret", "service", "session", "shared", "signing",	"storage" };
static const char *const about[] = { "age",    "algorithm", "cache",	"cmd",	 "command", "count", "dir",  "enabled", "endpoint", "env",	"expires",
				     "expiry", "fd",	    "file",	"files", "format",  "helper", "id",	"interval", "len",    "length",	"limit",
				     "max",    "min",	    "name",	"path",	 "policy",  "prompt", "provider", "required", "rotation", "size", "stdin",
				     "store",  "timeout",   "ttl",	"type",	 "uri",	    "url",   "version" };
static const char *const denials[] = { "ask", "disable", "no", "skip", "without" };

#define IS_ONE_OF(word_, length_, list_) is_one_of(word_, length_, list_, sizeof(list_) / sizeof((list_)[0]))

static bool is_one_of(const char *word, size_t length, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(list[i]) == length && memcmp(list[i], word, length) == 0)
			return true;
	return false;
}

static bool has_secret_ending(const char *word, size_t length)
{
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t size = strlen(endings[i]);
		if (length >= size && memcmp(word + length - size, endings[i], size) == 0)
			return true;
	}
	return false;
}

struct words {
	uint32_t count;
	struct { const char *at; size_t length; } each[16];
};

/* Small letters, and one '-' between two words; of a long name its end, where the meaning stands. */
static size_t normalise(const char *name, size_t length, char *ret)
{
	size_t used = 0;
	if (length > MASK_KEY_LEN)
		name += length - MASK_KEY_LEN, length = MASK_KEY_LEN;
	for (size_t i = 0; i < length; i++) {
		unsigned char letter = (unsigned char)name[i];
		if (i && isupper(letter) && islower((unsigned char)name[i - 1]))
			ret[used++] = '-';
		ret[used++] = isalnum(letter) ? (char)tolower(letter) : '-';
	}
	return used;
}

static void split(const char *name, size_t length, struct words *ret)
{
	ret->count = 0;
	for (size_t i = 0; i < length && ret->count < 16;) {
		size_t start = i;
		while (i < length && name[i] != '-')
			i++;
		if (i > start) {
			ret->each[ret->count].at = name + start;
			ret->each[ret->count++].length = i - start;
		}
		i++;
	}
}

enum secrecy name_secrecy(const char *name, size_t length)
{
	char small[2 * MASK_KEY_LEN];
	struct words parts;
	enum secrecy found = NOT_SECRET;

	if (is_user_key(name, length))
		return SECRET;
	/* The shell's working directory; as a word of others it is a password. */
	if ((length == 3 && memcmp(name, "PWD", 3) == 0) || (length == 6 && memcmp(name, "OLDPWD", 6) == 0))
		return NOT_SECRET;
	split(small, normalise(name, length, small), &parts);
	if (!parts.count || IS_ONE_OF(parts.each[0].at, parts.each[0].length, denials) ||
	    IS_ONE_OF(parts.each[parts.count - 1].at, parts.each[parts.count - 1].length, about))
		return NOT_SECRET;

	for (uint32_t i = 0; i < parts.count && found != SECRET; i++) {
		const char *word = parts.each[i].at;
		size_t size = parts.each[i].length;
		bool is_key = size == 3 && memcmp(word, "key", 3) == 0;
		if (has_secret_ending(word, size) || IS_ONE_OF(word, size, words))
			found = SECRET;
		else if (is_key && i && IS_ONE_OF(parts.each[i - 1].at, parts.each[i - 1].length, key_owners))
			found = SECRET;
		else if (is_key ? parts.count == 1 : IS_ONE_OF(word, size, weak_words))
			found = WEAK_SECRET;
	}
	return found;
}
