"""Methods of the program's class that ours has not: they go with it where they use nothing but what ours has as well.

The text is looked at here, as `likeness` does for the rest of the class; then the methods are tried, on the program's
class and on ours, which has them for that long.
"""

from __future__ import annotations

import ast
import inspect
from itertools import zip_longest
from typing import Any

from tapegrad.engine import Value
from tapegrad.trial import ARITHMETIC, EXACT, FAR, ROUGH, close, execute, is_special, optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapegrad.likeness import Likeness

__all__ = ["obstacles", "try_extras"]

OF_CONTAINERS = {name for kind in (list, set, dict, str) for name in dir(kind) if not name.startswith("_")}
ARGUMENTS = {0: [""], 1: ["b", "2", "[a, b]"], 2: ["b, 2", "-1, 1"]}
PROBES = ["0.2", "2", "b", "[a, b]"]  # for what the program passes and is not a literal
NUMBERS = (int, float, complex)
BY_NAME = {"super", "getattr", "hasattr"}


def obstacles(it: Likeness, names: set[str]) -> dict[str, str]:
    """Why methods of these names cannot go with the class, by their names; each may use those that go."""
    found: dict[str, str] = {}
    while True:
        going = names - found.keys()
        new = {name: why for name in going if (why := obstacle(it, it.methods[name], going))}
        if not new:
            return found
        found |= new


def obstacle(it: Likeness, method: ast.FunctionDef, going: set[str]) -> str:
    if method.name.startswith("__"):
        return "a special method"
    if decorators(method) not in ([], ["staticmethod"], ["property"]):
        return f"a decorator, @{decorators(method)[0]}"
    for n in ast.walk(method):
        if isinstance(n, ast.Name) and n.id in BY_NAME:
            return f"it uses {n.id}"
        if isinstance(n, ast.Attribute):
            is_math = isinstance(n.value, ast.Name) and it.imported.get(n.value.id) == "math"
            is_there = n.attr in it.attributes or n.attr in going or (it.has(n.attr) and it.ours_has(n.attr))
            if not (is_math or is_there or (n.attr in OF_CONTAINERS and not it.has(n.attr))):
                return f"it uses .{n.attr}"
    return ""


def decorators(method: ast.FunctionDef) -> list[str]:
    return [ast.unparse(decorator) for decorator in method.decorator_list]


def try_extras(it: Likeness, theirs: Any) -> Iterator[str]:
    """Call them on both, with no arguments or one; why one of them cannot go with the class."""
    namespace = execute(it, Value)
    ours = {name: namespace[name] for name in it.extras}
    before = {name: vars(Value)[name] for name in ours if name in vars(Value)}
    for name, method in ours.items():
        setattr(Value, name, method)
    try:
        for name, method in [*it.extras.items()]:
            groups = expressions(it, name, theirs) if not name.startswith("_") else []  # tried by what uses them
            why = next((why for calls in groups if (why := tried(calls, theirs))), "")
            if why and it.may_go(method):
                it.left_out.append(name)
                del it.extras[name]
            elif why:
                yield f"method {name} (line {method.lineno}): tapegrad's Value has none of this name, and {why}"
    finally:
        for name in ours:
            delattr(Value, name)
        for name, method in before.items():
            setattr(Value, name, method)


def tried(calls: list[str], theirs: Any) -> str:
    """Why calls of a method are not the same on both, or nothing; one of them must do something."""
    is_tried = False
    for call in calls:
        for point in (*EXACT, *ROUGH, *FAR):
            for receiver in ("a", "(a * b + a)"):
                expression = call.replace("a.", f"{receiver}.", 1)
                x, y = (outcome(cls, expression, point) for cls in (theirs, Value))
                if isinstance(x, str):
                    continue
                is_tried = True
                if isinstance(y, str) and y in ARITHMETIC and any(map(is_special, x)):
                    continue
                if isinstance(y, str) or not all(alike(p, q) for p, q in zip_longest(x, y, fillvalue=())):
                    return f"with ours it does something else: {expression} at a, b = {point} gives {x}, with ours {y}"
    return "" if is_tried else f"it cannot be tried: {' and '.join(calls)} fail{'s' * (len(calls) == 1)}"


def expressions(it: Likeness, name: str, theirs: Any) -> list[list[str]]:
    """The calls of a method that are tried: without arguments that have defaults, and with those that are passed."""
    method: Any = inspect.getattr_static(theirs, name)
    if isinstance(method, property):
        return [[f"a.{name}"]]
    parameters = [*inspect.signature(getattr(theirs, name)).parameters.values()]
    given = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    arguments = ARGUMENTS.get(len(given) - (not isinstance(method, staticmethod)), ())
    calls: list[list[str]] = [[f"a.{name}({x})" for x in arguments]]
    for more in map(", ".join, optional(it, name)):
        probes = [more.replace("?", probe) for probe in PROBES] if "?" in more else [more]
        calls.append([f"a.{name}({x + ', ' * bool(x)}{probe})" for x in arguments for probe in probes])
    return calls


def outcome(cls: Any, expression: str, point: tuple[float, float]) -> list[Any] | str:
    """What a call gives and does to a graph, before and after another sweep; the name of the exception that it raises.

    Results that cannot be compared count as an exception.
    """
    try:
        a, b = map(cls, point)
        c = a * b + a
        c.backward()
        result = eval(expression.replace("(a * b + a)", "c"), {"a": a, "b": b, "c": c})
        found = [*flat(result, cls), *flat([a, b, c], cls)]
        several: list[Any] = [*result] if isinstance(result, list | tuple) else [result]
        values = [v for v in several if isinstance(v, cls)]  # those from a set come in any order
        root = any(v is c for v in values)
        (c if root else min(values, key=lambda v: (v.data, v.grad), default=c)).backward()
        return [*found, *flat(result, cls), *flat((a, b, c), cls)]
    except RecursionError:
        raise
    except Exception as error:
        return type(error).__name__


def flat(x: Any, cls: Any) -> list[Any]:
    """A result as a list of numbers and texts; Values in a list are in the order of their numbers, as in a set."""
    if isinstance(x, cls) and isinstance(x.data, NUMBERS):
        return ["Value", x.data, x.grad]
    if x is None or isinstance(x, (str, *NUMBERS)):
        return [x]
    if not isinstance(x, list | tuple | set | frozenset | dict):
        raise TypeError(f"a {type(x).__name__} is not compared")
    parts = [flat(item, cls) for item in (x.items() if isinstance(x, dict) else x)]
    if all(part[:1] == ["Value"] for part in parts):
        parts.sort()
    return [type(x).__name__, len(parts), *(item for part in parts for item in part)]


def alike(x: Any, y: Any) -> bool:
    return x == y if isinstance(x, str) or x is None else close(x, y, 1e-12)
