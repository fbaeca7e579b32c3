"""Source files that do not compile: what python, which reads a file line by line, says of them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

__all__ = ["compiled", "compiles", "run_as_file"]

FILE_INPUT = 257  # Py_file_input


def is_readable(source: bytes) -> bool:
    """Whether `source` is text in the encoding that it declares, without null bytes."""
    from importlib.util import decode_source

    try:
        decode_source(source)
    except (SyntaxError, UnicodeError, LookupError):
        return False
    return b"\0" not in source


def compiled(source: bytes, filename: str) -> CodeType | None:
    """The code of `source`, or None if it does not compile."""
    try:
        source.decode()
    except UnicodeDecodeError:
        if not is_readable(source):  # before anything is parsed, and warned of
            return None
    try:
        return compile(source, filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None


def compiles(source: bytes, filename: str) -> bool:
    """Whether there is code for `source`; shows no warnings, but those that are errors count."""
    from warnings import catch_warnings

    with catch_warnings(record=True):
        return compiled(source, filename) is not None


def run_as_file(source: bytes, filename: str, names: dict[str, object]) -> None:
    """Raise what python raises of a file with this `source`, for which `compiled` has no code.

    `compile` has other words and marks than python for such a file, and no function of Python's reads one as python
    does, so this is the C API's. Where there is no ctypes, the words are those of `compile`.
    """
    from tempfile import TemporaryFile
    from warnings import catch_warnings

    with catch_warnings(record=is_readable(source)):  # whose warnings have been shown, up to the error
        functions = c_functions()
        if functions is None:
            compile(source, filename, "exec", dont_inherit=True)
            return
        open_stream, run_file = functions
        with TemporaryFile() as file:  # what the name stands for may be a pipe, which has been read
            file.write(source)
            file.seek(0)
            stream = open_stream(os.dup(file.fileno()), b"rb")
        run_file(stream, os.fsencode(filename), FILE_INPUT, names, names, True, None)


def c_functions() -> tuple[Callable[..., int], Callable[..., object]] | None:
    """fdopen of the C library that the interpreter uses, and PyRun_FileExFlags; None where ctypes is missing."""
    try:
        import ctypes
        from ctypes import c_char_p, c_int, c_void_p, py_object

        library = ctypes.CDLL("ucrtbase" if os.name == "nt" else None)
        open_stream = library._fdopen if os.name == "nt" else library.fdopen
        run_file = ctypes.pythonapi.PyRun_FileExFlags
    except (ImportError, OSError, AttributeError):
        return None
    open_stream.argtypes, open_stream.restype = [c_int, c_char_p], c_void_p
    run_file.argtypes = [c_void_p, c_char_p, c_int, py_object, py_object, c_int, c_void_p]
    run_file.restype = py_object
    return open_stream, run_file
