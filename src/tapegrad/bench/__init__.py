"""`tapegrad bench`: the compiled core against the pure-Python reference and plain floats, checked equal, then timed.

timing      samples, minimum and median; Python's cycle collector on or off and put back; the control
problem     what is measured: a program, its point or its samples, an independent answer; `problems` are all of them
backends    what a program is run on: reference, tapegrad, micrograd; and whether their bits are the same
points, batches     our own rows of a problem at one point and over many samples
rivals      other libraries, each in a process of its own (`worker`), by the adapters of benchmarks/peers (`rival`)
moons, gpt, digits, memory, growth, modes   the other workloads; `neurons` is what the training ones share
workloads   the list of what is measured, and how large
report      the table, the JSON file, the progress display; `machine` is where it was measured
charts, changes     `--plot` and `--compare`
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tapegrad.bench.report import Report
    from tapegrad.bench.workloads import Plan

__all__ = ["add_arguments", "main", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tapegrad bench`."""
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="small sizes: under half a minute in place of 3; not for quoting"
    )
    size.add_argument("--full", action="store_true", help="every workload in all its sizes")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only workloads whose name contains PATTERN or matches it as a glob; may be repeated",
    )
    parser.add_argument(
        "--peers",
        default="none",
        metavar="NAMES",
        help="rivals to measure as well: all, none (as without it), or names with commas between; "
        "what is not installed is skipped by name",
    )
    parser.add_argument(
        "--threads", default="1", metavar="NUMBERS", help="of rivals in batches, with commas between; 1 without it"
    )
    parser.add_argument("--json", metavar="FILE", help="write every sample and the machine's facts to FILE as JSON")
    parser.add_argument("--plot", metavar="DIR", help="draw every workload to DIR, as SVG and PNG, with matplotlib")
    parser.add_argument(
        "--compare", metavar="OLD.json", help="say what has changed since an earlier --json, and fail if it is slower"
    )
    parser.add_argument(
        "--modes", action="store_true", help="n forward sweeps against one reverse sweep, as --only costs/modes"
    )
    parser.add_argument("--list", action="store_true", help="list the workloads and the rivals, and exit")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `tapegrad bench` with the options `argv` and return its exit status.

    0: measured; 1: a result of the compiled core was not the reference's or not the independent answer; 2: a usage
    error; 3: slower than what `--compare` was given; 130: interrupted.
    """
    import argparse

    parser = argparse.ArgumentParser(prog="tapegrad bench")
    add_arguments(parser)
    return run(parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Measure as the parsed `arguments` say and return the exit status; see `main`."""
    from tapegrad.bench import backends, changes, charts, modes, rivals, workloads

    if arguments.list:
        listing()
        return 0
    try:
        chosen = workloads.choose(arguments.only + [modes.NAME] * arguments.modes)
        level = "quick" if arguments.quick else "full" if arguments.full else "default"
        plan = workloads.Plan(level, tuple(rivals.choose(arguments.peers)), counts(arguments.threads))
        old = None if arguments.compare is None else changes.read(arguments.compare)
        if arguments.json is not None:
            writable(arguments.json)
        if arguments.plot is not None:
            charts.require(arguments.plot)
        backends.require_compiled()
    except ValueError as error:
        print(f"tapegrad bench: {error}", file=sys.stderr)
        return 2
    try:
        report = measure_all(chosen, plan)
    except KeyboardInterrupt:
        print("tapegrad bench: interrupted", file=sys.stderr)
        return 130
    try:
        if arguments.json is not None:
            report.write(arguments.json)
        if arguments.plot is not None:
            charts.draw(report.data, arguments.plot)
    except OSError as error:
        print(f"tapegrad bench: {error.filename}: {error.strerror or error}", file=sys.stderr)
        return 2
    if report.mismatches:
        return 1
    if old is not None:
        comparison = changes.compare(old, report.data)
        print(comparison)
        return 3 if comparison.slower else 0
    return 0


def listing() -> None:
    """Print the workloads and the rivals."""
    from tapegrad.bench import rivals, workloads

    print(f"{workloads.CONTROL[0]:28} {workloads.CONTROL[1]}")
    for workload in workloads.WORKLOADS:
        print(f"{workload.name:28} {workload.summary}")
    print("\nrivals, for --peers:")
    for contender in rivals.contenders():
        if contender.module != rivals.OURS:
            print(f"{contender.label:28} {'compiles' if contender.compiles else 'compiles nothing'}")


def counts(text: str) -> tuple[int, ...]:
    """The numbers of threads in `text`."""
    try:
        numbers = tuple(int(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise ValueError(f"--threads {text}: whole numbers from 1, with commas between")
    return numbers


def writable(path: str) -> None:
    """Raise ValueError unless a file can be written at `path`: before minutes are spent, not after."""
    try:
        with open(path, "ab") as file:
            empty = file.tell() == 0
        if empty:
            Path(path).unlink()
    except OSError as error:
        raise ValueError(f"--json {path}: {error.strerror or error}") from error


def measure_all(chosen: list[str], plan: Plan) -> Report:
    from tapegrad.bench import workloads
    from tapegrad.bench.backends import Mismatch, Skip
    from tapegrad.bench.machine import facts
    from tapegrad.bench.report import Progress, Report
    from tapegrad.bench.timing import control

    started = time.perf_counter()
    report = Report(facts(), plan.level, legend=any(not name.startswith(("control", "costs/")) for name in chosen))
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
                for item in workload.measure(plan, progress):
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
    return report
