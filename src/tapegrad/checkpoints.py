"""Files that are there whole or not at all, and states in them that a reader can trust."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["load", "save", "write_whole"]

KIND = "tapegrad checkpoint 1"


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that a kill or a power failure at any moment leaves the file that was there or the new one.

    What has been written so far is beside it, as `path`.part; the next call writes over it.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    if os.name == "posix":  # the new name is on the disk only when the folder is
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


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
        raise ValueError(f"{path} is nested too deep for a {KIND}. It was left as it was; give another file") from None
