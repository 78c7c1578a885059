#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hooks that do what hooks do at their worst, under a real agent: they sleep for ever, fork away with the pipes in their hands, print
without end, ignore SIGTERM, eat memory. The agent goes on ticking and nothing of them is left behind."""

import json
import shutil
import tempfile
from pathlib import Path

import harness
from harness import wait_for

# Each: what it does, and what becomes of the act.
ABUSES = {
    "sleeps": ("sleep 3600", "failed"),
    "forks-away": ("(setsid sh -c 'trap \"\" TERM HUP; echo $$ >$HERE/left; sleep 3600; :' &)\n"
                   "while ! [ -s $HERE/left ]; do sleep 0.02; done; exit 3", "no_effect"),
    "prints": ("exec yes", "failed"),
    "ignores-term": ("trap '' TERM; while :; do sleep 1; done", "failed"),
    "eats": ("exec dd if=/dev/zero of=/dev/null bs=400M count=1", "failed"),
}


# A remedy that has failed three times against a kind of trouble is set aside there: a node each for so few.
BATCHES = [["sleeps", "forks-away", "prints"], ["ignores-term", "eats"]]


def config(here, names):
    policies = ""
    for name in names:
        policies += f"""
  - name: {name}
    mode: enforce
    when: {{process: {{comm: {name}-no, running: {{below: 1}}}}}}
    do:
      - hook: {{command: [{here}/{name}], timeout: 600ms, user: root, memory: 64MiB}}
        expect: {{clears: true, within: 5s}}
    limits: {{cooldown: 1h}}
"""
    return f"interval: 200ms\nstartup_grace: 0s\ncollectors: {{unit: false}}\npolicies:{policies}"


def leaves(runner):
    root = harness.cgroup2()
    return sorted(path.name for path in (root / "nodemend-runs").glob(f"run-{runner}-*")) if root else []


def batch_ends(bench, here, names):
    """How many ticks there were."""
    agent = bench.agent(config(here, names), name=names[0])
    before = agent.feed().document["seq"]

    def ended():
        return {action["policy"]: action for action in agent.actions(remedy="hook") if action["outcome"]}

    acts = wait_for("all hooks to be over", lambda: len(ended()) == len(names) and ended(), 60, step=0.2)
    for name in names:
        bench.ok(f"{name}: {ABUSES[name][1]}", acts[name]["outcome"] == ABUSES[name][1], acts[name])
        told = json.loads((here / f"{name}.told").read_text())
        bench.ok(f"{name}: was told what it is about", told["mode"] == "apply" and told["policy"] == name, told)
    ticks = agent.feed().document["seq"] - before
    slow = [pid for pid in harness.children_of(agent.pid) if Path(f"/proc/{pid}/comm").read_text().strip() == "nm-slow"]
    bench.equal("the hands that ran them were not replaced", len(slow), 1)
    bench.equal("no cgroup is left", leaves(slow[0]), [])
    bench.equal("and have no child, living or dead", harness.children_of(slow[0]), [])
    bench.equal("nothing overstayed its time", [line for line in agent.log.read_text().splitlines() if "overstayed" in line], [])
    return ticks


def hooks_at_their_worst(bench):
    # On the way to a hook nobody but root may write: /var/tmp will not do.
    here = Path(tempfile.mkdtemp(prefix="nodemend-test-", dir="/var/lib"))
    try:
        here.chmod(0o755)
        for name, (what, _) in ABUSES.items():
            (here / name).write_text(f"#!/bin/sh\nexport HERE={here}\ncat >$HERE/{name}.told\n{what}\n")
            (here / name).chmod(0o755)
        ticks = sum(batch_ends(bench, here, names) for names in BATCHES)
        left = int((here / "left").read_text())
        bench.ok("what forked away is gone", not harness.is_alive(left), left)
        # They took turns for three seconds: fifteen ticks, each of them in its time.
        bench.ok("the agent went on ticking", ticks >= 8, ticks)
    finally:
        shutil.rmtree(here)


def shadow_runs_nothing(bench):
    here = Path(tempfile.mkdtemp(prefix="nodemend-test-", dir="/var/lib"))
    try:
        here.chmod(0o755)
        for name in ("blind", "knows"):
            (here / name).write_text(f"#!/bin/sh\ntouch {here}/{name}.$NODEMEND_MODE\necho '{{\"plan\":[\"would mend {name}\"]}}'\n")
            (here / name).chmod(0o755)
        policy = """
  - name: {name}
    when: {{process: {{comm: {name}-no, running: {{below: 1}}}}}}
    do:
      - hook: {{command: [{here}/{name}], user: root, dry_run: {dry}}}
        expect: {{clears: true, within: 5s}}
"""
        text = policy.format(name="blind", here=here, dry="false") + policy.format(name="knows", here=here, dry="true")
        agent = bench.agent(f"interval: 200ms\nstartup_grace: 0s\ncollectors: {{unit: false}}\npolicies:{text}")

        def planned():
            return {action["policy"]: action for action in agent.actions(remedy="hook") if action["ended"]}

        acts = wait_for("both plans", lambda: len(planned()) == 2 and planned(), 30, step=0.2)
        bench.equal("only what knows plans is run, and told so", sorted(path.name for path in here.glob("*.*")), ["knows.plan"])
        bench.ok("its plan is told", "would mend knows" in acts["knows"]["plan"], acts["knows"])
        bench.ok("of the other it is said that nobody knows", "not known beforehand" in acts["blind"]["plan"][1], acts["blind"])
    finally:
        shutil.rmtree(here)


if __name__ == "__main__":
    harness.main(hooks_at_their_worst, shadow_runs_nothing)
