#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The score of `make duel` on guests' words whose truth is known: who ended whom, what is nobody's decision, what was lost, and that rows replace rows."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests" / "duel"))
import duel  # noqa: E402
import score  # noqa: E402

failed = 0


def check(name, so, why=""):
    global failed
    failed += not so
    print(f"ok {name}" if so else f"not ok {name}: {why or 'it is not so'}")


def signal_line(sender, at, number, comm, pid, code=0, res=0):
    return f"trace {sender:>16}-412     [001] d..1.   {at:.6f}: signal_generate: sig={number} errno=0 code={code} comm={comm} pid={pid} grp=1 res={res}"


def guest(trial, *lines):
    return "\n".join(["@guest 6.1.0 1000000 0", f"@trial {trial}", *lines, "@end", "@done"])


def memory(trial, *lines, peer="earlyoom"):
    (name, about, words), = score.trials(guest(trial, *lines))
    return score.memory_row(name, about, words, peer, 1)


# --- memory -----------------------------------------------------------------------------------------------------------------------
watch = ["begun 10000", "onset 12000 available", "room 12800", "least 12400 50000", "tenant bystander done 100 50 900 25000 10 4000 60000"]
row = memory("anon", *watch, signal_line("earlyoom", 12.3, 15, "hog", 77), signal_line("earlyoom", 12.5, 9, "hog", 77))
check("times-are-from-onset", (row["onset_ms"], row["signal_ms"], row["room_ms"]) == (2000, 300, 800), row)
check("the-culprit-is-right", (row["killer"], row["victim"], row["right"], row["innocents"]) == ("earlyoom", "hog", 1, 0), row)
check("least-is-a-share-of-memory", row["least_permille"] == 50, row)
check("the-bystander-in-milliseconds", (row["bystander_p99_ms"], row["bystander_max_ms"], row["sync_max_ms"], row["bystander_lived"]) == (1, 25, 60, 1), row)

row = memory("adj", *watch[:4], signal_line("earlyoom", 12.3, 15, "steady", 70), signal_line("earlyoom", 12.4, 15, "steady", 71), signal_line("earlyoom", 12.5, 15, "hog", 77))
check("innocents-are-counted-once-each", (row["right"], row["innocents"], row["victim"]) == (0, 2, "steady"), row)
check("a-bystander-without-last-words-is-dead", row["bystander_lived"] == 0 and row["bystander_max_ms"] is None, row)

row = memory("bomb", *watch, signal_line("hog", 12.1, 9, "hog", 77, code=128), "trace  hog-79     [000] .....    12.100100: mark_victim: pid=77 comm=hog total-vm=1kB",
             signal_line("systemd", 12.2, 9, "hog", 78))
check("the-kernel's-killer-is-known-by-its-mark", (row["killer"], row["signal_ms"]) == ("kernel", 100), row)
row = memory("session", *watch, signal_line("hog", 12.1, 9, "idle", 80), signal_line("systemd", 12.2, 9, "steady", 81), signal_line("tmux: server", 12.3, 9, "my prog", 82, res=1))
check("followers-and-ignored-signals-are-nobody's", row["killer"] is None and row["innocents"] == 0, row)
row = memory("limit", *watch, signal_line("tmux: server", 12.3, 9, "my prog", 82))
check("names-with-spaces", (row["killer"], row["victim"]) == ("tmux: server", "my prog"), row)
row = memory("clock", "begun 10000", "broken the clock", "broken and more")
check("what-broke-is-kept", row["broken"] == "the clock; and more" and row["onset_ms"] is None and row["signal_ms"] is None, row)
row = memory("clock", "begun 10000", "died earlyoom")
check("a-peer-that-died-is-a-result", row["peer_died"] == 1 and row["broken"] is None and "itself dead: 1" in score.ended_cell([row]), row)
row = memory("anon", *watch, signal_line("nodemend", 12.1, 9, "nm-logs", 90), signal_line("nm-kill", 12.3, 15, "hog", 77), peer="nodemend")
check("its-own-workers-are-no-victims", (row["killer"], row["innocents"], row["signal_ms"]) == ("nm-kill", 0, 300), row)
check("a-trial-cut-short-is-none", score.trials("@guest 6.1 1 0\n@trial anon\nbegun 1\n") == [])

# --- disk, services ---------------------------------------------------------------------------------------------------------------
incident = '{"incidents":[{"opened":"1970-01-01T00:00:03.5Z","state":"open","causes":[{"comm":"steady"}]},{"opened":"1970-01-01T00:00:04.25Z","causes":[{"comm":"writer"}]}]}'
lines = ["clock 1000", "begun 50000", "before 21 102498", "high 60000", "low 61500", "after 1 98", "held 1", "tenant bystander done 9000000 3 0 210", f"incidents {incident}"]
(name, about, words), = score.trials(guest("append", *lines))
row = score.disk_row(name, about, words, "nodemend", 1)
check("named-is-the-first-that-names-the-culprit", row["named_ms"] == 3250, row)
check("disk-times-and-losses", (row["high_ms"], row["low_ms"], row["full"], row["enospc"], row["bytes_deleted_kib"], row["in_use_lost"]) == (10000, 1500, 0, 3, 102400, 0), row)
lines = ["begun 20000", "start 8.10", "start 21.00", "start 29.50", "active failed", "summary  app  Not monitored"]
(name, about, words), = score.trials(guest("crash", *lines))
row = score.service_row(name, about, words, "monit-5", 1)
check("restarts-after-the-fault", (row["restarts"], row["restart_ms"], row["gave_up"], row["active"]) == (2, 1000, 1, "failed"), row)
row = score.service_row("loop", about, words, "monit-5", 1)
check("the-first-start-of-a-loop-is-the-fault", (row["restarts"], row["restart_ms"]) == (1, 8500), row)

# --- rows and tables --------------------------------------------------------------------------------------------------------------
first, again, other = memory("anon", *watch), memory("anon", *watch, signal_line("earlyoom", 12.3, 9, "hog", 77)), memory("anon", *watch, peer="oomd")
kept = score.read_rows(score.written(score.merged([first, other], [again]), score.MEMORY_FIELDS))
check("a-row-replaces-its-own", [(row["peer"], row["killer"]) for row in kept] == [("earlyoom", "earlyoom"), ("oomd", None)], kept)
check("what-is-written-is-read", kept[0] == again, (kept[0], again))
wrong = memory("adj", *watch, signal_line("earlyoom", 12.3, 15, "steady", 70))
text = score.memory_tables([again, wrong, memory("limit", *watch, signal_line("oomd", 12.3, 9, "unruly", 9), peer="oomd")], ["earlyoom", "oomd"])
check("a-table-says-right-and-when", "| 1 of 1, 300 ms |" in text, text)
check("a-table-says-wrong-and-how-many", "| 0 of 1, 300 ms, **1 others** |" in text, text)
check("a-table-says-acts-without-cause", "**1 acts** of 1" in text, text)
unsound = dict(wrong, broken="earlyoom did not start", peer="oomd")
text = score.memory_tables([again, unsound], ["earlyoom", "oomd"])
check("a-broken-guest-is-left-out-and-said", "1 of 2 trials are left out" in text and "others" not in text.split("ended beside it.")[1], text)
check("trouble-that-never-came-is-no-result", not score.sound([memory("anon", "begun 10000")]) and score.sound([memory("limit", "begun 10000")]))
check("seeds", duel.numbers("1-3,7") == [1, 2, 3, 7])
for family in duel.FAMILIES.values():
    check(f"every-trial-has-a-function-{len(family['trials'])}", all(f"trial_{name}() {{" in "".join(p.read_text() for p in (ROOT / "tests/duel/guest").iterdir())
                                                                  for name in family["trials"]))
sys.exit(failed > 0)
