"""`tapegrad bench`: the compiled core against the pure-Python reference and plain floats, checked equal, then timed.

timing      samples, minimum and median; Python's cycle collector on or off and put back; the control
backends    what a program is run on: reference, tapegrad, micrograd; and whether their bits are the same
workloads   the list of what is measured, and the sizes
graphs, moons, digits, memory, modes    the workloads; `neurons` is what the two training ones share
report      the table, the JSON file, the progress display; `machine` is where it was measured
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["add_arguments", "main", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tapegrad bench`."""
    parser.add_argument("--quick", action="store_true", help="smaller sizes: under 20 seconds in place of 2 minutes")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only workloads whose name contains PATTERN or matches it as a glob; may be repeated",
    )
    parser.add_argument(
        "--modes", action="store_true", help="only n forward sweeps against one reverse sweep, as --only modes"
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="draw what modes has measured to FILE: .svg, .png or .pdf, with matplotlib"
    )
    parser.add_argument("--json", metavar="FILE", help="write every sample and the machine's facts to FILE as JSON")
    parser.add_argument("--list", action="store_true", help="list the workloads and exit")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run `tapegrad bench` with the options `argv` and return its exit status.

    0: measured; 1: a result of the compiled core was not the reference's; 2: a usage error; 130: interrupted.
    """
    import argparse

    parser = argparse.ArgumentParser(prog="tapegrad bench")
    add_arguments(parser)
    return run(parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Measure as the parsed `arguments` say and return the exit status; see `main`."""
    from tapegrad.bench import modes, workloads

    if arguments.list:
        print(f"{workloads.CONTROL[0]:10} {workloads.CONTROL[1]}")
        for workload in workloads.WORKLOADS:
            print(f"{workload.name:10} {workload.summary}")
        return 0
    try:
        chosen = workloads.choose(arguments.only + [modes.NAME] * arguments.modes)
        if arguments.json is not None:
            writable(arguments.json)
        if arguments.plot is not None:
            if modes.NAME not in chosen:
                raise ValueError("--plot draws what modes measures, which was not asked for: add --modes")
            modes.require_matplotlib(arguments.plot)
            writable(arguments.plot, "--plot")
        from tapegrad.bench import backends

        backends.require_compiled()
    except ValueError as error:
        print(f"tapegrad bench: {error}", file=sys.stderr)
        return 2
    try:
        return measure_all(chosen, arguments.quick, arguments.json, arguments.plot)
    except KeyboardInterrupt:
        print("tapegrad bench: interrupted", file=sys.stderr)
        return 130


def writable(path: str, option: str = "--json") -> None:
    """Raise ValueError unless a file can be written at `path`: before minutes are spent, not after."""
    try:
        with open(path, "ab") as file:
            empty = file.tell() == 0
        if empty:
            Path(path).unlink()
    except OSError as error:
        raise ValueError(f"{option} {path}: {error.strerror or error}") from error


def measure_all(chosen: list[str], quick: bool, json_path: str | None, plot_path: str | None) -> int:
    from tapegrad.bench import modes, workloads
    from tapegrad.bench.backends import Mismatch, Skip
    from tapegrad.bench.machine import facts
    from tapegrad.bench.report import Progress, Report
    from tapegrad.bench.timing import control

    started = time.perf_counter()
    report = Report(facts(), quick, *([modes.LEGEND] if chosen == [modes.NAME] else []))
    sizes = workloads.QUICK if quick else workloads.FULL
    with Progress() as progress:
        progress.enter("control")
        before = control()
        progress.clear()
        report.control(before)
        for workload in workloads.WORKLOADS:
            if workload.name not in chosen:
                continue
            report.section(workload.name, workload.summary)
            progress.enter(workload.name)
            try:
                for item in workload.measure(sizes, progress):
                    progress.clear()
                    report.add(item)
            except Skip as skip:
                report.skipped(str(skip))
            except Mismatch as mismatch:
                report.mismatch(str(mismatch))
            progress.clear()
        progress.enter("control")
        after = control()
    report.control(after, before)
    report.finish(time.perf_counter() - started)
    results = report.results(modes.NAME)
    for option, path, write in (
        ("--json", json_path, report.write),
        ("--plot", plot_path if results else None, lambda path: modes.picture(results).savefig(path)),
    ):
        try:
            if path is not None:
                write(path)
        except OSError as error:
            print(f"tapegrad bench: {option} {path}: {error.strerror or error}", file=sys.stderr)
            return 2
    return 1 if report.mismatches else 0
