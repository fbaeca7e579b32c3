"""`tapegrad run --compare`: a program as it is and with ours, one after the other, and whether they did the same."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from tapegrad.outputs import Comparison, Output, likeness, plural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapegrad.run import Target

__all__ = ["compare"]

WIDTH = 200  # bytes of a line that are shown
# What the command `tapegrad` does, with a first entry of sys.path in whose place the program's comes; at its end the
# names of what was replaced are written down.
OURS = """import atexit, sys
if not sys.flags.safe_path: sys.path[0] = {path!r}
from tapegrad.__main__ import main
from tapegrad.alias import replaced
@atexit.register
def tell(replaced=replaced):
    with open({report!r}, "a") as file: file.write(" ".join(replaced))
sys.exit(main())"""


def compare(target: Target, ignored: list[re.Pattern[str]]) -> int:
    """Run the program both ways and report on stderr whether stdout and exit status were the same.

    Lines in which one of the patterns `ignored` is found do not count. Where the outputs differ, python runs the
    program once more, which shows what of its output changes from run to run. The times are wall time of the whole
    process, Python's start included.

    All runs get the same arguments, environment (with one seed for the hashes of str) and standard input, and write to
    our stderr. What is printed and what is read is kept in files, not in memory.

    Returns:
        0 if nothing differs but by rounding, or where python's output itself changes from run to run; 1 if something
        does, or if that leaves nothing to compare; 2 if there is nothing to compare with: no class was named, and
        micrograd is not installed.
    """
    if not target.replaced and not micrograd_is_there(target):
        say("nothing to compare with: no --replace, and micrograd is not installed (pip install micrograd)")
        return 2
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    place = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with tempfile.TemporaryDirectory(prefix="tapegrad-", ignore_cleanup_errors=True) as folder:
        report = os.path.join(folder, "replaced")
        arguments = ["run", *(f"--replace={name}" for name in target.replaced), *target.command_line()]
        python = [sys.executable, *flags, *target.command_line()]
        tapegrad = [sys.executable, *flags, "-c", OURS.format(path=place, report=report), *arguments]
        runs = Runs(folder, ignored)
        try:
            plain, status, seconds = runs.run("python", python)
            ours, our_status, our_seconds = runs.run("tapegrad", tapegrad)
            agree = True
            if words := likeness(plain, ours):
                say(f"stdout: {words}, {counted(plain)}")
            else:
                again, _, _ = runs.run("again", python)
                agree = report_difference(Comparison(plain, ours, again), plain)
        except KeyboardInterrupt:
            return 130
        replaced = read(report)
    if status == our_status:
        say(f"exit status: the same, {in_words(status)}")
    else:
        say(f"exit status: {in_words(status)} under python, {in_words(our_status)} under tapegrad")
    say(f"wall time: python {seconds:.2f} s, tapegrad {our_seconds:.2f} s, ratio {seconds / our_seconds:.2f}")
    if replaced == "":
        say("nothing was replaced: no micrograd that ours stands in for was imported, and no class exchanged")
    return 0 if agree and status == our_status else 1


class Runs:
    """Runs programs on the same standard input, each with a file for what it prints."""

    def __init__(self, folder: str, ignored: list[re.Pattern[str]]) -> None:
        self.folder: str = folder
        self.ignored: list[re.Pattern[str]] = ignored
        self.environment: dict[str, str] = {"PYTHONHASHSEED": "0", **os.environ}
        with open(os.path.join(folder, "stdin"), "wb") as file:
            if sys.stdin is not None and not sys.stdin.isatty():
                shutil.copyfileobj(sys.stdin.buffer, file)

    def run(self, name: str, command: list[str]) -> tuple[Output, int, float]:
        """What it printed until the process ended (others that it started may go on), its exit status, and seconds."""
        path = os.path.join(self.folder, f"stdout of {name}")
        sys.stderr.flush()
        with open(os.path.join(self.folder, "stdin"), "rb") as stdin, open(path, "ab") as stdout:
            start = time.perf_counter()
            status = subprocess.call(command, stdin=stdin, stdout=stdout, env=self.environment)
            seconds = time.perf_counter() - start
            return Output(path, os.fstat(stdout.fileno()).st_size, self.ignored), status, seconds


def report_difference(found: Comparison, plain: Output) -> bool:
    """Say in what the outputs differ; whether it is nothing but what may, and something was compared."""
    own = f"python differs from itself by {found.own.most()}" if found.own else "python does not differ from itself"
    rounding = f"; {found.rounding}; {own}" if found.rounding else ""
    empty = found.lines_left_out + found.unseen > 0 and plain.count()[0] <= found.unseen
    if found.first is None and empty:
        say("stdout: nothing could be compared")
    elif found.first is None:
        say(f"stdout: text the same, {counted(plain, found.unseen)}{rounding}")
    else:
        number, *lines = found.first
        say(f"stdout: differs from line {number} on")
        for name, line in zip(("python", "tapegrad"), excerpts(*lines), strict=True):
            print(f"  {name + ':':9} {line}", file=sys.stderr)
        texts = f"{plural(found.texts, 'line')} differ{'s' * (found.texts == 1)} in text"
        beyond = f"; {found.beyond}; {own}" if found.beyond else ""
        print(f"  {texts if found.texts else 'text the same'}{beyond}", file=sys.stderr)
    counts = [(found.lines_left_out, "line"), (found.numbers_left_out, "number"), (found.words_left_out, "word")]
    left_out = [plural(count, noun) for count, noun in counts if count]
    if left_out:
        words = " and ".join(filter(None, [", ".join(left_out[:-1]), left_out[-1]]))
        say(f"stdout: {words} left out: python itself prints something else there from run to run")
    return found.first is None and not empty


def excerpts(a: bytes | None, b: bytes | None) -> Iterator[str]:
    """Two lines for people to read; of long ones what is around the first difference."""
    pairs = enumerate(zip(a or b"", b or b"", strict=False))
    start = next((i for i, (x, y) in pairs if x != y), 0)
    for line in (a, b):
        if line is None:
            yield "(nothing more)"
        elif len(line) <= WIDTH:
            yield quoted(line)
        else:
            first = max(0, start - WIDTH // 4)
            piece = quoted(line[first : first + WIDTH])
            yield "..." * (first > 0) + piece + "..." * (first + WIDTH < len(line))


def quoted(line: bytes) -> str:
    try:
        return repr(line.decode())
    except UnicodeDecodeError:
        return repr(line)


def in_words(status: int) -> str:
    """An exit status; of a process that was killed, the signal."""
    try:
        return f"{status} ({signal.Signals(-status).name})" if status < 0 else str(status)
    except ValueError:
        return str(status)


def read(path: str) -> str | None:
    """What a file says; None if there is none: the program was killed, or ended by os._exit."""
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return None


def counted(output: Output, unseen: int = 0) -> str:
    """How many lines there are that were compared."""
    lines, ignored = output.count()
    lines -= unseen
    return plural(lines, "line") + (f", {ignored} left out by --ignore" if ignored else "")


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
