#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# wire: it measures nothing of the node
"""Webhooks and mails from a real agent to real servers: over TLS by a private CA, with passwords from files, and to receivers that refuse,
dawdle or hang up. What was told is not told again by a new sender.
"""

import email
import email.policy
import importlib.util
import logging
import os
import signal
from pathlib import Path

import filling
import harness
from harness import wait_for
from receivers import Authority, Mails, Webhooks

FAST = "group_wait: 200ms"
logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # what aiosmtpd thinks of us


def secret(bench, name, content):
    path = Path(bench.dir, name)
    path.write_text(content + "\n")
    path.chmod(0o600)
    return path


def sender_of(agent):
    for pid in harness.children_of(agent.pid):
        if Path(f"/proc/{pid}/comm").read_text().strip() == "nm-sender":
            return pid
    return None


def states(documents):
    return [document["incidents"][0]["state"] for document in documents]


def all_three_webhooks(bench):
    authority = Authority(bench)
    hooks = Webhooks(bench, authority)
    a = filling.Filling(bench, "a")
    key, token, url = secret(bench, "key", "R0UTING"), secret(bench, "token", "t0ken"), secret(bench, "url", hooks.url("s3cret-slack"))
    template = Path(bench.dir, "template.json")
    template.write_text('{"text": "{{title}}", "nested": [{"id": "{{ id }}"}]}')
    common = f"ca_file: {authority.ca}"
    outputs = f"""  - webhook: {{name: plain, url: "{hooks.url('plain')}", bearer_token_file: {token}, {common}}}
  - webhook: {{name: slack, url_file: {url}, format: slack, {common}}}
  - webhook: {{name: pager, url: "{hooks.url('pager')}", format: pagerduty, routing_key_file: {key}, {common}}}
  - webhook: {{name: own, url: "{hooks.url('own')}", template: {template}, {common}}}"""
    routes = "[" + ", ".join(f"{{to: {name}, {FAST}}}" for name in ("plain", "slack", "pager", "own")) + "]"
    agent = bench.agent(filling.config([a], outputs, routes))
    a.fill(60)
    incident = wait_for("the incident", lambda: agent.incidents(state="open"), 30)[0]
    for path in ("plain", "s3cret-slack", "pager", "own"):
        wait_for(f"the first of {path}", lambda path=path: hooks.documents(path), 30)
    a.empty()
    for path in ("plain", "s3cret-slack", "pager", "own"):
        wait_for(f"the end of {path}", lambda path=path: len(hooks.documents(path)) >= 2, 30)

    plain = hooks.documents("plain")
    bench.equal("generic: opened, then resolved", states(plain), ["open", "resolved"])
    bench.equal("generic: the incident's id", plain[0]["incidents"][0]["id"], incident["id"])
    bench.equal("generic: with the token", next(h for p, h, _ in hooks.requests if p == "/plain").get("Authorization"), "Bearer t0ken")
    events = hooks.documents("pager")
    bench.equal("PagerDuty: a trigger, then its end", [e["event_action"] for e in events], ["trigger", "resolve"])
    bench.equal("PagerDuty: of one alert, by our key", {(e["dedup_key"], e["routing_key"]) for e in events}, {(incident["id"], "R0UTING")})
    slack = hooks.documents("s3cret-slack")
    bench.ok("Slack: text and blocks", slack[0]["text"].startswith("[warning] n1: disk exhaustion") and slack[0]["blocks"], slack[0])
    bench.equal("a template: filled", hooks.documents("own")[0]["nested"], [{"id": incident["id"]}])
    kept = [path.read_bytes() for path in agent.state_dir.rglob("*") if path.is_file()]
    said = agent.log.read_bytes() + b"".join(kept)
    for what in (b"R0UTING", b"t0ken", b"s3cret-slack"):
        bench.ok(f"{what.decode()} is in no log and on no disk", what not in said)


def receivers_that_fail(bench):
    """Refused is dropped and counted; slow, hung up and 5xx are tried again; and the order stays."""
    authority = Authority(bench)
    hooks = Webhooks(bench, authority)
    a = filling.Filling(bench, "a")
    output = f'  - webhook: {{name: hook, url: "{hooks.url("x")}", ca_file: {authority.ca}, timeout: 1s}}'
    agent = bench.agent(filling.config([a], output, f"[{{to: hook, {FAST}}}]"))
    hooks.answers = [400]
    a.fill(60)
    wait_for("the refusal", lambda: not hooks.answers, 30)
    hooks.answers = [3.0, "hang up", 503]
    a.fill(95)
    wait_for("one that is taken in the end", lambda: hooks.documents("x"), 60)
    a.empty()
    wait_for("the end", lambda: len(hooks.documents("x")) >= 2, 60)
    told = [d["incidents"][0] for d in hooks.documents("x")]
    # A slow one may have taken what it was slow about, and then gets it again: at least once is the rule.
    distinct = [t for i, t in enumerate(told) if i == 0 or (t["state"], t["severity"]) != (told[i - 1]["state"], told[i - 1]["severity"])]
    bench.equal("what was refused is not sent again, the rest in its order", [(t["state"], t["severity"]) for t in distinct],
                [("open", "critical"), ("resolved", "critical")])
    feed = agent.next_feed()
    bench.equal("the refusal is counted", feed.total("nodemend_output_dropped_total", output="hook", reason="refused"), 1)
    bench.ok("failures are counted", feed.total("nodemend_output_failed_total", output="hook") >= 3)


def a_new_sender_tells_nothing_again(bench):
    authority = Authority(bench)
    hooks = Webhooks(bench, authority)
    a, b = filling.Filling(bench, "a"), filling.Filling(bench, "b")
    output = f'  - webhook: {{name: hook, url: "{hooks.url("x")}", ca_file: {authority.ca}}}'
    agent = bench.agent(filling.config([a, b], output, f"[{{to: hook, {FAST}}}]"))
    a.fill(60)
    b.fill(60)
    wait_for("both", lambda: len(hooks.documents("x")) == 2, 30)
    b.empty()
    wait_for("the end of one", lambda: len(hooks.documents("x")) == 3, 30)
    told = Path(agent.state_dir, "spool", "hook.told")
    wait_for("it is remembered", lambda: told.exists() and told.read_text().count('"told_state":"resolved"') == 1, 30)

    os.kill(sender_of(agent), signal.SIGKILL)
    wait_for("a new sender", lambda: agent.feed().total("nodemend_sender_restarts_total") == 1 and sender_of(agent), 30)
    a.empty()
    wait_for("the end of the other, from the new one", lambda: len(hooks.documents("x")) >= 4, 30)
    agent.stop()
    agent.start()
    b.fill(60)
    wait_for("news after a restart of the agent", lambda: len(hooks.documents("x")) >= 5, 30)
    bench.equal("each is told once", states(hooks.documents("x")), ["open", "open", "resolved", "resolved", "open"])
    threads = [document["thread"] for document in hooks.documents("x")]
    bench.ok("ends belong to their beginnings", set(threads[:2]) == set(threads[2:4]) and threads[4] not in threads[:4], threads)


def flapping(bench):
    authority = Authority(bench)
    hooks = Webhooks(bench, authority)
    a = filling.Filling(bench, "a")
    output = f'  - webhook: {{name: hook, url: "{hooks.url("x")}", ca_file: {authority.ca}}}'
    agent = bench.agent(filling.config([a], output, "[{to: hook, group_wait: 0s, flap_count: 2, flap_within: 8s}]"))
    for i in range(5):
        a.fill(60)
        wait_for("it opens", lambda i=i: len(agent.incidents()) == i + 1, 30)
        a.empty()
        wait_for("it ends", lambda: not agent.incidents(state="open"), 30)
    flaps = lambda: [d["incidents"][0]["state"] for d in hooks.documents("x") if d["incidents"][0]["flapping"]]
    wait_for("it is told that it is calm", lambda: "resolved" in flaps(), 60)
    bench.equal("it flaps, and is calm: once each", flaps(), ["open", "resolved"])
    others = {d["incidents"][0]["id"] for d in hooks.documents("x") if not d["incidents"][0]["flapping"]}
    bench.ok("of five incidents at most two are told of", 1 <= len(others) <= 2, others)


def mails(bench):
    if not importlib.util.find_spec("aiosmtpd"):
        bench.skip("a real SMTP server", "python3-aiosmtpd is not installed (scripts/deps.sh test)")
        return
    authority = Authority(bench)
    server = Mails(bench, authority)
    a = filling.Filling(bench, "a", "a\u00e9 b")
    password = secret(bench, "password", "s3cret")
    output = (f'  - mail: {{name: ops, server: "smtp://127.0.0.1:{server.port}", from: nodemend@example.org, to: [ops@example.org, boss@example.org],'
              f" username: ops, password_file: {password}, ca_file: {authority.ca}}}")
    config = filling.config([a], output, f"[{{to: ops, {FAST}}}]").replace("n1", '"n\u00e91"')
    server.codes = ["450 later", "450 later", "250 OK", "550 no such user"]
    agent = bench.agent(config)
    a.fill(60)
    wait_for("the first mail, after it was told to come again", lambda: server.mails, 60)
    bench.ok("codes were heeded", not server.codes, server.codes)
    a.empty()
    wait_for("the second", lambda: len(server.mails) >= 2, 60)
    server.codes = ["550 no", "550 no"]
    a.fill(60)
    wait_for("the one that is refused for good", lambda: not server.codes, 60)
    a.empty()
    wait_for("the one after it", lambda: len(server.mails) >= 3, 60)

    first, second = (email.message_from_bytes(raw, policy=email.policy.default) for _, _, raw in server.mails[:2])
    bench.equal("from whom", server.mails[0][0], "nodemend@example.org")
    bench.equal("to both", server.mails[1][1], ["ops@example.org", "boss@example.org"])
    bench.equal("the subject, whatever its letters", first["Subject"], f"[warning] n\u00e91: disk exhaustion of {a.where}")
    bench.ok("the second ends it", second["Subject"].startswith("[resolved] "), second["Subject"])
    bench.equal("they are one thread", second["In-Reply-To"], first["Message-ID"])
    bench.equal("and answer nobody", first["Auto-Submitted"], "auto-generated")
    bench.ok("no defects", not first.defects and not second.defects, first.defects)
    feed = agent.next_feed()
    bench.equal("the refused one is counted", feed.total("nodemend_output_dropped_total", output="ops", reason="refused"), 1)
    bench.ok("the password is in no log", "s3cret" not in agent.log.read_text())


def without_tls_nothing_is_sent(bench):
    if not importlib.util.find_spec("aiosmtpd"):
        bench.skip("a real SMTP server", "python3-aiosmtpd is not installed (scripts/deps.sh test)")
        return
    a = filling.Filling(bench, "a")
    password = secret(bench, "password", "s3cret")
    late = Authority(bench, "late", days=-1)
    cases = {"stranger": (Mails(bench, Authority(bench)), Authority(bench, "another").ca), "late": (Mails(bench, late), late.ca)}
    output = "\n".join(f'  - mail: {{name: {name}, server: "smtp://127.0.0.1:{server.port}", from: a@example.org, to: [b@example.org],'
                       f" username: ops, password_file: {password}, ca_file: {ca}}}" for name, (server, ca) in cases.items())
    agent = bench.agent(filling.config([a], output, "[" + ", ".join(f"{{to: {name}, {FAST}}}" for name in cases) + "]"))
    a.fill(60)
    for name, what in (("stranger", "by a stranger"), ("late", "that has expired")):
        failed = lambda name=name: agent.feed().total("nodemend_output_failed_total", output=name, reason="tls")
        bench.ok(f"a certificate {what} is a failure of TLS", wait_for("the failure", failed, 30))
        bench.equal(f"no mail to one with a certificate {what}", cases[name][0].mails, [])


def tls_from_the_first_byte(bench):
    if not importlib.util.find_spec("aiosmtpd"):
        bench.skip("a real SMTP server", "python3-aiosmtpd is not installed (scripts/deps.sh test)")
        return
    authority = Authority(bench)
    server = Mails(bench, authority, implicit=True)
    a = filling.Filling(bench, "a")
    output = (f'  - mail: {{name: ops, server: "smtps://127.0.0.1:{server.port}", from: a@example.org, to: [b@example.org],'
              f" username: ops, password_file: {secret(bench, 'password', 'wr0ng')}, ca_file: {authority.ca}}}")
    agent = bench.agent(filling.config([a], output, f"[{{to: ops, {FAST}}}]"))
    a.fill(60)
    wait_for("a login that is refused", lambda: agent.feed().total("nodemend_output_failed_total", output="ops", reason="status"), 30)
    bench.equal("no mail by the wrong password", server.mails, [])
    # The file is read again after a refusal that may be about it, at the latest a minute later: a new sender does so at once.
    secret(bench, "password", "s3cret")
    os.kill(sender_of(agent), signal.SIGTERM)
    bench.ok("the mail goes once the password is right", wait_for("the mail", lambda: server.mails, 90))


def a_server_without_tls_gets_nothing(bench):
    if not importlib.util.find_spec("aiosmtpd"):
        bench.skip("a real SMTP server", "python3-aiosmtpd is not installed (scripts/deps.sh test)")
        return
    server = Mails(bench, None)
    a = filling.Filling(bench, "a")
    output = lambda more: f'  - mail: {{name: ops, server: "smtp://127.0.0.1:{server.port}", from: a@example.org, to: [b@example.org]{more}}}'
    agent = bench.agent(filling.config([a], output(""), f"[{{to: ops, {FAST}}}]"))
    a.fill(60)
    bench.ok("no STARTTLS is a failure of TLS",
             wait_for("the failure", lambda: agent.feed().total("nodemend_output_failed_total", output="ops", reason="tls"), 30))
    bench.equal("no mail", server.mails, [])
    agent.config.write_text(filling.config([a], output(", starttls: false"), f"[{{to: ops, {FAST}}}]"))
    bench.equal("reload", agent.cli("reload")[0], 0)
    bench.ok("what waited is sent where that is wanted", wait_for("the mail", lambda: server.mails, 60))


def routes_choose(bench):
    authority = Authority(bench)
    hooks = Webhooks(bench, authority)
    a, b = filling.Filling(bench, "a"), filling.Filling(bench, "b")
    outputs = "\n".join(f'  - webhook: {{name: {name}, url: "{hooks.url(name)}", ca_file: {authority.ca}}}' for name in ("one", "two", "three"))
    routes = (f"[{{to: one, policies: [a-warning], {FAST}}}, {{to: two, severity: [critical], states: [open], {FAST}}},"
              " {to: three, group_by: [kind], group_wait: 3s}]")
    agent = bench.agent(filling.config([a, b], outputs, routes))
    a.fill(60)
    b.fill(95)
    wait_for("both incidents", lambda: len(agent.incidents(state="open")) == 2, 30)
    b_id = next(i["id"] for i in agent.incidents() if i["resource"]["mountpoint"] == str(b.where))
    wait_for("the group's message", lambda: hooks.documents("three"), 30)
    ids = lambda path: [[i["id"] for i in d["incidents"]] for d in hooks.documents(path)]
    bench.equal("a group is one message", [sorted(ids("three")[0]), len(ids("three"))], [sorted(i["id"] for i in agent.incidents()), 1])
    bench.ok("by policy", all(b_id not in row for row in ids("one")) and ids("one"), ids("one"))
    bench.equal("by severity", ids("two"), [[b_id]])
    b.empty()
    wait_for("its end", lambda: len(ids("two")) == 2, 30)
    bench.equal("what was told is told to be over", states(hooks.documents("two")), ["open", "resolved"])


def check_reads_templates(bench):
    template, config = Path(bench.dir, "t.json"), Path(bench.dir, "c.yaml")
    config.write_text(f'outputs:\n  - webhook: {{name: x, url: "https://127.0.0.1/", template: {template}}}\n')
    code, _, err = harness.run_cli("check", str(config))
    bench.ok("one that is missing", code == 2 and "cannot be read" in err, err)
    template.write_text('{\n  "a": "{{titel}}"\n}')
    code, _, err = harness.run_cli("check", str(config))
    bench.ok("a wrong field, by line and column", code == 2 and f"{template}:2:11: unknown field" in err, err)
    template.write_text('{\n  "a": "{{title}}"\n}')
    bench.equal("and a right one", harness.run_cli("check", str(config))[0], 0)


if __name__ == "__main__":
    raise SystemExit(harness.main(all_three_webhooks, flapping, receivers_that_fail, a_new_sender_tells_nothing_again, mails,
                                  without_tls_nothing_is_sent, tls_from_the_first_byte, a_server_without_tls_gets_nothing, routes_choose,
                                  check_reads_templates, together=4))
