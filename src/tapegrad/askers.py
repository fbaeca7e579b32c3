"""Who compares: an operator of Python's, or one of numpy's loops over objects, which lose nan in silence.

`numpy.maximum` of a plain array of objects asks `a >= b` and takes b where that is false, whatever a is; on floats it
gives nan. The instruction that the program is at tells the two apart: an operator is compiled to one of its own, numpy
is called.
"""

from __future__ import annotations

import dis
import os
import sys

from tapegrad.recording import executing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType

__all__ = ["asked_by_numpy"]

OPERATORS = {dis.opmap[name] for name in ("COMPARE_OP", "CONTAINS_OP") if name in dis.opmap}
ORDERING = {"argmax", "argmin", "argpartition", "argsort", "partition", "searchsorted", "sort"}  # methods of arrays

_codes: dict[CodeType, tuple[bytes, bool]] = {}  # of code objects: the instructions, and whether it may order arrays


def asked_by_numpy(op: str, frame: FrameType | None = None) -> bool:
    """Whether it may be numpy that compares two numbers by this operator, in the line that is being executed: in that
    frame, or else in the innermost one that is not of this package.

    For <= and >= it is certain unless a function of C's, as `operator.le`, was called; for < and > numpy's own code, or
    a function that names a method by which arrays are ordered, is executing."""
    frame = executing() if frame is None else frame
    code = frame.f_code
    known = _codes.get(code)
    if known is None:
        numpy = sys.modules.get("numpy")
        inside = numpy is not None and code.co_filename.startswith(os.path.dirname(str(numpy.__file__)) + os.sep)
        known = _codes[code] = code.co_code, inside or not ORDERING.isdisjoint(code.co_names)
        if len(_codes) > 10_000:
            _codes.clear()
    instructions, orders = known
    if instructions[frame.f_lasti] in OPERATORS:
        return False
    return op in ("<=", ">=") or (op in ("<", ">") and orders)
