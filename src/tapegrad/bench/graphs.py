"""Eager graphs: many short chains, one long chain, and dot products."""

from __future__ import annotations

import random
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tapegrad.bench.backends import (
    MICROGRAD_NOTE,
    Backend,
    Skip,
    check_close,
    check_equal,
    compiled,
    contenders,
    micrograd,
    reference,
)
from tapegrad.bench.report import Row, rows
from tapegrad.bench.timing import collector, looped, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapegrad.bench.report import Progress
    from tapegrad.bench.workloads import Sizes

    AddUp = Callable[[list[Any]], Any]

FACTOR, SHIFT = 0.999, 0.01
ALL = "build + backward + free"


def chain(x: Any, a: Any, b: Any, operations: int) -> Any:
    for _ in range(operations // 2):
        x = x * a + b
    return x


def running_sum(xs: list[Any]) -> Any:
    total = xs[0]
    for x in xs[1:]:
        total = total + x
    return total


def pairwise_sum(xs: list[Any]) -> Any:
    """The sum as a balanced tree, because micrograd's recursion does not survive a long chain of additions."""
    while len(xs) > 1:
        pairs = [xs[i] + xs[i + 1] for i in range(0, len(xs) - 1, 2)]
        xs = pairs + xs[len(pairs) * 2 :]
    return xs[0]


def chains(
    value: Callable[[float], Any], add_up: AddUp, count: int, operations: int
) -> tuple[dict[str, float], list[float]]:
    """Seconds of each phase, and the result with the gradient of every leaf."""
    a, b, starts = value(FACTOR), value(SHIFT), [value(i * 1e-4) for i in range(count)]
    start = perf_counter()
    total = add_up([chain(x, a, b, operations) for x in starts])
    built = perf_counter()
    total.backward()
    swept = perf_counter()
    numbers = [total.data, a.grad, b.grad, *[x.grad for x in starts]]
    dropped = perf_counter()
    del total
    freed = perf_counter() - dropped
    build, backward = built - start, swept - built
    return {"build": build, "backward": backward, ALL: build + backward + freed}, numbers


def float_chains(add_up: AddUp, count: int, operations: int) -> dict[str, float]:
    """The seconds that `chains` takes to build, on plain floats."""
    starts = [i * 1e-4 for i in range(count)]
    start = perf_counter()
    add_up([chain(x, FACTOR, SHIFT, operations) for x in starts])
    seconds = perf_counter() - start
    return {"build": seconds, ALL: seconds}


def wide(sizes: Sizes, progress: Progress) -> Iterator[Row | str]:
    count, operations = sizes.chains, 100
    yield f"{count:,} chains: {count * (operations + 1) - 1:,} operations. Floats: what corresponds to the build."
    yield from against(reference(), count, operations, sizes, progress)
    try:
        theirs = micrograd()
    except Skip as skip:
        yield f"skipped: {skip}"
        return
    yield MICROGRAD_NOTE
    yield from against(theirs, count, operations, sizes, progress)


def long(sizes: Sizes, progress: Progress) -> Iterator[Row | str]:
    yield f"{sizes.chain:,} operations; micrograd's recursion does not survive 1,000. Floats: as above."
    yield from against(reference(), 1, sizes.chain, sizes, progress)


def against(base: Backend, count: int, operations: int, sizes: Sizes, progress: Progress) -> Iterator[Row]:
    """Rows of the chains on tapegrad with `base` as the baseline."""
    add_up = pairwise_sum if base.name == "micrograd" else running_sum

    def run(backend: Backend) -> dict[str, float]:
        return chains(backend.value, add_up, count, operations)[0]

    progress.say("checking")
    check = check_equal if base.name == "reference" else check_close
    with collector(False):
        check("chains", *(chains(backend.value, add_up, count, operations)[1] for backend in (compiled(), base)))
    timed = contenders(partial(run, base), partial(run, compiled()), partial(float_chains, add_up, count, operations))
    scale = 1e9 / (count * (operations + 1) - 1)
    yield from rows("", measure(timed, progress.tick, sizes.pace), "ns/op", scale, base.name)


# ---- dot products ----


def python_dot(ws: list[Any], xs: list[Any]) -> Any:
    return sum(w * x for w, x in zip(ws, xs, strict=True))


def operands(length: int) -> tuple[list[float], list[float]]:
    draw = random.Random(length)
    return [draw.uniform(-1, 1) for _ in range(length)], [draw.uniform(-1, 1) for _ in range(length)]


def dot_on(backend: Backend, by_python: bool, length: int) -> tuple[Callable[[], None], Callable[[], list[float]]]:
    """A function that computes a dot product and its gradient, and one that does so once and gives the numbers."""
    ws, xs = ([backend.value(x) for x in side] for side in operands(length))
    dot = python_dot if by_python else backend.dot

    def forward_backward() -> None:
        dot(ws, xs).backward()

    def numbers() -> list[float]:
        y = dot(ws, xs)
        y.backward()
        return [y.data, *[leaf.grad for leaf in ws + xs]]

    return forward_backward, numbers


def dots(sizes: Sizes, progress: Progress) -> Iterator[Row | str]:
    yield "Build, backward and free, in a loop. Floats: sum(w*x for ...) in every row, forward alone."
    for length in sizes.dots:
        ws, xs = operands(length)
        for by_python, how in [(False, "dot(ws, xs)"), (True, "sum(w*x for w, x in zip)")]:
            title = f"{how}, {length:,} long"
            base, ours = (dot_on(backend, by_python, length) for backend in (reference(), compiled()))
            check_equal(title, ours[1](), base[1]())
            timed = contenders(looped(base[0]), looped(ours[0]), looped(partial(python_dot, ws, xs)))
            yield from rows(title, measure(timed, progress.tick, sizes.pace), "us", 1e6)
