#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""Receivers that are hard to live with: TLS that is not to be trusted, wrong credentials, silence, lies, and those that only know the older
protocol. What counts is that the agent does not notice, that the sender stays within its bounds, and that what happened is said and counted.
"""

import base64
import os
import threading
from pathlib import Path

import harness
from harness import MiB, wait_for
from receiver import Certificate, Receiver, series_of
from test_push import config, sender_of, total

NAME = "receiver.test"
NO = (401, {}, b"who are you\nsecond line")


def failed(agent, reason):
    return total(agent, "nodemend_output_failed_total", reason=reason)


def sent(agent):
    return total(agent, "nodemend_output_sent_total")


def secret_file(bench, name, text):
    path = Path(bench.dir, name)
    path.write_text(text)
    path.chmod(0o600)
    return path


def trusts(bench):
    """A private CA, and a token that rotates."""
    def answer(request):
        return (204, {}, b"") if request.headers.get("authorization") == f"Bearer {wanted}" else NO

    wanted = "first-token"
    certificate = Certificate(Path(bench.dir, "tls"), NAME)
    receiver = Receiver(bench, answer, tls=certificate)
    token = secret_file(bench, "token", wanted + "\n")
    ca = certificate.ca
    ca.chmod(0o600)
    agent = bench.agent(config(f"https://localhost:{receiver.port}/write",
                               f", ca_file: {ca}, server_name: {NAME}, bearer_token_file: {token}"))
    wait_for("a delivery over TLS", lambda: sent(agent), 30)
    bench.ok("TLS with a private CA and a name that is not the address's", receiver.requests[0].path == "/write")
    bench.equal("the Host is the address's", receiver.requests[0].headers["host"], f"localhost:{receiver.port}")

    wanted = "second-token"
    fresh = secret_file(bench, "token.new", wanted)
    os.rename(fresh, token)  # as the kubelet does
    wait_for("the new token", lambda: receiver.requests[-1].headers["authorization"] == "Bearer second-token", 30)
    bench.ok("a rotated token is read anew, which only root can", True)
    log = agent.log.read_text()
    bench.ok("no secret in the log", "-token" not in log, log)
    maps = Path(f"/proc/{agent.pid}/maps").read_text()
    bench.ok("no network library in the agent", "libcurl" not in maps and "libssl" not in maps)


def introduces_itself(bench):
    """A client certificate, a password and a header from a file; over the same output, and taken over by a reload."""
    right = "Basic " + base64.b64encode(b"user:pass-word").decode()
    server, client = Certificate(Path(bench.dir, "tls"), NAME), Certificate(Path(bench.dir, "client"), "a client")
    receiver = Receiver(bench, lambda request: (204, {}, b"") if request.headers.get("authorization") == right else NO, tls=server, client_ca=client.ca)
    password, key = secret_file(bench, "password", "pass-word\n"), secret_file(bench, "key", "api-key")
    options = f", ca_file: {server.ca}, server_name: {NAME}, username: user, password_file: {password}, header_files: {{X-Api-Key: {key}}}"
    agent = bench.agent(config(f"https://127.0.0.1:{receiver.port}/", options))
    wait_for("a refusal without a certificate", lambda: total(agent, "nodemend_output_failed_total") > 0, 30)
    bench.equal("not let in without a certificate", len(receiver.requests), 0)
    first = sender_of(agent)

    agent.config.write_text(config(f"https://127.0.0.1:{receiver.port}/", options + f", cert_file: {client.cert}, key_file: {client.key}"))
    code, _, errors = agent.cli("reload")
    bench.equal("a reload", code, 0) or bench.note(errors)
    wait_for("a delivery", lambda: sent(agent), 30)
    bench.ok("by another sender", sender_of(agent) not in (None, first))
    bench.equal("with the header from the file", receiver.requests[0].headers.get("x-api-key"), "api-key")
    bench.equal("an orderly change is no restart", total(agent, "nodemend_sender_restarts_total"), 0)
    log = agent.log.read_text()
    bench.ok("no secret in the log or in an argument", "pass-word" not in log and "api-key" not in log and not any(
        b"pass-word" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in harness.children_of(agent.pid)))
    wait_for("what was spooled before to be sent, too", lambda: total(agent, "nodemend_output_spool_bytes") == 0, 40)

    keys = next(pid for pid in harness.children_of(agent.pid) if Path(f"/proc/{pid}/comm").read_text() == "nm-keys\n")
    second = sender_of(agent)
    os.kill(keys, 9)
    wait_for("another sender with another reader of keys", lambda: sender_of(agent) not in (None, second), 20)
    before = sent(agent)
    wait_for("it to deliver", lambda: sent(agent) > before, 30)

    agent.config.write_text("interval: 1s\npolicies: []\n")
    bench.equal("a reload without outputs", agent.cli("reload")[0], 0)
    wait_for("the sender to be gone", lambda: sender_of(agent) is None, 20)
    agent.next_feed(2)
    bench.ok("and not back", sender_of(agent) is None)
    wait_for("the figures of outputs to be gone", lambda: not [name for name in agent.feed().metrics if name.startswith("nodemend_output_")], 20)


def refuses(bench):
    """Wrong CA, expired certificate, wrong name, wrong password: nothing is sent, it is said once, and there is no busy loop."""
    good, other = Certificate(Path(bench.dir, "tls"), NAME), Certificate(Path(bench.dir, "other"), NAME)
    expired = Certificate(Path(bench.dir, "expired"), NAME, days=-1)
    password = secret_file(bench, "password", "wrong-password")
    right = "Basic " + base64.b64encode(b"user:right-password").decode()
    cases = [
        ("wrong-ca", good, f"ca_file: {other.ca}, server_name: {NAME}", "tls"),
        ("expired", expired, f"ca_file: {expired.ca}, server_name: {NAME}", "tls"),
        ("wrong-name", good, f"ca_file: {good.ca}, server_name: somebody.else", "tls"),
        ("host-cas", good, f"server_name: {NAME}", "tls"),
        ("no-ca", good, f"ca_file: {bench.dir}/none.pem, server_name: {NAME}", "secret"),
        ("wrong-password", None, f"username: user, password_file: {password}", "status"),
    ]
    text, receivers = "interval: 250ms\npolicies: []\noutputs:\n", {}
    for name, tls, options, _ in cases:
        receivers[name] = Receiver(bench, lambda request: (204, {}, b"") if request.headers.get("authorization") == right else NO, tls=tls)
        scheme = "https" if tls else "http"
        text += f"  - remote-write: {{name: {name}, url: \"{scheme}://127.0.0.1:{receivers[name].port}/\", every: 1s, {options}}}\n"
    agent = bench.agent(text)
    for name, _, _, reason in cases:
        wait_for(f"{name} to fail", lambda: agent.feed().total("nodemend_output_failed_total", output=name, reason=reason) >= 2, 40)
        bench.equal(f"{name}: nothing is sent", agent.feed().total("nodemend_output_sent_total", output=name), 0)
    agent.next_feed(5)
    log = agent.log.read_text()
    for name, tls, _, _ in cases:
        bench.equal(f"{name}: said once", sum(f"output {name}:" in line for line in log.splitlines()), 1)
        # One a second is what there is to send; waits grow from there.
        seconds = harness.time.monotonic() - agent.started
        tries = agent.feed().total("nodemend_output_failed_total", output=name)
        bench.ok(f"{name}: no busy loop", tries <= 2 * seconds + 3, f"{tries} tries in {seconds:.0f} s")
        if tls:
            bench.equal(f"{name}: not one request was let through", len(receivers[name].requests), 0)
    bench.ok("the first line of the answer is said, not the second", "who are you" in log and "second line" not in log)
    bench.ok("no secret in the log", "wrong-password\n" not in log and "dXNlcjp3cm9uZy1wYXNzd29yZA" not in log)
    dropped = agent.feed().total("nodemend_output_dropped_total", output="wrong-password", reason="refused")
    bench.ok("what was refused is dropped and counted", dropped > 0, dropped)


def every_kind(bench):
    """What holds for remote write holds for all that go over HTTP: wrong CA, expired certificate, wrong token, wrong password; and the right ones."""
    good, other = Certificate(Path(bench.dir, "tls"), NAME), Certificate(Path(bench.dir, "other"), NAME)
    expired = Certificate(Path(bench.dir, "expired"), NAME, days=-1)
    right, wrong = secret_file(bench, "right", "right-secret"), secret_file(bench, "wrong", "wrong-secret")
    basic = "Basic " + base64.b64encode(b"user:right-secret").decode()
    who = {"wrong-ca": (good, other, f"bearer_token_file: {right}", "tls"), "expired": (expired, expired, f"bearer_token_file: {right}", "tls"),
           "token": (good, good, f"bearer_token_file: {wrong}", "status"), "basic": (good, good, f"username: user, password_file: {right}", None)}
    kinds = {"otlp": "every: 1s, url", "alertmanager": "resend: 1s, urls", "webhook": "url"}
    receivers, text = {}, ""
    for kind, key in kinds.items():
        for name, (tls, ca, secret, _) in who.items():
            receiver = receivers[kind, name] = Receiver(bench, lambda request: (200, {}, b"") if request.headers.get("authorization") == basic else NO, tls=tls)
            url = f"https://127.0.0.1:{receiver.port}/"
            url = f'["{url}"]' if key.endswith("urls") else f'"{url}"'
            text += f"  - {kind}: {{name: {kind}-{name}, {key}: {url}, ca_file: {ca.ca}, server_name: {NAME}, {secret}}}\n"
    agent = bench.agent("interval: 250ms\nstartup_grace: 0s\npolicies:\n  - name: always\n    when: {memory: {used_percent: {above: 0.01, clear: 0.001}}}\n"
                        f"    mode: observe\nroutes: [{', '.join('{to: webhook-' + name + ', group_wait: 0s}' for name in who)}]\noutputs:\n{text}")
    for (kind, name), receiver in receivers.items():
        reason = who[name][3]
        of = lambda metric, **labels: agent.feed().total(f"nodemend_output_{metric}_total", output=f"{kind}-{name}", **labels)
        if reason == "tls":
            wait_for(f"{kind} {name} to fail", lambda: of("failed", reason="tls"), 40)
            bench.equal(f"{kind}, {name}: not one request was let through", (len(receiver.requests), of("sent")), (0, 0))
        elif reason:
            wait_for(f"{kind} {name} to be refused", lambda: of("dropped", reason="refused"), 40)
            bench.equal(f"{kind}, wrong {name}: nothing is sent", of("sent"), 0)
        else:
            wait_for(f"{kind} to deliver", lambda: of("sent"), 40)
            bench.equal(f"{kind}, private CA and password: it arrives", of("failed"), 0)
    bench.ok("no secret in the log", "-secret" not in agent.log.read_text())


def hostile(bench):
    """Silence, garbage, a gigabyte, redirects, endless headers, a 100 that never ends: all at once beside one that behaves."""
    def gigabyte(out):
        block = b"x" * MiB
        for _ in range(1024):
            out.write(block)

    def forever_100(out):
        while not finished.wait(0.01):
            out.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    def headers_forever(out):
        while not finished.wait(0.001):
            out.write(b"x-more: " + b"y" * 4000 + b"\r\n")

    def redirect(request):
        return 302, {"Location": f"http://127.0.0.1:{trap.port}/"}, b""

    finished = threading.Event()
    bench.stack.callback(finished.set)
    trap, good = Receiver(bench), Receiver(bench)
    raw = {"continues": forever_100, "headers": headers_forever}
    receivers = {
        "silent": Receiver(bench, lambda request: None),
        "garbage": Receiver(bench, lambda request: (200, {}, b"\0\xff garbage")),
        "gigabyte": Receiver(bench, lambda request: (200, {}, gigabyte)),
        "redirects": Receiver(bench, redirect),
        "busy": Receiver(bench, lambda request: (429, {"Retry-After": "3600"}, b"")),
    }
    ports = {name: receiver.port for name, receiver in receivers.items()}
    for name, stream in raw.items():
        ports[name] = raw_server(bench, stream)
    ports["dead"] = harness.free_port()

    quiet = bench.agent("interval: 250ms\npolicies: []\n", name="quiet")
    text = f"interval: 250ms\npolicies: []\noutputs:\n  - remote-write: {{name: good, url: \"http://127.0.0.1:{good.port}/\", every: 1s}}\n"
    patience = {name: "30s" for name in ("garbage", "redirects", "busy")}  # these answer, on a busy machine later
    for name, port in ports.items():
        text += f"  - remote-write: {{name: {name}, url: \"http://127.0.0.1:{port}/\", every: 1s, timeout: {patience.get(name, '2s')}, connect_timeout: 1s}}\n"
    agent = bench.agent(text)

    def of(output, metric, **labels):
        return agent.feed().total(f"nodemend_output_{metric}", output=output, **labels)

    wait_for("the silent one to time out twice", lambda: of("silent", "failed_total", reason="timeout") >= 2, 40)
    for name in ("dead", "continues", "headers"):
        wait_for(f"{name} to fail", lambda: of(name, "failed_total") >= 2, 40)
    wait_for("a refused redirect", lambda: of("redirects", "failed_total", reason="status"), 30)
    bench.equal("a redirect is not followed", len(trap.requests), 0)
    bench.ok("a receiver that says 200 has taken it, whatever else it says", of("garbage", "sent_total") > 0 and of("gigabyte", "sent_total") > 0)
    bench.equal("Retry-After is honoured: one request, no more", len(receivers["busy"].requests), 1)
    bench.ok("no request repeats the one before too soon", len(receivers["silent"].requests) < 20)

    start, other = agent.feed().document["seq"], quiet.feed().document["seq"]
    wait_for("ten more ticks", lambda: agent.feed().document["seq"] >= start + 10, 60)
    ticks, others = agent.feed().document["seq"] - start, quiet.feed().document["seq"] - other
    bench.ok("the agent's ticks are those of one without outputs", abs(ticks - others) <= 1, f"{ticks} and {others}")
    bench.ok("the one that behaves gets them all", of("good", "sent_total") > 1000 and of("good", "dropped_total") == 0)

    rss = int(next(line.split()[1] for line in Path(f"/proc/{sender_of(agent)}/status").read_text().splitlines() if line.startswith("VmHWM"))) / 1024
    bench.note(f"the sender's most memory, with {len(ports) + 1} outputs: {rss:.1f} MiB")
    bench.ok("the sender's memory stays within its bound", rss < 26 + 5 * (len(ports) + 1), f"{rss} MiB")
    bench.equal("one sender all along", total(agent, "nodemend_sender_restarts_total"), 0)


def raw_server(bench, stream):
    """Accepts, reads a little, and then only what `stream` writes comes."""
    server = harness.socket.create_server(("127.0.0.1", 0))
    bench.stack.callback(server.close)

    def serve():
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(peer,), daemon=True).start()

    def talk(peer):
        with harness.contextlib.suppress(OSError), peer, peer.makefile("wb", buffering=0) as out:
            peer.recv(1000)
            if stream.__name__ == "headers_forever":
                out.write(b"HTTP/1.1 200 OK\r\n")
            stream(out)

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


def first_time(rows):
    return next(samples[0][0] for _, samples, _ in rows if samples)


def newer(bench):
    """2.0 against receivers of the test's own: one that takes it all, one that says it wrote less, and two that only know 1.0 (test_push has real ones)."""
    def wrote(request, less=0):
        rows = series_of(request)
        return 204, {"X-Prometheus-Remote-Write-Samples-Written": str(sum(len(samples) for _, samples, _ in rows) - less),
                     "X-Prometheus-Remote-Write-Histograms-Written": str(sum(native for _, _, native in rows))}, b""

    def only_1(request):
        return (204, {}, b"") if request.headers["x-prometheus-remote-write-version"] == "0.1.0" else (415, {}, b"2.0? No.")

    modern, sparing = Receiver(bench, wrote), Receiver(bench, lambda request: wrote(request, 3))
    old, unaware = Receiver(bench, only_1), Receiver(bench)
    # As few series as there can be: the receivers read them in Python.
    agent = bench.agent("interval: 1s\ntop_processes: 3\ncollectors: {syscall: false, host: false, sched: false, tcp: false, block: false, reclaim: false}\n"
                        "policies: []\noutputs:\n" + "".join(
        f"  - remote-write: {{name: {name}, url: \"http://127.0.0.1:{receiver.port}/\", every: 1s, version: 2, native_histograms: true}}\n"
        for name, receiver in (("modern", modern), ("sparing", sparing), ("old", old), ("unaware", unaware))))
    wait_for("requests", lambda: len(modern.requests) > 3 and min(len(old.requests), len(unaware.requests)) > 5, 30)

    request = modern.requests[0]
    bench.equal("2.0's content type", request.headers["content-type"], "application/x-protobuf;proto=io.prometheus.write.v2.Request")
    bench.equal("and version", request.headers["x-prometheus-remote-write-version"], "2.0.0")
    rows = [row for request in modern.requests for row in series_of(request)]
    ticks = [row for row in rows if row[0]["__name__"] == "nodemend_ticks_total"]
    bench.ok("series by symbols", len(ticks) >= 2 and ticks[0][1][0][1] >= 1 and ticks[0][0]["job"] == "nodemend", ticks[:2])
    bench.ok("labels sorted by name", all(list(labels) == sorted(labels) for labels, _, _ in rows))
    bench.ok("native histograms", any(native and labels["__name__"] == "nodemend_tick_seconds" for labels, _, native in rows))

    for name, receiver in (("old", old), ("unaware", unaware)):
        tried = [(r.headers["x-prometheus-remote-write-version"], first_time(series_of(r))) for r in list(receiver.requests)]
        # What was made before the first answer came is 2.0 yet, and comes again as 1.0; what was made later is 1.0 at once.
        newer, older = ({when for version, when in tried if version == wanted} for wanted in ("2.0.0", "0.1.0"))
        bench.ok(f"{name}: 2.0 was tried, and 1.0 from there on", tried[0][0] == "2.0.0" and max(newer) < max(older) and newer <= older, tried)
        first = {(labels["__name__"], str(sorted(labels.items()))): samples for labels, samples, _ in series_of(receiver.requests[0])}
        again = next(r for r in receiver.requests if r.headers["x-prometheus-remote-write-version"] == "0.1.0")
        second = {(labels["__name__"], str(sorted(labels.items()))): samples for labels, samples, _ in series_of(again)}
        bench.ok(f"{name}: the first comes again with the same samples", first == second and first, f"{len(first)} and {len(second)} series")
    feed = agent.next_feed()
    bench.equal("nothing was dropped", sum(feed.total("nodemend_output_dropped_total", output=name) for name in ("modern", "old", "unaware")), 0)
    dropped, requests = feed.total("nodemend_output_dropped_total", output="sparing", reason="refused"), len(sparing.requests)
    bench.ok("what was not written is counted", 0 < dropped <= 3 * requests and dropped % 3 == 0, f"{dropped} after {requests} requests")


if __name__ == "__main__":
    raise SystemExit(harness.main(hostile, every_kind, refuses, introduces_itself, trusts, newer, together=2))
