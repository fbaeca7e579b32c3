"""`tapegrad bench --compare`: what has become faster or slower since an earlier run.

Times of two runs are not comparable as they stand, as the machine may have been slower: each is divided by the time of
the control of its own run, arithmetic on plain floats.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from typing import Any

from tapegrad.bench.backends import OURS
from tapegrad.bench.report import FORMAT

SLOWER, MUCH_SLOWER = 1.10, 1.50  # in the geometric mean, and on one workload, from which a comparison fails

Key = tuple[str, str, str]  # the workload, with its size if it has one; the row; the baseline


@dataclass
class Comparison:
    """Ratios new / old of what is in both runs, and what is in one of them alone."""

    ratios: dict[Key, float]
    only_old: list[Key]
    only_new: list[Key]
    notes: list[str]

    @property
    def mean(self) -> float:
        return statistics.geometric_mean(self.ratios.values()) if self.ratios else 1.0

    @property
    def slower(self) -> bool:
        return self.mean > SLOWER or any(ratio > MUCH_SLOWER for ratio in self.ratios.values())

    def __str__(self) -> str:
        lines = ["", "new / old, both over the control of their run; below 1 is faster now"]
        for (workload, row, baseline), ratio in self.ratios.items():
            mark = "  SLOWER" if ratio > MUCH_SLOWER else ""
            lines.append(f"{workload:40} {row + ', ' + baseline:50} {ratio:6.2f}{mark}")
        for which, keys in (("old", self.only_old), ("new", self.only_new)):
            lines += [f"only in the {which} run: {', '.join(key)}" for key in keys]
        lines += self.notes
        lines.append(f"geometric mean over {len(self.ratios)} rows: {self.mean:.3f}{'  SLOWER' if self.slower else ''}")
        return "\n".join(lines)


def read(path: str) -> dict[str, Any]:
    """The data of a --json of an earlier run; ValueError if it is none."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as error:
        raise ValueError(f"--compare {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"--compare {path}: not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"--compare {path}: not written by this version of `tapegrad bench --json`")
    try:
        relative_times(data)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(f"--compare {path}: damaged: {error!r}") from error
    return data


def relative_times(data: dict[str, Any]) -> dict[Key, float]:
    """Our time of each row, over the control's."""
    control = min(c["ns_per_operation"] for c in data["control"])
    times: dict[Key, float] = {}
    for workload in data["workloads"]:
        for row in workload["results"]:
            if "times" in row and row["steady"] and OURS in row["times"]:
                name = workload["name"] + (f" at {row['size']:,}" if row["size"] else "")
                times[name, row["row"], row["baseline"]] = float(row["times"][OURS]["min_s"]) / control
    return times


def compare(old: dict[str, Any], new: dict[str, Any]) -> Comparison:
    before, after = relative_times(old), relative_times(new)
    notes = [
        f"the runs differ in {what}: {old['machine'].get(what)}, now {new['machine'].get(what)}"
        for what in ("cpu", "cores", "python", "compiler")
        if old["machine"].get(what) != new["machine"].get(what)
    ]
    if old["level"] != new["level"]:
        notes.append(f"the runs differ in size: {old['level']}, now {new['level']}")
    return Comparison(
        {key: after[key] / before[key] for key in before if key in after},
        [key for key in before if key not in after],
        [key for key in after if key not in before],
        notes,
    )
