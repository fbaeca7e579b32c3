"""What recorded functions read besides their arguments, how much they keep, and what is said when they record often."""

import types
import warnings

import numpy as np
import pytest

import tapegrad as tg

RATE = 2.0


def by_the_rate(x):
    return x * RATE


def helped(x):
    return by_the_rate(x) + 1.0


@pytest.mark.parametrize("make", [tg.record, tg.grad, tg.vmap, tg.jacobian, tg.value_and_grad])
def test_a_global_that_changed_was_not_noticed(make, monkeypatch):
    f = make(by_the_rate)
    x = [3.0] if make is tg.vmap else 3.0
    f(x)
    monkeypatch.setitem(globals(), "RATE", 5.0)
    assert np.all(np.equal(f(x), make(by_the_rate)(x)))


def test_a_global_that_a_helper_reads(monkeypatch):
    f = tg.record(helped)
    assert f(1.0) == 3.0
    monkeypatch.setitem(globals(), "RATE", 5.0)
    assert f(1.0) == 6.0


def test_a_variable_of_the_surrounding_function_that_changed():
    scale = 1.0
    f = tg.record(lambda x: x * scale if x > 0 else -x * scale)
    assert (f(2.0), f(-2.0)) == (2.0, 2.0)
    scale = 3.0
    assert (f(2.0), f(-2.0)) == (6.0, 6.0)
    assert len(f.programs) == 2
    scale = -0.0
    assert str(f(2.0)) == "-0.0"
    scale = 0.0
    assert str(f(2.0)) == "0.0"


class Model:
    def __init__(self):
        self.k = 2.0

    def bound(self, x):
        return x * self.k

    @tg.record
    def decorated(self, x):
        return x * self.k


def test_an_attribute_of_self_that_changed():
    m = Model()
    f = tg.record(m.bound)
    assert (f(1.0), m.decorated(1.0)) == (2.0, 2.0)
    m.k = 7.0
    assert (f(1.0), m.decorated(1.0)) == (7.0, 7.0)


def test_an_attribute_of_an_object_that_the_function_names():
    settings = types.SimpleNamespace(k=2.0)
    f = tg.record(lambda x: x * settings.k)
    assert f(1.0) == 2.0
    settings.k = 4.0
    assert f(1.0) == 4.0


def test_an_array_that_was_exchanged():
    w = np.ones(2)
    f = tg.record(lambda x: (x * w).sum())
    assert f(np.array([1.0, 2.0])) == 3.0
    w = np.full(2, 2.0)
    assert f(np.array([1.0, 2.0])) == 6.0


def test_a_counter_of_the_function_itself_is_no_reason_to_record_anew():
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return x * 2.0 if x > 0 else -x

    g = tg.record(f)
    for x in (1.0, -1.0, 2.0, -2.0):
        g(x)
    assert calls == 2


@pytest.mark.parametrize("make", [lambda: slice(0, 2), lambda: {1, 2}, lambda: frozenset([1]), lambda: (0, "a")])
def test_equal_settings_recorded_at_every_call(make):
    calls = []
    f = tg.record(lambda x, s: (calls.append(1), x * 2.0)[1])
    for _ in range(30):
        f(1.0, make())
    assert len(calls) == 1


class Unhashable:
    __hash__ = None

    def __init__(self, k):
        self.k = k

    def __eq__(self, other):
        return self.k == other.k


def test_an_unhashable_setting_is_told_by_its_content():
    f = tg.record(lambda x, s: x * s.k)
    s = Unhashable(2.0)
    assert f(1.0, s) == 2.0
    assert f(1.0, Unhashable(2.0)) == 2.0
    assert len(f.programs) == 1
    s.k = 3.0
    assert f(1.0, s) == 3.0


def test_a_new_setting_at_every_call_is_said_once():
    f = tg.record(lambda x, s: x)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(40):
            f(1.0, f"name {k}")
    assert [w.filename for w in caught] == [__file__]
    assert "recorded anew at nearly every call" in str(caught[0].message)


def test_a_new_way_at_every_call_is_said_once_and_early():
    f = tg.record(lambda x: x if tg.to_int(x) else -x)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(40):
            f(k + 1.0)
    assert len(caught) == 1
    assert f"{__file__}:" in str(caught[0].message)


def test_the_memory_of_programs_is_bounded():
    f = tg.record(lambda x: sum([v * tg.to_int(v) for v in x]), max_bytes=500_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(40):
            f(np.full(200, float(k)))
    (family,) = f.families.values()
    assert 1 <= len(f.programs) < 10
    assert family.nbytes <= 500_000


@pytest.mark.parametrize("bound", [0, -1, 1.5])
def test_a_bound_in_bytes_that_is_none(bound):
    with pytest.raises(ValueError, match="max_bytes"):
        tg.record(abs, max_bytes=bound)


def test_the_median_of_ten_thousand_numbers():
    x = np.random.default_rng(0).normal(size=10_001)
    f = tg.record(lambda v: sorted(v)[len(v) // 2])
    assert f(x) == np.median(x)


def test_a_loop_of_many_turns():
    def f(x):
        n = 0
        while x > 0.0:
            x = x - 1.0
            n += 1
        return x + n

    assert tg.record(f)(20_000.0) == 20_000.0


def test_a_batch_of_more_ways_than_fit_into_the_memory():
    f = tg.vmap(lambda x: x * tg.to_int(x), max_bytes=30_000)
    x = np.arange(200.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert f(x).tolist() == (x * x).tolist()
    assert len(f.inner.programs) < 20
