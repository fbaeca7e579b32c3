"""What two runs of a program have printed, compared line by line: text as text, numbers as numbers."""

from __future__ import annotations

import re
from itertools import zip_longest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Place = tuple[int, bytes | None, bytes | None]  # the number of a line, what python printed there, what ours did

__all__ = ["Comparison", "Output", "likeness", "plural"]

RELATIVE = 1e-12  # numbers that differ by less do so in rounding
ABSOLUTE = 1e-14  # what is left of rounding where terms of about 1 cancel
UNSTABLE = 1e-6  # numbers in which python differs from itself by more (times, say) are not compared
MARGIN = 10  # how many times python's own difference from itself ours may be: two runs of it are few

# A float: with a point or an exponent, not part of a word or of a version. An int is text.
FLOAT = rb"(?<![\w.])[-+]?(?:(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+(?!\w))?|\d+[eE][-+]?\d+(?!\w))"
NUMBER = re.compile(FLOAT)
PADDED = re.compile(rb"(?<![ \t])[ \t]*" + FLOAT + rb"[ \t]*")  # columns are as wide as their longest number
ADDRESS = re.compile(rb" at 0x[0-9A-Fa-f]+")  # as in the repr of most objects
CHUNK = 1 << 20


class Output:
    """The first `size` bytes of a file; a process that the program has left behind may still be writing to it."""

    def __init__(self, path: str, size: int, ignored: Iterable[re.Pattern[str]] = ()) -> None:
        self.path: str = path
        self.size: int = size
        self.ignored: list[re.Pattern[str]] = list(ignored)

    def chunks(self) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            for start in range(0, self.size, CHUNK):
                yield file.read(min(CHUNK, self.size - start))

    def numbered(self) -> Iterator[tuple[int, bytes]]:
        """Lines that are not ignored, with their numbers from 1."""
        left, number = self.size, 0
        with open(self.path, "rb") as file:
            while left:
                line = file.readline(left)
                left, number = left - len(line), number + 1
                if not (self.ignored and self.ignores(line)):
                    yield number, line

    def ignores(self, line: bytes) -> bool:
        shown = line.decode(errors="replace").rstrip("\r\n")
        return any(pattern.search(shown) for pattern in self.ignored)

    def count(self) -> tuple[int, int]:
        """How many lines there are that are not ignored, and how many are."""
        lines, last = 0, b""
        for chunk in self.chunks():
            lines, last = lines + chunk.count(b"\n"), chunk
        lines += bool(last) and not last.endswith(b"\n")
        if not self.ignored:
            return lines, 0
        kept = sum(1 for _ in self.numbered())
        return kept, lines - kept


def likeness(a: Output, b: Output) -> str:
    """In words, how the outputs are the same, ignored lines aside; nothing if they are not."""
    if a.size == b.size and all(x == y for x, y in zip(a.chunks(), b.chunks(), strict=True)):
        return "identical"
    identical = True
    for (_, x), (_, y) in zip_longest(a.numbered(), b.numbered(), fillvalue=(0, b"")):
        if x != y:
            identical = False
            if blank(x) != blank(y):
                return ""
    return "identical" if identical else "identical but for addresses of objects"


def blank(line: bytes) -> bytes:
    """A line without addresses."""
    return ADDRESS.sub(b" at 0x", line) if b" at 0x" in line else line


def text(line: bytes | None) -> bytes | None:
    """A line without what its numbers are, and how wide."""
    return None if line is None else PADDED.sub(b" 0.0 ", blank(line))


class Tally:
    """How many numbers differ, and by how much at most: relative or, where that says little, near zero, absolute."""

    def __init__(self) -> None:
        self.count: int = 0
        self.near: int = 0
        self.relative: float = 0.0
        self.absolute: float = 0.0

    def add(self, a: float, b: float) -> None:
        if abs(a - b) <= ABSOLUTE and apart(a, b) > RELATIVE:
            self.near += 1
            self.absolute = max(self.absolute, abs(a - b))
        else:
            self.count += 1
            self.relative = max(self.relative, apart(a, b))

    def __bool__(self) -> bool:
        return self.count + self.near > 0

    def __str__(self) -> str:
        near = f"near zero differ{'s' * (self.near == 1)} by at most {self.absolute:.1g}"
        if not self.count:
            return f"{plural(self.near, 'number')} {near}"
        most = f"differ{'s' * (self.count == 1)} by at most {self.relative:.1g} (relative)"
        return f"{plural(self.count, 'number')} {most}" + (f", {self.near} more {near}" if self.near else "")

    def most(self) -> str:
        """The largest difference."""
        return f"{self.relative:.1g}" if self.count else f"{self.absolute:.1g} (near zero)"


class Comparison:
    """What python printed, what ours did, and what python printed when it ran again, which says what can be compared.

    A line whose text python itself changes from run to run is left out, and so is a number that it changes by more than
    rounding would. Other numbers may differ by rounding, or by ten times as much as python's have differed up to there:
    rounding is amplified along a program. All else is a difference.
    """

    def __init__(self, plain: Output, ours: Output, again: Output) -> None:
        self.texts: int = 0  # lines with another text
        self.beyond: Tally = Tally()  # numbers that differ by more than rounding
        self.rounding: Tally = Tally()
        self.own: Tally = Tally()  # numbers in which python differs from itself
        self.lines_left_out: int = 0
        self.numbers_left_out: int = 0
        self.first: Place | None = None  # the first difference
        spacing: Place | None = None
        for (i, a), (j, b), (_, c) in zip_longest(
            plain.numbered(), ours.numbered(), again.numbered(), fillvalue=(0, None)
        ):
            if a == b == c:
                continue
            line, differs = text(a), False
            stable = line == text(c)
            if stable and a is not None and c is not None:
                self.see(a, c)
            if a == b:
                continue
            if not stable:
                self.lines_left_out += 1
            elif a is None or b is None or c is None or line != text(b):
                self.texts += 1
                differs = True
            else:
                differs = self.judge(a, b, c)
                if NUMBER.findall(a) == NUMBER.findall(b) and blank(a) != blank(b):
                    spacing = spacing or (i, a, b)
            if differs:
                self.first = self.first or (i or j, a, b)
        if spacing and not (self.rounding or self.beyond or self.numbers_left_out):  # what made a column wider?
            self.texts += 1
            self.first = self.first or spacing

    def see(self, a: bytes, c: bytes) -> None:
        """Take note of python's difference from itself."""
        for x, z in numbers(a, c):
            if x != z and not unstable(x, z):
                self.own.add(x, z)

    def judge(self, a: bytes, b: bytes, c: bytes) -> bool:
        """Whether a number of a line differs by more than it may."""
        differs = False
        for x, y, z in numbers(a, b, c):
            if x == y:
                continue
            if not close(x, y) and unstable(x, z):
                self.numbers_left_out += 1
            elif close(x, y) or apart(x, y) <= MARGIN * self.own.relative:
                self.rounding.add(x, y)
            else:
                self.beyond.add(x, y)
                differs = True
        return differs


def numbers(*lines: bytes) -> Iterator[tuple[float, ...]]:
    """The numbers of lines with the same text, those at the same place together."""
    for found in zip(*(NUMBER.finditer(line) for line in lines), strict=True):
        yield tuple(float(match[0]) for match in found)


def apart(a: float, b: float) -> float:
    """The relative difference of two numbers."""
    return 0.0 if a == b else abs(a - b) / max(abs(a), abs(b))


def close(a: float, b: float) -> bool:
    return abs(a - b) <= ABSOLUTE or apart(a, b) <= RELATIVE


def unstable(a: float, b: float) -> bool:
    return abs(a - b) > ABSOLUTE and apart(a, b) > UNSTABLE


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
