#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# alone: it counts the cost of a storm
"""What the agent does about its own cost: a storm of system calls makes it look less deep, and say so; when the storm is over
it looks as before. And pressure makes it look deeper for a while.
"""

import contextlib
import os
import re
import subprocess
from pathlib import Path

import harness
from harness import Program, wait_for

# fswrite brings its own pair of hooks on every system call where the syscall collector is off: what is hot, and what policies read.
# The others that can step are off, since each would be a step of seconds on the way down and up again.
CONFIG = """
interval: 1s
collectors: {{syscall: false, unit: false, fsop: false, sched: false, irq: false, tcp: false, socket: false, dns: false, drop: false,
             pagecache: false}}
budget: {{cpu_percent: {budget}, measure_every: 1s, deep_for: {deep}}}
policies: {policies}
"""
WATCHED = """
  - name: fills
    when:
      filesystem: {mountpoint: /, used_percent: {above: 99.9}}
    mode: observe
"""


def value(agent, name, **labels):
    rows = agent.feed().samples(name, **labels)
    return rows[0]["value"] if rows else None


def depth(agent):
    return value(agent, "nodemend_collector_depth", collector="fswrite")


def steps(agent, direction):
    return value(agent, "nodemend_budget_steps_total", collector="fswrite", direction=direction)


def hooks(agent_pid):
    """How many of the agent's programs are attached to something."""
    found = 0
    for fd in os.listdir(f"/proc/{agent_pid}/fd"):
        with contextlib.suppress(OSError):
            found += bool(re.search("bpf[_-]link", os.readlink(f"/proc/{agent_pid}/fd/{fd}")))
    return found


def a_storm_is_weathered(bench):
    """Nothing reads fswrite here, so it may go off altogether; it comes back when there is room."""
    agent = bench.agent(CONFIG.format(budget=2.0, deep="0s", policies="[]"))
    wait_for("a window", lambda: value(agent, "nodemend_budget_windows_total"), 60)
    bench.equal("it begins at the usual depth", depth(agent), 2)
    attached = hooks(agent.pid)
    dirtied = agent.feed().total("nodemend_filesystem_dirtied_all_bytes_total")

    storm = bench.program("storm", "--threads", 4 * os.cpu_count(), "--seconds", 300)
    wait_for("the cost to show", lambda: (value(agent, "nodemend_collector_cpu_ratio", collector="fswrite", where="kernel") or 0) > 0.02, 60)
    bench.ok("the cost is over the budget", value(agent, "nodemend_budget_spent_ratio") > value(agent, "nodemend_budget_cpu_ratio"))
    wait_for("the first step", lambda: depth(agent) < 2, 60)
    wait_for("the second step", lambda: depth(agent) == 0, 60)
    bench.ok("two steps are counted", steps(agent, "down") >= 2, steps(agent, "down"))
    bench.ok("and in force", value(agent, "nodemend_budget_shed_level") >= 2)
    bench.ok("what is off is detached", hooks(agent.pid) < attached, f"{hooks(agent.pid)} of {attached} links")
    wait_for("it to cost nothing", lambda: value(agent, "nodemend_collector_cpu_ratio", collector="fswrite", where="kernel") == 0, 60)
    wait_for("its figures to be absent", lambda: not agent.feed().samples("nodemend_filesystem_dirtied_all_bytes_total"), 60)
    bench.ok("they are absent, not zero", True)
    lines = [line for line in agent.log.read_text().splitlines() if "steps down" in line]
    bench.ok("one line a step, with collector, depths, cost and budget", len(lines) == steps(agent, "down") and all(
        word in lines[0] for word in ("fswrite", "from histograms to counts", "% of a processor", "budget 2%")), lines)
    code, out, _ = agent.cli("doctor")
    bench.ok("doctor says it", code == 0 and "fswrite is down to off by the budget" in out, out[-600:])
    code, out, _ = agent.cli("status")
    bench.ok("status says it", code == 0 and "fswrite is down to off by the budget" in out, out[-600:])

    storm.kill()
    wait_for("it to be as before", lambda: depth(agent) == 2, 240)
    bench.equal("as many steps up as down", steps(agent, "up"), steps(agent, "down"))
    bench.equal("none left in force", value(agent, "nodemend_budget_shed_level"), 0)
    bench.equal("attached as before", hooks(agent.pid), attached)
    bench.ok("the log says it", "steps up from off to counts" in agent.log.read_text())
    again = wait_for("its figures to be back", lambda: agent.feed().total("nodemend_filesystem_dirtied_all_bytes_total"), 60)
    bench.ok("its totals went on", again >= dirtied, f"{dirtied} before, {again} after")


def what_a_policy_reads_stays(bench):
    """A budget that not even the agent alone can keep to."""
    agent = bench.agent(CONFIG.format(budget=0.01, deep="0s", policies=WATCHED))
    storm = bench.program("storm", "--threads", 1, "--seconds", 300)
    wait_for("all that can be given up to be so", lambda: value(agent, "nodemend_budget_exhausted") == 1, 60)
    bench.equal("what the policy reads is at counts, not off", depth(agent), 1)
    bench.ok("the log says that nothing is left", "nothing is left to step down" in agent.log.read_text())
    code, out, _ = agent.cli("doctor")
    bench.ok("doctor says it", code == 0 and "nothing is left to step down" in out, out[-600:])

    storm.kill()
    agent.config.write_text(CONFIG.format(budget=50, deep="0s", policies=WATCHED))
    code, _, err = agent.cli("reload")
    bench.need("a larger budget is taken", code == 0, err)
    wait_for("it to look as before", lambda: depth(agent) == 2, 60)
    bench.equal("and nothing is over budget", value(agent, "nodemend_budget_exhausted"), 0)


def memory_is_short(bench):
    """The least budget there is, and no agent is that small: it is said once, and nothing looks deeper."""
    config = CONFIG.format(budget=50, deep="60s", policies="[]").replace("measure_every: 1s", "measure_every: 1s, memory: 16MiB")
    agent = bench.agent(config)
    Program(bench, ["taskset", "-c", "0", harness.PROGRAMS / "spinner", "--threads", 4, "--seconds", 90])
    pressure = Path("/proc/pressure/cpu")

    def waited():
        return int(re.search(r"some .*total=(\d+)", pressure.read_text())[1])
    start = waited()
    wait_for("three seconds of pressure", lambda: waited() > start + 3000000, 80)
    agent.next_feed()
    bench.ok("what is held is over the budget", value(agent, "nodemend_budget_memory_spent_bytes") > value(agent, "nodemend_budget_memory_bytes") == 16 << 20)
    bench.equal("nothing is armed by all the pressure", (value(agent, "nodemend_depth_armed"), depth(agent)), (0, 2))
    bench.equal("the log says so once", agent.log.read_text().count("nothing looks deeper than usual"), 1)
    _, out, _ = agent.cli("doctor")
    bench.ok("doctor says it", "nothing looks deeper than usual" in out, out[-600:])


def check_pressure(bench, triggers):
    """More spinners than the one processor they are tied to can serve."""
    agent = bench.agent(CONFIG.format(budget=50, deep="1s", policies="[]"))
    before = agent.feed().total("nodemend_depth_arms_total", reason="cpu")
    watched = psi_files(agent.pid)
    bench.ok("the kernel's triggers are set" if triggers else "no trigger is to be had", len(watched) == (3 if triggers else 0), watched)
    Program(bench, ["taskset", "-c", "0", harness.PROGRAMS / "spinner", "--threads", 4, "--seconds", 90])
    wait_for("the deep tier to be armed by it", lambda: agent.feed().total("nodemend_depth_arms_total", reason="cpu") > before, 80)
    bench.ok("pressure on the processor arms the deep tier", True)
    wait_for("a collector to look deep", lambda: depth(agent) == 3 and value(agent, "nodemend_depth_armed") == 1, 80)
    bench.ok("collectors look deep then", True)
    bench.ok("the log says why", "depth: deep for 1 s: pressure on cpu" in agent.log.read_text())


def psi_files(pid):
    """What the agent has open for writing of /proc/pressure: triggers."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            name = os.readlink(f"/proc/{pid}/fd/{fd}")
            flags = re.search(r"flags:\s*(\d+)", open(f"/proc/{pid}/fdinfo/{fd}").read())
            if "/pressure/" in name and int(flags[1], 8) & os.O_RDWR:
                found.append(name)
    return found


def pressure_arms(bench):
    check_pressure(bench, True)


def pressure_arms_without_triggers(bench):
    """Where /proc/pressure can be read and not be written, as on kernels that keep triggers to CAP_SYS_RESOURCE."""
    where = "/proc/pressure"
    subprocess.run(["mount", "--bind", where, where], check=True)
    bench.stack.callback(subprocess.run, ["umount", "-l", where], check=False)
    subprocess.run(["mount", "-o", "remount,ro,bind", where], check=True)
    check_pressure(bench, False)


def a_finding_arms(bench):
    """A policy's condition that comes true."""
    policies = """
  - name: spins
    when:
      process: {comm: spinner, cpu_percent: {above: 10, clear: 5}, for: 1s}
    mode: observe
"""
    agent = bench.agent(CONFIG.format(budget=50, deep="1s", policies=policies))
    bench.program("spinner", "--threads", 1, "--seconds", 60)
    wait_for("the incident", lambda: agent.incidents(), 60)

    wait_for("the deep tier to have been armed by it", lambda: value(agent, "nodemend_depth_arms_total", reason="finding"), 60)
    bench.ok("a finding arms the deep tier", True)


if __name__ == "__main__":
    raise SystemExit(harness.main(a_storm_is_weathered, what_a_policy_reads_stays, memory_is_short, pressure_arms,
                                  pressure_arms_without_triggers, a_finding_arms, seconds=900))
