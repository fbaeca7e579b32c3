"""Rivals: every contender in a process of its own, checked against the answer, then timed in turn.

All contenders of a problem are prepared first, as many at a time as there are cores for; then they take turns, one at
a time on the same cores, and the least time of all rounds counts.
"""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar

from tapegrad.bench.problem import TOLERANCE
from tapegrad.bench.rival import NONE, How, candidates
from tapegrad.bench.worker import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapegrad.bench.problem import Problem
    from tapegrad.bench.report import Progress

PEERS = "tapegrad.bench.peers"
OURS = "ours"
ROUNDS, SECONDS = 5, 0.1  # a contender runs so many seconds in a round
PATIENCE = 1.0  # seconds of a run, beyond which there are no further rounds for a contender
LIMIT = 45.0  # seconds after which a contender is given up


@dataclass(frozen=True)
class Contender:
    """A library used in one way. A compiler is one that makes machine code at run time or that compiles loops."""

    module: str
    name: str
    package: str
    way: str
    compiles: bool
    offers: frozenset[str] = frozenset()  # the functions of its adapter that are meant for this way

    @property
    def label(self) -> str:
        return f"{self.name} {self.way}".strip()

    def absent(self, problem: Problem) -> dict[str, str]:
        """Why it need not be started for a problem: its adapter has no function for it, or it is not installed."""
        if not self.offers & set(candidates(problem)):
            return {"left_out": NONE}
        try:
            version(self.package)
        except PackageNotFoundError:
            return {"skipped": "not installed"}
        return {}


def contenders() -> list[Contender]:
    """All of them, ours first. To know them, the adapters' texts are read, not the libraries."""
    found = []
    for module in pkgutil.iter_modules(import_module(PEERS).__path__):
        if not module.name.startswith("_"):
            found += described(module.name)
    return sorted(found, key=lambda c: (c.module != OURS, c.name.lower()))


def described(module: str) -> list[Contender]:
    """NAME, PACKAGE, WAYS and the functions of an adapter, without importing what it imports."""
    import ast
    from pathlib import Path

    [folder] = import_module(PEERS).__path__
    facts: dict[str, Any] = {}
    functions: dict[str, tuple[str, ...] | None] = {}  # and the ways that they are meant for
    for statement in ast.parse(Path(folder, module + ".py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in ("NAME", "PACKAGE", "WAYS"):
                facts[name] = ast.literal_eval(statement.value)
        elif isinstance(statement, ast.FunctionDef):
            marks = [d.args for d in statement.decorator_list if isinstance(d, ast.Call)]
            functions[statement.name] = tuple(ast.literal_eval(way) for way in marks[0]) if marks else None
    return [
        Contender(module, facts["NAME"], facts["PACKAGE"], way, compiles,
                  frozenset(name for name, ways in functions.items() if ways is None or way in ways))
        for way, compiles in facts["WAYS"].items()
    ]  # fmt: skip


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
    """The process of a contender; it is started by `start`, and `facts` are what it has said."""

    def __init__(self, contender: Contender, problem: Problem, size: int, threads: int) -> None:
        self.contender, self.threads = contender, threads
        self.task = (problem.name, size, How(contender.way, threads))
        self.facts: dict[str, Any] = dict(contender.absent(problem))
        self.samples: list[float] = []
        self.end = 0.0  # when it is given up

    def start(self, cores: Sequence[int]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        adapter = f"{PEERS}.{self.contender.module}"
        self.process = context.Process(target=main, args=(theirs, adapter, *self.task, cores), daemon=True)
        self.process.start()
        theirs.close()
        self.end = time.monotonic() + LIMIT

    def prepared(self) -> bool:
        """Whether it has said what it has prepared, or never will."""
        if not self.pipe.poll(0) and time.monotonic() < self.end:
            return False
        said = self.hear(0)
        self.facts.update(said if isinstance(said, dict) else {})
        if "error" in self.facts and not self.facts["error"] <= TOLERANCE:
            self.facts["failed"] = f"WRONG: off by {self.facts['error']:.1e} of the largest number"
        if not self.alive:
            self.stop()
        return True

    def hear(self, limit: float) -> Any:
        """What the process says; if it says nothing in time or dies, that."""
        said: dict[str, Any]
        try:
            if self.pipe.poll(limit):
                return self.pipe.recv()
            said = {"failed": f"not done in {LIMIT:.0f} s"}
        except (EOFError, ConnectionError):
            self.process.join(5)
            said = {"failed": f"died: {cause(self.process.exitcode)}"}
        self.stop()
        return said

    def sample(self, cores: Sequence[int]) -> None:
        """Time it for a round, unless one run takes too long for another one."""
        if not self.alive or (self.samples and self.samples[-1] / self.facts["times"] > PATIENCE):
            return
        with suppress(OSError):  # it has died, which is heard below
            self.pipe.send((SECONDS, cores))
        answer = self.hear(LIMIT)
        if isinstance(answer, float):
            self.samples.append(answer)
        else:
            self.facts.update(answer)

    @property
    def alive(self) -> bool:
        return not {"failed", "skipped", "left_out"} & self.facts.keys()

    def stop(self) -> None:
        if self.end:
            self.process.kill()
            self.process.join()

    @property
    def best(self) -> float | None:
        return min(self.samples) if self.samples and "failed" not in self.facts else None


def cause(exitcode: int | None) -> str:
    """The name of the signal that has ended a process, or its exit status."""
    if exitcode is not None and exitcode < 0:
        with suppress(ValueError):
            return signal.Signals(-exitcode).name
    return f"exit status {exitcode}"


def groups(threads: int) -> list[list[int]]:
    """The cores of this process in groups of so many; one group of all, if they are fewer; [] where nobody knows."""
    if not hasattr(os, "sched_getaffinity"):
        return [[]]
    cores = sorted(os.sched_getaffinity(0))
    whole = [cores[k : k + threads] for k in range(0, len(cores) - threads + 1, threads)]
    return whole or [cores]


def prepare(processes: Sequence[Process], progress: Progress) -> None:
    """Start all that can run, each on a group of cores of its own, and wait until they are ready."""
    waiting = [process for process in processes if process.alive]
    free = groups(waiting[0].threads if waiting else 1)
    busy: list[tuple[Process, list[int]]] = []
    while waiting or busy:
        while waiting and free:
            process, cores = waiting.pop(0), free.pop()
            process.start(cores)
            busy.append((process, cores))
            progress.say("preparing " + ", ".join(process.contender.label for process, _ in busy))
        for process, cores in list(busy):
            if process.prepared():
                busy.remove((process, cores))
                free.append(cores)
        time.sleep(0.01)


HEADING = (
    f"{'':34}{'version':>10}{'prepare':>10}{'time':>13}{'':8}{'/ eager':>10}{'/ recorded':>12}{'MB':>7}{'peak':>7}"
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
        before, peak = (self.facts[key] or 0 for key in ("megabytes_before", "peak_megabytes"))
        return (
            f"{label:34}{version:>10}{self.facts['prepared_s']:>8.3f} s{time}{ratios[0]:>10}{ratios[1]:>12}"
            f"{before:>7.0f}{peak:>7.0f}{self.facts['error']:>8.0e}"
        )


def compare(
    problem: Problem, size: int, chosen: Sequence[Contender], threads: Sequence[int], progress: Progress
) -> Iterator[RivalRow | str]:
    """Rows of all contenders on one problem in one size, and a line of those that have no program of it."""
    from tapegrad.bench.timing import DRIFT, control

    processes = [[Process(contender, problem, size, count) for contender in chosen] for count in threads]
    everybody = [process for some in processes for process in some]
    with without_caches():
        try:
            for some in processes:
                prepare(some, progress)
            before = control()
            for number in range(ROUNDS):
                for process in everybody:
                    progress.say(f"{size:,}, round {number + 1} of {ROUNDS}: {process.contender.label}")
                    process.sample(groups(process.threads)[0])
            steady = abs(control().min / before.min - 1) <= DRIFT
        finally:
            for process in everybody:
                process.stop()
    ours = {(p.contender.way, p.threads): p.best for p in everybody if p.contender.module == OURS}
    absent: dict[str, list[str]] = {}
    for p in everybody:
        why = p.facts.get("skipped") or p.facts.get("left_out")
        if why:
            absent.setdefault(why, []).append(p.contender.label)
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
    for why, labels in absent.items():
        yield f"{why}: {', '.join(dict.fromkeys(labels))}"
