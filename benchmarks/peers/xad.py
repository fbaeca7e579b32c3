"""XAD: numbers that are recorded on a tape, one tape for all runs, cleared by each new recording."""

import xad.math
from xad.adj_1st import Real, Tape

from tapegrad.bench.rival import Functions, Scalars

NAME = "XAD"
PACKAGE = "xad"
WAYS = {"": False}

M = Functions(
    "XAD",
    exp=xad.math.exp,
    log=xad.math.log,
    sqrt=xad.math.sqrt,
    sin=xad.math.sin,
    cos=xad.math.cos,
    tanh=xad.math.tanh,
    erfc=xad.math.erfc,
    maximum=xad.math.max,
    relu=lambda x: xad.math.max(x, 0.0),
)


TAPE = Tape()
TAPE.activate()


def begin(xs):
    for x in xs:
        TAPE.registerInput(x)
    TAPE.newRecording()


def gradient(y, xs):
    TAPE.registerOutput(y)
    y.derivative = 1.0
    TAPE.computeAdjoints()
    return y.value, [x.derivative for x in xs]


def scalars(how):
    return Scalars(Real, gradient, M, begin)
