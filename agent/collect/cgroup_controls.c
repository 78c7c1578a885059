/* SPDX-License-Identifier: Apache-2.0 */
/* See cgroup_controls.h. */
#include "collect/cgroup_controls.h"

#include <stdio.h>

#include "collect/procfs.h"

static ssize_t read_file(int hierarchy_fd, const struct cgroup *row, const char *file, char *buffer, size_t size)
{
	char path[PATH_LEN + NAME_LEN];

	snprintf(path, sizeof(path), "%s/%s", row->path + 1, file);
	return procfs_read_at(hierarchy_fd, path, buffer, size);
}

uint64_t cgroup_read_value(int hierarchy_fd, const struct cgroup *row, const char *file)
{
	char text[64];
	struct span line, word;
	uint64_t value;

	ssize_t length = read_file(hierarchy_fd, row, file, text, sizeof(text));
	if (length < 0 || span_of(text, (size_t)length, &line) || !span_line(&line, &word) || !span_number(&word, &value))
		return UNKNOWN;
	return value;
}

static void read_pressure(int hierarchy_fd, struct cgroup *row, enum psi_resource resource)
{
	static const char *const files[PSI_RESOURCE_COUNT] = {
		[PSI_CPU] = "cpu.pressure", [PSI_MEMORY] = "memory.pressure", [PSI_IO] = "io.pressure",
	};
	struct psi_line some, full;
	bool has_full;
	char text[256];

	row->some_ns[resource] = row->full_ns[resource] = UNKNOWN;
	ssize_t length = read_file(hierarchy_fd, row, files[resource], text, sizeof(text));
	if (length < 0 || psi_parse(text, (size_t)length, &some, &full, &has_full))
		return;
	row->some_ns[resource] = some.total_ns;
	row->some_avg10_centi[resource] = some.avg10_centi;
	row->full_avg10_centi[resource] = full.avg10_centi;
	if (has_full)
		row->full_ns[resource] = full.total_ns;
}

static void read_row(const struct cgroup_controls *controls, struct cgroup *row)
{
	for (int i = 0; controls->pressure_fd >= 0 && i < PSI_RESOURCE_COUNT; i++)
		read_pressure(controls->pressure_fd, row, (enum psi_resource)i);
	if (controls->pids_fd < 0)
		return;
	row->pids_current = cgroup_read_value(controls->pids_fd, row, "pids.current");
	row->pids_max = cgroup_read_value(controls->pids_fd, row, "pids.max");
}

void cgroup_controls_read(struct cgroup_controls *controls, struct cgroup_section *section)
{
	uint32_t budget = (section->count + CONTROLS_TICKS - 1) / CONTROLS_TICKS;

	budget = budget < CONTROLS_ROWS ? budget : CONTROLS_ROWS;
	for (; budget; budget--) {
		struct cgroup *row = &section->each[controls->next++ % section->count];

		/* The root's pressure is the node's, and it has no limit. The empty keep what was read last. */
		if (row->path[0] && row->path[1] && row->processes)
			read_row(controls, row);
	}
}
