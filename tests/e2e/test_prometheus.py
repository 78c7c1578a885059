#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""A real Prometheus scrapes a real agent: the classic buckets as OpenMetrics, and the same histograms as native ones over protobuf, both with the
exemplars of an incident. What it then answers to queries is compared with what a program did, and with the feed.
"""

import contextlib
import ctypes
import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import harness
from harness import wait_for

CALLS = 500
RARE = "sched_rr_get_interval"  # nobody else on a node makes this call
RARE_NR = {"x86_64": 148, "aarch64": 127}
RULES = harness.ROOT / "deploy/prometheus/nodemend.rules.yaml"
FAMILY = "nodemend_syscall_latency_seconds"


class Prometheus:
    def __init__(self, bench, agent, name, *options):
        folder = Path(bench.dir, name)
        folder.mkdir()
        self.port = harness.free_port()
        (folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: [{RULES}]\n"
            f"scrape_configs: [{{job_name: node, static_configs: [{{targets: ['127.0.0.1:{agent.port}']}}]}}]\n")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", "--log.level=warn",
             f"--web.listen-address=127.0.0.1:{self.port}", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(folder / "log", "wb"))
        self.log = folder / "log"
        bench.stack.callback(self.process.wait)
        bench.stack.callback(self.process.kill)

    def get(self, path, **parameters):
        """The data of an answer of its API; None while there is none."""
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}?" + urllib.parse.urlencode(parameters), timeout=5) as answer:
                return json.load(answer)["data"]
        return None

    def ask(self, query):
        """The value of the only series that answers; None where none does."""
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
            with urllib.request.urlopen(url, timeout=5) as answer:
                rows = json.load(answer)["data"]["result"]
            return float(rows[0]["value"][1]) if len(rows) == 1 else None
        return None


def make_rare_calls():
    libc = ctypes.CDLL(None, use_errno=True)
    room = ctypes.create_string_buffer(16)
    number = RARE_NR[harness.os.uname().machine]
    for _ in range(CALLS):
        libc.syscall(number, 0, room)


def counts_calls(bench, agent, classic, native):
    """What a program did, as classic buckets and as native ones."""
    make_rare_calls()
    calls = f'{{syscall="{RARE}"}}'
    wait_for("the classic buckets", lambda: classic.ask(f"{FAMILY}_count{calls}") == CALLS, 30)
    wait_for("the native histogram", lambda: native.ask(f"histogram_count({FAMILY}{calls})") == CALLS, 30)
    bench.ok("both count every call", True)

    row = next(row for row in agent.feed().samples(FAMILY) if row["labels"]["syscall"] == RARE)
    total = native.ask(f"histogram_sum({FAMILY}{calls})")
    bench.ok("the sum is the feed's", abs(total - row["sum"]) < 1e-9, f"{total}, in the feed {row['sum']}")
    bench.ok("no classic series where native ones are taken", native.ask(f"{FAMILY}_count{calls}") is None)

    def median(prometheus, what):
        return prometheus.ask(f"histogram_quantile(0.5, {what}{calls})")
    fine, coarse = median(native, FAMILY), median(classic, FAMILY + "_bucket")
    below = [le for le, count in row["buckets"] if count < CALLS / 2][-1:] or [0]
    above = next(le for le, count in row["buckets"] if count >= CALLS / 2)
    bench.ok("the native median lies in the classic median's bucket", below[0] <= fine <= above, f"{fine}, the bucket is ({below[0]}, {above}]")
    bench.ok("the classic median, too", below[0] <= coarse <= above, coarse)


def names_incidents(bench, agent, where, peers):
    """The exemplars of a filesystem that fills: at what was written to it, and at the latency of the writer's own slow call."""
    # Everything that is written is on the disk before the call returns, which then takes longer than slow_syscall.
    subprocess.run(["dd", "if=/dev/zero", f"of={where}/big", "bs=1M", "count=20", "conv=fsync"], check=True, stderr=subprocess.DEVNULL)
    incident = wait_for("the incident", lambda: agent.incidents(state="open") or agent.incidents(), 30)[0]
    for name, prometheus in peers.items():
        def exemplars(family, **labels):
            rows = prometheus.get("/api/v1/query_exemplars", query=family, start=incident["opened"][:11] + "00:00:00Z", end="2100-01-01T00:00:00Z")
            return [row for row in rows or [] if row["exemplars"] and all(row["seriesLabels"].get(key) == value for key, value in labels.items())]

        def ids(rows):
            return {exemplar["labels"].get("incident") for row in rows for exemplar in row["exemplars"]}
        rows = wait_for(f"exemplars over {name}", lambda: exemplars("nodemend_filesystem_dirtied_all_bytes_total", mountpoint=str(where)), 30)
        bench.equal(f"{name}: they name the incident", ids(rows), {incident["id"]})
        bench.ok(f"{name}: with what was written", all(float(e["value"]) > 4 << 20 for row in rows for e in row["exemplars"]), rows)
        rows = wait_for(f"an exemplar of a latency over {name}", lambda: exemplars(FAMILY) + exemplars(FAMILY + "_bucket"), 90)
        bench.equal(f"{name}: a slow call of its cause names it, too", ids(rows), {incident["id"]})
        calls = {(row["seriesLabels"]["syscall"], float(e["value"]) >= 0.001) for row in rows for e in row["exemplars"]}
        bench.ok(f"{name}: at its calls, with their times", calls & {("fsync", True), ("write", True)} and all(slow for _, slow in calls), rows)


def is_content(bench, name, prometheus):
    bench.equal(f"{name}: up", prometheus.ask('up{job="node"}'), 1.0)
    bench.ok(f"{name}: samples", (prometheus.ask("scrape_samples_scraped") or 0) > 500)
    targets = prometheus.get("/api/v1/targets")["activeTargets"]
    bench.equal(f"{name}: no error in the last scrape", [target["lastError"] for target in targets], [""])
    kinds = {row["type"] for row in prometheus.get("/api/v1/targets/metadata", metric="nodemend_build_info") or []} | {
        row["type"] for row in prometheus.get("/api/v1/targets/metadata", metric="nodemend_build") or []}
    bench.ok(f"{name}: the type of nodemend_build_info", kinds and kinds <= {"info", "gauge"}, kinds)
    bench.equal(f"{name}: Prometheus has nothing to say", prometheus.log.read_text(errors="replace"), "")


def scrapes(bench):
    if not shutil.which("prometheus"):
        bench.skip("a real Prometheus", "prometheus is not installed (scripts/deps.sh test)")
        return
    where = bench.loop_filesystem(64)
    agent = bench.agent(f"""
interval: 1s
slow_syscall: 1ms
policies:
  - name: fills
    when: {{filesystem: {{mountpoint: {where}, used_percent: {{above: 10, clear: 5}}}}}}
    mode: observe
""")
    peers = {"OpenMetrics": Prometheus(bench, agent, "text", "--enable-feature=exemplar-storage"),
             "protobuf": Prometheus(bench, agent, "protobuf", "--enable-feature=exemplar-storage,native-histograms")}
    counts_calls(bench, agent, *peers.values())
    names_incidents(bench, agent, where, peers)
    for name, prometheus in peers.items():
        is_content(bench, name, prometheus)
        rules = [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]]
        bench.ok(f"{name}: the rules that ship are evaluated", len(rules) >= 10 and {rule["health"] for rule in rules} <= {"ok", "unknown"} and
                 any(rule["health"] == "ok" for rule in rules), [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"])


if __name__ == "__main__":
    raise SystemExit(harness.main(scrapes))
