"""Arrays as plain Python has them: a number or Value by itself, or nested lists and tuples of them; numpy's too.

numpy is never imported: what has a `tolist`, as its arrays and scalars do, is taken by that.
"""

from __future__ import annotations

import math

from tapegrad.engine import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["broadcast", "each", "flat", "is_sequence", "leaves", "rows", "shaped"]


def is_sequence(x: Any) -> bool:
    """Whether x is an array of one dimension or more."""
    return isinstance(x, (list, tuple, range)) or (not isinstance(x, Value) and bool(getattr(x, "shape", ())))


def flat(x: Any) -> tuple[list[Any], tuple[int, ...]]:
    """The numbers and Values of x in one list, and the shape of x. ValueError for ragged rows, TypeError for others.

    >>> flat([[1.0, 2.0, 3.0], (4, 5, 6)])
    ([1.0, 2.0, 3.0, 4, 5, 6], (2, 3))
    """
    if isinstance(x, (Value, float, int)):
        return [x], ()
    if hasattr(x, "tolist"):
        return flat(x.tolist())
    if not isinstance(x, (list, tuple, range)):
        return [Value(x).data], ()  # a fraction, say; what is no real number, Value refuses
    parts = [flat(row) for row in x]
    shapes = {shape for _, shape in parts}
    if len(shapes) > 1:
        raise ValueError(f"the rows of an array must have one shape, not {' and '.join(map(str, sorted(shapes)))}")
    return [y for row, _ in parts for y in row], (len(parts), *(shapes.pop() if shapes else ()))


def leaves(x: Any) -> Iterator[Any]:
    """What there is in nested sequences of any shapes, one after another.

    >>> list(leaves([[1.0, 2.0], [[3.0]], 4.0]))
    [1.0, 2.0, 3.0, 4.0]
    """
    if is_sequence(x):
        for y in x:
            yield from leaves(y)
    else:
        yield x


def shaped(numbers: list[Any], shape: tuple[int, ...]) -> Any:
    """The array of this shape that `flat` takes apart into these numbers.

    >>> shaped([1, 2, 3, 4, 5, 6], (2, 3))
    [[1, 2, 3], [4, 5, 6]]
    """
    if not shape:
        return numbers[0]
    n = len(numbers) // shape[0]
    return [shaped(numbers[k * n : (k + 1) * n], shape[1:]) for k in range(shape[0])]


def broadcast(x: Any, shape: tuple[int, ...]) -> list[Any]:
    """The numbers of x, repeated until they fill `shape`, which the shape of x must be the end of.

    >>> broadcast([1, 2, 3], (2, 3))
    [1, 2, 3, 1, 2, 3]
    """
    numbers, own = flat(x)
    if own != shape[len(shape) - len(own) :]:
        raise ValueError(f"shape {own} does not fit the end of shape {shape}")
    return numbers * (math.prod(shape) // len(numbers))


def each(function: Callable[[Any], Any], x: Any) -> Any:
    """The array of function(y) for every y in x.

    >>> each(abs, [[-1.0, 2.0], [-3.0]])
    [[1.0, 2.0], [3.0]]
    """
    return [each(function, y) for y in x] if is_sequence(x) else function(x)


def rows(function: Callable[[Any], Any], x: Any) -> Any:
    """The array of function(row) for every row in x: the rows are what the last index runs along.

    >>> rows(sum, [[1.0, 2.0], [3.0, 4.0]]), rows(sum, [5.0, 6.0])
    ([3.0, 7.0], 11.0)
    """
    return [rows(function, y) for y in x] if is_sequence(x) and len(x) and is_sequence(x[0]) else function(x)
