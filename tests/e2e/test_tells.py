#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""What mends nothing and tells a person: `notify` reaches its receiver past routes that would keep it, and is told once; a `manual-task` stays
open over a restart until somebody closes it."""

import harness
from harness import wait_for
from receivers import Authority, Webhooks


def config(hooks, authority, do):
    return f"""
interval: 200ms
startup_grace: 0s
collectors: {{unit: false}}
policies:
  - name: needs-hands
    mode: enforce
    severity: warning
    when: {{process: {{comm: nobody-runs-it, running: {{below: 1}}}}}}
    do: {do}
    limits: {{cooldown: 1h}}
outputs:
  - webhook: {{name: oncall, url: "{hooks.url('oncall')}", ca_file: {authority.ca}}}
  - webhook: {{name: others, url: "{hooks.url('others')}", ca_file: {authority.ca}}}
routes:
  - {{to: oncall, severity: [emergency]}}
  - {{to: others, severity: [emergency]}}
"""


def notify_goes_past_the_routes(bench):
    authority = Authority(bench)
    hooks = Webhooks(bench, authority)
    agent = bench.agent(config(hooks, authority, "[{notify: {to: oncall}}]"))
    wait_for("the message", lambda: hooks.documents("oncall"), 30)
    incident = wait_for("the incident", agent.incidents, 10)[0]
    first = hooks.documents("oncall")[0]["incidents"][0]
    bench.equal("it is about the incident", first["id"], incident["id"])
    action = wait_for("the act", lambda: [a for a in agent.actions(remedy="notify") if a["outcome"]], 10)[0]
    bench.equal("and is told, not mended", action["outcome"], "told")
    bench.ok("the incident goes on", incident["state"] != "resolved", incident)
    bench.equal("nobody else hears of it", hooks.documents("others"), [])
    agent.kill()
    agent.start()
    agent.next_feed(10)
    bench.equal("a new sender does not tell it again", len(hooks.documents("oncall")), 1)


def a_task_stays_open(bench):
    authority = Authority(bench)
    hooks = Webhooks(bench, authority)
    agent = bench.agent(config(hooks, authority, '[{manual-task: {title: "start it by hand", steps: ["look why", "start it"]}}]'))

    def waiting():
        return agent.feed().total("nodemend_manual_tasks_open")

    wait_for("the task", lambda: waiting() == 1, 30)
    said = agent.cli("tasks")[1]
    bench.ok("it is listed with its steps", all(part in said for part in ("start it by hand", "1. look why", "2. start it", "needs-hands")), said)
    action = wait_for("the act", lambda: [a for a in agent.actions(remedy="manual-task") if a["outcome"]], 10)[0]
    bench.ok("the incident's record says it", action["outcome"] == "told" and "ask a person: start it by hand" in action["plan"], action)
    why = agent.cli("why", action["incident"])[1]
    bench.ok("so does why", "start it by hand" in why, why)
    agent.stop()
    agent.start()
    bench.equal("a restart does not forget it", wait_for("the task", waiting, 10), 1)
    closed = agent.cli("task", "close", action["id"])
    bench.equal("it is closed by hand", closed[:2], (0, f"closed: {action['id']}\n"))
    wait_for("none to wait", lambda: agent.feed().samples("nodemend_manual_tasks_open")[0]["value"] == 0, 10)
    bench.equal("and is listed no more", agent.cli("tasks")[1], "no tasks\n")
    bench.ok("but among all", "closed after" in agent.cli("tasks", "--all")[1], agent.cli("tasks", "--all"))
    bench.equal("it cannot be closed twice", agent.cli("task", "close", action["id"])[0], 1)


if __name__ == "__main__":
    harness.main(notify_goes_past_the_routes, a_task_stays_open, together=2)
