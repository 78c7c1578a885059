#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""Remote write into a real Prometheus: every family, equal values, native histograms, series that end, and what an outage, a killed sender
and a killed agent leave of it.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import applications
import debian
import harness
from harness import children_of, wait_for


# What publisher and sender each count for themselves.
OF_EACH_PROCESS = ("nodemend_snapshot_age_seconds", "nodemend_series_folded_total", "nodemend_records_dropped_total")


class Store:
    """A Prometheus that scrapes nothing and is written to."""

    def __init__(self, bench, name="store", program="prometheus"):
        self.folder, self.port, self.process, self.program = Path(bench.dir, name), harness.free_port(), None, program
        self.folder.mkdir()
        (self.folder / "prometheus.yml").write_text("global: {}\n")
        bench.stack.callback(self.stop)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data", "--log.level=error",
             f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver", "--enable-feature=native-histograms"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("Prometheus", lambda: self.get("/api/v1/status/buildinfo"), 30)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/api/v1/write"

    def get(self, path, **parameters):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}?" + urllib.parse.urlencode(parameters), timeout=10) as answer:
                return json.load(answer)["data"]
        return None

    def ask(self, query):
        data = self.get("/api/v1/query", query=query)
        return data["result"] if data else []

    def raw(self, selector):
        """{ms: value} of the only series, as it was written."""
        rows = self.ask(selector)
        return {round(when * 1000): float(value) for when, value in rows[0]["values"]} if len(rows) == 1 else {}


def config(url, more=""):
    return ("interval: 1s\npolicies: []\nlabels: {cluster: c1}\noutputs:\n"
            f"  - remote-write: {{name: store, url: \"{url}\", every: 1s{more}}}\n")


def sender_of(agent):
    for pid in children_of(agent.pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "nm-sender":
                return pid
    return None


def total(agent, name, **labels):
    return agent.feed().total(name, **labels)


def need_prometheus(bench):
    if shutil.which("prometheus"):
        return True
    bench.skip("a real Prometheus", "prometheus is not installed (scripts/deps.sh test)")
    return False


def arrives(bench):
    if not need_prometheus(bench):
        return
    store = Store(bench)
    agent = bench.agent(config(store.url, ", native_histograms: true") + applications.config(bench))
    applications.send(bench, agent)
    wait_for("samples", lambda: len(store.raw("nodemend_ticks_total[1m]")) >= 5, 30)

    feed = agent.next_feed()
    names = set(store.get("/api/v1/label/__name__/values"))
    missing = [name for name in feed.metrics if name not in names]
    bench.ok("every family of the feed arrives", not missing, missing)
    histograms = [name for name, metric in feed.metrics.items() if metric["type"] == "histogram"]
    bench.ok("histograms with their classic series", histograms and all({f"{h}_bucket", f"{h}_sum", f"{h}_count"} <= names for h in histograms), histograms)

    when = round(harness.parse_time(feed.document["time"]) * 1000)
    wait_for("the feed's own tick", lambda: when in store.raw("nodemend_ticks_total[1m]"), 20)
    differ = []
    stored = {}  # by name, by labels
    for row in store.ask('{job="nodemend"}[1m]'):
        labels = {key: value for key, value in row["metric"].items() if key not in ("__name__", "instance", "job", "cluster")}
        stored.setdefault(row["metric"]["__name__"], {})[json.dumps(labels, sort_keys=True)] = {round(t * 1000): float(v) for t, v in row.get("values", [])}
    for name, metric in feed.metrics.items():
        if metric["type"] == "histogram" or name.startswith(("nodemend_output_", "nodemend_sender_", "nodemend_publisher_")) or name in OF_EACH_PROCESS:
            continue
        keys = [json.dumps({k: v for k, v in row.get("labels", {}).items() if v}, sort_keys=True) for row in metric["samples"]]
        for key, row in zip(keys, metric["samples"]):
            got = stored.get(name, {}).get(key, {}).get(when)
            if keys.count(key) > 1:
                continue  # cgroups whose name could not be found in time share one: whoever comes first is sent
            if got is None or abs(got - row["value"]) > 1e-9 * max(1, abs(row["value"])):
                differ.append((name, row, got))
    bench.ok("each value is the feed's, at the snapshot's own time", not differ, differ[:5])

    sent = {series: store.ask(series) for series in applications.SERIES}
    wrong = {series: sent[series] for series, value in applications.SERIES.items() if [float(row["value"][1]) for row in sent[series]] != [value]}
    bench.ok("what applications sent, over StatsD and in text files", not wrong, wrong)
    count = store.ask('histogram_count(pay_took)')
    bench.ok("a timer as a native histogram, too", len(count) == 1 and float(count[0]["value"][1]) == 4, count)
    count = store.ask('histogram_count(nodemend_tick_seconds)')
    bench.ok("a native histogram counts the ticks", len(count) == 1 and float(count[0]["value"][1]) >= 5, count)
    row = store.ask("nodemend_ticks_total")
    bench.ok("instance, job and the labels of the configuration",
             row and row[0]["metric"] == {"__name__": "nodemend_ticks_total", "cluster": "c1", "instance": feed.document["node"], "job": "nodemend"}, row)
    bench.equal("nothing was dropped", total(agent, "nodemend_output_dropped_total"), 0)
    bench.ok("what was sent is counted", total(agent, "nodemend_output_sent_total", output="store") > 100)


def newer(bench):
    """2.0 to a Prometheus that speaks it."""
    tree = debian.unpacked("sid", "prometheus")
    if not tree:
        bench.skip("remote write 2.0 to a real Prometheus", "Debian sid cannot be reached")
        return
    store = Store(bench, program=tree / "usr/bin/prometheus")
    agent = bench.agent(config(store.url, ", native_histograms: true, version: 2") + applications.config(bench))
    applications.send(bench, agent)
    wait_for("samples", lambda: len(store.raw("nodemend_ticks_total[1m]")) >= 3, 30)
    wait_for("what applications sent", lambda: store.ask("visitors"), 20)
    wrong = {series: value for series, value in applications.SERIES.items() if [float(row["value"][1]) for row in store.ask(series)] != [value]}
    bench.ok(f"remote write 2.0 to Prometheus {store.get('/api/v1/status/buildinfo')['version']}", not wrong, wrong)
    count = store.ask("histogram_count(pay_took)")
    bench.ok("native histograms", len(count) == 1 and float(count[0]["value"][1]) == 4, count)
    bench.ok("it was 2.0 to the end", "going on with 1.0" not in agent.log.read_text(), agent.log_tail())
    bench.equal("and all of it was written", total(agent, "nodemend_output_dropped_total"), 0)


def series_end(bench):
    """With 2.0 to one that does not know it, and says yes nevertheless."""
    if not need_prometheus(bench):
        return
    store = Store(bench)
    agent = bench.agent(config(store.url, ", version: 2"))
    spinner = bench.program("spinner", 120, ready=False)
    series = f'{{__name__=~"nodemend_process_.*",pid="{spinner.pid}"}}'
    wait_for("the program's series", lambda: store.ask(series), 30)
    bench.ok("one that says yes to 2.0 and stores nothing gets 1.0", "going on with 1.0" in agent.log.read_text(), agent.log_tail())
    spinner.kill()
    before = agent.next_feed().document["seq"]
    # Without the marker a series is looked back at for five minutes.
    wait_for("the series to have ended", lambda: not store.ask(series), 20)
    bench.ok("a process that is gone has no series, by its stale markers", True)
    wait_for("one more round", lambda: store.ask("nodemend_ticks_total") and float(store.ask("nodemend_ticks_total")[0]["value"][1]) > before, 20)
    bench.ok("and the others go on", True)


def outage(bench):
    """The receiver is away; meanwhile first the sender, then the agent is killed."""
    if not need_prometheus(bench):
        return
    store = Store(bench)
    agent = bench.agent(config(store.url))
    wait_for("samples", lambda: len(store.raw("nodemend_ticks_total[1m]")) >= 3, 30)
    first = max(store.raw("nodemend_ticks_total[1m]"))
    store.stop()

    spooled = wait_for("the spool", lambda: total(agent, "nodemend_output_spool_bytes"), 20)
    wait_for("more in the spool", lambda: total(agent, "nodemend_output_spool_bytes") > 2 * spooled, 20)
    before_kill = total(agent, "nodemend_output_spool_bytes")
    sender = sender_of(agent)
    os.kill(sender, signal.SIGKILL)
    killed_ms = harness.time.time() * 1000
    wait_for("another sender", lambda: sender_of(agent) not in (None, sender), 20)
    wait_for("its spool to have what was in it", lambda: total(agent, "nodemend_output_spool_bytes") > before_kill, 20)
    bench.ok("a killed sender is back with all that was spooled", total(agent, "nodemend_sender_restarts_total") == 1)
    seqs_first_agent = agent.feed().document["seq"]

    os.kill(agent.pid, signal.SIGKILL)
    agent.process.wait()
    agent_killed_ms = harness.time.time() * 1000
    wait_for("the sender to go with its agent", lambda: not any(
        Path(f"/proc/{pid}/comm").exists() and Path(f"/proc/{pid}/comm").read_text().strip() == "nm-sender" and
        Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1] == "1" for pid in os.listdir("/proc") if pid.isdigit()), 10)
    agent.start()
    agent.next_feed(2)

    store.start()
    wait_for("newer samples in the store", lambda: any(t > agent_killed_ms + 2000 for t in store.raw("nodemend_ticks_total[10m]")), 60)
    wait_for("an empty spool", lambda: total(agent, "nodemend_output_spool_bytes") == 0, 60)
    raw = store.raw("nodemend_ticks_total[10m]")
    times = sorted(t for t in raw if t >= first)
    old = [raw[t] for t in times if t < agent_killed_ms]
    bench.ok("in the order of the ticks", old == sorted(old), old)
    missed = sorted(set(range(int(old[0]), int(old[-1]) + 1)) - {int(v) for v in old})
    # What had not yet reached the disk when the sender was killed: the request on its way and the tick under way, no more.
    bench.ok("every tick of the outage is there, at its own time", len(missed) <= 3 and all(b - a < 1500 for a, b in zip(times, times[1:])
             if b < killed_ms - 1500), f"missed {missed}, {times}")
    bench.ok("up to the agent's end", seqs_first_agent - old[-1] <= 2, f"{old[-1]} of {seqs_first_agent}")
    bench.equal("nothing was refused as out of order", total(agent, "nodemend_output_dropped_total", reason="refused"), 0)
    log = agent.log.read_text()
    bench.ok("said once when it began", log.count("output store: cannot be delivered, trying again") <= 3, agent.log_tail(20))


if __name__ == "__main__":
    raise SystemExit(harness.main(outage, arrives, newer, series_end, together=2))
