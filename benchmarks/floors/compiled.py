"""The loops of `floors.c` and the objects of `objects.c`, compiled by the machine's own C compiler."""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
import shlex
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).parent
FLAGS = ["-O3", "-falign-loops=64", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"]
NUMBERS = 512  # of each operand: three of them fit into a first cache of 16 KiB
ENOUGH = 1e-3  # seconds of a sample
SAMPLES = 7


class NoCompiler(Exception):  # noqa: N818 - no error
    """There is nothing here that compiles C, or what there is cannot compile this; the message says what it said."""


def compiler() -> list[str]:
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def instructions() -> list[str]:
    """The options for what wheels of tapegrad may use on this processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return [f"-m{name}" for name in ("avx2", "fma") if name in flags]


def build(source: str, *options: str) -> Path:
    """The compiled file, in a directory of its own that the caller deletes; NoCompiler if there is none."""
    directory = Path(tempfile.mkdtemp(prefix="tapegrad-floors-"))
    target = directory / f"{Path(source).stem}{sysconfig.get_config_var('EXT_SUFFIX') or '.so'}"
    command = [*compiler(), *FLAGS, *options[:-1], str(HERE / source), "-o", str(target), *shlex.split(options[-1])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        forget(target)
        raise NoCompiler(f"{command[0]}: {error}") from error
    if done.returncode:
        forget(target)
        raise NoCompiler(f"{command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[0]}")
    return target


def forget(target: Path) -> None:
    """Delete a compiled file and its directory. What is loaded stays loaded, where the system lets it be deleted."""
    try:
        target.unlink(missing_ok=True)
        target.parent.rmdir()
    except OSError:
        return


class Loops:
    """The loops of `floors.c`, by name."""

    def __init__(self) -> None:
        options = instructions()
        try:
            target = build("floors.c", *options, "-DWITH_LIBMVEC", "-Wl,--no-as-needed -lmvec -lm")
        except NoCompiler:
            target = build("floors.c", *options, "-lm")
        try:
            self.library = ctypes.CDLL(str(target))
        except OSError as error:
            raise NoCompiler(str(error)) from error
        finally:
            forget(target)
        pointer = ctypes.c_void_p
        self.library.floors_run.argtypes = [ctypes.c_char_p, *[pointer] * 4, ctypes.c_size_t, ctypes.c_size_t]
        self.library.floors_run.restype = None
        self.lanes = int(self.library.floors_lanes())

    def has(self, name: str) -> bool:
        return bool(self.library.floors_has(name.encode()))

    def run(self, name: str, arrays: Any, times: int) -> float:
        """Seconds of so many runs over four arrays (the result's, as many operands' as the loop has, others unused), of
        as many numbers as the first operand has, a multiple of 64. Other Python threads go on meanwhile."""
        at = [array.ctypes.data for array in arrays]
        count, label = len(arrays[1]), name.encode()
        start = perf_counter()
        self.library.floors_run(label, *at, count, times)
        return perf_counter() - start

    def least(self, name: str, arrays: Any, samples: int = SAMPLES) -> float:
        """Seconds a run: the smallest of some samples, each long enough."""
        times = 1
        while (elapsed := self.run(name, arrays, times)) < ENOUGH:
            times = max(2 * times, int(1.2 * times * ENOUGH / max(elapsed, 1e-7)))
        return min(self.run(name, arrays, times) for _ in range(samples)) / times


def number_type() -> Any:
    """The class of `objects.c`; NoCompiler where it cannot be compiled, for want of Python's headers, say."""
    target = build("objects.c", f"-I{sysconfig.get_paths()['include']}", "")
    try:
        loader = importlib.machinery.ExtensionFileLoader("objects", str(target))
        spec = importlib.util.spec_from_file_location("objects", target, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    except ImportError as error:
        raise NoCompiler(str(error)) from error
    finally:
        forget(target)
    return module.Number
