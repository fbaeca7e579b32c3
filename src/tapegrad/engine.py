"""The module path that programs written for micrograd import `Value` from; also the place where the core is chosen."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tapegrad.value import Value, dot, prod, sum
elif os.environ.get("TAPEGRAD_PURE", "") not in ("", "0"):
    from tapegrad.reference import Value, dot, prod, sum
else:
    try:
        from tapegrad.value import Value, dot, prod, sum
    except ModuleNotFoundError as error:
        if error.name not in ("tapegrad.value", "tapegrad.tape"):
            raise
        raise ImportError(
            "tapegrad's compiled core is missing. Build it with `pip install .` in a checkout (this needs a C "
            "compiler), or set TAPEGRAD_PURE=1 to run the slow pure-Python reference instead.",
            name=error.name,
        ) from error

__all__ = ["Value", "dot", "prod", "sum"]
