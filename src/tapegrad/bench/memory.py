"""Bytes per node, by the growth of the resident set of a process of its own.

As a script (`python -m tapegrad.bench.memory MODULE HELD NODES`) it builds one chain of NODES operations and prints
the bytes a node that the process has grown by: after the build, and at the peak of the backward sweep after it.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tapegrad.bench.backends import Skip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapegrad.bench.report import MemoryRow, Progress
    from tapegrad.bench.workloads import Plan

STATUS = Path("/proc/self/status")


def resident(field: str) -> int:
    """VmRSS, the resident set, or VmHWM, its peak so far, in bytes."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{STATUS} has no line {field}")


def build(module: str, held: bool, nodes: int) -> tuple[float, float]:
    """Bytes a node after building a chain, all its Values held or only the last, and at the peak of backward."""
    value = import_module(module).Value
    a, b, x = value(0.999), value(0.01), value(0.5)
    handles: list[object] = [None] * nodes  # the list itself is not counted
    before = resident("VmRSS")
    if held:
        for i in range(0, nodes, 2):
            handles[i] = y = x * a
            handles[i + 1] = x = y + b
        del y
    else:
        for _ in range(0, nodes, 2):
            x = x * a + b
    built = resident("VmRSS")
    x.backward()
    return (built - before) / nodes, (max(resident("VmHWM"), built) - before) / nodes


def in_a_process(module: str, held: bool, nodes: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "tapegrad.bench.memory", module, str(int(held)), str(nodes)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()}")
    built, peak = done.stdout.split()
    return float(built), float(peak)


def per_node(plan: Plan, progress: Progress) -> Iterator[MemoryRow | str]:
    from tapegrad.bench.report import MemoryRow

    if not STATUS.exists():
        raise Skip("memory needs /proc/self/status, which this system does not have")
    yield f"A chain of {plan.sizes.memory:,} operations. In the reference a node is a Python object, held or not."
    for title, held in [("only the result held", False), ("every Value held", True)]:
        base = in_a_process("tapegrad.reference", held, plan.sizes.memory)
        progress.tick()
        ours = in_a_process("tapegrad.value", held, plan.sizes.memory)
        progress.tick()
        yield MemoryRow(f"{title}, built", base[0], ours[0])
        yield MemoryRow(f"{title}, peak of backward", base[1], ours[1])


if __name__ == "__main__":
    print(*build(sys.argv[1], bool(int(sys.argv[2])), int(sys.argv[3])))
