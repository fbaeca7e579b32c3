"""`tapegrad run --compare`: a program as it is and with ours, one after the other, and whether they did the same."""

from __future__ import annotations

import os
import subprocess
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tapegrad.run import Target

__all__ = ["compare"]

# What the command `tapegrad` does, with a first entry of sys.path in whose place the program's comes.
OURS = """import sys
if not sys.flags.safe_path: sys.path[0] = {path!r}
from tapegrad.__main__ import main
sys.exit(main())"""


def compare(target: Target) -> int:
    """Run the program both ways, report on stderr, and return 0 if stdout and exit status were the same, else 1.

    Both get the same arguments, environment and standard input, and write to our stderr. The times are wall time of the
    whole process, Python's start included. 2 if the comparison is with micrograd, and that is not installed.
    """
    if not target.replaced and not micrograd_is_there(target):
        say("nothing to compare with: no --replace, and micrograd is not installed (pip install micrograd)")
        return 2
    stdin = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    replaced = [f"--replace={name}" for name in target.replaced]
    place = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        plain, plain_seconds = run([sys.executable, *target.command_line()], stdin)
        ours_command = [sys.executable, "-c", OURS.format(path=place), "run", *replaced, *target.command_line()]
        ours, ours_seconds = run(ours_command, stdin)
    except KeyboardInterrupt:
        return 130
    same_output = report_output(plain.stdout, ours.stdout)
    same_status = plain.returncode == ours.returncode
    if same_status:
        say(f"exit status: the same, {plain.returncode}")
    else:
        say(f"exit status: {plain.returncode} under python, {ours.returncode} under tapegrad")
    ratio = plain_seconds / ours_seconds
    say(f"wall time: python {plain_seconds:.2f} s, tapegrad {ours_seconds:.2f} s, ratio {ratio:.2f}")
    return 0 if same_output and same_status else 1


def run(command: list[str], stdin: bytes) -> tuple[subprocess.CompletedProcess[bytes], float]:
    sys.stderr.flush()
    start = time.perf_counter()
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=False)
    return done, time.perf_counter() - start


def report_output(plain: bytes, ours: bytes) -> bool:
    """Say whether the outputs are the same and, if not, which line is the first that differs."""
    a, b = plain.splitlines(keepends=True), ours.splitlines(keepends=True)
    if plain == ours:
        say(f"stdout: identical, {len(a)} line{'' if len(a) == 1 else 's'}")
        return True
    first = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    say(f"stdout: differs from line {first + 1} on")
    for name, lines in (("python", a), ("tapegrad", b)):
        line = repr(lines[first].decode(errors="replace")) if first < len(lines) else "(nothing more)"
        print(f"  {name + ':':9} {line}", file=sys.stderr)
    return False


def micrograd_is_there(target: Target) -> bool:
    """Whether the program, run by plain python, would find a micrograd."""
    from importlib.util import find_spec

    set_aside = sys.path[0]
    sys.path[0] = os.getcwd() if target.is_module else os.path.dirname(os.path.realpath(target.name))
    try:
        return find_spec("micrograd") is not None
    finally:
        sys.path[0] = set_aside


def say(line: str) -> None:
    print(f"tapegrad run: {line}", file=sys.stderr)
