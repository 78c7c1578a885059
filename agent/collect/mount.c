/* SPDX-License-Identifier: Apache-2.0 */
/* See mount.h. The lists of what is left out are node_exporter's defaults, so that both show the same filesystems. */
#include "collect/mount.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static const char *const pseudo_types[] = {
	"autofs",   "binfmt_misc", "bpf",     "cgroup",     "cgroup2",    "configfs",  "debugfs",  "devpts",  "devtmpfs",
	"efivarfs", "erofs",       "fusectl", "hugetlbfs",  "iso9660",    "mqueue",    "nsfs",     "overlay", "proc",
	"procfs",   "pstore",      "ramfs",   "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs",   "tracefs",
};

static const char *const hidden_trees[] = {
	"/dev",
	"/proc",
	"/run/containerd",
	"/run/credentials",
	"/run/docker",
	"/run/user",
	"/sys",
	"/var/lib/containerd",
	"/var/lib/containers/storage",
	"/var/lib/docker",
};

/* --- one line ----------------------------------------------------------------------------------------------------------- */

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Blanks, tabs, newlines and backslashes come as \ooo. -ENAMETOOLONG: `ret` holds what fitted. */
static int unescape(const struct span *word, char *ret, size_t size)
{
	size_t length = 0;

	for (const char *at = word->at; at < word->end; at++) {
		char c = *at;
		if (c == '\\' && word->end - at >= 4 && at[1] <= '3' && is_octal(at[1]) && is_octal(at[2]) && is_octal(at[3])) {
			c = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
			at += 3;
		}
		if (c == '\0' || length + 1 >= size) {
			ret[length] = '\0';
			return c == '\0' ? -EINVAL : -ENAMETOOLONG;
		}
		ret[length++] = c;
	}
	ret[length] = '\0';
	return 0;
}

static int parse_device_number(const struct span *word, uint32_t *ret)
{
	uint64_t major, minor;
	const char *colon = memchr(word->at, ':', (size_t)(word->end - word->at));
	if (!colon)
		return -EINVAL;

	struct span before = { word->at, colon }, after = { colon + 1, word->end };
	if (!span_number(&before, &major) || !span_number(&after, &minor) || major > 0xfff || minor > 0xfffff)
		return -EINVAL;
	*ret = (uint32_t)(major << 20 | minor);
	return 0;
}

bool mount_has_option(const char *options, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = options; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
			return true;
	}
	return false;
}

/* "36 35 98:0 /root /mountpoint rw,noatime master:1 - ext3 /dev/root rw,errors=continue": any number of fields before the dash. */
int mount_parse(const struct span *line, struct mount *ret)
{
	struct span rest = *line, number, root, point, own, word, type, device;
	uint64_t id, parent;
	char own_options[PATH_LEN];

	if (!span_next_number(&rest, &id) || id > UINT32_MAX || !span_next_number(&rest, &parent) || !span_word(&rest, &number) ||
	    !span_word(&rest, &root) || !span_word(&rest, &point) || !span_word(&rest, &own))
		return -EINVAL;
	do {
		if (!span_word(&rest, &word))
			return -EINVAL;
	} while (!span_is(&word, "-"));
	if (!span_word(&rest, &type) || !span_word(&rest, &device))
		return -EINVAL;

	*ret = (struct mount){ .mount_id = (uint32_t)id, .whole = span_is(&root, "/") };
	int error = parse_device_number(&number, &ret->dev);
	if (error)
		return error;
	/* A device's name or an option that is too long is only shown shorter; a mountpoint cut short would be another place. */
	(void)unescape(&device, ret->device, sizeof(ret->device));
	span_copy(&type, ret->type, sizeof(ret->type));
	span_copy(&own, own_options, sizeof(own_options));
	if (span_word(&rest, &word))
		span_copy(&word, ret->options, sizeof(ret->options));
	ret->read_only = mount_has_option(own_options, "ro") || mount_has_option(ret->options, "ro");

	error = unescape(&point, ret->mountpoint, sizeof(ret->mountpoint));
	return error ? error : ret->mountpoint[0] == '/' ? 0 : -EINVAL;
}

/* --- which of them ------------------------------------------------------------------------------------------------------ */

static bool is_pseudo(const char *type)
{
	for (size_t i = 0; i < sizeof(pseudo_types) / sizeof(pseudo_types[0]); i++)
		if (strcmp(type, pseudo_types[i]) == 0)
			return true;
	return false;
}

static bool is_hidden(const char *mountpoint)
{
	for (size_t i = 0; i < sizeof(hidden_trees) / sizeof(hidden_trees[0]); i++) {
		size_t length = strlen(hidden_trees[i]);
		if (strncmp(mountpoint, hidden_trees[i], length) == 0 && (mountpoint[length] == '/' || mountpoint[length] == '\0'))
			return true;
	}
	return false;
}

/* exactly: by that very path, which overrides every list above; else a pattern will do, but not one that means "all of them". */
static bool is_named(const struct config *config, const char *mountpoint, bool exactly)
{
	for (uint32_t i = 0; i < config->policy_count; i++) {
		const struct policy *policy = &config->policies[i];
		for (uint32_t j = 0; j < policy->when_count; j++) {
			const struct condition *condition = &policy->when[j].condition;
			if (policy->when[j].op != PREDICATE_LEAF || condition->kind != CONDITION_FILESYSTEM)
				continue;
			if (strcmp(condition->mountpoint, mountpoint) == 0)
				return true;
			if (!exactly && condition->mountpoint[0] == '/' && condition->mountpoint[1] != '*' &&
			    fnmatch(condition->mountpoint, mountpoint, FNM_PATHNAME) == 0)
				return true;
		}
	}
	return false;
}

static struct mount *find_mountpoint(struct mount_list *list, const char *mountpoint)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (strcmp(list->each[i].mountpoint, mountpoint) == 0)
			return &list->each[i];
	return NULL;
}

static struct mount *find_device(struct mount_list *list, uint32_t dev)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (list->each[i].dev == dev)
			return &list->each[i];
	return NULL;
}

static void drop(struct mount_list *list, struct mount *mount)
{
	size_t after = (size_t)(&list->each[list->count] - (mount + 1));
	memmove(mount, mount + 1, after * sizeof(*mount));
	list->count--;
}

static bool is_better(const struct mount *mount, const struct mount *than)
{
	if (mount->whole != than->whole)
		return mount->whole;
	return strlen(mount->mountpoint) < strlen(than->mountpoint);
}

static void consider(struct mount_list *list, const struct mount *mount, const struct config *config)
{
	struct mount *under = find_mountpoint(list, mount->mountpoint);
	if (under)
		drop(list, under); /* the later mount is the one that a path leads to */

	if (!is_named(config, mount->mountpoint, true) && (is_pseudo(mount->type) || is_hidden(mount->mountpoint)))
		return;

	struct mount *same = find_device(list, mount->dev);
	if (same && !is_named(config, mount->mountpoint, false)) {
		/* A second place of what is shown already: it takes over where it is the better name and the other has no other reason. */
		if (!is_named(config, same->mountpoint, false) && is_better(mount, same))
			*same = *mount;
		return;
	}
	if (same && !is_named(config, same->mountpoint, false) && is_better(mount, same)) {
		*same = *mount;
		return;
	}

	if (list->count < MAX_FILESYSTEMS)
		list->each[list->count++] = *mount;
	else
		list->cut++;
}

int mount_select(const char *text, size_t size, const struct config *config, struct mount_list *ret)
{
	struct span whole, line;

	int error = span_of(text, size, &whole);
	if (error)
		return error;

	ret->count = ret->cut = 0;
	while (span_line(&whole, &line)) {
		struct mount mount;
		error = mount_parse(&line, &mount);
		if (error == -ENAMETOOLONG)
			ret->cut++;
		else if (error)
			return error;
		else
			consider(ret, &mount, config);
	}
	return 0;
}
