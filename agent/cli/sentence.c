/* SPDX-License-Identifier: Apache-2.0 */
/* The sentences that several commands share: what it is about, who causes it, what was done and what that brought. */
#include "cli/show.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

/* Appends; what does not fit is cut. */
static void add(struct shown *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct shown *to, const char *format, ...)
{
	size_t length = strlen(to->text);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(to->text + length, sizeof(to->text) - length, format, arguments);
	va_end(arguments);
}

struct shown show_resource(const cJSON *resource)
{
	static const char *const names[] = { "mountpoint", "comm", "cgroup", "unit", "interface", "device", "peer", "log", "name" };
	struct shown shown = { "" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !shown.text[0]; i++)
		shown = show_text(get_text(resource, names[i]));
	double pid = get_number(resource, "pid");
	if (isfinite(pid))
		add(&shown, " (pid %.0f)", pid);
	return shown;
}

struct shown show_cause(const cJSON *incident)
{
	struct shown shown = { "" };
	const cJSON *cause = cJSON_GetArrayItem(get(incident, "causes"), 0);
	if (!cause)
		return shown;
	double pid = get_number(cause, "pid"), share = get_number(cause, "share");
	bool named = get_text(cause, "cgroup")[0] || get_text(cause, "comm")[0];
	if (!named && get_text(cause, "evidence")[0]) /* not somebody: what was seen says it all */
		return show_text(get_text(cause, "evidence"));
	if (isfinite(pid))
		add(&shown, "%s (pid %.0f)", show_member(cause, "comm").text, pid);
	else
		add(&shown, "%s", show_text(get_text(cause, "cgroup")[0] ? get_text(cause, "cgroup") : get_text(cause, "comm")).text);
	if (isfinite(share))
		add(&shown, " causes %.0f %% of it", share * 100);
	return shown;
}

struct shown show_effect(const cJSON *effect)
{
	struct shown shown = { "" };
	double bytes = get_number(effect, "freed_bytes"), files = get_number(effect, "freed_files"), exited = get_number(effect, "exited");
	double within = get_number(effect, "within_seconds");
	if (isfinite(bytes))
		add(&shown, "%s freed", show_bytes(bytes).text);
	if (isfinite(files))
		add(&shown, "%s%.0f file%s deleted", shown.text[0] ? ", " : "", files, files == 1 ? "" : "s");
	if (isfinite(exited))
		add(&shown, "%s%.0f process%s ended", shown.text[0] ? ", " : "", exited, exited == 1 ? "" : "es");
	if (cJSON_IsBool(get(effect, "unit_active")))
		add(&shown, "%sthe unit is %s", shown.text[0] ? ", " : "", get_true(effect, "unit_active") ? "active" : "not active");
	if (isfinite(get_number(effect, "use_percent")))
		add(&shown, "%sits use down to %.0f %% of before", shown.text[0] ? ", " : "", get_number(effect, "use_percent"));
	if (isfinite(get_number(effect, "available_bytes")))
		add(&shown, "%s%s more available", shown.text[0] ? ", " : "", show_bytes(get_number(effect, "available_bytes")).text);
	if (cJSON_IsBool(get(effect, "cleared")))
		add(&shown, "%sthe condition %s", shown.text[0] ? ", " : "", get_true(effect, "cleared") ? "clears" : "holds");
	if (!shown.text[0])
		add(&shown, "nothing said");
	else if (isfinite(within))
		add(&shown, " within %s", show_seconds(within).text);
	return shown;
}

struct shown show_action(const cJSON *action)
{
	static const struct { const char *outcome, *words; } words[] = {
		{ "fixed", "fixed" }, { "improved", "improved, not fixed" }, { "no_effect", "had no effect" }, { "failed", "failed" },
		{ "refused", "refused" }, { "rolled_back", "did not verify and was undone" }, { "told", "told" },
	};
	const char *outcome = get_text(action, "outcome"), *refused_by = get_text(action, "refused_by");
	bool shadow = strcmp(get_text(action, "mode"), "enforce") != 0;
	struct shown shown = { "" };
	add(&shown, "%s: ", show_member(action, "remedy").text);
	if (!outcome[0] && !get_text(action, "ended")[0])
		add(&shown, "under way");
	else if (!outcome[0])
		add(&shown, "looked at what it would do, changed nothing");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(outcome, words[i].outcome) == 0)
			add(&shown, "%s", words[i].words);
	if (refused_by[0])
		add(&shown, " by %s", show_text(refused_by).text);

	struct shown effect = show_effect(get(action, shadow ? "expected" : "observed"));
	if (strcmp(effect.text, "nothing said") != 0 && !refused_by[0])
		add(&shown, "%s%s", shadow ? "; it would bring: " : ", ", effect.text);
	return shown;
}

static bool was_refused(const cJSON *action)
{
	return get_text(action, "refused_by")[0] != '\0';
}

/* The last act, and after it what was refused since: "clean-files: improved; then restart-unit: refused by cooldown". */
struct shown show_deeds(const cJSON *incident)
{
	const cJSON *action, *act = NULL, *refused = NULL;
	struct shown shown = { "" };
	cJSON_ArrayForEach(action, get(incident, "actions")) {
		if (was_refused(action)) {
			refused = action;
		} else {
			act = action;
			refused = NULL;
		}
	}
	if (act)
		add(&shown, "%s", show_action(act).text);
	if (refused)
		add(&shown, "%s%s", act ? "; then " : "", show_action(refused).text);
	if (!act && !refused)
		add(&shown, "nothing was done");
	return shown;
}
