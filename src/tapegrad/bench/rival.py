"""What an adapter in benchmarks/peers says about a library, and how a problem is put to it.

An adapter is a module with

    NAME        as it is printed
    PACKAGE     the distribution whose version is printed
    WAYS        the ways it is used: {way: whether it compiles}, such as {"interpreter": False, "LLVM": True}

and any of

    scalars(how)            a Scalars: the library has numbers that remember; a graph is made at every call
    point(case, how)        a function without arguments: value and gradient of a Point at its x
    batch(case, how)        the same for a Batch
    black_scholes(case, how), ...   the same for the problem of that name alone, before all of the others

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

FEW = 16  # samples of a batch that a library without batches is given; its time is that of one, times the samples


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


class Functions(SimpleNamespace):
    """The `m` of a library; asked for what it has not, it raises Cannot."""

    def __init__(self, name: str, **functions: Any) -> None:
        super().__init__(**{"sum": total, "dot": product, **functions})
        self._name = name

    def __getattr__(self, name: str) -> Any:
        raise Cannot(f"{self.__dict__.get('_name', 'it')} has no {name}")


def prepare(adapter: ModuleType, problem: Problem, size: int, how: How) -> tuple[Callable[[], Any], Answer, float]:
    """A function that computes the problem once, the answer it should give, and how many times its seconds count."""
    own = getattr(adapter, problem.name.partition("/")[2].replace("-", "_"), None)
    case = problem.make(size)
    kind = "point" if isinstance(case, Point) else "batch"
    if own is not None and serves(adapter, own, how):
        return own(case, how), case.answer(), 1.0
    generic = getattr(adapter, kind, None)
    if generic is not None and serves(adapter, generic, how):
        return generic(case, how), case.answer(), 1.0
    if hasattr(adapter, "scalars") and serves(adapter, adapter.scalars, how):
        scalars = adapter.scalars(how)
        if isinstance(case, Point):
            return point_by_scalars(scalars, case.program, case.x), case.answer(), 1.0
        few = problem.make(min(size, FEW))
        return batch_by_scalars(scalars, few), few.answer(), size / few.samples
    raise Cannot("no program of this workload")


def serves(adapter: ModuleType, function: Callable[..., Any], how: How) -> bool:
    """Whether a function of an adapter is meant for this way; `for_ways` marks those that are not meant for all."""
    ways = getattr(function, "ways", None)
    return ways is None or how.way in ways


def for_ways(*ways: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a function of an adapter as meant for these ways alone."""

    def marked(function: Callable[..., Any]) -> Callable[..., Any]:
        function.ways = ways  # type: ignore[attr-defined]
        return function

    return marked


def point_by_scalars(scalars: Scalars, program: Program, x: Sequence[float]) -> Callable[[], Answer]:
    variable, gradient, m = scalars.variable, scalars.gradient, scalars.m

    def run() -> Answer:
        xs = [variable(xi) for xi in x]
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
