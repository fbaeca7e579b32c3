"""Names and numbers in LaTeX."""

from __future__ import annotations

import math
import re

__all__ = ["latex_name", "latex_number"]

GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip
SPECIAL = str.maketrans({c: f"\\{c}" for c in "#$%&_{}"} | {"\\": "/", "^": r"\wedge ", "~": r"\sim "})


def latex_name(name: str) -> str:
    """A name as formulas have it: subscripts, hats and Greek letters where it says so, upright otherwise.

    >>> latex_name("t3"), latex_name("yhat"), latex_name("w[0][1]"), latex_name("alpha"), latex_name("loss")
    ('t_{3}', '\\\\hat{y}', 'w_{0,1}', '\\\\alpha', '\\\\mathrm{loss}')
    """
    plain = re.fullmatch(r"([A-Za-z]+?)(_?hat)?_?(\d*)((?:\[\d+\])*)", name)
    if plain is None:
        return rf"\mathrm{{{name.translate(SPECIAL).replace(' ', '~')}}}"
    word, hat, digits, indices = plain.groups()
    symbol = word if len(word) == 1 else f"\\{word}" if word in GREEK else rf"\mathrm{{{word}}}"
    symbol = rf"\hat{{{symbol}}}" if hat else symbol
    below = ",".join([part for part in (digits, *re.findall(r"\d+", indices)) if part])
    return f"{symbol}_{{{below}}}" if below else symbol


def latex_number(x: float, inside: bool = False) -> str:
    """A number to six digits; inside a sum or a product in parentheses if it is negative.

    >>> latex_number(0.25), latex_number(-3, inside=True), latex_number(6.02e23), latex_number(float("inf"))
    ('0.25', '(-3)', '6.02 \\\\times 10^{23}', '\\\\infty')
    """
    text = r"\mathrm{nan}" if x != x else r"\infty" if math.isinf(x) else f"{abs(x):.6g}"
    mantissa, _, exponent = text.partition("e")
    text = rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent and x == x and not math.isinf(x) else text
    text = f"-{text}" if x < 0 else text
    return f"({text})" if inside and x < 0 else text
