"""Containers of arguments, results and derivatives: each comes back as what it was, or is refused by name."""

import collections
import dataclasses
import enum
import types

import numpy as np
import pytest

import tapegrad as tg


@dataclasses.dataclass(frozen=True)
class Pair:
    x: object
    y: object


@dataclasses.dataclass(slots=True)
class Slim:
    x: object
    y: object


Named = collections.namedtuple("Named", "x y")


@pytest.mark.parametrize("cls", [Pair, Slim, Named, lambda x, y: types.SimpleNamespace(x=x, y=y)])
def test_a_gradient_is_the_container_that_the_argument_is(cls):
    got = tg.grad(lambda p: p.x * p.y)(cls(2.0, 3.0))
    assert got == cls(3.0, 2.0)


@pytest.mark.parametrize("cls", [Pair, Slim, Named, lambda x, y: types.SimpleNamespace(x=x, y=y)])
def test_a_result_that_was_the_one_of_the_first_call(cls):
    f = tg.record(lambda x: cls(x * 2, [x, 3, True]))
    f(1.0)
    got = f(5.0)
    assert got == cls(10.0, [5.0, 3, True])
    assert [type(x) for x in got.y] == [float, int, bool]


@pytest.mark.parametrize("cls", [dict, collections.OrderedDict, collections.Counter])
def test_a_dict_of_another_type_arrives_and_comes_back_as_it_is(cls):
    seen = []
    f = tg.record(lambda d: (seen.append(type(d)), d)[1])
    got = f(cls({"a": 1.5}))
    assert seen == [cls]
    assert type(got) is cls
    assert got == {"a": 1.5}


@pytest.mark.parametrize(
    "make",
    [
        lambda x: {"a": x}.values(),
        lambda x: (y for y in [x]),
        lambda x: iter([x]),
        lambda x: collections.deque([x]),
        lambda x: lambda: x,
    ],
)
def test_a_result_that_is_no_number_is_refused_by_name(make):
    with pytest.raises(TypeError, match="the recorded function returned a "):
        tg.record(make)(1.0)


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize("x", ["text", b"bytes", Colour.RED, None, len, np])
def test_a_constant_comes_back(x):
    f = tg.record(lambda v: (v, x))
    f(1.0)
    assert f(2.0) == (2.0, x)


class MyList(list):
    pass


@pytest.mark.parametrize(
    "x", [MyList([1.0]), np.ma.array([1.0], mask=[True]), 1j, np.array([1j]), np.array(["2020"], "M8")]
)
def test_what_only_looks_like_an_argument_is_refused(x):
    with pytest.raises(TypeError):
        tg.record(lambda v: v)(x)


def test_a_registered_container():
    class Point:
        def __init__(self, x, y):
            self.x, self.y = x, y

    tg.register_container(Point, lambda p: ((p.x, p.y), "rest"), lambda rest, parts: Point(*parts))
    got = tg.record(lambda p: Point(p.y, p.x * 2))(Point(1.0, 2.0))
    assert (got.x, got.y) == (2.0, 2.0)
