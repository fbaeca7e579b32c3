"""States in files that a reader can trust."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tapegrad.files import write_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any

__all__ = ["load", "save"]

KIND = "tapegrad checkpoint 1"


def save(path: str | os.PathLike[str], state: Any) -> None:
    """Keep a state of numbers, strings, None, lists and dicts with strings for keys; floats to the last bit.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "state"
    >>> save(path, {"x": 0.1})
    >>> load(path)
    {'x': 0.1}
    """
    content = json.dumps(state).encode()
    digest = hashlib.sha256(content).hexdigest()
    write_whole(path, f"{KIND} {digest}\n".encode() + content)


def load(path: str | os.PathLike[str]) -> Any:
    """The state that `save` has kept. ValueError if the file is damaged or is no checkpoint."""
    head, _, content = Path(path).read_bytes().partition(b"\n")
    kind, _, digest = head.decode(errors="replace").rpartition(" ")
    if kind != KIND:
        raise ValueError(
            f"{path} is no {KIND}, or damaged in its first line. It was left as it was; give another file, put back a "
            "copy, or delete it to begin anew"
        )
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(
            f"{path} is damaged: its {len(content):,} bytes are not those that were written. It was left as it was; "
            "put back a copy, or delete it to begin anew"
        )
    try:
        return json.loads(content)
    except RecursionError:
        problem = f"is nested too deep for a {KIND}"
    except ValueError as error:  # it was made up: what was written has another digest
        problem = f"is no {KIND}: {error}"
    raise ValueError(f"{path} {problem}. It was left as it was; give another file")
