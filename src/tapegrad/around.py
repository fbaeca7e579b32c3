"""What the program around its class does with it that would come out otherwise with ours: seen in the text alone."""

from __future__ import annotations

import ast

from tapegrad.engine import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from tapegrad.likeness import Likeness

__all__ = ["look_at_dictionaries", "look_at_lookups", "look_at_subclasses", "sets_data", "stale_lines"]

OURS = {*dir(Value), "label"} - {*dir(type("Plain", (), {}))}  # before anything was carried over
WRITTEN = {"data", "grad", "label", "_backward", "_prev", "_op", "_children", "_local_grads"} | {
    "__setattr__", "__getattribute__",
}  # fmt: skip
PARSERS = {"parse_args", "parse_known_args", "parse_intermixed_args"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def family(it: Likeness) -> list[ast.ClassDef]:
    """The classes that the program derives from it, and from those."""
    classes = [n for n in it.outside if isinstance(n, ast.ClassDef)]
    found: list[ast.ClassDef] = []
    names = {it.node.name}
    while True:
        new = [n for n in classes if n not in found and names & {last_name(base) for base in n.bases}]
        if not new:
            return found
        found += new
        names |= {n.name for n in new}


def look_at_subclasses(it: Likeness) -> Iterator[str]:
    """No class derived from it has a say in how data and gradients are kept."""
    for derived in family(it):
        lines: dict[str, ast.stmt] = {}
        for statement in derived.body:
            for name in defined(statement):
                lines.setdefault(name, statement)
        for name, statement in lines.items():
            if name in WRITTEN:
                yield f"{it.at(statement)} defines {name} in {derived.name}, derived from it; ours does not heed that"
    names = {it.node.name, *(n.name for n in family(it))}
    for n in it.outside:
        is_store = isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)
        if isinstance(n, ast.Attribute) and is_store and n.attr in WRITTEN and last_name(n.value) in names:
            yield f"{it.at(n)} sets {n.attr} of the class; ours does not heed that"


def defined(n: ast.stmt) -> list[str]:
    """The names that a statement of a class body gives something to."""
    if isinstance(n, ast.FunctionDef):
        return [n.name]
    if isinstance(n, ast.AnnAssign):
        return [n.target.id] if n.value and isinstance(n.target, ast.Name) else []
    return [t.id for t in n.targets if isinstance(t, ast.Name)] if isinstance(n, ast.Assign) else []


def look_at_dictionaries(it: Likeness) -> Iterator[str]:
    """The program does not read what is in a Value from its `__dict__`."""
    if "__slots__" in {name for n in it.node.body for name in defined(n)}:
        return
    foreign = Foreign(it)
    lines: list[ast.AST] = []
    for n in it.outside:
        of: ast.expr | None = None
        if isinstance(n, ast.Attribute) and n.attr == "__dict__":
            of = n.value
        elif isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "vars" and n.args:
            of = n.args[0]
        if of is not None and not foreign.has(of):
            lines.append(n)
    if lines:
        yield f"{listed(it, lines)} reads a __dict__, which is that of a Value perhaps; ours has no data and grad in it"


def listed(it: Likeness, nodes: list[Any]) -> str:
    return ", ".join(dict.fromkeys(map(it.at, sorted(nodes, key=lambda n: (it.elsewhere.get(n, ""), n.lineno)))))


class Foreign:
    """The expressions in a program that evidently are no Values: modules, classes, options, `self` of other classes."""

    def __init__(self, it: Likeness) -> None:
        family_names = {it.node.name, *(n.name for n in family(it))}
        others = [n for n in it.outside if isinstance(n, ast.ClassDef) and n.name not in family_names]
        self.classes: set[str] = {n.name for n in others} | {"Namespace", "SimpleNamespace"}
        self.names: set[str] = {*it.imported, *self.classes, *family_names}
        for n in it.outside:
            if isinstance(n, ast.Import | ast.ImportFrom):
                self.names |= {(alias.asname or alias.name).split(".")[0] for alias in n.names}
            elif isinstance(n, ast.Assign) and self.makes(n.value):
                self.names |= {x.id for t in n.targets for x in ast.walk(t) if isinstance(x, ast.Name)}
            elif isinstance(n, ast.arg) and n.annotation is not None and last_name(n.annotation) in self.classes:
                self.names.add(n.arg)
        self.selves: set[int] = set()
        for n in others:
            for method in n.body:
                first = [*method.args.posonlyargs, *method.args.args][:1] if isinstance(method, ast.FunctionDef) else []
                self.selves |= {
                    id(x) for p in first for x in ast.walk(method) if isinstance(x, ast.Name) and x.id == p.arg
                }

    def makes(self, value: ast.expr) -> bool:
        return isinstance(value, ast.Call) and last_name(value.func) in self.classes | PARSERS

    def has(self, n: ast.expr) -> bool:
        if isinstance(n, ast.Name):
            return n.id in self.names or id(n) in self.selves
        is_class = isinstance(n, ast.Attribute) and n.attr == "__class__"
        is_type = isinstance(n, ast.Call) and last_name(n.func) == "type"
        return is_class or is_type or self.makes(n)


def look_at_lookups(it: Likeness) -> Iterator[str]:
    """Where the program asks whether there is an attribute that ours has and the class has not: a note."""
    foreign = Foreign(it)
    own = {*it.methods, *it.aliases, *it.stores(), *it.extras}
    derived = {it.node.name, *(n.name for n in family(it))}
    computed: list[ast.AST] = []
    known: dict[str, list[ast.AST]] = {}
    for n in it.outside:
        if not isinstance(n, ast.Call) or not isinstance(n.func, ast.Name) or len(n.args) < 2:
            continue
        asks = n.func.id == "hasattr" or (n.func.id == "getattr" and len(n.args) == 3)
        if not asks or (foreign.has(n.args[0]) and last_name(n.args[0]) not in derived):
            continue
        name = n.args[1]
        if not isinstance(name, ast.Constant):
            computed.append(n)
        elif isinstance(name.value, str) and name.value in OURS - own:
            known.setdefault(name.value, []).append(n)
    if known:
        asked = ", ".join(f"{name} ({listed(it, lines)})" for name, lines in sorted(known.items()))
        it.remarks.append(f"the program asks whether there is {asked}: ours has it, the class has not")
    if computed:
        it.remarks.append(f"{listed(it, computed)} asks for attributes by computed names: ours has more than the class")
    yield from ()


# ---- data that is assigned between a forward and its backward ----


def sets_data(it: Likeness) -> list[str]:
    """The lines outside the class that assign to the data of something."""
    by_name = [n for n in it.uses("data") if isinstance(n, ast.Call) and last_name(n.func) == "setattr"]
    return [it.at(n) for n in [*stores_of_data(it.outside), *by_name]]


def stores_of_data(nodes: Iterable[ast.AST]) -> Iterator[ast.Attribute]:
    for n in nodes:
        if isinstance(n, ast.Attribute) and n.attr == "data" and not isinstance(n.ctx, ast.Load):
            yield n


def stale_lines(it: Likeness) -> Iterator[str]:
    """Where a result is evidently swept after data was assigned that it may depend on: in a row, or in a loop."""
    elsewhere = {name for n in it.outside if isinstance(n, ast.Global | ast.Nonlocal) for name in n.names}
    for n in it.outside:
        if isinstance(n, ast.For | ast.While):
            again = {name: call for name, call in sweeps(n) if name not in stored(n) | elsewhere}
            changes = next(stores_of_data(walk(n)), None)
            if changes is not None:
                yield from (stale(it, call, name, changes) for name, call in again.items())
        for field in ("body", "orelse", "finalbody"):
            block: Any = getattr(n, field, None)
            if isinstance(block, list):
                yield from in_a_row(it, block)


def in_a_row(it: Likeness, block: list[ast.stmt]) -> Iterator[str]:
    made: dict[str, list[ast.Attribute]] = {}  # the names, and where data was assigned since
    for n in block:
        for name, call in sweeps(n):
            changes = [ast.unparse(x) for x in made.get(name, ())]
            once = [x for x, text in zip(made.get(name, ()), changes, strict=True) if changes.count(text) == 1]
            if once and name not in stored(n):  # what is assigned twice may be as it was before
                yield stale(it, call, name, once[0])
        for name in stored(n):
            made.pop(name, None)
        for assigned in made.values():
            assigned += stores_of_data(walk(n))
        if isinstance(n, ast.Assign) and is_computed(it, n.value):
            made |= {t.id: [] for t in n.targets if isinstance(t, ast.Name)}


def is_computed(it: Likeness, value: ast.expr) -> bool:
    return isinstance(value, ast.BinOp) or (isinstance(value, ast.Call) and last_name(value.func) != it.node.name)


def stale(it: Likeness, call: ast.Call, name: str, changed: ast.Attribute) -> str:
    return f"{it.at(call)} calls backward of {name}, which was computed before {it.at(changed)} assigns data"


def sweeps(n: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for x in walk(n):
        if isinstance(x, ast.Call) and isinstance(x.func, ast.Attribute) and x.func.attr == "backward":
            of = x.func.value
            if isinstance(of, ast.Name):
                yield of.id, x


def stored(n: ast.AST) -> set[str]:
    return {x.id for x in walk(n) if isinstance(x, ast.Name) and not isinstance(x.ctx, ast.Load)}


def walk(n: ast.AST) -> Iterator[ast.AST]:
    """A statement and what is in it, but for the functions that it defines, which run at other times."""
    todo = [n]
    while todo:
        x = todo.pop()
        if not isinstance(x, FUNCTIONS):
            yield x
            todo += reversed([*ast.iter_child_nodes(x)])


def last_name(n: ast.AST) -> str:
    return n.id if isinstance(n, ast.Name) else n.attr if isinstance(n, ast.Attribute) else ""
