"""Functions that are recorded and replayed: what all transformations stand on."""

from __future__ import annotations

import functools
import math
import sys
import warnings
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

import tapegrad.engine
from tapegrad import structure
from tapegrad.programs import MAX_BYTES, OFTEN, Entry, Family, inlined
from tapegrad.recording import caller, current
from tapegrad.structure import NUMBER, Setting, flatten, nested, numbers_in, unflatten
from tapegrad.value import Value, _apply, _peek
from tapegrad.watching import changed, watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapegrad.graph import Graph
    from tapegrad.program import Program
    from tapegrad.structure import Spec

    Nodes = list[int]
if tapegrad.engine.Value is not Value:
    raise ImportError("functions are recorded by tapegrad's compiled core, and TAPEGRAD_PURE asks for the reference")

__all__ = ["MAX_PROGRAMS", "Recorded"]

MAX_PROGRAMS = 1024


class Recorded:
    """A function that is recorded when it is first called, and then replayed."""

    what = "record"

    def __init__(
        self,
        f: Callable[..., Any],
        max_programs: int = MAX_PROGRAMS,
        check_finite: bool = False,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        if not callable(f):
            raise TypeError(f"{self.what} takes a function, not {type(f).__name__}")
        if not isinstance(max_programs, int) or max_programs < 1:
            raise ValueError(f"max_programs must be a positive int, not {max_programs!r}")
        if not isinstance(max_bytes, int) or max_bytes < 1:
            raise ValueError(f"max_bytes must be a positive int, not {max_bytes!r}")
        self.f = f
        self.max_bytes = max_bytes
        self.anew: int = 0  # calls that made new families, less twice those that did not
        self.said: bool = False
        self.max_programs = max_programs
        own = recorded_in(f)
        self.check_finite: bool = check_finite or (own is not None and own.check_finite)
        self.families: dict[Spec, Family] = {}
        self.products: dict[Any, Recorded] = {}  # what jvp and vjp make of it
        functools.update_wrapper(self, f, updated=())

    # what a transformation may define anew

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function itself."""
        return self.f(*args, **kwargs)

    def derive(
        self, graph: Graph, inputs: list[int], nodes: list[int], spec: Spec, out: Spec
    ) -> tuple[list[int], Spec]:
        """The nodes to compute, and how they are nested, from those of the function's result."""
        return nodes, out

    def is_input(self, position: int, count: int) -> bool:
        """Whether a bare int at that position, of so many arguments, is a number to compute with."""
        return False

    # ---- calls ----

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if current() is not None:
            result = inlined(self.call, self.derive, *self.taken_apart(args, kwargs))
            if self.check_finite:
                self.guard_finite(result, args, kwargs)
            return result
        family, x, values = self.prepare(args, kwargs)
        entry, out = family.at(x, lambda entry: entry.program)
        if self.check_finite:
            self.check(family, x, out)
        if values or self.gives_values(entry):
            return self.on_tape(family, x, values)
        return nested(entry.spec, out)

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        """As a decorator of a method it is bound as a method is; the object is a setting."""
        return self if owner is None else MethodType(self, owner)

    def gives_values(self, entry: Entry) -> bool:
        """Whether Values that the function reads make its result a Value."""
        return bool(entry.others)

    def prepare(self, args: Any, kwargs: Any) -> tuple[Family, Any, dict[int, Value]]:
        """The programs for such arguments, the numbers in them, and which of these are Values."""
        spec, leaves = self.taken_apart(args, kwargs)
        x, values = numbers_in(leaves)
        return self.family(spec), x, values

    def taken_apart(self, args: Any, kwargs: Any) -> tuple[Spec, list[Any]]:
        """The spec of (args, kwargs), in which ints that are no inputs are settings, and the numbers."""
        leaves: list[Any] = []
        specs: list[Spec] = []
        for position, arg in enumerate(args):
            if type(arg) is float:  # for short
                leaves.append(arg)
                specs.append(NUMBER)
                continue
            plain = self.is_input(position, len(args))
            specs.append(("setting", Setting(arg)) if not plain and is_bare_int(arg) else flatten(arg, leaves, plain))
        named: list[Spec] = []
        for arg in kwargs.values():
            named.append(("setting", Setting(arg)) if is_bare_int(arg) else flatten(arg, leaves))
        return ("tuple", (("tuple", tuple(specs), tuple), ("dict", tuple(named), tuple(kwargs))), tuple), leaves

    def family(self, spec: Spec) -> Family:
        family = self.families.get(spec)
        if family is None:
            why = "the shapes and settings among its arguments keep being others (settings are told apart by ==)"
        else:
            name = changed(family.watches) if family.watches else None
            if name is None:
                if self.anew:
                    self.anew = max(0, self.anew - 2)
                return family
            why = f"{name}, which it reads from outside, keeps changing: make it an argument"
            self.families.pop(spec, None)
        name = self.title()
        new = Family(self.call, self.derive, spec, self.max_programs, name, self.max_bytes)
        settings = structure.settings_in(spec)
        for setting in settings:
            setting.keep()
        new.watches = watched(self.f, [setting.x for setting in settings if setting.ref is not None])
        for key in [key for key in list(self.families) if any(s.is_gone() for s in structure.settings_in(key))]:
            self.families.pop(key, None)
        family = self.families.setdefault(spec, new)
        if len(self.families) > self.max_programs:
            for oldest in list(self.families)[:1]:  # none, if another thread has cleared them
                self.families.pop(oldest, None)
        others = list(self.families.items())
        taken = sum([other.nbytes for _, other in others])
        for key, other in others:
            if taken <= self.max_bytes or other is family:
                break
            taken -= other.nbytes
            self.families.pop(key, None)
        self.anew += 1
        if self.anew >= OFTEN and not self.said:
            self.said = True
            text = f"{name} is recorded anew at nearly every call, which costs far more than a replay, because {why}"
            warnings.warn_explicit(text, RuntimeWarning, *caller())
        return family

    def on_tape(self, family: Family, x: Any, values: dict[int, Value]) -> Any:
        """The result as Values: one node of the eager tape each, with its derivatives by all Values involved."""
        wrt: tuple[int, ...] = ()
        children: list[Value] = []

        def program_of(entry: Entry) -> Program:
            nonlocal wrt, children
            n = len(x)
            wrt = (*values, *range(n, n + len(entry.others)))
            children = [*values.values(), *entry.others]
            return entry.with_partials(wrt)

        entry, out = family.at(x, program_of)
        numbers = out.tolist()
        count = len(entry.nodes)
        made: list[Value] = []
        for k in range(count):
            partials = tuple(numbers[count + k * len(wrt) : count + (k + 1) * len(wrt)])
            made.append(Value(numbers[k], tuple(children), partials))
        return unflatten(entry.spec, iter(made), structure.of_values)

    def check(self, family: Family, x: Any, out: Any) -> None:
        """Raise a FloatingPointError if a result is nan or inf."""
        if not np.isfinite(out).all():
            self.report(family, x)

    def guard_finite(self, result: Any, args: Any, kwargs: Any) -> None:
        """Check a result that is part of another recording: that it is finite is a guard."""
        recorder = current()
        leaves: list[Any] = []
        flatten(result, leaves)
        finite: Any = None
        for leaf in leaves:
            for v in leaf if isinstance(leaf, np.ndarray) else [leaf]:
                if isinstance(v, Value):
                    below = _apply("<", _apply("abs", v), Value(math.inf))
                    finite = below if finite is None else _apply("and", finite, below)
        if recorder is None or finite is None or recorder.truth(finite):
            return
        spec, given = self.taken_apart(args, kwargs)
        numbers = [v for leaf in given for v in (leaf if isinstance(leaf, np.ndarray) else [leaf])]
        x = np.array([_peek(v) if isinstance(v, Value) else float(v) for v in numbers])
        self.report(Family(self.call, self.derive, spec, 1, self.title()), x)

    def title(self) -> str:
        return f"{self.what}({getattr(self.f, '__name__', 'function')})"

    def report(self, family: Family, x: Any, sample: int | None = None) -> None:
        from tapegrad.anomaly import report

        raise FloatingPointError(report(family, x, sample))

    # ---- looking inside ----

    def program(self, *args: Any, **kwargs: Any) -> Program:
        """The program that is replayed at these arguments; recorded if need be."""
        family, x, _ = self.prepare(args, kwargs)
        return family.at(x, lambda entry: entry.program)[0].program

    @property
    def programs(self) -> list[Program]:
        """The programs that there are, of this and of all that stands behind it."""
        return [
            entry.program for one in self.all() for family in list(one.families.values()) for entry in family.kept()
        ]

    def clear(self) -> None:
        """Forget all programs, of this and of all that stands behind it; the next call records the function anew."""
        for one in self.all():
            one.families.clear()
            one.anew = 0

    def whole(self) -> Recorded:
        """The same, with everything that it computes in one program."""
        return self

    def behind(self) -> list[Recorded]:
        """What recorded functions this one uses."""
        own = recorded_in(self.f)
        return [*list(self.products.values()), *([] if own is None else [own])]

    def all(self) -> list[Recorded]:
        """This one, what it uses, and what these use."""
        found: dict[int, Recorded] = {}
        todo: list[Recorded] = [self]
        while todo:
            one = todo.pop()
            if id(one) not in found:
                found[id(one)] = one
                todo += one.behind()
        return list(found.values())

    def __repr__(self) -> str:
        return f"tapegrad.{self.what}({self.f!r})"

    def __reduce__(self) -> Any:
        """By its name, as functions are, where it has been put in the place of the function that it is of."""
        found: Any = sys.modules.get(getattr(self, "__module__", ""))
        qualname = getattr(self, "__qualname__", "")
        for name in qualname.split("."):
            found = getattr(found, name, None)
        if found is self:
            return qualname
        return _rebuilt, (type(self), self.state())

    def state(self) -> dict[str, Any]:
        return {
            "f": self.f,
            "max_programs": self.max_programs,
            "check_finite": self.check_finite,
            "max_bytes": self.max_bytes,
        }


def recorded_in(f: Any) -> Recorded | None:
    """The recorded function that f is, or that it is a method or a part of."""
    while not isinstance(f, Recorded):
        inner = f.__func__ if isinstance(f, MethodType) else f.func if isinstance(f, functools.partial) else None
        if inner is None:
            return None
        f = inner
    return f


def is_bare_int(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, Value)


def _rebuilt(cls: type[Recorded], state: dict[str, Any]) -> Recorded:
    return cls(**state)
