"""Chapters of the guide as notebooks: `python docs/notebooks.py DIRECTORY`, and with `--execute` run, and compared.

The output blocks of a chapter are left out, as a notebook makes its own. With --execute each notebook is run and saved
with its outputs, and what its cells print must be what the chapter says; otherwise the exit status is 1. `--all` takes
all chapters in place of the main ones. Needs the extra `docs`.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat

GUIDE = Path(__file__).parent / "guide"
MAIN = ["02-chain-rule", "05-paths", "07-network"]
OUTPUT = re.compile(r"(```python\n(?:.*?)```\n)(?:\n?```\n(.*?)```\n)?", flags=re.DOTALL)


def notebook(markdown):
    """The chapter as a notebook, and what each of its cells prints."""
    expected = [output for _, output in OUTPUT.findall(markdown)]
    made = jupytext.reads(OUTPUT.sub(r"\1", markdown), fmt="md")
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for cell in made.cells:
        if cell.cell_type == "markdown":  # pictures and other pages are not beside the notebook
            cell.source = re.sub(r"!?\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", cell.source)
    return made, expected


def execute(made):
    """Run the notebook in place, on a kernel that is reached through files, not through the network."""
    from nbclient import NotebookClient
    from traitlets.config import Config

    with tempfile.TemporaryDirectory() as directory:
        files = Config({"KernelManager": {"transport": "ipc", "ip": f"{directory}/kernel"}})
        NotebookClient(made, config=files, kernel_name="python3", timeout=120).execute()


def printed(made):
    """What each cell has printed."""
    cells = [cell for cell in made.cells if cell.cell_type == "code"]
    return ["".join(out.text for out in cell.outputs if out.output_type == "stream") for cell in cells]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--execute", action="store_true", help="run the notebooks, and compare with the chapters")
    parser.add_argument("--all", action="store_true", help="all chapters")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for name in sorted(path.stem for path in GUIDE.glob("[0-9]*.md")) if arguments.all else MAIN:
        made, expected = notebook((GUIDE / f"{name}.md").read_text(encoding="utf-8"))
        if arguments.execute:
            execute(made)
            for k, (is_now, should_be) in enumerate(zip(printed(made), expected, strict=True)):
                if is_now != should_be:
                    print(f"{name}, block {k + 1}: printed\n{is_now}and the chapter says\n{should_be}", file=sys.stderr)
                    wrong += 1
        path = arguments.directory / f"{name}.ipynb"
        nbformat.write(made, path)
        print(f"{path}: {len(expected)} cells of code{', run' if arguments.execute else ''}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
