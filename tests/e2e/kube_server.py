# SPDX-License-Identifier: Apache-2.0
"""An API server as far as a node needs it: pods and their eviction over TLS with a bearer token, in the words of Kubernetes' own OpenAPI description
(v1.Pod, policy/v1 Eviction, meta/v1 Status) and of pkg/registry/core/pod/storage/eviction.go for what it says no with."""

import http.server
import json
import socket
import threading
import time
from pathlib import Path


def status(code, reason, message, causes=(), retry=0):
    details = {}
    if causes:
        details["causes"] = [{"reason": kind, "message": said} for kind, said in causes]
    if retry:
        details["retryAfterSeconds"] = retry
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "details": details, "code": code}


def pod(name, namespace="prod", node="n1", kind="ReplicaSet", **more):
    document = {
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "7", "annotations": more.get("annotations", {}),
                     "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": f"{name}-owner", "uid": "o", "controller": True}] if kind else []},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}], "priority": more.get("priority", 0),
                 "priorityClassName": more.get("priority_class", "")},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    return document


def merge(target, patch):
    """RFC 7386."""
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            merge(target.setdefault(name, {}), value)
        else:
            target[name] = value


class KubeServer:
    """`answers`: per (method, part of the path) a list that is taken from, one a request: (code, document), "hang", "hang up", or "done, then hang up"."""

    def __init__(self, bench, authority, token="t0ken-1"):
        self.pods, self.nodes, self.requests, self.answers = {}, {}, [], {}
        self.when_patched = lambda: None
        self.rotate = lambda: None  # called when a token is refused
        self.token, self.ends_after, self.lock = token, 0, threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self, code, document, headers=()):
                body = json.dumps(document).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def handle_one(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                with owner.lock:
                    owner.requests.append((self.command, self.path, dict(self.headers), body))
                    if self.headers.get("Authorization") != f"Bearer {owner.token}":
                        owner.rotate()
                        return self.reply(401, status(401, "Unauthorized", "Unauthorized"))
                    special = next((list_ for (method, part), list_ in owner.answers.items() if method == self.command and part in self.path and list_), None)
                    answer = special.pop(0) if special else None
                if answer == "hang":
                    time.sleep(30)
                    return None
                if answer == "hang up":
                    return self.hang_up()
                if answer and answer != "done, then hang up":
                    code, document, *headers = answer
                    return self.reply(code, document, headers)
                result = owner.handle(self.command, self.path, body)
                if answer:
                    return self.hang_up()
                return self.reply(*result)

            def hang_up(self):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def do_GET(self):
                self.handle_one()

            def do_PATCH(self):
                self.handle_one()

            def do_POST(self):
                self.handle_one()

            def log_message(self, *words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # who asked has hung up

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.socket = authority.server_context().wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        bench.stack.callback(self.server.server_close)
        bench.stack.callback(self.server.shutdown)

    def add(self, document):
        self.pods[(document["metadata"]["namespace"], document["metadata"]["name"])] = document

    def handle(self, method, path, body):
        parts = path.strip("/").split("/")
        if parts[2].startswith("nodes"):
            return self.handle_node(method, path, parts, body)
        assert parts[:3] == ["api", "v1", "namespaces"] and parts[4] == "pods", path
        key = (parts[3], parts[5])
        found = self.pods.get(key)
        if found and found.get("gone_at", float("inf")) <= time.monotonic():
            del self.pods[key]
            found = None
        if not found:
            return 404, status(404, "NotFound", f'pods "{parts[5]}" not found')
        if method == "GET":
            return 200, {name: value for name, value in found.items() if name != "gone_at"}
        assert parts[6:] == ["eviction"] and body["apiVersion"] == "policy/v1" and body["kind"] == "Eviction", (path, body)
        assert body["metadata"] == {"name": parts[5], "namespace": parts[3]}, body
        if body["deleteOptions"]["preconditions"]["uid"] != found["metadata"]["uid"]:
            return 409, status(409, "Conflict", "Precondition failed: UID in precondition: x, UID in object meta: y")
        found["metadata"]["deletionTimestamp"] = "2026-11-26T10:00:00Z"
        found["gone_at"] = time.monotonic() + self.ends_after
        return 201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    def add_node(self, name, unschedulable=False):
        self.nodes[name] = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "100", "annotations": {"a": "b"}},
                            "spec": {"podCIDR": "10.0.0.0/24", **({"unschedulable": True} if unschedulable else {})},
                            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}}
        return self.nodes[name]

    def handle_node(self, method, path, parts, body):
        if parts[2].startswith("nodes?"):
            assert "fieldSelector=spec.unschedulable%3Dtrue" in path, path
            return 200, {"kind": "NodeList", "apiVersion": "v1", "metadata": {}, "items": [node for node in self.nodes.values() if node["spec"].get("unschedulable")]}
        node = self.nodes.get(parts[3])
        if not node:
            return 404, status(404, "NotFound", f'nodes "{parts[3]}" not found')
        if method == "PATCH" and parts[4:] == ["status"]:
            for condition in body["status"]["conditions"]:  # merged by their type
                rest = [old for old in node["status"]["conditions"] if old["type"] != condition["type"]]
                node["status"]["conditions"] = rest + [condition]
        elif method == "PATCH":
            if body["metadata"].pop("resourceVersion", node["metadata"]["resourceVersion"]) != node["metadata"]["resourceVersion"]:
                return 409, status(409, "Conflict", "the object has been modified; please apply your changes to the latest version and try again")
            merge(node, body)
        if method == "PATCH":
            self.when_patched()
            node["metadata"]["resourceVersion"] = str(int(node["metadata"]["resourceVersion"]) + 1)
        return 200, node

    def asked(self, method, part=""):
        return [request for request in list(self.requests) if request[0] == method and part in request[1]]

    def credentials(self, folder, authority, token=None):
        folder.mkdir(exist_ok=True)
        Path(folder, "token").write_text(token or self.token)
        Path(folder, "token").chmod(0o600)
        Path(folder, "ca.crt").write_bytes(Path(authority.ca).read_bytes())
        return folder

    def environment(self, folder, node="n1"):
        return ["env", "KUBERNETES_SERVICE_HOST=127.0.0.1", f"KUBERNETES_SERVICE_PORT={self.port}", f"NODEMEND_KUBE_CREDENTIALS={folder}", f"NODE_NAME={node}"]
