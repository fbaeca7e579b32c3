"""scalargrad: micrograd's Value in Python with some functions more, Python's cycle collector off."""

import gc

from scalargrad.core import Scalar

from tapegrad.bench.rival import Functions, Scalars

NAME = "scalargrad"
PACKAGE = "scalargrad"
WAYS = {"gc off": False}

M = Functions("scalargrad", relu=Scalar.relu, tanh=Scalar.tanh, exp=Scalar.exp, log=Scalar.log)


def gradient(y, xs):
    y.backward()
    return y.data, [x.grad for x in xs]


def scalars(how):
    gc.disable()
    return Scalars(Scalar, gradient, M)
