"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import sys

__all__ = ["write_whole"]


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that a kill or a power failure at any moment leaves the file that was there or the new one; of
    several writers at a time one is the last, and its file is whole.

    A file that was there keeps its mode, a symbolic link stays one and its target is written. What has been written so
    far is beside the file, as `path`.part, or `path`.1.part and so on where there are other writers. It is taken away
    if writing fails; what a kill has left, by the next call. OSError where the file cannot be written.
    """
    path = os.path.realpath(path)
    before = _status(path)
    if before is not None and not stat.S_ISREG(before.st_mode):
        with open(path, "wb") as file:  # a pipe or a device, which nothing can be put in the place of
            file.write(content)
        return
    if before is not None and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    _replace(path, content, before)
    if os.name == "posix":
        _sync(os.path.dirname(path))  # the new name is on the disk only when the folder is


# Short functions: where there is no memory for an exception CPython 3.11 does not get out of the middle of a long one.


def _replace(path: str, content: bytes, before: os.stat_result | None) -> None:
    part, descriptor = _new_part(path, 0o666 if before is None else 0o600)
    try:
        _put_in_place(part, descriptor, content, path, before)
    except BaseException:
        _take_away(part)
        raise


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _put_in_place(part: str, descriptor: int, content: bytes, path: str, before: os.stat_result | None) -> None:
    """Fill the new file, close it and give it its name."""
    try:
        if before is not None:
            _make_like(descriptor, before)
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


def _take_away(part: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(part)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _new_part(path: str, mode: int) -> tuple[str, int]:
    """A new file beside `path` and its descriptor: locked, so that nobody takes it for a leftover."""
    for k in itertools.count():
        part = f"{path}.{k}.part" if k else f"{path}.part"
        while not os.path.lexists(part) or _removed(part):
            try:
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
            except FileExistsError:
                continue
            try:
                if not _lock(descriptor) or _is_at(part, descriptor):
                    return part, descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # somebody has taken it away before it was locked
    raise AssertionError


def _removed(part: str) -> bool:
    """Take away what a writer has left that was killed, and say whether it is gone: not if a living one has it."""
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if not _lock(descriptor, wait=False):
            return False
        if _is_at(part, descriptor):
            os.unlink(part)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_at(path: str, descriptor: int) -> bool:
    """Whether that is the file of this name now."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _make_like(descriptor: int, before: os.stat_result) -> None:
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
