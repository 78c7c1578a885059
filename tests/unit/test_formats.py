#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is served, against what others say it must be: our schemas by jsonschema, the text format by promtool, OpenMetrics by its grammar.

The documents come from the unit test programs, which print what the shipped code makes of a snapshot with hostile names.
NODEMEND_BUILD names the build folder."""
import copy
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import jsonschema

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("NODEMEND_BUILD", os.path.join(ROOT, "build"))
failed = 0


def check(name, why):
    global failed
    if why:
        failed += 1
        print(f"not ok {name}: {why}")
    else:
        print(f"ok {name}")


def printed(program, what):
    path = os.path.join(BUILD, "tests", "unit", program)
    return subprocess.run([path, what], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode("utf-8", "strict")


def finite(text):
    raise ValueError(f"{text} is not a JSON number")


def schemas():
    found = {}
    for path in glob.glob(os.path.join(ROOT, "docs", "schema", "*.schema.json")):
        with open(path, encoding="utf-8") as file:
            found[os.path.basename(path)] = json.load(file)
    return found


def first_error(known, name, document):
    schema = known[f"{name}.schema.json"]
    resolver = jsonschema.RefResolver("", schema, store=known)
    error = next(jsonschema.Draft202012Validator(schema, resolver=resolver).iter_errors(document), None)
    return error and f"{error.json_path}: {error.message[:200]}"


def buckets_grow(document):
    for metric in document["metrics"]:
        bounds = None
        for sample in metric["samples"]:
            if "buckets" not in sample:
                continue
            les, counts = [le for le, _ in sample["buckets"]], [count for _, count in sample["buckets"]]
            if les != sorted(set(les)) or counts != sorted(counts) or counts[-1] > sample["count"]:
                return f"{metric['name']}: not cumulative"
            if bounds not in (None, les):
                return f"{metric['name']}: bounds differ between series"
            bounds = les
    return None


# Documents that must not pass: a schema that takes everything proves nothing.
SPOILED = {
    "events": lambda d: d["events"][0].pop("killer"),
    "stream": lambda d: d.update(event="incident"),
    "metrics": lambda d: d["metrics"][0]["samples"][0].update(value=None),
    "incident": lambda d: d.update(state="fine"),
    "incidents": lambda d: d["incidents"][0].pop("kind"),
    "action": lambda d: d.update(outcome="none"),
    "actions": lambda d: d["actions"][0]["target"].pop("mountpoint"),
}


def check_schemas():
    known = schemas()
    for name, spoil in sorted(SPOILED.items()):
        jsonschema.Draft202012Validator.check_schema(known[f"{name}.schema.json"])
        if name == "stream":
            document = {"event": "metrics", "data": json.loads(printed("test_json_feed", "metrics"))}
        else:
            document = json.loads(printed("test_json_feed", name), parse_constant=finite)
        check(f"{name} keeps to its schema", first_error(known, name, document))
        spoiled = copy.deepcopy(document)
        spoil(spoiled)
        check(f"the schema of {name} bites", None if first_error(known, name, spoiled) else "took a spoiled document")
        if name == "metrics":
            check("buckets are cumulative", buckets_grow(document))


def check_promtool():
    if not shutil.which("promtool"):
        print("SKIP promtool: not installed")
        return
    result = subprocess.run(["promtool", "check", "metrics"], input=printed("test_prometheus", "text").encode(), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
    # node_exporter's names are as they are.
    said = [line for line in result.stdout.decode().splitlines() if not re.match(r"node_(memory|netstat)_\w+ .*camelCase", line)]
    check("promtool has nothing to say", "; ".join(said[:5]) or (None if result.returncode in (0, 3) else f"exit code {result.returncode}"))


def check_rules():
    """Prometheus takes the rules that ship, they ask for nothing that is not served, and fire where they should."""
    rules = Path(ROOT, "deploy/prometheus/nodemend.rules.yaml")
    asked, served = set(re.findall(r"\bnode(?:mend)?_[a-z_0-9]+", re.sub(r"(?m)^ *(?:#|summary:|description:).*$", "", rules.read_text()))), \
        set(re.findall(r"(?m)^\| `(\w+)` \|", Path(ROOT, "docs/metrics.md").read_text()))
    check("the rules ask for families that there are", sorted(asked - served) or None)
    if not shutil.which("promtool"):
        print("SKIP promtool on rules: not installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        cases = Path(folder, "cases.yaml")
        cases.write_text(Path(ROOT, "tests/fixtures/prometheus-rules.yaml").read_text().replace("RULES", str(rules)))
        for words in (["check", "rules", rules], ["test", "rules", cases]):
            result = subprocess.run(["promtool", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            check(f"promtool {words[0]} rules", result.stdout.decode()[-600:] if result.returncode else None)


NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
EXEMPLAR = rf" # \{{(?P<labels>{LABEL}(?:,{LABEL})*)\}} (?P<value>{NUMBER})(?: {NUMBER})?"
SAMPLE = re.compile(rf"^(?P<name>{NAME})(?:\{{({LABEL}(?:,{LABEL})*)?\}})? {NUMBER}(?P<exemplar>{EXEMPLAR})?$")
SUFFIXES = {"counter": ["_total"], "gauge": [""], "unknown": [""], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}
# What a family of each type may ever say: no other family may be called like that.
RESERVED = {"counter": ["_total", "_created"], "histogram": ["_bucket", "_sum", "_count", "_created"], "info": ["_info"], "gauge": [], "unknown": []}
CANONICAL = re.compile(r"^(\+Inf|[0-9]+\.[0-9]+(e[+-][0-9]{2,})?|[0-9](\.[0-9]+)?e[+-][0-9]{2,})$")


def exemplar_fault(match, kind, line):
    if not match["exemplar"]:
        return None
    if kind != "counter" and not match["name"].endswith("_bucket"):
        return f"an exemplar on a {kind}: {line[:200]}"
    text = "".join(name + value for name, value in re.findall(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"', match["labels"]))
    return f"an exemplar of {len(text)} characters: {line[:200]}" if len(text) > 128 else None


def clash(families):
    names = set(families)
    for name, kind in families.items():
        for suffix in RESERVED[kind]:
            if name + suffix in names:
                return f"{name + suffix} is a family and {name}, a {kind}, says the same name"
    return None


def openmetrics_fault(page):
    if not page.endswith("\n# EOF\n") or "\n\n" in page:
        return "does not end in # EOF, or has empty lines"
    kind, family, seen, series, units = None, None, {}, set(), set()
    for line in page.splitlines()[:-1]:
        if line.startswith("# "):
            word, name, rest = (line.split(" ", 3) + [""])[1:4]
            if word == "TYPE":
                if name in seen:
                    return f"{name}: a second time"
                seen[name] = rest
                family, kind = name, rest
            if word not in ("TYPE", "UNIT", "HELP") or name != family or (word == "UNIT" and not name.endswith("_" + rest)):
                return f"bad: {line}"
            if word == "UNIT":
                units.add(name)
            continue
        match = SAMPLE.match(line)
        if not match or match["name"] not in [family + suffix for suffix in SUFFIXES[kind]]:
            return f"bad line in {family} ({kind}): {line[:200]}"
        bound = re.search(r'[{,]le="([^"]*)"', line)
        if bound and not CANONICAL.match(bound[1]):
            return f"not a canonical number: {line[:200]}"
        if family.endswith(("_seconds", "_bytes")) and family not in units and not family.startswith("node_"):
            return f"{family}: no UNIT"
        fault = exemplar_fault(match, kind, line)
        if fault:
            return fault
        name = line.split(" # {")[0].rsplit(" ", 1)[0]
        if name in series:
            return f"twice: {line[:200]}"
        series.add(name)
    return clash(seen)


def families(page):
    """name -> (type, label names)"""
    found = {}
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split(" ")[2:4]
            found[name] = (kind, set())
        elif line and not line.startswith("#"):
            name = re.match(NAME, line).group(0)
            if name in found:
                found[name][1].update(re.findall(r'[{,]([a-z_]+)="', line))
    return found


def node_exporter_page():
    """One scrape of the real one, on a port of its own; None where it is not installed."""
    if not shutil.which("prometheus-node-exporter"):
        return None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    try:
        for line in process.stderr:
            if b"isten" in line and str(port).encode() in line:
                break
        for attempt in range(200):
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
            except urllib.error.URLError:
                time.sleep(0.02)
        return None
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def check_node_exporter():
    page = node_exporter_page()
    if page is None:
        print("SKIP names of node_exporter: prometheus-node-exporter is not installed")
        return
    theirs, wrong, compared = families(page), [], 0
    for name, (kind, labels) in families(printed("test_prometheus", "text")).items():
        if not name.startswith("node_"):
            continue
        if name not in theirs:
            # What this host has none of is not in its page: no disk, no PSI, no speed; nor is what it serves only on demand.
            wrong.append(f"{name}: unknown to it") if not name.startswith(("node_pressure_", "node_disk_", "node_network_speed", "node_processes_")) else None
            continue
        compared += 1
        if (kind, labels) != theirs[name]:
            wrong.append(f"{name}: {kind} {sorted(labels)}, there {theirs[name][0]} {sorted(theirs[name][1])}")
    check("names, types and labels are node_exporter's", "; ".join(wrong) or (None if compared > 30 else f"only {compared} compared"))


def main():
    check_schemas()
    check_node_exporter()
    check_promtool()
    check_rules()
    page = printed("test_prometheus", "openmetrics")
    check("OpenMetrics keeps to its grammar", openmetrics_fault(page))
    for name, spoiled in (("a counter without _total", page.replace("_total{", "{", 1)), ("a bare whole number", page.replace('le="1.0"', 'le="1"')),
                          ("an exemplar on a gauge", page.replace("\nnodemend_collector_up{", '\nnodemend_collector_up{x="y"} 1 # {a="b"} 1\nnodemend_collector_up{', 1)),
                          ("a long exemplar", re.sub(r'# \{incident="[^"]*"', '# {incident="' + "x" * 121 + '"', page)),
                          ("two families of one name", page.replace("# EOF", "# TYPE nodemend_ticks_total gauge\nnodemend_ticks_total 1\n# EOF"))):
        check(f"the grammar's check bites: {name}", None if spoiled != page and openmetrics_fault(spoiled) else "took it")
    check("there are exemplars", None if ' # {incident="' in page else "none")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
