#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The long campaign and the soak: `make campaign` and `make soak`. Results go to build/campaign and, when it ran to its end, into docs/detection.md.

    campaign_long.py faults [--seed N] [--trials N] [--minutes N] [--write]
    campaign_long.py soak [--minutes N]
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import campaign
import harness

BEGIN, END = "<!-- the campaign's table -->\n", "<!-- end of the campaign's table -->\n"
# What issue and users are promised; the table says what was reached.
GOALS = {"all additive": (0.80, 0.95), "all others": (0.60, 0.85)}
options = None


def conditions(ground, rows):
    loads = [row["others"] for row in rows if "others" in row]
    return (f"{len(rows)} trials, seed {options.seed}, {os.cpu_count()} processors, Linux {platform.release()}, on {time.strftime('%Y-%m-%d')}. "
            f"While they ran the whole machine used {sum(loads) / max(len(loads), 1):.1f} processors on average, the tenants among it.")


def write_document(text):
    path = harness.ROOT / "docs" / "detection.md"
    whole = path.read_text()
    head, tail = whole.index(BEGIN) + len(BEGIN), whole.index(END)
    path.write_text(whole[:head] + text + "\n" + whole[tail:])


def faults(bench):
    out = harness.BUILD / "campaign"
    out.mkdir(parents=True, exist_ok=True)
    ground = campaign.Ground(bench, options.seed, warm=60)
    for kind, why in ground.unknown:
        bench.skip(kind.name, why)
    schedule = [kind for kind in ground.kinds for _ in range(options.trials)]
    schedule += [None] * round(len(schedule) / 4)  # a fifth of all
    ground.draw.shuffle(schedule)
    end, rows = time.monotonic() + 60 * options.minutes, []
    with open(out / "trials.jsonl", "w") as log:
        def tell(row):
            log.write(json.dumps(row) + "\n")
            log.flush()
            bench.note(f"{len(rows) + 1}/{len(schedule)} {json.dumps(row)[:300]}")
        for kind in schedule:
            if time.monotonic() > end:
                bench.note(f"time is over after {len(rows)} trials")
                break
            rows += campaign.run(ground, [kind], tell)
    text = conditions(ground, rows) + "\n\n" + campaign.table(rows)
    (out / "table.md").write_text(text + "\n")
    print(text)
    groups, quiet = campaign.summary(rows)
    for name, (first, three) in GOALS.items():
        row = groups.get(name)
        if not row:
            continue
        bench.ok(f"{name}: detected", row["detected"] >= 0.95, row)
        bench.ok(f"{name}: right class", row["class"] >= 0.95, row)
        bench.ok(f"{name}: culprit first", row["top1"] >= first, row)
        bench.ok(f"{name}: culprit among the first three", row["top3"] >= three, row)
        bench.ok(f"{name}: better than the largest consumer", row["top1"] > row["largest"], row)
    bench.ok("quiet trials are quiet", quiet["false"] <= 0.01 * quiet["quiet"], quiet)
    if options.write:
        write_document(text)


def soak(bench):
    """An ordinary node, with the policies that ship: no incident."""
    agent = bench.agent("interval: 1s\nmode: shadow\n")
    steady = bench.program("unruly", "steady", 60 * options.minutes + 60, 20, bench.dir, cgroup=bench.cgroup("steady")[0])
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        time.sleep(5)
        bench.need("everybody lives", steady.alive() and agent.process.poll() is None, agent.log_tail()) if not steady.alive() else None
    found = agent.incidents()
    bench.ok(f"no incident in {options.minutes} minutes", not found, [f"{i['kind']} {i['resource']} {i['signal']}" for i in found])


def main():
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("faults", "soak"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(os.environ["NODEMEND_CAMPAIGN"].split() if "NODEMEND_CAMPAIGN" in os.environ else sys.argv[1:])
    os.environ["NODEMEND_CAMPAIGN"] = " ".join(sys.argv[1:]) if len(sys.argv) > 1 else os.environ["NODEMEND_CAMPAIGN"]
    sys.argv[1:] = []  # they are not names of tests
    return harness.main({"faults": faults, "soak": soak}[options.what], seconds=int(60 * options.minutes + 600))


if __name__ == "__main__":
    raise SystemExit(main())
