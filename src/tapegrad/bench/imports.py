"""What importing the package takes, next to a module of the standard library: each in fresh processes, in turn."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapegrad.bench.report import Progress
    from tapegrad.bench.workloads import Plan

CODE = "from time import perf_counter; start = perf_counter(); import {}; print(perf_counter() - start)"


@dataclass
class ImportTimes:
    """Seconds of `import`, the smallest of some processes each."""

    module: str
    other: str
    seconds: float
    other_seconds: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.other_seconds

    def __str__(self) -> str:
        return (
            f"import {self.module}: {self.seconds * 1e3:.1f} ms, {self.ratio:.2f} times as long as import {self.other}"
        )


def once(module: str) -> float:
    """Seconds that one fresh process needs to import the module."""
    environment = {name: x for name, x in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(module)], capture_output=True, text=True, check=True, env=environment
    )
    return float(done.stdout)


def import_times(module: str = "tapegrad", other: str = "json", processes: int = 20) -> ImportTimes:
    """The times of both; a first process of each, which may have to compile the source, is not counted."""
    once(module), once(other)
    pairs = [(once(module), once(other)) for _ in range(processes)]
    return ImportTimes(module, other, min(ours for ours, _ in pairs), min(theirs for _, theirs in pairs))


def imports(plan: Plan, progress: Progress) -> Iterator[ImportTimes]:
    yield import_times(processes=plan.pace.enough)
    progress.tick()
