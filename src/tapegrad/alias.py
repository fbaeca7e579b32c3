"""`import micrograd` meaning ours, in this process, where it would be micrograd 0.1.0 or nothing.

A package `micrograd` of the program's own stays what it is: its class `engine.Value` alone is exchanged, and only after
the trial of `--replace`.
"""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType
    from typing import Any

    from tapegrad.exchange import Exchange
    from tapegrad.sources import Source

__all__ = ["install", "replaced"]

# The names that a star import of micrograd's module gives, and where we have them.
NAMES = {
    "micrograd.engine": ("tapegrad.engine", ["Value"]),
    "micrograd.nn": ("tapegrad.nn", ["random", "Value", "Module", "Neuron", "Layer", "MLP"]),
}
# What `fingerprint` makes of the modules of micrograd 0.1.0, the package index's and GitHub's.
KARPATHYS = {
    "micrograd.engine": "1c9382461703654f07613279d9195c49",
    "micrograd.nn": "4a7af3a2cde672ae958920dd8002404b",
}

# What this process has of ours in place of its own: modules that were imported, classes that were exchanged.
replaced: list[str] = []


class Alias(ModuleType):
    """A module that has another one's names; what is assigned to it, that one sees."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if not name.startswith("__") and self.__name__ in NAMES:
            setattr(sys.modules[NAMES[self.__name__][0]], name, value)


class Finder:
    """Finds `micrograd`, `micrograd.engine` and `micrograd.nn`: the program's own where it has some, else ours."""

    def __init__(self, exchange: Exchange | None, say: Callable[[str], None]) -> None:
        self.exchange: Exchange | None = exchange
        self.say: Callable[[str], None] = say
        self.ours: set[str] | None = None  # the modules that are ours; not decided before micrograd is asked for
        self.notice: str = ""  # to say when the engine is imported

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> Any:
        if name != "micrograd" and name not in NAMES:
            return None
        if name == "micrograd":
            from tapegrad.sources import find_in

            found = find_in(name, path, target)
            if self.ours is None:
                self.ours = set(NAMES) if found is None else self.look_at(found)
            if found and self.exchange:
                self.exchange.apply(found)  # it may be the file that has the class
            return found or spec_of_ours(name)
        if name == "micrograd.engine" and self.notice:
            self.say(self.notice)
            self.notice = ""
        return spec_of_ours(name) if self.ours and name in self.ours else None

    def look_at(self, package: Any) -> set[str]:
        """The modules of the program's own micrograd that ours stand in for; if its Value differs, it is exchanged."""
        from tapegrad.sources import find_in, load, locations

        places = locations(package)
        specs = {name: spec for name in NAMES if places and (spec := find_in(name, places))}
        if package.origin is None and not specs:  # a directory that happens to have that name
            return set(NAMES)
        sources = {name: source for name, spec in specs.items() if (source := load(name, spec))}
        known = {name for name, source in sources.items() if fingerprint(source.tree) == KARPATHYS[name]}
        engine = sources.get("micrograd.engine")
        is_asked = engine and self.exchange and engine.key() in self.exchange.files  # by --replace
        if engine and engine.module in known and not is_asked:
            if "micrograd.nn" in specs and "micrograd.nn" not in known:
                self.notice = (
                    f"{engine.filename}, the text of micrograd 0.1.0, replaced by tapegrad's; "
                    f"{specs['micrograd.nn'].origin} is the program's own"
                )
            return known
        return known - {"micrograd.engine"} if is_asked or self.exchange_value(package, engine) else set()

    def exchange_value(self, package: Any, engine: Source | None) -> bool:
        """Whether the Value of the program's own micrograd is ours from here on; said when the program imports it."""
        from tapegrad.exchange import Exchange, Exchanged
        from tapegrad.replace import RefusalError, Replacement, classes
        from tapegrad.sources import load, resolve

        own = load("micrograd", package) if package.origin else None
        candidates = [source for source in (engine, own) if source]
        places = next((places for source in candidates if (places := resolve(source, "Value"))), [])
        if len(places) != 1:
            listed = "".join(f"; classes of {s.filename}: {classes(s.tree)}" for s in candidates if s.tree.body)
            where = package.origin or ", ".join(package.submodule_search_locations)
            notice = f"{where} is a micrograd of the program's own, and stays: no class Value in its engine{listed}"
            if engine:
                self.notice = notice
            else:
                self.say(notice)
            return False
        ((source, name),) = places
        self.exchange = self.exchange or Exchange()
        if source.key() in self.exchange.files:  # by --replace
            return True
        try:
            replacement = Replacement(source, [name], program())
            tree, notices, is_ours = replacement.tree, replacement.notices, True
        except RefusalError as refusal:
            tree, notices, is_ours = source.tree, [f"{refusal}\nit stays as it is"], False

        def say() -> None:
            for notice in notices:
                self.say(f"a micrograd of the program's own: {notice}")

        self.exchange.add(source.filename, source.module, Exchanged(source.text, tree, say))
        self.exchange.install()
        return is_ours


class Loader:
    """Fills the modules that `Finder` finds."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Alias(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in NAMES:
            from importlib import import_module

            source, names = NAMES[module.__name__]
            ours = vars(import_module(source))
            vars(module).update({name: ours[name] for name in names})
            replaced.append(module.__name__)

    def get_code(self, name: str) -> CodeType | None:
        """What `python -m` asks for."""
        source, names = NAMES.get(name, ("", []))
        return compile(f"from {source} import {', '.join(names)}", "tapegrad", "exec") if names else None


def spec_of_ours(name: str) -> ModuleSpec:
    from importlib.machinery import ModuleSpec

    return ModuleSpec(name, Loader(), origin="tapegrad", is_package=name == "micrograd")  # type: ignore[arg-type]


def program() -> Source | None:
    """The file that is run."""
    from tapegrad.sources import parsed

    filename = getattr(sys.modules.get("__main__"), "__file__", None)
    try:
        with open(filename or "", "rb") as file:
            return parsed("__main__", str(filename), file.read())
    except OSError:
        return None


def fingerprint(tree: ast.Module) -> str:
    """A hash of what a module says, whatever its layout, quotes, comments and docstrings, in any version of Python."""
    from hashlib import sha256

    return sha256(spell(tree).encode()).hexdigest()[:32]


def spell(node: object) -> str:
    """A syntax tree as text: without positions, without docstrings, without the fields that are empty."""
    import ast

    if isinstance(node, list):
        return f"[{','.join(spell(item) for item in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and ast.get_docstring(node, clean=False) is not None
    ):
        fields["body"] = node.body[1:]
    kept = ",".join(f"{name}={spell(field)}" for name, field in fields.items() if field or field in (0, ""))
    return f"{type(node).__name__}({kept})"


def say_on_stderr(notice: str) -> None:
    print(f"tapegrad: {notice}", file=sys.stderr)


def install() -> None:
    """Let `import micrograd`, `micrograd.engine` and `micrograd.nn` mean tapegrad's from here on, in this process.

    Call it before the first import of micrograd: names that a program has bound already stay what they are. A second
    call does nothing. Importing tapegrad never does this by itself, and an installed micrograd stays as it is. Where
    the program would find a micrograd that is not Karpathy's 0.1.0, its modules are imported as they are and only the
    class `micrograd.engine.Value` is replaced, if it computes what ours does; which of it was done is said on stderr.

    >>> import tapegrad
    >>> tapegrad.install()
    >>> from micrograd.engine import Value
    >>> Value is tapegrad.Value
    True
    """
    install_finder(None, say_on_stderr)


def install_finder(exchange: Exchange | None, say: Callable[[str], None]) -> None:
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    for name in [name for name in sys.modules if name == "micrograd" or name.startswith("micrograd.")]:
        del sys.modules[name]
    sys.meta_path.insert(0, Finder(exchange, say))
