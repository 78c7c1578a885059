#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""What is served, as its readers read it: promtool, JSON Schema, node_exporter's names, a stream; and what a hostile or
broken peer can do, which is nothing.
"""

import contextlib
import gzip
import json
import re
import shutil
import socket
import subprocess
import time

import harness
from harness import wait_for

CONFIG = """
interval: 1s
collectors: {unit: false}
policies:
  - name: always
    when:
      memory: {used_percent: {above: 0.01, clear: 0.001}}
    mode: observe
"""
NODE_EXPORTER = ["node_cpu_seconds_total", "node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes", "node_filesystem_avail_bytes",
                 "node_filesystem_size_bytes", "node_filesystem_files_free", "node_disk_read_bytes_total", "node_network_receive_bytes_total",
                 "node_load1", "node_context_switches_total", "node_forks_total", "node_boot_time_seconds"]


def series(text):
    """{(name, frozen labels)} of an exposition."""
    found = set()
    for line in text.splitlines():
        match = re.match(r'([a-zA-Z_:][\w:]*)(\{.*\})? \S+', line)
        if match and not line.startswith("#"):
            found.add((match[1], frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))))
    return found


def metrics(bench):
    agent = bench.agent(CONFIG)
    agent.next_feed(2)
    status, headers, body = agent.get("/metrics")
    text = body.decode()
    bench.ok("Prometheus text", status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), f"{status} {headers['Content-Type']}")
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, timeout=60, check=False)
        # node_exporter's own names break two of promtool's rules of taste; they are kept for its dashboards' sake.
        faults = [line for line in (done.stdout + done.stderr).decode().splitlines() if line.strip() and not line.startswith("node_")]
        bench.ok("promtool finds no fault in our names", not faults and done.returncode in (0, 3), f"{done.returncode} {faults[:5]}")
    else:
        bench.skip("promtool", "not installed")
    names = {name for name, _ in series(text)}
    bench.ok("node_exporter's names are there", not set(NODE_EXPORTER) - names, set(NODE_EXPORTER) - names)
    bench.ok("no NaN, no infinity as a value", not re.search(r" (NaN|[+-]?Inf)$", text, re.M))

    status, headers, body = agent.get("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})
    bench.ok("OpenMetrics", status == 200 and headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
             and body.endswith(b"# EOF\n"), headers["Content-Type"])
    status, headers, body = agent.get("/metrics", {"Accept-Encoding": "gzip"})
    bench.ok("gzip", headers["Content-Encoding"] == "gzip" and b"nodemend_build_info" in gzip.decompress(body), headers["Content-Encoding"])
    names = {metric["name"] for metric in agent.get_json("/v1/metrics?collect[]=memory")["metrics"]}
    bench.ok("collect[] filters the feed, too", "node_memory_MemTotal_bytes" in names and "node_cpu_seconds_total" not in names, sorted(names)[:8])
    status, _, body = agent.get("/metrics?collect[]=memory")
    names = {name for name, _ in series(body.decode())}
    bench.ok("collect[] filters", "node_memory_MemTotal_bytes" in names and "node_cpu_seconds_total" not in names, sorted(names)[:8])
    first, second = agent.next_feed(), agent.next_feed()
    for name in ("node_cpu_seconds_total", "nodemend_syscalls_total"):
        old = {json.dumps(row["labels"], sort_keys=True): row["value"] for row in first.samples(name)}
        fell = [row for row in second.samples(name) if row["value"] < old.get(json.dumps(row["labels"], sort_keys=True), 0)]
        bench.ok(f"{name} never falls", second.samples(name) and not fell, fell[:3])
    for metric in second.document["metrics"]:
        for row in metric["samples"]:
            counts = [count for _, count in row.get("buckets", [])]
            if counts != sorted(counts) or (counts and counts[-1] > row["count"]):
                bench.ok(f"{metric['name']}: buckets are cumulative", False, row)
    agrees_with_node_exporter(bench, agent)


def agrees_with_node_exporter(bench, agent):
    """The same names, labels and values as the real one on the same node."""
    exporter = shutil.which("prometheus-node-exporter")
    if not exporter:
        bench.skip("beside node_exporter", "prometheus-node-exporter is not installed (scripts/deps.sh test)")
        return
    port = harness.free_port()
    process = subprocess.Popen([exporter, f"--web.listen-address=127.0.0.1:{port}", "--collector.processes"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    bench.stack.callback(process.wait)
    bench.stack.callback(process.kill)
    peer = harness.Agent.__new__(harness.Agent)
    peer.port = port
    theirs = wait_for("node_exporter", lambda: contextlib_get(peer), 20).decode()
    ours = agent.get("/metrics")[2].decode()
    left, right = series(ours), series(theirs)
    shared = {name for name, _ in left if name.startswith("node_")}
    unknown = sorted(shared - {name for name, _ in right})
    bench.ok("every node_ name is one of node_exporter's", not unknown, unknown)
    for name in ("node_cpu_seconds_total", "node_memory_MemTotal_bytes", "node_disk_reads_completed_total", "node_network_receive_bytes_total"):
        mine, other = {labels for n, labels in left if n == name}, {labels for n, labels in right if n == name}
        mine = {labels for labels in mine if ("device", "lo") not in labels}  # its netlink reader leaves the loopback out
        bench.ok(f"{name}: the same label sets", mine and mine <= other, sorted(map(sorted, mine - other))[:3])
    total = [re.search(rf"^{name} (\S+)$", text, re.M) for text in (ours, theirs) for name in ("node_memory_MemTotal_bytes",)]
    bench.ok("MemTotal is the same", all(total) and float(total[0][1]) == float(total[1][1]))


def contextlib_get(peer):
    with contextlib.suppress(OSError):
        return peer.get("/metrics")[2]


def schemas(bench):
    import jsonschema
    folder = harness.ROOT / "docs/schema"
    loaded = {path.name.split(".")[0]: json.loads(path.read_text()) for path in folder.glob("*.json")}
    bench.need("there are schemas", {"metrics", "incident", "action"} <= set(loaded), sorted(loaded))
    store = {schema.get("$id", name): schema for name, schema in loaded.items()} | {f"{name}.schema.json": s for name, s in loaded.items()}

    def valid(name, document, kind):
        schema = loaded[kind]
        resolver = jsonschema.RefResolver(base_uri=schema.get("$id", ""), referrer=schema, store=store)
        faults = [f"{list(e.absolute_path)}: {e.message}" for e in jsonschema.validators.validator_for(schema)(schema, resolver=resolver).iter_errors(document)]
        bench.ok(f"{name} is as its schema says", not faults, faults[:3])

    agent = bench.agent(CONFIG)
    lines = harness.Lines(bench, agent.port)
    incident = wait_for("the incident", agent.incidents, 20)[0]
    agent.cli("apply", "clean-files", bench.dir, "--match", "*.none", "--yes")
    wait_for("a line of each kind", lambda: {"metrics", "incident", "action"} <= {line["event"] for line in list(lines.read)}, 20)
    for kind in ("metrics", "incident", "action"):
        valid(f"a line of the stream: {kind}", next(line for line in list(lines.read) if line["event"] == kind), "stream")
    valid("/v1/metrics", agent.get_json("/v1/metrics"), "metrics")
    valid("/v1/metrics, filtered", agent.get_json("/v1/metrics?collect[]=cpu"), "metrics")
    valid("/v1/incidents", agent.get_json("/v1/incidents"), "incidents" if "incidents" in loaded else "incident")
    valid("/v1/incidents/ID", agent.get_json(f"/v1/incidents/{incident['id']}"), "incident")
    valid("/v1/actions", agent.get_json("/v1/actions"), "actions" if "actions" in loaded else "action")
    for record in agent.journal():
        valid("a journal record", {key: value for key, value in record.items() if key != "prev"}, "action")
    feed = agent.run_dir / "metrics.json"
    bench.need("metrics.json is in the run directory", feed.exists(), list(agent.run_dir.rglob("*")))
    valid("metrics.json", json.loads(feed.read_text()), "metrics")
    seen = set()
    def replaced():
        seen.add(json.loads(feed.read_text())["seq"])
        return len(seen) >= 3
    wait_for("metrics.json to be replaced, whole each time", replaced, 15, step=0.002)
    bench.ok("metrics.json is replaced whole", True)


def queries(bench):
    agent = bench.agent(CONFIG)
    incident = wait_for("the incident", agent.incidents, 20)[0]
    bench.equal("state=resolved", agent.get_json("/v1/incidents?state=resolved")["incidents"], [])
    bench.equal("state=open", len(agent.get_json("/v1/incidents?state=open")["incidents"]), 1)
    bench.equal("limit=0 or 1", len(agent.get_json("/v1/incidents?limit=1")["incidents"]), 1)
    bench.equal("one that is open is open since then, too", len(agent.get_json("/v1/incidents?since=2100-01-01T00:00:00Z")["incidents"]), 1)
    bench.equal("since an hour", len(agent.get_json("/v1/incidents?since=1h")["incidents"]), 1)
    bench.equal("no such incident", agent.get("/v1/incidents/none")[0], 404)
    bench.ok("one by id", agent.get_json(f"/v1/incidents/{incident['id']}")["id"] == incident["id"])
    bench.equal("/healthz", agent.get("/healthz")[0], 200)
    status, _, body = agent.get("/readyz")
    bench.ok("/readyz", status == 200, f"{status} {body[:300]}")
    bench.equal("no such path", agent.get("/etc/passwd")[0], 404)
    for method in ("POST", "PUT", "DELETE"):
        bench.equal(f"{method} is refused", agent.get("/v1/incidents", method=method)[0], 405)
    bench.equal("HEAD", (agent.get("/metrics", method="HEAD")[0], agent.get("/metrics", method="HEAD")[2]), (200, b""))


def stream(bench):
    agent = bench.agent(CONFIG)
    wait_for("the incident", agent.incidents, 20)
    listener = agent.stream()
    bench.equal("status", listener.status, 200)
    bench.ok("its type", listener.response.headers["Content-Type"].startswith("text/event-stream"), listener.response.headers["Content-Type"])
    wait_for("three feeds", lambda: len(listener.of("metrics")) >= 3, 15)
    seqs = [document["seq"] for _, document in listener.of("metrics")]
    bench.ok("metrics, one an interval and in order", seqs == sorted(set(seqs)), seqs)
    agent.cli("apply", "clean-files", bench.dir, "--match", "*.none", "--yes")
    wait_for("the action", lambda: listener.of("action"), 15)
    bench.ok("actions as they happen", listener.of("action")[-1][1]["remedy"] == "clean-files")


if __name__ == "__main__":
    raise SystemExit(harness.main(metrics, schemas, queries, stream, together=3))
