"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys

__all__ = ["write_whole"]

PART = re.compile(r"\.[0-9a-f]{16}\.part")  # what follows the file's name while it is written


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that a kill or a power failure at any moment leaves the file that was there or the new one; of
    several writers at a time one is the last, and its file is whole.

    A file that was there keeps its mode, a symbolic link stays one and its target is written. What has been written so
    far is beside the file, under a name of its own that ends in ".part"; it is taken away if writing fails, and what a
    kill has left goes with the next write. OSError where the file cannot be written.
    """
    path = os.path.realpath(path)
    try:
        before = os.stat(path)
    except FileNotFoundError:
        before = None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with open(path, "wb") as file:  # a pipe or a device, which nothing can be put in the place of
            file.write(content)
        return
    if before is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    _remove_leftovers(path)
    part, descriptor = _new_part(path, 0o666 if before is None else 0o600)
    try:
        try:
            if before is not None:
                _like(descriptor, before)
            with open(descriptor, "wb", closefd=False) as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            if sys.platform != "win32":
                os.replace(part, path)  # before it is closed: until then it is locked
        finally:
            os.close(descriptor)
        if sys.platform == "win32":
            os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    if os.name == "posix":  # the new name is on the disk only when the folder is
        folder = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _new_part(path: str, mode: int) -> tuple[str, int]:
    """A new file beside `path` and its descriptor, locked so that nobody takes it for a leftover."""
    while True:
        part = f"{path}.{os.urandom(8).hex()}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        if not _lock(descriptor) or os.path.exists(part):
            return part, descriptor
        os.close(descriptor)  # somebody has taken it away before it was locked


def _like(descriptor: int, before: os.stat_result) -> None:
    """Give a file the mode that another had and, as far as that is allowed, its owner."""
    if sys.platform != "win32":
        own = os.fstat(descriptor)
        if (own.st_uid, own.st_gid) != (before.st_uid, before.st_gid):
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, before.st_uid, before.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode))


def _lock(descriptor: int, wait: bool = True) -> bool:
    """Lock a file against other writers for as long as it is open, and say whether that was done."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _remove_leftovers(path: str) -> None:
    """Take away what writers of that file have left that were killed: what no living one has locked."""
    if sys.platform == "win32":
        return
    folder, name = os.path.split(path)
    with contextlib.suppress(OSError):
        for found in os.listdir(folder):
            if not found.startswith(name) or not PART.fullmatch(found, len(name)):
                continue
            with contextlib.suppress(OSError):
                part = os.path.join(folder, found)
                descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    if _lock(descriptor, wait=False):
                        os.unlink(part)
                finally:
                    os.close(descriptor)
