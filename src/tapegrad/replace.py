"""Our `Value` in place of a class that a program defines: in its syntax tree, line by line where it was."""

from __future__ import annotations

import ast
import os
from itertools import combinations

from tapegrad.likeness import Likeness
from tapegrad.sources import (
    Source,
    beneath,
    definitions,
    elsewhere,
    find,
    is_own,
    named,
    origins,
    own_modules,
    parsed,
    resolve,
    source_of,
    text_of,
)
from tapegrad.standin import clash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import NoReturn

    from tapegrad.sources import Definition

__all__ = ["RefusalError", "Replacement", "classes", "replace_all"]


AGAIN = "\ntapegrad run: "  # between refusals, as before the first of them
WAY_OUT = "without --replace, `tapegrad run` leaves a class of the program's own as it is"


class RefusalError(Exception):
    """Why a class is not replaced, for people to read."""


class Replacement:
    """A file of the program, its tree with ours in place of classes of its own, and what to say of it."""

    def __init__(self, source: Source, names: Iterable[str], main: Source | None = None) -> None:
        """Raises RefusalError if a class, or what the program from `main` on does with it, would not work with ours."""
        self.source: Source = source
        self.tree: ast.Module = source.tree
        self.notices: list[str] = []
        self.alike: list[tuple[Definition, Likeness]] = []
        found = {d.node: d for name in names for d in named(source.tree, name)}
        refusals: list[str] = []
        for d in sorted(found.values(), key=lambda d: d.node.lineno):
            likeness = Likeness(d.node, source.tree, elsewhere(source, d.name, main) if main else {})
            where = f"{source.filename}:{d.node.lineno}: class {d.name}{of_module(source)}"
            later = next((e for e in found.values() if d.is_superseded_by(e)), None)
            reasons = "".join(f"\n  - {reason}" for reason in likeness.differences)
            if reasons and later:
                self.notices.append(
                    f"{where} stays as it is until line {later.node.lineno} defines it anew; "
                    f"it cannot be replaced by tapegrad's Value:{reasons}"
                )
            elif reasons:
                refusals.append(f"{where} cannot be replaced by tapegrad's Value:{reasons}")
            else:
                remarks = "".join(f"\n  note: {remark}" for remark in likeness.remarks)
                self.notices.append(f"{where} replaced by tapegrad's Value\n  seen: {likeness.seen()}{remarks}")
                self.alike.append((d, likeness))
        if refusals:
            raise RefusalError(AGAIN.join(refusals))
        self.notices += self.left(found)
        for d, likeness in self.alike:
            d.block[d.block.index(d.node)] = likeness.stand_in()

    def left(self, found: dict[ast.ClassDef, Definition]) -> Iterator[str]:
        """What to say of classes of the same name in functions that were not asked for."""
        names = {node.name for node in found}
        module = f"{self.source.module}:" if of_module(self.source) else ""
        for d in definitions(self.tree):
            if d.node.name in names and d.node not in found and not d.in_class:
                where = f"{self.source.filename}:{d.node.lineno}: class {d.name}"
                yield f"{where} stays as it is, to replace it too: --replace {module}{d.name}"


def replace_all(main: Source, names: Iterable[str]) -> list[Replacement]:
    """The program's files with ours in place of the classes `names`.

    Line numbers stay, so that tracebacks are those of the files. Raises RefusalError, with all that there is to say, if
    one of the classes is not found or does something that ours would not do.
    """
    refusals: list[str] = []
    wanted: dict[str, tuple[Source, list[str]]] = {}
    for name in dict.fromkeys(names):
        try:
            source, inner = where(main, name)
            wanted.setdefault(source.key(), (source, []))[1].append(inner)
        except RefusalError as refusal:
            refusals.append(str(refusal))
    replacements: list[Replacement] = []
    for source, inners in wanted.values():
        try:
            replacements.append(Replacement(source, inners, main))
        except RefusalError as refusal:
            refusals.append(str(refusal))
    refusals += clashes(replacements)
    if refusals:
        raise RefusalError(f"{AGAIN.join(refusals)}\n{WAY_OUT}\nnothing was run")
    return replacements


def clashes(replacements: list[Replacement]) -> Iterator[str]:
    """Why ours cannot stand in for all of these classes at once, in one process."""
    found = [(r.source, d, likeness) for r in replacements for d, likeness in r.alike]
    kept = {
        (source.filename, d.name): (f"{source.filename}:{d.node.lineno}: class {d.name}", likeness.kept())
        for source, d, likeness in found
    }  # of definitions of one name the last
    for (first, one), (second, other) in combinations(kept.values(), 2):
        what = clash(one, other)
        if what:
            yield f"{first} and {second} {what}, and one Value cannot stand in for both: replace one of them"


def where(main: Source, name: str) -> tuple[Source, str]:
    """The file that defines the class `name`, as --replace takes it, and the class's name there."""
    module, colon, inner = name.rpartition(":")
    if not colon:
        if "." not in name or named(main.tree, name):
            return one_of(name, name, in_program(main, name)) or not_there(main, name)
        module, inner = split(main, name)
    source = of_name(main, module)
    if source:
        return one_of(name, inner, resolve(source, inner)) or not_there(source, inner)
    path = module.replace(".", os.sep)  # the program may extend sys.path itself, as pytest does
    tails = (f"{path}.py", f"{path}{os.sep}__init__.py")
    found = [(place, inner) for tail in tails for place in beneath(os.getcwd(), inner, tail)]
    chosen = one_of(name, inner, found or resolve(main, name))
    if chosen:
        return chosen
    raise RefusalError(
        f"--replace {name}: there is no module {module} with a source on sys.path, nor a file of it beneath "
        f"{os.getcwd()} with a class {inner}; a file can be named: --replace path/to/file.py:{inner}"
        + of_micrograd(module)
    )


def split(main: Source, name: str) -> tuple[str, str]:
    """What of a dotted name is the module and what the class in it: as much as there is a module for."""
    parts = name.split(".")
    splits = [(".".join(parts[:i]), ".".join(parts[i:])) for i in range(len(parts) - 1, 0, -1)]
    for module, inner in splits:
        source = of_name(main, module)
        if source and ("." not in inner or resolve(source, inner)):
            return module, inner
    return splits[0]


def of_name(main: Source, module: str) -> Source | None:
    """The source of a module, or of a file, that --replace names."""
    if module in ("", "__main__"):
        return main
    source = read(module) if module.endswith(".py") else source_of(module)
    spec = None if source else find(module)
    if spec and text_of(spec) is not None:
        raise RefusalError(f"--replace: {spec.origin} is not a program that compiles")
    return main if source and source.key() == main.key() else source


def read(filename: str) -> Source:
    try:
        with open(filename, "rb") as file:
            text = file.read()
    except OSError as error:
        raise RefusalError(f"--replace: {filename} cannot be read: {error}") from None
    source = parsed("", os.path.abspath(filename), text)
    if source is None:
        raise RefusalError(f"--replace: {filename} is not a program that compiles")
    return source


def in_program(main: Source, name: str) -> list[tuple[Source, str]]:
    """The classes of this name: of the file that is run, of those it imports the name from, of those it imports."""
    found = resolve(main, name) or [(source, name) for source in own_modules(main) if named(source.tree, name)]
    if not found and not is_own(main.filename):  # pytest, unittest: what they import is known when they run
        found = [(source, name) for source in beneath(os.getcwd(), name)]
    return found


def one_of(asked: str, name: str, found: list[tuple[Source, str]]) -> tuple[Source, str] | None:
    if len(found) > 1:
        places = [f"{s.filename}:{named(s.tree, inner)[0].node.lineno}" for s, inner in found]
        ways = [f"--replace {s.module or os.path.relpath(s.filename)}:{inner}" for s, inner in found]
        listed = "".join(f"\n  - {place}: {way}" for place, way in zip(places, ways, strict=True))
        raise RefusalError(f"--replace {asked}: there are several classes {name}; say which:{listed}")
    return found[0] if found else None


def not_there(source: Source, name: str) -> NoReturn:
    missing = [module for module, _ in origins(source, name) if source_of(module) is None]
    words = f"{source.filename}: no class {name}{of_module(source)}; classes found: {classes(source.tree)}"
    if missing:
        spec = find(missing[0])
        why = "which does not compile" if spec and text_of(spec) is not None else "of which there is no source"
        words += f"; it imports it from {missing[0]}, {why}{of_micrograd(missing[0])}"
    for other in beneath(os.path.dirname(source.filename), name)[:5]:
        words += f"\n  there is one in another file: --replace {os.path.relpath(other.filename)}:{name}"
    raise RefusalError(words)


def of_micrograd(module: str) -> str:
    is_it = module.partition(".")[0] == "micrograd"
    return "; a micrograd that is not installed means tapegrad's without --replace" if is_it else ""


def of_module(source: Source) -> str:
    return "" if source.module in ("", "__main__") else f" (module {source.module})"


def classes(tree: ast.Module) -> str:
    """The classes of a program, in words; those in a function or a class are named with it."""
    return ", ".join(f"{d.name} (line {d.node.lineno})" for d in definitions(tree)) or "none"
