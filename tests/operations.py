"""The test table: one row per named operation.

name        the method of Value and the function of tapegrad
operands    how many Values it takes
points      arguments, all in the domain, away from kinks: there derivatives are compared with central differences
torch       the same function by PyTorch, as a string to be evaluated with `torch` and the operands `a` and `b`
"""

from typing import NamedTuple


class Row(NamedTuple):
    name: str
    operands: int
    points: list
    torch: str


def _(name, points, torch):
    points = [p if isinstance(p, tuple) else (p,) for p in points]
    return Row(name, len(points[0]), points, torch)


WIDE = [-30.5, -2.5, -0.75, 0.3, 1.0, 2.25, 17.5]
POSITIVE = [1e-3, 0.3, 1.0, 2.25, 17.5, 1e4]
UNIT = [-0.999, -0.5, 0.125, 0.75]
PAIRS = [(-2.0, 0.5), (0.3, -1.75), (3.5, 3.0), (-4.0, -4.5)]

OPERATIONS = [
    _("abs", WIDE, "abs(a)"),
    _("acos", UNIT, "torch.acos(a)"),
    _("asin", UNIT, "torch.asin(a)"),
    _("atan", WIDE, "torch.atan(a)"),
    _("atan2", PAIRS, "torch.atan2(a, b)"),
    _("ceil", WIDE[:-4], "torch.ceil(a)"),
    _("cos", WIDE, "torch.cos(a)"),
    _("cosh", WIDE, "torch.cosh(a)"),
    _("elu", WIDE, "torch.nn.functional.elu(a)"),
    _("erf", WIDE, "torch.erf(a)"),
    _("erfc", WIDE[1:-1], "torch.erfc(a)"),
    _("exp", WIDE, "torch.exp(a)"),
    _("expm1", WIDE, "torch.expm1(a)"),
    _("floor", WIDE[:-4], "torch.floor(a)"),
    _("gelu", WIDE[1:], "torch.nn.functional.gelu(a)"),
    _("hypot", PAIRS, "torch.hypot(a, b)"),
    _("leaky_relu", WIDE, "torch.nn.functional.leaky_relu(a)"),
    _("log", POSITIVE, "torch.log(a)"),
    _("log10", POSITIVE, "torch.log10(a)"),
    _("log1p", POSITIVE, "torch.log1p(a)"),
    _("log2", POSITIVE, "torch.log2(a)"),
    _("logaddexp", PAIRS, "torch.logaddexp(a, b)"),
    _("maximum", PAIRS, "torch.maximum(a, b)"),
    _("minimum", PAIRS, "torch.minimum(a, b)"),
    _("relu", WIDE, "torch.relu(a)"),
    _("round", [-2.75, 0.3, 2.25], "torch.round(a)"),
    _("sigmoid", WIDE, "torch.sigmoid(a)"),
    _("sign", WIDE, "torch.sign(a)"),
    _("silu", WIDE, "torch.nn.functional.silu(a)"),
    _("sin", WIDE, "torch.sin(a)"),
    _("sinh", WIDE, "torch.sinh(a)"),
    _("softplus", WIDE, "torch.nn.functional.softplus(a, threshold=1000)"),
    _("sqrt", POSITIVE, "torch.sqrt(a)"),
    _("tan", WIDE, "torch.tan(a)"),
    _("tanh", [-2.5, -0.75, 0.3, 1.0, 2.25], "torch.tanh(a)"),
]
BY_NAME = {row.name: row for row in OPERATIONS}
