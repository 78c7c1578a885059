/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus remote write: every so often the newest snapshot's families as series with the snapshot's time, in batches; and the stale
 * marker for each series that the round before had and this one has not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "push/exporter.h"
#include "push/remote_messages.h"

#define METADATA_NS (60 * NSEC_PER_SEC) /* as often as Prometheus itself sends it */

enum remote_type { REMOTE_1, REMOTE_2 };
static const struct parcel_type parcel_types[] = {
	[REMOTE_1] = { .content_type = "application/x-protobuf", .encoding = "snappy", .header = "X-Prometheus-Remote-Write-Version: 0.1.0", .ages = true },
	[REMOTE_2] = { .content_type = "application/x-protobuf;proto=io.prometheus.write.v2.Request", .encoding = "snappy",
		       .header = "X-Prometheus-Remote-Write-Version: 2.0.0", .ages = true },
};

struct remote_write {
	struct text out;               /* a metric sink's place to write to, and so the way from the sink to this; stays empty */
	const struct outputs *outputs;
	const struct output *output;
	struct outlet *outlet;
	uint32_t version;
	uint64_t next_ns, metadata_ns;
	bool with_metadata;
	int64_t time_ms, wall_ns;      /* of the snapshot */
	struct batch batch;
	struct text labels, raw, body;
	struct series_set now, before; /* of this round and of the last one */
	uint64_t series_lost;
};

/* --- batches ----------------------------------------------------------------------------------------------------------- */

static void send_batch(struct remote_write *remote)
{
	if (!remote->batch.items)
		return;
	int error = batch_finish(&remote->batch, &remote->raw, &remote->body);
	const struct parcel parcel = {
		.made_wall_ns = remote->wall_ns,
		.type = remote->batch.version == 2 ? REMOTE_2 : REMOTE_1,
		.items = remote->batch.items,
		.body = remote->body.data,
		.size = remote->body.length,
	};
	if (!error)
		error = outlet_put(remote->outlet, &parcel);
	if (error == -ENOMEM)
		log_warning("output %s: no memory for a batch, %u samples are lost", remote->output->name, parcel.items);
	batch_begin(&remote->batch, remote->version);
}

static void send_full_batch(struct remote_write *remote)
{
	if (remote->batch.items >= remote->output->max_samples || batch_bytes(&remote->batch) >= BATCH_MOST_BYTES)
		send_batch(remote);
}

/* --- as a writer of metrics -------------------------------------------------------------------------------------------- */

static struct remote_write *remote_of(struct metric_sink *sink)
{
	return (struct remote_write *)sink->out;
}

/* The labels of one series, remembered. False: there is no room for it, or it was there already. */
static bool begin_series(struct metric_sink *sink, const char *suffix, const struct label *labels, uint32_t count, const char *le)
{
	struct remote_write *remote = remote_of(sink);
	text_reset(&remote->labels);
	series_labels(&remote->labels, sink->metric, suffix, labels, count, le, remote->outputs);
	return !remote->labels.failed && series_set_add(&remote->now, remote->labels.data, remote->labels.length, &remote->series_lost);
}

static void put_sample(struct metric_sink *sink, const char *suffix, const struct label *labels, uint32_t count, const char *le, double value)
{
	struct remote_write *remote = remote_of(sink);
	if (!begin_series(sink, suffix, labels, count, le))
		return;
	batch_sample(&remote->batch, remote->labels.data, remote->labels.length, sink->metric, value, remote->time_ms);
	send_full_batch(remote);
}

static void sample(struct metric_sink *sink, const struct label *labels, uint32_t count, uint64_t value, unsigned int decimals)
{
	static const double powers[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };
	put_sample(sink, "", labels, count, NULL, (double)value / powers[decimals]);
}

static void real(struct metric_sink *sink, const struct label *labels, uint32_t count, double value)
{
	put_sample(sink, sink->suffix, labels, count, NULL, value);
}

static void histogram(struct metric_sink *sink, const struct label *labels, uint32_t count, const struct histogram *from)
{
	struct remote_write *remote = remote_of(sink);
	uint64_t below[HISTOGRAM_CLASSIC + 1];
	histogram_classic(from, below);
	for (int i = 0; i <= HISTOGRAM_CLASSIC; i++)
		put_sample(sink, "_bucket", labels, count, i < HISTOGRAM_CLASSIC ? sink->le[i] : "+Inf", (double)below[i]);
	put_sample(sink, "_sum", labels, count, NULL, (double)from->sum_ns / 1e9);
	put_sample(sink, "_count", labels, count, NULL, (double)below[HISTOGRAM_CLASSIC]);
	if (!remote->output->native_histograms || !begin_series(sink, "", labels, count, NULL))
		return;
	batch_histogram(&remote->batch, remote->labels.data, remote->labels.length, sink->metric, from, remote->time_ms);
	send_full_batch(remote);
}

static void begin(struct metric_sink *sink, const struct metric_context *context)
{
}

static void begin_family(struct metric_sink *sink)
{
	struct remote_write *remote = remote_of(sink);
	if (remote->with_metadata)
		batch_metadata(&remote->batch, sink->metric);
}

static void end_family(struct metric_sink *sink)
{
}

static void end(struct metric_sink *sink)
{
}

static const struct metric_writer remote_writer = {
	.begin = begin,
	.begin_family = begin_family,
	.sample = sample,
	.real = real,
	.histogram = histogram,
	.end_family = end_family,
	.end = end,
	.takes_parts = true,
	.takes_infinite = true,
};

/* --- rounds ------------------------------------------------------------------------------------------------------------ */

/* Prometheus' own NaN for "this series has ended" (model/value). The bits count, so they are copied, not computed. */
static double stale_marker(void)
{
	const uint64_t bits = 0x7ff0000000000002ULL;
	double value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static void end_series(struct remote_write *remote)
{
	const double stale = stale_marker();
	for (uint32_t i = 0; i < remote->before.count; i++) {
		size_t size;
		const char *labels = series_set_at(&remote->before, i, &size);
		if (series_set_find(&remote->now, labels, size))
			continue;
		batch_sample(&remote->batch, labels, size, NULL, stale, remote->time_ms);
		send_full_batch(remote);
	}
}

static void on_snapshot(void *state, const struct metric_context *context, struct moment now)
{
	struct remote_write *remote = state;
	const struct snapshot *snap = context->snap;
	if (snap->boot_ns < remote->next_ns)
		return;
	/* By the agent's grid: half an interval early is this one, not the next. */
	remote->next_ns = snap->boot_ns + remote->output->every_ns - snap->interval_ns / 2;
	remote->wall_ns = snap->wall_ns;
	remote->time_ms = snap->wall_ns / (int64_t)NSEC_PER_MSEC;
	remote->with_metadata = now.boot_ns >= remote->metadata_ns;
	if (remote->with_metadata)
		remote->metadata_ns = now.boot_ns + METADATA_NS;

	const struct series_set oldest = remote->before;
	remote->before = remote->now;
	remote->now = oldest;
	series_set_empty(&remote->now);
	uint64_t lost = remote->series_lost;
	batch_begin(&remote->batch, remote->version);
	metrics_write(&remote_writer, context, 0, &remote->out);
	end_series(remote);
	send_batch(remote);
	if (remote->series_lost && !lost)
		log_warning("output %s: more than %d series, the rest is not sent", remote->output->name, SERIES_MAX);
}

/* --- 2.0 where it is taken --------------------------------------------------------------------------------------------- */

/*
 * "If the receiver does not support 2.0 it answers 415, and the sender falls back to 1.0": for this parcel and for all that follow. One that is
 * older than that rule (Prometheus 2.42, VictoriaMetrics 1.145) reads 2.0 as a 1.0 without any series, and says 204; but who takes 2.0 must
 * say how much it wrote.
 */
static enum verdict judge(void *context, const struct parcel *parcel, const struct answer *answer, struct text *ret, uint32_t *ret_type)
{
	struct remote_write *remote = context;
	bool good = answer->status >= 200 && answer->status < 300;
	if (parcel->type != REMOTE_2)
		return VERDICT_DEFAULT;
	if (good && answer->written >= 0) {
		uint64_t written = (uint64_t)answer->written;
		outlet_reject(remote->outlet, written < parcel->items ? parcel->items - written : 0);
		return VERDICT_TAKEN;
	}
	if (!good && answer->status != 415)
		return VERDICT_DEFAULT;
	if (remote->version == 2)
		log_info("output %s: the receiver does not take remote write 2.0%s, going on with 1.0", remote->output->name,
			good ? " (it said yes, and not what it wrote)" : "");
	remote->version = 1;
	*ret_type = REMOTE_1;
	return batch_downgrade(parcel->body, parcel->size, ret) < 0 ? VERDICT_REFUSED : VERDICT_CHANGED;
}

static const char *const count_headers[] = { "x-prometheus-remote-write-samples-written:", "x-prometheus-remote-write-histograms-written:", NULL };

static const struct outlet_family family = {
	.types = parcel_types,
	.type_count = sizeof(parcel_types) / sizeof(parcel_types[0]),
	.count_headers = count_headers,
	.judge = judge,
};

/* ----------------------------------------------------------------------------------------------------------------------- */

static void close_remote(void *state)
{
	struct remote_write *remote = state;
	if (!remote)
		return;
	batch_free(&remote->batch);
	text_free(&remote->labels);
	text_free(&remote->raw);
	text_free(&remote->body);
	series_set_free(&remote->now);
	series_set_free(&remote->before);
	free(remote);
}

static int open_remote(const struct exporter_env *env, void **ret)
{
	struct remote_write *remote = calloc(1, sizeof(*remote));
	if (!remote)
		return -ENOMEM;
	remote->outputs = env->outputs;
	remote->output = &env->outputs->each[env->output];
	remote->version = remote->output->version;
	int error = delivery_add(env->delivery, env->outputs, env->output, 0, &family, remote, &remote->outlet);
	if (error < 0) {
		free(remote);
		return error;
	}
	*ret = remote;
	return 0;
}

const struct exporter remote_write_exporter = {
	.open = open_remote,
	.close = close_remote,
	.on_snapshot = on_snapshot,
};
