"""What an adapter in benchmarks/peers says about a library, and how a problem is put to it.

An adapter is a module with

    NAME        as it is printed
    PACKAGE     the distribution whose version is printed
    WAYS        the ways it is used: {way: whether it compiles}, such as {"interpreter": False, "LLVM": True}

and any of

    scalars(how)            a Scalars: the library has numbers that remember; a graph is made at every call
    point(case, how)        a function without arguments: value and gradient of a Point at its x
    batch(case, how)        the same for a Batch
    black_scholes(case, how), ...   the same for the problem of that name alone, before all of the others; where two
                            groups have a name, replay_chain(case, how)

`point`, `batch` and those for one problem do everything that is done once, and record or compile at another point than
the one that is timed. What a library cannot do raises Cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from tapegrad.bench.problem import Batch, Point, product, total

if TYPE_CHECKING:
    from tapegrad.bench.problem import Answer, Problem, Program

NONE = "no program of this workload"
FEW = 4  # samples of a batch that a library without batches is given; its time is that of one, times the samples


class Cannot(Exception):  # noqa: N818 - no error
    """What a library has no way to do; the message says what."""


@dataclass(frozen=True)
class How:
    """The way to use a library, and the threads it may use."""

    way: str = ""
    threads: int = 1


@dataclass(frozen=True)
class Scalars:
    """A library of numbers that remember how they were made."""

    variable: Callable[[float], Any]
    gradient: Callable[[Any, list[Any]], tuple[float, list[float]]]  # of a result by these variables: (value, gradient)
    m: Any  # functions; what is not there the library has not, see `Functions`
    begin: Callable[[list[Any]], None] = lambda _variables: None  # called with them before a program


class Functions(SimpleNamespace):
    """The `m` of a library; asked for what it has not, it raises Cannot."""

    def __init__(self, name: str, **functions: Any) -> None:
        super().__init__(**{"sum": total, "dot": product, **functions})
        self._name = name

    def __getattr__(self, name: str) -> Any:
        raise Cannot(f"{self.__dict__.get('_name', 'it')} has no {name}")


@dataclass(frozen=True)
class Task:
    """What a library is to do: `start()` prepares and gives a function that computes the problem once."""

    start: Callable[[], Callable[[], Any]]
    answer: Callable[[], Answer]
    times: float = 1.0  # how many times the seconds of a run count


def task(adapter: ModuleType, problem: Problem, size: int, how: How) -> Task:
    """The problem put to a library; of the ways to do so the first of `candidates` that is there.

    The answer is that of another copy of the problem: a library may write on its inputs.
    """
    there = {name: getattr(adapter, name, None) for name in candidates(problem)}
    suitable = [(name, f) for name, f in there.items() if f is not None and serves(f, how.way)]
    if not suitable:
        raise Cannot(NONE)
    name, function = suitable[0]
    case = problem.make(size)
    if name != "scalars":
        return Task(lambda: function(case, how), problem.make(size).answer)
    single(how)
    if isinstance(case, Point):
        return Task(lambda: point_by_scalars(function(how), case.program, case.x), problem.make(size).answer)
    few = problem.make(min(size, FEW))
    return Task(lambda: batch_by_scalars(function(how), few), problem.make(few.samples).answer, size / few.samples)


def candidates(problem: Problem) -> list[str]:
    """The functions of an adapter that may serve a problem, the most special first.

    The eager group is about graphs that are made at every call, so it is for numbers that remember alone.
    """
    if problem.group == "eager":
        return ["scalars"]
    group, _, name = problem.name.replace("-", "_").partition("/")
    kind = "point" if isinstance(problem.make(problem.quick), Point) else "batch"
    return [f"{group}_{name}", name, kind, "scalars"]


def serves(function: Callable[..., Any], way: str) -> bool:
    """Whether a function of an adapter is meant for this way; `for_ways` marks those that are not meant for all."""
    ways = getattr(function, "ways", None)
    return ways is None or way in ways


def single(how: How) -> None:
    """Raise Cannot if more than one thread is asked for."""
    if how.threads > 1:
        raise Cannot("one thread")


def for_ways(*ways: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a function of an adapter as meant for these ways alone."""

    def marked(function: Callable[..., Any]) -> Callable[..., Any]:
        function.ways = ways  # type: ignore[attr-defined]
        return function

    return marked


def point_by_scalars(scalars: Scalars, program: Program, x: Sequence[float]) -> Callable[[], Answer]:
    variable, gradient, m, begin = scalars.variable, scalars.gradient, scalars.m, scalars.begin

    def run() -> Answer:
        xs = [variable(xi) for xi in x]
        begin(xs)
        return gradient(program(xs, m), xs)

    return run


def row(program: Program, k: int) -> Program:
    """The k-th result of a program alone."""
    return lambda xs, m: program(xs, m)[k]


def batch_by_scalars(scalars: Scalars, case: Batch) -> Callable[[], Answer]:
    """Sample by sample; a Jacobian row by row, each on a graph of its own."""
    points = [case.at(k) for k in range(case.samples)]
    if case.outputs > 1:
        rows = [point_by_scalars(scalars, row(program, k), x) for x, program in points for k in range(case.outputs)]
        return lambda: (None, [one()[1] for one in rows])
    runs = [point_by_scalars(scalars, program, x) for x, program in points]

    def run() -> Answer:
        answers = [one() for one in runs]
        values, gradients = [a[0] for a in answers], [a[1] for a in answers]
        if case.shared is not None:
            return sum(values) / len(values), [sum(column) / len(values) for column in zip(*gradients, strict=True)]
        return values, list(zip(*gradients, strict=True)) if case.by > 1 else gradients

    return run
