"""Arguments of recorded functions that are no numbers: they stay what they are, and are told apart by value."""

from __future__ import annotations

import copy
import weakref
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

__all__ = ["Setting"]

FUNCTIONS = (type, FunctionType, MethodType, BuiltinFunctionType, partial)  # often made for one call: these are kept


class Setting:
    """An argument that is no number and stays what it is.

    It equals another if that is the same object, or an equal one of the same type; a slice or a set by what is in it.
    An object that only its identity tells from others is not kept alive.
    """

    __slots__ = ("content", "ref")

    def __init__(self, x: Any, keep: bool = False) -> None:
        self.ref: Any = None
        self.content: Any = x
        if keep:
            return
        if getattr(type(x), "__eq__", None) is object.__eq__ and not isinstance(x, FUNCTIONS):
            try:
                self.ref = weakref.ref(x)
            except TypeError:
                return  # None, say
            self.content = id(x)
        elif isinstance(x, (set, bytearray)):
            self.content = copied(x)  # as it is now

    def keep(self) -> None:
        """Keep what can be changed as it is now: the content is told by a copy."""
        if self.ref is None and not is_hashable(self.content):
            try:
                kept = copy.deepcopy(self.content)
                if bool(kept == self.content):
                    self.content = kept
            except Exception:  # it cannot be copied or compared: told by its identity
                return

    @property
    def x(self) -> Any:
        """The object itself, or one that equals it."""
        if self.ref is None:
            return copied(self.content)
        return self.ref()

    def is_gone(self) -> bool:
        """Whether it was told by its identity, and is no more."""
        return self.ref is not None and self.ref() is None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Setting):
            return NotImplemented
        if self.ref is not None or other.ref is not None:
            return self.ref is not None and other.ref is not None and self.x is other.x and self.x is not None
        a, b = self.content, other.content
        if a is b or type(a) is not type(b):
            return a is b
        try:
            return bool(detailed(a) == detailed(b))
        except Exception:  # told by its identity
            return False

    def __hash__(self) -> int:
        if self.ref is not None:
            return hash(self.content)
        try:
            return hash((type(self.content), detailed(self.content)))
        except TypeError:
            return hash(type(self.content))  # told from others by == only


def is_hashable(x: Any) -> bool:
    try:
        hash(detailed(x))
    except TypeError:
        return False
    return True


def copied(x: Any) -> Any:
    """A copy of what a program may change, else x itself."""
    return x.copy() if isinstance(x, (set, bytearray)) else x  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def detailed(x: Any) -> Any:
    """What to compare x by: with the types of what is in it, where it can be looked into."""
    if isinstance(x, (set, frozenset)):
        return frozenset([(type(y), y) for y in x])
    if isinstance(x, slice):
        parts: tuple[Any, ...] = (x.start, x.stop, x.step)  # pyright: ignore[reportUnknownMemberType]
        return tuple([(type(y), y) for y in parts])
    if isinstance(x, bytearray):
        return bytes(x)
    return x
