/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes stored core dumps, oldest first; the newest of each program stay, for whoever is to find out why it died. */
#include <ctype.h>
#include <string.h>

#include "remedies/act.h"
#include "remedies/registry.h"
#include "remedies/stale_files.h"

enum { BOOT_ID_LEN = 32 };

/* Digits of a base and a dot, or the name's end; NULL: it is not so. */
static const char *after_number(const char *at, size_t length, bool hexadecimal)
{
	size_t digits = 0;
	while (hexadecimal ? isxdigit((unsigned char)at[digits]) : isdigit((unsigned char)at[digits]))
		digits++;
	if (!digits || (length && digits != length))
		return NULL;
	return at[digits] == '.' ? at + digits + 1 : at[digits] ? NULL : at + digits;
}

/* make_filename() of systemd-coredump: core.COMM.UID.BOOTID.PID.TIME, perhaps with .zst, .xz or .lz4; a dot in COMM is escaped. */
static bool is_core(const char *name)
{
	static const char *const endings[] = { "", "lz4", "xz", "zst" };
	const char *comm = name + strlen("core."), *at = comm + strcspn(comm, ".");
	if (at == comm || !*at)
		return false;
	at = after_number(at + 1, 0, false);
	at = at ? after_number(at, BOOT_ID_LEN, true) : NULL;
	at = at ? after_number(at, 0, false) : NULL;
	at = at ? after_number(at, 0, false) : NULL;
	for (size_t i = 0; at && i < sizeof(endings) / sizeof(endings[0]); i++)
		if (strcmp(at, endings[i]) == 0)
			return true;
	return false;
}

static uint64_t core_kin(const char *name)
{
	const char *comm = name + strlen("core.");
	return stale_kin(comm, strcspn(comm, "."));
}

/* Apport: _usr_bin_python3.11.1000.crash; the user and the ending off. */
static uint64_t crash_kin(const char *name)
{
	size_t length = strlen(name);
	for (int dots = 0; length && dots < 2; dots++)
		while (length && name[--length] != '.')
			;
	return stale_kin(name, length);
}

static const struct stale_place places[] = {
	{ .path = "/var/lib/systemd/coredump", .match = { "core.*" }, .max_depth = 1, .licence = { .own = "/var/lib/systemd/coredump" }, .is_meant = is_core,
	  .kin = core_kin },
	{ .path = "/var/crash", .match = { "*.crash" }, .max_depth = 1, .licence = { .own = "/var/crash", .sticky = true }, .kin = crash_kin },
};
enum { PLACES = sizeof(places) / sizeof(places[0]) };

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	return stale_files_run(places, PLACES, &request->args.prune_coredumps, request, result);
}

/* --- arguments ------------------------------------------------------------------------------------------------------------------ */

#define ARGUMENT(member_) MEMBER(union remedy_args, prune_coredumps.member_)

static const struct setting settings[] = {
	{ .name = "root", .type = VALUE_PATH, ARGUMENT(root),
	  .help = "where they are; without it /var/lib/systemd/coredump or /var/crash (apport), whichever lies on the filesystem" },
	{ .name = "keep_newest", .type = VALUE_COUNT, ARGUMENT(keep_newest), .max = MAX_KIN_KEPT, .initial = "1", .help = "of each program, so many stay" },
	{ .name = "keep", .type = VALUE_BYTES, ARGUMENT(keep_bytes), .initial = "0", .help = "of all together, so much stays; 0: only keep_newest counts" },
	{ .name = "min_age", .type = VALUE_DURATION, ARGUMENT(min_age_ns), .max = 3650 * 24 * 3600.0 * NSEC_PER_SEC, .initial = "1h", .help = "younger ones stay" },
	{ .name = "max_bytes", .type = VALUE_BYTES, ARGUMENT(max_bytes), .min = 1, .initial = "16GiB", .help = "no more than this in one act" },
	{ .name = "max_files", .type = VALUE_COUNT, ARGUMENT(max_files), .min = 1, .max = 1000000, .initial = "1000", .help = "likewise" },
};
static const struct section arguments = SECTION("prune-coredumps", "Deletes stored core dumps, oldest first.", settings);

static void vet(const union remedy_args *all, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	stale_root_vet(places, PLACES, all->prune_coredumps.root, fault, context);
}

static const char *problem_of(const union remedy_args *all)
{
	return stale_files_problem(&all->prune_coredumps);
}

const struct remedy prune_coredumps = {
	.name = "prune-coredumps",
	.id = REMEDY_PRUNE_COREDUMPS,
	.lane = LANE_SLOW,
	.help = "Deletes stored core dumps, oldest first; the newest of each program stay.",
	.undo = "none: what is deleted is gone; the dry run lists it, and the newest of each program always stay",
	.destructive = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PATH,
	.target_argument = "root",
	.effects = EFFECT_FREED | EFFECT_FILES | EFFECT_WITHIN,
	.expect_example = "{freed: 1GiB, within: 10s}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = cleaning_check,
	.plan = run,
	.apply = run,
};
