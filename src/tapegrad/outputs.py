"""What two runs of a program have printed, compared line by line: text as text, numbers as numbers."""

from __future__ import annotations

import re
from itertools import zip_longest
from math import inf, isinf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Place = tuple[int, bytes | None, bytes | None]  # the number of a line, what python printed there, what ours did

__all__ = ["Comparison", "Output", "likeness", "plural"]

RELATIVE = 1e-12  # numbers that differ by less do so in rounding
ABSOLUTE = 1e-14  # what is left of rounding where terms of about 1 cancel
UNSTABLE = 1e-6  # numbers in which python differs from itself by more (times, say) are not compared
MARGIN = 10  # how many times python's own difference from itself ours may be: two runs of it are few

# A float, with a point or an exponent, that is not part of a word or of a version; an int is text. The spaces around it
# go with it: a column is as wide as its longest number.
NUMBER = re.compile(
    rb"(?:(?<![ \t])[ \t]+)?"
    rb"(?<![\w.])([-+]?(?:(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+(?!\w))?|\d+[eE][-+]?\d+(?!\w)))"
    rb"[ \t]*"
)
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

    def numbered(self, skipped: tuple[int, int] = (0, 0)) -> Iterator[tuple[int, bytes]]:
        """Lines that are not ignored, with their numbers from 1, after so many bytes and lines."""
        position, number = skipped
        left = self.size - position
        with open(self.path, "rb") as file:
            file.seek(position)
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


def common_start(*outputs: Output) -> tuple[int, int]:
    """How many bytes and lines at the start are the same in all: whole chunks, up to the end of a line."""
    position = lines = end = 0
    for chunk, *others in zip(*(output.chunks() for output in outputs), strict=False):
        if any(other != chunk for other in others):
            break
        if b"\n" in chunk:
            end = position + chunk.rindex(b"\n") + 1
            lines += chunk.count(b"\n")
        position += len(chunk)
    return end, lines


def likeness(a: Output, b: Output) -> str:
    """In words, how the outputs are the same, ignored lines aside; nothing if they are not."""
    start = common_start(a, b)
    identical = True
    for (_, x), (_, y) in zip_longest(a.numbered(start), b.numbered(start), fillvalue=(0, b"")):
        if x != y:
            identical = False
            if blank(x) != blank(y):
                return ""
    return "identical" if identical else "identical but for addresses of objects"


def blank(line: bytes) -> bytes:
    """A line without addresses."""
    return ADDRESS.sub(b" at 0x", line) if b" at 0x" in line else line


def same_text(a: bytes | None, b: bytes | None) -> bool:
    """Whether two lines are the same but for what their numbers are, and how wide."""
    if a is None or b is None:
        return a is b
    i = j = 0
    for m, n in zip_longest(NUMBER.finditer(a), NUMBER.finditer(b)):
        if m is None or n is None or blank(a[i : m.start()]) != blank(b[j : n.start()]):
            return False
        i, j = m.end(), n.end()
    return blank(a[i:]) == blank(b[j:])


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

    A number that python itself changes from run to run by more than rounding is left out, and so is a line whose text
    it changes, or whose text differs beside such a number. Other numbers may differ by rounding, which grows along a
    program: by as much as python's have differed up to there, ten times over. All else is a difference.
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
        start = common_start(plain, ours, again)
        lines = zip_longest(*(output.numbered(start) for output in (plain, ours, again)), fillvalue=(0, None))
        for (i, a), (j, b), (_, c) in lines:
            if a == b == c:
                continue
            before, steady = self.differences(), self.is_steady(a, c)
            if a == b:
                continue
            if a is None or b is None or c is None or not (same_text(a, c) and same_text(a, b)):
                if steady:
                    self.texts += 1
                else:
                    self.lines_left_out += 1
            elif not self.judge(a, b, c) and blank(a) != blank(b):
                spacing = spacing or (i, a, b)
            if self.differences() > before:
                self.first = self.first or (i or j, a, b)
        if spacing and not (self.rounding or self.beyond or self.numbers_left_out):  # what made a column wider?
            self.texts += 1
            self.first = self.first or spacing

    def differences(self) -> int:
        return self.texts + self.beyond.count + self.beyond.near

    def is_steady(self, a: bytes | None, c: bytes | None) -> bool:
        """Whether python printed the same line twice but for rounding, of which note is taken."""
        if not same_text(a, c):
            return False
        steady = True
        for x, z in numbers(a or b"", c or b""):
            if unstable(x, z):
                steady = False
            elif x != z:
                self.own.add(x, z)
        return steady

    def judge(self, a: bytes, b: bytes, c: bytes) -> bool:
        """Sort the numbers of a line; whether one of them is not the same."""
        changed = False
        for x, y, z in numbers(a, b, c):
            if x == y:
                continue
            changed = True
            if close(x, y):
                self.rounding.add(x, y)
            elif unstable(x, z):
                self.numbers_left_out += 1
            elif apart(x, y) <= MARGIN * self.own.relative:
                self.rounding.add(x, y)
            else:
                self.beyond.add(x, y)
        return changed


def numbers(*lines: bytes) -> Iterator[tuple[float, ...]]:
    """The numbers of lines with the same text, those at the same place together."""
    for found in zip(*(NUMBER.finditer(line) for line in lines), strict=True):
        yield tuple(float(match[1]) for match in found)


def apart(a: float, b: float) -> float:
    """The relative difference of two numbers."""
    return 0.0 if a == b else inf if isinf(a) or isinf(b) else abs(a - b) / max(abs(a), abs(b))


def close(a: float, b: float) -> bool:
    return abs(a - b) <= ABSOLUTE or apart(a, b) <= RELATIVE


def unstable(a: float, b: float) -> bool:
    return abs(a - b) > ABSOLUTE and apart(a, b) > UNSTABLE


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
