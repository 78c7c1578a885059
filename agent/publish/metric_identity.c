/* SPDX-License-Identifier: Apache-2.0 */
/* Who the shown cgroups are: one series each, for joins, and the labels that the families by cgroup carry themselves. */
#include <stdio.h>

#include "publish/metric.h"

static void add(struct label *labels, uint32_t *count, const char *name, const char *value)
{
	if (value[0])
		labels[(*count)++] = (struct label){ name, value };
}

uint32_t cgroup_labels(const struct snapshot *snap, const struct cgroup *cgroup, struct label labels[CGROUP_LABELS])
{
	const struct cgroup_identity *identity = snapshot_identity(snap, cgroup->id);
	uint32_t count = 0;

	add(labels, &count, "cgroup", cgroup->path);
	add(labels, &count, "unit", cgroup->unit);
	if (identity) {
		add(labels, &count, "namespace", identity->namespace);
		add(labels, &count, "pod", identity->pod);
		add(labels, &count, "container", identity->container);
	}
	return count;
}

enum { INFO_LABELS = CGROUP_LABELS + 8 };

static uint32_t info_labels(const struct snapshot *snap, const struct cgroup *cgroup, const struct path_identity *said, const char *user,
	struct label labels[INFO_LABELS])
{
	const struct cgroup_identity *identity = snapshot_identity(snap, cgroup->id);
	enum runtime runtime = identity ? identity->runtime : said->runtime;
	uint32_t count = cgroup_labels(snap, cgroup, labels);

	add(labels, &count, "slice", said->slice);
	add(labels, &count, "uid", user);
	add(labels, &count, "session", said->session);
	add(labels, &count, "runtime", runtime < RUNTIME_COUNT ? runtime_names[runtime] : "");
	add(labels, &count, "container_id", said->container_id);
	add(labels, &count, "pod_uid", identity ? identity->pod_uid : said->pod_uid);
	add(labels, &count, "qos", qos_names[said->qos]);
	add(labels, &count, "type", identity && identity->sandbox ? "sandbox" : said->container_id[0] ? "container" : "");
	return count;
}

static void emit_info(const struct metric *metric, const struct metric_context *context, struct metric_sink *sink)
{
	const struct snapshot *snap = context->snap;
	if (!snap || !context_fresh(context, snap->cgroups.measured_ns))
		return;

	for (uint32_t i = 0; i < context->shown->cgroup_count; i++) {
		const struct cgroup *cgroup = &snap->cgroups.each[context->shown->cgroups[i]];
		struct label labels[INFO_LABELS];
		struct path_identity said;
		char user[12] = "";
		if (!cgroup->path[0])
			continue;
		identity_of_path(cgroup->path, &said);
		if (said.user != NO_UID)
			snprintf(user, sizeof(user), "%u", said.user);
		sink_sample(sink, labels, info_labels(snap, cgroup, &said, user, labels), 1, 0);
	}
}

static const struct metric rows[] = {
	{ .name = "nodemend_cgroup_info", .type = METRIC_GAUGE, .unit = "", .source = COLLECTOR_IDENTITY, .emit = emit_info,
	  .help = "1 for each shown cgroup, with whom it belongs to; what is not known has no label." },
};

const struct metric_table metrics_of_identity = { rows, sizeof(rows) / sizeof(rows[0]) };
