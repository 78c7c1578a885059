/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets that must go, texts that must stay, and whatever secret in whatever place: four characters of it are too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "mask.h"

static const struct { const char *in, *out; } hidden[] = {
	{ "psql --password=hunter2 -h db", "psql --password=*** -h db" },
	{ "app --password hunter2 --verbose", "app --password *** --verbose" },
	{ "app --db-password 'two words' -v", "app --db-password '***' -v" },
	{ "PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql" },
	{ "MYSQL_PWD=hunter2 mysql", "MYSQL_PWD=*** mysql" },
	{ "DB_PASS=hunter2 ./run", "DB_PASS=*** ./run" },
	{ "mysql -u root -phunter2 db", "mysql -u root -p*** db" },
	{ "/usr/bin/mysqldump -phunter2 all", "/usr/bin/mysqldump -p*** all" },
	{ "sudo mariadb -phunter2", "sudo mariadb -p***" },
	{ "sshpass -p hunter2 ssh host", "sshpass -p *** ssh host" },
	{ "sshpass -phunter2 ssh host", "sshpass -p*** ssh host" },
	{ "curl -u bob:hunter2 http://x/", "curl -u bob:*** http://x/" },
	{ "curl --user bob:hunter2 http://x/", "curl --user bob:*** http://x/" },
	{ "redis-cli -a hunter2 ping", "redis-cli -a *** ping" },
	{ "docker login -u me -p hunter2 reg", "docker login -u me -p *** reg" },
	{ "curl -H 'Authorization: Bearer abcdef.ghi' http://x/", "curl -H 'Authorization: ***' http://x/" },
	{ "curl -H Authorization: Basic Zm9vOmJhcg== http://x/", "curl -H Authorization: *** http://x/" },
	{ "X-Api-Key: 0123456789", "X-Api-Key: ***" },
	{ "Cookie: session=abcdef; theme=dark", "Cookie: ***" },
	{ "bearer abcdefgh1234", "bearer ***" },
	{ "http://bob:hunter2@host/path", "http://bob:***@host/path" },
	{ "redis://:hunter2@host:6379/0", "redis://:***@host:6379/0" },
	{ "//bob:hunter2@server/share", "//bob:***@server/share" },
	{ "https://0123456789abcdef0123456789abcdef@host/", "https://***@host/" },
	{ "GET /v1?token=abcdef&page=2", "GET /v1?token=***&page=2" },
	{ "https://x/?page=1&api_key=abcdef#top", "https://x/?page=1&api_key=***#top" },
	{ "{\"user\":\"bob\",\"password\":\"hun ter2\",\"n\":1}", "{\"user\":\"bob\",\"password\":\"***\",\"n\":1}" },
	{ "-d {\\\"secret\\\":\\\"hunter2\\\"}", "-d {\\\"secret\\\":\\\"***\\\"}" },
	{ "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=***" },
	{ "aws AKIAIOSFODNN7EXAMPLE", "aws ***" },
	{ "git clone ghp_0123456789abcdefghij0123456789abcdef", "git clone ***" },
	{ "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dGhpc2lzaXQ", "***" },
	{ "-----BEGIN RSA PRIVATE KEY-----MIIabc-----END RSA PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY***-----END RSA PRIVATE KEY-----" },
	{ "clientSecret=abc", "clientSecret=***" },
	{ "accessToken: abc", "accessToken: ***" },
	{ "key=abcdef", "key=***" },
	{ "password=hunte", "password=***" }, /* as a process is called: 15 bytes of it */
	{ "Server=db;Pwd=hunter2", "Server=db;Pwd=***" },
	{ "smbclient -U bob%hunter2 //s/x", "smbclient -U bob%*** //s/x" },
};

static const char *const innocent[] = {
	"monkey=banana", "--keyboard us", "tokenize --input file", "tokenizer=bpe", "turkey: 3", "bypass=1", "compass=north",
	"--password-file /etc/app/secret", "--token-ttl 5m", "--max-tokens=100", "--no-password db", "PWD=/home/bob", "OLDPWD=/root",
	"--ask-password --verbose", "secret_name=db", "ssh://git@host/repo", "http://host:80/a@b", "mail bob@example.org", "12:34:56 up",
	"docker run -p 8080:80 nginx", "mysql --protocol=tcp", "ps -p 1234", "mkdir -p a/b", "sort --key 2,2n", "the bearer of news",
	"key: value", "/dev/disk/by-id/wwn-0x5000", "kworker/0:1-events", "AKIA", "eyJ", "curl http://127.0.0.1:9847/metrics",
	"--key /etc/ssl/key.pem", "partition_key=7 sort-key=3", "pass: 3 fail: 0", "wrote 512.0 MiB lately", "sshd: bob [priv]",
	"secretary=alice", "node_memory_MemAvailable_bytes", "unit app@1.service failed", "CREDENTIALS_DIRECTORY_PATH=/run/x",
};

static const char *mask(const char *in)
{
	static char out[MASK_TEXT_MAX];
	mask_text(out, sizeof(out), in);
	return out;
}

static void test_secrets_go(void **state)
{
	uint32_t wrong = 0;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		if (strcmp(mask(hidden[i].in), hidden[i].out) != 0) {
			print_error("%s\n  is   %s\n  want %s\n", hidden[i].in, mask(hidden[i].in), hidden[i].out);
			wrong++;
		}
		char once[512], twice[512];
		mask_text(once, sizeof(once), hidden[i].in);
		mask_text(twice, sizeof(twice), once);
		assert_string_equal(once, twice);
	}
	assert_int_equal(wrong, 0);
}

static void test_the_rest_stays(void **state)
{
	uint32_t wrong = 0;
	for (size_t i = 0; i < sizeof(innocent) / sizeof(innocent[0]); i++)
		if (strcmp(mask(innocent[i]), innocent[i]) != 0) {
			print_error("%s\n  is %s\n", innocent[i], mask(innocent[i]));
			wrong++;
		}
	assert_int_equal(wrong, 0);
}

/* --- whatever secret --------------------------------------------------------------------------------------------------- */

static const char *const places[] = {
	"app --password=%s -v", "app --password %s -v", "app --token '%s' -v", "env PGPASSWORD=%s psql", "mysql -uroot -p%s db", "sshpass -p %s ssh h",
	"curl -u bob:%s http://x", "http://bob:%s@host/p", "curl -H 'Authorization: Bearer %s' x", "X-Auth-Token: %s", "{\"api_key\": \"%s\"}",
	"GET /?a=1&secret=%s&b=2", "dsn=postgres://u:%s@db/x?sslmode=off", "sudo -u x env A_SECRET_KEY=%s run", "password=%s", "redis-cli -h h -a %s ping",
	"-----BEGIN PRIVATE KEY-----%s-----END PRIVATE KEY-----",
};

static void random_secret(char *secret, uint32_t length)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.~!*^"; /* none of these stands four in a row in a place */
	for (uint32_t i = 0; i < length; i++)
		secret[i] = letters[(uint32_t)rand() % (sizeof(letters) - 1)];
	secret[length] = '\0';
}

static void test_no_four_characters_survive(void **state)
{
	srand(4);
	for (uint32_t round = 0; round < 20000; round++) {
		char secret[80], text[256];
		const char *place = places[round % (sizeof(places) / sizeof(places[0]))], *hole = strstr(place, "%s");
		random_secret(secret, 4 + (uint32_t)rand() % 60);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(hole - place), place, secret, hole + 2);
		const char *out = mask(text);
		for (size_t i = 0; i + 4 <= strlen(secret); i++) {
			char four[5] = { secret[i], secret[i + 1], secret[i + 2], secret[i + 3], 0 };
			if (strstr(out, four) && !strstr(place, four) && strspn(four, "*") != 4)
				fail_msg("%s of %s is in %s", four, text, out);
		}
	}
}

/* Cut at every size and read at every end: never behind a bound, always closed. */
static void test_bounds(void **state)
{
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		for (size_t size = 1; size < 80; size++) {
			char *out = malloc(size);
			size_t length = mask_text(out, size, hidden[i].in);
			assert_true(length < size && out[length] == '\0');
			free(out);
		}
		for (size_t cut = 0; cut < strlen(hidden[i].in); cut++) {
			char *in = strndup(hidden[i].in, cut), out[256];
			mask_text(out, sizeof(out), in);
			mask_in_place(in, cut + 1);
			free(in);
		}
	}
	char *endless = malloc(3 * MASK_TEXT_MAX), *out = malloc(3 * MASK_TEXT_MAX);
	memset(endless, 'a', 3 * MASK_TEXT_MAX);
	memcpy(endless, "password=", 9);
	endless[3 * MASK_TEXT_MAX - 1] = '\0';
	mask_text(out, 3 * MASK_TEXT_MAX, endless);
	assert_string_equal(out, "password=***");
	free(endless);
	free(out);
}

static void test_own_rules(void **state)
{
	struct mask_rules rules = { .key_count = 1, .pattern_count = 3, .keys = { "*_dsn" },
				    .patterns = { "card ([0-9]{4,})", "EMP-[0-9]+", "(a+)+$" } };
	char why[96], evil[200];
	assert_true(mask_pattern_ok(rules.patterns[0], why, sizeof(why)));
	assert_false(mask_pattern_ok("(open", why, sizeof(why)));
	assert_non_null(strstr(why, "parenthes"));
	mask_use(&rules);
	assert_string_equal(mask("APP_DSN=x:y"), "APP_DSN=***");
	assert_string_equal(mask("card 12345678, EMP-77"), "card ***, ***");
	/* A pattern that would take for ever takes its limit, and the others still work. */
	memset(evil, 'a', sizeof(evil) - 12);
	snprintf(evil + sizeof(evil) - 12, 12, "! EMP-1");
	assert_non_null(strstr(mask(evil), "***"));
	mask_use(NULL);
	assert_string_equal(mask("EMP-77"), "EMP-77");
}

static void test_cost(void **state)
{
	static const char line[] = "java -Xmx2g -Dserver.port=8080 -jar /opt/app/app.jar --spring.datasource.password=hunter2 --db http://u:p@h/";
	enum { ROUNDS = 20000 };
	struct timespec from, to;
	char out[512];
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (int i = 0; i < ROUNDS; i++)
		mask_text(out, sizeof(out), line);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	double ns = ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / ROUNDS;
	print_message("masking a command line of %zu bytes: %.0f ns\n", sizeof(line) - 1, ns);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (int i = 0; i < ROUNDS; i++)
		mask_text(out, sizeof(out), "postgres");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	print_message("masking a name: %.0f ns\n", ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secrets_go),	cmocka_unit_test(test_the_rest_stays), cmocka_unit_test(test_no_four_characters_survive),
		cmocka_unit_test(test_bounds),		cmocka_unit_test(test_own_rules),      cmocka_unit_test(test_cost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
