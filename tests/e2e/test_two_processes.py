#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The wall between agent and publisher, and what outlives each of them: no decision is lost with the publisher, nothing
runs on without the agent, and a new agent knows what the old one knew.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

import harness
from harness import GiB, wait_for

GROW = """
interval: 1s
mode: enforce
collectors: {{unit: false}}
policies:
  - name: grower
    when:
      process: {{cgroup: "{cgroup}", memory: {{above: 1GiB}}}}
    mode: enforce
    do:
      - terminate: {{scope: process, term_wait: 1s}}
        expect: {{exited: 1, within: 2s}}
    limits: {{cooldown: 2s, per_target: {acts}, per_node: {acts}}}
  - name: always
    when:
      memory: {{used_percent: {{above: 0.01, clear: 0.001}}}}
    mode: observe
"""


def grow(bench, folder):
    grower = bench.program("grower", "--rate", 500_000_000, "--limit", 2 * GiB, cgroup=folder)
    wait_for("the grower to end", lambda: not grower.alive(), 30)
    grower.reader.join(5)
    return grower


def status_of(pid):
    return dict(line.rstrip("\n").split(":\t", 1) for line in open(f"/proc/{pid}/status") if ":\t" in line)


def publisher_dies(bench):
    """kill -9 of the publisher: back soon, with all it must know; and the agent decides while it is away."""
    folder, path = bench.cgroup("grow")
    agent = bench.agent(GROW.format(cgroup=path, acts="200/1h"))
    wait_for("the standing incident", lambda: agent.incidents(kind="memory_exhaustion"), 20)
    pid = agent.publisher_pid()
    bench.need("the publisher is a process of its own", pid and pid != agent.pid, pid)

    first = bench.program("grower", "--rate", 500_000_000, "--limit", 2 * GiB, cgroup=folder)
    wait_for("half of the way", lambda: Path(f"/proc/{first.pid}/statm").read_text() and
             int(Path(f"/proc/{first.pid}/statm").read_text().split()[1]) * 4096 > GiB // 2 or not first.alive(), 20)
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    new = wait_for("a new publisher", lambda: (lambda now: now and now != pid and now)(agent.publisher_pid()), 20)
    took = time.monotonic() - killed
    bench.note(f"publisher back after {took * 1000:.0f} ms (goal: 1 s)")
    bench.ok("it is another process", new != pid)
    agent.wait_ready(10)
    wait_for("the grower to end", lambda: not first.alive(), 30)
    first.reader.join(5)
    bench.ok("the decision was made meanwhile", first.line("term"), first.lines)
    action = wait_for("the action, told by the new publisher", lambda: next((a for a in agent.actions(remedy="terminate") if a["outcome"]), None), 15)
    bench.equal("and it was right", action["outcome"], "fixed")
    bench.ok("older incidents are told again", agent.incidents(kind="memory_exhaustion"))
    feed = agent.next_feed()
    bench.ok("the restart is counted", feed.total("nodemend_publisher_restarts_total") == 1, feed.total("nodemend_publisher_restarts_total"))
    records = [r["outcome"] for r in agent.journal() if r["id"] == action["id"]]
    bench.equal("the journal has intent and result", records, [None, "fixed"])


def publisher_is_walled_in(bench):
    """It talks to the network, so it has no rights: no capabilities, no new ones, a filter on its calls, and another user."""
    agent = bench.agent(GROW.format(cgroup="/none", acts="1/1h"))
    status = status_of(agent.publisher_pid())
    bench.ok("not root", "0" not in status["Uid"].split(), status["Uid"])
    bench.equal("no capabilities", {status[key].strip("0") for key in ("CapPrm", "CapEff", "CapInh", "CapAmb")}, {""})
    bench.equal("no new privileges", status["NoNewPrivs"], "1")
    bench.equal("a seccomp filter", status["Seccomp"], "2")
    kinds = [os.readlink(f"/proc/{agent.publisher_pid()}/fd/{fd}") for fd in os.listdir(f"/proc/{agent.publisher_pid()}/fd")]
    bench.ok("no BPF object in its hands", not [kind for kind in kinds if "bpf" in kind], kinds)
    own = Path(f"/proc/{agent.pid}/net/tcp")
    sockets = {fd for fd in _sockets(agent.pid)}
    bench.ok("the agent holds no network socket", not sockets & _inet_inodes(own), sockets & _inet_inodes(own))


def agent_is_bounded(bench):
    """Root, but without what no remedy needs: kernel modules, raw I/O, reboot, the clock, raw sockets, devices; its workers, too."""
    agent = bench.agent(GROW.format(cgroup="/none", acts="1/1h"))
    never = {"net_raw": 13, "sys_module": 16, "sys_rawio": 17, "sys_boot": 22, "sys_time": 25, "mknod": 27}
    for pid in (agent.pid, *harness.children_of(agent.pid)):
        status = status_of(pid)
        held = [name for name, bit in never.items() if any(int(status[key], 16) >> bit & 1 for key in ("CapPrm", "CapEff", "CapBnd"))]
        bench.ok(f"{status['Name']} holds none of them", not held, held)


def _sockets(pid):
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            link = os.readlink(f"/proc/{pid}/fd/{fd}")
            if link.startswith("socket:["):
                yield link[8:-1]


def _inet_inodes(path):
    inodes = set()
    for name in ("tcp", "tcp6", "udp", "udp6"):
        with contextlib.suppress(OSError):
            inodes |= {line.split()[9] for line in open(path.with_name(name)).readlines()[1:]}
    return inodes


def agent_dies(bench):
    """kill -9 of the agent: nothing of it runs on; a new one picks up incidents, budgets, cooldowns and a pause."""
    programs, maps = harness.bpf_ids("prog"), harness.bpf_ids("map")
    folder, path = bench.cgroup("grow")
    agent = bench.agent(GROW.format(cgroup=path, acts="1/1h"))
    standing = wait_for("the standing incident", lambda: agent.incidents(policy="always") or agent.incidents(kind="memory_exhaustion"), 20)[0]
    first = grow(bench, folder)
    bench.need("the one act the budget holds", first.line("term"), first.lines)
    wait_for("its record", lambda: [a for a in agent.actions(remedy="terminate") if a["outcome"]], 15)
    agent.next_feed(2)
    family = harness.children_of(agent.pid)
    bench.ok("it has a family", len(family) >= 3, family)
    agent.process.kill()
    agent.process.wait()
    wait_for("its processes to be gone", lambda: not [pid for pid in family if harness.is_alive(pid)], 10)
    bench.ok("its processes are gone", True)
    wait_for("its BPF programs to be gone", lambda: not set(harness.bpf_ids("prog")) - set(programs), 10)
    wait_for("its BPF maps to be gone", lambda: not set(harness.bpf_ids("map")) - set(maps), 10)
    bench.ok("no BPF program or map is left", True)

    agent.start()
    again = agent.incidents(id=standing["id"])
    bench.ok("the open incident is the same one", again and again[0]["opened"] == standing["opened"], again or agent.incidents())
    bench.equal("and there is only one of it", len(agent.incidents(kind="memory_exhaustion", state="open", policy="always")) or
                len([i for i in agent.incidents(kind="memory_exhaustion") if i["state"] != "resolved" and i["resource"] == standing["resource"]]), 1)
    second = grow(bench, folder)
    bench.ok("the budget was not refilled", second.line("limit") and not second.line("term"), second.lines)

    code, _, err = agent.cli("pause", "--for", "1h", "maintenance")
    bench.equal("pause", (code, err), (0, ""))
    agent.process.kill()
    agent.process.wait()
    agent.start()
    code, out, _ = agent.cli("status")
    bench.ok("a pause outlives it", code == 0 and "paused" in out.lower() and "maintenance" in out, out)
    code, out, err = harness.run_cli("journal", "verify", "--state-dir", agent.state_dir)
    bench.equal("the journal's chain is whole after two kills", code, 0)


def pause_holds(bench):
    """While paused nothing is ended; after resume the next one is."""
    folder, path = bench.cgroup("grow")
    agent = bench.agent(GROW.format(cgroup=path, acts="200/1h"))
    agent.next_feed(3)
    bench.equal("pause", agent.cli("pause", "for a test")[0], 0)
    bench.ok("paused: nobody is ended", grow(bench, folder).line("limit"))
    bench.ok("but the incident is told", wait_for("the incident", lambda: [i for i in agent.incidents(kind="memory_exhaustion")
                                                                        if "grower" in str(i)], 10))
    bench.equal("resume", agent.cli("resume")[0], 0)
    bench.ok("resumed: the next one is", grow(bench, folder).line("term"))


if __name__ == "__main__":
    raise SystemExit(harness.main(publisher_dies, publisher_is_walled_in, agent_is_bounded, agent_dies, pause_holds))
