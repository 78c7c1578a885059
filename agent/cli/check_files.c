/* SPDX-License-Identifier: Apache-2.0 */
/* What `check` says of the files that outputs name: they may be made later, so these are warnings and no faults. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "config.h"

/* Why the sender could not take it; NULL when it could. Of a secret also: who else can read it. */
static const char *problem_of(const char *path, bool secret)
{
	struct stat status;
	if (stat(path, &status) < 0)
		return strerror(errno);
	if (!S_ISREG(status.st_mode))
		return "not a regular file";
	if (access(path, R_OK) < 0 && geteuid() == 0)
		return strerror(errno);
	if (secret && status.st_mode & S_IROTH)
		return "everybody on this node can read it; chmod o-r it";
	return NULL;
}

static void say(FILE *out, const struct output *output, const char *key, const char *path, bool secret)
{
	char shown[CONFIG_SHOWN_LEN];
	const char *problem = path[0] ? problem_of(path, secret) : NULL;
	if (problem)
		fprintf(out, "warning: output %s: %s: %s: %s\n", output->name, key, config_shown(shown, path), problem);
}

void check_print_files(const struct outputs *outputs, FILE *out)
{
	for (uint32_t i = 0; i < outputs->output_count; i++) {
		const struct output *output = &outputs->each[i];
		const struct {
			const char *key, *path;
			bool secret;
		} files[] = {
			{ "bearer_token_file", output->bearer_token_file, true }, { "password_file", output->password_file, true },
			{ "key_file", output->key_file, true },			  { "url_file", output->url_file, true },
			{ "routing_key_file", output->routing_key_file, true },	  { "ca_file", output->ca_file, false },
			{ "cert_file", output->cert_file, false },		  { "template", output->template_file, false },
		};
		for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++)
			say(out, output, files[f].key, files[f].path, files[f].secret);
		for (uint32_t h = 0; h < output->header_file_count; h++)
			say(out, output, "header_files", output->header_files[h].value, true);
	}
}
