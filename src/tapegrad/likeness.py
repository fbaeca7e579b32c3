"""Whether a class in a program is a scalar autograd value like ours, so that ours can stand in for it.

Two looks at it. First the text: the form of the constructor, the methods and attributes, and that no method reaches
for anything but arithmetic, so that nothing is lost with it and trying it out does nothing else. Then a trial: the
class alone is executed, and the same small expressions are evaluated on it and on ours.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import math

from tapegrad.engine import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeAlias

    Parameter: TypeAlias = tuple[set[str], tuple[object, ...]]

__all__ = ["Likeness"]

# The constructor's parameters after `data`: the names that each may have, and its default.
CHILDREN: Parameter = {"_children", "children"}, ((), [])
OP: Parameter = {"_op", "op"}, ("",)
LOCAL_GRADS: Parameter = {"_local_grads", "local_grads"}, ((), [])
LABEL: Parameter = {"label"}, ("",)
FORMS = ([CHILDREN, OP, LABEL], [CHILDREN, LOCAL_GRADS, LABEL])

ATTRIBUTES = ["data", "grad", "label", "_backward", "_prev", "_op", "_children", "_local_grads"]
NEEDED = ["__init__", "__add__", "__mul__", "backward"]
SHOWN = {"__repr__", "__str__"}  # may differ: what they give is compared and said
HARMLESS = {"__slots__", "__array_priority__"}  # assignments in the class body
EFFECTS = {"__import__", "breakpoint", "compile", "delattr", "eval", "exec", "exit", "globals", "input", "locals"} | {
    "open", "print", "quit", "setattr", "vars"
}  # fmt: skip

SYMBOLS = {
    "__add__": "+", "__sub__": "-", "__mul__": "*", "__truediv__": "/", "__pow__": "**", "__neg__": "-x",
    "__pos__": "+x", "__abs__": "abs", "__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">=",
}  # fmt: skip
BINARY = {"add": "+", "sub": "-", "mul": "*", "truediv": "/"}
UNARY = {"__neg__": "-a", "__pos__": "+a", "__abs__": "abs(a)"}
COMPARED = {"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}

# What is tried where a class has the method: expressions in the Values a and b.
TRIALS = {
    **{f"__{name}__": [f"a {sign} b", f"a {sign} 2", f"a {sign} 0.5"] for name, sign in BINARY.items()},
    **{f"__r{name}__": [f"2 {sign} a", f"0.5 {sign} a"] for name, sign in BINARY.items()},
    **{name: [f"a {sign} b"] for name, sign in COMPARED.items()},
    "__pow__": ["a ** 2", "a ** 3", "a ** -1", "a ** 0.5", "a ** b"],
    "__rpow__": ["2 ** a"],
    **{name: [expression] for name, expression in UNARY.items()},
    "__init__": ["a", "a + a", "a * a", "a * b + a", "(a * b + a) * (a + b)", "twice(a * b + a)"],
}
POINTS = [(0.5, -1.25), (-2.0, 3.0), (0.0, 1.0), (2, 3)]


class Likeness:
    """How a class compares with ours: `differences` that forbid to replace it, `remarks` that do not."""

    def __init__(self, node: ast.ClassDef, program: ast.Module) -> None:
        self.node: ast.ClassDef = node
        self.program: ast.Module = program
        self.methods: dict[str, ast.FunctionDef] = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
        self.aliases: dict[str, str] = {}
        self.attributes: set[str] = set()
        self.constructor: list[str] = []
        self.differences: list[str] = []
        self.remarks: list[str] = []
        for look in LOOKS:
            self.differences += look(self)
        if not self.differences:
            self.differences += try_out(self)

    def has(self, name: str) -> bool:
        return name in self.methods or name in self.aliases

    def used_outside(self, attribute: str) -> bool:
        """Whether the program reads or writes this attribute of anything, the class itself apart."""
        inside = set(ast.walk(self.node))
        return any(
            isinstance(n, ast.Attribute) and n.attr == attribute and n not in inside for n in ast.walk(self.program)
        )

    def seen(self) -> str:
        """The features that were seen, in words."""
        names = [*self.methods, *self.aliases]
        operators = [SYMBOLS[name] for name in SYMBOLS if name in names]
        methods = [name for name in names if not name.startswith("_")]
        return (
            f"constructor ({', '.join(self.constructor)}); attributes {' '.join(sorted(self.attributes))}; "
            f"operators {' '.join(operators)}; methods {' '.join(methods)}"
        )


def look_at_body(it: Likeness) -> Iterator[str]:
    """The class has no bases or decorators, and nothing in it but methods and other names for them."""
    bases = [ast.unparse(base) for base in [*it.node.bases, *(keyword.value for keyword in it.node.keywords)]]
    if bases not in ([], ["object"]):
        yield f"it has a base class or metaclass, {', '.join(bases)}"
    for decorator in it.node.decorator_list:
        yield f"it has a decorator, @{ast.unparse(decorator)}"
    for name in NEEDED:
        if not any(isinstance(n, ast.FunctionDef) and n.name == name for n in it.node.body):
            yield f"it has no {name}"
    for n in it.node.body:
        documentation = isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)
        if documentation or isinstance(n, ast.Pass | ast.FunctionDef) or (isinstance(n, ast.AnnAssign) and not n.value):
            continue
        names = [t.id for t in n.targets if isinstance(t, ast.Name)] if isinstance(n, ast.Assign) else []
        if names and isinstance(n, ast.Assign) and isinstance(n.value, ast.Name) and n.value.id in it.methods:
            it.aliases.update(dict.fromkeys(names, n.value.id))
        elif not names or not HARMLESS.issuperset(names):
            yield f"line {n.lineno} of its body is neither a method nor another name for one: {first_line(n)}"


def look_at_constructor(it: Likeness) -> Iterator[str]:
    """Its parameters are `data` and the first few of one of the forms that ours takes."""
    init = it.methods.get("__init__")
    if init is None:
        return
    a = init.args
    given = [p.arg for p in [*a.posonlyargs, *a.args]][1:]
    it.constructor = given
    extra = [p.arg for p in (a.vararg, *a.kwonlyargs, a.kwarg) if p]
    if not given or given[0] != "data":
        yield f"its constructor's first argument is not `data` (line {init.lineno})"
        return
    form = max(FORMS, key=lambda form: sum(name in names for name, (names, _) in zip(given[1:], form, strict=False)))
    known = [name for name, (names, _) in zip(given[1:], form, strict=False) if name in names]
    unknown = [name for name in given[1:] if name not in known] + extra
    if unknown:
        yield (
            f"its constructor has arguments that ours does not take there (line {init.lineno}): {', '.join(unknown)}; "
            "ours takes (data, _children, _op, label) and (data, children, local_grads)"
        )
        return
    if len(a.defaults) != len(given) - 1:
        yield f"its constructor's arguments need defaults, all but `data` (line {init.lineno})"
        return
    for name, default, (_, values) in zip(given[1:], a.defaults, form, strict=False):
        if not any(constant(default) == value for value in values):
            yield f"its constructor's argument {name} has the default {ast.unparse(default)}, ours {values[0]!r}"


def look_at_methods(it: Likeness) -> Iterator[str]:
    """Ours has all of its methods, with the same arguments; private ones may go if nothing else calls them."""
    for name, method in it.methods.items():
        if name in SHOWN or name == "__init__":
            continue
        if method.decorator_list:
            yield f"method {name} (line {method.lineno}) has a decorator, @{ast.unparse(method.decorator_list[0])}"
        elif name in ("__eq__", "__ne__", "__hash__"):
            if not is_identity(method):
                yield f"method {name} (line {method.lineno}): Values of ours are compared and hashed by identity"
        elif not ours_has(name):
            if not name.startswith("_") or name.startswith("__") or it.used_outside(name):
                yield f"method {name} (line {method.lineno}): tapegrad's Value has none of this name"
        elif not same_arguments(method, name):
            given = ast.unparse(method.args)
            yield f"method {name} (line {method.lineno}) takes other arguments than tapegrad's: {given}"
    for name in it.aliases:
        if not ours_has(name):
            yield f"method {name}: tapegrad's Value has none of this name"


def look_at_attributes(it: Likeness) -> Iterator[str]:
    """The attributes that its methods set are those of ours, or private and used nowhere else."""
    set_in: dict[str, int] = {}
    for n in ast.walk(it.node):
        if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store):
            set_in.setdefault(n.attr, n.lineno)
    it.attributes = set_in.keys() & ATTRIBUTES
    for name in ("data", "grad"):
        if name not in set_in:
            yield f"it never sets the attribute {name}"
    for name, line in set_in.items():
        if name not in ATTRIBUTES and (not name.startswith("_") or it.used_outside(name)):
            yield f"its attribute {name} (line {line}) is not one of ours: {' '.join(ATTRIBUTES)}"


def look_at_names(it: Likeness) -> Iterator[str]:
    """Its methods use nothing of the program's but the class itself and `math`, and have no effects of their own."""
    imported = imports(it.program)
    told: set[str] = set()
    for method in it.methods.values():
        if method.name in SHOWN:
            continue
        own = bound(method)
        notes = {id(x) for n in ast.walk(method) for x in annotation(n)}
        for n in ast.walk(method):
            if isinstance(n, ast.Global):
                yield f"method {method.name} (line {n.lineno}) sets the global {', '.join(n.names)}"
            if not isinstance(n, ast.Name) or id(n) in notes or n.id in told or n.id == it.node.name:
                continue
            source = imported.get(n.id)
            if source == "math" or (source is None and (n.id in own or n.id in dir(builtins)) and n.id not in EFFECTS):
                continue
            told.add(n.id)
            why = "more than arithmetic, and it would be lost"
            if source == "numpy":
                why = "numpy: its data may be arrays, ours are numbers"
            yield f"method {method.name} (line {n.lineno}) uses {n.id}: {why}"


def imports(program: ast.Module) -> dict[str, str]:
    """The names that a program imports anywhere, and the top-level module that each comes from."""
    found: dict[str, str] = {}
    for n in ast.walk(program):
        if isinstance(n, ast.Import | ast.ImportFrom):
            for alias in n.names:
                source = (n.module or "") if isinstance(n, ast.ImportFrom) else alias.name
                found[(alias.asname or alias.name).split(".")[0]] = source.split(".")[0]
    return found


def bound(method: ast.FunctionDef) -> set[str]:
    """The names that a method binds: arguments, variables, inner functions."""
    names: set[str] = set()
    for n in ast.walk(method):
        if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load):
            names.add(n.id)
        elif isinstance(n, ast.arg):
            names.add(n.arg)
        elif isinstance(n, ast.FunctionDef | ast.ExceptHandler) and n.name:
            names.add(n.name)
    return names


def look_at_calls(it: Likeness) -> Iterator[str]:
    """The program calls the class with keywords that ours takes too."""
    accepted = inspect.signature(Value).parameters
    for n in ast.walk(it.program):
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == it.node.name:
            for keyword in n.keywords:
                if keyword.arg is not None and keyword.arg not in accepted and n not in ast.walk(it.node):
                    yield f"line {n.lineno} calls it with {keyword.arg}=, a name that ours does not have"


LOOKS = (look_at_body, look_at_constructor, look_at_methods, look_at_attributes, look_at_names, look_at_calls)


def try_out(it: Likeness) -> Iterator[str]:
    """The same expressions on both classes give the same values and gradients, to 9 digits; types may differ."""
    theirs = execute(it)
    rounded: list[str] = []
    typed: list[str] = []
    for expression in trials(it):
        for point in POINTS:
            x: Any = outcome(theirs, expression, point)
            y: Any = outcome(Value, expression, point)
            if not isinstance(x, list):
                if expression in ("a + b", "a * b"):
                    yield f"trying it, {expression} at a, b = {point} gave {x}"
                continue  # what it does not do, ours may do
            if not isinstance(y, list) or not all(map(close, x, y)):
                what = "the value and the gradients of a, b" if len(x) > 1 else "the result"
                yield f"it computes something else: {expression} at a, b = {point}: {what} are {x}, with ours {y}"
                break
            if x != y and expression not in rounded:
                rounded.append(expression)
            if [*map(type, x)] != [*map(type, y)]:
                typed.append(f"{expression} at {point} has {x}, ours {y}")
    if rounded:
        it.remarks.append(f"the last digits may differ: {', '.join(rounded)}")
    if typed:
        it.remarks.append(f"ints and floats differ: {typed[0]} (value, then gradients of a, b)")
    for show in (repr, str):
        x, y = show(theirs(2.5)), show(Value(2.5))
        if it.has(f"__{show.__name__}__") and x != y:
            it.remarks.append(f"{show.__name__}() of one gives {y}, was {x}")
    if theirs(1.0).grad.__class__ is not Value(1.0).grad.__class__:
        it.remarks.append(f"grad begins as {Value(1.0).grad!r}, was {theirs(1.0).grad!r}")


def execute(it: Likeness) -> Any:
    """The class alone, with what its program imports of `math`."""
    math_imports: list[ast.stmt] = []
    for n in ast.walk(it.program):
        if isinstance(n, ast.Import):
            math_imports += [ast.Import([alias]) for alias in n.names if alias.name == "math"]
        elif isinstance(n, ast.ImportFrom) and n.module == "math":
            math_imports.append(n)
    future = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)  # its annotations may name anything
    tree = ast.fix_missing_locations(ast.Module([future, *math_imports, it.node], []))
    namespace: dict[str, Any] = {"__name__": "tapegrad.likeness"}
    exec(compile(tree, "<trial>", "exec", dont_inherit=True), namespace)
    return namespace[it.node.name]


def trials(it: Likeness) -> Iterator[str]:
    for name in [*it.methods, *it.aliases]:
        if name in TRIALS:
            yield from TRIALS[name]
        elif not name.startswith("_") and name != "backward":
            arguments = inspect.signature(getattr(Value, name)).parameters.values()
            required = [p for p in arguments if p.default is p.empty][1:]
            yield f"a.{name}({'b' if required else ''})"


def outcome(cls: Any, expression: str, point: tuple[float, float]) -> Any:
    """The value of the expression and the gradients of a and b; the name of the exception, if it raises one."""
    a, b = map(cls, point)
    try:
        y = eval(expression, {"a": a, "b": b, "twice": twice})
        if y.__class__ is not cls:
            return [y]
        y.backward()
        return name_of_complex(y.data) or [y.data, a.grad, b.grad]
    except Exception as error:
        return type(error).__name__


def twice(y: Any) -> Any:
    """y after one sweep; the trial then does the second."""
    y.backward()
    return y


def name_of_complex(x: object) -> str:
    """Python's floats leave the reals at a fractional power of a negative number; ours raise there."""
    return "complex" if isinstance(x, complex) else ""


def close(x: Any, y: Any) -> bool:
    try:
        return math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12) or (x != x and y != y)
    except TypeError:
        return x is y


def same_arguments(method: ast.FunctionDef, name: str) -> bool:
    """Whether calls that fit their method fit ours: as many required, the others the same."""
    a = method.args
    if a.vararg or a.kwonlyargs or a.kwarg:
        return False
    theirs = [p.arg for p in [*a.posonlyargs, *a.args]]
    if name in TRIALS:
        return len(theirs) == (1 if name in UNARY else 2) and not a.defaults
    ours = list(inspect.signature(getattr(Value, name)).parameters.values())
    required = len(theirs) - len(a.defaults)
    if required != sum(p.default is p.empty for p in ours) or len(theirs) > len(ours):
        return False
    optional = zip(theirs[required:], a.defaults, ours[required:], strict=False)
    return all(n == p.name and constant(d) == p.default for n, d, p in optional)


def ours_has(name: str) -> bool:
    """Whether ours has this method; of the special ones, those that the trial covers."""
    return name in TRIALS if name.startswith("__") else callable(getattr(Value, name, None))


def is_identity(method: ast.FunctionDef) -> bool:
    returned = [ast.unparse(n) for n in method.body if not isinstance(n, ast.Expr)]
    argument = method.args.args[-1].arg
    return returned in (["return id(self)"], [f"return self is {argument}"], [f"return id(self) == id({argument})"])


def annotation(n: ast.AST) -> Iterator[ast.AST]:
    for x in (getattr(n, "annotation", None), getattr(n, "returns", None)):
        if isinstance(x, ast.AST):
            yield from ast.walk(x)


def constant(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return node


def first_line(node: ast.stmt) -> str:
    return ast.unparse(node).splitlines()[0]
