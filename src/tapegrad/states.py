"""What a state that was saved must be like: each of these is a ValueError that names the part that is not."""

from __future__ import annotations

import math
from numbers import Real

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["need_count", "need_dict", "need_key", "need_list", "need_number", "what"]

EXACT = 2**53  # up to here ints are floats


def what(x: Any) -> str:
    """A part of a state in a few words."""
    if isinstance(x, (list, tuple)):
        return f"a {type(x).__name__} of {len(x)}"
    if type(x) is int and not -EXACT <= x <= EXACT:
        return f"an int of {x.bit_length()} bits"
    return repr(x) if isinstance(x, (bool, int, float, type(None))) else f"a {type(x).__name__}"


def need_number(x: Any, where: str) -> float:
    """The number x: a finite float, or an int that is one to the last digit."""
    if isinstance(x, bool) or not isinstance(x, Real):
        raise ValueError(f"{where} must be a number, not {what(x)}")
    if isinstance(x, int) and not -EXACT <= x <= EXACT:
        raise ValueError(f"{where} must be a number within the range of floats, not {what(x)}")
    if not math.isfinite(x):
        raise ValueError(f"{where} must be a finite number, not {x!r}")
    return float(x)


def need_count(x: Any, where: str) -> int:
    """The int x, which must be 0 or more."""
    if type(x) is not int or not 0 <= x <= EXACT:
        raise ValueError(f"{where} must be an int from 0 to 2**53, not {what(x)}")
    return x


def need_list(x: Any, where: str) -> list[Any]:
    """The list or tuple x, as a list of its own."""
    if not isinstance(x, (list, tuple)):
        raise ValueError(f"{where} must be a list, not {what(x)}")
    return list(x)


def need_dict(x: Any, where: str) -> dict[str, Any]:
    """The dict x, whose keys must be strings."""
    if not isinstance(x, dict) or not all(isinstance(key, str) for key in x):
        raise ValueError(f"{where} must be a dict with strings for keys, not {what(x)}")
    return x


def need_key(x: Any, key: str, where: str = "") -> Any:
    """What a dict has for a key."""
    if key not in need_dict(x, where or "the state"):
        raise ValueError(f"{where}.{key} is missing" if where else f"{key} is missing")
    return x[key]
