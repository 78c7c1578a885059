/* SPDX-License-Identifier: Apache-2.0 */
/* `nodemend status`: one screen. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/option.h"
#include "cli/show.h"

enum { SHOWN_FILESYSTEMS = 8, SHOWN_INCIDENTS = 8, LABEL = 12 };

static void show_head(const struct look *look, const cJSON *status)
{
	const cJSON *paused = get(status, "paused");
	show_tinted(look, TINT_BOLD, "%s", show_member(status, "node").text);
	fprintf(look->out, ": mode %s, nodemend %s, up %s\n", show_member(status, "mode").text, show_member(status, "version").text,
		show_seconds(get_number(get(status, "self"), "uptime_seconds")).text);
	if (paused) {
		const char *until = get_text(paused, "until"), *reason = get_text(paused, "reason");
		show_tinted(look, TINT_BAD, "PAUSED since %s, until %s%s%s: nothing is acted on\n", show_time(get_text(paused, "since")).text,
			    until[0] ? show_time(until).text : "`nodemend resume`", reason[0] ? ", because " : "", show_text(reason).text);
	}
	if (get_true(status, "kill_switch_set"))
		show_tinted(look, TINT_BAD, "KILL SWITCH %s is set: nothing is acted on\n", show_member(status, "kill_switch").text);
	fputc('\n', look->out);
}

/* The label, the percentage, on a terminal its bar; the caller ends the line. */
static void show_gauge(const struct look *look, const char *label, double percent)
{
	enum tint tint = !(percent >= 80) ? TINT_NONE : percent < 95 ? TINT_WARN : TINT_BAD;
	fprintf(look->out, "  %-*s ", LABEL, label);
	show_tinted(look, tint, "%9s", show_percent(percent).text);
	if (look->terminal)
		show_tinted(look, tint, "  %-22s", show_bar(percent).text);
}

static void show_stalled(const struct look *look, const cJSON *resource)
{
	double some = get_number(resource, "some_stalled_percent"), all = get_number(resource, "all_stalled_percent");
	if (isfinite(some))
		fprintf(look->out, "  stalled %s", show_percent(some).text);
	if (isfinite(all))
		fprintf(look->out, ", all tasks %s", show_percent(all).text);
	fputc('\n', look->out);
}

/* The member of a list with the largest `name`; NULL where none has it. */
static const cJSON *largest(const cJSON *list, const char *name)
{
	const cJSON *item, *found = NULL;
	cJSON_ArrayForEach(item, list) {
		if (isfinite(get_number(item, name)) && (!found || get_number(item, name) > get_number(found, name)))
			found = item;
	}
	return found;
}

static void show_network(const struct look *look, const cJSON *network)
{
	const cJSON *interface = largest(get(network, "interfaces"), "receive_bytes_per_second"), *item;
	double best = -1;
	cJSON_ArrayForEach(item, get(network, "interfaces")) {
		double rate = get_number(item, "receive_bytes_per_second") + get_number(item, "transmit_bytes_per_second");
		if (rate > best && get_true(item, "up") && strcmp(get_text(item, "device"), "lo") != 0) {
			best = rate;
			interface = item;
		}
	}
	show_gauge(look, "network", get_number(interface, "used_percent"));
	if (interface)
		fprintf(look->out, "  %s in %s/s, out %s/s", show_member(interface, "device").text,
			show_bytes(get_number(interface, "receive_bytes_per_second")).text, show_bytes(get_number(interface, "transmit_bytes_per_second")).text);
	fputc('\n', look->out);
}

static void show_pressure(const struct look *look, const cJSON *pressure)
{
	const cJSON *cpu = get(pressure, "cpu"), *memory = get(pressure, "memory"), *disk = get(pressure, "disk");
	show_gauge(look, "cpu", get_number(cpu, "used_percent"));
	if (isfinite(get_number(cpu, "online")))
		fprintf(look->out, "  load %.2f on %.0f", get_number(cpu, "load1"), get_number(cpu, "online"));
	show_stalled(look, cpu);

	show_gauge(look, "memory", get_number(memory, "used_percent"));
	if (isfinite(get_number(memory, "available_bytes")))
		fprintf(look->out, "  %s of %s available", show_bytes(get_number(memory, "available_bytes")).text,
			show_bytes(get_number(memory, "total_bytes")).text);
	if (isfinite(get_number(memory, "swap_used_percent")))
		fprintf(look->out, ", swap %s", show_percent(get_number(memory, "swap_used_percent")).text);
	show_stalled(look, memory);

	const cJSON *busiest = largest(get(disk, "devices"), "busy_percent");
	show_gauge(look, "disk", get_number(busiest, "busy_percent"));
	if (busiest)
		fprintf(look->out, "  %s busy", show_member(busiest, "device").text);
	show_stalled(look, disk);
	show_network(look, get(pressure, "network"));
}

static void show_bottleneck(const struct look *look, const cJSON *bottleneck)
{
	if (!bottleneck)
		return;
	fprintf(look->out, "  %-*s ", LABEL, "limited by");
	show_tinted(look, get(bottleneck, "resource") ? TINT_WARN : TINT_NONE, "%s\n", show_member(bottleneck, "sentence").text);
}

static void show_anomaly(const struct look *look, const cJSON *anomaly)
{
	double score = get_number(anomaly, "score"), a_day = get_number(anomaly, "alarms_per_day");
	if (!anomaly)
		return;
	fprintf(look->out, "  %-*s ", LABEL, "unusual");
	if (!isfinite(score))
		fprintf(look->out, "%9s  not known yet: the first hour is learnt", "-");
	else
		show_tinted(look, isfinite(a_day) && a_day < 1 ? TINT_WARN : TINT_NONE, "%9.1f  %.1f is to be expected once a day", score,
			    get_number(anomaly, "threshold"));
	fprintf(look->out, "; %.0f series watched\n", get_number(anomaly, "series_watched"));
}

static double fullness(const cJSON *filesystem)
{
	double bytes = get_number(filesystem, "used_percent"), inodes = get_number(filesystem, "inodes_used_percent");
	return isfinite(get_number(filesystem, "stuck_seconds")) ? 1000 : fmax(isfinite(bytes) ? bytes : 0, isfinite(inodes) ? inodes : 0);
}

static int fullest_first(const void *left, const void *right)
{
	double a = fullness(*(const cJSON *const *)left), b = fullness(*(const cJSON *const *)right);
	return a < b ? 1 : a > b ? -1 : 0;
}

static void show_filesystem(const struct look *look, const cJSON *filesystem)
{
	double within = get_number(filesystem, "exhausted_in_seconds"), inodes = get_number(filesystem, "inodes_used_percent");
	double stuck = get_number(filesystem, "stuck_seconds");
	show_gauge(look, show_member(filesystem, "mountpoint").text, get_number(filesystem, "used_percent"));
	if (isfinite(get_number(filesystem, "available_bytes")))
		fprintf(look->out, "  %s of %s available", show_bytes(get_number(filesystem, "available_bytes")).text,
			show_bytes(get_number(filesystem, "size_bytes")).text);
	if (inodes >= 80)
		show_tinted(look, TINT_WARN, ", inodes %s", show_percent(inodes).text);
	if (isfinite(within))
		show_tinted(look, TINT_BAD, ", full in %s (confidence %.0f %%)", show_seconds(within).text, get_number(filesystem, "confidence") * 100);
	if (isfinite(stuck))
		show_tinted(look, TINT_BAD, "  does not answer for %s", show_seconds(stuck).text);
	fputc('\n', look->out);
}

static void show_filesystems(const struct look *look, const cJSON *list)
{
	size_t count = (size_t)cJSON_GetArraySize(list), filled = 0;
	const cJSON *item, **sorted = calloc(count + 1, sizeof(const cJSON *));
	if (!sorted)
		return;
	cJSON_ArrayForEach(item, list) {
		sorted[filled++] = item;
	}
	qsort(sorted, filled, sizeof(const cJSON *), fullest_first);

	fprintf(look->out, "\nfilesystems, fullest first\n");
	for (size_t i = 0; i < filled && i < SHOWN_FILESYSTEMS; i++)
		show_filesystem(look, sorted[i]);
	if (filled > SHOWN_FILESYSTEMS)
		fprintf(look->out, "  and %zu more\n", filled - SHOWN_FILESYSTEMS);
	free(sorted);
}

static void show_nearest(const struct look *look, const cJSON *nearest)
{
	double within = get_number(nearest, "exhausted_in_seconds");
	if (!nearest)
		fprintf(look->out, "\nnothing is foreseen to be used up (`nodemend outlook` says of each why)\n");
	else
		show_tinted(look, within < 4 * 3600 ? TINT_BAD : TINT_WARN, "\nused up first: %s %s, in %s (%s to %s)\n", show_member(nearest, "resource").text,
			    show_member(nearest, "name").text, show_seconds(within).text, show_seconds(get_number(nearest, "low_seconds")).text,
			    isfinite(get_number(nearest, "high_seconds")) ? show_seconds(get_number(nearest, "high_seconds")).text : "open");
}

static void show_open(const struct look *look, const cJSON *status)
{
	const cJSON *incident;
	uint32_t count = get_count(status, "incidents"), shown = 0;
	if (count == 0) {
		fprintf(look->out, "\nno open incidents\n");
		return;
	}
	fprintf(look->out, "\n%u open incident%s\n", count, count == 1 ? "" : "s");
	cJSON_ArrayForEach(incident, get(status, "incidents")) {
		if (shown++ == SHOWN_INCIDENTS) {
			fprintf(look->out, "  and %u more: `nodemend incidents`\n", count - SHOWN_INCIDENTS);
			break;
		}
		const char *severity = get_text(incident, "severity");
		struct shown cause = show_cause(incident);
		fprintf(look->out, "  %s  ", show_member(incident, "id").text);
		show_tinted(look, tint_of_severity(severity), "%s", show_text(severity).text);
		fprintf(look->out, "  %s of %s, %s for %s\n", show_member(incident, "kind").text, show_resource(get(incident, "resource")).text,
			show_member(incident, "state").text, show_seconds(seconds_between(get_text(incident, "opened"), get_text(status, "time"))).text);
		fprintf(look->out, "    %s; %s\n", cause.text[0] ? cause.text : "no cause is known", show_deeds(incident).text);
	}
}

static void show_cost(const struct look *look, const cJSON *status)
{
	const cJSON *self = get(status, "self"), *collector;
	fprintf(look->out, "\nthe agent itself\n  cpu %s of a core since the start, memory %s + publisher %s\n", show_percent(get_number(self, "cpu_percent")).text,
		show_bytes(get_number(self, "resident_bytes")).text, show_bytes(get_number(self, "publisher_resident_bytes")).text);
	cost_show(look, status);
	if (get_number(self, "records_dropped") > 0)
		show_tinted(look, TINT_WARN, "  %.0f records were dropped on the way to the publisher or the journal\n", get_number(self, "records_dropped"));
	if (get_text(self, "state_error")[0])
		show_tinted(look, TINT_BAD, "  the journal or the state could not be written last: %s\n", show_member(self, "state_error").text);
	if (get_number(status, "quarantined") > 0)
		show_tinted(look, TINT_BAD, "  %.0f quarantined: tried, did not mend, waits for a person (`nodemend resume` lifts it)\n",
			    get_number(status, "quarantined"));
	cJSON_ArrayForEach(collector, get(status, "collectors")) {
		const char *state = get_text(collector, "state");
		if (strcmp(state, "down") == 0 || strcmp(state, "degraded") == 0)
			show_tinted(look, TINT_WARN, "  collector %s is %s: %s\n", show_member(collector, "name").text, state,
				    show_member(collector, "why").text);
	}
}

void status_show(const struct look *look, const cJSON *status)
{
	show_head(look, status);
	show_pressure(look, get(status, "pressure"));
	show_bottleneck(look, get(status, "bottleneck"));
	show_anomaly(look, get(status, "anomaly"));
	show_filesystems(look, get(get(status, "pressure"), "filesystems"));
	show_nearest(look, cJSON_GetArrayItem(get(status, "nearest"), 0));
	show_open(look, status);
	show_cost(look, status);
}

static int run(int argc, char **argv)
{
	return cli_show(&command_status, argc, argv, status_show);
}

const struct command command_status = {
	.name = "status",
	.arguments = "[--json]",
	.summary = "one screen: pressure, time to exhaustion, open incidents, the agent's own cost",
	.help = CLI_OPTIONS_HELP,
	.run = run,
};
