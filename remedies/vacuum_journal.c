/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes archived journal files of systemd-journald, oldest first. What is written to is never touched; docs/remedies.md says why not by journalctl. */
#include <ctype.h>
#include <string.h>

#include "remedies/act.h"
#include "remedies/registry.h"
#include "remedies/stale_files.h"

enum { SEQNUM_ID_LEN = 32, NUMBER_LEN = 16 };

/* `count` hexadecimal digits and what must follow them; NULL: it is not so. */
static const char *after_hex(const char *at, size_t count, char then)
{
	for (size_t i = 0; i < count; i++)
		if (!isxdigit((unsigned char)at[i]))
			return NULL;
	return at[count] == then ? at + count + 1 : NULL;
}

/*
 * journal_file_archive() and journal_file_dispose() of systemd: "system@SEQNUMID-SEQNUM-REALTIME.journal", and for one that was not closed in order
 * "system@REALTIME-RANDOM.journal~". What journald writes to is "system.journal" and "user-1000.journal".
 */
static bool is_archived(const char *name)
{
	const char *at = strchr(name, '@');
	if (!at || at == name)
		return false;
	const char *first = after_hex(at + 1, SEQNUM_ID_LEN, '-'), *second = first ? after_hex(first, NUMBER_LEN, '-') : NULL;
	const char *end = second ? after_hex(second, NUMBER_LEN, '.') : NULL;
	if (end)
		return strcmp(end, "journal") == 0;
	first = after_hex(at + 1, NUMBER_LEN, '-');
	end = first ? after_hex(first, NUMBER_LEN, '.') : NULL;
	return end && strcmp(end, "journal~") == 0;
}

/* Of the system, of one user, of one other host. */
static uint64_t journal_kin(const char *name)
{
	return stale_kin(name, strcspn(name, "@"));
}

#define JOURNAL .match = { "*.journal", "*.journal~" }, .max_depth = 2, .is_meant = is_archived, .kin = journal_kin, .readers_stay = true

static const struct stale_place places[] = {
	{ .path = "/var/log/journal", .licence = { .own = "/var/log/journal" }, JOURNAL },
	{ .path = "/run/log/journal", .licence = { .own = "/run/log/journal" }, JOURNAL },
};
enum { PLACES = sizeof(places) / sizeof(places[0]) };

static int run(const struct remedy_request *request, struct remedy_result *result)
{
	return stale_files_run(places, PLACES, &request->args.vacuum_journal, request, result);
}

/* --- arguments ------------------------------------------------------------------------------------------------------------------ */

#define ARGUMENT(member_) MEMBER(union remedy_args, vacuum_journal.member_)

static const struct setting settings[] = {
	{ .name = "root", .type = VALUE_PATH, ARGUMENT(root),
	  .help = "where the journal is; without it /var/log/journal or /run/log/journal, whichever lies on the filesystem" },
	{ .name = "keep", .type = VALUE_BYTES, ARGUMENT(keep_bytes), .initial = "128MiB",
	  .help = "so much of the journal stays, what is being written to included; 0: only keep_newest counts" },
	{ .name = "keep_newest", .type = VALUE_COUNT, ARGUMENT(keep_newest), .max = MAX_KIN_KEPT, .initial = "1",
	  .help = "so many archived files of the system, and of each user, stay" },
	{ .name = "min_age", .type = VALUE_DURATION, ARGUMENT(min_age_ns), .max = 3650 * 24 * 3600.0 * NSEC_PER_SEC, .initial = "10m",
	  .help = "archived files younger than this stay" },
	{ .name = "max_bytes", .type = VALUE_BYTES, ARGUMENT(max_bytes), .min = 1, .initial = "4GiB", .help = "no more than this in one act" },
	{ .name = "max_files", .type = VALUE_COUNT, ARGUMENT(max_files), .min = 1, .max = 1000000, .initial = "1000", .help = "likewise" },
};
static const struct section arguments = SECTION("vacuum-journal", "Deletes archived files of systemd's journal, oldest first.", settings);

static void vet(const union remedy_args *all, uint64_t given, argument_fault *fault, void *context)
{
	(void)given;
	stale_root_vet(places, PLACES, all->vacuum_journal.root, fault, context);
}

static const char *problem_of(const union remedy_args *all)
{
	return stale_files_problem(&all->vacuum_journal);
}

const struct remedy vacuum_journal = {
	.name = "vacuum-journal",
	.id = REMEDY_VACUUM_JOURNAL,
	.lane = LANE_SLOW,
	.help = "Deletes archived files of systemd's journal, oldest first, down to a size; what is being written to stays.",
	.undo = "none: what is deleted is gone; the dry run lists it, and the newest always stay",
	.destructive = true,
	.aim = AIM_FOUND,
	.applies_to = APPLIES_TO_PATH,
	.target_argument = "root",
	.effects = EFFECT_FREED | EFFECT_FILES | EFFECT_WITHIN,
	.expect_example = "{freed: 200MiB, within: 10s}",
	.arguments = &arguments,
	.vet = vet,
	.problem = problem_of,
	.check = cleaning_check,
	.plan = run,
	.apply = run,
};
