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
# What a line consists of where python itself changes its text: numbers in brackets, a time of day or a date, a number,
# words in a row. Parts are compared or left out by themselves: of what is in one, some may be the same by chance.
PART = re.compile(
    rb"""
      [\[{][^\[\]{}A-Za-z_\x80-\xff]*[\]}]
    | (?<![\w.])\d+(?:[:-]\d+)+(?:\.\d+)?
    | (?<![\w.\x80-\xff])[-+]?(?:(?:\d+\.\d*|\.\d+)(?:e[-+]?\d+(?!\w))?|\d+e[-+]?\d+(?!\w)|\d+(?![\w\x80-\xff]))
    | [\w\x80-\xff]+(?:[ \t]+\d*[a-z_\x80-\xff][\w\x80-\xff]*)*
    """,
    re.VERBOSE | re.IGNORECASE,
)
WORD = re.compile(rb"[\w\x80-\xff]")
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


def parts(line: bytes) -> tuple[list[bytes], list[list[bytes]]]:
    """The parts of a line, and what is between them, blanks aside: a column is as wide as what is in it."""
    line = blank(line)
    return PART.findall(line), [between.split() for between in PART.split(line)]


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

    What python itself changes from run to run is left out: numbers by more than rounding, and other parts of a line,
    ints and words, as long as all three lines consist of as many; if not, the whole line. Other numbers may differ by
    rounding, which grows along a program: by as much as python's have differed up to there, ten times over. All else is
    a difference.
    """

    def __init__(self, plain: Output, ours: Output, again: Output) -> None:
        self.texts: int = 0  # lines with another text
        self.beyond: Tally = Tally()  # numbers that differ by more than rounding
        self.rounding: Tally = Tally()
        self.own: Tally = Tally()  # numbers in which python differs from itself
        self.lines_left_out: int = 0
        self.numbers_left_out: int = 0
        self.words_left_out: int = 0
        self.unseen: int = 0  # lines that python printed and of which nothing was compared
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
            if steady and not same_text(a, b):
                self.texts += 1
            elif a is None or b is None or c is None or not (same_text(a, c) and same_text(a, b)):
                self.compare_parts(a, b, c)
            elif not self.judge(a, b, c) and blank(a) != blank(b):
                spacing = spacing or (i, a, b)
            elif not (steady or WORD.search(NUMBER.sub(b"", a)) or any(not unstable(x, z) for x, z in numbers(a, c))):
                self.unseen += 1
            if self.differences() > before:
                self.first = self.first or (i or j, a, b)
        left_out = self.numbers_left_out + self.words_left_out
        if spacing and not (self.rounding or self.beyond or left_out):  # what made a column wider?
            self.texts += 1
            self.first = self.first or spacing

    def differences(self) -> int:
        return self.texts + self.beyond.count + self.beyond.near

    def compare_parts(self, a: bytes | None, b: bytes | None, c: bytes | None) -> None:
        """Compare what python does not change of a line; leave it out if there is nothing."""
        lines = [parts(line) for line in (a, b, c) if line is not None]
        alike = len(lines) == 3 and all(between == lines[0][1] for _, between in lines)
        places = list(zip(*(found for found, _ in lines), strict=True)) if alike else []
        steady = [self.is_steady(x, z) for x, _, z in places]
        if not any(steady):
            self.lines_left_out += 1
            self.unseen += a is not None
            return
        differs = False
        for (x, y, z), kept in zip(places, steady, strict=True):
            if same_text(x, y) and same_text(x, z):
                self.judge(x, y, z)
            elif kept:
                differs = True
            elif x[0] in b"0123456789+-.[{":
                self.numbers_left_out += x != y
            else:
                self.words_left_out += x != y
        self.texts += differs

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
