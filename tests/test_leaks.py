"""What is called again and again takes no memory: every method of Value, and what a program does with functions."""

import gc
import sys

import pytest

import tapegrad
from tapegrad import Value
from tapegrad.tape import tape

# methods whose arguments are not () or (Value,)
ARGUMENTS = {
    "__delattr__": ("absent",),
    "__format__": (".2f",),
    "__getattribute__": ("data",),
    "__init__": (1.5,),
    "__pow__": (2.0, None),
    "__rpow__": (2.0, None),
    "__reduce_ex__": (2,),
    "__round__": (1,),
    "__setattr__": ("label", "x"),
    "__setstate__": (None,),
}
METHODS = [name for name in dir(Value) if callable(getattr(Value, name)) and name not in ("__new__", "__class__")]
PROPERTIES = [name for name in dir(Value) if not callable(getattr(Value, name))]
FUNCTIONS = list(tapegrad.functions.__all__)


def growth(call, times=100):
    """The blocks and nodes that stay after so many calls; those of a first round are warming up."""
    found = []
    for _ in range(4):
        gc.collect()
        before = sys.getallocatedblocks()
        nodes = tape.compact()
        for _ in range(times):
            try:
                call()
            except Exception as error:
                del error
        gc.collect()
        found.append((sys.getallocatedblocks() - before, tape.compact() - nodes))
    return min(blocks for blocks, _ in found), min(nodes for _, nodes in found)


def check(call):
    blocks, nodes = growth(call)
    assert nodes == 0 and blocks < 50, (blocks, nodes)


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    def call():
        v = Value(0.5)
        method = getattr(v, name)
        try:
            method(*({},) if name == "__deepcopy__" else ARGUMENTS.get(name, ()))
        except TypeError:
            method(Value(2.0))

    check(call)


@pytest.mark.parametrize("name", METHODS)
def test_methods_with_bad_arguments(name):
    check(lambda: getattr(Value(0.5), name)("no", object(), None, 7))
    check(lambda: getattr(Value(0.5), name)(object()))


@pytest.mark.parametrize("name", PROPERTIES)
def test_properties(name):
    def call():
        v = Value(2.0) * Value(3.0)
        setattr(v, name, getattr(v, name))

    check(call)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("arguments", [(0.5,), (0.5, 0.25), ([0.5],), ("no",), ()])
def test_functions(name, arguments):
    function = getattr(tapegrad, name)

    def call():
        function(*[Value(x) if isinstance(x, float) else [Value(2.0)] if isinstance(x, list) else x for x in arguments])

    check(call)
