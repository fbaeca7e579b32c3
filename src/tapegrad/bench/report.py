"""What is printed and what is written: a table in plain text, every sample as JSON, and signs of life on stderr."""

from __future__ import annotations

import json
import statistics
import sys
import textwrap
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tapegrad.bench.backends import BASE_OFF, BASE_ON, FLOATS, OURS
from tapegrad.bench.timing import DRIFT, SPIN_OPERATIONS, Measured, Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 116
FORMAT = 2  # of the JSON

LEGEND = """\
Each time is the smallest of up to 15 samples; "+4%" behind it says that the median lies 4% above; without it there
is one sample. Contenders take turns, and ratios are of the smallest. "gc on" and "gc off": the baseline with
Python's cycle collector on, as Python starts, and off, without our own objects to look at; tapegrad and floats run
with it on. "faster than" is how many times as long as tapegrad each of the two takes. "floats" is the same
arithmetic on plain Python floats, which gives no derivatives; "tapegrad / floats" is how many times as long
tapegrad takes. The baseline is tapegrad.reference, the same Value in pure Python, unless the line says micrograd.
Before a ratio is printed, results and gradients of tapegrad and of the reference have been compared and found equal
to the last bit, and the same as an answer found in another way. "drift" in place of a ratio: arithmetic that does not
touch tapegrad, timed before and after, did not take the same time, twice; run again."""


@dataclass
class Row:
    """One line of the table: timings in seconds by contender, shown in `unit` after multiplying by `scale`.

    `whole` rows are those of whole workloads, which geometric means are taken of; ratios of rows that are not `steady`,
    because the control drifted meanwhile, are not printed.
    """

    title: str
    unit: str
    scale: float
    timings: dict[str, Timing]
    baseline: str = "reference"
    whole: bool = False
    steady: bool = True
    size: int | None = None

    def ratio(self, over: str, under: str) -> float | None:
        if over not in self.timings or under not in self.timings:
            return None
        return self.timings[over].min / self.timings[under].min

    def ratios(self) -> dict[str, float | None]:
        return {
            "faster_than_gc_on": self.ratio(BASE_ON, OURS),
            "faster_than_gc_off": self.ratio(BASE_OFF, OURS),
            "times_floats": self.ratio(OURS, FLOATS),
        }

    def cell(self, key: str) -> str:
        timing = self.timings.get(key)
        if timing is None:
            return "-"
        spread = f"+{timing.spread:.0%}" if len(timing.samples) > 1 else ""
        return f"{digits3(timing.min * self.scale)}{spread:>5}"

    def cells(self) -> list[str]:
        on, off, floats = (times(ratio) if self.steady else "drift" for ratio in self.ratios().values())
        return [f"{self.title} ({self.unit})", self.baseline, self.cell(BASE_ON), self.cell(BASE_OFF), self.cell(OURS),
                on, off, self.cell(FLOATS), floats]  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        times = {key: {"min_s": t.min, "median_s": t.median, "samples_s": t.samples} for key, t in self.timings.items()}
        facts = {"row": self.title, "baseline": self.baseline, "unit": self.unit, "unit_per_second": self.scale,
                 "whole": self.whole, "steady": self.steady, "size": self.size}  # fmt: skip
        return {**facts, "times": times, "ratios": self.ratios() if self.steady else None}


@dataclass
class MemoryRow:
    """Bytes a node of the reference and of tapegrad."""

    title: str
    reference: float
    tapegrad: float

    def __str__(self) -> str:
        saving = times(self.reference / self.tapegrad if self.tapegrad > 0 else None)
        return f"{self.title:40} reference {self.reference:6.0f}   tapegrad {self.tapegrad:5.0f}   {saving:>5} smaller"


def rows(title: str, measured: Measured, unit: str, scale: float, baseline: str = "reference") -> Iterator[Row]:
    """A row for each phase; the one without a name is the whole."""
    for phase, by_key in measured.phases.items():
        whole = ": ".join(filter(None, (title, phase)))
        yield Row(whole, unit, scale, by_key, baseline, whole=not phase, steady=measured.steady)


def digits3(x: float) -> str:
    """x with three digits that count, and no exponent."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 1 or x == 0 else f"{x:#.3g}"


def times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{digits3(ratio)}x"


WIDTHS = [34, 10, 14, 14, 13, 8, 8, 13, 9]
HEADINGS = [
    ["", "", "baseline", "baseline", "", "faster", "than  ", "", "tapegrad"],
    ["", "baseline", "gc on", "gc off", "tapegrad", "gc on", "gc off", "floats", "/ floats"],
]


def table_line(cells: list[str]) -> str:
    """The first two columns to the left, the others to the right."""
    padded = [f"{cell:{'<' if i < 2 else '>'}{WIDTHS[i]}}" for i, cell in enumerate(cells)]
    return "".join(padded).rstrip()


class Report:
    """Prints what it is given as it comes, and remembers it for JSON."""

    def __init__(self, machine: dict[str, str | int | None], level: str, legend: bool = True) -> None:
        self.data: dict[str, Any] = {
            "format": FORMAT, "machine": machine, "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "level": level,
            "control": [], "workloads": [], "skipped": [], "mismatches": [],
        }  # fmt: skip
        print(f"tapegrad {machine['tapegrad']}, commit {machine['commit'] or 'unknown (not run from a checkout)'}")
        print(f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}")
        print(f"{machine['python']}, {machine['compiler']}")
        if legend:
            print("\n" + LEGEND)
        if level == "quick":
            print("--quick: small sizes and few samples; quote figures of a full run.")

    @property
    def mismatches(self) -> list[str]:
        mismatches: list[str] = self.data["mismatches"]
        return mismatches

    def control(self, timing: Timing, before: Timing | None = None) -> None:
        """Print the control; with `before`, also how far it has drifted since."""
        nanoseconds = timing.min / SPIN_OPERATIONS * 1e9
        self.data["control"].append({"ns_per_operation": nanoseconds, "samples_s": timing.samples})
        when = "before" if before is None else "after"
        print(f"\ncontrol, {when}: {nanoseconds:.2f} ns per operation on plain floats (+{timing.spread:.0%})")
        if before is None:
            return
        drift = timing.min / before.min - 1
        self.data["control_drift"] = drift
        if abs(drift) > DRIFT:
            self.text(
                f"WARNING: the control, which does not touch tapegrad, has drifted by {drift:+.0%} during this run. "
                "The machine was not steady: do not quote these figures, run again."
            )
        else:
            print(f"The control has drifted by {drift:+.1%} during this run.")

    def section(self, name: str, summary: str) -> None:
        self.rows: list[dict[str, Any]] = []
        self.data["workloads"].append({"name": name, "summary": summary, "results": self.rows})
        self.headed: type | None = None  # what the heading above is of
        print(flush=True)
        print(textwrap.fill(f"{name}: {summary}", WIDTH))

    def add(self, item: Row | Any) -> None:
        """Print a row of the table, or anything else by its str; keep it if it is a result."""
        if isinstance(item, Row):
            if self.headed is not Row:
                print("\n".join(map(table_line, HEADINGS)))
                self.headed = Row
            print(table_line(item.cells()), flush=True)
            self.rows.append(item.as_json())
        elif is_dataclass(item) and not isinstance(item, type):
            if self.headed is not type(item) and hasattr(item, "heading"):
                print(textwrap.indent(item.heading, "  "))
                self.headed = type(item)
            print(f"  {item}", flush=True)
            self.rows.append(asdict(item))
        else:
            self.text(str(item))
            if str(item).startswith("skipped: "):
                self.data["skipped"].append(str(item).removeprefix("skipped: "))

    def skipped(self, why: str) -> None:
        self.add(f"skipped: {why}")

    def mismatch(self, what: str) -> None:
        self.text(f"MISMATCH: {what}. No ratio is given. This is a defect of tapegrad: please report it.")
        self.mismatches.append(what)

    def text(self, text: str) -> None:
        print(textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="  "), flush=True)

    def finish(self, seconds: float) -> None:
        self.data["seconds"] = seconds
        if self.mismatches:
            print(f"\nFAILED: {len(self.mismatches)} workloads do not agree with the reference or the answer.")
        self.means()
        print(f"\nThe whole run took {seconds:.0f} s.")

    def means(self) -> None:
        """Print the geometric means of the ratios to the reference, group by group, over whole workloads."""
        by_group: dict[str, dict[str, list[float]]] = {}
        for workload in self.data["workloads"]:
            group = workload["name"].partition("/")[0]
            for row in workload["results"]:
                if row.get("whole") and row["baseline"] == "reference" and row["ratios"]:
                    for key, ratio in row["ratios"].items():
                        if ratio is not None:
                            by_group.setdefault(group, {}).setdefault(key, []).append(ratio)
        self.data["geometric_means"] = {
            group: {key: statistics.geometric_mean(ratios) for key, ratios in by_key.items()}
            for group, by_key in by_group.items()
        }
        for group, means in self.data["geometric_means"].items():
            on, off, floats = (
                times(means.get(key)) for key in ("faster_than_gc_on", "faster_than_gc_off", "times_floats")
            )
            print(
                f"\n{group}: geometric mean over {len(by_group[group]['faster_than_gc_off'])} rows: {off} faster than "
                f"the reference with the collector off, {on} on; {floats} the time of plain floats."
            )

    def write(self, path: str) -> None:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.data, file, indent=1)
            file.write("\n")


@dataclass
class Progress:
    """What is going on, on stderr: one line rewritten on a terminal, elsewhere one short line a workload."""

    terminal: bool = field(default_factory=lambda: sys.stderr.isatty())
    name: str = ""
    ticks: int = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def enter(self, name: str) -> None:
        self.name, self.ticks = name, 0
        if self.terminal:
            self.say("")
        else:
            print(f"measuring {name}", file=sys.stderr, flush=True)

    def tick(self) -> None:
        self.ticks += 1
        self.say("." * (self.ticks % 40))

    def say(self, what: str) -> None:
        if self.terminal:
            print(f"\r\x1b[Kmeasuring {self.name} {what}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self.terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
