/* SPDX-License-Identifier: Apache-2.0 */
/* See dependency.h. */
#include "detect/dependency.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENOUGH_PACE = 20,              /* samples of history until "usual" means something */
	PACE_STEPS_MOST = 256,         /* the median forgets within some hundred samples: a service may become another */
};
#define MEMORY_S 20.0                  /* of what is recent: half of its weight lies in the last 14 s, 90 % in the last 46 */
#define IDLE_S 300.0                   /* nothing asked for so long: it is nobody's dependency now */
#define KEPT_S 86400.0                 /* its history is kept longer */
#define ENOUGH_RECENT 3.0              /* requests that a pace of late needs */
/* Less than this nobody waits for: on a loopback three times the usual is still a tenth of a millisecond. */
#define LEAST_DELAY_S 0.005

struct learned {
	double sum_s, count;           /* recent, decayed */
	double usual_log2;             /* streaming median of the ticks' means */
	uint32_t samples;
};

struct counters {
	uint64_t attempts, failures, ended, resets, opening_ns, openings, round_trip_us, round_trips;
};

struct service {
	bool used, known;              /* known: `before` is of the last tick */
	bool dns;
	uint8_t address[16];
	uint16_t port;
	uint32_t rows, rows_before;
	struct counters now, before;
	double attempts, failures, ended, resets, idle_s;
	struct learned opening, round_trip;
	uint32_t user_count, users_cut;
	uint64_t users[DEPENDENCY_USERS], users_weight[DEPENDENCY_USERS];
};

struct dependencies {
	bool began;                    /* counters of the first tick are of before us */
	uint32_t cut;
	uint64_t taken_ns;
	struct service each[MAX_DEPENDENCIES];
};

struct dependencies *dependencies_new(void)
{
	return calloc(1, sizeof(struct dependencies));
}

void dependencies_free(struct dependencies *dependencies)
{
	free(dependencies);
}

/* --- gathering --------------------------------------------------------------------------------------------------------- */

static struct service *service_of(struct dependencies *all, bool dns, const uint8_t address[16], uint16_t port)
{
	struct service *room = NULL;
	uint32_t start = port * 31U + dns;
	for (int i = 0; i < 16; i++)
		start = start * 16777619U ^ address[i];

	for (uint32_t i = 0; i < MAX_DEPENDENCIES; i++) {
		struct service *service = &all->each[(start + i) % MAX_DEPENDENCIES];
		if (service->used && service->dns == dns && service->port == port && memcmp(service->address, address, 16) == 0)
			return service;
		/* Freed places leave gaps, so the whole table is looked through for a new one; it is small. */
		if (!service->used && !room)
			room = service;
	}
	if (!room) {
		all->cut++;
		return NULL;
	}
	*room = (struct service){ .used = true, .dns = dns, .port = port };
	memcpy(room->address, address, 16);
	return room;
}

static void add_user(struct service *service, uint64_t cgroup_id, uint64_t weight)
{
	uint32_t at = service->user_count;
	for (uint32_t i = 0; i < service->user_count; i++)
		if (service->users[i] == cgroup_id)
			return; /* its largest row came first */
	while (at > 0 && service->users_weight[at - 1] < weight)
		at--;
	if (service->user_count == DEPENDENCY_USERS)
		service->users_cut++;
	else
		service->user_count++;
	if (at == DEPENDENCY_USERS)
		return;
	memmove(&service->users[at + 1], &service->users[at], (service->user_count - 1 - at) * sizeof(service->users[0]));
	memmove(&service->users_weight[at + 1], &service->users_weight[at], (service->user_count - 1 - at) * sizeof(service->users_weight[0]));
	service->users[at] = cgroup_id;
	service->users_weight[at] = weight;
}

/*
 * An attempt that its own side gave up (TCP_END_OTHER) counts as failed: it is how a program's own time limit for connecting looks.
 */
static void gather_peer(struct dependencies *all, const struct peer *peer)
{
	struct service *service = peer->key.direction == TCP_OUT ? service_of(all, false, peer->key.address, peer->key.port) : NULL;
	if (!service)
		return;

	const struct tcp_counts *counts = &peer->counts;
	struct counters *now = &service->now;
	service->rows++;
	now->attempts += counts->connections;
	for (int end = 0; end < TCP_END_COUNT; end++) {
		now->attempts += counts->failures[end];
		now->failures += counts->failures[end];
		now->ended += counts->ends[end];
	}
	now->resets += counts->ends[TCP_END_RESET_RECEIVED];
	now->opening_ns += counts->connect_sum_ns;
	now->openings += counts->connect_count;
	now->round_trip_us += counts->rtt_sum_us;
	now->round_trips += counts->rtt_count;
	add_user(service, peer->key.cgroup_id, peer->recent);
}

static void gather_server(struct dependencies *all, const struct dns_row *row)
{
	enum { SERVFAIL = 2, REFUSED = 5 }; /* RFC 1035, 4.1.1; that a name does not exist is an answer like another */
	struct service *service = service_of(all, true, row->key.server, 0);
	if (!service)
		return;

	struct counters *now = &service->now;
	service->rows++;
	now->attempts += row->counts.requests;
	if (row->key.result == SERVFAIL || row->key.result == REFUSED || row->key.result == DNS_RESULT_TIMEOUT)
		now->failures += row->counts.requests;
	if (row->key.result != DNS_RESULT_TIMEOUT) {
		now->opening_ns += row->counts.sum_ns;
		now->openings += row->counts.requests;
	}
	add_user(service, row->key.cgroup_id, row->counts.requests);
}

/* --- learning ---------------------------------------------------------------------------------------------------------- */

/*
 * The streaming median: a step up or down in the logarithm, each smaller than the one before it until it forgets about as fast as it
 * learns (stochastic approximation of a quantile; Tierney 1983). What is far slower than usual moves it eight times less, else an
 * outage of some minutes would be the new usual.
 */
static void learn(struct learned *learned, double mean_s)
{
	double value = log2(mean_s > 1e-6 ? mean_s : 1e-6);
	if (!learned->samples++) {
		learned->usual_log2 = value;
		return;
	}
	double step = 2.0 / (learned->samples < PACE_STEPS_MOST ? learned->samples : PACE_STEPS_MOST);
	if (learned->samples > ENOUGH_PACE && value > learned->usual_log2 + 1)
		step /= 8;
	learned->usual_log2 += value > learned->usual_log2 ? step : value < learned->usual_log2 ? -step : 0;
}

static void take_pace(struct learned *learned, double keep, double sum_s, double count)
{
	learned->sum_s = keep * learned->sum_s + sum_s;
	learned->count = keep * learned->count + count;
	if (count > 0)
		learn(learned, sum_s / count);
}

static void take_deltas(struct service *service, double elapsed_s)
{
	const struct counters *now = &service->now, *before = &service->before;
	double keep = exp(-elapsed_s / MEMORY_S);
	/* A row that fell away takes its counts along: then nothing can be said of this tick. */
	bool whole = service->rows >= service->rows_before && now->attempts >= before->attempts && now->ended >= before->ended &&
		     now->failures >= before->failures && now->openings >= before->openings && now->round_trips >= before->round_trips &&
		     now->opening_ns >= before->opening_ns && now->round_trip_us >= before->round_trip_us && now->resets >= before->resets;
	struct counters delta = { 0 };
	if (whole)
		delta = (struct counters){
			now->attempts - before->attempts, now->failures - before->failures, now->ended - before->ended, now->resets - before->resets,
			now->opening_ns - before->opening_ns, now->openings - before->openings, now->round_trip_us - before->round_trip_us,
			now->round_trips - before->round_trips,
		};

	service->attempts = keep * service->attempts + (double)delta.attempts;
	service->failures = keep * service->failures + (double)delta.failures;
	service->ended = keep * service->ended + (double)delta.ended;
	service->resets = keep * service->resets + (double)delta.resets;
	take_pace(&service->opening, keep, (double)delta.opening_ns / 1e9, (double)delta.openings);
	take_pace(&service->round_trip, keep, (double)delta.round_trip_us / 1e6, (double)delta.round_trips);
	service->idle_s = delta.attempts || delta.ended || delta.round_trips ? 0 : service->idle_s + elapsed_s;
}

/* --- telling ----------------------------------------------------------------------------------------------------------- */

static struct pace pace_of(const struct learned *learned)
{
	return (struct pace){
		.recent_s = learned->count >= ENOUGH_RECENT ? learned->sum_s / learned->count : 0,
		.usual_s = learned->samples >= ENOUGH_PACE ? exp2(learned->usual_log2) : 0,
	};
}

static double times_slower(const struct pace *pace)
{
	if (pace->recent_s <= 0 || pace->usual_s <= 0)
		return 0;
	double times = pace->recent_s / pace->usual_s;
	return times > 1 && pace->recent_s - pace->usual_s < LEAST_DELAY_S ? 1 : times;
}

static void name_service(const struct service *service, char name[DEPENDENCY_NAME_LEN])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool v4 = memcmp(service->address, mapped, sizeof(mapped)) == 0;
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &service->address[12] : service->address, address, sizeof(address));
	if (service->dns)
		snprintf(name, DEPENDENCY_NAME_LEN, "dns:%s", address);
	else
		snprintf(name, DEPENDENCY_NAME_LEN, v4 ? "%s:%u" : "[%s]:%u", address, service->port);
}

static void tell(const struct service *service, struct dependency_section *section)
{
	struct dependency *row = &section->each[section->count++];
	*row = (struct dependency){
		.attempts = service->attempts, .failures = service->failures, .ended = service->ended, .resets = service->resets,
		.opening = pace_of(&service->opening), .round_trip = pace_of(&service->round_trip),
		.user_count = service->user_count, .users_cut = service->users_cut,
	};
	double opening = times_slower(&row->opening), round_trip = times_slower(&row->round_trip);
	row->times_slower = opening > round_trip ? opening : round_trip;
	memcpy(row->users, service->users, sizeof(row->users));
	name_service(service, row->name);
}

static void begin(struct service *service)
{
	service->rows = service->user_count = service->users_cut = 0;
	service->now = (struct counters){ 0 };
}

static void finish(struct service *service, bool began, double elapsed_s, struct dependency_section *section)
{
	if (service->known || began)
		take_deltas(service, elapsed_s);
	service->before = service->now;
	service->rows_before = service->rows;
	service->known = true;
	if (service->idle_s > KEPT_S || (!service->rows && !service->opening.samples && service->idle_s > IDLE_S))
		*service = (struct service){ 0 };
	else if (service->idle_s < IDLE_S)
		tell(service, section);
}

void dependencies_update(struct dependencies *all, struct snapshot *snap)
{
	struct dependency_section *section = &snap->dependencies;
	bool peers = snapshot_is_fresh(snap, snap->peers.measured_ns), servers = snapshot_is_fresh(snap, snap->dns.measured_ns);
	if (!peers && !servers)
		return; /* the section grows stale */

	for (uint32_t i = 0; i < MAX_DEPENDENCIES; i++)
		begin(&all->each[i]);
	for (uint32_t i = 0; peers && i < snap->peers.count; i++)
		gather_peer(all, &snap->peers.each[i]);
	for (uint32_t i = 0; servers && i < snap->dns.count; i++)
		gather_server(all, &snap->dns.each[i]);

	double elapsed_s = all->taken_ns ? (double)(snap->boot_ns - all->taken_ns) / 1e9 : 0;
	section->count = 0;
	for (uint32_t i = 0; i < MAX_DEPENDENCIES; i++)
		if (all->each[i].used)
			finish(&all->each[i], all->began, elapsed_s, section);
	section->cut = all->cut;
	section->measured_ns = snap->boot_ns;
	all->taken_ns = snap->boot_ns;
	all->began = true;
}
