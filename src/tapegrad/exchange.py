"""Modules imported with other code than their files have: an import hook, and nothing of it is written to disk."""

from __future__ import annotations

import ast
import os
import sys
import threading
from copy import deepcopy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, ModuleType
    from typing import Any

__all__ = ["Exchange", "Exchanged"]


class Exchanged:
    """What a file's text was when it was looked at, the tree to run in its place, and whether that has been done."""

    def __init__(self, text: bytes, tree: ast.Module, when_used: Callable[[], None] | None = None) -> None:
        self.text: bytes = text
        self.tree: ast.Module = tree
        self.when_used: Callable[[], None] | None = when_used
        self.is_used: bool = False

    def use(self, filename: str, finish: Callable[[ast.Module], None] | None = None) -> CodeType:
        """The code to run as `filename`, made of a copy of the tree that `finish` has worked on."""
        if self.when_used and not self.is_used:
            self.when_used()
        self.is_used = True
        ast.parse(self.text, filename)  # for its warnings
        tree = deepcopy(self.tree) if finish else self.tree
        if finish:
            finish(tree)
        return compile(tree, filename, "exec", dont_inherit=True)


class Exchange:
    """Stands before the other finders and gives the modules that they find in certain files other code.

    It goes by the file, not by the name that this is imported by, which depends on sys.path. Each module keeps the
    loader, the file and the line numbers that it would have.
    """

    def __init__(self) -> None:
        self.files: dict[str, Exchanged] = {}
        self.names: set[str] = set()
        self.finding: set[tuple[int, str]] = set()

    def add(self, filename: str, module: str, exchanged: Exchanged) -> None:
        """Have a file run as `exchanged` says; `module` is a name that it may be imported by, if one is known."""
        path = os.path.realpath(filename)
        stem = os.path.splitext(os.path.basename(path))[0]
        self.files[path] = exchanged
        self.names.add(os.path.basename(os.path.dirname(path)) if stem == "__init__" else stem)
        self.names.add(module.rpartition(".")[2])

    def install(self) -> None:
        """Stand first, before finders that the program has put in front since, such as pytest's."""
        if sys.meta_path[:1] != [self]:
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            sys.meta_path.insert(0, self)
        stand_before_pytest(self)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> Any:
        if self in sys.meta_path:
            self.install()
        mark = (threading.get_ident(), name)
        if name.rpartition(".")[2] not in self.names or mark in self.finding:
            return None
        self.finding.add(mark)
        try:
            spec = self.find_by_others(name, path, target)
        finally:
            self.finding.discard(mark)
        return spec if spec and self.apply(spec) else None

    def find_by_others(self, name: str, path: Sequence[str] | None, target: object) -> Any:
        for finder in list(sys.meta_path):
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)  # type: ignore[arg-type]
                if spec is not None:
                    return spec
        return None

    def apply(self, spec: Any) -> bool:
        """Give the spec's loader the other code if it is for one of the files; not if that is no longer what it was."""
        exchanged = self.files.get(os.path.realpath(spec.origin)) if spec.origin else None
        loader = spec.loader
        if exchanged is None:
            return False
        if type(loader).__module__ == "_pytest.assertion.rewrite":
            spec.loader = Asserting(loader, exchanged)
            return True
        if not hasattr(loader, "get_code") or loader.get_data(spec.origin) != exchanged.text:
            return False
        as_it_is = loader.get_code  # the loader of an archive has many modules

        def get_code(name: str) -> CodeType:
            code: CodeType = exchanged.use(spec.origin) if name == spec.name else as_it_is(name)
            return code

        loader.get_code = get_code
        return True


class Asserting:
    """pytest's loader for a file whose assertions it rewrites, with the other code: rewritten too, and kept nowhere."""

    def __init__(self, hook: Any, exchanged: Exchanged) -> None:
        self.hook: Any = hook
        self.exchanged: Exchanged = exchanged

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hook, name)

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        from _pytest.assertion import rewrite

        filename, text = str(module.__file__), self.exchanged.text
        code = self.exchanged.use(
            filename, lambda tree: rewrite.rewrite_asserts(tree, text, filename, self.hook.config)
        )
        exec(code, vars(module))


def stand_before_pytest(exchange: Exchange) -> None:
    """Let pytest's hook, which puts itself first and answers for test files, ask this one before it looks itself."""
    hook: Any = getattr(sys.modules.get("_pytest.assertion.rewrite"), "AssertionRewritingHook", None)
    if hook is None or getattr(hook.find_spec, "exchange", None) is exchange:
        return
    find_spec = hook.find_spec

    def ask_first(self: Any, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        return exchange.find_spec(name, path, target) or find_spec(self, name, path, target)

    ask_first.exchange = exchange  # type: ignore[attr-defined]
    hook.find_spec = ask_first
