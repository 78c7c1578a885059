#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""The feeds as others read them: the configuration of collectd that docs/feeds.md gives, run as it stands there, and its values
beside ours. The examples for programs that are not in Debian are at least well-formed.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import harness
from harness import wait_for

DOCUMENT = harness.ROOT / "docs/feeds.md"


def example(title):
    """The first block of code below a heading."""
    return re.search(rf"^## {title}$.*?^```\w*\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)[1]


def values(folder):
    """Newest value of each of collectd's CSV files, by name of the series."""
    found = {}
    for path in folder.rglob("gauge-*"):
        lines = path.read_text().splitlines()[1:]
        if lines:
            found[re.match(r"gauge-(.*)-\d{4}-\d\d-\d\d$", path.name)[1]] = float(lines[-1].split(",")[1])
    return found


def collectd_reads(bench):
    if not shutil.which("collectd"):
        bench.skip("collectd", "collectd is not installed (scripts/deps.sh test)")
        return
    agent = bench.agent("interval: 1s\npolicies: []\n")
    first = agent.next_feed()
    folder = Path(bench.dir, "collectd")
    folder.mkdir()
    # The example, on this agent's port and once a second, and a place to write to.
    text = example("collectd").replace("127.0.0.1:9847", f"127.0.0.1:{agent.port}").replace("Interval 15", "Interval 1")
    (folder / "collectd.conf").write_text(f"""
BaseDir "{folder}"
PIDFile "{folder}/pid"
Interval 1
Hostname "test"
FQDNLookup false
TypesDB "/usr/share/collectd/types.db"
LoadPlugin csv
<Plugin csv>
  DataDir "{folder}/csv"
</Plugin>
{text}
""")
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(["collectd", "-f", "-C", folder / "collectd.conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    bench.stack.callback(process.wait)
    bench.stack.callback(process.kill)
    wanted = {"memory_total", "seq", "ticks"}
    wait_for("collectd's values", lambda: wanted <= set(values(folder)), 30)
    found, last = values(folder), agent.next_feed()
    bench.equal("the memory is the node's", found["memory_total"], first.total("node_memory_MemTotal_bytes"))
    for name in ("seq", "ticks"):
        bench.ok(f"{name} lies between what was served before and after", first.document["seq"] <= found[name] <= last.document["seq"],
                 f"{first.document['seq']} {found[name]} {last.document['seq']}")


def examples_are_whole(bench):
    import yaml
    for title in ("collectd", "telegraf", "fluent-bit", "vector"):
        bench.ok(f"an example for {title}", "9847" in example(title) or "metrics.json" in example(title))
    bench.ok("vector's is YAML", isinstance(yaml.safe_load(example("vector")), dict))
    try:
        import tomllib
        bench.ok("telegraf's is TOML", "inputs" in tomllib.loads(example("telegraf")))
    except ImportError:
        bench.skip("telegraf's is TOML", "this Python has no tomllib")
    agent = bench.agent("interval: 1s\npolicies: []\n")
    lines = [line for line in subprocess.run(["curl", "-sN", "--max-time", "3", "-H", "Accept: application/x-ndjson", f"http://127.0.0.1:{agent.port}/v1/stream"],
                                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False).stdout.split(b"\n") if line]
    events = [json.loads(line) for line in lines[:2]]
    bench.ok("a stream of lines for who reads lines", events and all(event["event"] == "metrics" and event["data"]["schema"] == "nodemend.metrics/1"
                                                                  for event in events), lines[:1])


if __name__ == "__main__":
    raise SystemExit(harness.main(collectd_reads, examples_are_whole, together=2))
