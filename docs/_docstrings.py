"""For the site: our docstrings as Markdown. They are written for `help()`, with tables of arguments in two columns."""

import inspect
import re
import textwrap

import griffe

ROW = re.compile(r"([a-z_*][\w*, ]*?) {2,}(\S.*)", flags=re.DOTALL)


def markdown(docstring: str) -> str:
    """Doctests become code, tables become lists, all else stays.

    >>> print(markdown("A sum.\\n\\na, b   numbers\\nstart  what to\\n       begin with"))
    A sum.
    <BLANKLINE>
    - `a, b`: numbers
    - `start`: what to begin with
    >>> markdown(">>> 1 + 1  # doctest: +SKIP\\n2")
    '```pycon\\n>>> 1 + 1\\n2\\n```'
    """
    paragraphs = re.split(r"\n[ \t]*\n", docstring.strip("\n"))
    return "\n\n".join(map(paragraph, paragraphs))


def paragraph(text: str) -> str:
    if text.lstrip().startswith(">>>"):
        code = re.sub(r" *# doctest: .*", "", textwrap.dedent(text)).replace("<BLANKLINE>", "")
        return f"```pycon\n{code}\n```"
    rows = re.split(r"\n(?=\S)", text)
    cells = [ROW.fullmatch(row) for row in rows]
    if all(cells):
        return "\n".join(f"- `{cell[1]}`: {' '.join(cell[2].split())}" for cell in cells if cell)
    return text


BUILTINS = {inspect.cleandoc(kind.__doc__ or "") for kind in (str, int, float, tuple, dict, list)}


class Docstrings(griffe.Extension):
    """Applied to everything that has a docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: object) -> None:
        if obj.name.startswith("__") and obj.name != "__call__":
            obj.public = False
        if obj.docstring is not None and obj.docstring.value in BUILTINS:  # of the kind of a constant, not its own
            obj.docstring = None
        elif obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
