/* SPDX-License-Identifier: Apache-2.0 */
/* See otlp.h: when which encoder runs, and what was sent already. The encoders are otlp_metrics.c, otlp_logs.c and otlp_traces.c. */
#include "push/otlp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "publish/statsd.h"
#include "push/otlp_logs.h"
#include "push/otlp_metrics.h"
#include "push/otlp_news.h"
#include "push/otlp_response.h"
#include "push/otlp_traces.h"

#define SAY_AGAIN_NS (60 * NSEC_PER_SEC)
#define CONTENT_TYPE "application/x-protobuf"

enum {
	REQUEST_BYTES = 512 << 10,  /* before gzip: receivers take 4 MiB at least, and half a parcel is left for what does not shrink */
};

struct otlp;
struct destination {
	struct otlp *otlp;
	struct outlet *outlet;
	uint64_t said_ns;           /* when a partial success was said last */
};

struct otlp {
	const struct output *output;
	struct otlp_node node;
	struct otlp_resource resource;
	pid_t agent_pid;
	struct moment now;
	uint64_t due_ns;            /* of the next metrics */

	uint32_t count;
	struct destination destinations[MAX_OUTPUT_URLS];
	struct parcel_type types[OTLP_SIGNAL_COUNT];
	struct outlet_family family;

	struct otlp_metrics metrics;
	struct otlp_records records;
	struct text body;

	struct otlp_news news;
	int told_dir_fd;            /* -1: nobody remembers */
	char told_name[NAME_LEN + 8];
	bool told_trouble;          /* said */
};

/* --- sending --------------------------------------------------------------------------------------------------------------- */

static void send_request(struct otlp *otlp, enum otlp_signal signal, const struct text *request, uint32_t items, int64_t made_wall_ns)
{
	if (otlp_compress(request, &otlp->body) < 0) {
		log_warning("output %s: no memory for a request, it is left out", otlp->output->name);
		return;
	}
	const struct parcel parcel = {
		.made_wall_ns = made_wall_ns, .type = signal, .items = items, .body = otlp->body.data, .size = otlp->body.length,
	};
	for (uint32_t i = 0; i < otlp->count; i++)
		(void)outlet_put(otlp->destinations[i].outlet, &parcel); /* what it does not take it has counted */
}

static void send_records(struct otlp *otlp, enum otlp_signal signal, int64_t made_wall_ns)
{
	int result = otlp_records_end(&otlp->records);
	if (result > 0)
		send_request(otlp, signal, &otlp->records.out, otlp->records.count, made_wall_ns);
	else if (result < 0)
		log_warning("output %s: no memory for a request, it is left out", otlp->output->name);
}

/* --- metrics --------------------------------------------------------------------------------------------------------------- */

static void take_metrics(void *context, const struct text *request, uint32_t points)
{
	struct otlp *otlp = context;
	send_request(otlp, OTLP_METRICS, request, points, otlp->metrics.time_wall_ns);
}

/* Said once and kept, for a start that moves is a reset to a receiver; unless the clock was wrong then and lies ahead of now. */
static void note_starts(struct otlp *otlp, const struct metric_context *context)
{
	const struct snapshot *snap = context->snap;
	int64_t *starts = otlp->metrics.start_wall_ns;
	const struct process *agent = snapshot_process(snap, otlp->agent_pid);

	if (!starts[OTLP_SINCE_BOOT] || starts[OTLP_SINCE_BOOT] > snap->wall_ns) {
		starts[OTLP_SINCE_BOOT] = snap->wall_ns - (int64_t)snap->boot_ns;
		starts[OTLP_SINCE_AGENT] = 0;
	}
	if (!starts[OTLP_SINCE_AGENT] && agent)
		starts[OTLP_SINCE_AGENT] = starts[OTLP_SINCE_BOOT] + (int64_t)agent->start_ns;
	if (context->statsd)
		starts[OTLP_SINCE_STATSD] = starts[OTLP_SINCE_BOOT] + (int64_t)statsd_started_ns(context->statsd);
}

static void on_snapshot(void *state, const struct metric_context *context, struct moment now)
{
	struct otlp *otlp = state;
	const struct snapshot *snap = context->snap;

	otlp->now = now;
	if (!otlp->output->metrics || snap->boot_ns + snap->interval_ns / 2 < otlp->due_ns)
		return;
	otlp->due_ns = snap->boot_ns + otlp->output->every_ns;
	note_starts(otlp, context);
	if (otlp_metrics_write(&otlp->metrics, context) < 0)
		log_warning("output %s: no memory for all metrics of a snapshot", otlp->output->name);
}

/* --- incidents and actions ------------------------------------------------------------------------------------------------- */

static void on_incident(void *state, const struct incident *incident, struct moment now)
{
	struct otlp *otlp = state;
	struct otlp_incident_news news;

	otlp->now = now;
	if (!otlp_news_incident(&otlp->news, incident, &news))
		return;
	if (otlp->output->logs) {
		otlp_records_begin(&otlp->records);
		for (uint32_t i = news.first_entry; i < news.entry_end; i++)
			otlp_log_incident(&otlp->records, incident, i, now.wall_ns);
		send_records(otlp, OTLP_LOGS, now.wall_ns);
	}
	if (otlp->output->traces) {
		otlp_records_begin(&otlp->records);
		if (news.opened)
			otlp_span_detection(&otlp->records, incident);
		if (news.over)
			otlp_span_incident(&otlp->records, incident);
		send_records(otlp, OTLP_TRACES, now.wall_ns);
	}
}

static void on_action(void *state, const struct action *action, struct moment now)
{
	struct otlp *otlp = state;

	otlp->now = now;
	if (!otlp_news_action(&otlp->news, action))
		return;
	if (otlp->output->logs) {
		otlp_records_begin(&otlp->records);
		otlp_log_action(&otlp->records, action, now.wall_ns);
		send_records(otlp, OTLP_LOGS, now.wall_ns);
	}
	if (otlp->output->traces && *action->incident) {
		otlp_records_begin(&otlp->records);
		otlp_span_action(&otlp->records, action, otlp_news_shadow(&otlp->news, action));
		send_records(otlp, OTLP_TRACES, now.wall_ns);
	}
}

/* --- what was told --------------------------------------------------------------------------------------------------------- */

static void save_told(struct otlp *otlp)
{
	int error = otlp_told_save(otlp->told_dir_fd, otlp->told_name, &otlp->news.told);
	if (error < 0 && !otlp->told_trouble)
		log_warning("output %s: cannot remember what it sent, so a restart sends some of it again: %s", otlp->output->name, strerror(-error));
	otlp->told_trouble = error < 0;
	otlp->news.told.changed = false; /* tried again with the next change */
}

static bool all_idle(const struct otlp *otlp)
{
	for (uint32_t i = 0; i < otlp->count; i++)
		if (!outlet_is_idle(otlp->destinations[i].outlet))
			return false;
	return true;
}

static uint64_t on_turn(void *state, struct moment now)
{
	struct otlp *otlp = state;

	otlp->now = now;
	if (otlp->news.told.changed && otlp->told_dir_fd >= 0 && all_idle(otlp))
		save_told(otlp);
	return UINT64_MAX;
}

/* A receiver that took a part only has refused the rest for good. */
static enum verdict judge(void *context, const struct parcel *parcel, const struct answer *answer, struct text *ret, uint32_t *ret_type)
{
	static const char *const items[] = { [OTLP_METRICS] = "data points", [OTLP_LOGS] = "log records", [OTLP_TRACES] = "spans" };
	struct destination *destination = context;
	uint64_t now_ns = destination->otlp->now.boot_ns;
	struct otlp_partial partial;

	bool taken = answer->status >= 200 && answer->status < 300;
	bool readable = answer->content_type && strncmp(answer->content_type, CONTENT_TYPE, strlen(CONTENT_TYPE)) == 0;
	if (!taken || !readable || otlp_response_read(answer->body, answer->size, &partial) != 1)
		return VERDICT_DEFAULT;
	uint64_t rejected = partial.rejected < parcel->items ? partial.rejected : parcel->items;
	outlet_reject(destination->outlet, rejected);
	if (!destination->said_ns || now_ns >= destination->said_ns + SAY_AGAIN_NS) {
		destination->said_ns = now_ns;
		log_warning("output %s: the receiver rejects %llu of %u %s: %s", destination->otlp->output->name,
			    (unsigned long long)rejected, parcel->items, parcel->type < OTLP_SIGNAL_COUNT ? items[parcel->type] : "items",
			    *partial.words ? partial.words : "it does not say why");
	}
	return VERDICT_DEFAULT;
}

/* --- opening --------------------------------------------------------------------------------------------------------------- */

static void fill_types(struct otlp *otlp)
{
	const struct output *output = otlp->output;
	const char *const paths[] = {
		[OTLP_METRICS] = output->metrics_path, [OTLP_LOGS] = output->logs_path, [OTLP_TRACES] = output->traces_path,
	};

	for (uint32_t i = 0; i < OTLP_SIGNAL_COUNT; i++)
		otlp->types[i] = (struct parcel_type){ .suffix = paths[i], .content_type = CONTENT_TYPE, .encoding = "gzip",
						       .ages = i == OTLP_METRICS };
	otlp->family = (struct outlet_family){ .types = otlp->types, .type_count = OTLP_SIGNAL_COUNT, .judge = judge };
}

static int add_outlets(struct otlp *otlp, const struct exporter_env *env)
{
	for (uint32_t i = 0; i < otlp->output->url_count; i++) {
		struct destination *destination = &otlp->destinations[i];
		int error = delivery_add(env->delivery, env->outputs, env->output, i, &otlp->family, destination, &destination->outlet);

		if (error < 0)
			return error;
		destination->otlp = otlp;
		otlp->count++;
	}
	return 0;
}

static void load_told(struct otlp *otlp, const struct exporter_env *env)
{
	otlp->told_dir_fd = env->spool_dir_fd;
	snprintf(otlp->told_name, sizeof(otlp->told_name), "%s.told", otlp->output->name); /* no output's folder has a dot before a letter */
	int error = otlp->told_dir_fd < 0 ? 0 : otlp_told_load(otlp->told_dir_fd, otlp->told_name, &otlp->news.told);
	if (error < 0 && error != -ENOENT)
		log_warning("output %s: what it remembers of having sent is unusable, some is sent again: %s", otlp->output->name, strerror(-error));
}

/* What waited is in the spool and will be delivered; without one it is lost, and so not told. */
static void close_otlp(void *state)
{
	struct otlp *otlp = state;

	if (!otlp)
		return;
	if (otlp->news.told.changed && otlp->told_dir_fd >= 0 && otlp->output->spool_bytes)
		save_told(otlp);
	otlp_metrics_free(&otlp->metrics);
	otlp_records_free(&otlp->records);
	otlp_resource_free(&otlp->resource);
	text_free(&otlp->body);
	free(otlp);
}

static int open_otlp(const struct exporter_env *env, void **ret)
{
	struct otlp *otlp = calloc(1, sizeof(*otlp));
	if (!otlp)
		return -ENOMEM;
	otlp->output = &env->outputs->each[env->output];
	otlp->agent_pid = getppid();
	otlp_node_know(env->outputs->node, &otlp->node);
	load_told(otlp, env);
	fill_types(otlp);
	otlp->metrics = (struct otlp_metrics){
		.resource = &otlp->resource, .max_bytes = REQUEST_BYTES, .max_points = otlp->output->max_samples,
		.take = take_metrics, .context = otlp,
	};
	otlp->records = (struct otlp_records){ .node = &otlp->node, .resource = &otlp->resource };
	int error = otlp_resource_make(&otlp->node, env->outputs, &otlp->resource);
	if (!error)
		error = add_outlets(otlp, env);
	if (error < 0 && !otlp->count) {
		close_otlp(otlp);
		return error;
	}
	*ret = otlp; /* an outlet that was added refers to it, so it stays */
	return 0;
}

const struct exporter otlp_exporter = {
	.open = open_otlp,
	.close = close_otlp,
	.on_snapshot = on_snapshot,
	.on_incident = on_incident,
	.on_action = on_action,
	.on_turn = on_turn,
};
