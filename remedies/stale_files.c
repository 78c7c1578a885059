/* SPDX-License-Identifier: Apache-2.0 */
/* See stale_files.h. */
#include "remedies/stale_files.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "config.h"
#include "remedies/act.h"

enum { MOST_FILES = 1000000 };

/* FNV-1a. Two names of one sum would share what is kept: at worst one file less stays. */
uint64_t stale_kin(const char *name, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3ULL;
	return hash;
}

static bool is_on(const struct target *target, const struct stat *found)
{
	return target->type != TARGET_FILESYSTEM || !target->dev || (major(found->st_dev) << 20 | minor(found->st_dev)) == target->dev;
}

const struct stale_place *stale_place(const struct stale_place *places, uint32_t count, const struct stale_files_args *args, const struct target *target)
{
	struct stat found;
	for (uint32_t i = 0; i < count; i++) {
		if (args->root[0] && strcmp(args->root, places[i].path) == 0)
			return &places[i];
		if (!args->root[0] && stat(places[i].path, &found) == 0 && S_ISDIR(found.st_mode) && is_on(target, &found))
			return &places[i];
	}
	return args->root[0] ? &places[0] : NULL;
}

static void fill(struct cleaning *cleaning, const struct stale_place *place, const struct stale_files_args *args)
{
	struct clean_files_args *clean = &cleaning->args;
	snprintf(clean->root, sizeof(clean->root), "%s", args->root[0] ? args->root : place->path);
	for (; clean->match_count < MAX_STALE_MATCH && place->match[clean->match_count]; clean->match_count++)
		snprintf(clean->match[clean->match_count], sizeof(clean->match[0]), "%s", place->match[clean->match_count]);
	clean->min_age_ns = args->min_age_ns;
	clean->keep_newest = args->keep_newest;
	clean->max_bytes = args->max_bytes;
	clean->max_files = args->max_files;
	clean->max_depth = place->max_depth;
	cleaning->keep_bytes = args->keep_bytes;
	cleaning->licence = place->licence;
	cleaning->is_meant = place->is_meant;
	cleaning->kin = place->kin;
	cleaning->readers_stay = place->readers_stay;
}

int stale_files_run(const struct stale_place *places, uint32_t count, const struct stale_files_args *args, const struct remedy_request *request,
		    struct remedy_result *result)
{
	const struct stale_place *place = stale_place(places, count, args, &request->target);
	struct cleaning cleaning = { .keep_bytes = 0 };
	if (!place) {
		act_refuse(result, "no-such-root", "none of the usual places is there, or none on the filesystem that this is about");
		return 0;
	}
	fill(&cleaning, place, args);
	return cleaning_run(&cleaning, request, result);
}

static const char *root_problem(const struct stale_place *places, uint32_t count, const char *root)
{
	const char *problem = path_problem(root);
	for (uint32_t i = 0; !problem && i < count; i++)
		if (strcmp(root, places[i].path) == 0)
			return NULL;
	return problem ? problem : protected_root(root);
}

void stale_root_vet(const struct stale_place *places, uint32_t count, const char *root, argument_fault *fault, void *context)
{
	const char *problem = root[0] ? root_problem(places, count, root) : NULL;
	char shown[CONFIG_SHOWN_LEN];
	if (problem)
		fault(context, "root", "%s: %s", config_shown(shown, root), problem);
}

const char *stale_files_problem(const struct stale_files_args *args)
{
	if (!ENDED(args->root) || (args->root[0] && !request_path_is_plain(args->root)))
		return "root is no plain absolute path";
	if (!args->max_bytes || !args->max_files || args->max_files > MOST_FILES)
		return "no limit on bytes or files, or one out of its range";
	return args->keep_newest > MAX_KIN_KEPT ? "keep_newest is out of its range" : NULL;
}
