"""`import micrograd` meaning ours, in this process and only where it was asked for."""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec

__all__ = ["install", "replaced"]

# The names that a star import of micrograd's module gives, and where we have them.
NAMES = {
    "micrograd.engine": ("tapegrad.engine", ["Value"]),
    "micrograd.nn": ("tapegrad.nn", ["random", "Value", "Module", "Neuron", "Layer", "MLP"]),
}

# What this process has got of ours in place of its own: modules that were imported, classes that were exchanged.
replaced: list[str] = []


class Alias(ModuleType):
    """A module that has another one's names; what is assigned to it, that one sees."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if not name.startswith("__") and self.__name__ in NAMES:
            setattr(sys.modules[NAMES[self.__name__][0]], name, value)


class Finder:
    """Finds `micrograd`, `micrograd.engine` and `micrograd.nn` here, before any that is installed."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if name != "micrograd" and name not in NAMES:
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, Loader(), origin="tapegrad", is_package=name == "micrograd")  # type: ignore[arg-type]


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


def install() -> None:
    """Let `import micrograd`, `micrograd.engine` and `micrograd.nn` mean tapegrad's from here on, in this process.

    Call it before the first import of micrograd: names that a program has bound already stay what they are. A second
    call does nothing. Importing tapegrad never does this by itself, and an installed micrograd stays as it is.

    >>> import tapegrad
    >>> tapegrad.install()
    >>> from micrograd.engine import Value
    >>> Value is tapegrad.Value
    True
    """
    if Finder in sys.meta_path:
        return
    for name in [name for name in sys.modules if name == "micrograd" or name.startswith("micrograd.")]:
        del sys.modules[name]
    sys.meta_path.insert(0, Finder)
