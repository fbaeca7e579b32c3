"""The derivatives of the table of operations, read from its text.

`ops.h` gives every derivative as a C expression of a, b and y. The compiler makes the eager sweep of it; here the same
text is parsed, so that recordings can be differentiated, as often as one likes, by the very same rules.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["parse"]

TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][-+]?\d+)?)|(\w+)|(<=|>=|==|!=|&&|\|\||[-+*/()<>?:,!]))")

FUNCTIONS = {
    "fabs": "abs",
    "pow": "**",
    "tg_sigmoid": "sigmoid",
    "tg_floor_divide": "//",
}  # C's name: the table's label, where they differ
BINARY = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/"))  # loosest first
LABELS = {"||": "or", "&&": "and"}

# an instruction: a label with its operands, each 'a', 'b', 'y', a number, or an instruction
Expression = object


class Parser:
    """Recursive descent over the C expressions that the table uses."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = [number or name or sign for number, name, sign in TOKEN.findall(text)]
        if "".join(self.tokens) != "".join(text.split()):
            raise ValueError(f"ops.h: cannot read {text!r}")
        self.tokens.append("")

    def take(self, *wanted: str) -> str:
        """The next token if it is one of these, else ''."""
        return self.tokens.pop(0) if self.tokens[0] in wanted else ""

    def need(self, token: str) -> None:
        if not self.take(token):
            raise ValueError(f"ops.h: {token!r} expected before {' '.join(self.tokens)!r}")

    def expression(self) -> Expression:
        condition = self.binary(0)
        if not self.take("?"):
            return condition
        yes = self.expression()
        self.need(":")
        return ("select", condition, yes, self.expression())

    def binary(self, level: int) -> Expression:
        if level == len(BINARY):
            return self.unary()
        left = self.binary(level + 1)
        while sign := self.take(*BINARY[level]):
            left = (LABELS.get(sign, sign), left, self.binary(level + 1))
        return left

    def unary(self) -> Expression:
        if self.take("-"):
            operand = self.unary()
            return -operand if isinstance(operand, float) else ("neg", operand)
        if self.take("!"):
            return ("not", self.unary())
        return self.primary()

    def primary(self) -> Expression:
        if self.take("("):
            inner = self.expression()
            self.need(")")
            return inner
        token = self.tokens.pop(0)
        if token[:1].isdigit():
            return float(token)
        if token in ("a", "b", "y"):
            return token
        self.need("(")
        operands = [self.expression()]
        while self.take(","):
            operands.append(self.expression())
        self.need(")")
        return (FUNCTIONS.get(token, token), *operands)


def parse(text: str, code: Callable[[str], int]) -> list[tuple[object, ...]]:
    """The expression as instructions (code, operand, ...), the last of which is the result; an operand is 'a', 'b',
    'y', a float, or the int number of an earlier instruction. A bare operand is one instruction (-1, operand).

    >>> parse("1.0 - y * y", {"*": 3, "-": 40}.__getitem__)
    [(3, 'y', 'y'), (40, 1.0, 0)]
    """
    parser = Parser(text)
    tree = parser.expression()
    if parser.tokens != [""]:
        raise ValueError(f"ops.h: cannot read {text!r} from {' '.join(parser.tokens)!r}")
    out: list[tuple[object, ...]] = []

    def emit(node: Expression) -> object:
        if not isinstance(node, tuple):
            return node
        instruction = (code(node[0]), *[emit(operand) for operand in node[1:]])
        out.append(instruction)
        return len(out) - 1

    if emit(tree) == tree:
        out.append((-1, tree))
    return out
