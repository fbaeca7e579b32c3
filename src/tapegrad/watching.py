"""What a recorded function reads besides its arguments, as far as a look at every call is cheap.

Numbers, strings, bools, None and small tuples of them, and which array or Value it is: in closure cells, in globals
that the code names, in the `__dict__` of the object of a method and of objects and modules that it names; of the
function and of the Python functions that it names. What is inside of lists, dicts and arrays is not looked at.
"""

from __future__ import annotations

import dis
import weakref
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tapegrad.value import Value

__all__ = ["Watch", "changed", "watched"]

PLAIN = (float, int, bool, str, bytes, type(None))
SMALL = 16  # numbers in a tuple
FUNCTIONS = 64  # that are looked into
OTHERS = {"numpy", "math", "tapegrad", "scipy", "builtins"}  # modules of constants

Watch = tuple[
    Any, Any, Any, bool
]  # (a dict, a cell or a weak reference to an object, the name, what was there, whether as a weak reference)
MISSING = object()
NOTHING: dict[str, Any] = {}


def changed(watches: tuple[Watch, ...]) -> str | None:
    """The name of the first that is another now."""
    for where, name, old, weak in watches:
        if type(where) is dict:
            held: dict[str, Any] = where
            new = held.get(name, MISSING)
        elif type(where) is weakref.ref:
            new = getattr(where(), "__dict__", NOTHING).get(name, MISSING)
        else:
            try:
                new = where.cell_contents
            except ValueError:
                new = MISSING
        if weak:
            if new is not old():
                return str(name)
        elif new is not old and not same(new, old):
            return str(name)
    return None


def same(new: Any, old: Any) -> bool:
    """Whether they are one to every function: equal, of the same type and sign, or both nan."""
    if type(new) is not type(old):
        return False
    if type(new) is tuple:
        return len(new) == len(old) and all(same(a, b) for a, b in zip(new, old, strict=True))
    if type(new) is float:
        return bool(new.hex() == old.hex())
    return bool(new == old)


def is_plain(x: Any) -> bool:
    return type(x) in PLAIN or (type(x) is tuple and len(x) <= SMALL and all(is_plain(y) for y in x))


def watched(f: Any, settings: list[Any]) -> tuple[Watch, ...]:
    """What to look at before a recording of `f` with such arguments is used."""
    return tuple(Walk(f, settings).found.values())


class Walk:
    """Through the functions that a function names."""

    def __init__(self, f: Any, settings: list[Any]) -> None:
        self.found: dict[tuple[int, str], Watch] = {}
        self.written: set[tuple[int, str]] = set()
        self.attributes: set[str] = set()  # of whatever object
        self.stored: set[str] = set()
        self.seen: set[int] = set()
        self.todo: list[Any] = [f]
        while self.todo and len(self.seen) < FUNCTIONS:
            self.enter(self.todo.pop())
        for x in settings:
            if not isinstance(x, (FunctionType, MethodType, type)):
                self.look_into(x, self.attributes, self.stored)
        while self.todo and len(self.seen) < FUNCTIONS:
            self.enter(self.todo.pop())
        for key in self.written:  # the function changes it itself: a counter, a log
            self.found.pop(key, None)

    def enter(self, f: Any) -> None:
        if isinstance(f, MethodType):
            self.method(f)
            f = f.__func__
        if not isinstance(f, FunctionType):
            inner = getattr(f, "f", None) if type(f).__module__.startswith("tapegrad") else getattr(f, "func", None)
            if inner is None and isinstance(getattr(type(f), "__call__", None), FunctionType):  # noqa: B004
                inner = MethodType(type(f).__call__, f)
            if inner is not None and inner is not f:
                self.enter(inner)
            return
        if id(f) in self.seen or (f.__module__ or "").partition(".")[0] in OTHERS:
            return
        self.seen.add(id(f))
        names, attributes, stored, stored_attributes = names_in(f.__code__)
        self.attributes |= attributes
        self.stored |= stored_attributes
        cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
        for name, cell in cells.items():
            try:
                here = cell.cell_contents
            except ValueError:
                continue
            if name in stored:
                self.written.add((id(cell), name))
            self.look(cell, name, here, attributes, stored_attributes)
        for name in names:
            if name in f.__globals__:
                if name in stored:
                    self.written.add((id(f.__globals__), name))
                self.look(f.__globals__, name, f.__globals__[name], attributes, stored_attributes)

    def method(self, f: MethodType) -> None:
        if isinstance(f.__func__, FunctionType):
            _, attributes, _, stored = names_in(f.__func__.__code__)
            self.look_into(f.__self__, attributes, stored)

    def look(self, where: Any, name: str, x: Any, attributes: set[str], stored: set[str]) -> None:
        key = (id(where), name)
        if is_plain(x):
            self.found[key] = (where, name, x, False)
        elif isinstance(x, (np.ndarray, Value)):
            try:
                self.found[key] = (where, name, weakref.ref(x), True)
            except TypeError:
                return
        elif isinstance(x, (FunctionType, MethodType)) or type(x).__module__.startswith("tapegrad."):
            self.todo.append(x)
        else:
            self.look_into(x, attributes, stored)

    def look_into(self, x: Any, attributes: set[str], stored: set[str]) -> None:
        held = getattr(x, "__dict__", None)
        if type(held) is not dict or id(held) in self.seen or isinstance(x, type):
            return
        if isinstance(x, ModuleType) and x.__name__.partition(".")[0] in OTHERS:
            return
        self.seen.add(id(held))
        where: Any = held
        if not isinstance(x, ModuleType):
            try:
                where = weakref.ref(x)  # the object is not kept alive
            except TypeError:
                where = held
        for name in attributes & held.keys():
            y = held[name]
            if name in stored:
                self.written.add((id(held), name))
            if is_plain(y):
                self.found[(id(held), name)] = (where, name, y, False)
            elif isinstance(y, FunctionType):
                self.todo.append(y)
        for name in attributes:
            method = getattr(type(x), name, None)
            if isinstance(method, FunctionType) and name not in held:
                self.todo.append(MethodType(method, x))


_codes: weakref.WeakKeyDictionary[CodeType, tuple[set[str], set[str], set[str], set[str]]] = weakref.WeakKeyDictionary()


def names_in(code: CodeType) -> tuple[set[str], set[str], set[str], set[str]]:
    """The globals and attributes that the code names, and the variables and attributes that it sets."""
    known = _codes.get(code)
    if known is not None:
        return known
    names: set[str] = set()
    attributes: set[str] = set()
    stored: set[str] = set()
    stored_attributes: set[str] = set()
    for step in dis.get_instructions(code):
        kind, name = step.opname, step.argval
        if kind in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.add(name)
        elif kind in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes.add(name)
        elif kind in ("STORE_GLOBAL", "STORE_DEREF"):
            stored.add(name)
        elif kind == "STORE_ATTR":
            stored_attributes.add(name)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            for mine, its in zip((names, attributes, stored, stored_attributes), names_in(inner), strict=True):
                mine |= its
    found = _codes[code] = (names, attributes, stored, stored_attributes)
    return found
