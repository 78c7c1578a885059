#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""A real Alertmanager is told by a real agent: what fires, what gets worse, what ends; and a second one that is down at first, later, all
the same.
"""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import filling
import harness
from harness import wait_for


class Alertmanager:
    def __init__(self, bench, name, port=None):
        self.folder = Path(bench.dir, name)
        self.folder.mkdir()
        self.bench, self.port = bench, port or harness.free_port()
        (self.folder / "alertmanager.yml").write_text(
            "route: {receiver: nobody, group_by: [alertname, cluster], group_wait: 0s, group_interval: 1s}\nreceivers: [{name: nobody}]\n")

    def start(self):
        process = subprocess.Popen(
            ["prometheus-alertmanager", f"--config.file={self.folder}/alertmanager.yml", f"--storage.path={self.folder}/data", "--log.level=error",
             "--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.bench.stack.callback(process.wait)
        self.bench.stack.callback(process.kill)
        wait_for("Alertmanager", lambda: self.get("status"), 30)
        return process

    def get(self, what):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v2/{what}", timeout=5) as answer:
                return json.load(answer)
        return None

    def firing(self):
        """(resource, severity) of every alert that it holds for active; it shows no others."""
        return sorted((Path(a["labels"]["mountpoint"]).name, a["labels"]["severity"]) for a in self.get("alerts?active=true") or [])


def output(*managers, resend="1s", more=""):
    urls = ", ".join(f'"http://127.0.0.1:{manager.port}"' for manager in managers)
    return f"  - alertmanager: {{name: am, urls: [{urls}], cluster: c1, resend: {resend}{more}}}"


def need(bench):
    if shutil.which("prometheus-alertmanager"):
        return True
    bench.skip("a real Alertmanager", "prometheus-alertmanager is not installed (scripts/deps.sh test)")
    return False


def receives_groups_and_resolves(bench):
    if not need(bench):
        return
    manager, late = Alertmanager(bench, "am"), Alertmanager(bench, "late")
    manager.start()
    a, b = filling.Filling(bench, "a"), filling.Filling(bench, "b")
    agent = bench.agent(filling.config([a, b], output(manager, late)))

    a.fill(60)
    wait_for("the alert", lambda: manager.firing() == [("a", "warning")], 30)
    alert = manager.get("alerts")[0]
    incident = wait_for("the incident", lambda: agent.incidents(state="open"), 10)[0]
    wanted = {"alertname": "NodemendDiskExhaustion", "severity": "warning", "instance": "n1", "cluster": "c1", "policy": "a-warning",
              "mountpoint": str(a.where), "device": incident["resource"]["device"]}
    bench.equal("its labels", alert["labels"], wanted)
    bench.equal("its annotation of the incident", alert["annotations"]["incident"], incident["id"])
    bench.ok("its summary has the numbers", "threshold" in alert["annotations"]["summary"], alert["annotations"])
    bench.equal("its generator is the record", alert["generatorURL"], f"http://127.0.0.1:{agent.port}/v1/incidents/{incident['id']}")
    bench.equal("it began when the incident did", alert["startsAt"], incident["opened"])
    bench.ok("it ends later than now", harness.parse_time(alert["endsAt"]) > time.time(), alert)
    bench.ok("it is resent", wait_for("a resend", lambda: manager.get("alerts")[0]["endsAt"] > alert["endsAt"], 20))

    b.fill(60)
    wait_for("the second alert", lambda: manager.firing() == [("a", "warning"), ("b", "warning")], 30)
    groups = manager.get("alerts/groups")
    bench.equal("both are in one group", [len(group["alerts"]) for group in groups], [2])
    bench.equal("grouped by their labels", groups[0]["labels"], {"alertname": "NodemendDiskExhaustion", "cluster": "c1"})

    b.fill(95)
    bench.ok("what gets worse is another alert, and the milder one ends",
             wait_for("critical alone", lambda: manager.firing() == [("a", "warning"), ("b", "critical")], 30))
    late.start()
    bench.ok("one that was down is told what fires now", wait_for("the late one", lambda: late.firing() == manager.firing(), 60))
    a.empty()
    b.empty()
    for who in (manager, late):
        bench.ok(f"{who.folder.name}: everything ends", wait_for("nothing to fire", lambda who=who: who.firing() == [], 30))
    feed = agent.next_feed()
    bench.ok("what failed meanwhile is counted", feed.total("nodemend_output_failed_total", output="am", endpoint="1") > 0)
    bench.ok("and nothing failed at the other", feed.total("nodemend_output_failed_total", output="am", endpoint="0") == 0)


def ends_by_itself_without_the_node(bench):
    """The node falls silent: after four resends that do not come the alert ends, as the protocol wants it."""
    if not need(bench):
        return
    manager = Alertmanager(bench, "am")
    manager.start()
    a = filling.Filling(bench, "a")
    agent = bench.agent(filling.config([a], output(manager)))
    a.fill(60)
    wait_for("the alert", lambda: manager.firing() == [("a", "warning")], 30)
    agent.kill()
    bench.ok("the alert ends", wait_for("its end", lambda: manager.firing() == [], 30))


def routes_choose(bench):
    if not need(bench):
        return
    manager = Alertmanager(bench, "am")
    manager.start()
    a, b = filling.Filling(bench, "a"), filling.Filling(bench, "b")
    bench.agent(filling.config([a, b], output(manager), "[{to: am, severity: [critical]}]"))
    a.fill(60)
    b.fill(95)
    wait_for("the critical one", lambda: manager.firing(), 30)
    bench.equal("only what the route names", manager.firing(), [("b", "critical")])


if __name__ == "__main__":
    raise SystemExit(harness.main(receives_groups_and_resolves, ends_by_itself_without_the_node, routes_choose, together=3))
