#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# alone: it looks for what is left in the kernel of anybody
"""What starts must end: after SIGTERM, SIGINT or a start that failed there is no BPF program, map or link, no process, no
socket, and no file in the run directory that says otherwise.
"""

import os
import signal
import socket
import subprocess
from pathlib import Path

import harness
from harness import wait_for

CONFIG = "interval: 500ms\npolicies: []\n"


def kernel_objects():
    return {kind: set(harness.bpf_ids(kind)) for kind in ("prog", "map", "link")}


def left_behind(before):
    return {kind: ids - before[kind] for kind, ids in kernel_objects().items() if ids - before[kind]}


def ends(bench, number):
    before = kernel_objects()
    agent = bench.agent(CONFIG, name=signal.Signals(number).name)
    agent.next_feed()
    bench.ok("it has programs while it runs", len(kernel_objects()["prog"] - before["prog"]) >= 3)
    family = [agent.pid, *harness.children_of(agent.pid)]
    agent.process.send_signal(number)
    bench.equal("exit code", agent.process.wait(15), 0)
    wait_for("its processes to be gone", lambda: not [pid for pid in family if harness.is_alive(pid)], 5)
    bench.ok("no process is left", True)
    wait_for("its kernel objects to be gone", lambda: not left_behind(before), 10)
    bench.ok("no BPF program, map or link is left", True)
    bench.ok("no control socket is left", not (agent.run_dir / "control.sock").exists(), os.listdir(agent.run_dir))
    with socket.socket() as s:
        bench.ok("nobody listens any more", s.connect_ex(("127.0.0.1", agent.port)) != 0)
    bench.equal("commands say there is no agent", agent.cli("status")[0], 3)
    bench.ok("nothing is pinned", not [path for path in Path("/sys/fs/bpf").glob("*nodemend*")])


def on_sigterm(bench):
    ends(bench, signal.SIGTERM)


def on_sigint(bench):
    ends(bench, signal.SIGINT)


def while_starting(bench):
    """A SIGTERM in the middle of starting is obeyed too, wherever it hits."""
    before = kernel_objects()
    for i in range(10):
        agent = bench.agent(CONFIG, name=f"early-{i}", ready=False)
        # One more event of its start each time: its log's lines, its socket, its feed.
        marks = [lambda: agent.log.exists(), lambda: agent.log.stat().st_size > 0, lambda: len(kernel_objects()["prog"] - before["prog"]) > 0,
                 lambda: (agent.run_dir / "control.sock").exists(), lambda: len(harness.children_of(agent.pid)) > 1]
        wait_for("its start", lambda: marks[i % len(marks)]() or agent.process.poll() is not None, 20)
        agent.process.send_signal(signal.SIGTERM)
        code = agent.process.wait(15)
        bench.ok(f"ended {i}", code in (0, -signal.SIGTERM), f"exit {code}: {agent.log_tail()}")
    wait_for("their kernel objects to be gone", lambda: not left_behind(before), 10)
    bench.ok("nothing is left in the kernel", True)


def once(bench):
    """`run --once` takes one interval, prints the feed and is gone."""
    before = kernel_objects()
    config = Path(bench.dir, "c.yaml")
    config.write_text(CONFIG)
    for folder in ("run", "state"):
        Path(bench.dir, folder).mkdir()
    done = subprocess.run([str(harness.BINARY), "run", "--once", "--config", str(config), "--run-dir", f"{bench.dir}/run", "--state-dir",
                           f"{bench.dir}/state", "--listen", ""], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    bench.equal("exit code", done.returncode, 0)
    bench.ok("the feed on stdout", b"node_memory_MemTotal_bytes" in done.stdout, done.stdout[:300])
    wait_for("its kernel objects to be gone", lambda: not left_behind(before), 10)
    bench.ok("nothing is left in the kernel", True)


if __name__ == "__main__":
    raise SystemExit(harness.main(on_sigterm, on_sigint, while_starting, once))
