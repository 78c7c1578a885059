/* SPDX-License-Identifier: Apache-2.0 */
/* What no single value of an output shows: addresses, what belongs together and what excludes each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/output_table.h"

const char *output_url_problem(enum output_kind kind, const char *url)
{
	static const char *const web[] = { "http://", "https://", NULL }, *const mail[] = { "smtp://", "smtps://", NULL };
	const char *const *scheme = kind == OUTPUT_MAIL ? mail : web;
	while (*scheme && strncmp(url, *scheme, strlen(*scheme)) != 0)
		scheme++;
	if (!*scheme)
		return kind == OUTPUT_MAIL ? "the address is not smtp://host:port or smtps://host:port" : "the address is not http://host:port/path or https://...";

	const char *authority = url + strlen(*scheme);
	size_t length = strcspn(authority, "/?");
	if (memchr(authority, '@', length))
		return "no user or password in the address; write username and password_file";
	for (const char *at = url; *at; at++)
		if (*at <= ' ' || *at == 0x7f || *at == '#' || *at == '"' || *at == '\\')
			return "a blank, a quote, a # or a control character in the address";

	const char *bracket = authority[0] == '[' ? memchr(authority, ']', length) : NULL;
	if (authority[0] == '[' && !bracket)
		return "a [ without ] in the address";
	const char *host_end = bracket ? bracket + 1 : memchr(authority, ':', length);
	if (!host_end)
		host_end = authority + length;
	if (host_end == authority)
		return "no host in the address";
	if (host_end == authority + length)
		return NULL;
	size_t digits = strspn(host_end + 1, "0123456789");
	unsigned long port = strtoul(host_end + 1, NULL, 10);
	if (*host_end != ':' || host_end + 1 + digits != authority + length || !digits || digits > 5 || port == 0 || port > 65535)
		return "the port in the address is not a number from 1 to 65535";
	return NULL;
}

/* Ours to write, or a secret that would stand in the configuration. */
static const char *header_problem(const char *name)
{
	static const char *const ours[] = { "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "TE",
					    "Transfer-Encoding", "Upgrade", "User-Agent", "X-Prometheus-Remote-Write-Version", NULL };
	static const char *const secret[] = { "Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token", "Api-Key", "DD-Api-Key", NULL };
	for (int i = 0; ours[i]; i++)
		if (strcasecmp(name, ours[i]) == 0)
			return "is written by nodemend itself";
	for (int i = 0; secret[i]; i++)
		if (strcasecmp(name, secret[i]) == 0)
			return "is a secret: write bearer_token_file, or the header in header_files with the path of a file that holds it";
	return NULL;
}

static void check_headers(struct reader *reader, const struct yaml_item *item, const struct output *output)
{
	for (uint32_t i = 0; i < output->header_count; i++) {
		const char *problem = header_problem(output->headers[i].name);
		if (problem)
			reader_fault(reader, yaml_member(item, "headers"), "headers: %s %s", output->headers[i].name, problem);
	}
}

static bool any_url_begins_with(const struct output *output, const char *scheme)
{
	for (uint32_t i = 0; i < output->url_count; i++)
		if (strncmp(output->urls[i], scheme, strlen(scheme)) == 0)
			return true;
	return false;
}

static void check_addresses(struct reader *reader, const struct yaml_item *item, const struct output *output)
{
	bool said = yaml_member(item, "url") || yaml_member(item, "urls") || yaml_member(item, "server");
	if (!said && !output->url_file[0])
		reader_fault(reader, item, "%s: url is missing", output_kind_names[output->kind]);
	if (output->url_count && output->url_file[0])
		reader_fault(reader, yaml_member(item, "url_file"), "url_file: url is given, too; one of them");
	if (output->url_count > 1 && output->kind != OUTPUT_ALERTMANAGER)
		reader_fault(reader, item, "%s: one address; write an output for each", output_kind_names[output->kind]);
	if (output->kind != OUTPUT_MAIL && output->url_count && !any_url_begins_with(output, "https://") &&
	    (output->ca_file[0] || output->cert_file[0] || output->server_name[0]))
		reader_fault(reader, item, "%s: the address is http://, so ca_file, cert_file and server_name mean nothing; write https://",
			     output_kind_names[output->kind]);
}

/* Pairs of which one is nothing without the other, and pairs that exclude each other. */
static void check_pairs(struct reader *reader, const struct yaml_item *item, const struct output *output)
{
	const struct {
		const char *name, *value, *other_name, *other;
		bool together;
	} pairs[] = {
		{ "username", output->username, "password_file", output->password_file, true },
		{ "cert_file", output->cert_file, "key_file", output->key_file, true },
		{ "bearer_token_file", output->bearer_token_file, "username", output->username, false },
	};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		bool one = pairs[i].value[0], other = pairs[i].other[0];
		if (pairs[i].together && one != other)
			reader_fault(reader, item, "%s: %s is given and %s is not; both or none", output_kind_names[output->kind],
				     one ? pairs[i].name : pairs[i].other_name, one ? pairs[i].other_name : pairs[i].name);
		if (!pairs[i].together && one && other)
			reader_fault(reader, item, "%s: %s and %s exclude each other", output_kind_names[output->kind], pairs[i].name, pairs[i].other_name);
	}
}

void output_check(struct reader *reader, const struct yaml_item *item, const struct output *output)
{
	const struct yaml_item *name = yaml_member(item, "name");
	if (name && output->name[0] && (output->name[strspn(output->name, "abcdefghijklmnopqrstuvwxyz0123456789-")] || output->name[0] == '-'))
		reader_fault(reader, name, "name: only a to z, 0 to 9 and -, and not - first: a folder and a label are named by it");
	check_addresses(reader, item, output);
	check_pairs(reader, item, output);
	check_headers(reader, item, output);
	if (output->kind == OUTPUT_MAIL && (output->header_count || output->header_file_count || output->bearer_token_file[0]))
		reader_fault(reader, item, "mail: headers and bearer tokens are for HTTP; write username and password_file");
	if (output->kind == OUTPUT_WEBHOOK && output->format == WEBHOOK_PAGERDUTY && output->template_file[0])
		reader_fault(reader, item, "webhook: a template is for format: json and slack; PagerDuty's form is its own");
	if (output->kind == OUTPUT_WEBHOOK && (output->format == WEBHOOK_PAGERDUTY) != (output->routing_key_file[0] != 0))
		reader_fault(reader, item, "webhook: routing_key_file belongs to format: pagerduty, which needs it");
	if (output->connect_timeout_ns > output->timeout_ns && yaml_member(item, "connect_timeout"))
		reader_fault(reader, yaml_member(item, "connect_timeout"), "connect_timeout: longer than timeout, which holds for the whole request");
}
