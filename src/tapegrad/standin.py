"""Our `Value`, in this process, with what a program sees of its own class: name, label, what it prints, pickles.

In the program's tree the class statement becomes `class NAME(metaclass=...)`, with only the methods in its body that go
with the class, those for printing and those that ours has not, and its docstring. Python calls `stand_in`, below, to
make the class, and that answers with ours.
"""

from __future__ import annotations

import ast
import copyreg
from operator import attrgetter
from types import CodeType
from typing import Any

from tapegrad.alias import replaced
from tapegrad.engine import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SHOWS", "clash", "stand_in", "statement"]

SHOWS = ("__repr__", "__str__", "__format__")
CONTAINERS = {"tuple": tuple, "list": list, "set": set}
OURS: dict[str, Any] = {name: getattr(Value, name) for name in (*SHOWS, "__init__", "label", "__reduce_ex__")}
OURS |= {name: vars(Value)[name] for name in ("_prev", "_children")}
BUILT_IN = set(dir(Value)) - {"label"}
WAY_OUT = "keep the numbers instead, as in [p.data for p in parameters], and make Values of them again"

worn: dict[str, Mapping[str, object]] = {}  # the classes that ours stands in for, and the code of what went with each


def statement(node: ast.ClassDef, body: list[ast.stmt], facts: dict[str, Any]) -> ast.stmt:
    """The class statement that stands where `node` was; `facts` are the keyword arguments of `stand_in`."""
    module = "__import__('tapegrad.standin', fromlist=['stand_in'])"
    keywords = [f"{name}={value!r}" for name, value in facts.items()]
    made = ast.parse(f"class C({', '.join([f'metaclass={module}.stand_in', *keywords])}): pass").body[0]
    assert isinstance(made, ast.ClassDef)
    made.name = node.name
    for n in ast.walk(made):
        ast.copy_location(n, node)
    made.body = body or made.body
    return ast.fix_missing_locations(made)


def stand_in(
    name: str,
    bases: tuple[type, ...],
    namespace: dict[str, Any],
    *,
    label: str | None = "",
    containers: dict[str, str] | None = None,
    state: dict[str, str] | None = None,
    slots: bool = False,
    interior: bool = False,
    unpicklable: str = "",
    leaves_only: str = "",
) -> Any:
    """Our Value, made to look like the class `name` of the module that this is called for.

    containers  in what `_prev` and `_children` give the operands
    state       the attributes that a pickle of one has, and what each is; `slots` if they are `__slots__`, `interior`
                if one with operands can be pickled as well, `unpicklable` why none can
    leaves_only why the program must not make nodes with operands itself
    """
    full_name = f"{namespace['__module__']}.{namespace['__qualname__']}"
    own = {attribute: x for attribute, x in namespace.items() if attribute in SHOWS or not attribute.startswith("__")}
    shows = {attribute: f for attribute, f in own.items() if attribute in SHOWS}
    code = {attribute: instructions(function(x).__code__) for attribute, x in own.items()}
    for other, theirs in worn.items():
        if other != full_name and (what := clash(code, theirs)):
            raise TypeError(f"{full_name} and {other} {what}: tapegrad's Value cannot stand in for both")
        if other != full_name:
            unpicklable = f"tapegrad's Value stands in for {other} and {full_name}, and does not know for which here"
            shows = shows or {show: getattr(Value, show) for show in SHOWS}
    worn[full_name] = code
    replaced.append(full_name)
    cell = namespace.get("__classcell__")
    if cell is not None:
        cell.cell_contents = Value
    for attribute, ours in (OURS | own).items():
        dress(attribute, shows.get(attribute, ours))
    dress("label", label)
    for attribute in ("__module__", "__qualname__", "__doc__"):
        dress(attribute, namespace.get(attribute))
    dress("__name__", name)
    for attribute, container in (containers or {}).items():
        if hasattr(OURS[attribute], "__set__"):
            dress(attribute, operands_as(attribute, CONTAINERS[container]))
    if leaves_only:
        dress("__init__", only_leaves(leaves_only))
    pickles = Pickles(name, state or {}, slots, interior, unpicklable)
    dress("__reduce_ex__", lambda self, protocol: pickles.reduced(self))
    dress("__setstate__", lambda self, state: pickles.restore(self, state))
    dress("_by_reference", ByReference(name))
    return Value


def clash(one: Mapping[str, object], other: Mapping[str, object]) -> str:
    """In what two classes differ so that ours cannot be both; what each has is by the methods that go with it."""
    shows, others = ({name: x for name, x in methods.items() if name in SHOWS} for methods in (one, other))
    if shows and others and shows != others:
        return "print themselves differently"
    differ = sorted(name for name in one.keys() & other.keys() if one[name] != other[name])
    return f"have different methods {', '.join(differ)}" if differ else ""


def function(method: Any) -> Any:
    """What a method, a static one or a property calls."""
    return method.fget if isinstance(method, property) else getattr(method, "__func__", method)


def instructions(code: CodeType) -> tuple[object, ...]:
    """What a function does, wherever it stands."""
    constants = [instructions(x) if isinstance(x, CodeType) else (type(x), x) for x in code.co_consts]
    return code.co_code, code.co_names, code.co_varnames, *constants


def dress(attribute: str, value: object) -> None:
    if getattr(Value, attribute, None) is not value:
        setattr(Value, attribute, value)


def operands_as(attribute: str, container: type) -> property:
    """A property that gives the operands in a container of this type."""
    children = OURS["_children"]
    ordered: Any = getattr(children, "__get__", attrgetter("_children"))  # the reference core has a plain attribute
    return property(lambda v: container(ordered(v)), OURS[attribute].__set__)


def only_leaves(why: str) -> Any:
    original = OURS["__init__"]

    def init(self: Any, data: Any, _children: Any = (), _op: Any = "", label: str | None = None) -> None:
        if _children:
            raise TypeError(why)
        original(self, data, (), _op, label)

    init.__name__ = "__init__"
    return init


class ByReference:
    """An attribute of the class that refuses to go with it where a class is pickled by value, as cloudpickle does."""

    def __init__(self, name: str) -> None:
        self.name: str = name

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        from pickle import PicklingError

        raise PicklingError(
            f"the class {self.name}, for which tapegrad's Value stands in, cannot be sent by value, as cloudpickle and "
            "joblib's default backend do: use multiprocessing, or joblib with backend='multiprocessing' or 'threading'"
        )


class Pickles:
    """How a Value is pickled: as one of the program's class, so that the program can read it without us."""

    def __init__(self, name: str, state: dict[str, str], slots: bool, interior: bool, unpicklable: str) -> None:
        self.name: str = name
        self.state: dict[str, str] = state
        self.slots: bool = slots
        self.interior: bool = interior
        self.unpicklable: str = unpicklable

    def reduced(self, v: Any) -> tuple[Any, ...]:
        """What `__reduce_ex__` answers; PicklingError where the program could not read it."""
        children = v._children
        if self.unpicklable:
            self.refuse(self.unpicklable)
        if children and not self.interior:
            self.refuse(
                f"this one was computed from others, and the class {self.name} could not tell from a pickle how"
            )
        state = {name: self.found(v, what) for name, what in self.state.items()}
        attributes = dict[str, Any](vars(v))
        own = {name: x for name, x in attributes.items() if name not in BUILT_IN and name not in state}
        if self.slots:
            return copyreg.__newobj__, (type(v),), (own or None, state)  # type: ignore[attr-defined]
        return copyreg.__newobj__, (type(v),), state | own  # type: ignore[attr-defined]

    def found(self, v: Any, what: str) -> Any:
        if what in CONTAINERS:
            return CONTAINERS[what](v._children)
        return ast.literal_eval(what[1:]) if what.startswith("=") else getattr(v, what)

    def refuse(self, why: str) -> None:
        from pickle import PicklingError

        raise PicklingError(f"a {self.name}, for which tapegrad's Value stands in, is not pickled: {why}; {WAY_OUT}")

    def restore(self, v: Any, state: Any) -> None:
        """Read the state of one of the program's class, written by the program itself or by us."""
        parts: tuple[Any, ...] = state if isinstance(state, tuple) else (state,)
        found: dict[str, Any] = {name: x for part in parts for name, x in (part or {}).items()}
        children: tuple[Any, ...] = ()
        local_grads: tuple[Any, ...] = ()
        for name, x in found.items():
            what = self.state.get(name, "")
            if what in CONTAINERS:
                children = tuple(x)
            elif what == "_local_grads":
                local_grads = tuple(x)
            elif what == "_op":
                v._op = x or ""
            elif not what.startswith("="):
                setattr(v, name, x)
        if children:
            if not self.interior:
                from pickle import UnpicklingError

                raise UnpicklingError(f"a pickled {self.name} that was computed from others: tapegrad's Value, which "
                                      f"stands in for it, cannot tell from a pickle how; {WAY_OUT}")  # fmt: skip
            v._children = children
            v._local_grads = local_grads
