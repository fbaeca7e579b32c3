"""Which operation of a recorded function produced the first nan or inf, and on which line."""

from __future__ import annotations

import bisect
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from tapegrad.program import OPERATIONS
from tapegrad.recording import HERE, caller

if TYPE_CHECKING:
    from types import FrameType

    from tapegrad.programs import Family
    from tapegrad.recorder import Recorder

__all__ = ["Lines", "report"]

NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep


class Lines:
    """Notes during a recording which node of the tape was the first to be made on a line of the program.

    Python's trace function tells when a line begins; what has been traced before, by a debugger or a coverage tool, is
    not while this lasts.
    """

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.lines: list[tuple[str, int]] = []

    def start(self, recorder: Recorder) -> None:
        self.before: Any = sys.gettrace()
        self.note(*caller())
        sys.settrace(self.trace)

    def stop(self) -> None:
        sys.settrace(self.before)

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:
        file = frame.f_code.co_filename
        if file.startswith((HERE, NUMPY)):
            return None
        if event == "line" or event == "call":
            self.note(file, frame.f_lineno)
        elif (
            event == "return"
            and frame.f_back is not None
            and not frame.f_back.f_code.co_filename.startswith((HERE, NUMPY))
        ):
            self.note(frame.f_back.f_code.co_filename, frame.f_back.f_lineno)
        return self.trace

    def note(self, file: str, number: int) -> None:
        from tapegrad.tape import tape

        self.starts.append(len(tape) + 1)
        self.lines.append((file, number))

    def of(self, node: int) -> str:
        k = bisect.bisect_right(self.starts, node) - 1
        if k < 0:
            return "an unknown line"
        file, number = self.lines[k]
        return f"{file}:{number}"


def report(family: Family, x: Any, sample: int | None = None) -> str:
    """Record the function at x once more, noting its lines, and say where the first nan or inf comes from."""
    lines = Lines()
    entry = family.record(x, lines)
    graph = entry.graph
    inputs = entry.numbers(x)
    values = np.array(graph.evaluate(inputs))
    used = graph.used(entry.nodes)
    where = "" if sample is None else f" at sample {sample}"
    for node in range(graph.size):
        op, operands = graph.operation(node)
        if np.isfinite(values[node]) or not used[node]:
            continue
        if not operands:
            if op == 1:
                return f"{family.name}{where}: an argument is {values[node]}"
            continue
        if all(np.isfinite(values[k]) for k in operands):
            shown = ", ".join([repr(float(values[k])) for k in operands])
            of = "" if node < entry.recorded else "the derivative of "
            return (
                f"{family.name}{where}: {of}the operation on {lines.of(graph.origins[node])} gives {values[node]}: "
                f"{OPERATIONS[op]}({shown})"
            )
    return f"{family.name}{where}: a result is nan or inf, though no operation makes one of finite numbers"
