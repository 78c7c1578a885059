#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Does the cost of a tick grow no faster than the number of processes and cgroups? A crowd of sleepers in cgroups of its own, at a
quarter, a half and all of its size: measure() for the bench, and by itself it prints what each size costs.
"""

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402

CGROUPS, PROCESSES, SECONDS = 1000, 5000, int(os.environ.get("BENCH_SECONDS", "20"))
SHARES = (0, 0.25, 0.5, 1)


def cpu_seconds(pid):
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def crowd(bench, root, first, last, processes):
    """Cgroups first…last-1 below root, with so many sleepers in them."""
    folders = []
    for i in range(first, last):
        folder = Path(root, f"crowd-{i}")
        folder.mkdir()
        bench.stack.callback(harness.remove_cgroup, folder)
        folders.append(folder)
    bench.program("sleepers", processes, *folders)


def tick_cost(agent, seconds):
    """Processor time of the agent a tick, in milliseconds; its workers and the publisher are apart."""
    feed = agent.next_feed(3)  # what is new has been named by then
    before, first = cpu_seconds(agent.pid), feed.document["seq"]
    time.sleep(seconds)
    ticks = agent.next_feed(1).document["seq"] - first
    return (cpu_seconds(agent.pid) - before) / ticks * 1e3


def measure(bench, cgroups=CGROUPS, processes=PROCESSES, seconds=SECONDS):
    """[(cgroups, processes, milliseconds of processor a tick), …], from nothing of our own to all of it, with one agent."""
    root, _ = bench.cgroup()
    agent = bench.agent("interval: 1s\n", name="scale")
    rows, made, born = [], 0, 0
    for share in SHARES:
        if share:
            crowd(bench, root, made, int(cgroups * share), int(processes * share) - born)
            made, born = int(cgroups * share), int(processes * share)
        rows.append((made, born, tick_cost(agent, seconds)))
    return rows


def grows_no_faster(rows):
    """Each doubling at most doubles what is above the cost of nothing; a tenth for noise."""
    base = rows[0][2]
    above = [cost - base for _, _, cost in rows[1:]]
    return all(after <= 2.2 * before for before, after in zip(above, above[1:]))


def scale(bench):
    rows = measure(bench)
    for cgroups, processes, cost in rows:
        bench.note(f"{cgroups} cgroups, {processes} processes: {cost:.2f} ms of processor a tick")
    bench.note("grows no faster than their number: " + ("yes" if grows_no_faster(rows) else "no"))


if __name__ == "__main__":
    sys.exit(harness.main(scale))
