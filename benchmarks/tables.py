"""The tables of README.md from runs of the bench, in Markdown.

tapegrad bench --peers all --json figures.json
python benchmarks/tables.py figures.json [AGAIN.json ...]

A workload during which the control has drifted is taken, as a whole, from the first run in which it has not.
"""

from __future__ import annotations

import json
import sys
from typing import Any

OURS, OFF, ON, FLOATS = "tapegrad", "baseline, collector off", "baseline, collector on", "floats"
EAGER = (
    "eager"  # the group of workloads, and our way, that libraries are compared with which make a graph at every call
)

Cells = dict[str, str]


def short(x: float) -> str:
    """Two digits that count."""
    return f"{x:,.0f}" if x >= 10 else f"{x:.1f}" if x >= 1 else f"{x:.2f}"


def failure(row: dict[str, Any]) -> str:
    """A rival's failure in a word or two."""
    said = str(row["facts"].get("failed", ""))
    known = {"RecursionError": "recursion", "WRONG": "wrong", "died": "died", "not done": "too long"}
    return next((word for start, word in known.items() if said.startswith(start)), "error")


def rivals_of(results: list[dict[str, Any]], against: str) -> Cells:
    """The ratios of rivals on one thread to our time in the way `against`."""
    cells = {}
    for row in results:
        if "contender" in row and row["contender"] != OURS and row["threads"] == 1 and row["steady"]:
            ratio = row[f"times_{against}"]
            cells[f"{row['contender']} {row['way']}".strip()] = failure(row) if ratio is None else short(ratio)
    return cells


def line(row: dict[str, Any]) -> Cells:
    """Our time of a row, and how many times as long the baselines take."""
    ours = row["times"][OURS]["min_s"]
    cells = {"tapegrad": f"{short(ours * row['unit_per_second'])} {row['unit']}"}
    for key, name in ((FLOATS, "floats, no derivative"), (OFF, "reference, gc off"), (ON, "gc on")):
        if key in row["times"]:
            cells[name] = short(row["times"][key]["min_s"] / ours)
    return cells


def is_steady(workload: dict[str, Any]) -> bool:
    return all(row["steady"] for row in workload["results"] if "steady" in row)


def steady(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The first run, with what drifted in it from the others; says on stderr what that was."""
    first, *others = runs
    workloads = []
    for workload in first["workloads"]:
        if not is_steady(workload):
            found = [w for run in others for w in run["workloads"] if w["name"] == workload["name"] and is_steady(w)]
            print(f"{workload['name']} drifted; {'another run' if found else 'no other run'} has it", file=sys.stderr)
            workload = (found or [workload])[0]
        workloads.append(workload)
    return {**first, "workloads": workloads}


def tables(data: dict[str, Any]) -> dict[str, dict[str, Cells]]:
    """The rows of both tables: on Values, and recorded."""
    eager: dict[str, Cells] = {}
    recorded: dict[str, Cells] = {}
    scalar = {
        f"{row['contender']} {row['way']}".strip()
        for workload in data["workloads"] if workload["name"].startswith("eager/")
        for row in workload["results"] if "contender" in row
    }  # fmt: skip
    for workload in data["workloads"]:
        name, results = workload["name"], workload["results"]
        for row in results:
            if row.get("baseline") != "reference" or not row["steady"]:
                continue
            label = name + (f", {row['row']}" if not row["size"] else f", {row['size']:,}")
            if (row["whole"] and name.startswith("eager/")) or row["row"].startswith(EAGER):
                rivals = rivals_of(results, EAGER)
                eager[label] = line(row) | {key: cell for key, cell in rivals.items() if key in scalar}
            elif row["whole"]:
                rivals = rivals_of(results, "recorded")
                recorded[label] = line(row) | {key: cell for key, cell in rivals.items() if key not in scalar}
    return {"Values": eager, "recorded": recorded}


def markdown(title: str, rows: dict[str, Cells]) -> str:
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    lines = [f"| {title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(cells.get(c, '') for c in columns)} |" for name, cells in rows.items()]
    return "\n".join(lines)


def main(paths: list[str]) -> None:
    runs = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            runs.append(json.load(file))
    for title, rows in tables(steady(runs)).items():
        print(markdown(title, rows) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
