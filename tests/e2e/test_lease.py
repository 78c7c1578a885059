#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A throttle on a real cgroup: it bites, it is over when its time is, and it is turned back where the agent that set it is no more: by
the next agent, and by `nodemend undo` where there is none."""

import os
import time
from pathlib import Path

import harness
from harness import wait_for

# Where the processor's controller is: in v2 where it is enabled there, else in a hierarchy of its own.
V1 = Path("/sys/fs/cgroup/cpu")


def config(path, lasts):
    return f"""
interval: 1s
startup_grace: 0s
collectors: {{unit: false}}
policies:
  - name: spins
    mode: enforce
    when: {{process: {{cgroup: "{path}", cpu_percent: {{above: 30}}, by: cgroup}}}}
    do:
      - limit-cpu: {{percent: 10, for: {lasts}}}
        expect: {{use_percent: 60, within: 10s}}
    limits: {{cooldown: 10m}}
"""


class Spin:
    """A spinner in a cgroup that the processor's controller has as well; None where this host has no such controller."""

    def __init__(self, bench):
        self.folder, self.path = bench.cgroup("spin")
        if (self.folder / "cpu.max").exists():
            self.control, self.mine = self.folder / "cpu.max", None
        elif V1.is_dir():
            self.mine = V1 / f"test-nodemend-{os.getpid()}-{id(self)}"
            self.mine.mkdir()
            self.control = self.mine / "cpu.cfs_quota_us"
        else:
            self.control = None
            return
        self.free = self.control.read_text()
        self.spinner = bench.program("spinner", "--threads", 1, "--seconds", 120, cgroup=self.folder)
        if self.mine:
            (self.mine / "cgroup.procs").write_text(str(self.spinner.pid))

    def limited(self):
        return self.control.read_text() != self.free

    def close(self):
        self.spinner.kill()
        if self.mine:
            harness.remove_cgroup(self.mine)


def with_spinner(bench, lasts, check):
    spin = Spin(bench)
    if not spin.control:
        bench.skip("limit-cpu", "this host has no cpu controller, neither in v2 nor in v1")
        return
    try:
        check(spin, bench.agent(config(spin.path, lasts)))
    finally:
        spin.close()


def its_time_is_over(bench):
    def check(spin, agent):
        action = wait_for("the act", lambda: [a for a in agent.actions(remedy="limit-cpu") if a["outcome"]], 30)[0]
        bench.ok("it is fixed", action["outcome"] == "fixed", action)
        bench.ok("it says what is left of its use", action["observed"]["use_percent"] <= 60, action["observed"])
        bench.ok("the quota is set", spin.limited(), spin.control.read_text())
        wait_for("the quota to be turned back", lambda: not spin.limited(), 20)
        bench.ok("and turned back", spin.control.read_text() == spin.free, spin.control.read_text())

    with_spinner(bench, "4s", check)


def its_agent_is_killed(bench):
    def check(spin, agent):
        wait_for("the quota", spin.limited, 30)
        agent.kill()
        undo = agent.cli("undo")
        bench.equal("undo leaves what has time", (undo[0], spin.limited()), (0, True))
        began = time.monotonic()
        wait_for("the time to be over", lambda: agent.cli("undo")[0] == 0 and not spin.limited(), 30, step=0.5)
        bench.ok("undo turns it back without an agent", spin.control.read_text() == spin.free, spin.control.read_text())
        bench.note(f"{time.monotonic() - began:.1f} s after the agent was killed")

    with_spinner(bench, "6s", check)


def its_successor_takes_it_up(bench):
    def check(spin, agent):
        wait_for("the quota", spin.limited, 30)
        agent.kill()
        agent.start()
        wait_for("the next agent to turn it back", lambda: not spin.limited(), 30)
        bench.ok("the next agent turns it back", spin.control.read_text() == spin.free, spin.control.read_text())
        acts = [line for line in agent.journal() if line.get("remedy") == "limit-cpu" and not line.get("outcome")]
        bench.equal("and does not act again within the cooldown", len(acts), 1)
        bench.ok("undo --all finds nothing", agent.cli("undo", "--all")[:2] == (0, ""), agent.cli("undo", "--all"))

    with_spinner(bench, "5s", check)


def its_agent_ends_in_order(bench):
    def check(spin, agent):
        wait_for("the quota", spin.limited, 30)
        agent.stop()
        bench.ok("an end in order leaves nothing turned", spin.control.read_text() == spin.free, spin.control.read_text())

    with_spinner(bench, "5m", check)


if __name__ == "__main__":
    raise SystemExit(harness.main(its_time_is_over, its_agent_is_killed, its_successor_takes_it_up, its_agent_ends_in_order))
