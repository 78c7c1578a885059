#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What nodemend costs, beside peers in the same run, as rows of one Markdown table. Nothing here fails for being slow: the
goal stands beside each row with yes or no. Called by scripts/bench.sh; run it on an otherwise idle machine.
"""

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402
import peers  # noqa: E402
import scale  # noqa: E402
from harness import wait_for  # noqa: E402
from peers import cpu_seconds, rollup  # noqa: E402

CONFIG = "interval: 1s\n"
IDLE_SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
STARTS = 9
SCRAPES = 200


class Rows:
    def __init__(self):
        self.rows = []

    def add(self, what, value, beside="", goal="", met=None):
        verdict = "" if met is None else "yes" if met else "no"
        self.rows.append((what, value, beside, goal, verdict))
        print(f"  {what:58} {value:>14}  {beside:52} {goal:18} {verdict}", flush=True)

    def markdown(self):
        head = "| what | nodemend | beside, in the same run | goal | met |\n|---|---|---|---|---|\n"
        return head + "".join("| " + " | ".join(row) + " |\n" for row in self.rows)


def table_of(name, *arguments):
    """What a bench program of ours found: {row: (value, ratio)}, in its order; {} where it came to no end."""
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([harness.BUILD / "tests/bench" / name, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=180,
                              check=False)
        rows = (line.split("\t") for line in done.stdout.decode().splitlines())
        return {row[0]: (float(row[1]), row[2]) for row in rows if len(row) == 3 and row[1] != "-"}
    return {}


def getppid(rows):
    """The kernel side's tax on a system call, at each depth, beside an empty pair on the same hooks and libbpf-tools' syscount."""
    found = table_of("bench_getppid")
    if "nodemend syscall" not in found:
        rows.add("added to a getppid", "no answer")
        return
    ours, pair, peer = found["nodemend syscall"][0], found["empty tp_btf pair"][0], found.get("syscount -L", (None,))[0]
    rows.add("added to a getppid, latency by cgroup", f"{ours:.0f} ns, {ours / pair:.2f} x", f"getppid {found['getppid'][0]:.0f} ns; empty pair {pair:.0f} ns",
             "<= 2.3 x empty", ours <= 2.3 * pair)
    if peer:
        rows.add("the same, as a part of the peer's", f"{ours / peer:.2f} x", f"syscount -L {peer:.0f} ns", "<= 0.7 x", ours <= 0.7 * peer)
    for depth in ("counts", "deep"):
        value = found[f"nodemend syscall, {depth}"][0]
        rows.add(f"the same, {depth}", f"{value:.0f} ns, {value / pair:.2f} x")


def scheduler(rows):
    """The same for the scheduler's hooks, by a ping-pong of which every exchange is two switches and two wake-ups."""
    found = table_of("bench_pipe")
    if "nodemend sched" not in found:
        rows.add("added to a ping-pong over pipes", "no answer")
        return
    added = {name: ns / found["pipe ping-pong"][0] - 1 for name, (ns, _) in found.items()}
    beside = f"{found['pipe ping-pong'][0]:.0f} ns"
    if "runqlat" in found:
        beside += f"; runqlat {added['runqlat']:+.1%}"
    rows.add("added to a ping-pong over pipes", f"{added['nodemend sched']:+.1%}", beside, "<= 15 %", added["nodemend sched"] <= 0.15)
    rows.add("the same, counts", f"{added['nodemend sched, counts only']:+.1%}")
    empty = found["an empty program at the switch, by the kernel's count"][0]
    ours = found["nodemend's"][0]
    rows.add("a switch, by the kernel's own count", f"{ours:.0f} ns", f"an empty program {empty:.0f} ns", "<= 150 ns", ours <= 150)


def walk(rows):
    """One walk over all tasks, with its table, among 5000 sleepers."""
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run([harness.BUILD / "tests/bench/bench_walk"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=180, check=False)
        found = [int(number) for number in re.findall(r"(?:tasks|walk|files) (\d+)", done.stdout.decode())]
        if len(found) == 3:
            rows.add(f"a walk over {found[0]} tasks", f"{found[1]} ns a task", f"with counting open files {found[2]} ns", "<= 500 ns a task", found[1] <= 500)


def memory(rows, agent, others):
    family = harness.children_of(agent.pid)
    publisher = agent.publisher_pid()
    pair = [agent.pid, publisher]
    beside = "; ".join(f"{peer.name} {rollup(peer.pids(), 'Rss') / 1e6:.1f} MB" for peer in others)
    resident = rollup(pair, "Rss")
    rows.add("resident, agent and publisher", f"{resident / 1e6:.1f} MB", beside, "<= 20 MB", resident <= 20e6)
    rows.add("the same with all workers, shared pages once (PSS)", f"{rollup([agent.pid, *family], 'Pss') / 1e6:.1f} MB",
             f"resident, each in full: {rollup([agent.pid, *family], 'Rss') / 1e6:.1f} MB in {1 + len(family)} processes")
    spent = re.search(r"^nodemend_budget_memory_spent_bytes (\d+)", agent.get("/metrics")[2].decode(), re.M)
    if spent:
        rows.add("all of it as budget.memory counts it: each page once, and maps", f"{int(spent[1]) / 1e6:.1f} MB", "", "<= half of the default 64 MiB",
                 int(spent[1]) <= 32 << 20)
    maps = subprocess.run(["/usr/sbin/bpftool", "-j", "map", "show"], stdout=subprocess.PIPE, check=False).stdout
    with suppress(ValueError):
        import json
        held = sum(row.get("bytes_memlock", 0) for row in json.loads(maps) if any(pid.get("pid") == agent.pid for pid in row.get("pids", [])))
        if held:
            rows.add("kernel memory of its BPF maps, everything on", f"{held / 1e6:.1f} MB", "", "<= 8 MB", held <= 8e6)


def idle(rows, agent, others, sampling):
    """All at once over the same seconds, nobody scraped; then exporters scraped once a second, which is when they measure."""
    def take(seconds, each_second):
        groups = {"nodemend": lambda: [agent.pid, *harness.children_of(agent.pid)], "agent alone": lambda: [agent.pid],
                  **{peer.name: peer.pids for peer in [*others, *sampling]}}
        before, begun = {name: cpu_seconds(pids()) for name, pids in groups.items()}, time.monotonic()
        for i in range(seconds):
            each_second()
            time.sleep(max(0, begun + i + 1 - time.monotonic()))
        took = time.monotonic() - begun
        return {name: 100 * (cpu_seconds(pids()) - before[name]) / took for name, pids in groups.items()}

    used = take(IDLE_SECONDS, lambda: None)
    beside = "; ".join(f"{peer.name} {used[peer.name]:.2f} %" for peer in sampling)
    rows.add(f"processor, 1 s interval, idle node, {IDLE_SECONDS} s: agent, everything on", f"{used['agent alone']:.2f} %", beside,
             "<= 0.3 % of a core", used["agent alone"] <= 0.3)
    rows.add("the same with publisher and workers", f"{used['nodemend']:.2f} %")
    used = take(IDLE_SECONDS // 2, lambda: [source() for source in [lambda: agent.get("/metrics"), *(peer.scrape for peer in others)]])
    rows.add("the same, all scraped once a second", f"{used['nodemend']:.2f} %", "; ".join(f"{peer.name} {used[peer.name]:.2f} %" for peer in others))


def scraping(rows, agent, others):
    def each(pids, scrape):
        body = scrape()
        before = cpu_seconds(pids)
        for _ in range(SCRAPES):
            scrape()
        return 1000 * (cpu_seconds(pids) - before) / SCRAPES, sum(1 for line in body.splitlines() if line and not line.startswith(b"#"))

    ours, series = each([agent.publisher_pid()], lambda: agent.get("/metrics")[2])
    found = []
    for peer in others:
        cost, count = each(peer.pids(), peer.scrape)
        found.append(f"{peer.name} {cost:.2f} ms, {count} series")
    packed, _ = each([agent.publisher_pid()], lambda: agent.get("/metrics", {"Accept-Encoding": "gzip"})[2])
    rows.add("the same, sent with gzip", f"{packed:.2f} ms", "", "<= 1 ms", packed <= 1)
    rows.add("processor time of a scrape", f"{ours:.2f} ms, {series} series", "; ".join(found), "<= 1 ms, >= 1000 series", ours <= 1 and series >= 1000)


def crowded(bench, rows):
    """At least 2000 series: scrapes each of which has a snapshot of its own to render, beside as many snapshots that nobody scrapes;
    and then a hundred readers at once."""
    agent = bench.agent(CONFIG.replace("1s", "100ms") + "top_processes: 200\n", name="crowded")
    agent.next_feed(3)
    publisher = agent.publisher_pid()

    def take(scrape):
        begun, used = time.monotonic(), cpu_seconds([publisher])
        for i in range(SCRAPES):
            scrape()
            time.sleep(max(0, begun + (i + 1) * 0.1 - time.monotonic()))
        return cpu_seconds([publisher]) - used

    idle = take(lambda: None)
    body = agent.get("/metrics")[2]
    series = sum(1 for line in body.splitlines() if line and not line.startswith(b"#"))
    cost = 1000 * (take(lambda: agent.get("/metrics")) - idle) / SCRAPES
    rows.add("processor time of a scrape with its rendering", f"{cost:.2f} ms, {series} series", f"{cost * 2000 / series:.2f} ms for 2000 series",
             "<= 1 ms for 2000", series >= 2000 and cost * 2000 / series <= 1)
    readers = []
    for _ in range(100):
        reader = socket.create_connection(("127.0.0.1", agent.port), 10)
        reader.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        readers.append(reader)
    answered = 0
    for reader in readers:
        with reader, reader.makefile("rb") as answer:
            answered += answer.read().startswith(b"HTTP/1.1 200")
    resident = rollup([publisher], "Rss")
    rows.add(f"resident, the publisher with {series} series and 100 readers", f"{resident / 1e6:.1f} MB, {answered} answered", "", "<= 12 MiB",
             resident <= 12 << 20 and answered == 100)
    agent.stop()


def drop_in(rows, agent, others):
    """node_exporter's own families alone, by its collectors' names, from both."""
    exporter = next((peer for peer in others if "node-exporter" in peer.name), None)
    if not exporter:
        rows.add("a scrape of node_exporter's collectors", "not compared")
        return
    collectors = re.findall(r'node_scrape_collector_success\{collector="(\w+)"\} 1', agent.get("/metrics")[2].decode())
    query = "/metrics?" + "&".join(f"collect[]={name}" for name in collectors)

    def each(pids, port):
        body = harness.Agent.get(port, query)[2]
        before = cpu_seconds(pids)
        for _ in range(SCRAPES):
            harness.Agent.get(port, query)
        return 1000 * (cpu_seconds(pids) - before) / SCRAPES, sum(1 for line in body.splitlines() if line.startswith(b"node_"))

    ours, series = each([agent.publisher_pid()], agent)
    theirs, count = each(exporter.pids(), exporter)
    rows.add(f"a scrape of {len(collectors)} of node_exporter's collectors", f"{ours:.2f} ms, {series} series",
             f"{exporter.name} {theirs:.2f} ms, {count} series", "<= a fifth", ours <= theirs / 5)


def starting(bench, rows):
    """From execve to the first 200 of /metrics that holds a measurement."""
    def to_first_scrape(start, stop):
        times = []
        for _ in range(STARTS):
            begun = time.monotonic()
            subject = start()
            wait_for("the first scrape", lambda: b"node_memory_MemTotal_bytes" in (subject.scrape() or b""), 30, step=0.002)
            times.append(1000 * (time.monotonic() - begun))
            stop(subject)
        return statistics.median(times)

    class Ours(harness.Agent):
        def scrape(self):
            with suppress(OSError):
                return self.get("/metrics")[2]

    number = iter(range(1000))
    ours = to_first_scrape(lambda: Ours(bench, CONFIG, name=f"start-{next(number)}", ready=False), lambda agent: agent.stop())
    beside = ""
    if shutil.which("prometheus-node-exporter"):
        theirs = to_first_scrape(lambda: peers.Exporter(bench, "prometheus-node-exporter"), lambda peer: peer.stop())
        beside = f"prometheus-node-exporter {theirs:.0f} ms"
    rows.add("start to the first scrape (median)", f"{ours:.0f} ms", beside, "<= 300 ms", ours <= 300)


def dying(bench, rows):
    """From the death of a process by a fault to the incident that names it, with ticks five seconds apart."""
    folder, path = bench.cgroup("dying")
    agent = bench.agent(f"""interval: 5s
policies:
  - name: faults
    mode: observe
    when:
      crash: {{cgroup: "{path}", within: 1s}}
""", name="dying")
    agent.next_feed(0)
    times = []
    for _ in range(9):
        child = subprocess.Popen(["/usr/bin/python3", "-c", "import os; os.abort()"], stderr=subprocess.DEVNULL,
                                 preexec_fn=lambda: Path(folder, "cgroup.procs").write_text("0"))
        os.waitid(os.P_PID, child.pid, os.WEXITED)
        died = time.time()
        found = wait_for("its incident", lambda: next((i for i in agent.incidents(kind="process_crash") if f"[{child.pid}]" in str(i["history"])), None))
        times.append(1000 * (harness.parse_time(found["opened"]) - died))
        wait_for("its end", lambda: agent.incidents(id=found["id"], state="resolved"))
    agent.stop()
    rows.add("from a crash to its incident (median, worst of nine)", f"{statistics.median(times):.0f} ms, {max(times):.0f} ms", "monit 5 to 120 s", "<= 50 ms",
             max(times) <= 50)


def growing(bench, rows):
    """A tick among ever more processes and cgroups."""
    found = scale.measure(bench, seconds=min(IDLE_SECONDS, 20))
    for cgroups, processes, cost in found:
        rows.add(f"a tick, {cgroups} cgroups and {processes} processes more", f"{cost:.2f} ms of processor")
    linear = scale.grows_no_faster(found)
    rows.add("grows no faster than their number", "yes" if linear else "no", "", "yes", linear)


def costs(bench):
    rows = Rows()
    getppid(rows)
    scheduler(rows)
    walk(rows)
    starting(bench, rows)
    agent = bench.agent(CONFIG)
    others, sampling = peers.exporters(bench), peers.samplers(bench)
    agent.next_feed(5)
    memory(rows, agent, [*others, *sampling])
    idle(rows, agent, others, sampling)
    for peer in sampling:
        peer.stop()
    scraping(rows, agent, others)
    crowded(bench, rows)
    drop_in(rows, agent, others)
    growing(bench, rows)
    dying(bench, rows)
    memory_after = rollup([agent.pid, agent.publisher_pid()], "Rss")
    rows.add("resident after all of that", f"{memory_after / 1e6:.1f} MB", "", "<= 20 MB", memory_after <= 20e6)
    Path(os.environ.get("BENCH_TABLE", harness.BUILD / "bench.md")).write_text(rows.markdown())


if __name__ == "__main__":
    raise SystemExit(harness.main(costs, seconds=900))
