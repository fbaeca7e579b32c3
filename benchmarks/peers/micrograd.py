"""micrograd 0.1.0, as it is installed, with Python's cycle collector on and off.

It has + - * / ** and relu. Its backward pass recurses, which Python's limit ends at a depth of some hundred nodes.
"""

import gc

from micrograd.engine import Value

from tapegrad.bench.rival import Functions, Scalars

NAME = "micrograd"
PACKAGE = "micrograd"
WAYS = {"gc on": False, "gc off": False}

M = Functions("micrograd", relu=Value.relu)


def gradient(y, xs):
    y.backward()
    return y.data, [x.grad for x in xs]


def scalars(how):
    if how.way == "gc off":
        gc.disable()
    return Scalars(Value, gradient, M)
