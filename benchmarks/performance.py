"""The tables of docs/performance.md from a run of the bench, in Markdown.

tapegrad bench --json figures.json
python benchmarks/performance.py figures.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

Rows = list[tuple[str, ...]]


def digits(x: float) -> str:
    return f"{x:,.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def limits(workloads: dict[str, list[dict[str, Any]]]) -> Rows:
    rows = [("limit", "one core", "all cores")]
    for row in workloads.get("costs/floors", []):
        both = [f"{digits(x)} {row['unit']}" if x is not None else "" for x in (row["one"], row["all_cores"])]
        rows.append((row["what"], *both))
    return rows


def distances(workloads: dict[str, list[dict[str, Any]]]) -> Rows:
    """A line for each figure that has a floor, the nearest first."""
    found = []
    for name, results in workloads.items():
        size = None
        for row in results:
            size = row.get("size", size)  # of the rows that the floors stand under
            if row.get("times_floor") is not None:
                cells = [digits(row[key] * row["scale"]) for key in ("floor", "ours")]
                what = f"{name}, {size:,}: {row['row']}"
                found.append(
                    (row["times_floor"], (what, row["unit"], *cells, digits(row["times_floor"]), row["limit"]))
                )
    return [("workload", "unit", "floor", "tapegrad", "x floor", "limited by"), *[cells for _, cells in sorted(found)]]


def growth(workloads: dict[str, list[dict[str, Any]]]) -> Rows:
    rows = [("nodes", "build, ns/node", "backward, ns/node", "together", "bytes/node", "at the peak of backward")]
    for row in workloads.get("costs/growth", []):
        memory = [f"{row[key]:.1f}" if row[key] is not None else "" for key in ("bytes_built", "bytes_peak")]
        times = (digits(row["build"]), digits(row["backward"]), f"{row['times_smallest']:.2f}")
        rows.append((f"{row['nodes']:,}", *times, *memory))
    return rows


def markdown(rows: Rows) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    machine = data["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores, {machine['python']}, {machine['compiler']}; {data['started']}")
    workloads = {workload["name"]: workload["results"] for workload in data["workloads"]}
    for table in (distances, growth, limits):
        rows = table(workloads)
        if len(rows) > 1:
            print(f"\n{markdown(rows)}")


if __name__ == "__main__":
    main(sys.argv[1])
