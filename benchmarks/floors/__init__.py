"""The physical limits of the machine, measured in the same run, without anything of tapegrad.

limits      what is measured: the interpreter loop, memory, vector mathematics, chains of operations; a few seconds
compiled    `floors.c` and `objects.c`, which are compiled when they are needed, into a directory that goes again

What follows from the limits for a program is in `tapegrad.bench.distances`.
"""

from tapegrad.bench.floors.limits import Limits, measure

__all__ = ["Limits", "measure"]
