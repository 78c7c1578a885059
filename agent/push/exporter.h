/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One kind of output: what it makes of snapshots, incidents and actions. It runs in the sender, never waits, and hands parcels to its
 * outlets. exporters.c lists them.
 */
#ifndef NODEMEND_PUSH_EXPORTER_H
#define NODEMEND_PUSH_EXPORTER_H

#include "publish/metric.h"
#include "push/delivery.h"

/* Now, in both clocks; handed in, never fetched. */
struct moment { uint64_t boot_ns; int64_t wall_ns; };

/* What an exporter is opened with; good until it is closed. */
struct exporter_env {
	const struct outputs *outputs;
	uint32_t output;                   /* its own, in outputs->each */
	struct delivery *delivery;
	const char *boot_id;
	int spool_dir_fd;                  /* for what it must not forget, in files named OUTPUT.KIND; -1 = none */
	struct moment now;
};

struct exporter {
	/* Adds its outlets with delivery_add(). 0 or -errno. */
	int (*open)(const struct exporter_env *env, void **ret);
	/* After delivery_save(): what had to be kept is on the disk, and outlets are no longer asked. NULL is fine. */
	void (*close)(void *state);
	/* Those that it has no use for are NULL. A snapshot is handed out once each; `every` is the exporter's to keep. */
	void (*on_snapshot)(void *state, const struct metric_context *context, struct moment now);
	void (*on_incident)(void *state, const struct incident *incident, struct moment now);
	void (*on_action)(void *state, const struct action *action, struct moment now);
	/* Once a turn of the loop. Returns when it wants to be called again (boot ns); UINT64_MAX = only when something comes. */
	uint64_t (*on_turn)(void *state, struct moment now);
};

/* NULL where this build cannot do that kind. */
extern const struct exporter *const exporters[OUTPUT_KIND_COUNT];
extern const struct exporter alertmanager_exporter, mail_exporter, otlp_exporter, remote_write_exporter, webhook_exporter;

#endif
