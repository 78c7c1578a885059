#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# alone: it loads all processors
"""A spinner against its policy: the incident names it, with its share, and closes when it ends."""

import os

import harness
from harness import wait_for


def config(when):
    return f"""
interval: 1s
collectors: {{unit: false}}
policies:
  - name: spins
    when:
      {when}
    mode: observe
"""


def check(bench, when, threads):
    folder, path = bench.cgroup("spin")
    agent = bench.agent(config(when.replace("CGROUP", path)))
    spinner = bench.program("spinner", "--threads", threads, "--seconds", 120, cgroup=folder)
    incident = wait_for("the incident", lambda: agent.incidents(kind="cpu_exhaustion"), 30)[0]
    first = (incident["causes"] or [{}])[0]
    bench.ok("the spinner is the first cause", first.get("pid") == spinner.pid and first.get("comm") == "spinner", incident["causes"])
    bench.equal("with its cgroup", first.get("cgroup"), path)
    bench.ok("and the larger share", first.get("share", 0) > 0.5, f"share {first.get('share')}")
    bench.ok("the shares add up to no more than all", sum(c["share"] for c in incident["causes"]) <= 1.001, incident["causes"])
    bench.ok("there is evidence", first.get("evidence"), first)
    bench.ok("nothing was done", not agent.actions(), agent.actions())
    spinner.kill()
    wait_for("the incident to close", lambda: agent.incidents(id=incident["id"], state="resolved"), 60)
    bench.ok("it closes when the spinner ends", True)
    bench.equal("one incident told it all", len(agent.incidents(kind="cpu_exhaustion")), 1)


def one_process(bench):
    check(bench, 'process: {comm: spinner, cgroup: "CGROUP", cpu_percent: {above: 80, clear: 50}, for: 2s}', 1)


def whole_node(bench):
    check(bench, "cpu: {used_percent: {above: 90, clear: 70}, for: 3s}", 8 * os.cpu_count())


if __name__ == "__main__":
    raise SystemExit(harness.main(one_process, whole_node))
