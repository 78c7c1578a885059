/* SPDX-License-Identifier: Apache-2.0 */
/* The answer to each path. Knows nothing of sockets: a request in, a status and a body out. */
#include <errno.h>
#include <stdlib.h>

#include "core/clock.h"
#include "publish/event_json.h"
#include "publish/metric_series.h"
#include "publish/publish.h"

#define TEXT_TYPE "text/plain; charset=utf-8"
#define JSON_TYPE "application/json"
#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define PROTOBUF_TYPE "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = RECORDS_ACTIONS };

static const char *parameter(const struct request *request, const char *name)
{
	for (uint32_t i = 0; i < request->parameter_count; i++)
		if (strcmp(request->parameters[i].name, name) == 0)
			return request->parameters[i].value;
	return NULL;
}

/* The page so far is thrown away. `what` is ours or the caller's own words back to him, as plain text. */
static void refuse(struct reply *reply, unsigned int status, const char *why, const char *what)
{
	text_reset(reply->body);
	text_string(reply->body, why);
	if (what) {
		text_string(reply->body, ": ");
		text_label_value(reply->body, what);
	}
	text_string(reply->body, "\n");
	reply->status = status;
	reply->content_type = TEXT_TYPE;
}

/* --- metrics ---------------------------------------------------------------------------------------------------------- */

/* The first mention with the largest weight counts. */
int accept_weight(const char *accept, const char *word)
{
	size_t length = strlen(word);
	int best = -1;

	for (const char *at = accept; at && *at; at = strchr(at, ',')) {
		at += strspn(at, ", \t");
		if (strncasecmp(at, word, length) != 0 || (at[length] && !strchr(" \t;,", at[length])))
			continue;
		int weight = 1000;
		const char *end = at + strcspn(at, ",");
		for (const char *q = at; (q = memchr(q, ';', (size_t)(end - q)));) {
			q += 1 + strspn(q + 1, " \t");
			double value = (*q == 'q' || *q == 'Q') && q[1] == '=' ? strtod(q + 2, NULL) : 1;
			weight = value >= 0 && value < 1 ? (int)(value * 1000) : weight; /* what is no weight is none given */
		}
		best = weight > best ? weight : best;
	}
	return best;
}

static const struct {
	const char *accepted, *content_type;
} expositions[EXPOSITION_COUNT] = {
	[EXPOSITION_TEXT] = { "text/plain", PROMETHEUS_TYPE },
	[EXPOSITION_OPENMETRICS] = { "application/openmetrics-text", OPENMETRICS_TYPE },
	[EXPOSITION_PROTOBUF] = { "application/vnd.google.protobuf", PROTOBUF_TYPE },
	[EXPOSITION_JSON] = { NULL, JSON_TYPE }, /* has a path of its own */
};

/* The one with the largest weight; of equals the later in the table, which says more. Whoever names none gets text. */
enum exposition accept_exposition(const char *accept)
{
	enum exposition best = EXPOSITION_TEXT;
	int weight = accept_weight(accept, expositions[best].accepted);

	for (enum exposition i = EXPOSITION_TEXT + 1; i < EXPOSITION_JSON; i++) {
		int other = accept_weight(accept, expositions[i].accepted);

		if (other > 0 && other >= weight) {
			best = i;
			weight = other;
		}
	}
	return best;
}

static int collect_filter(const struct request *request, struct metric_selection *ret, const char **ret_unknown)
{
	*ret = (struct metric_selection){ 0 };
	for (uint32_t i = 0; i < request->parameter_count; i++) {
		if (strcmp(request->parameters[i].name, "collect[]") != 0)
			continue;
		if (metric_select(ret, request->parameters[i].value) < 0) {
			*ret_unknown = request->parameters[i].value;
			return -ENOENT;
		}
	}
	return 0;
}

static void answer_metrics(struct publisher *publisher, const struct request *request, enum exposition format, uint64_t now_ns,
	struct reply *reply)
{
	struct metric_selection selection;
	const char *unknown;
	if (collect_filter(request, &selection, &unknown) < 0) {
		refuse(reply, 400, "no such collector", unknown);
		return;
	}
	(void)publisher_refresh(publisher, now_ns); /* else the one before serves */
	if (format == EXPOSITION_JSON && !publisher->seq) {
		refuse(reply, 503, "no snapshot yet", NULL);
		return;
	}

	/* The feed as it was written to metrics.json and sent to the streams. */
	reply->whole = selection_is_whole(&selection);
	bool is_feed = format == EXPOSITION_JSON && reply->whole && publisher->feed;
	reply->page = is_feed ? page_keep(publisher->feed) : metrics_page(publisher, format, &selection, now_ns);
	reply->content_type = expositions[format].content_type;
	if (!reply->page)
		refuse(reply, 503, "no memory for this", NULL);
}

static void answer_prometheus(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns,
	struct reply *reply)
{
	answer_metrics(publisher, request, accept_exposition(request->accept), now_ns, reply);
}

static void answer_feed(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns, struct reply *reply)
{
	answer_metrics(publisher, request, EXPOSITION_JSON, now_ns, reply);
}

/* --- records ---------------------------------------------------------------------------------------------------------- */

static int parse_duration(const char *text, int64_t *ret_ns)
{
	static const struct { const char *unit; int64_t ns; } units[] = {
		{ "d", 86400 * (int64_t)NSEC_PER_SEC }, { "h", 3600 * (int64_t)NSEC_PER_SEC }, { "m", 60 * (int64_t)NSEC_PER_SEC },
		{ "ms", (int64_t)NSEC_PER_MSEC },	{ "s", (int64_t)NSEC_PER_SEC },	       { "w", 7 * 86400 * (int64_t)NSEC_PER_SEC },
	};
	char *end;
	errno = 0;
	long long count = strtoll(text, &end, 10);
	if (errno || end == text || count < 0)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].unit) == 0)
			return __builtin_mul_overflow(count, units[i].ns, ret_ns) ? -EINVAL : 0;
	return -EINVAL;
}

/* "1795485165" or "1795485165.25". */
static int parse_unix(const char *text, int64_t *ret_ns)
{
	char *end;
	errno = 0;
	long long seconds = strtoll(text, &end, 10);
	if (errno || end == text || seconds < 0 || __builtin_mul_overflow(seconds, (int64_t)NSEC_PER_SEC, ret_ns))
		return -EINVAL;
	if (*end == '.') {
		int64_t unit = (int64_t)NSEC_PER_SEC / 10, fraction = 0;
		for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
			fraction += (*end - '0') * unit;
		if (__builtin_add_overflow(*ret_ns, fraction, ret_ns))
			return -EINVAL;
	}
	return *end ? -EINVAL : 0;
}

int since_parse(const char *text, int64_t wall_ns, int64_t *ret_ns)
{
	int64_t value;
	if (text[0] < '0' || text[0] > '9') /* no signs, no spaces */
		return -EINVAL;
	if (parse_duration(text, &value) == 0)
		value = wall_ns - value;
	else if (parse_unix(text, &value) < 0 && clock_parse(text, &value) < 0)
		return -EINVAL;
	*ret_ns = value;
	return 0;
}

/* 0, or -EINVAL with the refusal written. */
static int parse_query(const struct request *request, int64_t wall_ns, struct reply *reply, struct records_query *ret)
{
	const char *since = parameter(request, "since"), *state = parameter(request, "state"), *limit = parameter(request, "limit");
	*ret = (struct records_query){ .since_ns = INT64_MIN, .limit = LIMIT_DEFAULT };

	if (since && since_parse(since, wall_ns, &ret->since_ns) < 0) {
		refuse(reply, 400, "since wants a time like 2026-11-23T10:00:00Z, unix seconds, or a duration like 24h", since);
		return -EINVAL;
	}
	for (int i = 0; state && i < INCIDENT_STATE_COUNT; i++) {
		if (strcmp(state, incident_state_names[i]) == 0) {
			ret->has_state = true;
			ret->state = (enum incident_state)i;
		}
	}
	if (state && !ret->has_state) {
		refuse(reply, 400, "state wants open, mending, resolved or needs_human", state);
		return -EINVAL;
	}
	char *end = NULL;
	errno = 0;
	unsigned long count = limit && *limit >= '0' && *limit <= '9' ? strtoul(limit, &end, 10) : 0;
	if (limit && (!end || *end || errno || !count)) {
		refuse(reply, 400, "limit wants a number from 1", limit);
		return -EINVAL;
	}
	if (limit)
		ret->limit = count < LIMIT_MAX ? (uint32_t)count : LIMIT_MAX;
	return 0;
}

static void answer_incidents(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns,
	struct reply *reply)
{
	struct records_query query;
	if (parse_query(request, wall_ns, reply, &query) < 0)
		return;
	records_write_incidents(publisher->records, &query, reply->body);
	text_string(reply->body, "\n");
	reply->content_type = JSON_TYPE;
}

static void answer_incident(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns,
	struct reply *reply)
{
	const char *id = request->path + strlen("/v1/incidents/");
	const struct incident_entry *entry = records_incident(publisher->records, id);
	if (!entry) {
		refuse(reply, 404, "no such incident", id);
		return;
	}
	records_write_incident(publisher->records, entry, reply->body);
	text_string(reply->body, "\n");
	reply->content_type = JSON_TYPE;
}

static void answer_actions(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns,
	struct reply *reply)
{
	struct records_query query;
	if (parse_query(request, wall_ns, reply, &query) < 0)
		return;
	records_write_actions(publisher->records, &query, reply->body);
	text_string(reply->body, "\n");
	reply->content_type = JSON_TYPE;
}

/* 0; -EINVAL with the refusal written. */
static int parse_number(const struct request *request, const char *name, struct reply *reply, uint64_t *ret)
{
	const char *text = parameter(request, name);
	char *end = NULL;

	if (!text)
		return 0;
	errno = 0;
	unsigned long long value = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
	if (!end || *end || errno) {
		refuse(reply, 400, "a whole number is wanted as", name);
		return -EINVAL;
	}
	*ret = value;
	return 0;
}

static int parse_event_query(const struct request *request, int64_t wall_ns, struct reply *reply, struct event_query *ret)
{
	const char *since = parameter(request, "since"), *kind = parameter(request, "kind");
	uint64_t limit = LIMIT_DEFAULT;

	*ret = (struct event_query){ .since_ns = INT64_MIN };
	if (since && since_parse(since, wall_ns, &ret->since_ns) < 0) {
		refuse(reply, 400, "since wants a time like 2026-11-23T10:00:00Z, unix seconds, or a duration like 24h", since);
		return -EINVAL;
	}
	for (int i = 0; kind && i < EVENT_KIND_COUNT; i++) {
		if (strcmp(kind, event_kind_names[i]) == 0) {
			ret->has_kind = true;
			ret->kind = (enum event_kind)i;
		}
	}
	if (kind && !ret->has_kind) {
		refuse(reply, 400, "kind wants slow_call, connection, usage, oom_kill or fatal_signal", kind);
		return -EINVAL;
	}
	if (parse_number(request, "after", reply, &ret->after) < 0 || parse_number(request, "limit", reply, &limit) < 0)
		return -EINVAL;
	ret->limit = limit < MAX_EVENTS ? (uint32_t)limit : MAX_EVENTS;
	return 0;
}

static void answer_events(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns, struct reply *reply)
{
	struct event_query query;

	if (parse_event_query(request, wall_ns, reply, &query) < 0)
		return;
	(void)publisher_refresh(publisher, now_ns); /* else the one before serves */
	if (!publisher->seq) {
		refuse(reply, 503, "no snapshot yet", NULL);
		return;
	}
	events_write(publisher->snap, &query, reply->body);
	reply->content_type = JSON_TYPE;
}

/* --- health ----------------------------------------------------------------------------------------------------------- */

static void answer_healthz(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns,
	struct reply *reply)
{
	text_string(reply->body, "ok\n");
}

static void answer_readyz(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns, struct reply *reply)
{
	(void)publisher_refresh(publisher, now_ns); /* staleness is asked below */
	const struct snapshot *snap = publisher->snap;
	if (!publisher->seq) {
		refuse(reply, 503, "not ready: no snapshot yet", NULL);
		return;
	}
	if (snap->boot_ns + 3 * snap->interval_ns < now_ns) {
		refuse(reply, 503, "not ready: the agent has not measured for three intervals", NULL);
		return;
	}

	uint32_t down = 0;
	for (uint32_t i = 0; i < snap->collector_count && i < MAX_COLLECTORS; i++) {
		const struct collector_status *status = &snap->collectors[i];
		if (status->state != COLLECTOR_DOWN)
			continue;
		text_string(reply->body, down++ ? "" : "not ready: collectors are down\n");
		text_label_value(reply->body, status->name);
		text_string(reply->body, ": ");
		text_label_value(reply->body, status->why);
		text_string(reply->body, "\n");
	}
	if (down)
		reply->status = 503;
	else
		text_string(reply->body, "ready\n");
}

static void answer_stream(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns, struct reply *reply)
{
	reply->stream = true;
}

static const char index_page[] =
	"<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>nodemend</title>\n"
	"<h1>nodemend " NODEMEND_VERSION "</h1>\n<p>This node's agent. It is read here and changed nowhere here.</p>\n<ul>\n"
	"<li><a href=\"metrics\">/metrics</a>: Prometheus or OpenMetrics; <code>?collect[]=NAME</code> filters\n"
	"<li><a href=\"v1/metrics\">/v1/metrics</a>: the same as JSON, with the same filter\n"
	"<li><a href=\"v1/incidents\">/v1/incidents</a>, /v1/incidents/ID: <code>?since=24h&amp;state=open&amp;limit=10</code>\n"
	"<li><a href=\"v1/actions\">/v1/actions</a>: <code>?since=24h&amp;limit=10</code>\n"
	"<li><a href=\"v1/events\">/v1/events</a>: single records: <code>?kind=slow_call&amp;since=5m&amp;after=SEQ&amp;limit=10</code>\n"
	"<li><a href=\"v1/stream\">/v1/stream</a>: all of it as it happens: server-sent events, or lines of JSON by <code>Accept: application/x-ndjson</code>\n"
	"<li><a href=\"healthz\">/healthz</a>, <a href=\"readyz\">/readyz</a>\n</ul>\n</html>\n";

static void answer_index(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns, struct reply *reply)
{
	text_string(reply->body, index_page);
	reply->content_type = "text/html; charset=utf-8";
}

/* ---------------------------------------------------------------------------------------------------------------------- */

struct path_route {
	const char *path;
	void (*answer)(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns, struct reply *reply);
	bool prefix;       /* something must follow */
};

static const struct path_route routes[] = {
	{ "/", answer_index, false },
	{ "/healthz", answer_healthz, false },
	{ "/metrics", answer_prometheus, false },
	{ "/readyz", answer_readyz, false },
	{ "/v1/actions", answer_actions, false },
	{ "/v1/events", answer_events, false },
	{ "/v1/incidents", answer_incidents, false },
	{ "/v1/incidents/", answer_incident, true },
	{ "/v1/metrics", answer_feed, false },
	{ "/v1/stream", answer_stream, false },
};

static bool matches(const struct path_route *candidate, const char *path)
{
	size_t length = strlen(candidate->path);
	return candidate->prefix ? strncmp(path, candidate->path, length) == 0 && path[length] : strcmp(path, candidate->path) == 0;
}

void route(struct publisher *publisher, const struct request *request, uint64_t now_ns, int64_t wall_ns, struct reply *reply)
{
	*reply = (struct reply){ .status = 200, .content_type = TEXT_TYPE, .body = &publisher->page };
	text_reset(reply->body);

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (matches(&routes[i], request->path)) {
			routes[i].answer(publisher, request, now_ns, wall_ns, reply);
			return;
		}
	}
	refuse(reply, 404, "no such path; / lists those there are", NULL);
}
