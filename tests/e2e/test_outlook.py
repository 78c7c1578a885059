#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What will be used up, from outside: the outlook of a running agent, over a restart and over a damaged state, and the
forecast of a recorded series, which is a filesystem that a real writer fills.
"""

import csv
import io
import json
import os
from pathlib import Path

import harness
from harness import wait_for

CONFIG = "interval: 1s\ncollectors: {unit: false}\npolicies: []\n"


def outlook(agent):
    code, out, error = agent.cli("outlook", "--json")
    if code:
        raise harness.Failed(f"outlook: {error}")
    return json.loads(out)


def capacity(agent, resource, name):
    rows = [row for row in outlook(agent)["capacities"] if row["resource"] == resource and row["name"] == name]
    return rows[0] if rows else None


def fill(mount, permille):
    """Appends what a service writes, until so much of the filesystem is used."""
    stat = os.statvfs(mount)
    wanted = stat.f_blocks * permille // 1000 - (stat.f_blocks - stat.f_bfree)
    if wanted > 0:
        with open(mount / "data", "ab") as file:
            file.write(b"x" * (wanted * stat.f_frsize))


def used(mount):
    stat = os.statvfs(mount)
    return (stat.f_blocks - stat.f_bfree) * stat.f_frsize


def outlook_over_restarts(bench):
    mount = bench.loop_filesystem(64)
    agent = bench.agent(CONFIG)
    fill(mount, 400)
    row = wait_for("a row of the filesystem", lambda: capacity(agent, "filesystem", str(mount)))
    bench.equal("what little is known is said to be little", (row["evidence"], row["enough_evidence"]), ("short_history", False))
    bench.ok("nothing is guessed", "exhausted_in_seconds" not in row and "growth_per_day" not in row)
    bench.ok("memory has a row, with its capacity", capacity(agent, "memory", "memory")["capacity"] > 0)
    bench.ok("so have inodes, threads and files", all(capacity(agent, what, name) for what, name in
                                                      (("inodes", str(mount)), ("pids", "pids"), ("files", "files"))))
    bench.ok("and metrics", any(agent.feed().samples("nodemend_capacity_used_ratio", resource="filesystem", mountpoint=str(mount))))
    text = agent.cli("outlook")[1]
    bench.ok("for people, too", str(mount) in text and "not enough evidence" in text, text)
    status = agent.cli("status")[1]
    bench.ok("status says what comes first, or that nothing does", "foreseen" in status or "used up first" in status, status)

    state = agent.state_dir / "outlook.bin"
    agent.stop()
    bench.ok("what was learned is kept at the end", state.exists() and state.stat().st_size > 1000)
    whole = state.read_bytes()
    agent.start()
    wait_for("the row again", lambda: capacity(agent, "filesystem", str(mount)))
    bench.ok("and taken back without a word", "outlook.bin" not in agent.log_tail(200))

    agent.stop()
    state.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    agent.start()
    wait_for("the row once more", lambda: capacity(agent, "filesystem", str(mount)))
    bench.ok("a damaged one is said", "outlook.bin is dropped" in agent.log_tail(200), agent.log_tail(20))
    dropped = list(agent.feed().samples("nodemend_outlook_state_dropped_total"))
    bench.ok("and counted", dropped and dropped[0]["value"] == 1, dropped)


def forecast_of_a_real_fill(bench):
    mount = bench.loop_filesystem(64)
    stat = os.statvfs(mount)
    room = used(mount) + stat.f_bavail * stat.f_frsize
    recorded = Path(bench.dir) / "fill.csv"
    a_step = room // 288 # full within a day, at one step in five minutes
    full = None
    with open(recorded, "w", encoding="ascii") as file:
        file.write("timestamp,used\n")
        for step in range(3 * 288):
            if step >= 2 * 288:
                try:
                    with open(mount / "data", "ab") as data:
                        data.write(b"x" * a_step)
                except OSError:
                    pass
            file.write(f"{1795485000 + 300 * step},{used(mount)}\n")
            if used(mount) >= 0.99 * room:
                full = 300 * step
                break
    bench.need("the writer has filled it", full)

    code, out, _ = harness.run_cli("forecast", str(recorded), "--capacity", str(room))
    rows = list(csv.DictReader(io.StringIO(out)))
    bench.equal("a row a row", (code, len(rows)), (0, full // 300 + 1))
    quiet = rows[:2 * 288]
    bench.ok("no forecast and no alarm while nothing is written", all(not row["used_exhausted_in_seconds"] and row["used_alarm_24h"] == "0" for row in quiet))
    raised = {name: next((300 * i for i, row in enumerate(rows) if row[f"used_alarm_{name}"] == "1"), None) for name in ("24h", "4h")}
    bench.ok("the 24 h alarm comes hours ahead", raised["24h"] and full - raised["24h"] > 4 * 3600, raised)
    bench.ok("the 4 h alarm between 1 h and 5 h ahead", raised["4h"] and 3600 <= full - raised["4h"] <= 5 * 3600, raised)
    late = rows[-40]
    bench.ok("the time is right, within its range", float(late["used_low_seconds"]) <= 39 * 300 <= float(late["used_high_seconds"]), late)

    # No look-ahead: what is said of the first rows does not depend on those that come.
    short = Path(bench.dir) / "short.csv"
    short.write_text("".join(recorded.read_text().splitlines(True)[:601]))
    again = harness.run_cli("forecast", str(short), "--capacity", str(room))[1]
    bench.ok("what is known by then is all that is used", again == "".join(out.splitlines(True)[:601]))


def bad_series_are_named(bench):
    path = Path(bench.dir) / "bad.csv"
    for name, text, capacity_text, wanted in (
        ("a word for a number", "timestamp,a\n1,2\n2,x\n", "10", "bad.csv:3:"),
        ("a row too early", "timestamp,a\n10,2\n9,2\n", "10", "bad.csv:3:"),
        ("no capacity", "timestamp,a\n1,2\n", None, "--capacity"),
        ("a capacity of nothing", "timestamp,a\n1,2\n", "0", "--capacity"),
    ):
        path.write_text(text)
        code, _, error = harness.run_cli("forecast", str(path), *(["--capacity", capacity_text] if capacity_text else []))
        bench.ok(f"{name} is named, with 2", code == 2 and wanted in error, (code, error))


if __name__ == "__main__":
    harness.main(outlook_over_restarts, forecast_of_a_real_fill, bad_series_are_named)
