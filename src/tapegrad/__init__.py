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
from tapegrad.functions import *

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tapegrad.alias import install

__all__ = ["Value", "install"]
__all__ += _functions.__all__


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("tapegrad")
    if name == "install":
        from tapegrad.alias import install

        return install
    if name == "nn":
        from importlib import import_module

        return import_module("tapegrad.nn")
    raise AttributeError(f"module 'tapegrad' has no attribute {name!r}")
