"""`tapegrad run`: a program as `python` would run it, with micrograd, or a class of its own, replaced by ours.

alias      what makes `import micrograd` mean ours
replace    what puts ours in place of a class that the program defines: `sources` finds it, `likeness`, `trial` and
           `extras` judge it, `standin` makes ours look like it, `exchange` gets it into modules that are imported
sourcefile what python says of a file that does not compile
compare    both ways, side by side; `outputs` is how it judges what they print

Everything here is on the way to somebody's program, so it imports little and late.
"""

from __future__ import annotations

import atexit
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, ModuleType, TracebackType
    from typing import NoReturn

    from tapegrad.exchange import Exchange
    from tapegrad.sources import Source

__all__ = ["Target", "main"]

USAGE = "usage: tapegrad run [--replace CLASS]... [--compare [--ignore REGEX]...] (SCRIPT | -m MODULE) [ARGS...]"
HELP = f"""{USAGE}

Run a Python program as `python SCRIPT ARGS...` or `python -m MODULE ARGS...` would,
with `import micrograd` meaning tapegrad, for that process only.

options:
  --replace CLASS  put tapegrad's Value in place of the class of this name that the program defines,
                   or say why not and run nothing; may be repeated. In another file than SCRIPT:
                   package.module.Class, package.module:Class or path/to/file.py:Class; a class in
                   a class or a function: Outer.Class, function.Class, package.module:function.Class
  --compare        run the program both ways, as it is and replaced, and say whether the output and
                   the exit status are the same and how long each took
  --ignore REGEX   with --compare: leave out lines in which this is found, times for example;
                   may be repeated
  -h, --help       show this message and exit

exit status: the program's; 2 if it cannot be run, or a class cannot be replaced;
with --compare, 0 if both ways did the same, but for rounding and what python itself changes from
run to run, and 1 if not"""


class UsageError(Exception):
    """What is wrong with the command line, or with what it names; exit status 2."""


class Target:
    """What to run: a script's path or, if `is_module`, a module's name; its arguments; the classes to replace."""

    def __init__(self, name: str, is_module: bool, arguments: list[str], replaced: list[str]) -> None:
        self.name: str = name
        self.is_module: bool = is_module
        self.arguments: list[str] = arguments
        self.replaced: list[str] = replaced

    def command_line(self) -> list[str]:
        """What comes after `python` to run it as it is."""
        return [*(["-m"] if self.is_module else []), self.name, *self.arguments]


def main(argv: Sequence[str]) -> int:
    """Run `tapegrad run` with the arguments `argv`.

    The program's exceptions, SystemExit and KeyboardInterrupt among them, come out of here as they would come out of
    the program; 0 when it ends without one; 2 when it could not be started.
    """
    try:
        target, compare, ignored = parse(list(argv))
        if target is None:
            print(HELP)
            return 0
        if compare:
            import re
            from warnings import catch_warnings

            from tapegrad.compare import compare as both

            try:
                patterns = [re.compile(word) for word in ignored]
            except re.error as error:
                raise UsageError(f"--ignore takes a regular expression, not {error.pattern!r}: {error.msg}") from None
            with catch_warnings(action="ignore"):
                prepare(target, say=lambda _: None)  # for its complaints: if one of the two ways fails, none is run
            return both(target, patterns)
        if ignored:
            raise UsageError(f"--ignore is for --compare\n{USAGE}")
        start = prepare(target, say=lambda notice: print(f"tapegrad run: {notice}", file=sys.stderr))
    except UsageError as error:
        print(f"tapegrad run: {error}", file=sys.stderr)
        return 2
    start()
    return 0


def parse(words: list[str]) -> tuple[Target | None, bool, list[str]]:
    """The target (None: --help), whether to compare, and what to ignore. Options end at the program's name."""
    replaced: list[str] = []
    ignored: list[str] = []
    compare = False
    while words:
        word = words.pop(0)
        if word in ("-h", "--help"):
            return None, False, []
        if word == "--compare":
            compare = True
        elif word == "--replace" or word.startswith("--replace="):
            name = word[10:] if word != "--replace" else words.pop(0) if words else ""
            if not all(map(is_name_of_class, name.split(","))):
                raise UsageError(f"--replace takes the name of a class, not {name!r}\n{USAGE}")
            replaced += name.split(",")
        elif word == "--ignore" or word.startswith("--ignore="):
            if word == "--ignore" and not words:
                raise UsageError(f"--ignore takes a regular expression\n{USAGE}")
            ignored.append(word[9:] if word != "--ignore" else words.pop(0))
        elif word == "-m" or (word.startswith("-m") and word[2:]):
            name = word[2:] or (words.pop(0) if words else "")
            if not name:
                raise UsageError(f"-m takes the name of a module\n{USAGE}")
            return Target(name, True, words, replaced), compare, ignored
        elif word == "--" and words:
            return Target(words[0], False, words[1:], replaced), compare, ignored
        elif word == "-":
            raise UsageError("a program on the standard input is not supported: name a file or a module")
        elif word.startswith("-"):
            raise UsageError(f"unknown option {word}\n{USAGE}")
        else:
            return Target(word, False, words, replaced), compare, ignored
    raise UsageError(f"which program? Name a file, or a module with -m\n{USAGE}")


def is_name_of_class(word: str) -> bool:
    """Whether --replace takes it: the class's name with those around it, the module or file in front."""
    module, _, name = word.rpartition(":")
    parts = name.replace(".<locals>.", ".").split(".")
    is_module = not module or module.endswith(".py") or all(part.isidentifier() for part in module.split("."))
    return is_module and all(part.isidentifier() for part in parts)


def prepare(target: Target, say: Callable[[str], None]) -> Callable[[], None]:
    """All that can fail before the program starts, and a function that starts it."""
    if target.is_module:
        return prepare_module(target, os.getcwd(), ["-m", *target.arguments], say)
    filename = os.path.join(os.getcwd(), target.name)  # as python does: made absolute, not normalised
    argv = [target.name, *target.arguments]
    if is_path_entry(filename):
        return prepare_module(Target("__main__", True, [], target.replaced), filename, argv, say)
    try:
        with open(filename, "rb") as file:
            source = file.read()
    except OSError as error:
        raise UsageError(f"can't open file {filename!r}: [Errno {error.errno}] {error.strerror}") from None
    if filename.endswith(".pyc"):
        raise UsageError(f"compiled files are not supported: run the source of {filename!r}")
    directory = os.path.dirname(os.path.realpath(filename))
    program: bytes | CodeType = source
    exchange: Exchange | None = None
    if target.replaced:
        from tapegrad.sources import parsed

        set_path(directory)
        main = parsed("__main__", filename, source)
        if main:  # otherwise the program shows why not when it is run
            exchange = with_ours(main, target.replaced, say)
            if main.key() in exchange.files:
                program = exchange.files[main.key()].use(filename)
    return lambda: begin(exchange, say, lambda: run_script(program, filename, directory, argv))


def prepare_module(target: Target, path: str, argv: list[str], say: Callable[[str], None]) -> Callable[[], None]:
    """The same for a module that is found from `path`."""
    exchange: Exchange | None = None
    if target.replaced:
        from tapegrad.sources import find, parsed, text_of

        set_path(path)
        name = target.name
        spec = find(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name += ".__main__"
            spec = find(name)
        if spec is None:
            raise UsageError(
                f"can't find '__main__' module in {argv[0]!r}" if path != os.getcwd() else f"No module named {name}"
            )
        text = text_of(spec)
        if text is None:
            raise UsageError(f"--replace needs the source of {name}, and there is none")
        main = parsed("__main__", spec.origin, text, spec.parent)
        if main:
            exchange = with_ours(main, target.replaced, say)
    return lambda: begin(exchange, say, lambda: run_module(target.name, path, argv))


def with_ours(main: Source, names: list[str], say: Callable[[str], None]) -> Exchange:
    """What gives the program's files ours in place of the classes `names`."""
    from tapegrad.exchange import Exchange, Exchanged
    from tapegrad.replace import RefusalError, replace_all

    try:
        replacements = replace_all(main, names)
    except RefusalError as refusal:
        raise UsageError(str(refusal)) from None
    exchange = Exchange()
    for replacement in replacements:
        source = replacement.source
        exchange.add(source.filename, source.module, Exchanged(source.text, replacement.tree))
        for notice in replacement.notices:
            say(notice)
    return exchange


def begin(exchange: Exchange | None, say: Callable[[str], None], run: Callable[[], None]) -> None:
    """Put the import hooks in and run the program; at its end say which files with classes to replace it left out."""
    from tapegrad.alias import install_finder

    install_finder(exchange, say)
    if exchange is not None:
        from importlib import invalidate_caches

        invalidate_caches()  # the search for the classes may have listed directories that the program writes to
        exchange.install()
        asked = dict(exchange.files)

        def tell() -> None:
            for filename in (name for name, exchanged in asked.items() if not exchanged.is_used):
                say(f"the program did not import {filename}: nothing was replaced there")

        atexit.register(tell)
    run()


def is_path_entry(filename: str) -> bool:
    """Whether python would look for a `__main__` in it: a directory or a zip archive."""
    for hook in sys.path_hooks:
        try:
            hook(filename)
        except ImportError:
            continue
        return True
    return False


def set_path(entry: str) -> None:
    """Put `entry` where python puts the program's directory."""
    if not sys.flags.safe_path:
        sys.path[0] = entry


def new_main() -> ModuleType:
    """A fresh `__main__`, with what python gives it before it knows what to run.

    The old one is kept to the end of the process: after the program the interpreter goes on to use its names, which it
    does not own. What atexit has is safe from a program that empties sys.modules, too.
    """
    old = sys.modules["__main__"]
    atexit.register(lambda kept: None, old)
    module = type(sys)("__main__")
    given: dict[str, object] = {"__annotations__": {}, "__builtins__": sys.modules["builtins"]}
    for name, value in given.items():
        if name in vars(old):  # which of them there are depends on the version of Python
            vars(module)[name] = value
    sys.modules["__main__"] = module
    return module


def run_script(program: bytes | CodeType, filename: str, directory: str, argv: list[str]) -> None:
    """Run source or code as `python filename` does."""
    from importlib.machinery import SourceFileLoader

    from tapegrad.sourcefile import compiled, run_as_file

    main = vars(new_main())
    main.update(__file__=filename, __loader__=SourceFileLoader("__main__", filename))
    if sys.version_info < (3, 15):
        main["__cached__"] = None
    sys.argv[:] = argv
    set_path(directory)
    try:
        if not isinstance(program, bytes):
            exec(program, main)
        elif code := compiled(program, filename):
            exec(code, main)
        else:
            run_as_file(program, filename, main)
    except BaseException as error:
        leave(error)


def run_module(name: str, path: str, argv: list[str]) -> None:
    """Run a module as `python -m name` does or, for `__main__`, what `path` has of that name as `python path` does."""
    from runpy import _run_module_as_main  # type: ignore[attr-defined]  # what python itself calls, by this name

    new_main()
    sys.argv[:] = argv
    set_path(path)
    try:
        _run_module_as_main(name, name != "__main__")
    except BaseException as error:
        leave(error)


def leave(error: BaseException) -> NoReturn:
    """Let `error` end the process, and see to it that what is shown of it begins below our frames."""
    below = sys.exc_info()[2]  # which no attribute of the program's own class hides
    while below is not None and below.tb_frame.f_globals.get("__name__") in (__name__, "tapegrad.sourcefile"):
        below = below.tb_next
    if not isinstance(error, SystemExit):  # the interpreter, not a hook, sees to that one
        show(error, below)
    raise error


def show(error: BaseException, traceback: TracebackType | None) -> None:
    """Make the interpreter's call of sys.excepthook for `error`, when it comes, one with this traceback."""
    given = vars(sys).get("excepthook", missing := object())

    def excepthook(kind: type[BaseException], value: BaseException, whole: TracebackType | None) -> None:
        if given is missing:
            del sys.excepthook
            print("sys.excepthook is missing", file=sys.stderr)
        else:
            sys.excepthook = given
        if value is error:
            BaseException.with_traceback(value, traceback)
            sys.last_traceback = whole = traceback
        try:
            (sys.__excepthook__ if given is missing else given)(kind, value, whole)
        except BaseException as second:  # of the program's own hook: the interpreter shows it
            second.__traceback__ = second.__traceback__ and second.__traceback__.tb_next
            raise

    sys.excepthook = excepthook
