"""Whether a class in a program is a scalar autograd value like ours, so that ours can stand in for it.

Two looks at it. First the text, here: the form of the constructor, the methods and attributes, that no method reaches
for anything but arithmetic, so that nothing is lost with it and trying it out does nothing else, and what the rest of
the program does with it. Then a trial (trial.py): the class alone is executed, and the same small expressions are
evaluated on it and on ours.
"""

from __future__ import annotations

import ast
import builtins
import inspect

from tapegrad.around import look_at_dictionaries, look_at_lookups, look_at_subclasses
from tapegrad.engine import Value
from tapegrad.extras import decorators, obstacles
from tapegrad.standin import SHOWS, statement
from tapegrad.trial import TRIALS, UNARY, try_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

__all__ = ["Likeness"]

# What a parameter of the constructor is for, by its name or by the attribute that it is assigned to.
ROLES = {
    "data": "data", "_children": "_children", "children": "_children", "_prev": "_children", "_op": "_op", "op": "_op",
    "_local_grads": "_local_grads", "local_grads": "_local_grads", "label": "label",
}  # fmt: skip
PLACES = [{"data"}, {"_children"}, {"_op", "_local_grads"}, {"label"}]  # of ours
KEYWORDS = {"data": {"data"}, "_children": {"_children"}, "_op": {"_op", "_local_grads"}, "label": {"label"}}
TAKES = "ours takes (data, _children, _op, label) and (data, children, local_grads)"
DEFAULTS: dict[str, tuple[object, ...]] = {
    "_children": ((), [], None, "set()", "tuple()", "list()"), "_op": ("", None), "_local_grads": ((), [], None),
}  # fmt: skip

ATTRIBUTES = ["data", "grad", "label", "_backward", "_prev", "_op", "_children", "_local_grads"]
NEEDED = ["__init__", "__add__", "__mul__", "backward"]
SHOWN = set(SHOWS)  # carried over; may use anything of the program's
OWN = {name for name in dir(Value) if not name.startswith("__")}  # before anything was carried over
HARMLESS = {"__slots__", "__array_priority__"}  # assignments in the class body
AS_ANY_OBJECT = {"__hash__": "object.__hash__", "__eq__": "object.__eq__", "__ne__": "object.__ne__"}
EFFECTS = {"__import__", "breakpoint", "compile", "delattr", "eval", "exec", "exit", "globals", "input", "locals"} | {
    "open", "print", "quit", "setattr", "vars"
}  # fmt: skip
BY_NAME = {"getattr", "hasattr", "setattr", "delattr"}
MUTATORS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "remove", "reverse", "sort", "update"}

SYMBOLS = {
    "__add__": "+", "__sub__": "-", "__mul__": "*", "__truediv__": "/", "__pow__": "**", "__neg__": "-x",
    "__pos__": "+x", "__abs__": "abs", "__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">=",
}  # fmt: skip


class Likeness:
    """How a class compares with ours: `differences` that forbid to replace it, `remarks` that do not."""

    def __init__(self, node: ast.ClassDef, program: ast.Module, others: Mapping[str, ast.Module] | None = None) -> None:
        """`node` in the file `program`; `others` are the program's other files, which may use it, by their names."""
        self.node: ast.ClassDef = node
        self.program: ast.Module = program
        self.methods: dict[str, ast.FunctionDef] = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
        self.aliases: dict[str, str] = {}
        self.attributes: set[str] = set()
        self.constructor: list[str] = []
        self.roles: dict[str, str] = roles(self.methods["__init__"]) if "__init__" in self.methods else {}
        self.imported: dict[str, str] = imports(program)
        self.constants: dict[str, ast.stmt] = {}
        self.differences: list[str] = []
        self.remarks: list[str] = []
        self.carried: list[ast.stmt] = []
        self.facts: dict[str, Any] = {}
        inside = set(ast.walk(node))
        self.outside: list[ast.AST] = [n for n in ast.walk(program) if n not in inside]
        self.elsewhere: dict[ast.AST, str] = {n: name for name, o in (others or {}).items() for n in ast.walk(o)}
        self.outside += self.elsewhere
        self.extras: dict[str, ast.FunctionDef] = {}
        self.obstacles: dict[str, str] = {}
        self.left_out: list[str] = []  # public methods
        self.take_over()
        for look in LOOKS:
            self.differences += look(self)
        if not self.differences:
            try:
                self.differences += try_out(self)
            except Exception as error:  # of the program's own class
                self.differences.append(f"it cannot be tried: {type(error).__name__}: {error}")
        self.differences = [*dict.fromkeys(self.differences)]
        if self.left_out:
            self.remarks.append(f"nothing but the class itself uses {', '.join(self.left_out)}: left out")

    def may_go(self, method: ast.FunctionDef) -> bool:
        """Whether nothing but the class itself knows of a method, so that it is not missed."""
        kinds = decorators(method)
        name = method.name
        is_known = name.startswith("__") or self.used_outside(name) or (name[0] != "_" and self.may_look_at(name))
        return {*kinds} <= {"staticmethod", "classmethod", "property"} and not is_known

    def take_over(self) -> None:
        """Find the methods that ours has not and that go with the class; what they do is as if outside of it then."""
        self.attributes = set(self.stores().keys() & ATTRIBUTES)
        lacking = {name for name in self.methods if name not in SHOWN and not self.ours_has(name)}
        self.obstacles = obstacles(self, lacking)
        going = {
            name for name in lacking - self.obstacles.keys() if not name.startswith("_") or self.used_outside(name)
        }
        while going - self.extras.keys():
            self.extras = {name: method for name, method in self.methods.items() if name in going}
            used = {n.attr for m in self.extras.values() for n in ast.walk(m) if isinstance(n, ast.Attribute)}
            going |= used & lacking
        self.outside += [n for method in self.extras.values() for n in ast.walk(method)]

    def ours_has(self, name: str) -> bool:
        """Whether ours has this method; of the special ones, those that the trial covers."""
        return name in TRIALS if name.startswith("__") else name in OWN and callable(getattr(Value, name))

    def stores(self) -> dict[str, int]:
        """The attributes that its methods set, and the line of each."""
        found: dict[str, int] = {}
        for n in ast.walk(self.node):
            if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store):
                found.setdefault(n.attr, n.lineno)
        return found

    def has(self, name: str) -> bool:
        return name in self.methods or name in self.aliases

    def at(self, n: Any) -> str:
        """Where something is, for people."""
        return f"{self.elsewhere[n]}:{n.lineno}" if n in self.elsewhere else f"line {n.lineno}"

    def uses(self, attribute: str) -> Iterator[ast.AST]:
        """Where the program reads or writes this attribute of anything, the class itself apart."""
        names = (attribute, f"_{self.node.name.lstrip('_')}{attribute}")
        for n in self.outside:
            by_name = isinstance(n, ast.Call) and name_of(n.func) in BY_NAME and is_text(n.args[1:2], attribute)
            if by_name or (isinstance(n, ast.Attribute) and n.attr in names):
                yield n

    def used_outside(self, attribute: str) -> bool:
        return any(True for _ in self.uses(attribute))

    def is_seen(self, attribute: str) -> bool:
        """Whether the program looks at this attribute of its own class, which may have none: then by `getattr`."""
        return any(attribute in self.attributes or isinstance(n, ast.Call) for n in self.uses(attribute))

    def may_look_at(self, attribute: str) -> bool:
        """Whether the program may read attributes of a Value by names that are not in its text, or shows this one."""
        shows = [n for name, method in self.methods.items() if name in SHOWN for n in ast.walk(method)]
        if any(isinstance(n, ast.Attribute) and n.attr == attribute for n in shows):
            return True
        called = [n for n in self.outside if isinstance(n, ast.Call)]
        computed = [
            x for n in called if name_of(n.func) in BY_NAME for x in n.args[1:2] if not isinstance(x, ast.Constant)
        ]
        return bool(computed) or self.used_outside("__dict__") or any(name_of(n.func) == "vars" for n in called)

    def calls(self, method: str) -> Iterator[ast.Call]:
        """The calls of a method of this name outside the class."""
        for n in self.outside:
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == method:
                yield n

    def lines_that_use_result(self, method: str) -> list[str]:
        alone = {n.value for n in self.outside if isinstance(n, ast.Expr)}
        return [self.at(n) for n in self.calls(method) if n not in alone]

    @property
    def derived(self) -> list[str]:
        """The lines where the program derives classes from it."""
        bases = [(n, base) for n in self.outside if isinstance(n, ast.ClassDef) for base in n.bases]
        return [self.at(n) for n, base in bases if name_of(base) == self.node.name]

    @property
    def builds(self) -> list[str]:
        """The lines outside the class that make nodes with operands."""
        made: list[ast.AST] = [
            n for n in self.constructions() if "_children" in passed(n, self.constructor, self.roles)
        ]
        stored = [n for name in ("_prev", "_children", "_backward", "_local_grads") for n in self.uses(name)]
        made += [n for n in stored if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)]
        return list(dict.fromkeys(self.at(n) for n in made))

    def constructions(self) -> Iterator[ast.Call]:
        """The calls of the class outside it, and those of its constructor by classes derived from it."""
        for n in self.outside:
            if isinstance(n, ast.Call) and name_of(n.func) == self.node.name:
                yield n
            elif isinstance(n, ast.ClassDef) and any(name_of(base) == self.node.name for base in n.bases):
                for call in ast.walk(n):
                    if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("super().__init__"):
                        yield call

    @property
    def line_that_decides_by_op(self) -> str:
        for n in self.outside:
            if isinstance(n, ast.Compare | ast.Subscript | ast.Match | ast.Dict):
                parts = [n.subject] if isinstance(n, ast.Match) else list(ast.iter_child_nodes(n))
                if any(isinstance(p, ast.Attribute) and p.attr == "_op" for p in parts):
                    return self.at(n)
        return ""

    def is_harmless(self, method: ast.FunctionDef) -> bool:
        """Whether a method uses nothing but builtins without effects, `math`, constants and the class itself."""
        return not any(strangers(self, method))

    def stand_in(self) -> ast.stmt:
        """The statement that puts ours in the place of the class."""
        documentation = self.node.body[:1] if ast.get_docstring(self.node) is not None else []
        return statement(self.node, [*documentation, *self.carried, *self.extras.values()], self.facts)

    def kept(self) -> dict[str, str]:
        """What each method says that goes with the class, and with the constants that there are."""
        constants = [*map(ast.dump, self.constants.values())]
        shows = {name: "".join(map(ast.dump, self.carried)) for name in SHOWS if self.carried}
        return shows | {name: "".join([ast.dump(m), *constants]) for name, m in self.extras.items()}

    def seen(self) -> str:
        """The features that were seen, in words."""
        names = [*self.methods, *self.aliases]
        operators = [SYMBOLS[name] for name in SYMBOLS if name in names]
        methods = [name for name in names if not name.startswith("_")]
        kept = [name for name in SHOWS if any(name in ast.unparse(n).split("\n")[0] for n in self.carried)]
        kept += self.extras
        return (
            f"constructor ({', '.join(self.constructor)}); attributes {' '.join(sorted(self.attributes))}; "
            f"operators {' '.join(operators)}; methods {' '.join(methods)}"
            + (f"; kept {' '.join(kept)}" if kept else "")
        )


def look_at_body(it: Likeness) -> Iterator[str]:
    """The class has no bases or decorators, and nothing in it but methods and other names for them."""
    bases = [ast.unparse(base) for base in [*it.node.bases, *(keyword.value for keyword in it.node.keywords)]]
    if bases not in ([], ["object"]):
        yield f"it has a base class or metaclass, {', '.join(bases)}"
    for decorator in it.node.decorator_list:
        yield f"it has a decorator, @{ast.unparse(decorator)}"
    for name in NEEDED:
        if name not in it.methods:
            yield f"it has no {name}"
    for n in it.node.body:
        documentation = isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)
        if documentation or isinstance(n, ast.Pass | ast.FunctionDef) or (isinstance(n, ast.AnnAssign) and not n.value):
            continue
        names, value = assigned(n)
        if names and isinstance(value, ast.Name) and value.id in it.methods:
            it.aliases.update(dict.fromkeys(names, value.id))
        elif value is not None and all(is_default(it, name, value) for name in names):
            continue
        elif not names or not HARMLESS.issuperset(names):
            yield f"line {n.lineno} of its body is neither a method nor another name for one: {first_line(n)}"


def assigned(n: ast.stmt) -> tuple[list[str], ast.expr | None]:
    """The names that a statement assigns to, and what."""
    if isinstance(n, ast.Assign):
        return [t.id for t in n.targets if isinstance(t, ast.Name)], n.value
    if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name):
        return [n.target.id], n.value
    return [], None


def is_default(it: Likeness, name: str, value: ast.expr) -> bool:
    """Whether an assignment in the class body does nothing that is seen: __init__ always sets the attribute anew."""
    if name in AS_ANY_OBJECT:
        return ast.unparse(value) == AS_ANY_OBJECT[name]
    init = it.methods.get("__init__")
    if init is None or name not in ATTRIBUTES or isinstance(constant(value), ast.expr):
        return False
    of_class = [n for n in it.uses(name) if isinstance(n, ast.Attribute) and name_of(n.value) == it.node.name]
    return name in {target.attr for target, _ in sets_attributes(init)} and not of_class


def sets_attributes(init: ast.FunctionDef) -> Iterator[tuple[ast.Attribute, ast.expr]]:
    """The attributes that a method always sets on its first argument, and to what."""
    me = [*init.args.posonlyargs, *init.args.args][0].arg
    for n in init.body:
        targets = n.targets if isinstance(n, ast.Assign) else [n.target] if isinstance(n, ast.AnnAssign) else []
        value = n.value if isinstance(n, ast.Assign | ast.AnnAssign) else None
        for target in targets:
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=False))
            for t, v in pairs:
                if isinstance(t, ast.Attribute) and v is not None and name_of(t.value) == me:
                    yield t, v


def roles(init: ast.FunctionDef) -> dict[str, str]:
    """What each parameter of a constructor is for, where that is known."""
    names = parameters(init)
    found = {name: ROLES[name] for name in names if name in ROLES}
    for target, value in sets_attributes(init):
        used = [n.id for n in ast.walk(value) if isinstance(n, ast.Name) and n.id in names]
        if len(set(used)) == 1 and target.attr in ROLES:
            found.setdefault(used[0], ROLES[target.attr])
    return found


def parameters(init: ast.FunctionDef) -> list[str]:
    """All but the first, which is the Value itself."""
    a = init.args
    return [p.arg for p in [*a.posonlyargs, *a.args]][1:] + [p.arg for p in a.kwonlyargs]


def passed(call: ast.Call, names: list[str], roles: dict[str, str]) -> dict[str, str]:
    """The roles of what a call of the constructor passes, and the names of the parameters."""
    given = {roles.get(name, name): name for name, _ in zip(names, call.args, strict=False)}
    if any(isinstance(x, ast.Starred) for x in call.args):
        given |= {roles.get(name, name): name for name in names}
    return given | {roles.get(k.arg, k.arg): k.arg for k in call.keywords if k.arg is not None}


def look_at_constructor(it: Likeness) -> Iterator[str]:
    """Whatever the program passes to it, it passes in a place and by a name that ours has."""
    init = it.methods.get("__init__")
    if init is None:
        return
    a = init.args
    given = [p.arg for p in [*a.posonlyargs, *a.args]][1:]
    it.constructor = given
    where = f"(line {init.lineno})"
    if not given or it.roles.get(given[0]) != "data":
        yield f"its constructor's first argument is not `data` {where}"
        return
    various = [p.arg for p in (a.vararg, a.kwarg) if p]
    if various:
        yield f"its constructor has arguments that ours does not take there {where}: {', '.join(various)}; {TAKES}"
    only = [p.arg for p in a.kwonlyargs if it.roles.get(p.arg) not in (None, "label")]
    if only:
        yield (
            f"its constructor's {', '.join(only)} {'are' if len(only) > 1 else 'is'} keyword-only {where}; ours takes "
            "them by position: (data, _children, _op, label) or (data, children, local_grads)"
        )
    if len(a.defaults) < len(given) - 1:
        yield f"its constructor's arguments need defaults, all but `data` {where}"
        return
    defaults = dict(zip(given[-len(a.defaults) :] if a.defaults else [], a.defaults, strict=False))
    for name, default in defaults.items():
        role = it.roles.get(name, "")
        accepted = DEFAULTS.get(role)
        value = constant(default)
        if isinstance(value, ast.expr):
            value = ast.unparse(value)
        if accepted is None or (any(value == x for x in accepted) and not (value is None and it.used_outside(role))):
            continue
        yield f"its constructor's argument {name} has the default {ast.unparse(default)}, ours {accepted[0]!r}"
    strange: dict[str, str] = {}
    for call in it.constructions():
        if not call.args and not call.keywords and len(a.defaults) == len(given):
            yield f"{it.at(call)} calls it without arguments; ours needs `data`"
        for i, _ in enumerate(call.args[: len(given)]):
            if i >= len(PLACES) or it.roles.get(given[i]) not in PLACES[i]:
                strange.setdefault(given[i], it.at(call))
        for keyword in call.keywords:
            word = keyword.arg
            if word is not None and it.roles.get(word) not in KEYWORDS.get(word, ()):
                yield f"{it.at(call)} calls it with {word}=, a name that ours does not have"
    if strange:
        lines = ", ".join(f"{name} (passed in {line})" for name, line in strange.items())
        yield f"its constructor has arguments that ours does not take there {where}: {lines}; {TAKES}"


def look_at_methods(it: Likeness) -> Iterator[str]:
    """Ours has all of its methods, with the same arguments; others go with it, or may go if nothing else calls them."""
    for name, method in it.methods.items():
        if name in SHOWN or name == "__init__":
            continue
        if method.decorator_list and name not in it.extras and not it.may_go(method):
            yield f"method {name} (line {method.lineno}) has a decorator, @{decorators(method)[0]}"
        elif name in ("__eq__", "__ne__", "__hash__"):
            if not is_identity(method):
                yield f"method {name} (line {method.lineno}): Values of ours are compared and hashed by identity"
        elif not it.ours_has(name):
            if name in it.extras:
                continue
            if it.may_go(method):
                it.left_out += [name] * (not name.startswith("_"))
            else:
                yield (
                    f"method {name} (line {method.lineno}): tapegrad's Value has none of this name, and it cannot go "
                    f"with the class: {it.obstacles[name]}"
                )
        elif not same_arguments(it, method, name):
            given = ast.unparse(method.args)
            yield f"method {name} (line {method.lineno}) takes other arguments than tapegrad's: {given}"
    for name in it.aliases:
        if not it.ours_has(name) and name not in SHOWN:
            yield f"method {name}: tapegrad's Value has none of this name"


def look_at_attributes(it: Likeness) -> Iterator[str]:
    """The attributes that its methods set are those of ours, or used nowhere else."""
    set_in = it.stores()
    for name in ("data", "grad"):
        if name not in set_in:
            yield f"it never sets the attribute {name}"
    for name, line in set_in.items():
        if name not in ATTRIBUTES and (it.used_outside(name) or (not name.startswith("_") and it.may_look_at(name))):
            use = next(it.uses(name), None)
            who = f"{it.at(use)} uses it" if use else "the program prints it, or looks at attributes by computed names"
            yield f"its attribute {name} (line {line}) is not one of ours ({' '.join(ATTRIBUTES)}), and {who}"


def look_at_names(it: Likeness) -> Iterator[str]:
    """Its methods use nothing of the program's but the class itself, `math` and constants, and have no effects."""
    told: set[str] = set()
    for method in it.methods.values():
        if method.name in SHOWN:
            continue
        for n in ast.walk(method):
            if isinstance(n, ast.Global):
                yield f"method {method.name} (line {n.lineno}) sets the global {', '.join(n.names)}"
        for n, why in strangers(it, method):
            if n.id not in told:
                told.add(n.id)
                yield f"method {method.name} (line {n.lineno}) uses {n.id}: {why}"


def strangers(it: Likeness, method: ast.FunctionDef) -> Iterator[tuple[ast.Name, str]]:
    """The names in a method that stand for more than arithmetic, and why they forbid to leave it out or try it."""
    own = bound(method)
    notes = {id(x) for n in ast.walk(method) for x in annotation(n)}
    for n in ast.walk(method):
        if not isinstance(n, ast.Name) or id(n) in notes or n.id == it.node.name or n.id in own:
            continue
        source = it.imported.get(n.id)
        if source == "math" or (source is None and n.id in dir(builtins) and n.id not in EFFECTS):
            continue
        if source is None and is_constant(it, n.id):
            continue
        yield (
            n,
            (
                "numpy: its data may be arrays, ours are numbers"
                if source == "numpy"
                else "more than arithmetic, and it would be lost"
            ),
        )


def is_constant(it: Likeness, name: str) -> bool:
    """Whether the program gives this name a number, text or tuple of types once, at module level; it is then kept for
    the trial."""
    stored = [n for n in ast.walk(it.program) if isinstance(n, ast.Name) and n.id == name and not is_load(n)]
    statements = [n for n in it.program.body if name in assigned(n)[0]]
    if len(stored) != 1 or len(statements) != 1:
        return False
    value = assigned(statements[0])[1]
    types = value.elts if isinstance(value, ast.Tuple) else [value]
    is_types = all(isinstance(t, ast.Name) and t.id in ("int", "float", "bool", "complex") for t in types)
    if value is None or (not is_types and isinstance(constant(value), ast.expr | list | dict | set)):
        return False
    it.constants[name] = statements[0]
    return True


def is_load(n: ast.Name) -> bool:
    return isinstance(n.ctx, ast.Load)


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


def look_at_rules(it: Likeness) -> Iterator[str]:
    """Every operation that a method tells from others by its name is made by a method."""
    methods = [method for name, method in it.methods.items() if name not in SHOWN]
    by_op = Operations(it)
    rules = [(method, x, how) for method in methods for x, how in told_apart(method, by_op)]
    apart = {x for _, x, _ in rules}
    made = [found for method in methods for found in names_made(method, apart)]
    told: set[str] = set()
    for method, x, how in rules:
        if x.value in told or any(is_of(x.value, how, text, is_whole) for text, is_whole in made):
            continue
        told.add(x.value)
        yield (
            f"method {method.name} (line {x.lineno}) has a rule for nodes named {x.value!r}, which none of its methods "
            "makes: the program makes them elsewhere, and ours would not know their derivative"
        )


def is_of(rule: str, how: str, text: str, is_whole: bool) -> bool:
    """Whether a rule may be about a node whose name is `text`, or begins with it."""
    if how == "in":
        return rule in text
    if how == "startswith":
        return text.startswith(rule) or (not is_whole and rule.startswith(text))
    return rule == text if is_whole else bool(text) and rule.startswith(text)


class Operations:
    """The expressions in a class that have to do with the name of a node's operation."""

    def __init__(self, it: Likeness) -> None:
        init = it.methods.get("__init__")
        kept = [n for n in sets_attributes(init) if n[0].attr not in OTHERS] if init else []
        own = set(parameters(init)) if init else set()
        self.attributes: set[str] = {"_op"} | {t.attr for t, value in kept if own & names_in(value)}
        self.names: set[str] = set()
        methods = [method for name, method in it.methods.items() if name not in SHOWN and name != "__init__"]
        nodes = [n for method in methods for n in ast.walk(method)]
        functions = {n.name: n for n in nodes if isinstance(n, ast.FunctionDef)}
        before = -1
        while before < len(self.names):
            before = len(self.names)
            for n in nodes:
                self.follow(n, functions)
        parts = [n.slice if isinstance(n, ast.Subscript) else n for n in nodes if isinstance(n, ast.Subscript)]
        parts += [x for n in nodes if isinstance(n, ast.Call) and name_of(n.func) == "get" for x in n.args]
        parts += [n.left for n in nodes if isinstance(n, ast.Compare) and isinstance(n.ops[0], ast.In | ast.NotIn)]
        self.are_keys: bool = any(map(self.has, parts))

    def follow(self, n: ast.AST, functions: Mapping[str, ast.FunctionDef]) -> None:
        """Add the names that a statement, or a call of the class's own functions, gives to what has to do with it."""
        if isinstance(n, ast.Assign | ast.AnnAssign | ast.NamedExpr) and n.value is not None and self.has(n.value):
            for target in n.targets if isinstance(n, ast.Assign) else [n.target]:
                self.names |= names_in(target)
        elif isinstance(n, ast.Call) and name_of(n.func) in functions:
            f = functions[name_of(n.func)]
            places = [p.arg for p in [*f.args.posonlyargs, *f.args.args]][isinstance(n.func, ast.Attribute) :]
            self.names |= {name for name, x in zip(places, n.args, strict=False) if self.has(x)}
            self.names |= {k.arg for k in n.keywords if k.arg and self.has(k.value)}

    def has(self, n: ast.AST) -> bool:
        for x in ast.walk(n):
            if isinstance(x, ast.Attribute) and x.attr in self.attributes:
                return True
            if (isinstance(x, ast.Name) and x.id in self.names) or (isinstance(x, ast.Constant) and x.value == "_op"):
                return True
        return False


OTHERS = {*ATTRIBUTES} - {"_op"}


def names_in(n: ast.AST) -> set[str]:
    return {x.id for x in ast.walk(n) if isinstance(x, ast.Name)}


def told_apart(method: ast.FunctionDef, by_op: Operations) -> Iterator[tuple[Any, str]]:
    """The names of operations that comparisons, `match` and dictionaries tell apart, and how.

    That is: "in" a name, "startswith" or "==".
    """
    for n in ast.walk(method):
        parts: list[Any] = []
        how = "=="
        if isinstance(n, ast.Compare):
            parts = [n.left, *n.comparators] if by_op.has(n) else []
            if isinstance(n.left, ast.Constant) and isinstance(n.ops[0], ast.In | ast.NotIn):
                how = "in"
        elif isinstance(n, ast.Match) and by_op.has(n.subject):
            parts = [x.value for case in n.cases for x in ast.walk(case.pattern) if isinstance(x, ast.MatchValue)]
        elif isinstance(n, ast.Dict) and by_op.are_keys:
            parts = [key for key in n.keys if key is not None]
        elif isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "startswith":
            parts, how = ([*n.args] if by_op.has(n.func.value) else []), "startswith"
        for part in parts:
            elements: Any = part.elts if isinstance(part, ast.Tuple | ast.List | ast.Set) else [part]
            for x in elements:
                if isinstance(x, ast.Constant) and isinstance(x.value, str) and x.value:
                    yield x, how


def names_made(method: ast.FunctionDef, apart: set[Any]) -> Iterator[tuple[str, bool]]:
    """The texts that a method passes to calls or assigns; True if that is all of a text, False if its beginning."""
    for n in ast.walk(method):
        values: list[ast.expr] = []
        if isinstance(n, ast.Call):
            values = [*n.args, *(k.value for k in n.keywords)]
        elif isinstance(n, ast.Assign):
            values = [n.value]
        for value in values:
            composed = {x for y in ast.walk(value) if isinstance(y, ast.JoinedStr | ast.BinOp) for x in ast.walk(y)}
            for x in ast.walk(value):
                if isinstance(x, ast.Constant) and isinstance(x.value, str) and x not in apart:
                    cut = x.value.replace("%", "{").split("{")[0]
                    yield (x.value, True) if x not in composed and cut == x.value else (cut, False)


def look_at_uses(it: Likeness) -> Iterator[str]:
    """The program does nothing to operands that ours would not see."""
    for n in it.outside:
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr in MUTATORS:
            of = n.func.value
            if isinstance(of, ast.Attribute) and of.attr in ("_prev", "_children", "_local_grads"):
                yield f"{it.at(n)} changes {of.attr} in place; what ours gives is a copy"


LOOKS = (look_at_body, look_at_constructor, look_at_methods, look_at_attributes, look_at_names, look_at_rules,
         look_at_uses, look_at_subclasses, look_at_dictionaries, look_at_lookups)  # fmt: skip


def same_arguments(it: Likeness, method: ast.FunctionDef, name: str) -> bool:
    """Whether calls that fit their method fit ours: as many required, and of the others those that are passed."""
    a = method.args
    if a.vararg or a.kwarg or any(default is None for default in a.kw_defaults):
        return False
    theirs = [p.arg for p in [*a.posonlyargs, *a.args]]
    required = len(theirs) - len(a.defaults)
    if name in TRIALS:
        return required == (1 if name in UNARY else 2)
    ours = list(inspect.signature(getattr(Value, name)).parameters.values())
    if required != sum(p.default is p.empty for p in ours):
        return False
    optional = list(zip(theirs[required:], a.defaults, ours[required:], strict=False))
    if any(constant(default) != p.default for _, default, p in optional):
        return False
    most = required - 1 + len(optional)
    able = len(theirs) - 1  # a call with more is one of something else, such as math.exp
    fit = {n for n, _, p in optional if n == p.name}
    own = {*theirs[required:], *(p.arg for p in a.kwonlyargs)}
    return not any(most < len(n.args) <= able or {k.arg for k in n.keywords} & own - fit for n in it.calls(name))


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


def name_of(n: ast.AST) -> str:
    """The last part of a dotted name."""
    return n.id if isinstance(n, ast.Name) else n.attr if isinstance(n, ast.Attribute) else ""


def is_text(arguments: list[ast.expr], text: str) -> bool:
    return any(isinstance(x, ast.Constant) and x.value == text for x in arguments)
