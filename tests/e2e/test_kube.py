#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""evict-pod by a real agent against an API server over TLS: what is evicted, what never is, and every way in which the server can say no, break,
fall silent or lie. What is not clearly answered is never told as done."""

import json
import os
import time
from pathlib import Path

import harness
from harness import wait_for
from kube_server import KubeServer, pod, status
from receivers import Authority

CONFIG = "interval: 1s\nstartup_grace: 0s\nmode: enforce\ncollectors: {unit: false}\npolicies: []\n"


class Cluster:
    def __init__(self, bench):
        self.bench, self.authority = bench, Authority(bench)
        self.server = KubeServer(bench, self.authority)
        self.folder = self.server.credentials(Path(bench.dir, "account"), self.authority)
        self.agent = bench.agent(CONFIG, wrap=self.server.environment(self.folder))

    def evict(self, name, namespace="prod", dry_run=False):
        """The action's record."""
        before = {action["id"] for action in self.agent.actions(remedy="evict-pod")}
        words = ["apply", "evict-pod", "node", "--arg", f"namespace={namespace}", "--arg", f"pod={name}", "--yes"] + (["--dry-run"] if dry_run else [])
        self.said = self.agent.cli(*words)

        def new():
            return [action for action in self.agent.actions(remedy="evict-pod") if action["id"] not in before and action["ended"]]

        return harness.wait_for("the act's record", new, 30)[0]

    def why(self, action):
        return " | ".join(step["detail"] for step in action["steps"])


def it_evicts_and_sees_the_pod_go(bench):
    cluster = Cluster(bench)
    server = cluster.server
    server.add(pod("web-0"))
    server.ends_after = 1.0
    planned = cluster.evict("web-0", dry_run=True)
    bench.ok("a plan says whom", "evict pod prod/web-0 of ReplicaSet/web-0-owner" in planned["plan"][0], planned)
    bench.equal("and asks nobody to go", server.asked("POST"), [])
    action = cluster.evict("web-0")
    bench.ok("fixed, when it is gone", action["outcome"] == "fixed" and ("prod", "web-0") not in server.pods, action)
    bench.equal("asked for once", len(server.asked("POST", "/web-0/eviction")), 1)
    bench.ok("with the uid of the pod that was looked at", server.asked("POST")[0][3]["deleteOptions"] == {"preconditions": {"uid": "uid-web-0"}}, server.asked("POST"))
    gone = cluster.evict("web-0")
    bench.equal("one that is gone is refused", (gone["outcome"], gone["refused_by"]), ("refused", "pod-gone"))

    # Tokens are rotated: what is shown is what the file holds now.
    server.add(pod("web-1"))
    server.ends_after = 0
    server.token = "t0ken-2"
    unauthorized = cluster.evict("web-1")
    bench.ok("an old token fails and says so", unauthorized["outcome"] == "failed" and "401" in cluster.why(unauthorized), unauthorized)
    server.credentials(cluster.folder, cluster.authority)
    bench.equal("the new one is read", cluster.evict("web-1")["outcome"], "fixed")
    # … also where it is rotated between the reading and the asking.
    server.add(pod("web-2"))
    server.token, before = "t0ken-3", len(server.requests)
    server.rotate = lambda: server.credentials(cluster.folder, cluster.authority)
    bench.equal("one that was rotated meanwhile is read again", cluster.evict("web-2")["outcome"], "fixed")
    seen = [request[2]["Authorization"] for request in server.requests[before:]]
    bench.equal("and only then", seen.count("Bearer t0ken-2"), 1)
    kept = b"".join(path.read_bytes() for path in cluster.agent.state_dir.rglob("*") if path.is_file()) + cluster.agent.log.read_bytes()
    bench.ok("no token is in a log or on a disk", b"t0ken" not in kept)


def what_is_never_evicted(bench):
    cluster = Cluster(bench)
    server = cluster.server
    never = {
        "daemon": (pod("daemon", kind="DaemonSet"), "never-list"),
        "mirror": (pod("mirror", kind="Node", annotations={"kubernetes.io/config.mirror": "x"}), "never-list"),
        "static": (pod("static", annotations={"kubernetes.io/config.source": "file"}), "never-list"),
        "critical": (pod("critical", priority=2000001000, priority_class="system-node-critical"), "never-list"),
        "high": (pod("high", priority=2000000000), "never-list"),
        "bare": (pod("bare", kind=None), "no-controller"),
        "elsewhere": (pod("elsewhere", node="n2"), "other-node"),
    }
    for name, (document, _) in never.items():
        server.add(document)
    server.add(pod("dns", namespace="kube-system"))
    for name, (_, refused_by) in never.items():
        action = cluster.evict(name)
        bench.equal(f"{name}: {refused_by}", (action["outcome"], action["refused_by"]), ("refused", refused_by))
    bench.equal("kube-system: never-list", cluster.evict("dns", namespace="kube-system")["refused_by"], "never-list")
    bench.equal("nobody was asked to go", server.asked("POST"), [])


def what_the_server_says(bench):
    cluster = Cluster(bench)
    server = cluster.server
    budget = status(429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.",
                    [("DisruptionBudget", "The disruption budget web needs 2 healthy pods and has 2 currently")])
    cases = [
        ("budget", [(429, budget)], "refused", "disruption-budget", "needs 2 healthy pods", 1),
        ("busy", [(429, status(429, "TooManyRequests", "too many requests, please try again later", retry=1), ("Retry-After", "1"))], "failed", None, "429", 1),
        ("forbidden", [(403, status(403, "Forbidden", "pods \"x\" is forbidden: cannot create resource pods/eviction"))], "failed", None, "403", 1),
        ("changed", [(409, status(409, "Conflict", "Precondition failed"))], "refused", "pod-changed", "another pod", 1),
        ("vanished", [(404, status(404, "NotFound", "not found"))], "refused", "pod-gone", "gone", 1),
        ("broken", [(500, status(500, "InternalError", "This pod has more than one PodDisruptionBudget"))], "failed", None, "more than one", 1),
        ("gateway", [(503, {"not": "a status"})], "failed", None, "503", 1),
        ("cut", ["hang up"], "failed", None, "no answer", 1),
        ("taken-and-cut", ["done, then hang up"], "failed", None, "no answer", 1),
    ]
    server.ends_after = 60
    for name, answers, outcome, refused_by, part, times in cases:
        server.add(pod(name))
        server.answers[("POST", f"/{name}/")] = list(answers)
        action = cluster.evict(name)
        bench.equal(f"{name}: {outcome}", (action["outcome"], action["refused_by"]), (outcome, refused_by))
        bench.ok(f"{name}: and why", part in cluster.why(action), cluster.why(action))
        bench.equal(f"{name}: asked so often", len(server.asked("POST", f"/{name}/")), times)

    # A look changes nothing, so it is repeated where the server was busy or broken.
    server.add(pod("patience"))
    server.ends_after = 0
    server.answers[("GET", "/patience")] = [(503, {}), (500, status(500, "InternalError", "etcd leader changed")), "hang up"]
    action = cluster.evict("patience")
    bench.equal("a look is repeated", action["outcome"], "fixed")
    server.answers[("GET", "/garbage")] = [(200, "text"), (200, "text")]
    bench.equal("what is no pod is left alone", cluster.evict("garbage")["refused_by"], "unknown-pod")


def a_server_that_falls_silent(bench):
    cluster = Cluster(bench)
    server = cluster.server
    server.add(pod("web-0"))
    server.answers[("POST", "/web-0/")] = ["hang"]
    before, began = cluster.agent.feed().document["seq"], time.monotonic()
    action = cluster.evict("web-0")
    took = time.monotonic() - began
    bench.ok("a hang ends, and is failed", action["outcome"] == "failed" and "no answer" in cluster.why(action), action)
    bench.ok("in its time", took < 15, took)
    bench.ok("the agent went on ticking", cluster.agent.feed().document["seq"] - before >= int(took) - 2, took)

    server.server.shutdown()
    server.server.server_close()
    action = cluster.evict("web-0")
    bench.ok("nobody there: failed", action["outcome"] == "failed" and "cannot be reached" in cluster.why(action), cluster.why(action))


def whom_it_does_not_trust(bench):
    cluster = Cluster(bench)
    cluster.server.add(pod("web-0"))
    wait_for("its first look at the node", lambda: cluster.server.asked("GET", "/nodes/"), 20)
    Path(cluster.folder, "ca.crt").write_bytes(Path(Authority(bench, "other").ca).read_bytes())
    cluster.server.requests.clear()
    action = cluster.evict("web-0")
    bench.ok("another CA's server is not spoken to", action["outcome"] == "failed" and "cannot be reached" in cluster.why(action), cluster.why(action))
    bench.equal("and sees no token", cluster.server.requests, [])
    Path(cluster.folder, "token").unlink()
    action = cluster.evict("web-0")
    bench.ok("without a token: failed, and which file", action["outcome"] == "failed" and "token" in cluster.why(action), cluster.why(action))
    armed = {row["name"]: row for row in json.loads(cluster.agent.cli("remedies", "--json")[1])["remedies"]}["evict-pod"]
    bench.ok("it was armed at the start", armed["armed"] is True, armed)


def cordons(cluster, *arguments, node="n1"):
    """The action's record."""
    agent = cluster.agent
    before = {action["id"] for action in agent.actions(remedy="cordon")}
    words = [word for argument in arguments for word in ("--arg", argument)]
    agent.cli("apply", "cordon", "node", "--yes", *words)
    return wait_for("the act's record", lambda: [a for a in agent.actions(remedy="cordon") if a["id"] not in before and a["ended"]], 30)[0]


def condition(node):
    return {row["type"]: row["status"] for row in node["status"]["conditions"]}.get("NodemendPressure")


def marks(node):
    return sorted(name for name in node["metadata"]["annotations"] if name.startswith("nodemend.io/"))


def is_free(node):
    return "unschedulable" not in node["spec"] and not marks(node) and condition(node) == "False"


def a_cordon_ends_in_its_time(bench):
    cluster = Cluster(bench)
    node = cluster.server.add_node("n1")
    action = cordons(cluster, "for=4s")
    bench.ok("fixed, and seen on the node", action["outcome"] == "fixed" and node["spec"].get("unschedulable"), action)
    bench.equal("its condition says so", condition(node), "True")
    bench.equal("by whom and until when stands on the node", marks(node), ["nodemend.io/cordoned-by", "nodemend.io/cordoned-until"])
    bench.equal("twice is refused", cordons(cluster)["refused_by"], "already-cordoned")
    wait_for("the cordon to end", lambda: "unschedulable" not in node["spec"] and condition(node) == "False", 30)
    bench.equal("nothing of ours is left", (marks(node), node["metadata"]["annotations"]), ([], {"a": "b"}))

    # The agent is killed: the next one, and where there is none, undo.
    cordons(cluster, "for=3s")
    cluster.agent.kill()
    bench.ok("it outlives its agent", node["spec"].get("unschedulable"), node)
    cluster.agent.start()
    wait_for("the next agent to end it", lambda: "unschedulable" not in node["spec"] and condition(node) == "False", 30)
    cordons(cluster, "for=1h")
    cluster.agent.kill()
    environment = {**os.environ, **dict(word.split("=", 1) for word in cluster.server.environment(cluster.folder)[1:])}
    undone = cluster.agent.cli("undo", env=environment)
    bench.ok("undo leaves what has time", undone[0] == 0 and node["spec"].get("unschedulable"), undone)
    undone = cluster.agent.cli("undo", "--all", env=environment)
    bench.equal("undo --all does not", (undone[0], undone[1], "unschedulable" in node["spec"], condition(node)),
                (0, "cordon: turned back, pods may come again\n", False, "False"))


def a_cordon_is_careful(bench):
    cluster = Cluster(bench)
    server = cluster.server
    node = server.add_node("n1")
    node["spec"]["unschedulable"] = True
    bench.equal("a person's cordon is left alone", cordons(cluster)["refused_by"], "already-cordoned")
    bench.equal("and is not marked", (marks(node), node["spec"]["unschedulable"], server.asked("PATCH")), ([], True, []))
    del node["spec"]["unschedulable"]

    other = server.add_node("n2", unschedulable=True)
    bench.equal("not while another node is cordoned", cordons(cluster)["refused_by"], "others-cordoned")
    bench.equal("but where that is allowed", cordons(cluster, "for=1h", "most_others=1")["outcome"], "fixed")
    cluster.agent.cli("undo")  # it has time: nothing is done
    node["spec"].pop("unschedulable")  # a person uncordons
    node["metadata"]["annotations"]["nodemend.io/cordoned-until"] = "2026-01-01T00:00:00.000Z"
    cluster.agent.kill()
    cluster.agent.start()
    wait_for("what a person did to be seen", lambda: not marks(node) and condition(node) == "False", 30)
    bench.ok("and left as it is", "unschedulable" not in node["spec"], node)

    # Two at one moment: who looks again gives back.
    del other["spec"]["unschedulable"]
    server.answers[("GET", "nodes?")] = [(200, {"kind": "NodeList", "items": []}), (200, {"kind": "NodeList", "items": [{"metadata": {"name": "n3"}}, {"metadata": {"name": "n1"}}]})]
    action = cordons(cluster)
    bench.ok("at the same time as another: given back", action["outcome"] == "rolled_back" and "unschedulable" not in node["spec"], action)
    server.answers[("PATCH", "/n1")] = [(409, status(409, "Conflict", "the object has been modified"))]
    bench.equal("changed by another at the same time: refused", cordons(cluster)["refused_by"], "node-changed")
    server.answers[("PATCH", "/n1")] = [(403, status(403, "Forbidden", "nodes is forbidden"))]
    action = cordons(cluster)
    bench.ok("not allowed: failed", action["outcome"] == "failed" and "403" in cluster.why(action), action)
    server.answers[("PATCH", "/n1/status")] = [(403, status(403, "Forbidden", "nodes/status is forbidden"))]
    action = cordons(cluster, "for=2s")
    bench.ok("without its condition it stands all the same", action["outcome"] == "fixed" and condition(node) == "False", action)
    wait_for("it to end", lambda: is_free(node), 30)

    # Taken, and the answer lost: a look tells. It was not taken: likewise.
    server.answers[("PATCH", "/n1")] = ["done, then hang up"]
    action = cordons(cluster, "for=3s")
    bench.ok("taken and not answered: a look finds it", action["outcome"] == "fixed" and node["spec"].get("unschedulable"), action)
    wait_for("it to end", lambda: is_free(node), 30)
    server.answers[("PATCH", "/n1")] = ["hang up"] * 4
    action = cordons(cluster, "for=3s")
    bench.ok("not taken and not answered: failed", action["outcome"] == "failed" and "unschedulable" not in node["spec"], action)
    server.answers.clear()
    # Taken, and nobody to be asked: failed, and given back in its time all the same.
    server.answers[("GET", "nodes?")] = [(200, {"kind": "NodeList", "items": []})]
    server.answers[("PATCH", "/n1")] = ["done, then hang up", "hang up", "hang up", "hang up"]
    server.when_patched = lambda: server.answers.update({("GET", "/n1"): ["hang up"] * 4})
    action = cordons(cluster, "for=3s")
    server.when_patched = lambda: None
    bench.ok("taken, and nobody to be asked: failed", action["outcome"] == "failed", action)
    server.answers.clear()
    wait_for("it to be given back", lambda: is_free(node), 40)


if __name__ == "__main__":
    harness.main(a_cordon_ends_in_its_time, a_cordon_is_careful, it_evicts_and_sees_the_pod_go, what_is_never_evicted, what_the_server_says, a_server_that_falls_silent, whom_it_does_not_trust, together=5)
