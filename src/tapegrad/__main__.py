"""The command `tapegrad`, also `python -m tapegrad`: one subcommand a job, each imported only when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

# name: the module that has add_arguments(parser) and run(arguments) -> exit status, and what --help says of it
COMMANDS = {
    "run": (
        "tapegrad.run",
        "run a program as python does, with micrograd, or a class of its own, replaced by ours",
    ),
    "bench": ("tapegrad.bench", "measure this machine: the reference, tapegrad and plain floats on the same programs"),
    "classify": ("tapegrad.classify", "train a network on pictures, see how good it is, and let it name new ones"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: sys.argv) and return the exit status; 2 is a usage error."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["run"]:  # its options end where the program's begin, and the program is not to wait for argparse
        from tapegrad.run import main as run

        return run(argv[1:])
    if argv[:1] == ["--version"]:  # reading a package's metadata is slower than everything else here
        from importlib.metadata import version

        print(f"tapegrad {version('tapegrad')}")
        sys.exit(0)
    import argparse

    parser = argparse.ArgumentParser(prog="tapegrad", description="Scalar automatic differentiation for Python.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        command = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if argv[:1] == [name]:
            import_module(module).add_arguments(command)
    arguments = parser.parse_args(argv)
    status: int = import_module(COMMANDS[arguments.command][0]).run(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
