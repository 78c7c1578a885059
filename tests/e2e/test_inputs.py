#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""What applications send over the StatsD socket: every shape of line comes out in every format, who may not send cannot,
and a flood costs the agent nothing.
"""

import contextlib
import grp
import os
import re
import socket
import stat
import subprocess
import threading
import time
from pathlib import Path

import harness
from harness import wait_for

CONFIG = """
interval: 1s
collectors: {{unit: false}}
inputs:
  statsd: {{socket: {socket}, mode: 0620, group: {group}, max_series: {series}, max_age: {age}}}
policies: []
"""


def start(bench, series=100, age="5m", group="daemon"):
    path = Path(bench.dir, "statsd.sock")
    agent = bench.agent(CONFIG.format(socket=path, group=group, series=series, age=age))
    return agent, path


def sender(bench, path, blocking=True):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(blocking)
    sock.connect(str(path))
    bench.stack.callback(sock.close)
    return sock


def text(agent):
    return agent.get("/metrics")[2].decode()


def value(agent, series):
    match = re.search("^" + re.escape(series) + r" (\S+)$", text(agent), re.M)
    return float(match[1]) if match else None


def settled(agent, lines):
    """When so many lines were read, all that was sent before is in."""
    wait_for(f"{lines} lines", lambda: (value(agent, "nodemend_statsd_lines_total") or 0) >= lines, 20)


def shapes(bench):
    agent, path = start(bench)
    mode = os.stat(path)
    bench.equal("the socket has its mode", stat.filemode(mode.st_mode), "srw--w----")
    bench.equal("and its group", mode.st_gid, grp.getgrnam("daemon").gr_gid)
    sock = sender(bench, path)
    sock.send(b"shop.orders:1|c|#country:de,new\nshop.orders:4|c|@0.5|#new,country:de")
    sock.send(b"queue.depth:7|g\nqueue.depth:-2|g\n\nqueue.depth:+0.25|g\r\n")
    sock.send(b"pay.took:250|ms\npay.took:0.75:1.5|h\npay.took:2|d|@0.5")
    sock.send(b"visitors:a|s\nvisitors:b:c|s\nvisitors:a|s")
    sock.send(b"broken\n\xff\xfe:1|g\nnode_load1:99|g\nqueue.depth:1|c\nqueue.depth:1|ms")
    sock.send(b"x" * 9000)
    sock.send(b"")
    settled(agent, 16)
    for series, wanted in {'shop_orders_total{country="de",new="true"}': 9, "queue_depth": 5.25, "pay_took_count": 5, "pay_took_sum": 6.5,
                           'pay_took_bucket{le="0.25"}': 1, "visitors": 3, "nodemend_statsd_malformed_total": 4, "queue_depth_total": None}.items():
        bench.equal(series, value(agent, series), wanted)
    conflicts = value(agent, "nodemend_statsd_conflicts_total")
    bench.equal("a name has one type", conflicts, 2)
    openmetrics = agent.get("/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"})[2].decode()
    bench.ok("OpenMetrics", "# TYPE shop_orders counter\n" in openmetrics and openmetrics.endswith("# EOF\n"))
    protobuf = agent.get("/metrics", {"Accept": "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"})[2]
    bench.ok("protobuf", b"shop_orders_total" in protobuf and b"pay_took" in protobuf)
    feed = agent.next_feed(2)
    bench.equal("the JSON feed", feed.total("shop_orders_total"), 9)
    names = re.findall(r"^# TYPE (\S+)", text(agent), re.M)
    bench.equal("no family twice", len(names), len(set(names)))
    with contextlib.suppress(FileNotFoundError):
        done = subprocess.run(["promtool", "check", "metrics"], input=agent.get("/metrics?collect[]=statsd")[2], capture_output=True, timeout=60, check=False)
        bench.ok("promtool takes it", done.returncode in (0, 3), done.stderr.decode())
    bench.equal("node_load1 is the host's", len(re.findall(r"^node_load1 ", text(agent), re.M)), 1)
    bench.ok("and not what was sent", "node_load1 99\n" not in text(agent))


def others_cannot_send(bench):
    agent, path = start(bench)
    os.chmod(bench.dir, 0o755)

    def as_nobody():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    code = f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).connect({str(path)!r})"
    done = subprocess.run(["/usr/bin/python3", "-c", code], preexec_fn=as_nobody, capture_output=True, timeout=30, check=False)
    bench.ok("nobody may not", done.returncode and b"PermissionError" in done.stderr, done.stderr)
    code = agent.stop()
    bench.ok("a stopped agent leaves no socket", not path.exists(), code)


def bounds(bench):
    """So many series and no more; and each only while somebody sends it."""
    agent, path = start(bench, series=50, age="3s")
    sock = sender(bench, path)
    for i in range(80):
        sock.send(b"m%d:1|g|#k:%d" % (i, i))
    settled(agent, 80)
    bench.equal("fifty are kept", value(agent, "nodemend_statsd_series"), 50)
    bench.equal("thirty are counted", value(agent, "nodemend_statsd_folded_total"), 30)

    def gone():
        sock.send(b"m0:1|g|#k:0")
        return value(agent, "nodemend_statsd_series") == 1
    wait_for("those that nobody sends to go", gone, 20, 0.3)
    bench.ok("the one that is sent stays", value(agent, 'm0{k="0"}') == 1 and value(agent, 'm1{k="1"}') is None)
    bench.equal("the others are counted", value(agent, "nodemend_statsd_expired_total"), 49)


def flood(bench):
    """60 000 datagrams of ever new names from four senders: the agent ticks on, and nobody grows."""
    agent, path = start(bench, series=1000)
    publisher = agent.publisher_pid()
    before = agent.next_feed(2)
    spent = {pid: cpu_of(pid) for pid in (agent.pid, publisher)}
    sent, ends = [0, 0, 0, 0], []

    def send(n):
        sock = sender(bench, path)
        for i in range(15_000):
            sock.send(b"flood.%d.%d:%d|%s|#who:%d,what:%d" % (n, i % 5000, i, (b"c", b"g", b"ms", b"s")[i % 4], n, i % 977))
            sent[n] += 1
    started = time.monotonic()
    for n in range(4):
        ends.append(threading.Thread(target=send, args=(n,), daemon=True))
        ends[-1].start()
    scrapes = []
    while any(thread.is_alive() for thread in ends) and time.monotonic() - started < 60:
        at = time.monotonic()
        agent.get("/metrics?collect[]=agent")
        scrapes.append(time.monotonic() - at)
        time.sleep(0.05)
    took = time.monotonic() - started
    bench.equal("all was sent: a sender that blocks waits", sum(sent), 60_000)
    settled(agent, 60_000)
    cpu = {pid: cpu_of(pid) - spent[pid] for pid in spent}
    after = agent.next_feed()
    ticks, seconds = after.document["seq"] - before.document["seq"], harness.parse_time(after.document["time"]) - harness.parse_time(before.document["time"])
    bench.note(f"60 000 datagrams in {took:.1f} s; the publisher's CPU {cpu[publisher]:.2f} s, the agent's {cpu[agent.pid]:.2f} s; "
               f"{len(scrapes)} scrapes beside, the slowest {max(scrapes) * 1000:.0f} ms; publisher {harness.own_memory(publisher) / 1048576:.1f} MiB")
    bench.ok("the agent ticked on", ticks >= seconds * 0.8 - 1, f"{ticks} ticks in {seconds} s")
    bench.ok("the publisher took its share and no more", cpu[publisher] < 0.5 * took + 1, f"{cpu[publisher]} of {took}")
    bench.ok("scrapes were served", len(scrapes) > 5)
    bench.ok("the publisher is the same and stays within 12 MiB of its own", agent.publisher_pid() == publisher and harness.own_memory(publisher) < 12 << 20,
             harness.own_memory(publisher))
    bench.equal("series are bounded", value(agent, "nodemend_statsd_series"), 1000)
    counters = {name: value(agent, f"nodemend_statsd_{name}_total") for name in ("datagrams", "lines", "malformed", "folded", "conflicts")}
    bench.ok("what did not fit is counted", counters["datagrams"] == counters["lines"] == 60_000 and counters["folded"] > 15_000 and not counters["malformed"],
             counters)


def restarts(bench):
    """The socket outlives the publisher; a reload takes another one."""
    agent, path = start(bench)
    sock = sender(bench, path)
    sock.send(b"before:1|g")
    settled(agent, 1)
    old = agent.publisher_pid()
    os.kill(old, 9)
    sock.send(b"meanwhile:2|g")
    wait_for("another publisher", lambda: agent.publisher_pid() not in (None, old), 20)
    bench.equal("what was sent meanwhile waited", wait_for("it", lambda: value(agent, "meanwhile"), 20), 2)
    other = Path(bench.dir, "other.sock")
    agent.config.write_text(CONFIG.format(socket=other, group="daemon", series=100, age="5m"))
    bench.equal("reload", agent.cli("reload")[0], 0)
    bench.ok("the old one is gone", not path.exists())
    sender(bench, other).send(b"after:3|g")

    def arrived():
        with contextlib.suppress(OSError):
            return value(agent, "after")
    bench.equal("the new one is read", wait_for("it", arrived, 20), 3)


def cpu_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    raise SystemExit(harness.main(flood, shapes, bounds, restarts, others_cannot_send, together=2))
