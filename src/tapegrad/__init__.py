"""tapegrad: scalar automatic differentiation with a compiled tape.

>>> from tapegrad import Value
>>> x = Value(2.0)
>>> y = x * x + 3.0
>>> y.backward()
>>> x.grad
4.0
"""

from tapegrad import functions as _functions
from tapegrad.engine import Value
from tapegrad.functions import *  # pyright: ignore[reportWildcardImportFromLibrary]  (the library is this one)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tapegrad import losses as losses
    from tapegrad import nn as nn
    from tapegrad import optim as optim
    from tapegrad import plots as plots
    from tapegrad.alias import install
    from tapegrad.batch import vmap
    from tapegrad.check import check_grad
    from tapegrad.containers import register_container
    from tapegrad.drawing import draw, draw_dot
    from tapegrad.explanation import explain
    from tapegrad.fitting import fit
    from tapegrad.program import Program, load, show_config
    from tapegrad.transforms import grad, hessian, hvp, jacobian, jvp, record, value_and_grad, vjp

    __version__: str

__all__ = [
    "Program",
    "Value",
    "check_grad",
    "draw",
    "draw_dot",
    "explain",
    "fit",
    "grad",
    "hessian",
    "hvp",
    "install",
    "jacobian",
    "jvp",
    "load",
    "record",
    "register_container",
    "show_config",
    "value_and_grad",
    "vjp",
    "vmap",
]
__all__ += _functions.__all__

# imported when first asked for, so that importing the package stays quick; a module must not be called as its function
# is, or importing it would hide the function
_LATER = {
    "alias": ("install",),
    "batch": ("vmap",),
    "check": ("check_grad",),
    "containers": ("register_container",),
    "drawing": ("draw", "draw_dot"),
    "explanation": ("explain",),
    "fitting": ("fit",),
    "program": ("Program", "load", "show_config"),
    "transforms": ("grad", "hessian", "hvp", "jacobian", "jvp", "record", "value_and_grad", "vjp"),
}

if not TYPE_CHECKING:  # a checker knows the names from above, and reports any other

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("tapegrad")
        if name in ("losses", "nn", "optim", "plots"):
            from importlib import import_module

            return import_module(f"tapegrad.{name}")
        for module, names in _LATER.items():
            if name in names:
                from importlib import import_module

                found = getattr(import_module(f"tapegrad.{module}"), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module 'tapegrad' has no attribute {name!r}")
