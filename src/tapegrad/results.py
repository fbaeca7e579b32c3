"""What a recorded function may return: numbers, containers of them, None, and constants."""

from __future__ import annotations

import gc
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from types import ModuleType
from typing import Any

import numpy as np

from tapegrad import structure
from tapegrad.recording import caller
from tapegrad.settings import Setting
from tapegrad.structure import flatten
from tapegrad.value import Value

__all__ = ["roots_of"]

CONSTANTS = (str, bytes, int, type, range, ModuleType, np.dtype)
LOOKED_AT = 10_000  # objects inside of a result, before it is taken for one without numbers


def roots_of(result: Any) -> tuple[list[Value], structure.Spec]:
    """What a function returned, as Values; numbers become constants."""
    leaves: list[Any] = []
    spec = flatten(result, leaves, False, constant)
    out: list[Value] = []
    for leaf in leaves:
        if isinstance(leaf, np.ndarray):
            out += [Value(x) for x in leaf.tolist()]
        else:
            out.append(leaf if isinstance(leaf, Value) else Value(leaf))
    return out, spec


def constant(x: Any) -> Setting:
    """x, which every replay will return; TypeError if it is made of the numbers of the recording, or may be."""
    if x is None or isinstance(x, CONSTANTS):
        return Setting(x, True)
    name = f"{type(x).__module__}.{type(x).__qualname__}"
    if isinstance(x, (Iterator, KeysView, ValuesView, ItemsView, memoryview)):
        raise refused(f"a {name}", "is used up, or looks at what is gone, when the next call returns it: return a list")
    if holds_numbers(x):
        raise refused(
            f"a {name} with numbers of the recording inside",
            "would keep the numbers of this call: return a list, a dict, a dataclass or another container of numbers; "
            "tapegrad.register_container makes a class of your own one",
        )
    return Setting(x, True)


def refused(what: str, why: str) -> TypeError:
    file, line = caller()
    return TypeError(f"{file}:{line}: the recorded function returned {what}, which {why}")


def holds_numbers(x: Any) -> bool:
    """Whether a number of a recording can be reached from x, not by way of modules, classes and functions' globals."""
    seen = {id(x)}
    todo = [x]
    while todo and len(seen) < LOOKED_AT:
        y = todo.pop()
        if isinstance(y, Value):
            return True
        for z in gc.get_referents(y):
            if id(z) not in seen and not isinstance(z, (type, ModuleType)) and not is_globals(z):
                seen.add(id(z))
                todo.append(z)
    return False


def is_globals(x: Any) -> bool:
    return type(x) is dict and "__builtins__" in x
