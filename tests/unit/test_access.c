/* SPDX-License-Identifier: Apache-2.0 */
/* Who is answered: tokens, users, what is remembered of both, and that guessing passwords costs the guesser more than us. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <crypt.h>
#include <nettle/base64.h>

#include "core/clock.h"
#include "publish/access.h"

static void add_user(struct publisher_access *rules, const char *name, const char *password, const char *prefix)
{
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	struct http_user *user = &rules->users[rules->user_count++];
	assert_non_null(crypt_gensalt_rn(prefix, 4, NULL, 0, salt, sizeof(salt)));
	snprintf(user->name, sizeof(user->name), "%s", name);
	snprintf(user->hash, sizeof(user->hash), "%s", crypt(password, salt));
	assert_int_equal(strlen(user->hash), 60);
}

static const char *basic(const char *credential)
{
	static char header[2048];
	char encoded[1500];
	size_t size = BASE64_ENCODE_RAW_LENGTH(strlen(credential));
	assert_true(size < sizeof(encoded));
	base64_encode_raw(encoded, strlen(credential), (const uint8_t *)credential);
	encoded[size] = 0;
	snprintf(header, sizeof(header), "Basic %s", encoded);
	return header;
}

static struct access *open_rules(const struct publisher_access *rules)
{
	struct access *access = access_open(rules);
	assert_non_null(access);
	return access;
}

static void without_rules_everybody_is(void **state)
{
	struct publisher_access *rules = calloc(1, sizeof(*rules));
	struct access *access = open_rules(rules);
	assert_int_equal(access_check(access, NULL, "/metrics", 1), ACCESS_GRANTED);
	assert_int_equal(access_check(access, "Bearer x", "/metrics", 1), ACCESS_GRANTED);
	access_free(access);
	free(rules);
}

static void a_token_is_compared_whole(void **state)
{
	struct publisher_access *rules = calloc(1, sizeof(*rules));
	strcpy(rules->token, "t0ken");
	struct access *access = open_rules(rules);
	static const struct { const char *header; enum access_verdict verdict; } cases[] = {
		{ NULL, ACCESS_DENIED },	  { "", ACCESS_DENIED },	 { "Bearer", ACCESS_DENIED },	 { "Bearer ", ACCESS_DENIED },
		{ "Bearer t0ke", ACCESS_DENIED }, { "Bearer t0ken", ACCESS_GRANTED }, { "bearer  t0ken", ACCESS_GRANTED }, { "Bearer t0ken2", ACCESS_DENIED },
		{ "t0ken", ACCESS_DENIED },	  { "Basic dDBrZW4=", ACCESS_DENIED }, { "BearerX t0ken", ACCESS_DENIED },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(access_check(access, cases[i].header, "/metrics", 1), cases[i].verdict);
	assert_non_null(strstr(access_challenge(access), "Bearer"));
	access_free(access);
	free(rules);
}

static void health_is_open_as_configured(void **state)
{
	static const bool open[UNPROTECTED_COUNT][2] = { { false, false }, { true, false }, { true, true } };
	struct publisher_access *rules = calloc(1, sizeof(*rules));
	strcpy(rules->token, "t");
	for (int i = 0; i < UNPROTECTED_COUNT; i++) {
		rules->unprotected = (enum http_unprotected)i;
		struct access *access = open_rules(rules);
		assert_int_equal(access_check(access, NULL, "/healthz", 1) == ACCESS_GRANTED, open[i][0]);
		assert_int_equal(access_check(access, NULL, "/readyz", 1) == ACCESS_GRANTED, open[i][1]);
		assert_int_equal(access_check(access, NULL, "/healthz/", 1), ACCESS_DENIED);
		access_free(access);
	}
	free(rules);
}

/* Each check that has to hash moves the clock by far more than its pause. */
static enum access_verdict later(struct access *access, const char *credential, uint64_t *now_ns)
{
	*now_ns += 60 * NSEC_PER_SEC;
	return access_check(access, basic(credential), "/metrics", *now_ns);
}

static void users_are_known_by_their_passwords(void **state)
{
	struct publisher_access *rules = calloc(1, sizeof(*rules));
	uint64_t now_ns = 1;
	add_user(rules, "ann", "correct horse", "$2b$");
	add_user(rules, "bob", "b:o:b", "$2y$"); /* as htpasswd writes it; a password may hold colons */
	struct access *access = open_rules(rules);
	assert_int_equal(later(access, "ann:correct horse", &now_ns), ACCESS_GRANTED);
	assert_int_equal(later(access, "ann:correct horse", &now_ns), ACCESS_GRANTED);
	assert_int_equal(later(access, "bob:b:o:b", &now_ns), ACCESS_GRANTED);
	static const char *const wrong[] = { "ann:", "ann", "", ":", "ann:b:o:b", "bob:correct horse", "eve:correct horse", "Ann:correct horse",
					     "ann:correct horse ", ":correct horse" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(later(access, wrong[i], &now_ns), ACCESS_DENIED);
	static const char *const nonsense[] = { "Basic", "Basic ", "Basic ***", "Basic YW5u=", "Digest x", "Basic YW5uOmNvcnJlY3QgaG9yc2UA" /* …NUL */ };
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		assert_int_equal(access_check(access, nonsense[i], "/metrics", now_ns += 60 * NSEC_PER_SEC), ACCESS_DENIED);
	char longest[1100];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	assert_int_equal(later(access, longest, &now_ns), ACCESS_DENIED);
	access_free(access);
	free(rules);
}

/* No time passes here: whatever needs hashing is put off, whatever is remembered is answered. */
static void guessing_is_bounded_and_the_known_pass(void **state)
{
	struct publisher_access *rules = calloc(1, sizeof(*rules));
	uint64_t now_ns = NSEC_PER_SEC;
	add_user(rules, "ann", "a", "$2b$");
	struct access *access = open_rules(rules);
	assert_int_equal(access_check(access, basic("ann:a"), "/", now_ns), ACCESS_GRANTED);
	assert_int_equal(access_check(access, basic("ann:b"), "/", now_ns), ACCESS_LATER);
	assert_int_equal(access_check(access, basic("ann:a"), "/", now_ns), ACCESS_GRANTED);
	assert_int_equal(later(access, "ann:b", &now_ns), ACCESS_DENIED);
	for (int i = 0; i < 1000; i++) {
		char guess[32];
		snprintf(guess, sizeof(guess), "ann:%d", i);
		assert_int_equal(access_check(access, basic(guess), "/", now_ns), ACCESS_LATER);
		assert_int_equal(access_check(access, basic("ann:b"), "/", now_ns), ACCESS_DENIED); /* known to be wrong */
		assert_int_equal(access_check(access, basic("ann:a"), "/", now_ns), ACCESS_GRANTED);
	}
	for (int i = 0; i < 3 * ACCESS_REMEMBERED; i++) { /* wrong ones push out only wrong ones */
		char guess[32];
		snprintf(guess, sizeof(guess), "ann:%d", i);
		assert_int_equal(later(access, guess, &now_ns), ACCESS_DENIED);
	}
	assert_int_equal(access_check(access, basic("ann:a"), "/", now_ns), ACCESS_GRANTED);
	access_free(access);
	free(rules);
}

static void either_will_do(void **state)
{
	struct publisher_access *rules = calloc(1, sizeof(*rules));
	strcpy(rules->token, "t");
	add_user(rules, "ann", "a", "$2y$");
	struct access *access = open_rules(rules);
	assert_int_equal(access_check(access, "Bearer t", "/", 1), ACCESS_GRANTED);
	assert_int_equal(access_check(access, basic("ann:a"), "/", 1), ACCESS_GRANTED);
	assert_int_equal(access_check(access, NULL, "/", 1), ACCESS_DENIED);
	access_free(access);
	free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_rules_everybody_is),
		cmocka_unit_test(a_token_is_compared_whole),
		cmocka_unit_test(health_is_open_as_configured),
		cmocka_unit_test(users_are_known_by_their_passwords),
		cmocka_unit_test(guessing_is_bounded_and_the_known_pass),
		cmocka_unit_test(either_will_do),
	};
	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
