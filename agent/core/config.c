/* SPDX-License-Identifier: Apache-2.0 */
/* See config.h: files to one struct, by the tables; and the faults on the way. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config_table.h"
#include "core/output_table.h"
#include "core/pages.h"
#include "core/policy_table.h"

#define DEFAULT_FOLDER "/etc/nodemend"

/* remedies/policy.d in one, with a NUL behind it. */
static const unsigned char shipped_policies[] = {
#include "policies.inc"
};

/* What is under way: the first file that names policies takes the place of the shipped ones. */
struct loading {
	struct config *config;
	struct config_faults *faults;
	bool policies_named, shipped, reads_files;
};

/* --- faults ------------------------------------------------------------------------------------------------------------ */

void config_fault(struct config_faults *faults, const char *file, uint32_t line, uint32_t column, const char *format, ...)
{
	if (faults->count == sizeof(faults->each) / sizeof(faults->each[0])) {
		faults->cut++;
		return;
	}
	struct config_fault *fault = &faults->each[faults->count++];
	snprintf(fault->file, sizeof(fault->file), "%s", file);
	fault->line = line;
	fault->column = column;

	va_list arguments;
	va_start(arguments, format);
	vsnprintf(fault->text, sizeof(fault->text), format, arguments);
	va_end(arguments);
}

/* Length of the character at `at`, and whether it may be shown: no controls, nothing invisible, nothing that turns the direction of
 * writing. */
static size_t character(const unsigned char *at, bool *ret_plain)
{
	size_t length = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
	*ret_plain = false;
	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 1;
	bool is_control =
		at[0] < 0x20 || at[0] == 0x7f || (at[0] >= 0x80 && at[0] < 0xc2) || (at[0] == 0xc2 && at[1] < 0xa0) || at[0] >= 0xf5;
	/* U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, U+FEFF */
	bool is_format = (at[0] == 0xe2 && at[1] == 0x80 && ((at[2] >= 0x8b && at[2] <= 0x8f) || (at[2] >= 0xa8 && at[2] <= 0xae))) ||
			 (at[0] == 0xe2 && at[1] == 0x81 && at[2] >= 0xa0 && at[2] <= 0xaf) ||
			 (at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf);
	*ret_plain = !is_control && !is_format;
	return length;
}

bool config_is_plain(const char *text)
{
	bool plain = true;
	for (const unsigned char *at = (const unsigned char *)text; *at && plain;)
		at += character(at, &plain);
	return plain;
}

const char *config_shown(char buffer[CONFIG_SHOWN_LEN], const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t used = 0;
	buffer[used++] = '"';
	while (*at) {
		bool shown;
		size_t length = character(at, &shown);
		shown = shown && *at != '"' && *at != '\\';
		if (used + (shown ? length : 4 * length) + sizeof("...\"") > CONFIG_SHOWN_LEN) {
			memcpy(buffer + used, "...", 3);
			used += 3;
			break;
		}
		for (size_t i = 0; i < length; i++, at++)
			if (shown)
				buffer[used++] = (char)*at;
			else
				used += (size_t)snprintf(buffer + used, 5, *at == '"' || *at == '\\' ? "\\%c" : "\\x%02x", *at);
	}
	buffer[used++] = '"';
	buffer[used] = 0;
	return buffer;
}

void config_print_faults(const struct config_faults *faults, FILE *out)
{
	for (uint32_t i = 0; i < faults->count; i++) {
		const struct config_fault *fault = &faults->each[i];
		for (const char *at = fault->file; *at; at++)
			fputc((unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at, out);
		if (fault->line)
			fprintf(out, ":%u:%u: %s\n", fault->line, fault->column, fault->text);
		else
			fprintf(out, ": %s\n", fault->text);
	}
	if (faults->cut)
		fprintf(out, "and %u more faults\n", faults->cut);
}

/* --- reading ----------------------------------------------------------------------------------------------------------- */

void config_read_policies(struct reader *reader, const struct yaml_item *item, void *base)
{
	struct loading *loading = reader->context;
	struct config *config = base;
	if (!loading->policies_named)
		config->policy_count = 0;
	loading->policies_named = true;
	policies_read(reader, item, config, loading->shipped);
}

/* Rules over a whole policy speak after its values; people read from the top. Stable, and at most 64. */
static void sort_faults(struct config_faults *faults, uint32_t first)
{
	for (uint32_t i = first + 1; i < faults->count; i++) {
		struct config_fault fault = faults->each[i];
		uint32_t at = i;
		for (; at > first; at--) {
			const struct config_fault *before = &faults->each[at - 1];
			if (before->line < fault.line || (before->line == fault.line && before->column <= fault.column))
				break;
			faults->each[at] = *before;
		}
		faults->each[at] = fault;
	}
}

/* Each document of a file is read over what was there before it, and each file over the one before. */
static void read_text(struct loading *loading, const char *name, const char *text, size_t size)
{
	struct reader reader = { .file = name, .faults = loading->faults, .context = loading, .reads_files = loading->reads_files };
	struct yaml_tree tree;
	uint32_t first_fault = loading->faults->count;
	int err = yaml_tree_read(name, text, size, &tree, loading->faults);
	for (const struct yaml_item *document = tree.documents; document && err != -EBADMSG; document = document->next)
		if (!yaml_is_null(document))
			section_read(&reader, &config_section, document, loading->config);
	yaml_tree_free(&tree);
	sort_faults(loading->faults, first_fault);
}

static int open_file(const char *path, size_t *ret_size, struct config_faults *faults)
{
	/* Not blocking: a FIFO put in the file's place must not stop the agent. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		config_fault(faults, path, 0, 0, "cannot be read: %s", strerror(errno));
		return -EINVAL;
	}

	struct stat stat;
	const char *problem = NULL;
	if (fstat(fd, &stat) < 0)
		problem = "cannot be read";
	else if (S_ISDIR(stat.st_mode))
		problem = "a directory; name the file";
	else if (!S_ISREG(stat.st_mode))
		problem = "not a regular file";
	else if (stat.st_mode & S_IWOTH)
		problem = "everybody may write to it, and the agent acts as root by what it says; chmod o-w it";
	else if (stat.st_size > YAML_MAX_SIZE)
		problem = "larger than 1 MiB: this is not a configuration of nodemend";
	if (problem) {
		config_fault(faults, path, 0, 0, "%s", problem);
		close(fd);
		return -EINVAL;
	}
	*ret_size = (size_t)stat.st_size;
	return fd;
}

static void read_file(struct loading *loading, const char *path)
{
	size_t size, used = 0;
	int fd = open_file(path, &size, loading->faults);
	if (fd < 0)
		return;

	char *text = malloc(size + 1);
	if (!text)
		config_fault(loading->faults, path, 0, 0, "out of memory");
	while (text && used < size) {
		ssize_t got = read(fd, text + used, size - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			config_fault(loading->faults, path, 0, 0, "cannot be read: %s", strerror(errno));
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	if (text)
		read_text(loading, path, text, used);
	free(text);
	close(fd);
}

static void name_node(struct config *config)
{
	if (!config->node[0] && (gethostname(config->node, sizeof(config->node) - 1) < 0 || !config->node[0]))
		snprintf(config->node, sizeof(config->node), "localhost");
	config->node[sizeof(config->node) - 1] = 0;
	outputs_finish(config);
}

/* Of the policies nothing is cleared: each is, when it is read. They are large, and untouched pages cost nothing. */
static void set_defaults(struct config *config)
{
	struct config_faults faults = { 0 };
	struct loading loading = { .config = config, .faults = &faults, .shipped = true };
	memset(config, 0, offsetof(struct config, policies));
	memset(&config->outputs, 0, offsetof(struct outputs, routes));
	section_defaults(&config_section, config);
	read_text(&loading, "shipped", (const char *)shipped_policies, sizeof(shipped_policies) - 1);
	assert(faults.count == 0); /* test_config reads them, too */
}

void config_defaults(struct config *config)
{
	set_defaults(config);
	name_node(config);
}

static int finish(const struct loading *loading)
{
	routes_resolve(loading->config, loading->faults);
	notices_resolve(loading->config, loading->faults);
	policies_check_alerts(loading->config, loading->faults);
	if (loading->faults->count) {
		config_defaults(loading->config);
		return -EINVAL;
	}
	name_node(loading->config);
	return 0;
}

int config_parse(const char *name, const char *text, size_t size, struct config *config, struct config_faults *faults)
{
	struct loading loading = { .config = config, .faults = faults };
	faults->count = faults->cut = 0;
	set_defaults(config);
	read_text(&loading, name, text, size);
	return finish(&loading);
}

/* --- places ------------------------------------------------------------------------------------------------------------ */

uint32_t config_places(const char *folder, char (*ret_paths)[PATH_LEN], uint32_t room)
{
	char pattern[PATH_LEN];
	uint32_t count = 0;
	glob_t found;
	if (!folder)
		folder = DEFAULT_FOLDER;

	snprintf(pattern, sizeof(pattern), "%s/nodemend.yaml", folder);
	if (access(pattern, F_OK) == 0 || errno != ENOENT) {
		if (count < room)
			snprintf(ret_paths[count], PATH_LEN, "%s", pattern);
		count++;
	}
	snprintf(pattern, sizeof(pattern), "%s/conf.d/*.yaml", folder);
	if (glob(pattern, 0, NULL, &found) != 0)
		return count;
	for (size_t i = 0; i < found.gl_pathc; i++, count++)
		if (count < room)
			snprintf(ret_paths[count], PATH_LEN, "%s", found.gl_pathv[i]);
	globfree(&found);
	return count;
}

int config_load_folder(const char *folder, struct config *ret, struct config_faults *faults)
{
	char paths[CONFIG_MAX_FILES][PATH_LEN];
	struct loading loading = { .config = ret, .faults = faults, .reads_files = true };
	uint32_t count = config_places(folder, paths, CONFIG_MAX_FILES);

	faults->count = faults->cut = 0;
	set_defaults(ret);
	if (count > CONFIG_MAX_FILES)
		config_fault(faults, folder ? folder : DEFAULT_FOLDER, 0, 0, "%u files, and at most %d are read; put them together", count,
			     CONFIG_MAX_FILES);
	for (uint32_t i = 0; i < count && i < CONFIG_MAX_FILES; i++)
		read_file(&loading, paths[i]);
	return finish(&loading);
}

int config_load(const char *path, struct config *ret, struct config_faults *faults)
{
	if (!path)
		return config_load_folder(NULL, ret, faults);

	struct loading loading = { .config = ret, .faults = faults, .reads_files = true };
	faults->count = faults->cut = 0;
	set_defaults(ret);
	read_file(&loading, path);
	return finish(&loading);
}

void config_copy(struct config *to, const struct config *from)
{
	memcpy(to, from, offsetof(struct config, policies));
	pages_copy(to->policies, from->policies, from->policy_count * sizeof(from->policies[0]));
	outputs_copy(&to->outputs, &from->outputs);
}
