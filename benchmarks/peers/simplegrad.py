"""simplegrad: micrograd's idea in C++, a shared pointer for every number. It has + - * / and relu."""

from simplegrad import Node

from tapegrad.bench.rival import Functions, Scalars

NAME = "simplegrad"
PACKAGE = "simplegrad"
WAYS = {"": False}

M = Functions("simplegrad", relu=Node.relu)


def gradient(y, xs):
    y.backward()
    return y.data(), [x.grad() for x in xs]


def scalars(how):
    return Scalars(Node, gradient, M)
