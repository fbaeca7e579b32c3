"""Names and numbers in LaTeX."""

from __future__ import annotations

import math
import re

from tapegrad.wording import clean, exact

__all__ = ["latex_name", "latex_number"]

GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip
SPECIAL = str.maketrans(
    {c: f"\\{c}" for c in "#$%&_{}"} | {"\\": "/", "^": r"\wedge ", "~": r"\sim ", "<": r"\lt ", ">": r"\gt "}
)


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


def latex_number(x: object, inside: bool = False) -> str:
    """A number to six digits; inside a sum or a product in parentheses if it is negative. Of anything else the text.

    >>> latex_number(0.25), latex_number(-3, inside=True), latex_number(6.02e23), latex_number(float("inf"))
    ('0.25', '(-3)', '6.02 \\\\times 10^{23}', '\\\\infty')
    """
    known = exact(x)
    if known is None:
        return rf"\mathrm{{{clean(x).translate(SPECIAL).replace(' ', '~')}}}"
    if not math.isfinite(known):
        text = r"\mathrm{nan}" if known != known else r"\infty"
    else:
        mantissa, _, exponent = f"{abs(known):.6g}".partition("e")
        text = rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa
    text = f"-{text}" if known < 0 else text
    return f"({text})" if inside and known < 0 else text
