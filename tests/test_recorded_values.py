"""Recorded functions among eager Values: they read parameters, and their results are nodes of the eager tape."""

from __future__ import annotations

import gc
import random

import numpy as np
import pytest

import tapegrad
from tapegrad import Value, grad, nn, record, value_and_grad, vmap
from tapegrad.bench.moons import points as moons


def test_the_current_data_is_read():
    p = Value(2.0)
    calls = []

    @record
    def f(x):
        calls.append(1)
        return p * x + p

    for data in (2.0, 5.0, -1.0, 5):
        p.data = data
        y = f(3.0)
        assert isinstance(y, Value) and y.data == data * 4
        p.grad = 0
        y.backward()
        assert p.grad == 4.0
    assert len(calls) == 1
    assert grad(lambda x: p * x)(1.0) == 5.0 and type(grad(lambda x: p * x)(1.0)) is float
    assert value_and_grad(lambda x: p * x)(2.0) == (10.0, 5.0)


def test_the_result_is_one_node_with_all_partials():
    a, b, p = Value(2.0), Value(3.0), Value(5.0)
    f = record(lambda a, b, k: a * b * k + p * a.sin())
    y = f(a, b, 2.0)
    assert set(y._prev) == {a, b, p}
    z = y * y + a
    z.backward()
    u, v, w = Value(2.0), Value(3.0), Value(5.0)
    expected = u * v * 2.0 + w * u.sin()
    again = expected * expected + u
    again.backward()
    assert z.data == again.data
    assert [x.grad for x in (a, b, p)] == pytest.approx([x.grad for x in (u, v, w)], rel=1e-14)


def test_the_same_value_more_than_once():
    p = Value(3.0)
    f = record(lambda a, b: a * b + p)
    y = f(p, p)
    y.backward()
    assert (y.data, p.grad) == (12.0, 7.0)


def test_several_results_in_their_nesting():
    p = Value(2.0)
    f = record(lambda d: {"s": d["x"].sum() * p, "v": d["x"] * d["k"], "c": 1.0, "yes": d["x"][0] > 0, "t": "text"})
    x = np.array([Value(1.0), Value(4.0)], dtype=object)
    out = f({"x": x, "k": 10.0})
    assert out["s"].data == 10.0 and [v.data for v in out["v"]] == [10.0, 40.0] and out["yes"] is True
    assert out["t"] == "text" and out["c"].data == 1.0
    (out["s"] + out["v"][1] * 2.0 + out["c"]).backward()
    assert [v.grad for v in x] == [2.0, 22.0] and p.grad == 5.0


def test_guards_on_parameters():
    p = Value(1.0)
    f = record(lambda x: p * x if p > 0 else x * x)
    assert f(3.0).data == 3.0
    p.data = -1.0
    y = f(3.0)
    y.backward()
    assert (y.data, p.grad) == (9.0, 0.0)
    p.data = 2.0
    assert f(3.0).data == 6.0 and len(f.programs) == 2


def test_recorded_functions_call_each_other_and_are_used_in_eager_code():
    p = Value(2.0)
    inner = record(lambda x: p * x.sin())
    outer = record(lambda x: inner(x * 2.0) + p)
    x = Value(0.3)
    y = outer(x) + inner(x)
    y.backward()
    u, q = Value(0.3), Value(2.0)
    z = q * (u * 2.0).sin() + q + q * u.sin()
    z.backward()
    assert y.data == pytest.approx(z.data, rel=1e-15)
    assert (x.grad, p.grad) == pytest.approx((u.grad, q.grad), rel=1e-14)


def test_nothing_stays_on_the_tape(nodes):
    def run():
        p = Value(2.0)
        f = record(lambda x: p * x if x > 0 else x - p)
        for k in range(50):
            f(float(k % 3 - 1)).backward()
        return nodes()

    assert run() == 1, "the parameter"
    gc.collect()
    assert nodes() == 0


def test_a_parameter_lives_as_long_as_the_function_does():
    def make():
        p = Value(4.0)
        return record(lambda x: p * x)

    f = make()
    gc.collect()
    assert f(2.0).data == 8.0
    _ = [Value(float(k)) for k in range(1000)]
    assert f(3.0).data == 12.0


# ---- training ----


def trained(loss_of, model, steps, rate=0.05, alpha=1e-4):
    """micrograd's training loop: the data losses and the parameters afterwards."""
    losses = []
    for _ in range(steps):
        loss = loss_of() + alpha * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= rate * p.grad
        losses.append(loss.data)
    return losses, [p.data for p in model.parameters()]


def model_of(seed, nin, nouts):
    random.seed(seed)
    return nn.MLP(nin, nouts)


def batch_of_moons(model):
    def hinge(x, y):
        return (1.0 - y * model(x)).relu()

    return hinge


@pytest.mark.parametrize("how", ["vmap", "record", "sample by sample"])
def test_two_moons_step_by_step(how):
    X, labels, _ = moons(40)
    xs, ys = np.array(X), np.array(labels, dtype=float)
    eager, recorded = model_of(1, 2, [8, 8, 1]), model_of(1, 2, [8, 8, 1])
    hinge = batch_of_moons(eager)
    expected = trained(lambda: tapegrad.sum([hinge(x, y) for x, y in zip(X, labels, strict=True)]) / 40, eager, 12)
    step = batch_of_moons(recorded)
    if how == "vmap":
        batch = vmap(step, reduce="mean", exact=True)
        made = trained(lambda: batch(xs, ys), recorded, 12)
    elif how == "record":
        whole = record(lambda xs, ys: sum(step(x, y) for x, y in zip(xs, ys, strict=True)) / 40)
        made = trained(lambda: whole(xs, ys), recorded, 12)
    else:
        one = record(step)
        made = trained(lambda: sum(one(x, y) for x, y in zip(xs, ys, strict=True)) / 40, recorded, 12)
    assert made[0] == pytest.approx(expected[0], rel=1e-12)
    assert made[1] == pytest.approx(expected[1], rel=1e-12, abs=1e-12)
    assert expected[0][-1] < expected[0][0]


def test_micrograds_own_model_on_our_values(monkeypatch):
    micrograd_nn = pytest.importorskip("micrograd.nn")
    monkeypatch.setattr(micrograd_nn, "Value", Value)
    X, labels, _ = moons(20)
    random.seed(2)
    theirs = micrograd_nn.MLP(2, [4, 1])
    ours = model_of(2, 2, [4, 1])
    first, second = batch_of_moons(theirs), batch_of_moons(ours)
    step = vmap(first, reduce="mean", exact=True)
    made = trained(lambda: step(np.array(X), np.array(labels, dtype=float)), theirs, 8)
    expected = trained(lambda: tapegrad.sum([second(x, y) for x, y in zip(X, labels, strict=True)]) / 20, ours, 8)
    assert made[0] == pytest.approx(expected[0], rel=1e-12)


def test_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    data = datasets.load_digits()
    X, labels = data.data[:30] / 16.0, data.target[:30]
    eager, recorded = model_of(3, 64, [6, 10]), model_of(3, 64, [6, 10])

    def cross_entropy(model):
        def loss(x, target):
            logits = model(x)
            return tapegrad.logsumexp(logits) - tapegrad.dot(logits, target)

        return loss

    targets = np.eye(10)[labels]
    plain = cross_entropy(eager)
    expected = trained(
        lambda: tapegrad.sum([plain(x, t) for x, t in zip(X.tolist(), targets.tolist(), strict=True)]) / 30, eager, 4
    )
    step = vmap(cross_entropy(recorded), reduce="mean", exact=True)
    made = trained(lambda: step(X, targets), recorded, 4)
    assert made[0] == pytest.approx(expected[0], rel=1e-12)
    assert made[1] == pytest.approx(expected[1], rel=1e-11, abs=1e-12)
    assert made[0][-1] < made[0][0]


def test_parameters_as_arguments_in_any_nesting():
    params = {"w": [Value(1.0), Value(-2.0)], "b": Value(0.5)}
    f = vmap(lambda p, x: (p["w"][0] * x[0] + p["w"][1] * x[1] + p["b"]) ** 2, (None, 0), reduce="sum")
    xs = np.arange(6.0).reshape(3, 2)
    loss = f(params, xs)
    loss.backward()
    residual = xs @ [1.0, -2.0] + 0.5
    assert loss.data == (residual**2).sum()
    assert [p.grad for p in (*params["w"], params["b"])] == [*(2 * residual @ xs), 2 * residual.sum()]


def test_values_of_the_program_may_not_be_mapped():
    with pytest.raises(TypeError, match="real numbers"):
        vmap(lambda x: x)(np.array([Value(1.0), Value(2.0)], dtype=object))
    with pytest.raises(TypeError, match="takes numbers, not Values"):
        grad(vmap(lambda w, x: w * x, (None, 0), reduce="sum"))(Value(1.0), np.arange(3.0))
