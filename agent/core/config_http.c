/* SPDX-License-Identifier: Apache-2.0 */
/* The http section's parts: tls and auth as tables, what goes together in them, and the files they name, which are looked at when
 * the configuration itself comes from files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config_table.h"
#include "core/credential.h"
#include "publisher.h"

/* Half a second on a slow core: the publisher has but one thread. Beyond it a wrong password would be a way to hold up all others. */
enum { MAX_BCRYPT_COST = 12 };

static const char *const client_auth_choices[CLIENT_AUTH_COUNT] = {
	[CLIENT_NONE] = "NoClientCert",
	[CLIENT_REQUEST] = "RequestClientCert",
	[CLIENT_ANY] = "RequireAnyClientCert",
	[CLIENT_VERIFY_IF_GIVEN] = "VerifyClientCertIfGiven",
	[CLIENT_VERIFY] = "RequireAndVerifyClientCert",
};
static const char *const version_choices[TLS_VERSION_COUNT] = { [TLS_1_2] = "TLS12", [TLS_1_3] = "TLS13" };
static const char *const unprotected_choices[UNPROTECTED_COUNT] = {
	[UNPROTECTED_NONE] = "none", [UNPROTECTED_HEALTHZ] = "healthz", [UNPROTECTED_BOTH] = "healthz-and-readyz",
};

static const struct setting tls_settings[] = {
	{ .name = "cert_file", .type = VALUE_PATH, MEMBER(struct config, tls.cert_file), .required = true, .min = 1,
	  .help = "the server's certificate, and behind it those that lead to its authority (PEM)" },
	{ .name = "key_file", .type = VALUE_PATH, MEMBER(struct config, tls.key_file), .required = true, .min = 1,
	  .help = "its private key, without a passphrase (PEM)" },
	{ .name = "client_ca_file", .type = VALUE_PATH, MEMBER(struct config, tls.client_ca_file), .min = 1,
	  .help = "the authorities whose clients' certificates are believed (PEM)" },
	{ .name = "client_auth_type", .type = VALUE_CHOICE, MEMBER(struct config, tls.client_auth), CHOICES(client_auth_choices),
	  .initial = "NoClientCert", .help = "whether a client must show a certificate; who must and does not is 403" },
	{ .name = "min_version", .type = VALUE_CHOICE, MEMBER(struct config, tls.min_version), CHOICES(version_choices), .initial = "TLS12",
	  .help = "the oldest version of TLS that is spoken" },
};
const struct section http_tls_section = SECTION("tls", "Serve over TLS. The files are read again when they change.", tls_settings);

static const struct setting auth_settings[] = {
	{ .name = "bearer_token_file", .type = VALUE_PATH, MEMBER(struct config, auth.bearer_token_file), .min = 1,
	  .help = "a token; whoever sends it is answered. Read again when it changes" },
	{ .name = "basic_auth_users", .type = VALUE_CUSTOM, .read = config_read_http_users,
	  .help = "a mapping of up to 16 names to bcrypt hashes of passwords ($2b$ or $2y$, cost 4 to 12), as htpasswd -nBC 10 prints them" },
	{ .name = "unprotected", .type = VALUE_CHOICE, MEMBER(struct config, auth.unprotected), CHOICES(unprotected_choices),
	  .initial = "healthz", .help = "what is answered to everybody all the same" },
};
const struct section http_auth_section = SECTION("auth",
	"Who is answered: with both a token and users, either will do. Without any of them everybody is.", auth_settings);

/* --- reading ---------------------------------------------------------------------------------------------------------- */

/* What a user gives may be a password by mistake: no message shows it. */
void config_read_http_users(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct http_auth *auth = &((struct config *)base)->auth;
	auth->user_count = 0;
	if (item->kind != ITEM_MAPPING) {
		reader_fault(reader, item, "basic_auth_users: a mapping of names to bcrypt hashes is wanted");
		return;
	}
	for (const struct yaml_item *member = item->first; member; member = member->next) {
		char shown[CONFIG_SHOWN_LEN];
		const char *name = member->key->text, *problem = "one bcrypt hash is wanted here";
		if (auth->user_count == MAX_HTTP_USERS) {
			reader_fault(reader, member->key, "basic_auth_users: at most %d users", MAX_HTTP_USERS);
			return;
		}
		if (!*name || strlen(name) >= NAME_LEN || strchr(name, ':') || !config_is_plain(name)) {
			reader_fault(reader, member->key, "basic_auth_users: a name of 1 to %d characters without a colon is wanted", NAME_LEN - 1);
			continue;
		}
		if (member->kind == ITEM_SCALAR)
			problem = credential_hash_problem(member->text, MAX_BCRYPT_COST);
		if (problem) {
			reader_fault(reader, member, "basic_auth_users: %s: %s", config_shown(shown, name), problem);
			continue;
		}
		struct http_user *user = &auth->users[auth->user_count++];
		snprintf(user->name, sizeof(user->name), "%s", name);
		snprintf(user->hash, sizeof(user->hash), "%s", member->text);
	}
}

/* Reads a file that is named at `key` into `text`; false with a fault where it cannot be had. "" where it is not named. */
static bool read_named(struct reader *reader, const struct yaml_item *section, const char *key, const char *path, char *text, size_t room,
	const char *(*problem)(const char *text))
{
	char shown[CONFIG_SHOWN_LEN], why[CREDENTIAL_WHY_LEN];
	const struct yaml_item *item = yaml_member(section, key);
	text[0] = 0;
	if (!*path || !item)
		return true;
	const char *found = credential_read(path, text, room, why) < 0 ? why : problem ? problem(text) : NULL;
	if (!found && !problem && credential_trim_token(text, why) < 0)
		found = why;
	if (found)
		reader_fault(reader, item, "%s: %s: %s", key, config_shown(shown, path), found);
	return !found;
}

static void check_tls_files(struct reader *reader, const struct yaml_item *item, const struct http_tls *tls)
{
	struct publisher_access *access = calloc(1, sizeof(*access));
	if (!access) {
		reader_fault(reader, item, "tls: out of memory");
		return;
	}
	bool whole = read_named(reader, item, "cert_file", tls->cert_file, access->cert, sizeof(access->cert), credential_certificate_problem);
	whole &= read_named(reader, item, "key_file", tls->key_file, access->key, sizeof(access->key), credential_key_problem);
	(void)read_named(reader, item, "client_ca_file", tls->client_ca_file, access->client_ca, sizeof(access->client_ca),
		credential_certificate_problem);
	const char *problem = whole && *access->cert && *access->key ? credential_pair_problem(access->cert, access->key) : NULL;
	if (problem)
		reader_fault(reader, yaml_member(item, "key_file"), "key_file: %s", problem);
	explicit_bzero(access, sizeof(*access));
	free(access);
}

void config_read_http_tls(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct config *config = base;
	uint32_t faults = reader->faults->count + reader->faults->cut;
	section_read(reader, &http_tls_section, item, config);
	if (reader->faults->count + reader->faults->cut != faults)
		return;
	bool verifies = config->tls.client_auth == CLIENT_VERIFY || config->tls.client_auth == CLIENT_VERIFY_IF_GIVEN;
	if (verifies && !*config->tls.client_ca_file)
		reader_fault(reader, yaml_member(item, "client_auth_type"), "client_auth_type: nothing to verify clients by; name a client_ca_file");
	if (!verifies && *config->tls.client_ca_file)
		reader_fault(reader, yaml_member(item, "client_ca_file"),
			     "client_ca_file: nobody is verified by it; add client_auth_type: RequireAndVerifyClientCert");
	if (reader->reads_files)
		check_tls_files(reader, item, &config->tls);
}

void config_read_http_auth(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct config *config = base;
	char token[ACCESS_TOKEN_ROOM];
	section_read(reader, &http_auth_section, item, config);
	if (item->kind == ITEM_MAPPING && reader->reads_files)
		(void)read_named(reader, item, "bearer_token_file", config->auth.bearer_token_file, token, sizeof(token), NULL);
	explicit_bzero(token, sizeof(token));
}

/* --- for the publisher ------------------------------------------------------------------------------------------------ */

int publisher_access_read(const struct config *config, struct publisher_access *ret, char *why, size_t why_size)
{
	const struct { const char *path; char *text; size_t room; const char *(*problem)(const char *); } files[] = {
		{ config->tls.cert_file, ret->cert, sizeof(ret->cert), credential_certificate_problem },
		{ config->tls.key_file, ret->key, sizeof(ret->key), credential_key_problem },
		{ config->tls.client_ca_file, ret->client_ca, sizeof(ret->client_ca), credential_certificate_problem },
		{ config->auth.bearer_token_file, ret->token, sizeof(ret->token), NULL },
	};
	char reason[CREDENTIAL_WHY_LEN];
	const char *problem = NULL;

	memset(ret, 0, sizeof(*ret));
	ret->client_auth = config->tls.client_auth;
	ret->min_version = config->tls.min_version;
	ret->unprotected = config->auth.unprotected;
	ret->user_count = config->auth.user_count;
	memcpy(ret->users, config->auth.users, sizeof(ret->users));
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (!*files[i].path)
			continue;
		if (credential_read(files[i].path, files[i].text, files[i].room, reason) < 0 ||
		    (!files[i].problem && credential_trim_token(files[i].text, reason) < 0))
			problem = reason;
		else if (files[i].problem)
			problem = files[i].problem(files[i].text);
		if (problem) {
			snprintf(why, why_size, "%s: %s", files[i].path, problem);
			return -EINVAL;
		}
	}
	problem = *ret->cert ? credential_pair_problem(ret->cert, ret->key) : NULL;
	if (problem)
		snprintf(why, why_size, "%s: %s", config->tls.key_file, problem);
	return problem ? -EINVAL : 0;
}
