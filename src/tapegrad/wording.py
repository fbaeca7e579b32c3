"""Numbers and names, as pictures and explanations show them."""

from __future__ import annotations

import math
import unicodedata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["clean", "columns", "exact", "number", "plural", "short"]


def short(x: object) -> str:
    """A number in a few characters: four decimals, or an exponent where those would not show it.

    >>> short(-4), short(2.5), short(1e-9), short(float("nan"))
    ('-4.0000', '2.5000', '1.000e-09', 'nan')
    """
    known = exact(x)
    if known is None:
        return clean(x, 24)
    return f"{known:.4f}" if known == 0 or 1e-3 <= abs(known) < 1e6 else f"{known:.3e}"


def number(x: object) -> str:
    """A number to six digits; of anything else the text.

    >>> number(0.1 + 0.2), number(3)
    ('0.3', '3')
    """
    known = exact(x)
    return clean(x) if known is None else f"{known:.6g}"


def exact(x: Any) -> float | None:
    """A float, or an int that is not too large for one, as a plain one, whatever a subclass makes of its text; None for
    anything else.

    >>> exact(True), exact("2.0"), exact(10**400)
    (1, None, None)
    """
    if issubclass(type(x), float):
        return float.__pos__(x)
    if not issubclass(type(x), int):
        return None
    plain = int.__pos__(x)
    return plain if plain.bit_length() <= 1023 else None


def clean(text: object, width: int = 24) -> str:
    """The text on one line, cut off at `width` characters, without any that a terminal or XML could stumble over.

    >>> clean("a\\nb\\x00"), clean("x" * 99, 8)
    ('a b\ufffd', 'xxxxxxx…')
    """
    shown = str(text)
    shown = shown if len(shown) <= width else shown[: width - 1] + "…"
    return "".join([c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in shown])


def columns(text: str) -> int:
    """How many columns of a monospaced font the text takes.

    >>> columns("grad"), columns("梯度")
    (4, 4)
    """
    return sum([2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text])


def plural(n: int, noun: str) -> str:
    """A number and a noun; of a number that nobody would read, the order of magnitude.

    >>> plural(1, "node"), plural(12345, "path"), plural(2**100_000, "path")
    ('1 node', '12,345 paths', 'about 10^30103 paths')
    """
    number = f"{n:,}" if n < 10**36 else f"about 10^{math.log10(n):.0f}"
    return f"{number} {noun}" if n == 1 else f"{number} {noun}s"
