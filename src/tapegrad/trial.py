"""The trial of a class: the same small expressions evaluated on it and on ours, at points where classes come apart."""

from __future__ import annotations

import ast
import inspect
import math
from typing import Any

from tapegrad.around import sets_data, stale_lines
from tapegrad.engine import Value
from tapegrad.standin import SHOWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tapegrad.likeness import Likeness

__all__ = ["BINARY", "TRIALS", "UNARY", "optional", "try_out"]

BINARY = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**"}
UNARY = {"__neg__": "-a", "__pos__": "+a", "__abs__": "abs(a)"}
COMPARED = {"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}

# What is tried where a class has the method: expressions in the Values a and b.
TRIALS: dict[str, list[str]] = {
    **{f"__{name}__": [f"a {sign} b", f"a {sign} 2", f"a {sign} 0.5"] for name, sign in BINARY.items()},
    **{f"__r{name}__": [f"2 {sign} a", f"0.5 {sign} a"] for name, sign in BINARY.items()},
    **{f"__i{name}__": [f"augmented(a, {sign + '='!r}, b)", f"augmented(a, {sign + '='!r}, 2)"]
       for name, sign in BINARY.items()},
    **{name: [f"a {sign} b", f"a {sign} 1"] for name, sign in COMPARED.items()},
    "__add__": ["a + b", "a + 2", "a + 0.5", "a + 0"],
    "__radd__": ["2 + a", "0.5 + a", "0 + a"],
    "__mul__": ["a * b", "a * 2", "a * 0.5", "a * 1"],
    "__rmul__": ["2 * a", "0.5 * a", "1 * a"],
    "__pow__": ["a ** 2", "a ** 3", "a ** -1", "a ** 0.5", "a ** 0", "a ** 1", "a ** -2", "a ** b"],
    **{name: [expression] for name, expression in UNARY.items()},
}  # fmt: skip

# Whole graphs: of a class that has + and *. Those with names in them are compared in the nodes between as well.
GRAPHS = [
    "a",
    "a + a",
    "a * a",
    "a * b + a",
    "(a * b + a) * (a + b)",
    "twice(a * b + a)",
    "zeroed(a * b + a)",
    "(c := a * b) * (d := c + a) + c",
    "(c := a + b) * ((d := c * b) + (e := d * c + a)) + e * a",
    "twice((c := a * b) * c + a)",
    "(f := (e := (d := (c := a + a) + c) + d) + e) + f * b",
]

# At these, sums and products are exact; so the order in which gradients are added up does not show.
EXACT = [(0.5, -1.25), (-2.0, 3.0), (0.0, 1.0), (2, 3)]
# At these, single operations round; tie; pass 0; reach clamps and far tails.
ROUGH = [(5.0, 7.0), (1.0, 49.0), (1.1, -0.3), (0.7, 0.7), (-1.3, -1.3), (-0.0, 0.0), (1.0, -0.0)]
FAR = [(40.0, -30.0), (-30.1, 40.7), (1.2345678901234567e-8, 812.3456789), (-12.3456789, -1.2345678901234567e-8),
       (7.1, -6.3), (120.3, -130.7), (-120.3, 90.7)]  # fmt: skip
# Out here exp(2 * x) and squares overflow, and a formula that is right elsewhere may give anything.
EXTREME = [(705.2, -705.2), (-705.2, 705.2), (1e-150, 1e150), (-1e150, -1e-150), (1e5, -1e5)]
# Where comparisons are false and differences are nan.
SPECIAL = [(math.nan, 1.0), (math.inf, 2.0), (-math.inf, 2.0)]
# Gradients that come in are 1 at the root: these make them large and small, for what is clipped or cut off.
SCALES = [1e12, -1e12, 1e-12]

UNSUPPORTED = {"TypeError", "AttributeError", "NotImplementedError", "AssertionError"}
ARITHMETIC = {"OverflowError", "ZeroDivisionError", "ValueError", "FloatingPointError"}
# Expressions of these alone have a relative error of a few units in the last place, however they are computed.
SHARP = {"__init__", "__mul__", "__truediv__", "__rmul__", "__rtruediv__", "__neg__", "__pos__", "__abs__", "exp",
         "relu", "sqrt", "__add__", "__radd__", "__pow__"}  # fmt: skip
MOST = 3  # differences that are named, of those that one formula makes in many methods


class Outcome:
    """What came of an expression: a Value, a plain number, or the name of an exception; and the numbers."""

    def __init__(self, kind: str, numbers: list[Any], itself: str = "") -> None:
        self.kind: str = kind
        self.numbers: list[Any] = numbers
        self.itself: str = itself  # the operand that it is, rather than a new Value

    @property
    def is_result(self) -> bool:
        return self.kind in ("a Value", "a plain number")

    def shown(self) -> Any:
        if not self.is_result:
            return self.kind
        return self.numbers[:3] if self.kind == "a Value" else self.numbers[0]


class Trial:
    """The comparison of a class with ours; what is found of a kind is gathered, to be said in one line."""

    def __init__(self, theirs: Any) -> None:
        self.theirs: Any = theirs
        self.differences: list[str] = []
        self.extreme: list[str] = []
        self.rounded: dict[str, str] = {}
        self.typed: list[str] = []
        self.signs: list[str] = []
        self.itself: dict[str, str] = {}
        self.unsupported: dict[str, str] = {}
        self.overflows: dict[str, str] = {}  # by expression, the first of each
        self.refusals: dict[str, str] = {}

    def compare(self, expression: str, points: Iterable[tuple[float, float]], sharp: bool, scale: float = 1.0) -> bool:
        """Whether both do the same, but for what may be said in a note."""
        shown = expression if scale == 1.0 else f"({expression}) * {scale:g}"
        code = compile(expression if scale == 1.0 else f"({expression}) * s", "<trial>", "eval")
        for point in points:
            x, y = outcome(self.theirs, code, point, scale), outcome(Value, code, point, scale)
            found = self.difference(expression, x, y, sharp, abs(scale), point)
            if found:
                self.differences.append(f"it computes something else: {shown} at a, b = {point}: {found}")
                return False
        return True

    def whole(self, expression: str, sharp: bool) -> bool:
        """`compare` at all points, and with large and small gradients coming in; the first difference ends it."""
        same = self.compare(expression, [*EXACT, *ROUGH], sharp=False) and self.compare(expression, FAR, sharp)
        if same and not self.compare(expression, EXTREME, sharp) and not sharp:
            self.extreme.append(self.differences.pop().removeprefix("it computes something else: "))
        return same and all(self.compare(expression, [EXACT[0], ROUGH[0]], False, scale) for scale in SCALES)

    def difference(self, expression: str, x: Outcome, y: Outcome, sharp: bool, scale: float, point: Any) -> str:
        """What forbids to replace the class, in words, or nothing; notes are kept."""
        if not x.is_result:
            if not y.is_result or x.kind == "complex":
                if x.kind != y.kind and x.kind not in UNSUPPORTED:
                    self.refusals.setdefault(expression, f"{x.kind} at {point}, ours {y.kind}")
            elif expression in ("a + b", "a * b"):
                return f"it gave {x.kind}"
            elif x.kind in UNSUPPORTED:
                self.unsupported.setdefault(expression, x.kind)
            else:
                self.overflows.setdefault(expression, f"{x.kind} at {point}, ours {y.shown()}")
            return ""
        if not y.is_result:
            if y.kind in ARITHMETIC and any(map(is_special, x.numbers)):
                self.refusals.setdefault(expression, f"{x.shown()} at {point}, ours {y.kind}")
                return ""
            return f"{x.shown()}, ours raises {y.kind}"
        if x.kind != y.kind:
            return f"the result is {x.kind}, {x.shown()}, with ours {y.kind}, {y.shown()}"
        if len(x.numbers) != len(y.numbers):
            return f"{len(x.numbers)} numbers, with ours {len(y.numbers)}"
        tolerance = 0.0 if sharp else 1e-12 * scale
        values = zip(x.numbers, y.numbers, strict=True)
        if is_cut_off(x.numbers[0], y.numbers[0]) or not all(close(p, q, tolerance) for p, q in values):
            if x.shown() == y.shown():
                return f"the gradients of the nodes between are {x.numbers[3:]}, with ours {y.numbers[3:]}"
            what = "the value and the gradients of a, b" if x.kind == "a Value" else "the result"
            return f"{what} are {x.shown()}, with ours {y.shown()}"
        self.note(expression, x, y, point)
        return ""

    def note(self, expression: str, x: Outcome, y: Outcome, point: tuple[float, float]) -> None:
        if x.itself != y.itself:
            words = [f"is {o.itself} itself" if o.itself else "a new Value" for o in (x, y)]
            self.itself.setdefault(expression, f"at {point} {words[0]}, ours {words[1]}")
        pairs = zip(x.numbers, y.numbers, strict=True)
        differ = any(p != q and (p == p or q == q) for p, q in pairs)
        if differ and (point in EXACT or len(x.numbers) < 4):
            self.rounded.setdefault(expression, f"{x.shown()} at {point}, ours {y.shown()}")
        if [*map(type, x.numbers[:3])] != [*map(type, y.numbers[:3])]:
            self.typed.append(f"{expression} at {point} has {x.shown()}, ours {y.shown()}")
        elif x.numbers[0] == 0 and math.copysign(1, x.numbers[0]) != math.copysign(1, y.numbers[0]):
            self.signs.append(f"{expression} at {point} is {x.numbers[0]}, ours {y.numbers[0]}")

    def remarks(self) -> Iterator[str]:
        if self.rounded:
            yield f"the last digits may differ: {', '.join(self.rounded)}"
        division = next((e for e in self.rounded if e in ("a / b", "a / 2", "2 / a")), "")
        if division:
            yield f"ours divides as a * b**-1, which rounds twice: {division} has {self.rounded[division]}"
        if self.typed:
            yield f"ints and floats differ: {self.typed[0]} (value, then gradients of a, b)"
        if self.signs:
            yield f"zeros differ in sign: {self.signs[0]}"
        if self.itself:
            expression, how = next(iter(self.itself.items()))
            names = f" (so too {', '.join([*self.itself][1:])})" if len(self.itself) > 1 else ""
            yield f"{expression} {how}{names}: another backward from it, an assignment to it, and `is` differ"
        if self.extreme:
            yield f"far out it computes something else: {'; '.join(self.extreme)}"
        for what, found in (
            ("ours takes more than it does", self.unsupported),
            ("ours goes on where it raises an error", self.overflows),
            ("errors differ", self.refusals),
        ):
            if found:
                yield f"{what}: {', '.join(found)} ({next(iter(found.values()))})"


def try_out(it: Likeness) -> Iterator[str]:
    """Evaluate on both; the differences that forbid to replace the class. Remarks, and what is carried over, go to
    `it`."""
    theirs = execute(it)[it.node.name]
    trial = Trial(theirs)
    if trial.compare("a", [*EXACT, *ROUGH, *FAR, *EXTREME], sharp=True):  # else all that is made of it differs as well
        for name in dict.fromkeys(name for name, _ in trials(it)):
            all(trial.whole(expression, name in SHARP) for n, expression in trials(it) if n == name)
        trial.whole("a", sharp=True)
    if not trial.differences:
        for expression in GRAPHS:
            trial.compare(expression, EXACT, sharp=False)
    yield from trial.differences[:MOST]
    more = len(trial.differences) - MOST
    if more > 0:
        yield f"and {more} more such difference{'s' * (more > 1)}"
    it.remarks += trial.remarks()
    if not trial.differences:
        from tapegrad.extras import try_extras

        seen = (special, stale, protocol, subclasses, returned, visible_graph)
        for look in (*seen, state, try_extras, shows, beginnings):
            yield from look(it, theirs)


def execute(it: Likeness, ours: Any = None) -> dict[str, Any]:
    """The names of a module with the class alone, what its program imports of `math` and the constants that it uses.

    With `ours` the class is that, and the methods that it has not are names beside it.
    """
    imports: list[ast.stmt] = []
    for n in ast.walk(it.program):
        if isinstance(n, ast.Import):
            imports += [ast.Import([alias]) for alias in n.names if alias.name == "math"]
        elif isinstance(n, ast.ImportFrom) and n.module == "math":
            imports.append(n)
    future = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)  # its annotations may name anything
    body = [future, *imports, *it.constants.values(), *(it.extras.values() if ours else [it.node])]
    tree = ast.fix_missing_locations(ast.Module(body, []))
    namespace: dict[str, Any] = {"__name__": "tapegrad.trial", it.node.name: ours}
    exec(compile(tree, "<trial>", "exec", dont_inherit=True), namespace)
    return namespace


def trials(it: Likeness) -> Iterator[tuple[str, str]]:
    """The methods that are tried, with expressions."""
    for name in [*it.methods, *it.aliases]:
        if name in TRIALS:
            yield from ((name, expression) for expression in TRIALS[name])
        elif it.ours_has(name) and not name.startswith("_") and name != "backward":
            arguments = inspect.signature(getattr(Value, name)).parameters.values()
            required = ["b"] * (len([p for p in arguments if p.default is p.empty]) - 1)
            yield name, f"a.{name}({', '.join(required)})"
            for given in optional(it, name):
                yield name, f"a.{name}({', '.join([*required, *(x.replace('?', '0.2') for x in given)])})"


def optional(it: Likeness, name: str) -> list[list[str]]:
    """What the program passes to a method for arguments that have defaults; ? stands for what is not a literal."""
    method = it.methods[it.aliases.get(name, name)]
    a = method.args
    parameters = [p.arg for p in [*a.posonlyargs, *a.args]][not is_static(method) :]
    required = len(parameters) - len(a.defaults)
    keywords = {*parameters[required:], *(p.arg for p in a.kwonlyargs)}
    found: list[list[str]] = []
    for call in it.calls(name):
        of = receiver(call)
        words = [k.arg for k in call.keywords]
        fits = len(call.args) <= len(parameters) and {*parameters, *keywords}.issuperset(words)
        if not fits or of in it.imported or of == it.node.name or any(isinstance(x, ast.Starred) for x in call.args):
            continue
        given = [literal(x) for x in call.args[required:]]
        given += [f"{k.arg}={literal(k.value)}" for k in call.keywords if k.arg in keywords]
        if given and given not in found:
            found.append(given)
    return found


def receiver(call: ast.Call) -> str:
    """The name that a method is called of, if it is one."""
    of = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    return of.id if isinstance(of, ast.Name) else ""


def is_static(method: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in method.decorator_list)


def literal(x: ast.expr) -> str:
    try:
        value = ast.literal_eval(x)
    except ValueError:
        return "?"
    return repr(value) if value is None or isinstance(value, (str, int, float)) else "?"


def outcome(cls: Any, expression: Any, point: tuple[float, float], scale: float = 1.0) -> Outcome:
    """The value of the expression, the gradients of a and b, then those of the root and of what it gives names to."""
    try:
        a, b = map(cls, point)
        names: dict[str, Any] = {
            "a": a,
            "b": b,
            "twice": twice,
            "zeroed": lambda y: zeroed(y, a, b),
            "moved": lambda y, *data: moved(y, a, b, *data),
            "augmented": augmented,
        }
        names["s"] = cls(scale)
        given = set(names)
        y = eval(expression, names)
        if y.__class__ is not cls:
            return Outcome("complex" if isinstance(y, complex) else "a plain number", [y])
        y.backward()
        between = [names[name].grad for name in sorted(names) if name not in given and name != "__builtins__"]
        kind = "complex" if isinstance(y.data, complex) else "a Value"
        itself = "a" if y is a else "b" if y is b else ""
        return Outcome(kind, [y.data, a.grad, b.grad, *([y.grad, *between] if between else [])], itself)
    except RecursionError:
        raise
    except Exception as error:
        return Outcome(type(error).__name__, [])


def twice(y: Any) -> Any:
    """y after one sweep; the trial then does the second."""
    y.backward()
    return y


def zeroed(y: Any, a: Any, b: Any) -> Any:
    """y after one sweep, with the gradients of the inputs set to 0."""
    y.backward()
    a.grad = b.grad = 0
    return y


def moved(y: Any, a: Any, b: Any, *data: float) -> Any:
    """y after other data was assigned to it, or to the inputs."""
    for v, x in zip((a, b) if len(data) == 2 else (y,), data, strict=True):
        v.data = x
    return y


def augmented(a: Any, sign: str, b: Any) -> Any:
    """a after `a += b` and the like, which must leave the Value that a was as it was."""
    names: dict[str, Any] = {"a": a, "b": b}
    exec(f"a {sign} b", names)
    return names["a"] if names["a"] is not a else 0


def is_special(x: Any) -> bool:
    return isinstance(x, float) and not math.isfinite(x)


def close(x: Any, y: Any, tolerance: float) -> bool:
    """Whether x and y are the same to 9 digits, or differ by no more than rounding in sums of numbers near 1 does."""
    try:
        return math.isclose(x, y, rel_tol=1e-9, abs_tol=tolerance) or (x != x and y != y)
    except (TypeError, OverflowError):
        return x is y


def is_cut_off(x: Any, y: Any) -> bool:
    """Whether x, which ours has as y, is too small to come of rounding, which gives 0 or a few times 2**-53."""
    return isinstance(x, float) and 0 < abs(x) < 1e-17 and not close(x, y, 0.0)


# ---- what else a program sees of its class ----


def special(it: Likeness, theirs: Any) -> Iterator[str]:
    """Where it is not the same at nan and infinity, which a run that goes well does not reach: a note."""
    apart = Trial(theirs)
    expressions = [e for _, e in trials(it) if e != "a ** 0" and not apart.compare(e, SPECIAL, sharp=False)]
    if expressions:
        so_too = f"; so too {', '.join(expressions[1:])}" if len(expressions) > 1 else ""
        first = apart.differences[0].removeprefix("it computes something else: ")
        it.remarks.append(f"at nan and infinity it computes something else: {first}{so_too}")
    yield from ()


def stale(it: Likeness, theirs: Any) -> Iterator[str]:
    """Whether gradients are at the data of the forward or of the backward, where data is assigned between the two."""
    lines = sets_data(it)
    if not lines:
        return
    apart = Trial(theirs)
    differ: dict[str, str] = {}  # by method, the first expression
    for name, expression in trials(it):
        moves = ["2.25, 0.75", "-0.375"] + ["-2.25, -0.75"] * (not name.startswith("__"))
        if name in COMPARED or name.startswith("__i"):
            continue
        if not all(apart.compare(f"moved({expression}, {data})", [(0.5, 1.25)], sharp=False) for data in moves):
            differ.setdefault(name, expression)
    if not differ:
        return
    words = "gradients are those at the numbers of the forward, with ours those at the numbers when backward is called"
    evident = next(stale_lines(it), "")
    if evident and any(name.startswith("__") or it.used_outside(name) for name in differ):
        yield f"{evident}: its {words}"
    else:
        it.remarks.append(
            f"if data is assigned between a forward and its backward ({lines[0]} assigns some), its {words}, in "
            f"{', '.join(differ.values())}; --compare shows whether that happens"
        )


def protocol(it: Likeness, theirs: Any) -> Iterator[str]:
    """A node that the program makes itself, of its children, is known to `backward` in the same way."""
    if any(gradient_of_own(theirs, style) == 10.0 for style in ("_local_grads" in it.roles.values(), None)):
        return
    why = "its backward does not take a node's own `_backward` function or local gradients, as ours does"
    for line in it.builds:
        yield f"{line} makes a node with operands, and {why}: with ours it would have another gradient"
    it.facts["leaves_only"] = f"{it.node.name}: {why}, so that a node that the program makes itself has no gradient"


def gradient_of_own(cls: Any, style: bool | None) -> Any:
    """The gradient through a node made by hand of a, with local derivative 5, and a product with 2."""
    try:
        a = cls(3.0)
        if style:
            out = cls(12.0, (a,), (5.0,))
        else:
            out = cls(12.0, (a,), "custom") if style is False else with_children(cls, a)

            def backward() -> None:
                a.grad += 5.0 * out.grad

            out._backward = backward
        (out * cls(2.0)).backward()
        return a.grad
    except Exception:
        return None


def with_children(cls: Any, a: Any) -> Any:
    out = cls(12.0)
    setattr(out, "_prev" if hasattr(out, "_prev") else "_children", (a,))
    return out


def subclasses(it: Likeness, theirs: Any) -> Iterator[str]:
    """Operators of a subclass's instances give instances of the same class as ours do."""
    for line in it.derived:
        kinds = [type(sub(2.0) * sub(3.0)) is sub for sub in (type("Sub", (c,), {}) for c in (theirs, Value))]
        if kinds[0] != kinds[1]:
            yield f"its operators give instances of a subclass, as derived in {line}; ours give plain Values"


def returned(it: Likeness, theirs: Any) -> Iterator[str]:
    result = (theirs(2.0) * theirs(3.0)).backward()
    if result is not None:
        for line in it.lines_that_use_result("backward"):
            yield f"its backward gives a {type(result).__name__}, which {line} uses; ours gives None"


def visible_graph(it: Likeness, theirs: Any) -> Iterator[str]:
    """Where the program looks at nodes, they are the same."""
    names = [name for name in ("_op", "_prev", "_children", "_local_grads") if it.is_seen(name)]
    instance = theirs(1.0) * theirs(2.0)
    for name in ("_prev", "_children"):
        if not hasattr(instance, name):
            continue
        kind = type(getattr(instance, name)).__name__
        if kind != type(getattr(Value(1.0) * 2.0, name)).__name__ and name in names:
            if kind not in ("tuple", "list", "set"):
                yield f"its attribute {name} is a {kind}; ours is a {type(getattr(Value(1.0), name)).__name__}"
            it.facts.setdefault("containers", {})[name] = kind
    if not names:
        return
    other: list[str] = []
    for _, expression in trials(it):
        x, y = (picture(cls, expression, names) for cls in (theirs, Value))
        if x and y and x != y:
            other.append(f"{expression} is {x}, ours {y}")
    if other and "_op" in names and it.line_that_decides_by_op:
        yield f"{it.line_that_decides_by_op} decides by `_op`, and the nodes differ: {'; '.join(other[:4])}"
    elif other:
        it.remarks.append(f"the program looks at {', '.join(names)}, and nodes differ: {'; '.join(other[:4])}")


def picture(cls: Any, expression: str, names: list[str]) -> str:
    """A node and those below it, by what the program looks at; nothing where the class does not do it."""
    try:
        return pictured(eval(expression, {"a": cls(0.5), "b": cls(3.0), "augmented": augmented}), names)
    except Exception:
        return ""


def pictured(v: Any, names: list[str]) -> str:
    children: Any = getattr(v, "_prev", None) if "_prev" in names else getattr(v, "_children", None)
    if children is None:
        children = getattr(v, "_prev", ())
    below = [pictured(child, names) for child in children]
    if "_children" not in names:
        below.sort()  # a set has no order
    return f"{getattr(v, '_op', '') if '_op' in names else 'node'}({', '.join(below)})" if below else "leaf"


def state(it: Likeness, theirs: Any) -> Iterator[str]:
    """What a pickle of one has in it, for the stand-in to write the same."""
    a = theirs(1.5)
    leaf, inner = attributes(a), attributes(a * theirs(2.0))
    found: dict[str, str] = {}
    for name, value in leaf.items():
        if callable(value):
            it.facts["unpicklable"] = f"its attribute {name} is a function, and plain python does not pickle it either"
        elif name in ("data", "grad", "label", "_op", "_local_grads"):
            found[name] = name
        elif isinstance(value, tuple | list | set) and type(inner.get(name)) is type(value) and a in inner[name]:
            found[name] = type(value).__name__
        elif is_literal(value) and (inner.get(name, value) == value or callable(inner[name])):
            found[name] = f"={value!r}"
        else:
            it.facts["unpicklable"] = f"tapegrad cannot tell what its attribute {name} should be"
    it.facts["state"] = found
    it.facts["slots"] = not hasattr(a, "__dict__")
    it.facts["interior"] = "_local_grads" in found and bool({"tuple", "list"} & set(found.values()))
    return iter(())


def attributes(v: Any) -> dict[str, Any]:
    slots = getattr(type(v), "__slots__", ())
    names = [*(slots if not isinstance(slots, str) else [slots]), *getattr(v, "__dict__", ())]
    return {name: getattr(v, name) for name in names if hasattr(v, name)}


def is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError):
        return False


def shows(it: Likeness, theirs: Any) -> Iterator[str]:
    """Its own `__repr__`, `__str__` and `__format__` go with it, where they find in ours what they look for."""
    carried = [name for name in SHOWS if it.has(name)]
    if not carried:
        return
    tried = all(it.is_harmless(it.methods[it.aliases.get(name, name)]) for name in carried)
    own = {name: vars(theirs)[name] for name in carried}
    ours = type(it.node.name, (Value,), own)
    remark = ""
    for make in samples(it) if tried else ():
        x = texts(lambda make=make: make(theirs))
        y = texts(lambda make=make: make(ours))
        for what, p, q in zip(("repr()", "str()", "format()"), x, y, strict=True):
            if p != q and q.startswith("raises ") and not p.startswith("raises "):
                it.remarks.append(f"its own {', '.join(carried)} cannot be kept: it {q} on ours")
                p, q = repr(theirs(2.5)), repr(Value(2.5))
                if p != q:
                    it.remarks.append(f"repr() of one gives {q}, was {p}")
                return
            if p != q and not remark and not p.startswith("raises "):
                remark = f"{what} of one gives {q}, was {p}"
    it.carried = [n for n in it.node.body if carries(n, carried)]
    if remark:
        it.remarks.append(remark)
    yield from ()


def carries(n: ast.stmt, names: list[str]) -> bool:
    if isinstance(n, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id in names for t in n.targets)
    return isinstance(n, ast.FunctionDef) and n.name in names


def samples(it: Likeness) -> list[Any]:
    def with_grad(cls: Any) -> Any:
        v = cls(-0.5)
        v.grad = 0.25
        return v

    def node(cls: Any) -> Any:
        a, b = cls(2.0), cls(3.0)
        v = a * b
        if not isinstance(v, cls):
            v = cls(6.0, (a, b), "*")
        v.grad = 1.5
        return v

    return [lambda cls: cls(2.5), lambda cls: cls(2), with_grad, node]


def texts(make: Any) -> list[str]:
    found: list[str] = []
    for show in (repr, str, format):
        try:
            found.append(show(make()))
        except Exception as error:
            found.append(f"raises {type(error).__name__}: {error}")
    return found


def beginnings(it: Likeness, theirs: Any) -> Iterator[str]:
    fresh = theirs(1.0)
    if fresh.grad.__class__ is not Value(1.0).grad.__class__:
        it.remarks.append(f"grad begins as {Value(1.0).grad!r}, was {fresh.grad!r}")
    label = getattr(fresh, "label", "")
    if label is None or isinstance(label, str):
        it.facts["label"] = label
    return iter(())
