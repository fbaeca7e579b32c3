"""The containers that arguments and results of recorded functions may be nested in.

Lists, tuples, named tuples, dicts, dataclasses, `types.SimpleNamespace`, classes of the package attrs, and what a
program registers. A container comes back as what it was. What only looks like one of them, a subclass with a mind of
its own, a masked array, a data frame, is refused by name.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, OrderedDict, defaultdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tapegrad.settings import Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["put_together", "refuse_strangers", "register_container", "taken_apart"]

T = TypeVar("T")

_registered: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {}


def register_container(
    cls: type[T],
    flatten: Callable[[T], tuple[Iterable[Any], Any]],
    unflatten: Callable[[Any, Sequence[Any]], T],
) -> None:
    """Make instances of `cls` containers, as lists and dicts are: in arguments, results and derivatives of recorded
    functions. In the manner of `jax.tree_util.register_pytree_node`.

    flatten    takes an instance to (its parts, the rest): the parts are numbers, arrays or containers; the rest is
               a setting, told apart by ==
    unflatten  takes (the rest, the parts) to an instance

    >>> from tapegrad import grad
    >>> class Point:
    ...     def __init__(self, x, y):
    ...         self.x, self.y = x, y
    >>> register_container(Point, lambda p: ((p.x, p.y), None), lambda rest, parts: Point(*parts))
    >>> slope = grad(lambda p: p.x * p.y)(Point(2.0, 3.0))
    >>> slope.x, slope.y
    (3.0, 2.0)
    """
    if not isinstance(cls, type):
        raise TypeError(f"register_container takes a class, not {cls!r}")
    if cls in BUILT_IN or cls in (int, float, bool, complex, str, bytes) or issubclass(cls, np.ndarray):
        raise ValueError(f"{cls.__name__} is known to recorded functions and cannot be registered")
    _registered[cls] = (flatten, unflatten)


def of_class(cls: Any) -> Callable[[Any], tuple[Any, Any]] | None:
    """How instances of a class that is not built in are taken apart."""
    if cls in _registered:
        return of_registered
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return of_tuple
    if dataclasses.is_dataclass(cls) or hasattr(cls, "__attrs_attrs__"):
        return of_object
    return None


def of_list(tree: Any) -> tuple[Any, Any]:
    return tree, ("list",)


def of_tuple(tree: Any) -> tuple[Any, Any]:
    return tree, ("tuple", type(tree))


def of_dict(tree: Any) -> tuple[Any, Any]:
    factory = tree.default_factory if type(tree) is defaultdict else None
    return list(tree.values()), ("dict", tuple(tree), type(tree), factory)


def of_object(tree: Any) -> tuple[Any, Any]:
    """By its fields and whatever else it has."""
    cls = type(tree)
    if dataclasses.is_dataclass(cls):
        names = [f.name for f in dataclasses.fields(cls)]
    else:
        names = [a.name for a in getattr(cls, "__attrs_attrs__", ())]
    names = [name for name in names if hasattr(tree, name)]
    names += [name for name in getattr(tree, "__dict__", ()) if name not in names]
    return [getattr(tree, name) for name in names], ("object", tuple(names), cls)


def of_registered(tree: Any) -> tuple[Any, Any]:
    children, rest = _registered[type(tree)][0](tree)
    return list(children), ("registered", type(tree), Setting(rest))


BUILT_IN: dict[type, Callable[[Any], tuple[Any, Any]]] = {
    list: of_list,
    tuple: of_tuple,
    dict: of_dict,
    OrderedDict: of_dict,
    defaultdict: of_dict,
    Counter: of_dict,
    SimpleNamespace: of_object,
}


def taken_apart(tree: Any) -> tuple[Any, Any] | None:
    """What is in the container and the rest of its spec; None if it is none."""
    cls = type(tree)
    take = BUILT_IN.get(cls)
    if take is None and not isinstance(tree, type):
        take = of_class(cls)
    return None if take is None else take(tree)


def put_together(spec: Any, items: list[Any]) -> Any:
    """The container of that spec with these in it."""
    kind = spec[0]
    if kind == "list":
        return items
    if kind == "tuple":
        cls = spec[2]
        return tuple(items) if cls is tuple else cls._make(items) if hasattr(cls, "_make") else cls(*items)
    if kind == "dict":
        cls = spec[3] if len(spec) > 3 else dict
        pairs = dict(zip(spec[2], items, strict=True))
        if cls is dict:
            return pairs
        return defaultdict(spec[4], pairs) if cls is defaultdict else cls(pairs)
    if kind == "registered":
        return _registered[spec[2]][1](spec[3].x, items)
    made = SimpleNamespace() if spec[3] is SimpleNamespace else object.__new__(spec[3])
    for name, item in zip(spec[2], items, strict=True):
        object.__setattr__(made, name, item)
    return made


def refuse_strangers(tree: Any) -> None:
    """TypeError for what is nearly an array, a number or a container, and would lose what makes it another."""
    cls = type(tree)
    name = f"{cls.__module__}.{cls.__qualname__}"
    root = cls.__module__.partition(".")[0]
    if isinstance(tree, np.ndarray):
        if cls is np.ndarray or cls is np.memmap or getattr(cls, "_is_of_numbers", False):
            return
        way_out = (
            "use .filled(...), or two arrays: the data and the mask"
            if isinstance(tree, np.ma.MaskedArray)
            else ("use np.asarray(x)")
        )
    elif root in ("pandas", "polars", "xarray", "torch", "jax", "jaxlib", "tensorflow") and hasattr(tree, "shape"):
        way_out = "use its numbers as an array: x.to_numpy() or numpy.asarray(x)"
    elif isinstance(tree, (complex, np.complexfloating)):
        way_out = "there are real numbers only: hand over the real and the imaginary part"
    elif isinstance(tree, (list, dict, tuple)):
        way_out = "use the plain container, or tapegrad.register_container, which says how it is taken apart"
    else:
        return
    raise TypeError(f"a recorded function was given a {name}, which it cannot follow: {way_out}")
