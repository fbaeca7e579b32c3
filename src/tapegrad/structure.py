"""Arguments and results of recorded functions: containers of numbers, and the numbers in them.

A *spec* says how numbers are nested and can be compared and hashed: ("number",), ("int",) or ("bool",) for one of them,
("array", shape) or ("array", shape, "i" or "b") for an array of floats, ints or bools, (container, specs, ...) for a
container, and ("setting", x) for anything that stays what it is.
"""

# pyright: reportUnknownMemberType=false
# (nor does isinstance(x, numpy.ndarray) say of what)

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad import containers
from tapegrad.engine import Value
from tapegrad.recording import current
from tapegrad.settings import Setting
from tapegrad.value import Number, _kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["NUMBER", "Setting", "blocks", "flatten", "kinds", "map_spec", "nested", "numbers_in", "size", "unflatten"]

NUMBER = ("number",)
INT = ("int",)
TRUTH = ("bool",)
FIELDS = ("dict", "object", "registered")
LEAVES = ("number", "int", "bool", "array")
Spec = tuple[Any, ...]
LARGEST = 2**1023
EXACT = 2**53  # from here on not every int is a float


def flatten(tree: Any, out: list[Any], plain: bool = False, setting: Callable[[Any], Setting] = Setting) -> Spec:
    """The spec of `tree`; its numbers, Values and (raveled) arrays of numbers are appended to `out`.

    With `plain` ints and bools are numbers as floats are, as what is differentiated by and mapped is. `setting` makes
    settings of what is no number."""
    kind = type(tree)
    if kind is float:
        out.append(tree)
        return NUMBER
    if kind is np.ndarray and tree.dtype.kind == "f":
        out.append(tree.ravel())
        return ("array", tree.shape)
    if isinstance(tree, Value):
        out.append(tree)
        if plain or kind is not Number:
            return NUMBER
        own = _kind_of(tree)
        return NUMBER if own is float else INT if own is int else TRUTH
    if isinstance(tree, np.ndarray):
        return flattened_array(tree, out, plain)
    found = containers.taken_apart(tree)
    if found is not None:
        children, rest = found
        if rest[0] in FIELDS and not plain and setting is Setting:  # a bool of its own is a flag: see `is True`
            parts = [("setting", Setting(x)) if type(x) is bool else flatten(x, out) for x in children]
        else:
            parts = [flatten(x, out, plain, setting) for x in children]
        return (rest[0], tuple(parts), *rest[1:])
    if isinstance(tree, (bool, np.bool_)):
        out.append(tree)
        return NUMBER if plain else TRUTH
    if isinstance(tree, (int, np.integer)):
        if not plain and not -EXACT < tree < EXACT:
            if setting is not Setting and abs(int(tree)) < LARGEST and float(tree) == tree:  # of a result
                out.append(float(tree))
                return NUMBER
            return ("setting", setting(tree))
        out.append(tree)
        return NUMBER if plain else INT
    if isinstance(tree, (float, np.floating)):
        out.append(float(tree))
        return NUMBER
    containers.refuse_strangers(tree)
    return ("setting", setting(tree))


def flattened_array(tree: np.ndarray[Any, Any], out: list[Any], plain: bool) -> Spec:
    containers.refuse_strangers(tree)
    letter = tree.dtype.kind
    if letter == "O":
        items = tree.ravel().tolist()
        own: set[Any] = {
            _kind_of(x) if type(x) is Number else float if isinstance(x, Value) else type(x) for x in items
        }
        out.extend(items)
        letter = getattr(tree, "number_kind", None) or ("b" if own == {bool} else "i" if own == {int} else "f")
    elif letter in "fiub":
        if letter in "iu" and tree.size and (tree.max() >= EXACT or tree.min() <= -EXACT):
            raise TypeError("an array of ints of 2**53 and more cannot be followed exactly: make it one of floats")
        out.append(tree.ravel())
    else:
        raise TypeError(f"an array of {tree.dtype} has no derivative: use real numbers")
    return ("array", tree.shape) if plain or letter == "f" else ("array", tree.shape, "b" if letter == "b" else "i")


def unflatten(spec: Spec, numbers: Iterator[Any], array: Callable[[tuple[int, ...], Iterator[Any]], Any]) -> Any:
    """The nesting with the next of `numbers` in it; `array(shape, numbers)` makes the arrays."""
    kind = spec[0]
    if kind == "number":
        return next(numbers)
    if kind == "array":
        return array(spec[1], numbers)
    if kind == "int" or kind == "bool":
        x = next(numbers)
        if isinstance(x, Value):
            return x if current() is not None else (bool if kind == "bool" else int)(x.data)
        return (bool if kind == "bool" else int)(x)
    if kind == "setting":
        return spec[1].x
    return containers.put_together(spec, [unflatten(s, numbers, array) for s in spec[1]])


def map_spec(spec: Spec, leaf: Callable[[tuple[int, ...] | None], Spec]) -> Spec:
    """The spec with `leaf(shape)` in the place of every array, and `leaf(None)` of every number."""
    kind = spec[0]
    if kind == "array":
        return leaf(spec[1])
    if kind in LEAVES:
        return leaf(None)
    if kind == "setting":
        return spec
    return (kind, tuple([map_spec(s, leaf) for s in spec[1]]), *spec[2:])


def agreed(one: Spec, other: Spec) -> Spec | None:
    """The spec of what is nested alike, with floats where the kinds differ; None if it is not nested alike."""
    if one == other:
        return one
    if one[0] in LEAVES and other[0] in LEAVES:
        if one[0] == "array" or other[0] == "array":
            return one[:2] if one[:2] == other[:2] else None
        return NUMBER
    if one[0] != other[0] or one[0] == "setting" or one[2:] != other[2:] or len(one[1]) != len(other[1]):
        return None
    parts = [agreed(a, b) for a, b in zip(one[1], other[1], strict=True)]
    return None if None in parts else (one[0], tuple(parts), *one[2:])


def leaves_of(spec: Spec) -> list[Spec]:
    """The specs of numbers and arrays in it, in order."""
    if spec[0] in LEAVES:
        return [spec]
    return [] if spec[0] == "setting" else [leaf for s in spec[1] for leaf in leaves_of(s)]


def settings_in(spec: Spec) -> list[Setting]:
    """What in it is no number."""
    if spec[0] in LEAVES:
        return []
    return [spec[1]] if spec[0] == "setting" else [setting for s in spec[1] for setting in settings_in(s)]


def kinds(spec: Spec) -> bytes:
    """For every number whether it is a float, an int or a bool: f, i or b."""
    letters: list[bytes] = []
    for leaf in leaves_of(spec):
        if leaf[0] == "array":
            letter: str = leaf[2] if len(leaf) > 2 else "f"
            letters.append(letter.encode() * size(leaf))
        else:
            letters.append(LETTERS[leaf[0]])
    return b"".join(letters)


LETTERS = {"number": b"f", "int": b"i", "bool": b"b"}


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
        if len(shape) == 1 and len(spec) == 2:  # for short
            return out[at : at + shape[0]], at + shape[0]
        end = at + (shape[0] if len(shape) == 1 else math.prod(shape))
        part = out[at:end]
        if len(spec) > 2:
            part = part.astype(np.bool_ if spec[2] == "b" else np.int64)
        return part if len(shape) == 1 else part.reshape(shape), end
    if kind == "int":
        return int(out.item(at)), at + 1
    if kind == "bool":
        return out.item(at) != 0, at + 1
    if kind == "setting":
        return spec[1].x, at
    items = []
    for s in spec[1]:
        item, at = _nested(s, out, at)
        items.append(item)
    if kind == "list":
        return items, at
    return (tuple(items) if spec[2] is tuple else containers.put_together(spec, items)), at


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
