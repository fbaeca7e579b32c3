"""Rivals: every contender in a process of its own, checked against the answer, then timed in turn.

All contenders of a problem are prepared first; then they take turns, and the least time of all rounds counts.
"""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from tapegrad.bench.problem import TOLERANCE
from tapegrad.bench.rival import How
from tapegrad.bench.worker import PEERS, main

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapegrad.bench.problem import Problem
    from tapegrad.bench.report import Progress

OURS = "ours"
ROUNDS, SECONDS, LIMIT = 5, 0.25, 120.0  # seconds a contender runs in a round, and after which it is given up


@dataclass(frozen=True)
class Contender:
    """A library used in one way. A compiler is one that makes machine code at run time or that compiles loops."""

    module: str
    name: str
    way: str
    compiles: bool

    @property
    def label(self) -> str:
        return f"{self.name} {self.way}".strip()


def contenders() -> list[Contender]:
    """All of them, ours first. To know them, the adapters' texts are read, not the libraries."""
    found = []
    for module in pkgutil.iter_modules(import_module(PEERS).__path__):
        if module.name.startswith("_"):
            continue
        name, ways = described(module.name)
        found += [Contender(module.name, name, way, compiles) for way, compiles in ways.items()]
    return sorted(found, key=lambda c: (c.module != OURS, c.name.lower()))


def described(module: str) -> tuple[str, dict[str, bool]]:
    """NAME and WAYS of an adapter, without importing what it imports."""
    import ast
    from pathlib import Path

    [folder] = import_module(PEERS).__path__
    facts = {}
    for statement in ast.parse(Path(folder, module + ".py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in ("NAME", "WAYS"):
                facts[name] = ast.literal_eval(statement.value)
    return facts["NAME"], facts["WAYS"]


def choose(text: str) -> list[Contender]:
    """The contenders that `--peers text` asks for: all, none, or names with commas between; ours if there are any."""
    everybody = contenders()
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if names in ([], ["none"]):
        return []
    if names == ["all"]:
        return everybody
    for name in names:
        if not any(asked(c, name) for c in everybody):
            known = ", ".join(dict.fromkeys(c.name for c in everybody if c.module != OURS))
            raise ValueError(f"--peers {name}: no rival is named like that; there are {known}, all and none")
    return [c for c in everybody if c.module == OURS or any(asked(c, name) for name in names)]


def asked(contender: Contender, name: str) -> bool:
    return name in (contender.module, contender.name.lower(), contender.label.lower())


@contextmanager
def without_caches() -> Iterator[None]:
    """Run the body with an empty home directory: no kernels that an earlier run has compiled."""
    was = os.environ.get("HOME")
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        try:
            yield
        finally:
            if was is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = was


class Process:
    """The process of a contender."""

    def __init__(self, contender: Contender, problem: str, size: int, threads: int) -> None:
        self.contender, self.threads = contender, threads
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        how = How(contender.way, threads)
        self.process = context.Process(target=main, args=(theirs, contender.module, problem, size, how), daemon=True)
        self.process.start()
        theirs.close()
        self.facts: dict[str, Any] = {}
        self.samples: list[float] = []

    def prepare(self, limit: float) -> None:
        self.facts = dict(self.hear(limit))
        if "error" in self.facts and not self.facts["error"] <= TOLERANCE:
            self.facts["failed"] = f"WRONG: off by {self.facts['error']:.1e} of the largest number"
            self.stop()

    def hear(self, limit: float) -> Any:
        """What the process says; if it says nothing in time or dies, that."""
        said: dict[str, Any]
        try:
            if self.pipe.poll(limit):
                return self.pipe.recv()
            said = {"failed": f"not done in {limit:.0f} s"}
        except (EOFError, ConnectionError):
            self.process.join(5)
            said = {"failed": f"died with exit status {self.process.exitcode}"}
        self.stop()
        return said

    def sample(self, seconds: float, limit: float) -> None:
        if not self.alive:
            return
        self.pipe.send(seconds)
        answer = self.hear(limit)
        if isinstance(answer, float):
            self.samples.append(answer)
        else:
            self.facts.update(answer)

    def finish(self) -> None:
        if self.alive:
            self.pipe.send(None)
            answer = self.hear(10)
            if isinstance(answer, float):
                self.facts["peak_megabytes"] = answer
        self.stop()

    @property
    def alive(self) -> bool:
        return not {"failed", "skipped", "left_out"} & self.facts.keys() and self.process.is_alive()

    def stop(self) -> None:
        self.process.kill()
        self.process.join()

    @property
    def best(self) -> float | None:
        return min(self.samples) if self.samples and "failed" not in self.facts else None


HEADING = (
    f"{'':34}{'version':>10}{'prepare':>10}{'time':>13}{'':8}{'/ eager':>10}{'/ recorded':>12}{'peak MB':>9}"
    f"{'off by':>8}"
)


@dataclass
class RivalRow:
    """A contender's figures on a problem: seconds to prepare, which is to record or to compile, and of one run."""

    heading: ClassVar[str] = HEADING
    contender: str
    way: str
    compiles: bool
    size: int
    threads: int
    unit: str
    scale: float
    facts: dict[str, Any]
    samples_s: list[float]
    times_eager: float | None
    times_recorded: float | None
    steady: bool

    def __str__(self) -> str:
        from tapegrad.bench.report import digits3

        label = f"{self.contender} {self.way}".strip() + (f", {self.threads} threads" if self.threads > 1 else "")
        version = str(self.facts.get("version", ""))[:9]
        problem = self.facts.get("failed") or self.facts.get("skipped") or self.facts.get("left_out")
        if problem or not self.samples_s:
            return f"{label:34}{version:>10}  {problem or 'not timed'}"
        ratios = [
            "-" if x is None else digits3(x) if self.steady else "drift"
            for x in (self.times_eager, self.times_recorded)
        ]
        time = f"{digits3(min(self.samples_s) * self.scale):>13} {self.unit:7}"
        peak = self.facts.get("peak_megabytes") or 0
        return (
            f"{label:34}{version:>10}{self.facts['prepared_s']:>8.3f} s{time}{ratios[0]:>10}{ratios[1]:>12}"
            f"{peak:>9.0f}{self.facts['error']:>8.0e}"
        )


def compare(
    problem: Problem, size: int, chosen: Sequence[Contender], threads: Sequence[int], progress: Progress
) -> Iterator[RivalRow | str]:
    """Rows of all contenders on one problem in one size, and a line of those that have no program of it."""
    from tapegrad.bench.timing import DRIFT, control

    processes: list[Process] = []
    with without_caches():
        try:
            for count in threads:
                for contender in chosen:
                    progress.say(f"{size:,}, preparing {contender.label}")
                    process = Process(contender, problem.name, size, count)
                    processes.append(process)
                    process.prepare(LIMIT)
            before = control()
            for number in range(ROUNDS):
                for process in processes:
                    progress.say(f"{size:,}, round {number + 1} of {ROUNDS}: {process.contender.label}")
                    process.sample(SECONDS, LIMIT)
            steady = abs(control().min / before.min - 1) <= DRIFT
        finally:
            for process in processes:
                process.finish()
    ours = {(p.contender.way, p.threads): p.best for p in processes if p.contender.module == OURS}
    absent = []
    for p in processes:
        why = p.facts.get("skipped") or p.facts.get("left_out")
        if why:
            absent.append(f"{p.contender.label} ({why})")
            continue
        eager, recorded = (
            p.best / best if p.best and (best := ours.get((way, p.threads))) else None for way in ("eager", "recorded")
        )
        yield RivalRow(
            p.contender.name, p.contender.way, p.contender.compiles, size, p.threads, problem.unit, problem.scale(size),
            p.facts, p.samples, eager, recorded, steady,
        )  # fmt: skip
    if not steady:
        yield "The control has drifted: these ratios are no facts and are not printed; run again."
    if absent:
        yield f"not here: {', '.join(dict.fromkeys(absent))}"
