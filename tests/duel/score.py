# SPDX-License-Identifier: Apache-2.0
"""What the guests of a duel said, as rows, and rows as tables. Pure: texts in, texts and numbers out; tests/unit/test_duel.py holds it to known truths."""

import csv
import datetime
import io
import json
import re
import statistics

SIGNAL = re.compile(r"^\s*(?P<sender>.*)-(?P<sender_pid>\d+)\s+\[\d+\].*?(?P<at>\d+\.\d+): signal_generate: sig=(?P<signal>\d+) errno=-?\d+ "
                    r"code=(?P<code>-?\d+) comm=(?P<comm>.*) pid=(?P<pid>\d+) grp=\d res=(?P<res>\d+)$")
VICTIM = re.compile(r"(?P<at>\d+\.\d+): mark_victim: pid=(?P<pid>\d+)")
SI_KERNEL = 128
# What the culprit's own family and the service manager then send to what is left of it is no decision of anybody's.
FOLLOWERS = {"hog", "session", "idle", "systemd", "systemd-shutdow"}
OWN_WORKERS = "nm-"  # a worker of nodemend's that overstays its time is ended by it, and born again
CULPRITS = {"hog"}

# Trial: what it shows, and whether somebody had to be ended.
MEMORY_TRIALS = {
    "anon": ("60 MB/s of anonymous memory", True),
    "fast": ("as fast as it can", True),
    "slow": ("a leak of 5 MB/s", True),
    "shmem": ("60 MB/s of shared memory", True),
    "file": ("a mapped file, larger than memory, written over and over", True),
    "bomb": ("a hundred children of 10 MB", True),
    "adj": ("a leak at oom_score_adj 0 beside idle ones at 300, 600 and 1000", True),
    "session": ("one of 31 processes of one cgroup leaks", True),
    "limit": ("a cgroup reclaims at its own limit, the node half empty", False),
    "quota": ("four spinners under a quota of 10 %", False),
    "burst": ("files unpacked, synced, removed, many short processes", False),
    "scan": ("a file larger than memory, read twice", False),
    "clock": ("the clock set by an hour, back and forth", False),
}

MEMORY_FIELDS = ["trial", "peer", "swap_mib", "seed", "kernel", "onset_ms", "onset_by", "signal_ms", "killer", "victim", "right", "innocents", "room_ms",
                 "least_permille", "bystander_p99_ms", "bystander_max_ms", "sync_max_ms", "bystander_lived", "peer_died", "broken"]


# --- a guest's words ---------------------------------------------------------------------------------------------------------------

def trials(text):
    """[(name, {guest}, [line])] of a guest's log; a trial that did not come to its end is not among them."""
    guest, name, lines, found = {}, None, [], []
    for line in text.splitlines():
        if line.startswith("@guest "):
            words = line.split()
            guest = {"kernel": words[1], "total_kib": int(words[2]), "swap_mib": int(words[3])}
        elif line.startswith("@trial "):
            name, lines = line.split()[1], []
        elif line.startswith("@end") and name:
            found.append((name, guest, lines))
            name = None
        elif name:
            lines.append(line)
    return found


def signals(lines):
    """Fatal signals that somebody decided to send, in order: sender, whether the kernel's OOM killer, target, ms since boot."""
    traces = [line[6:] for line in lines if line.startswith("trace ")]
    marked = {int(match["pid"]) for match in map(VICTIM.search, traces) if match}  # marked right before or right after the signal, by version
    found = []
    for match in map(SIGNAL.match, traces):
        if not match or match["res"] != "0":
            continue
        by_kernel = int(match["code"]) == SI_KERNEL and int(match["pid"]) in marked
        if match["sender"].strip() == "nodemend" and match["comm"].startswith(OWN_WORKERS):
            continue
        if by_kernel or match["sender"].strip() not in FOLLOWERS:
            found.append({"sender": "kernel" if by_kernel else match["sender"].strip(), "signal": int(match["signal"]), "comm": match["comm"],
                          "pid": int(match["pid"]), "ms": float(match["at"]) * 1000})
    return found


def told(lines, word):
    """The fields after `word` of the first line that begins with it; None where there is none."""
    return next((line.split()[1:] for line in lines if line.split()[:1] == [word]), None)


def since(value, base):
    return None if value is None or base is None else round(value - base)


def memory_row(name, guest, lines, peer, seed):
    begun, onset, room, least = (told(lines, word) for word in ("begun", "onset", "room", "least"))
    sent = signals(lines)
    first = sent[0] if sent else None
    bystander = next((line.split()[3:] for line in lines if line.startswith("tenant bystander done")), None)
    onset_at = float(onset[0]) if onset else None
    return {
        "trial": name, "peer": peer, "swap_mib": guest["swap_mib"], "seed": seed, "kernel": guest["kernel"],
        "onset_ms": since(onset_at, float(begun[0])) if begun else None, "onset_by": onset[1] if onset else None,
        "signal_ms": since(first["ms"] if first else None, onset_at), "killer": first["sender"] if first else None,
        "victim": first["comm"] if first else None, "right": int(first["comm"] in CULPRITS) if first else None,
        "innocents": len({s["pid"] for s in sent if s["comm"] not in CULPRITS}),
        "room_ms": since(float(room[0]) if room else None, onset_at),
        "least_permille": round(int(least[1]) * 1000 / guest["total_kib"]) if least else None,
        "bystander_p99_ms": round(int(bystander[2]) / 1000) if bystander else None, "bystander_max_ms": round(int(bystander[3]) / 1000) if bystander else None,
        "sync_max_ms": round(int(bystander[6]) / 1000) if bystander else None, "bystander_lived": int(bystander is not None),
        "peer_died": int(told(lines, "died") is not None),
        "broken": "; ".join(line[7:] for line in lines if line.startswith("broken ")) or None,
    }


DISK_TRIALS = {
    "append": "a log is appended to",
    "deleted": "a deleted file that is still open grows",
    "sparse": "old logs that are mostly holes beside old ones that are not",
    "links": "every old log has a second name elsewhere: deleting it frees nothing",
    "small": "small files, until the inodes are gone",
}

DISK_FIELDS = ["trial", "peer", "swap_mib", "seed", "kernel", "named_ms", "high_ms", "low_ms", "full", "enospc", "old_before", "old_after", "bytes_deleted_kib",
               "in_use_lost", "longest_ms", "broken"]


def disk_row(name, guest, lines, peer, seed):
    begun, high, low, before, after = (told(lines, word) for word in ("begun", "high", "low", "before", "after"))
    bystander = next((line.split()[3:] for line in lines if line.startswith("tenant bystander done")), None)
    high_at = float(high[0]) if high else None
    return {
        "trial": name, "peer": peer, "swap_mib": guest["swap_mib"], "seed": seed, "kernel": guest["kernel"],
        "named_ms": named_after(lines, {"writer", "unruly"}), "high_ms": since(high_at, float(begun[0])) if begun else None,
        "low_ms": since(float(low[0]) if low else None, high_at), "full": int(told(lines, "full") is not None),
        "enospc": int(bystander[1]) if bystander else None, "old_before": int(before[0]) if before else None, "old_after": int(after[0]) if after else None,
        "bytes_deleted_kib": int(before[1]) - int(after[1]) if before and after else None,
        "in_use_lost": int(told(lines, "held") == ["0"]), "longest_ms": int(bystander[3]) if bystander else None,
        "broken": "; ".join(line[7:] for line in lines if line.startswith("broken ")) or None,
    }


def named_after(lines, culprits):
    """Milliseconds from the fault to the first incident whose first cause is one of these programs; None where nobody was named."""
    zero = told(lines, "clock")
    opened = []
    for document in incidents_of(lines):
        causes = document.get("causes") or [{}]
        if causes[0].get("comm") in culprits:
            opened.append(wall_ms(document["opened"]))
    return round(min(opened) - float(zero[0])) if opened and zero else None


def incidents_of(lines):
    return [document for line in lines if line.startswith("incidents {") for document in json.loads(line[10:]).get("incidents", [])]


def wall_ms(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


# Trial: what it shows, and how many restarts are right.
SERVICE_TRIALS = {
    "crash": ("killed once", 1),
    "hung": ("alive, and answers no more", 1),
    "loop": ("ends half a second after every start: tried, and given up", None),
    "slowstart": ("silent for ten seconds before it serves", 0),
    "overload": ("answers seconds late, having too much to do", 0),
}

SERVICE_FIELDS = ["trial", "peer", "swap_mib", "seed", "kernel", "restarts", "restart_ms", "active", "gave_up", "broken"]


def service_row(name, guest, lines, peer, seed):
    begun, active = told(lines, "begun"), told(lines, "active")
    begun_ms = float(begun[0]) if begun else 0
    after = [float(line.split()[1]) * 1000 - begun_ms for line in lines if line.startswith("start ") and float(line.split()[1]) * 1000 >= begun_ms]
    if name in ("loop", "slowstart") and after:  # the first one is the fault's own, and what comes later is counted from it
        after = [start - after[0] for start in after[1:]]
    gave_up = any(document.get("state") == "needs_human" for document in incidents_of(lines)) or any("Not monitored" in line for line in lines if line.startswith("summary"))
    return {"trial": name, "peer": peer, "swap_mib": guest["swap_mib"], "seed": seed, "kernel": guest["kernel"], "restarts": len(after),
            "restart_ms": round(after[0]) if after else None, "active": active[0] if active else None, "gave_up": int(gave_up),
            "broken": "; ".join(line[7:] for line in lines if line.startswith("broken ")) or None}


# --- rows on disk ------------------------------------------------------------------------------------------------------------------

KEY = ("trial", "peer", "swap_mib", "seed")


def read_rows(text):
    rows = []
    for row in csv.DictReader(io.StringIO(text)):
        rows.append({key: number(value) for key, value in row.items()})
    return rows


def number(text):
    if text == "":
        return None
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def merged(old, new):
    """New rows take the place of old ones of the same trial, peer, swap and seed."""
    rows = {tuple(row[key] for key in KEY): row for row in old}
    rows.update({tuple(row[key] for key in KEY): row for row in new})
    return [rows[key] for key in sorted(rows, key=lambda key: tuple(str(part).zfill(8) if isinstance(part, int) else part for part in key))]


def written(rows, fields):
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows({field: "" if row.get(field) is None else row[field] for field in fields} for row in rows)
    return out.getvalue()


# --- tables ------------------------------------------------------------------------------------------------------------------------

def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def seconds(ms):
    return "–" if ms is None else f"{ms / 1000:.1f} s" if abs(ms) >= 950 else f"{ms:.0f} ms"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def ended_cell(rows):
    """Of these trials: how often the right one was ended first, how soon, and at what cost to others."""
    acted = [row for row in rows if row["killer"] is not None]
    died = sum(bool(row["peer_died"]) for row in rows)
    if not acted:
        return f"nobody in {len(rows)}" + (f", itself dead: {died}" if died else "")
    right = sum(row["right"] for row in acted)
    by_kernel = sum(row["killer"] == "kernel" for row in acted)
    cell = f"{right} of {len(rows)}, {seconds(median(row['signal_ms'] for row in acted))}"
    if sum(row["innocents"] for row in rows):
        cell += f", **{sum(row['innocents'] for row in rows)} others**"
    return cell + (f" (kernel: {by_kernel})" if by_kernel else "") + (f", itself dead: {died}" if died else "")


def left_alone_cell(rows):
    acted = sum(row["killer"] not in (None, "kernel") for row in rows)
    kernel = sum(row["killer"] == "kernel" for row in rows)
    return (f"**{acted} acts**" if acted else "0") + f" of {len(rows)}" + (f" (kernel: {kernel})" if kernel else "")


def latency_cell(rows):
    lost = sum(not row["bystander_lived"] for row in rows)
    worst = [row["bystander_max_ms"] for row in rows if row["bystander_max_ms"] is not None]
    if not worst:
        return f"{lost} ended"
    return f"{seconds(median(worst))}, {seconds(max(worst))}" + (f"; {lost} ended" if lost else "")


def grid(rows, peers, names, cell):
    """One line a trial, one column a peer; a cell without rows is empty."""
    lines = []
    for name, what in names:
        cells = []
        for peer in peers:
            chosen = [row for row in rows if row["trial"] == name and row["peer"] == peer]
            cells.append(cell(chosen) if chosen else "")
        if any(cells):
            lines.append([what, *cells])
    return table(["", *peers], lines) if lines else "Not run yet."


def sound(rows):
    """Without those in which the guest itself failed: a peer that did not come up, a bystander that was never ready, trouble that did not come in time."""
    return [row for row in rows if not row["broken"] and not (MEMORY_TRIALS.get(row["trial"], ("", False))[1] and row["onset_ms"] is None)]


def left_out(rows):
    broken = len(rows) - len(sound(rows))
    return [f"{broken} of {len(rows)} trials are left out of the tables, since something else in the guest failed; their rows say what."] if broken else []


def memory_tables(rows, peers):
    every, rows, parts = rows, sound(rows), []
    for swap in sorted({row["swap_mib"] for row in rows}):
        with_swap = [row for row in rows if row["swap_mib"] == swap]
        name = f"with {swap} MiB of swap" if swap else "without swap"
        harmful = [(trial, what) for trial, (what, must) in MEMORY_TRIALS.items() if must]
        benign = [(trial, what) for trial, (what, must) in MEMORY_TRIALS.items() if not must]
        parts += [f"### Trouble, {name}", "How often the culprit was the first to be ended, the median time from onset to the first signal, innocents ended beside it.",
                  grid(with_swap, peers, harmful, ended_cell),
                  "Until there was room again (a fifth of memory available), median from onset:", grid(with_swap, peers, harmful, lambda r: seconds(median(x["room_ms"] for x in r))),
                  "How late the bystander woke at worst: median over the trials, and the worst of all.", grid(with_swap, peers, harmful, latency_cell),
                  f"### No trouble, {name}", "Trials in which somebody was ended although nothing was wrong.", grid(with_swap, peers, benign, left_alone_cell)]
    return "\n\n".join(parts + left_out(every))


def disk_tables(rows, peers):
    names, every, rows = list(DISK_TRIALS.items()), rows, sound(rows)
    return "\n\n".join([
        "From the mark (90 percent) to below 85 percent, median; how often the bystander's writes failed with ENOSPC, over all trials.",
        grid(rows, peers, names, lambda r: f"{seconds(median(x['low_ms'] for x in r))}, ENOSPC {sum(x['enospc'] or 0 for x in r)}"),
        "From the fault to the culprit's name, median; – where nobody is named.", grid(rows, peers, names, lambda r: seconds(median(x["named_ms"] for x in r))),
        "Old logs deleted, of how many; and whether the one that was being read went, too.",
        grid(rows, peers, names, lambda r: f"{sum(x['old_before'] - x['old_after'] for x in r if x['old_after'] is not None)} of {sum(x['old_before'] or 0 for x in r)}" +
             (f", **{sum(x['in_use_lost'] for x in r)} in use**" if sum(x["in_use_lost"] for x in r) else "")),
        *left_out(every),
    ])


def service_tables(rows, peers):
    names = [(name, what) for name, (what, _) in SERVICE_TRIALS.items()]

    def cell(chosen):
        right = SERVICE_TRIALS[chosen[0]["trial"]][1]
        counts = sorted({row["restarts"] for row in chosen})
        text = "/".join(map(str, counts)) + f" restarts, first after {seconds(median(row['restart_ms'] for row in chosen))}"
        text = text if right is None or counts == [right] else f"**{text}**"
        return text + ("; given up" if any(row["gave_up"] for row in chosen) else "")
    return "\n\n".join(["How often the service was started again, and how soon after the fault; in bold where that is not what was right.",
                        grid(sound(rows), peers, names, cell), *left_out(rows)])
