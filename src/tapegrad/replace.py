"""Our `Value` in place of a class that a program defines: in its syntax tree, line by line where it was."""

from __future__ import annotations

import ast
from importlib.util import find_spec

from tapegrad.likeness import Likeness, clashes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["RefusalError", "find_source", "replace"]


class RefusalError(Exception):
    """Why a class is not replaced, for people to read."""


def replace(source: bytes, filename: str, names: Iterable[str]) -> tuple[ast.Module, list[str]]:
    """The tree of `source` with every module-level class of these names imported from us, and what to say of it.

    Line numbers stay, so that tracebacks are those of the file. Raises RefusalError if one of the classes is not there
    or does something that ours would not do, and SyntaxError as `compile` does.
    """
    tree = ast.parse(source, filename)
    notices: list[str] = []
    refusals: list[str] = []
    body = list(tree.body)
    alike: list[Likeness] = []
    for name in dict.fromkeys(names):
        found = [i for i, node in enumerate(tree.body) if isinstance(node, ast.ClassDef) and node.name == name]
        if not found:
            refusals.append(f"{filename}: no class {name} at module level; classes found: {classes(tree)}")
        for i in found:
            node = tree.body[i]
            assert isinstance(node, ast.ClassDef)
            likeness = Likeness(node, tree)
            where = f"{filename}:{node.lineno}: class {name}"
            if likeness.differences:
                reasons = "".join(f"\n  - {reason}" for reason in likeness.differences)
                refusals.append(f"{where} cannot be replaced by tapegrad's Value:{reasons}")
            else:
                remarks = "".join(f"\n  note: {remark}" for remark in likeness.remarks)
                notices.append(f"{where} replaced by tapegrad's Value\n  seen: {likeness.seen()}{remarks}")
                alike.append(likeness)
                body[i] = likeness.stand_in()
    refusals += clashes(alike)
    if refusals:
        raise RefusalError("\n".join(refusals) + "\nnothing was run")
    tree.body = body
    return tree, notices


def classes(tree: ast.Module) -> str:
    """The classes of a program, in words; those that are not at module level are said to be inside something."""
    found = sorted((n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)), key=lambda n: n.lineno)
    inside = {n for n in found if n not in tree.body}
    words = [f"{n.name} (line {n.lineno}{', inside another block' if n in inside else ''})" for n in found]
    return ", ".join(words) or "none"


def find_source(module: str) -> tuple[Any, bytes]:
    """The spec that `python -m module` would run, a package's being its `__main__`, and its source."""
    spec: Any = find_spec(module)
    if spec is not None and spec.submodule_search_locations is not None:
        module += ".__main__"
        spec = find_spec(module)
    if spec is None:
        raise ImportError(f"No module named {module}")
    if not (spec.has_location and spec.origin.endswith(".py") and hasattr(spec.loader, "get_data")):
        raise ImportError(f"--replace needs the source of {module}, and there is none")
    return spec, spec.loader.get_data(spec.origin)
