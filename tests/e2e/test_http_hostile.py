#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""Peers that mean harm to the HTTP side: floods, slow ones, broken and contradictory requests, TLS that goes nowhere. For each the
same must hold: the agent ticks on, its journal grows no line by it, the publisher is the same process within its memory, and
who asks decently is answered. All on 127.0.0.1, short and bounded.
"""

import contextlib
import re
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness
from harness import MiB, Failed, wait_for
from test_http_access import Authority

# No deeper look under pressure, and no end of the budget: each would say so in the log, which is to stay still here, and add series.
CONFIG = "interval: 500ms\npolicies: []\ntop_processes: 20\nbudget: {cpu_percent: 100, memory: 256MiB, deep_for: 0s}\n"
GET = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
# Its own few megabytes, all answers under way (4 MiB), full queues of streams (3 MiB), 128 connections of 16 KiB each.
RESIDENT_LIMIT = 24 * MiB


def resident(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def connect(agent, seconds=10):
    return socket.create_connection(("127.0.0.1", agent.port), seconds)


def drain(s, limit=64 * MiB):
    """What is still sent until the end, at most so much."""
    data = b""
    with contextlib.suppress(OSError):
        while len(data) < limit:
            part = s.recv(1 << 16)
            if not part:
                break
            data += part
    return data


class Unharmed:
    """Around an attack: what must be as before. The decent peer asks all the while."""

    def __init__(self, bench, agent, name, tls=None):
        self.bench, self.agent, self.name, self.tls = bench, agent, name, tls
        self.answers, self.failures, self.stop = 0, [], threading.Event()

    def ask(self):
        with connect(self.agent) as plain:
            with self.tls.wrap_socket(plain, server_hostname="127.0.0.1") if self.tls else contextlib.nullcontext(plain) as s:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                data = drain(s)
        if not data.startswith(b"HTTP/1.1 200"):
            raise OSError(f"{data[:80]!r}")
        return data

    def asking(self):
        while not self.stop.wait(0.05):
            try:
                self.ask()
                self.answers += 1
            except OSError as error:
                self.failures.append(str(error))

    def ticks(self):
        return int(float(re.search(rb"^nodemend_ticks_total (\S+)$", self.ask(), re.M)[1]))

    def __enter__(self):
        self.publisher = self.agent.publisher_pid()
        self.lines = self.agent.log.read_bytes().count(b"\n")
        self.first_tick = self.ticks()
        self.thread = threading.Thread(target=self.asking, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *failure):
        if failure[0]:
            self.stop.set()
            return
        wait_for("answers to the decent peer", lambda: self.answers >= 3, 30)
        self.stop.set()
        self.thread.join(30)
        wait_for("the agent to tick on", lambda: self.ticks() > self.first_tick + 1, 30)
        say = lambda what, true, why="": self.bench.ok(f"{self.name}: {what}", true, why)
        say("the decent peer is answered", not self.failures, self.failures[:3])
        say("the publisher is the same process", self.agent.publisher_pid() == self.publisher)
        say("its memory is bounded", resident(self.publisher) <= RESIDENT_LIMIT, f"{resident(self.publisher) / MiB:.1f} MiB")
        log = self.agent.log.read_bytes()
        say("not a line in the agent's log", log.count(b"\n") == self.lines, log[-500:])
        say("the agent answers", self.agent.cli("status")[0] == 0)


def scrape_floods(bench):
    agent = bench.agent(CONFIG)
    agent.next_feed(2)

    with Unharmed(bench, agent, "a hundred at once"):
        before = agent.feed()
        crowd = [connect(agent) for _ in range(100)]
        for s in crowd:
            s.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        bodies = [drain(s) for s in crowd]
        bench.equal("a hundred at once: all are answered", sum(body.startswith(b"HTTP/1.1 200") for body in bodies), 100)
        after = agent.feed()
        made = after.total("nodemend_publisher_renderings_total") - before.total("nodemend_publisher_renderings_total")
        # One page of text and one feed a tick; reading all this took a tick or two, not a hundred pages.
        bench.ok("a hundred at once: a few renderings", made <= 4 * (after.document["seq"] - before.document["seq"] + 1), made)
        now = harness.own_memory(agent.publisher_pid())
        lines = bodies[0].count(b"\n") - bodies[0].count(b"\n#")
        bench.ok("a hundred at once: 2000 series and more in 8 MiB of its own", lines >= 2000 and now <= 8 * MiB, f"{lines} series, {now / MiB:.1f} MiB")
        bench.equal("a hundred at once: nobody is put off", after.total("nodemend_publisher_busy_total"), 0)

    with Unharmed(bench, agent, "pipelines"):
        crowd = [connect(agent) for _ in range(20)]
        for s in crowd:
            with contextlib.suppress(OSError):
                s.settimeout(0.2)
                s.sendall(GET * 200)  # and nobody reads
        for s in crowd:
            s.close()

    with Unharmed(bench, agent, "connections that come and go"):
        for _ in range(2000):
            with contextlib.suppress(OSError):
                connect(agent).close()

    with Unharmed(bench, agent, "a kept connection that never stops asking"):
        with connect(agent) as s:
            for _ in range(300):
                s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                if not s.recv(4096).startswith(b"HTTP/1.1 200"):
                    raise Failed("a kept connection is not answered")

    with Unharmed(bench, agent, "as many filters as there are"):
        names = [b"cpu", b"memory", b"psi", b"filesystem", b"disk", b"interface", b"syscall", b"task", b"process", b"cgroup"]
        crowd = []
        for i in range(1, 200):
            query = b"&".join(b"collect[]=" + name for bit, name in enumerate(names) if i >> bit % 8 & 1)
            with contextlib.suppress(OSError):
                s = connect(agent, 2)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.sendall(b"GET /metrics?" + query + b" HTTP/1.1\r\nHost: a\r\n\r\n")
                crowd.append(s)
        for s in crowd:
            s.close()


def slow_ones(bench):
    agent = bench.agent(CONFIG)
    agent.next_feed(2)

    def hold(name, first, count=150, closes=False):
        with Unharmed(bench, agent, name) as around:
            crowd = []
            for _ in range(count):
                with contextlib.suppress(OSError):
                    s = connect(agent, 5)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    s.sendall(first)
                    crowd.append(s)
            wait_for("the decent peer among them", lambda: around.answers >= 5, 40)
            if closes:
                wait_for("those in the way to be closed", lambda: agent.feed().total("nodemend_publisher_slow_closed_total") >= 20, 40)
                bench.ok(f"{name}: they are closed, and counted", True)
            for s in crowd:
                with contextlib.suppress(OSError):
                    s.sendall(b"X")
                s.close()

    hold("heads that never end", b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-", closes=True)
    hold("nothing at all", b"")
    hold("bodies that never end", b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx")
    hold("chunks that never end", b"GET /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\nx")
    hold("readers that do not read", GET, 100)
    hold("streams that nobody reads", b"GET /v1/stream HTTP/1.1\r\nHost: a\r\n\r\n", 40)


BROKEN = {
    "no such version": b"GET / HTTP/9.9\r\n\r\n",
    "dots": b"GET /../../etc/shadow HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long line": b"GET /" + b"a" * 100000,
    "a NUL in the path": b"GET /metrics\0x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a NUL in a head": b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    "an escaped NUL": b"GET /v1/incidents/%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /metrics\r\n",
    "an unknown method": b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method of a megabyte": b"A" * MiB,
    "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a head of a megabyte": b"GET / HTTP/1.1\r\nX: " + b"y" * MiB + b"\r\n\r\n",
    "ten thousand heads": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10000 + b"\r\n",
    "a folded head": b"GET / HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabcGET /metrics HTTP/1.1\r\n\r\n",
    "length and chunks": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/actions HTTP/1.1\r\nHost: a\r\n\r\n",
    "a negative length": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    "a length beyond all numbers": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999999999999999\r\n\r\n",
    "chunks that are none": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a chunk beyond all numbers": b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n",
    "an encoding nobody knows": b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "garbage": bytes(range(256)) * 64,
    "a TLS hello": bytes.fromhex("16030100750100007103035f") + b"\0" * 110,
    "an authorization of a megabyte": b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic " + b"QQ" * (MiB // 2) + b"\r\n\r\n",
    "ten thousand parameters": b"GET /metrics?" + b"collect[]=cpu&" * 1000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "weights without end": b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: " + b"text/plain;q=1e999999," * 500 + b"\r\n\r\n",
}


def answer_to(agent, data):
    with connect(agent, 30) as s:
        with contextlib.suppress(OSError):
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        return drain(s)


def broken_requests(bench):
    agent = bench.agent(CONFIG)
    agent.next_feed(2)
    # The library ends a text at a NUL, and joins a folded head: that is one request still, for one path.
    may_pass = {"a NUL in the path", "a NUL in a head", "a folded head", "weights without end"}
    with Unharmed(bench, agent, "broken requests"):
        # All at once: those that look unfinished are given their ten seconds.
        with ThreadPoolExecutor(len(BROKEN)) as pool:
            answers = dict(zip(BROKEN, pool.map(lambda data: answer_to(agent, data), BROKEN.values())))
        for name, answer in answers.items():
            bench.ok(f"{name}: no success", name in may_pass or b" 200 " not in answer[:16], answer[:80])
            # One request, one answer: what stands behind a contradiction is nobody's request.
            bench.ok(f"{name}: no second answer", answer.count(b"HTTP/1.1 200") <= 1, answer[:200])


def tls_that_goes_nowhere(bench):
    authority = Authority(Path(bench.dir, "ca"))
    cert, key = authority.sign("server", "serverAuth")
    trust = ssl.create_default_context(cafile=authority.folder / "ca.pem")
    agent = bench.agent(CONFIG + f"http: {{tls: {{cert_file: {cert}, key_file: {key}}}}}\n", ready=False)
    peer = Unharmed(bench, agent, "", trust)

    def first_answer():
        with contextlib.suppress(OSError):
            return b"nodemend_ticks_total" in peer.ask()
    wait_for("the agent to answer", first_answer, 30)

    def crowd_of(name, first, count=140):
        with Unharmed(bench, agent, name, trust) as around:
            crowd = []
            for _ in range(count):
                with contextlib.suppress(OSError):
                    s = connect(agent, 5)
                    s.sendall(first)
                    crowd.append(s)
            wait_for("the decent peer among them", lambda: around.answers >= 3, 60)
            for s in crowd:
                s.close()

    hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = trust.wrap_bio(*hello, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        half.do_handshake()
    first_flight = hello[1].read()
    crowd_of("handshakes that stop after the hello", first_flight)
    crowd_of("half a hello", first_flight[: len(first_flight) // 2])
    crowd_of("plain HTTP", GET)
    crowd_of("garbage", b"\x16\x03\x01\xff\xff" + b"\xaa" * 4000)

    with Unharmed(bench, agent, "a handshake again and again", trust):
        for _ in range(40):
            with contextlib.suppress(OSError):
                with connect(agent) as plain, trust.wrap_socket(plain, server_hostname="127.0.0.1"):
                    pass


if __name__ == "__main__":
    raise SystemExit(harness.main(broken_requests, slow_ones, tls_that_goes_nowhere, scrape_floods, together=2))
