#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""A real agent pushes OTLP to a receiver in Node.js that has OpenTelemetry's own decoders. Metrics are compared with the JSON feed
of the same snapshot; the logs and the trace of a real incident with its record; and a receiver that fails, takes a part, or is
there only later loses nothing and gets nothing twice.
"""

import base64
import contextlib
import gzip
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import applications
import harness
from harness import MiB, wait_for

HERE = Path(__file__).resolve().parent / "otlp"
# The publisher's own counters, and what moves between two readings of one snapshot.
NOT_COMPARED = ("nodemend_publisher_", "nodemend_output_", "nodemend_sender_", "nodemend_records_dropped_total", "nodemend_series_folded_total",
                "nodemend_snapshot_age_seconds")
OVERFLOW = "_overflow"


def node_modules():
    """Installed from the lock file, once for each of its versions."""
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = harness.CACHE / f"otlp-{lock}"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=180)
        (folder / "done").touch()
    return folder / "node_modules"


def values(attributes):
    """{key: value} of a list of attributes."""
    def plain(value):
        (kind, inner), = value.items()
        if kind == "arrayValue":
            return [plain(each) for each in inner.get("values", [])]
        return int(inner) if kind == "intValue" else inner
    return {attribute["key"]: plain(attribute["value"]) for attribute in attributes or []}


class Receiver:
    def __init__(self, bench, port=0):
        self.file = Path(bench.dir, "receiver.jsonl")
        self.file.touch()
        self.rows, self.read_to = [], 0
        self.process = subprocess.Popen(["node", HERE / "receiver.js", self.file, str(port)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        env={**os.environ, "NODE_PATH": str(node_modules())})
        bench.stack.callback(self.close)
        word, port = self.process.stdout.readline().decode().split()
        assert word == "listening"
        self.port, self.url = int(port), f"http://127.0.0.1:{port}"

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def post(self, path, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        return response.status

    def plan(self, **answers):
        assert self.post("/plan", json.dumps(answers), {}) == 200

    def lines(self, signal=None):
        with open(self.file) as file:  # what is new since the last time: all of it again would take longer with every second
            file.seek(self.read_to)
            for line in iter(file.readline, ""):
                if not line.endswith("\n"):
                    break
                self.rows.append(json.loads(line))
                self.read_to += len(line.encode())
        return [row for row in self.rows if signal is None or row.get("signal") == signal]

    def bad(self):
        return [row["bad"] for row in self.lines() if "bad" in row]

    def metrics(self, time_ms):
        """{family: [(labels, point, metric)]} of the snapshot of that time."""
        families = {}
        for row in self.lines("metrics"):
            for metric in (metric for items in row["request"]["resourceMetrics"] for scope in items["scopeMetrics"] for metric in scope["metrics"]):
                data = metric.get("gauge") or metric.get("sum") or metric["exponentialHistogram"]
                for point in data["dataPoints"]:
                    if int(point["timeUnixNano"]) // 1000000 == time_ms:
                        families.setdefault(metric["name"], []).append((values(point.get("attributes")), point, metric))
        return families

    def has_later(self, time_ms):
        """Requests come one after another: with a later snapshot's first one, all of this one's are here."""
        return any(int(point["timeUnixNano"]) // 1000000 > time_ms for row in self.lines("metrics")
                   for items in row["request"]["resourceMetrics"] for scope in items["scopeMetrics"] for metric in scope["metrics"]
                   for point in (metric.get("gauge") or metric.get("sum") or metric["exponentialHistogram"])["dataPoints"])

    def records(self, event=None):
        found = [record for row in self.lines("logs") for items in row["request"]["resourceLogs"] for scope in items["scopeLogs"]
                 for record in scope["logRecords"]]
        return [(values(record["attributes"]), record) for record in found if event in (None, record["eventName"])]

    def spans(self):
        return [(values(span.get("attributes")), span) for row in self.lines("traces") for items in row["request"]["resourceSpans"]
                for scope in items["scopeSpans"] for span in scope["spans"]]


def config(url, *more, policies="policies: []"):
    extra = "".join(f", {word}" for word in more)
    return f'interval: 1s\nnode: otlp-test\noutputs:\n  - otlp: {{name: collector, url: "{url}", every: 1s{extra}}}\n{policies}\n'


def can_run(bench):
    for program in ("node", "npm"):
        if not shutil.which(program):
            bench.skip("a Node.js receiver", f"{program} is not installed (scripts/deps.sh test)")
            return False
    return True


# --- metrics ------------------------------------------------------------------------------------------------------------

def same(a, b):
    """Doubles that were rounded once each, on different ways."""
    return abs(a - b) <= 4e-16 * max(abs(a), abs(b))


def check_number(sample, point, metric):
    value = float(point["asInt"]) if "asInt" in point else point.get("asDouble", 0.0)
    return "" if same(value, sample["value"]) else f"{value}, in the feed {sample['value']}"


def check_histogram(sample, point, overflow):
    """Empty where each classic bucket of the feed is the sum of OTLP's buckets up to the same bound."""
    base = 2 ** (2 ** -point.get("scale", 0))
    positive = point.get("positive", {})
    ends = [(point["zeroThreshold"], int(point.get("zeroCount", 0)))]
    ends += [(base ** (positive.get("offset", 0) + k + 1), int(count)) for k, count in enumerate(positive.get("bucketCounts", []))]
    for le, below in sample["buckets"]:
        ours = sum(count for end, count in ends if end <= le * (1 + 1e-9))
        if ours != below:
            return f"up to {le}: {ours}, in the feed {below}"
    if int(point.get("count", 0)) + overflow != sample["count"]:
        return f"count {point.get('count', 0)} + {overflow} beyond 64 s, in the feed {sample['count']}"
    if overflow:
        return "a sum of something else" if "sum" in point else ""
    return "" if same(point["sum"], sample["sum"]) else f"sum {point['sum']}, in the feed {sample['sum']}"


def compare(feed, families):
    """(samples compared, histograms compared, complaints)"""
    numbers, histograms, wrong = 0, 0, []
    for name, family in feed.metrics.items():
        if name.startswith(NOT_COMPARED):
            continue
        key = lambda labels: tuple(sorted((k, v) for k, v in labels.items() if v))
        points = {key(labels): (point, metric) for labels, point, metric in families.get(name, [])}
        beyond = {key(labels): int(point["asInt"]) for labels, point, _ in families.get(name + OVERFLOW, [])}
        if len(points) != len(family["samples"]):
            wrong.append(f"{name}: {len(points)} points, in the feed {len(family['samples'])}")
        for sample in family["samples"]:
            point, metric = points.get(key(sample["labels"]), (None, None))
            if point is None:
                wrong.append(f"{name}{sample['labels']}: missing")
                continue
            kind = {"counter": "sum", "histogram": "exponentialHistogram"}.get(family["type"], "gauge")
            unit = {"seconds": "s", "bytes": "By", "": "1", "ratio": "1"}.get(family.get("unit", ""), metric["unit"])
            if kind not in metric or metric["unit"] != unit or (kind == "sum" and not metric["sum"].get("isMonotonic")):
                wrong.append(f"{name}: not what a {family['type']} in {family.get('unit')} is")
            if family["type"] == "histogram":
                histograms += 1
                complaint = check_histogram(sample, point, beyond.get(key(sample["labels"]), 0))
            else:
                numbers += 1
                complaint = check_number(sample, point, metric)
            if complaint:
                wrong.append(f"{name}{sample['labels']}: {complaint}")
    strangers = {name for name in families if name.removesuffix(OVERFLOW) not in feed.metrics and not name.startswith(NOT_COMPARED)}
    return numbers, histograms, wrong + [f"not in the feed: {name}" for name in sorted(strangers)]


def count_points(row):
    return sum(len((metric.get("gauge") or metric.get("sum") or metric["exponentialHistogram"])["dataPoints"])
               for items in row["request"]["resourceMetrics"] for scope in items["scopeMetrics"] for metric in scope["metrics"]
               if not metric["name"].endswith(OVERFLOW))


def metrics(bench):
    if not can_run(bench):
        return
    receiver = Receiver(bench)
    os.environ["K8S_NODE_NAME"] = "k8s-1"
    agent = bench.agent(config(receiver.url + "/", "max_samples: 300", "headers: {X-Scope-OrgID: t1}") + applications.config(bench))
    applications.send(bench, agent)
    del os.environ["K8S_NODE_NAME"]
    agent.next_feed(2)

    def both():
        feed = agent.feed()
        when = round(harness.parse_time(feed.document["time"]) * 1000)
        with contextlib.suppress(harness.Failed):
            return wait_for("its requests", lambda: (lambda f: "nodemend_ticks_total" in f and receiver.has_later(when) and (feed, f, when))(receiver.metrics(when)), 10)
        return None
    # Cgroups are measured between the full ticks as well: one that comes or works in just that moment is in one of the two only. Another snapshot tells.
    for _ in range(4):
        feed, families, when = wait_for("a snapshot that came both ways", both, 60)
        numbers, histograms, wrong = compare(feed, families)
        if not wrong:
            break
        bench.note(f"once more: {wrong[:3]}")
    bench.ok("every family and value of the feed", not wrong and numbers > 300 and histograms > 5, f"{numbers}, {histograms}: {wrong[:5]}")
    got = {name: families.get(name, []) for name in ("shop_orders_total", "queue_depth", "pay_took", "visitors", "backup_seconds_bucket", "report_seconds")}
    bench.ok("what applications sent is among them", all(got.values()), got)
    bench.note(f"{numbers} numbers and {histograms} histograms compared")
    rows = receiver.lines("metrics")
    bench.ok("in bounded requests", len(rows) > 3 and all(count_points(row) <= 300 for row in rows))
    bench.equal("where the protocol says", {row["path"] for row in rows}, {"/v1/metrics"})
    bench.equal("with the headers that were asked for", {row["headers"].get("x-scope-orgid") for row in rows}, {"t1"})

    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    start = int(families["node_context_switches_total"][0][1]["startTimeUnixNano"]) / 1e9
    bench.ok("the kernel's counters start at boot", abs(start - boot) < 2, f"{start}, the boot was at {boot}")
    ours = int(families["nodemend_ticks_total"][0][1]["startTimeUnixNano"]) / 1e9
    ticks = int(Path(f"/proc/{agent.pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    began = boot + ticks / os.sysconf("SC_CLK_TCK")
    bench.ok("the agent's own at its start", abs(ours - began) < 2, f"{ours}, the agent started at {began}")

    resource = values(receiver.lines("metrics")[0]["request"]["resourceMetrics"][0]["resource"]["attributes"])
    bench.equal("host.name", resource.get("host.name"), "otlp-test")
    bench.equal("service.name", resource.get("service.name"), "nodemend")
    bench.equal("k8s.node.name", resource.get("k8s.node.name"), "k8s-1")
    with contextlib.suppress(OSError):
        machine = Path("/etc/machine-id").read_text().strip()
        bench.equal("host.id", resource.get("host.id", ""), machine if len(machine) == 32 else "")
    bench.equal("nothing was refused", receiver.bad(), [])

    row = receiver.lines("metrics")[-1]
    raw = base64.b64decode(row["raw"])
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    bench.equal("the payload again is taken", receiver.post("/v1/metrics", raw, headers), 200)

    plain = gzip.decompress(raw)
    for what, spoiled in (("cut short", plain[:-1]), ("of another field", b"\x12" + plain[1:]), ("of nothing known", b"\xff" * 100)):
        bench.equal(f"one {what} is not", receiver.post("/v1/metrics", gzip.compress(spoiled), headers), 400)


# --- an incident --------------------------------------------------------------------------------------------------------

def policy(mount, mode):
    return f"""
policies:
  - name: data-fills
    when:
      filesystem: {{mountpoint: "{mount}", used_percent: {{above: 60, clear: 55}}, for: 500ms}}
    mode: {mode}
    do:
      - clean-files: {{root: "{mount}/logs", match: ["*.log.*"], min_age: 1s, keep_newest: 0, max_bytes: 2GiB}}
        expect: {{freed: 10MiB, within: 10s}}
    limits: {{cooldown: 10m, per_target: 3/1h, per_node: 10/1d}}
"""


def old_logs(mount, mib):
    (mount / "logs").mkdir()
    path = mount / "logs" / "app.log.1"
    path.write_bytes(os.urandom(mib * MiB))
    os.utime(path, (time.time() - 7200,) * 2)
    return path


def check_tree(bench, agent, receiver, incident_id):
    """One trace with one root; the parents of all others are in it. {name: span}"""
    spans = [(attributes, span) for attributes, span in receiver.spans()]
    traces = {span["traceId"] for _, span in spans}
    bench.equal("one trace", len(traces), 1)
    bench.equal("each span once", len({span["spanId"] for _, span in spans}), len(spans))
    roots = [(attributes, span) for attributes, span in spans if not span.get("parentSpanId")]
    bench.equal("one root", len(roots), 1)
    ids = {span["spanId"] for _, span in spans}
    bench.ok("every parent is there", all(span["parentSpanId"] in ids for _, span in spans if span.get("parentSpanId")))
    root_attributes, root = roots[0]
    bench.equal("the root is the incident", root_attributes["nodemend.incident.id"], incident_id)
    incident = next(row for row in agent.incidents() if row["id"] == incident_id)
    for key, nano in (("opened", "startTimeUnixNano"), ("resolved", "endTimeUnixNano")):
        bench.ok(f"it is as long: {key}", abs(harness.parse_time(incident[key]) - int(root[nano]) / 1e9) < 0.0011, f"{incident[key]} {root[nano]}")
    bench.equal("and ended well", root["status"].get("code"), 1)
    bench.equal("its history as events", [event["name"] for event in root["events"]], [entry["state"] for entry in incident["history"]])
    detection = next(span for _, span in spans if span["name"] == "detection")
    bench.equal("detection is its child", detection["parentSpanId"], root["spanId"])
    return spans, root, incident


def check_logs(bench, receiver, root, incident):
    records = receiver.records("nodemend.incident")
    bench.equal("a log record for each change", [attributes["nodemend.incident.state"] for attributes, _ in records],
                [entry["state"] for entry in incident["history"]])
    uids = [attributes["log.record.uid"] for attributes, _ in receiver.records()]
    bench.equal("each with a name of its own", len(set(uids)), len(uids))
    attributes, first = records[0]
    bench.ok("it says which, what and who", attributes["nodemend.incident.id"] == incident["id"] and
             attributes["nodemend.resource.name"] == incident["resource"]["mountpoint"] and attributes["nodemend.policy"] == "data-fills" and
             len(attributes.get("nodemend.causes", [])) == len(incident["causes"]), attributes)
    bench.ok("it belongs to the trace", all(record["traceId"] == root["traceId"] for _, record in receiver.records()))
    bench.ok("one sentence", incident["history"][0]["why"] in first["body"]["stringValue"], first["body"])
    bench.ok("severity follows the state", first["severityNumber"] in (13, 17, 21) and records[-1][1]["severityNumber"] == 9)


def shadow(bench):
    """Planned only: the story in logs and a trace, with the action's span below the root."""
    if not can_run(bench):
        return
    receiver = Receiver(bench)
    mount = bench.loop_filesystem(64)
    old = old_logs(mount, 40)
    paths = ("metrics: false", 'logs_path: "/own/logs"', 'traces_path: ""')
    agent = bench.agent(config(receiver.url + "/traces", *paths, policies=policy(mount, "shadow")))
    action = wait_for("the plan", lambda: next((a for a in agent.actions(remedy="clean-files") if a["ended"]), None), 40)
    old.unlink()
    incident = wait_for("the end", lambda: next(iter(agent.incidents(state="resolved")), None), 40)
    wait_for("its root span", lambda: any(not span.get("parentSpanId") for _, span in receiver.spans()), 20)
    wait_for("its last record", lambda: len(receiver.records("nodemend.incident")) >= len(incident["history"]), 20)

    spans, root, incident = check_tree(bench, agent, receiver, incident["id"])
    check_logs(bench, receiver, root, incident)
    attributes, span = next((a, s) for a, s in spans if s["name"] == "clean-files")
    bench.equal("the remedy is the root's child", span["parentSpanId"], root["spanId"])
    bench.ok("with its plan, and without a verification", attributes["nodemend.mode"] == "shadow" and attributes["nodemend.plan"] == action["plan"] and
             not any(s["name"] == "verification" for _, s in spans), attributes)
    bench.equal("the action's record", [a["nodemend.action.id"] for a, _ in receiver.records("nodemend.action")], [action["id"]])
    bench.equal("nothing was refused", receiver.bad(), [])
    bench.equal("no metrics where none are wanted", receiver.lines("metrics"), [])
    bench.equal("each signal at its own address", {row["path"] for row in receiver.lines()}, {"/traces/own/logs", "/traces"})


def enforced(bench):
    """Done: steps and verification are the remedy's children. The receiver fails, takes a part, and the sender dies in between."""
    if not can_run(bench):
        return
    receiver = Receiver(bench)
    receiver.plan(logs=[{"status": 503, "retry_after": "1"}, {"rejected": 1}], traces=[{"status": 429}])
    mount = bench.loop_filesystem(64)
    old_logs(mount, 40)
    agent = bench.agent(config(receiver.url, "metrics: false", policies=policy(mount, "enforce")))
    incident = wait_for("the end", lambda: next(iter(agent.incidents(state="resolved")), None), 60)
    action = wait_for("the act", lambda: next((a for a in agent.actions(remedy="clean-files") if a["ended"]), None), 20)
    wait_for("its root span", lambda: any(not span.get("parentSpanId") for _, span in receiver.spans()), 30)
    wait_for("the remedy's span", lambda: any(span["name"] == "clean-files" for _, span in receiver.spans()), 30)
    wait_for("all records", lambda: len(receiver.records()) >= len(incident["history"]) + 1, 30)

    spans, root, incident = check_tree(bench, agent, receiver, incident["id"])
    check_logs(bench, receiver, root, incident)
    attributes, remedy = next((a, s) for a, s in spans if s["name"] == "clean-files")
    bench.equal("its outcome", attributes["nodemend.outcome"], action["outcome"])
    bench.equal("what it freed", attributes["nodemend.observed.freed_bytes"], action["observed"]["freed_bytes"])
    below = [span["name"] for _, span in spans if span.get("parentSpanId") == remedy["spanId"]]
    bench.equal("its steps and the verification are its children", sorted(below), sorted([step["name"] for step in action["steps"]] + ["verification"]))
    lost = agent.next_feed().total("nodemend_output_dropped_total", output="collector", reason="refused")
    bench.equal("what the receiver rejected is counted", lost, 1)
    bench.ok("and said", "rejects 1 of" in agent.log.read_text())

    told = len(receiver.records()), len(receiver.spans())
    sender = next(pid for pid in harness.children_of(agent.pid) if Path(f"/proc/{pid}/comm").read_text().strip() == "nm-sender")
    wait_for("its memory of having sent it", lambda: list(agent.state_dir.rglob("collector.told")), 20)
    os.kill(sender, 9)
    wait_for("a new sender", lambda: any(pid != sender and Path(f"/proc/{pid}/comm").read_text().strip() == "nm-sender"
                                         for pid in harness.children_of(agent.pid)), 30)
    agent.next_feed(4)
    bench.equal("a new sender tells nothing twice", (len(receiver.records()), len(receiver.spans())), told)
    bench.equal("nothing was refused", receiver.bad(), [])


def later(bench):
    """Nobody listens while it happens, and the agent is started anew: the spool has it, and each of it arrives once."""
    if not can_run(bench):
        return
    port = harness.free_port()
    mount = bench.loop_filesystem(64)
    old = old_logs(mount, 40)
    agent = bench.agent(config(f"http://127.0.0.1:{port}", "metrics: false", policies=policy(mount, "shadow")))
    wait_for("the plan", lambda: next((a for a in agent.actions(remedy="clean-files") if a["ended"]), None), 40)
    old.unlink()
    incident = wait_for("the end", lambda: next(iter(agent.incidents(state="resolved")), None), 40)
    bench.equal("the agent ends", agent.stop(), 0)
    agent.start()
    receiver = Receiver(bench, port)
    wait_for("its root span", lambda: any(not span.get("parentSpanId") for _, span in receiver.spans()), 60)
    wait_for("all records", lambda: len(receiver.records()) >= len(incident["history"]) + 1, 60)
    agent.next_feed(3)
    bench.equal("each record once", len(receiver.records()), len(incident["history"]) + 1)
    bench.equal("each span once", len(receiver.spans()), len({span["spanId"] for _, span in receiver.spans()}))
    bench.equal("nothing was refused", receiver.bad(), [])


if __name__ == "__main__":
    raise SystemExit(harness.main(enforced, later, metrics, shadow, together=3))
