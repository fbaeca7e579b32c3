"""Arguments and results of recorded functions: nestings of lists, tuples, dicts and arrays, and the numbers in them.

A *spec* says how numbers are nested and can be compared and hashed: NUMBER, ("array", shape), ("list", specs),
("tuple", specs, class), ("dict", keys, specs), or ("setting", x) for anything that stays what it is.
"""

# pyright: reportUnknownMemberType=false
# (nor does isinstance(x, numpy.ndarray) say of what)

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.engine import Value
from tapegrad.recording import Condition, current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["NUMBER", "blocks", "flatten", "kinds", "map_spec", "nested", "numbers_in", "size", "unflatten"]

NUMBER = ("number",)
TRUTH = ("truth",)
Spec = tuple[Any, ...]


class Setting:
    """An argument that is no number and stays what it is; equal to another if that is the same object, or an equal one
    of the same type."""

    __slots__ = ("x",)

    def __init__(self, x: Any) -> None:
        self.x: Any = x

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Setting):
            return NotImplemented
        return self.x is other.x or (type(self.x) is type(other.x) and bool(self.x == other.x))

    def __hash__(self) -> int:
        try:
            return hash((type(self.x), self.x))
        except TypeError:
            return id(self.x)


def flatten(tree: Any, out: list[Any]) -> Spec:
    """The spec of `tree`; its numbers, Values and (raveled) arrays of numbers are appended to `out`."""
    if isinstance(tree, (float, Value)):
        out.append(tree)
        return NUMBER
    if isinstance(tree, np.ndarray):
        if tree.dtype == object:
            out.extend(tree.ravel().tolist())
        elif tree.dtype.kind in "fiub":
            out.append(tree.ravel())
        else:
            raise TypeError(f"an array of {tree.dtype} has no derivative: use real numbers")
        return ("array", tree.shape)
    if isinstance(tree, list):
        return ("list", tuple([flatten(x, out) for x in tree]))
    if isinstance(tree, tuple):
        return ("tuple", tuple([flatten(x, out) for x in tree]), type(tree))
    if isinstance(tree, dict):
        return ("dict", tuple(tree), tuple([flatten(x, out) for x in tree.values()]))
    if isinstance(tree, Condition):
        out.append(tree.value)
        return TRUTH
    if isinstance(tree, (int, np.number, np.bool_)):
        out.append(tree)
        return NUMBER
    return ("setting", Setting(tree))


def unflatten(spec: Spec, numbers: Iterator[Any], array: Callable[[tuple[int, ...], Iterator[Any]], Any]) -> Any:
    """The nesting with the next of `numbers` in it; `array(shape, numbers)` makes the arrays."""
    kind = spec[0]
    if kind == "number":
        return next(numbers)
    if kind == "array":
        return array(spec[1], numbers)
    if kind == "list":
        return [unflatten(s, numbers, array) for s in spec[1]]
    if kind == "tuple":
        items = [unflatten(s, numbers, array) for s in spec[1]]
        return spec[2](*items) if hasattr(spec[2], "_fields") else spec[2](items)
    if kind == "dict":
        return {key: unflatten(s, numbers, array) for key, s in zip(spec[1], spec[2], strict=True)}
    if kind == "truth":
        truth = next(numbers)
        if not isinstance(truth, Value):
            return bool(truth != 0)
        return Condition(truth) if current() is not None else truth.data != 0
    return spec[1].x


def map_spec(spec: Spec, leaf: Callable[[tuple[int, ...] | None], Spec]) -> Spec:
    """The spec with `leaf(shape)` in the place of every array, and `leaf(None)` of every number."""
    kind = spec[0]
    if kind in ("number", "truth"):
        return leaf(None)
    if kind == "array":
        return leaf(spec[1])
    if kind == "list":
        return ("list", tuple([map_spec(s, leaf) for s in spec[1]]))
    if kind == "tuple":
        return ("tuple", tuple([map_spec(s, leaf) for s in spec[1]]), spec[2])
    if kind == "dict":
        return ("dict", spec[1], tuple([map_spec(s, leaf) for s in spec[2]]))
    return spec


def kinds(spec: Spec) -> list[str]:
    """For every leaf with numbers whether it is a "number", an "array" or a "truth"."""
    if spec[0] in ("number", "array", "truth"):
        return [spec[0]]
    if spec[0] in ("list", "tuple"):
        return [kind for s in spec[1] for kind in kinds(s)]
    return [kind for s in spec[2] for kind in kinds(s)] if spec[0] == "dict" else []


def blocks(spec: Spec) -> list[range]:
    """The positions of the numbers of each leaf."""
    found: list[range] = []

    def leaf(shape: tuple[int, ...] | None) -> Spec:
        start = found[-1].stop if found else 0
        found.append(range(start, start + (1 if shape is None else math.prod(shape))))
        return NUMBER

    map_spec(spec, leaf)
    return found


def size(spec: Spec) -> int:
    """How many numbers are in it."""
    total = 0

    def count(shape: tuple[int, ...] | None) -> Spec:
        nonlocal total
        total += 1 if shape is None else math.prod(shape)
        return NUMBER

    map_spec(spec, count)
    return total


def numbers_in(leaves: list[Any]) -> tuple[np.ndarray[Any, np.dtype[np.float64]], dict[int, Value]]:
    """The leaves as one array of float64, which may be the only leaf itself, and which of them are Values."""
    values: dict[int, Value] = {}
    if len(leaves) == 1 and isinstance(leaves[0], np.ndarray) and is_plain(leaves[0]):
        return leaves[0], values
    total = sum([leaf.size if isinstance(leaf, np.ndarray) else 1 for leaf in leaves])
    x = np.empty(total)
    at = 0
    for leaf in leaves:
        if isinstance(leaf, np.ndarray):
            x[at : at + leaf.size] = leaf
            at += leaf.size
            continue
        if isinstance(leaf, Value):
            values[at] = leaf
            leaf = leaf.data
        x[at] = leaf
        at += 1
    return x, values


def is_plain(x: np.ndarray[Any, Any]) -> bool:
    """Whether it is what programs read: float64 in the byte order of this machine, one after another."""
    return x.dtype == np.float64 and x.flags.c_contiguous and x.flags.aligned


def nested(spec: Spec, out: Any) -> Any:
    """The nesting with the floats of the array `out` in it; arrays are parts of `out`."""
    return _nested(spec, out, 0)[0]


def _nested(spec: Spec, out: Any, at: int) -> tuple[Any, int]:
    kind = spec[0]
    if kind == "number":
        return out.item(at), at + 1
    if kind == "array":
        shape = spec[1]
        if len(shape) == 1:
            return out[at : at + shape[0]], at + shape[0]
        end = at + math.prod(shape)
        return out[at:end].reshape(shape), end
    if kind == "truth":
        return out.item(at) != 0, at + 1
    if kind == "setting":
        return spec[1].x, at
    items = []
    for s in spec[2] if kind == "dict" else spec[1]:
        item, at = _nested(s, out, at)
        items.append(item)
    if kind == "dict":
        return dict(zip(spec[1], items, strict=True)), at
    if kind == "list":
        return items, at
    return spec[2](*items) if hasattr(spec[2], "_fields") else spec[2](items), at


def of_values(shape: tuple[int, ...], numbers: Iterator[Any]) -> Any:
    """An array of objects; in a recording one that numpy treats as an array of numbers."""
    out = np.empty(shape, dtype=object)
    flat = out.reshape(-1)
    for k in range(flat.size):
        flat[k] = next(numbers)
    if current() is None:
        return out
    from tapegrad.number_array import kind_of, wrapped

    return wrapped(out, kind_of(out))
