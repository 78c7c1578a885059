#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# alone: it counts every call of the node
"""The syscall counts of a running agent, as they are served, against programs that know exactly what they did."""

import platform
import time

import harness
from harness import wait_for

RARE = "sched_get_priority_min"
RARE_NUMBER = {"x86_64": 147, "aarch64": 126}.get(platform.machine(), 147)
CONFIG = "interval: 1s\ncollectors: {unit: false}\npolicies: []\n"


def lost(feed):
    return feed.total("nodemend_events_lost_total", collector="syscall")


def done(bench, name, *args):
    program = bench.program(name, *args, ready=False)
    wait_for(f"{name} to end", lambda: not program.alive(), 120)
    program.reader.join(5)
    bench.need(f"{name} {' '.join(map(str, args))} ran", program.process.wait() == 0, program.lines)
    return program


def delta(after, before, metric, **labels):
    return after.total(metric, **labels) - before.total(metric, **labels)


def counted(bench, agent, calls, processes):
    """Exactly so many more than before, of a call that nothing else on a node makes (every shell that starts calls getppid)."""
    before = agent.next_feed()
    done(bench, "calls", calls, processes, RARE_NUMBER)
    after = agent.next_feed()
    got = delta(after, before, "nodemend_syscalls_total", syscall=RARE, abi="64")
    missing, gone = calls * processes - got, lost(after) - lost(before)
    bench.ok(f"{processes} processes x {calls} calls, exactly or counted as lost", 0 <= missing <= gone,
             f"counted {got:.0f} of {calls * processes}, lost {gone:.0f}")
    samples = delta(after, before, "nodemend_syscall_latency_seconds", syscall=RARE, abi="64")
    bench.ok("and each has its latency, or is counted as lost", samples <= got and got - samples <= gone, f"{samples:.0f} samples of {got:.0f}")


def exact(bench):
    agent = bench.agent(CONFIG)
    counted(bench, agent, 20000, 10)
    counted(bench, agent, 10, 20000)


def phantoms(bench):
    """60 000 forks: no call of any kind may seem to have taken longer than the whole program did."""
    agent = bench.agent(CONFIG)
    before = agent.next_feed()
    begun = time.monotonic()
    done(bench, "calls", 1, 60000)
    took = time.monotonic() - begun
    after = agent.next_feed()
    for name in ("clone", "clone3", "fork", "vfork", "getppid"):
        old = {tuple(sorted(row["labels"].items())): row for row in before.samples("nodemend_syscall_latency_seconds", syscall=name)}
        for row in after.samples("nodemend_syscall_latency_seconds", syscall=name):
            was = old.get(tuple(sorted(row["labels"].items())), {"count": 0, "buckets": []})
            known = dict(map(tuple, was["buckets"]))
            floor = max((le for le, _ in row["buckets"] if le < 2 * took), default=0)
            below = next((count - known.get(le, 0) for le, count in row["buckets"] if le == floor), 0)
            bench.ok(f"{name}: no sample above the longest real one", row["count"] - was["count"] == below,
                     f"{row['count'] - was['count'] - below} above {floor} s, the whole took {took:.2f} s")
    forks = sum(delta(after, before, "nodemend_syscalls_total", syscall=name, abi="64") for name in ("clone", "clone3", "fork", "vfork"))
    bench.ok("the forks were counted", forks >= 60000, forks)
    bench.ok("exits were counted", delta(after, before, "nodemend_process_exits_total") >= 60000,
             delta(after, before, "nodemend_process_exits_total"))


def compat(bench):
    """int 0x80 has numbers of its own: 20 is getpid there and writev here."""
    agent = bench.agent(CONFIG)
    before = agent.next_feed()
    done(bench, "compat_calls", 1000)
    after = agent.next_feed()
    bench.equal("1000 getpid of abi 32", delta(after, before, "nodemend_syscalls_total", syscall="getpid", abi="32"), 1000)
    bench.ok("and no other 32-bit name came up a thousand times",
             not [row for row in after.samples("nodemend_syscalls_total", abi="32") if row["labels"]["syscall"] != "getpid" and row["value"] >= 1000])


if __name__ == "__main__":
    raise SystemExit(harness.main(exact, phantoms, compat))
