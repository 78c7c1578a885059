# SPDX-License-Identifier: Apache-2.0
"""How a detector's scores stand against labels. Only their order matters.

NAB: the Numenta Anomaly Benchmark's published scoring (Lavin and Ahmad, ICMLA 2015): one threshold for all files; in a window the best detection counts,
more the earlier it is; each record outside costs by its distance from the last window; null is 0, perfect 100.
Events: recall of labelled segments at a budget of false alarms, without point adjustment; an alarm must exceed the decayed last one."""
import math

NAB_PROFILES = {"standard": (0.11, 1.0), "low FP": (0.22, 1.0), "low FN": (0.11, 2.0)}


def sigmoid(position):
    return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1


class NabFile:
    """Scores of one file, and its windows as (first, last) rows."""

    def __init__(self, scores, windows):
        self.scores, self.windows = scores, sorted(windows)
        self.skipped = min(math.floor(0.15 * len(scores)), 750)  # NAB's probation

    def points(self):
        """(score, window or None, weight) of each row that counts."""
        top, at, past = sigmoid(-1), 0, None
        for row in range(len(self.scores)):
            while at < len(self.windows) and row > self.windows[at][1]:
                past = self.windows[at]
                at += 1
            if at < len(self.windows) and row >= self.windows[at][0]:
                first, last = self.windows[at]
                window, weight = at, sigmoid(-(last - row + 1) / (last - first + 1)) / top
            else:
                # As NAB has it, a window's width less one; a window of one row is as wide as one.
                window = None
                weight = sigmoid((row - past[1]) / max(past[1] - past[0], 1)) if past else -1.0
            if row >= self.skipped:
                yield self.scores[row], window, weight


def nab(files, profile="standard", threshold=None):
    """(score, the threshold that gives it). With a threshold: the score at that one."""
    fp, fn = NAB_PROFILES[profile]
    points, windows = [], set()
    for name, file in enumerate(files):
        for score, window, weight in file.points():
            if window is not None:
                windows.add((name, window))
            points.append((score, (name, window) if window is not None else None, weight))
    if not windows:
        return 0.0, math.inf
    points.sort(key=lambda point: -point[0])
    null, perfect = -fn * len(windows), len(windows)
    raw, best, best_at, reached = null, null, math.inf, {}
    for i, (score, window, weight) in enumerate(points):
        if threshold is not None and score < threshold:
            break
        if window is None:
            raw += weight * fp
        elif weight > reached.get(window, -fn):
            raw += weight - reached.get(window, -fn)
            reached[window] = weight
        if (i + 1 == len(points) or points[i + 1][0] != score) and raw > best:
            best, best_at = raw, score
    if threshold is not None:
        best, best_at = raw, threshold
    return 100 * (best - null) / (perfect - null), best_at


def hold(scores, half_life, gain=1.5):
    """One event, one alarm: what does not exceed `gain` times the decayed last alarm is 0."""
    fade, level, out = 2 ** (-1 / half_life), 0.0, []
    for score in scores:
        told = score if score > level else 0.0
        level = max(level * fade, told * gain)
        out.append(told)
    return out


def recall(entities, budgets, units, grace):
    """entities: (alarms, segments as (first, last)). -> {budget: the share of segments met at so many false alarms a unit}."""
    marks, total = [], 0
    for number, (alarms, segments) in enumerate(entities):
        owner = {}
        for which, (first, last) in enumerate(segments):
            owner.update((row, (number, which)) for row in range(max(first, 0), last + grace + 1))
        total += len(segments)
        marks += [(alarm, owner.get(row)) for row, alarm in enumerate(alarms) if alarm > 0]
    marks.sort(key=lambda mark: -mark[0])
    met, false, best = set(), 0, {budget: 0 for budget in budgets}
    for _, segment in marks:
        if segment is None:
            false += 1
        else:
            met.add(segment)
        for budget in budgets:
            if false / units <= budget:
                best[budget] = len(met)
    return {budget: count / max(total, 1) for budget, count in best.items()}


def segments(labels, join=0):
    """Runs of ones as (first, last); those at most `join` rows apart are one."""
    runs = []
    for row, label in enumerate(labels):
        if label and runs and row - runs[-1][1] <= max(join, 1):
            runs[-1][1] = row
        elif label:
            runs.append([row, row])
    return [tuple(run) for run in runs]


def top_metric(per_metric, first, last, truth, most=36):
    """Whether the metric that scored highest around an event's beginning is among the truly odd ones."""
    rows = per_metric[max(first - 3, 0):min(last, first + most - 1) + 1]
    best = max(range(len(rows[0])), key=lambda metric: max(row[metric] for row in rows))
    return best in truth
