#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the includes and keeps the one direction of the house: a stage includes the header of the stage before it and never
of one after it; what may act and what is reachable from the network never meet. Each rule is tried on a made-up breach
first, so that a rule that holds nothing fails as well.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Folder -> the folders it may include from, beside include/ and itself. Order is the order of the stages.
MAY = {
    "agent/core": set(),
    "agent/collect": {"agent/core", "agent/measure"},
    "agent/measure": {"agent/core"},
    "agent/detect": {"agent/core", "agent/measure"},
    "agent/decide": {"agent/core", "agent/measure", "agent/detect"},
    "agent/govern": {"agent/core"},
    "agent/keep": {"agent/core"},
    "agent/kube": {"agent/core"},
    "agent/push": {"agent/core", "agent/measure", "agent/publish", "agent/keep"},
    "agent/publish": {"agent/core", "agent/measure", "agent/keep"},
    "agent/cli": {"agent/core", "agent/keep", "agent/collect", "agent", "agent/decide", "agent/detect"},
    "agent": {"agent/core", "agent/collect", "agent/measure", "agent/detect", "agent/decide", "agent/govern", "agent/keep", "agent/publish", "agent/push",
              "agent/cli", "remedies"},
    "remedies": {"agent/core", "agent/kube"},
    "include": set(),
    "bpf": set(),
}
# Single headers that may cross, each with its reason.
EXCEPT = {
    ("remedies", "agent/decide/protect.h"): "the never-list is read again right before each act",
    ("remedies", "agent/collect/probe_once.h"): "a unit is asked by the very probe that its condition asks by",
    ("remedies", "agent/decide/hands.h"): "a remedy runs in the hands and says so to them",
    ("agent/cli", "agent/push/template_check.h"): "`check` reads what the sender will read",
    ("agent/cli", "agent/detect/forecast_fast.h"): "`forecast` runs the shipped forecaster over a recorded series",
    ("agent/cli", "agent/detect/forecast_series.h"): "likewise",
    ("agent/publish", "agent/push/share.h"): "the sender's counters are served by the publisher",
    ("agent/decide", "remedies"): "the hands run remedies; only hands.c may",
}
ONLY_FILE = {("agent/decide", "remedies"): {"agent/decide/hands.c", "agent/decide/protect.c"}}
# Words a pure stage must not say: no clock, no I/O, no waiting.
PURE = {"agent/detect", "agent/decide/decide.c", "agent/decide/guard.c", "agent/decide/incident.c", "agent/decide/machine.c", "agent/govern/governor.c"}
IMPURE = re.compile(r"\b(clock_gettime|clock_boot_ns|clock_wall_ns|time|gettimeofday|open|openat|fopen|read|write|socket|fork|system|popen|sleep|nanosleep)\s*\(")


def folder_of(path):
    folder = str(Path(path).parent)
    while folder not in MAY and folder not in (".", ""):
        folder = str(Path(folder).parent)
    return folder


def resolve(source, name):
    """As the compiler does with -iquote include, agent and the root; None for generated and system headers."""
    for base in (str(Path(source).parent), "include", "agent", "."):
        path = Path(base) / name
        if (ROOT / path).exists():
            return str(path)
    return None


def breach(source, header):
    """Why this include is against the rules; None when it is not."""
    here, there = folder_of(source), folder_of(header)
    if there in (here, "include") or there in MAY.get(here, set()):
        return None
    if (here, header) in EXCEPT:
        return None
    if (here, there) in EXCEPT and source in ONLY_FILE.get((here, there), {source}):
        return None
    return f"{source} includes {header}: {here} may not know {there}"


def includes(text):
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.M)


def code_of(text):
    """Without comments and strings."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', " ", text, flags=re.S)


def sources():
    for folder in ("agent", "remedies", "include", "bpf"):
        for path in sorted((ROOT / folder).rglob("*.[ch]")):
            yield str(path.relative_to(ROOT))


def one_direction():
    found = []
    for source in sources():
        for name in includes((ROOT / source).read_text()):
            header = resolve(source, name)
            if header:
                found.append(breach(source, header))
    return [fault for fault in found if fault]


def rules_bite():
    forbidden = [("agent/publish/http.c", "remedies/registry.h"), ("agent/publish/http.c", "agent/decide/decide.h"), ("agent/core/log.c", "agent/detect/detect.h"),
                 ("agent/detect/detect.c", "agent/decide/decide.h"), ("agent/collect/cpu.c", "agent/detect/detect.h"), ("agent/govern/governor.c", "agent/collect/bpf.h"),
                 ("remedies/clean_files.c", "agent/decide/decide.h"), ("agent/decide/decide.c", "remedies/paths.h"),
                 ("agent/decide/decide.c", "agent/publish/publish.h"), ("agent/keep/journal.c", "agent/decide/decide.h"), ("agent/push/delivery.c", "agent/decide/decide.h"), ("agent/push/sender.c", "remedies/registry.h"), ("agent/core/log.c", "agent/push/delivery.h"), ("include/snapshot.h", "agent/core/log.h")]
    return [f"nothing forbids {source} to include {header}" for source, header in forbidden if not breach(source, header)]


def pure_stages():
    faults = []
    for source in sources():
        if source in PURE or folder_of(source) in PURE:
            faults += [f"{source}: {match[0].strip()[:-1]}() in a pure stage" for match in IMPURE.finditer(code_of((ROOT / source).read_text()))]
    return faults


def no_globals_in_pure_stages():
    """Static tables are const; anything else at file scope would be memory between two calls."""
    faults = []
    for source in sources():
        if (source in PURE or folder_of(source) in PURE) and source.endswith(".c"):
            for line in code_of((ROOT / source).read_text()).splitlines():
                if re.match(r"static (?!const\b|inline\b|_Thread)[^(]*(=|;)", line) and "const" not in line:
                    faults.append(f"{source}: {line.strip()}")
    return faults


def small_files():
    """A file that must be scrolled to be understood is two."""
    return [f"{source}: {len((ROOT / source).read_text().splitlines())} lines" for source in sources()
            if len((ROOT / source).read_text().splitlines()) > 600]


def no_shell():
    return [f"{source}: {match[0]}" for source in sources() for match in re.finditer(r"\b(system|popen)\s*\(", code_of((ROOT / source).read_text()))]


def main():
    failed = 0
    for check in (rules_bite, one_direction, pure_stages, no_globals_in_pure_stages, small_files, no_shell):
        faults = check()
        name = check.__name__.replace("_", " ")
        if faults:
            failed = 1
            print(f"not ok {name}: {'; '.join(faults)}")
        else:
            print(f"ok {name}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
