/* SPDX-License-Identifier: Apache-2.0 */
/* See event_json.h: what all events have in common here, and a function for each kind's own members. */
#include "publish/event_json.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "measure/recorder.h"
#include "publish/address.h"
#include "syscall_name.h"

const char *const event_kind_names[EVENT_KIND_COUNT] = {
	[EVENT_SLOW_CALL] = "slow_call", [EVENT_CONNECTION] = "connection", [EVENT_USAGE] = "usage",
	[EVENT_OOM_KILL] = "oom_kill", [EVENT_FATAL_SIGNAL] = "fatal_signal",
};

/* --- members ---------------------------------------------------------------------------------------------------------- */

static void name_member(struct text *out, const char *name)
{
	text_string(out, ",\"");
	text_string(out, name);
	text_string(out, "\":");
}

static void string_member(struct text *out, const char *name, const char *value)
{
	name_member(out, name);
	text_json_string(out, value);
}

static void number_member(struct text *out, const char *name, uint64_t value)
{
	name_member(out, name);
	text_u64(out, value);
}

static void signed_member(struct text *out, const char *name, int64_t value)
{
	name_member(out, name);
	if (value < 0)
		text_string(out, "-");
	text_u64(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static void seconds_member(struct text *out, const char *name, uint64_t ns)
{
	name_member(out, name);
	text_decimal(out, ns, 9);
}

/* Left out where the cgroup has no row any more: its id alone would tell nobody anything. */
static void cgroup_member(struct text *out, const char *name, const struct snapshot *snap, uint64_t id)
{
	const struct cgroup *cgroup = id ? snapshot_cgroup(snap, id) : NULL;

	if (cgroup && cgroup->path[0])
		string_member(out, name, cgroup->path);
}

/* A process with its identity; the first member stands behind no comma. */
static void party_members(struct text *out, const struct snapshot *snap, int32_t pid, uint32_t uid, const char comm[COMM_LEN], uint64_t cgroup_id)
{
	char name[COMM_LEN + 1];

	memcpy(name, comm, COMM_LEN);
	name[COMM_LEN] = '\0';
	text_string(out, "\"pid\":");
	text_u64(out, pid > 0 ? (uint64_t)pid : 0);
	number_member(out, "uid", uid);
	string_member(out, "comm", name);
	cgroup_member(out, "cgroup", snap, cgroup_id);
}

static void party_member(struct text *out, const char *name, const struct snapshot *snap, const struct party *party)
{
	name_member(out, name);
	text_string(out, "{");
	party_members(out, snap, party->pid, party->uid, party->comm, party->cgroup_id);
	text_string(out, "}");
}

/* --- kinds ------------------------------------------------------------------------------------------------------------ */

static void write_slow_call(struct text *out, const struct snapshot *snap, const struct event *event)
{
	static const char *const descriptors[DESCRIPTOR_KINDS] = {
		[DESCRIPTOR_FILE] = "file", [DESCRIPTOR_PIPE] = "pipe", [DESCRIPTOR_SOCKET] = "socket",
		[DESCRIPTOR_DEVICE] = "device", [DESCRIPTOR_EVENT] = "event",
	};
	const struct slow_call *call = &event->of.slow_call;
	char buffer[24];

	string_member(out, "syscall", syscall_name((enum syscall_abi)call->abi, call->nr, buffer, sizeof(buffer)));
	string_member(out, "abi", call->abi < SYSCALL_ABI_COUNT ? syscall_abi_names[call->abi] : "");
	signed_member(out, "tid", call->tid);
	seconds_member(out, "seconds", call->took_ns);
	if (call->error > 0)
		string_member(out, "errno", syscall_errno_name((uint16_t)call->error, buffer, sizeof(buffer)));
	if (call->descriptor < DESCRIPTOR_KINDS && descriptors[call->descriptor])
		string_member(out, "descriptor", descriptors[call->descriptor]);
	if (call->waits[0])
		string_member(out, "waits", call->waits);
}

static void write_connection(struct text *out, const struct snapshot *snap, const struct event *event)
{
	static const char *const flows[TCP_FLOW_COUNT] = {
		[TCP_SENT_BYTES] = "sent_bytes", [TCP_RECEIVED_BYTES] = "received_bytes", [TCP_SENT_SEGMENTS] = "sent_segments",
		[TCP_RECEIVED_SEGMENTS] = "received_segments", [TCP_RETRANSMITS] = "retransmits",
	};
	const struct tcp_connection *connection = &event->of.connection.connection;
	char address[ADDRESS_LEN];

	string_member(out, "direction", connection->peer.direction == TCP_IN ? "in" : "out");
	address_format(address, connection->local);
	string_member(out, "local", address);
	number_member(out, "local_port", connection->local_port);
	address_format(address, connection->peer.address);
	string_member(out, "peer", address);
	number_member(out, "peer_port", connection->peer_port);
	string_member(out, "end", tcp_end_names[event->of.connection.end <= TCP_LIVES ? event->of.connection.end : TCP_END_OTHER]);
	if (connection->start_ns && event->at_ns > connection->start_ns)
		seconds_member(out, "seconds", event->at_ns - connection->start_ns);
	if (connection->start_ns && connection->established_ns > connection->start_ns)
		seconds_member(out, "connect_seconds", connection->established_ns - connection->start_ns);
	for (int flow = 0; flow < TCP_FLOW_COUNT; flow++)
		number_member(out, flows[flow], connection->flows[flow]);
	if (event->of.connection.srtt_us)
		seconds_member(out, "rtt_seconds", event->of.connection.srtt_us * NSEC_PER_USEC);
}

static void usage_member(struct text *out, const char *name, const union usage *usage)
{
	name_member(out, name);
	text_string(out, "{\"cpu_seconds\":");
	text_decimal(out, usage->cpu_ns, 9);
	number_member(out, "read_bytes", usage->read_bytes);
	number_member(out, "written_bytes", usage->written_bytes);
	seconds_member(out, "run_delay_seconds", usage->run_delay_ns);
	number_member(out, "major_faults", usage->major_faults);
	number_member(out, "voluntary_switches", usage->voluntary_switches);
	number_member(out, "involuntary_switches", usage->involuntary_switches);
	text_string(out, "}");
}

static void write_usage(struct text *out, const struct snapshot *snap, const struct event *event)
{
	const struct usage_event *usage = &event->of.usage;

	name_member(out, "ended");
	text_string(out, usage->ended ? "true" : "false");
	if (usage->ended)
		number_member(out, "exit_code", (uint32_t)usage->exit_code);
	signed_member(out, "ppid", usage->ppid);
	if (event->at_ns > usage->start_ns)
		seconds_member(out, "seconds", event->at_ns - usage->start_ns);
	usage_member(out, "used", &usage->used);
	usage_member(out, "slice", &usage->slice);
	number_member(out, "peak_resident_bytes", usage->peak_rss_bytes);
}

static void write_recording(struct text *out, const struct snapshot *snap, const struct event *event)
{
	const struct recording *recording = recorder_find(&snap->recordings, event->seq);
	cJSON *json = recording ? recorder_json(recording, snap) : NULL;
	char *printed = json ? cJSON_PrintUnformatted(json) : NULL;

	if (printed) {
		name_member(out, "minute_before");
		text_string(out, printed);
	}
	cJSON_free(printed);
	cJSON_Delete(json);
}

static void write_oom_kill(struct text *out, const struct snapshot *snap, const struct event *event)
{
	const struct oom_record *oom = &event->of.oom;

	string_member(out, "scope", oom->scope == OOM_SCOPE_CGROUP ? "cgroup" : "node");
	party_member(out, "asker", snap, &oom->asker);
	signed_member(out, "oom_score_adj", oom->oom_score_adj);
	if (oom->described == OOM_DESCRIBED) {
		number_member(out, "anon_bytes", oom->anon_bytes);
		number_member(out, "file_bytes", oom->file_bytes);
		number_member(out, "shmem_bytes", oom->shmem_bytes);
		number_member(out, "page_table_bytes", oom->page_table_bytes);
	}
	if (oom->scope == OOM_SCOPE_CGROUP) {
		cgroup_member(out, "limit_cgroup", snap, oom->limit_cgroup_id);
		number_member(out, "limit_bytes", oom->limit_bytes);
		number_member(out, "usage_bytes", oom->usage_bytes);
	}
	write_recording(out, snap, event);
}

static void write_fatal_signal(struct text *out, const struct snapshot *snap, const struct event *event)
{
	static const char *const origins[] = {
		[FATAL_UNSEEN] = "unseen", [FATAL_BY_TASK] = "process", [FATAL_BY_KERNEL] = "kernel", [FATAL_BY_FAULT] = "fault",
	};
	const struct fatal_signal *fatal = &event->of.fatal;
	char name[16];

	string_member(out, "signal", fatal_signal_name(fatal->record.signal, name));
	string_member(out, "killer", fatal->killer < KILLER_COUNT ? killer_names[fatal->killer] : "unknown");
	string_member(out, "origin", fatal->record.origin <= FATAL_BY_FAULT ? origins[fatal->record.origin] : "unseen");
	if (fatal->record.origin == FATAL_BY_TASK)
		party_member(out, "sender", snap, &fatal->record.sender);
}

/* --- all -------------------------------------------------------------------------------------------------------------- */

static void (*const writers[EVENT_KIND_COUNT])(struct text *out, const struct snapshot *snap, const struct event *event) = {
	[EVENT_SLOW_CALL] = write_slow_call, [EVENT_CONNECTION] = write_connection, [EVENT_USAGE] = write_usage,
	[EVENT_OOM_KILL] = write_oom_kill, [EVENT_FATAL_SIGNAL] = write_fatal_signal,
};

static int64_t wall_of(const struct snapshot *snap, uint64_t at_ns)
{
	return snap->wall_ns - (int64_t)(snap->boot_ns - at_ns);
}

static void write_event(struct text *out, const struct snapshot *snap, const struct event *event)
{
	char time[40];

	text_string(out, "{\"seq\":");
	text_u64(out, event->seq);
	string_member(out, "time", clock_format(wall_of(snap, event->at_ns), time, sizeof(time)));
	string_member(out, "kind", event_kind_names[event->kind]);
	text_string(out, ",");
	party_members(out, snap, event->pid, event->uid, event->comm, event->cgroup_id);
	writers[event->kind](out, snap, event);
	text_string(out, "}");
}

void events_write(const struct snapshot *snap, const struct event_query *query, struct text *out)
{
	const struct event_section *section = &snap->events;
	uint64_t oldest = section->total > MAX_EVENTS ? section->total - MAX_EVENTS : 0;
	uint32_t told = 0;

	text_string(out, "{\"schema\":\"nodemend.events/1\",\"last\":");
	text_u64(out, section->total);
	text_string(out, ",\"events\":[");
	for (uint64_t seq = section->total; seq > oldest && seq > query->after && told < query->limit; seq--) {
		const struct event *event = &section->each[seq % MAX_EVENTS];

		if (event->seq != seq || event->kind >= EVENT_KIND_COUNT || (query->has_kind && event->kind != query->kind) ||
		    wall_of(snap, event->at_ns) < query->since_ns)
			continue;
		text_string(out, told++ ? "," : "");
		write_event(out, snap, event);
	}
	text_string(out, "]}\n");
}
