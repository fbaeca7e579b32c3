"""Where the classes of a program are: its files are found and read as an import would, and nothing of them is run."""

from __future__ import annotations

import ast
import os
import sys
import warnings
from typing import NamedTuple

from tapegrad.sourcefile import compiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = [
    "Definition",
    "Source",
    "beneath",
    "definitions",
    "elsewhere",
    "find",
    "find_in",
    "is_own",
    "load",
    "locations",
    "named",
    "origins",
    "own_modules",
    "parsed",
    "resolve",
    "source_of",
    "text_of",
]

SKIPPED = {"__pycache__", "build", "dist", "node_modules", "site-packages", "dist-packages"}
ENOUGH = 5_000  # Python files that are looked through for a class before one gives up


class Source:
    """A file of a program, its text and its tree; the module that it is, if known, and the package that this is in."""

    def __init__(self, module: str, filename: str, text: bytes, package: str) -> None:
        self.module: str = module
        self.filename: str = filename
        self.text: bytes = text
        self.package: str = package
        self.tree: ast.Module = ast.parse(text, filename)

    def key(self) -> str:
        """The file itself, whatever links lead to it."""
        return os.path.realpath(self.filename)


class Definition(NamedTuple):
    """A class statement, the list of statements that it stands in, and its place in the program.

    path     the names of the classes and functions around it, and its own
    blocks   the lists of statements around it in its scope, each by its id, its own being the last
    in_class whether it stands in the body of a class
    """

    node: ast.ClassDef
    block: list[ast.stmt]
    path: tuple[str, ...]
    blocks: tuple[int, ...]
    in_class: bool

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def is_superseded_by(self, other: Definition) -> bool:
        """Whether `other` takes its name in the same scope, later and whatever happens in between."""
        later = other.node.lineno > self.node.lineno
        return later and other.path == self.path and other.blocks[-1] in self.blocks


def definitions(tree: ast.Module) -> Iterator[Definition]:
    """Every class of a program, those in functions, classes and other blocks too, in the order of their lines."""
    yield from walk(tree.body, (), (), False)


def walk(block: list[ast.stmt], path: tuple[str, ...], blocks: tuple[int, ...], in_class: bool) -> Iterator[Definition]:
    blocks = (*blocks, id(block))
    for node in block:
        if isinstance(node, ast.ClassDef):
            yield Definition(node, block, (*path, node.name), blocks, in_class)
            yield from walk(node.body, (*path, node.name), (), True)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from walk(node.body, (*path, node.name), (), False)
        else:
            for inner in inner_blocks(node):
                yield from walk(inner, path, blocks, in_class)


def inner_blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The lists of statements in an if, a loop, a with, a try or a match."""
    for field in ("body", "orelse", "finalbody"):
        inner: list[ast.stmt] | None = getattr(node, field, None)
        if inner:
            yield inner
    if isinstance(node, ast.Try | ast.TryStar):
        yield from (handler.body for handler in node.handlers)
    if isinstance(node, ast.Match):
        yield from (case.body for case in node.cases)


def named(tree: ast.Module, name: str) -> list[Definition]:
    """The definitions that `name` means: Class, Outer.Class or function.Class.

    A name without a dot means those at module level, in an `if` or `try` too; without any, those in functions; without
    any, those in classes.
    """
    path = tuple(part for part in name.split(".") if part != "<locals>")
    found = [d for d in definitions(tree) if d.path[-1] == path[-1]]
    if len(path) > 1:
        return [d for d in found if d.path == path]
    return [d for d in found if len(d.path) == 1] or [d for d in found if not d.in_class] or found


def find(module: str) -> Any:
    """The spec of the module that an import would find now, without importing the packages that it is in; or None."""
    parent = module.rpartition(".")[0]
    path = None
    if parent:
        spec = find(parent)
        if spec is None or spec.submodule_search_locations is None:
            return None
        path = locations(spec)
    return find_in(module, path)


def find_in(module: str, path: Sequence[str] | None, target: object = None) -> Any:
    """What the finders other than tapegrad's find of a module; for a submodule `path` is its package's."""
    for finder in list(sys.meta_path):
        kind = finder if isinstance(finder, type) else type(finder)
        if not kind.__module__.startswith("tapegrad.") and hasattr(finder, "find_spec"):
            spec = finder.find_spec(module, path, target)  # type: ignore[arg-type]
            if spec is not None:
                return spec
    return None


def locations(spec: Any) -> list[str]:
    """Where a package's modules are looked for."""
    places = spec.submodule_search_locations or []
    try:
        return list(places)
    except KeyError:  # a directory without __init__.py, in a package that is not imported yet, cannot be looked up
        return list(getattr(places, "_path", []))


def text_of(spec: Any) -> bytes | None:
    """The text of a module that was found, None if there is none."""
    if not (spec.has_location and spec.origin.endswith(".py") and hasattr(spec.loader, "get_data")):
        return None
    try:
        text: bytes = spec.loader.get_data(spec.origin)
    except OSError:
        return None
    return text


def load(module: str, spec: Any) -> Source | None:
    """The source of a module that was found; None if there is none or it is not a Python program."""
    text = text_of(spec)
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    return None if text is None else parsed(module, spec.origin, text, package)


def parsed(module: str, filename: str, text: bytes, package: str = "") -> Source | None:
    """The source of a text, without the warnings that come when it is run; None if it does not compile."""
    if not compiles(text, filename):
        return None
    with warnings.catch_warnings(action="ignore"):
        return Source(module, filename, text, package)


def source_of(module: str) -> Source | None:
    """The source of the module that an import would find."""
    spec = find(module) if module else None
    return spec and load(module, spec)


def resolve(source: Source, name: str, seen: set[tuple[str, str]] | None = None) -> list[tuple[Source, str]]:
    """Where the class that a module knows by this name is defined: in it, or where it imports it from; each once."""
    seen = set() if seen is None else seen
    if (source.filename, name) in seen:
        return []
    seen.add((source.filename, name))
    if named(source.tree, name):
        return [(source, name)]
    found: dict[tuple[str, str], tuple[Source, str]] = {}
    for module, inner in dict.fromkeys(origins(source, name)):
        there = source_of(module)
        for place, known_as in resolve(there, inner, seen) if there else []:
            found.setdefault((place.key(), known_as), (place, known_as))
    return list(found.values())


def origins(source: Source, name: str) -> Iterator[tuple[str, str]]:
    """The modules that a name may come from by the program's import statements, and what it is called there."""
    head, dot, rest = name.partition(".")
    last = name.rpartition(".")[2]
    reached = {ast.unparse(n.value) for n in ast.walk(source.tree) if isinstance(n, ast.Attribute) and n.attr == last}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom):
            module = absolute(node, source)
            for alias in node.names:
                known_as = alias.asname or alias.name
                if alias.name == "*":
                    spec = find(module)  # a large library has very many names
                    if spec and is_own(spec.origin):
                        yield module, name
                elif known_as == head:
                    yield module, alias.name + dot + rest
                if known_as == head and rest:
                    yield f"{module}.{alias.name}", rest
                elif known_as in reached and not rest:
                    yield f"{module}.{alias.name}", name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                known_as = alias.asname or alias.name
                if known_as == name.rpartition(".")[0] or (known_as in reached and not rest):
                    yield alias.name, last


def absolute(node: ast.ImportFrom, source: Source) -> str:
    """The full name of the module that a `from` names."""
    if not node.level:
        return node.module or ""
    package = source.package.split(".")
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def own_modules(main: Source) -> Iterator[Source]:
    """The program's own files that `main` imports, or that they import: neither Python's nor installed ones."""
    waiting, seen = [main], {main.key()}
    while waiting:
        source = waiting.pop(0)
        for module in dict.fromkeys(imported(source)):
            spec = find(module)
            if spec is None or not is_own(spec.origin) or os.path.realpath(spec.origin) in seen:
                continue
            seen.add(os.path.realpath(spec.origin))
            there = load(module, spec)
            if there:
                yield there
                waiting.append(there)


def imported(source: Source) -> Iterator[str]:
    """The modules that a program names in its import statements, the packages that they are in first."""
    for node in ast.walk(source.tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = absolute(node, source)
            names = [module, *(f"{module}.{alias.name}" for alias in node.names if alias.name != "*")]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:i]) for i in range(1, len(parts) + 1) if all(parts))


def elsewhere(source: Source, name: str, main: Source) -> dict[str, ast.Module]:
    """The program's files apart from `source`, by their names, for what they do with its class `name`.

    In their trees the class is called what it is called in its own file, and no other class is.
    """
    if is_own(main.filename):
        again = parsed(main.module, main.filename, main.text, main.package)  # its tree stays as it is
        own = [*filter(None, [again]), *own_modules(main)]
    else:
        path = os.path.relpath(source.filename).removesuffix(".py").removesuffix(f"{os.sep}__init__")
        parts = {*path.split(os.sep)}  # of the modules' names, wherever sys.path begins
        found = beneath(os.getcwd(), name, is_defined=False)
        own = [s for s in found if any(parts & {*module.split("."), *names} for module, names in imports(s))]
    others = {other.key(): other for other in own if other.key() != source.key()}
    return {other.filename: Renaming(other, source, name).visit(other.tree) for other in others.values()}


class Renaming(ast.NodeTransformer):
    """Changes the tree of a file: what `other` knows the class `name` of `source` by becomes the class's own name."""

    def __init__(self, other: Source, source: Source, name: str) -> None:
        self.other: Source = other
        self.place: tuple[str, str] = (source.key(), name)
        self.name: str = name.rpartition(".")[2]
        self.known: dict[str, str | None] = {}
        self.possible: set[str] = set()  # names that are imported, but not from elsewhere
        self.foreign: set[str] = set()
        top = source.module.partition(".")[0]
        for module, names in imports(other):
            spec = find(module.partition(".")[0])
            is_foreign = spec is not None and not is_own(spec.origin) and module.partition(".")[0] != top
            (self.foreign if is_foreign else self.possible).update(names)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        name = self.name_of(node.id)
        return node if name is None else ast.copy_location(ast.Name(name, node.ctx), node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        name = self.name_of(ast.unparse(node)) if node.attr == self.name else None
        if name is not None:
            return ast.copy_location(ast.Name(name, node.ctx), node)
        node.value = self.visit(node.value)
        return node

    def name_of(self, words: str) -> str | None:
        """The class's own name where it is meant, another one where another class is; None if `words` is neither."""
        if words not in self.known:
            self.known[words] = self.meant(words)
        return self.known[words]

    def meant(self, words: str) -> str | None:
        head, _, attribute = words.partition(".")
        is_imported = head in self.possible or (not attribute and "*" in self.possible)
        places = resolve(self.other, words) if is_imported else []
        if any((place.key(), inner) == self.place for place, inner in places):
            return self.name
        is_another = bool(places) or head in self.foreign or (not attribute and not is_imported)
        return f"another {words}" if is_another and words.rpartition(".")[2] == self.name else None


def imports(source: Source) -> Iterator[tuple[str, list[str]]]:
    """The modules that a program's import statements name, and the names that it has of each."""
    for n in ast.walk(source.tree):
        if isinstance(n, ast.Import):
            yield from ((alias.name, [alias.asname or alias.name.partition(".")[0]]) for alias in n.names)
        elif isinstance(n, ast.ImportFrom):
            yield absolute(n, source), [alias.asname or alias.name for alias in n.names]


def is_own(filename: str | None) -> bool:
    """Whether a file is the program's: neither of Python's library, nor installed with a package, nor tapegrad's."""
    if not filename or not filename.endswith(".py"):
        return False
    path = os.path.realpath(filename)
    not_own = tuple(os.path.dirname(os.path.realpath(file)) + os.sep for file in (os.__file__, __file__))
    return not (path.startswith(not_own) or {"site-packages", "dist-packages"} & set(path.split(os.sep)))


def beneath(directory: str, name: str, tail: str = "", is_defined: bool = True) -> list[Source]:
    """The files in a directory, at any depth, that define a class or only have its name; `tail` is how they end."""
    found: list[Source] = []
    files = 0
    word = name.rpartition(".")[2].encode()
    for place, folders, filenames in os.walk(directory):
        folders[:] = sorted(
            f for f in folders
            if f not in SKIPPED and not f.startswith(".") and not os.path.exists(os.path.join(place, f, "pyvenv.cfg"))
        )  # fmt: skip
        for filename in sorted(f for f in filenames if f.endswith(".py")):
            path = os.path.join(place, filename)
            files += 1
            if files > ENOUGH:
                return found
            if not path.endswith(os.sep + tail if tail else ""):
                continue
            try:
                with open(path, "rb") as file:
                    text = file.read()
            except OSError:
                continue
            source = parsed("", path, text) if word in text else None
            if source and (not is_defined or named(source.tree, name)):
                found.append(source)
    return found
