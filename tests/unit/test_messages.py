#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What webhooks and mails say, against what their receivers take: our JSON Schema, the fields that Slack and PagerDuty document as
required and their limits, Python's own mail parser, and golden files (UPDATE_GOLDEN=1 writes them). NODEMEND_BUILD names the build folder.
"""

import copy
import email
import email.policy
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("NODEMEND_BUILD", ROOT / "build")) / "tests" / "unit" / "test_message"
GOLDEN = ROOT / "tests" / "golden" / "push"
failed = 0


def check(name, why):
    global failed
    failed += bool(why)
    print(f"not ok {name}: {why}" if why else f"ok {name}")


def printed(*words):
    return subprocess.run([PROGRAM, *words], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode("utf-8", "strict")


def golden(name, text):
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_bytes(text.encode())
    wanted = path.read_bytes().decode() if path.exists() else ""
    lines = zip((text + "\n").splitlines(), (wanted + "\n").splitlines())
    first = next((f"line {i}: {a!r}, wanted {b!r}" for i, (a, b) in enumerate(lines, 1) if a != b), "its length")
    check(f"golden {name}", text != wanted and first)


def schema():
    known = json.loads((ROOT / "docs" / "schema" / "webhook.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(known)
    validator.check_schema(known)
    first = lambda document: next((f"{e.json_path}: {e.message[:150]}" for e in validator.iter_errors(document)), None)
    for how in ("plain", "hostile", "changed", "many"):
        check(f"schema, {how}", first(json.loads(printed("json", how))))
    # Documents that must not pass: a schema that takes everything proves nothing.
    spoil = {
        "an unknown status": lambda d: d.update(status="fine"),
        "nothing to tell": lambda d: d["incidents"].clear(),
        "no id": lambda d: d["incidents"][0].pop("id"),
        "an unknown member": lambda d: d["incidents"][0].update(more=1),
        "a share beyond one": lambda d: d["incidents"][0]["cause"].update(share=97),
        "two lines in one": lambda d: d["incidents"][0].update(title="a\nb"),
        "null for what is not known": lambda d: d["incidents"][0]["signal"].update(value=None),
        "local time": lambda d: d.update(time="2026-11-24T01:52:55+01:00"),
    }
    whole = json.loads(printed("json", "plain"))
    for name, change in spoil.items():
        document = copy.deepcopy(whole)
        change(document)
        check(f"the schema refuses {name}", None if first(document) else "it takes it")


def slack_fault(document):
    """https://api.slack.com/messaging/webhooks and its block reference."""
    if not isinstance(document.get("text"), str) or not 1 <= len(document["blocks"]) <= 50:
        return "text and 1 to 50 blocks are required"
    for block in document["blocks"]:
        text = block.get("text", {})
        if block["type"] == "header" and not (text.get("type") == "plain_text" and 1 <= len(text["text"]) <= 150):
            return "header: plain_text of 1 to 150 characters"
        if block["type"] == "section" and not (text.get("type") in ("mrkdwn", "plain_text") and 1 <= len(text["text"]) <= 3000):
            return "section: text of 1 to 3000 characters"
        if block["type"] == "context" and not 1 <= len(block["elements"]) <= 10:
            return "context: 1 to 10 elements"
        if text.get("type") == "mrkdwn" and any(sign in text["text"] for sign in "<>"):
            return "mrkdwn: < and > are control characters"
    return "<!" in document["text"] and "a mention in the text"


def pagerduty_fault(event):
    """https://developer.pagerduty.com/docs/events-api-v2/trigger-events/"""
    if event.get("event_action") not in ("trigger", "acknowledge", "resolve") or not event.get("routing_key"):
        return "event_action and routing_key are required"
    if not 1 <= len(event.get("dedup_key", "")) <= 255:
        return "dedup_key: 1 to 255 characters, required to acknowledge and resolve"
    if event["event_action"] != "trigger":
        return "payload" in event and "only a trigger has a payload"
    payload = event["payload"]
    if not payload.get("source") or not 1 <= len(payload.get("summary", "")) <= 1024:
        return "summary of at most 1024 characters and source are required"
    return payload.get("severity") not in ("critical", "error", "warning", "info") and "severity is not one of four"


def webhooks():
    for how in ("plain", "hostile", "changed", "many"):
        check(f"slack takes it, {how}", slack_fault(json.loads(printed("slack", how))))
        events = [json.loads(line) for line in printed("pagerduty", how).splitlines()]
        check(f"pagerduty takes it, {how}", next(filter(None, map(pagerduty_fault, events)), None) if events else "no event")
        golden(f"webhook-{how}.json", printed("json", how))
        golden(f"slack-{how}.json", printed("slack", how))
        golden(f"pagerduty-{how}.jsonl", printed("pagerduty", how))
        filled = printed("template", str(GOLDEN / "template.json"), how)
        json.loads(filled)
        golden(f"template-{how}.json", filled)


def mails():
    for how in ("plain", "hostile", "changed", "many"):
        raw = printed("mail", how)
        golden(f"mail-{how}.eml", raw)
        mail = email.message_from_string(raw.replace("\r\n", "\n"), policy=email.policy.default)
        wanted = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "X-Nodemend-Incident",
                  "MIME-Version", "Content-Type", "Content-Transfer-Encoding"]
        wanted[5:5] = ["In-Reply-To", "References"] if how == "changed" else []
        check(f"mail has its headers and no other, {how}", list(mail.keys()) != wanted and str(mail.keys()))
        check(f"mail parses without a defect, {how}", mail.defects or [h for h in mail.values() if getattr(h, "defects", None)])
        first = mail.get_content().splitlines()[0]
        title = mail["Subject"] if how != "many" else mail["Subject"].removesuffix(", and 2 more")
        check(f"mail's subject is its first line, {how}", first != title and f"{first!r}, {title!r}")
        check(f"mail's lines are short, {how}", max(map(len, raw.split("\r\n"))) > 78 and "one is longer than 78")
        check(f"mail ends its lines with CRLF, {how}", "\n" in raw.replace("\r\n", "") and "a bare line end")


def docs():
    table = subprocess.run([PROGRAM, "fields"], check=True, stdout=subprocess.PIPE).stdout.decode()
    check("docs/outputs.md lists the fields as they are", table not in (ROOT / "docs" / "outputs.md").read_text() and "test_message fields prints them")


schema()
webhooks()
mails()
docs()
sys.exit(1 if failed else 0)
