"""Optimisers, schedules and clipping: as PyTorch's over 50 steps, resumed to the bit, hostile input, on both cores."""

import json
import math
import random
from fractions import Fraction

import pytest
from conftest import ENGINES

import tapegrad.optim

STEPS = 50
START = [[1.5, -2.0, 0.0], [0.25, 4.0, -1e-3]]
CURVATURES = [[1.0, 10.0, 0.1], [3.0, 0.5, 100.0]]

CASES = [
    ("SGD", {}),
    ("SGD", {"lr": 0.01, "momentum": 0.9}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.005, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.001, "maximize": True, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.5, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("Adagrad", {"maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1, "momentum": 0.5}),
    ("RMSprop", {"centered": True, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.1, "maximize": True, "betas": (0.0, 0.0)}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.5, "amsgrad": True}),
    ("AdamW", {"lr": 0.1, "maximize": True}),
]  # fmt: skip
IDS = [f"{name}-{'-'.join(options)}" for name, options in CASES]


def values(V, rows):
    return [[V(x) for x in row] for row in rows]


def flat(rows):
    return [x for row in rows for x in row]


def loss_of(ws, target, sin):
    """Bowls of many widths with a ripple, and a minimum that moves."""
    pairs = zip(flat(CURVATURES), ws, strict=True)
    return sum((0.5 * c * (w - target) ** 2 + sin(3.0 * w) for c, w in pairs), start=0.0)


def targets():
    rng = random.Random(2)
    return [rng.gauss(0.0, 1.0) for _ in range(STEPS)]


def descend(engine, ws, optimizer, steps):
    for target in steps:
        optimizer.zero_grad()
        loss_of(flat(ws), target, engine.functions.sin).backward()
        optimizer.step()
        yield [w.data for w in flat(ws)]


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_fifty_steps_are_pytorchs(engine, torch, name, options):
    ws = values(engine.Value, START)
    optimizer = getattr(engine.optim, name)(ws, **options)
    tensor = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    theirs = getattr(torch.optim, name)([tensor], **options)
    for target, mine in zip(targets(), descend(engine, ws, optimizer, targets()), strict=True):
        theirs.zero_grad()
        loss_of(tensor.flatten(), target, torch.sin).backward()
        theirs.step()
        assert mine == pytest.approx(tensor.flatten().tolist(), rel=1e-12, abs=1e-12)
    assert all(abs(x - x0) > 1e-4 for x, x0 in zip(mine, flat(START), strict=True))


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"])
def test_defaults_are_pytorchs(engine, torch, name):
    mine = getattr(engine.optim, name)([engine.Value(0.0)]).defaults
    theirs = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).defaults
    assert mine == {option: theirs[option] for option in mine}
    machinery = {"foreach", "fused", "differentiable", "capturable"}
    assert theirs.keys() - mine.keys() <= machinery


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_both_cores_agree_and_a_state_in_json_resumes_to_the_bit(name, options):
    ends = []
    for engine in ENGINES.values():
        whole = values(engine.Value, START)
        *_, end = descend(engine, whole, getattr(engine.optim, name)(whole, **options), targets())
        ends.append(end)

        first = values(engine.Value, START)
        optimizer = getattr(engine.optim, name)(first, **options)
        *_, middle = descend(engine, first, optimizer, targets()[:20])
        kept = optimizer.state_dict()
        text = json.dumps(kept)
        state = json.loads(text)
        second = values(engine.Value, [middle[:3], middle[3:]])
        resumed = getattr(engine.optim, name)(second)
        resumed.load_state_dict(state)
        *_, end = descend(engine, second, resumed, targets()[20:])
        ends.append(end)
        optimizer.step()
        assert json.dumps(state) == json.dumps(kept) == text  # a state is a copy, where it is taken and where it goes
    assert ends[0] == ends[1] == ends[2] == ends[3]


def test_groups_have_options_of_their_own(engine, torch):
    ws = values(engine.Value, START)
    groups = [{"params": ws[0], "lr": 0.05}, {"params": ws[1:], "weight_decay": 0.5, "betas": (0.5, 0.6)}]
    optimizer = engine.optim.Adam(groups, lr=0.01)
    tensors = [torch.tensor(row, dtype=torch.float64, requires_grad=True) for row in START]
    theirs = torch.optim.Adam(
        [{"params": tensors[0], "lr": 0.05}, {"params": tensors[1], "weight_decay": 0.5, "betas": (0.5, 0.6)}], lr=0.01
    )
    for target, mine in zip(targets(), descend(engine, ws, optimizer, targets()), strict=True):
        theirs.zero_grad()
        loss_of(torch.cat(tensors), target, torch.sin).backward()
        theirs.step()
        optimizer.param_groups[0]["lr"] = theirs.param_groups[0]["lr"] = 0.05 * (1 + target**2)
        assert mine == pytest.approx(torch.cat(tensors).tolist(), rel=1e-12, abs=1e-12)
    assert [g["params"] for g in optimizer.state_dict()["param_groups"]] == [[0, 1, 2], [3, 4, 5]]
    assert groups[0] == {"params": ws[0], "lr": 0.05}  # what was handed in is as it was


def test_a_group_may_be_added(engine):
    a, b = engine.Value(1.0), engine.Value(2)
    optimizer = engine.optim.SGD([a], lr=0.5)
    optimizer.add_param_group({"params": b, "lr": 0.25})
    a.grad, b.grad = 1.0, 2
    optimizer.step()
    assert (a.data, b.data) == (0.5, 1.5)
    optimizer.zero_grad()
    assert (a.grad, b.grad) == (0, 0)
    assert repr(optimizer).startswith("SGD(lr=0.5, momentum=0, ")


def test_nothing_is_written_on_values_but_data(engine):
    x = engine.Value(1.0)
    before = dir(x), vars(x).keys()
    optimizer = engine.optim.Adam([x], amsgrad=True)
    x.grad = 3.0
    optimizer.step()
    assert (dir(x), vars(x).keys()) == before and x.grad == 3.0
    assert {type(y) for state in optimizer.state[0].values() if isinstance(state, list) for y in state} == {float}


def test_a_nan_gradient_is_not_swallowed(engine):
    for name, options in CASES:
        x, y = engine.Value(1.0), engine.Value(1.0)
        optimizer = getattr(engine.optim, name)([x, y], **options)
        x.grad = math.nan
        optimizer.step()
        assert math.isnan(x.data) and not math.isnan(y.data), name


def test_centered_variance_is_not_below_0_by_rounding(engine):
    x = engine.Value(0.0)
    optimizer = engine.optim.RMSprop([x], centered=True, alpha=0.1)
    for _ in range(60):
        x.grad = 0.3
        optimizer.step()
    assert math.isfinite(x.data)


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adam", "AdamW"])
def test_what_cannot_be_optimised_is_refused(engine, name):
    make, V = getattr(engine.optim, name), engine.Value
    x = V(1.0)
    for nothing in ([], (), iter([])):
        with pytest.raises(ValueError, match="got no parameters"):
            make(nothing)
    for wrong in (x, {"params": [x]}, None, 3.0, [1.0], ["x"], [x, None], [{"lr": 1.0}], [{"params": [x]}, x], "ab"):
        with pytest.raises(TypeError):
            make(wrong)
    for twice in ([x, x], [{"params": [x]}, {"params": [x]}]):
        with pytest.raises(ValueError, match="more than once"):
            make(twice)
    with pytest.raises(ValueError, match="result of an operation"):
        make([x * 2])
    with pytest.raises(ValueError, match="has no option speed"):
        make([{"params": [x], "speed": 3.0}])
    for lr in (-1e-9, math.nan, -math.inf):
        with pytest.raises(ValueError, match="lr must be at least 0"):
            make([x], lr=lr)
        with pytest.raises(ValueError, match="lr must be at least 0"):
            make([{"params": [x], "lr": lr}])
    for lr in ("0.1", None, x, 1j, [0.1]):
        with pytest.raises(TypeError, match="lr must be a number, not"):
            make([x], lr=lr)
    make([x], lr=Fraction(1, 10)).step()
    assert x.data in (1.0, 0.999)  # AdamW decays


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"momentum": -0.1}), ("SGD", {"weight_decay": -1}), ("SGD", {"nesterov": True}),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}), ("Adagrad", {"lr_decay": -1}),
        ("Adagrad", {"initial_accumulator_value": -1}), ("Adagrad", {"eps": -1}), ("RMSprop", {"alpha": -0.1}),
        ("RMSprop", {"momentum": -0.1}), ("Adam", {"betas": (1.0, 0.9)}), ("Adam", {"betas": (0.9, -0.1)}),
        ("Adam", {"betas": (0.9, math.nan)}), ("AdamW", {"weight_decay": -0.1}), ("AdamW", {"eps": math.nan}),
    ],
)  # fmt: skip
def test_options_that_pytorch_refuses_are_refused(engine, torch, name, options):
    with pytest.raises(ValueError):
        getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)], **options)
    with pytest.raises(ValueError):
        getattr(engine.optim, name)([engine.Value(0.0)], **options)


def test_betas_are_two(engine):
    for wrong, error in (((0.9,), ValueError), ((0.9, 0.9, 0.9), ValueError), (0.9, TypeError), ("ab", TypeError)):
        with pytest.raises(error):
            engine.optim.Adam([engine.Value(0.0)], betas=wrong)


def test_a_state_that_does_not_fit_changes_nothing(engine):
    def adam(*sizes):
        return engine.optim.Adam([{"params": [engine.Value(1.0) for _ in range(n)]} for n in sizes])

    optimizer = adam(2, 1)
    optimizer.step()
    before = optimizer.state_dict()
    other = adam(2, 1).state_dict()
    broken = {"state": [{"exp_avg": [1.0]}, {}], "param_groups": other["param_groups"]}
    negative = {**other, "param_groups": [{**g, "lr": -1.0} for g in other["param_groups"]]}
    sgd = engine.optim.SGD([{"params": [engine.Value(1.0) for _ in range(n)]} for n in (2, 1)])
    for state in (adam(3).state_dict(), adam(1, 2).state_dict(), sgd.state_dict(), broken, negative):
        with pytest.raises(ValueError):
            optimizer.load_state_dict(state)
        assert optimizer.state_dict() == before
    for state in ({}, [], None):
        with pytest.raises(ValueError, match=r"param_groups is missing|must be a dict"):
            optimizer.load_state_dict(state)


# ---- schedules ----

SCHEDULES = [
    ("StepLR", {"step_size": 7, "gamma": 0.5}),
    ("StepLR", {"step_size": 20}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 50, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 15}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.95**epoch}),
    ("LambdaLR", {"lr_lambda": [lambda epoch: 1 / (1 + epoch), lambda epoch: min(1, epoch / 10)]}),
]


def both_optimizers(engine, torch):
    mine = engine.optim.SGD([{"params": engine.Value(0.0)}, {"params": engine.Value(0.0), "lr": 0.3}], lr=0.1)
    zeros = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    theirs = torch.optim.SGD([{"params": zeros[0]}, {"params": zeros[1], "lr": 0.3}], lr=0.1)
    return mine, theirs


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize(("name", "options"), SCHEDULES)
def test_schedules_are_pytorchs(engine, torch, name, options):
    mine, theirs = both_optimizers(engine, torch)
    schedule = getattr(engine.optim, name)(mine, **options)
    expected = getattr(torch.optim.lr_scheduler, name)(theirs, **options)
    seen = set()
    for _ in range(STEPS):
        assert rates(mine) == schedule.get_last_lr() == pytest.approx(rates(theirs), rel=1e-12, abs=1e-15)
        seen.add(rates(mine)[0])
        theirs.step()
        schedule.step()
        expected.step()
    assert len(seen) > 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patience": 2, "factor": 0.5, "cooldown": 2},
        {"mode": "max", "patience": 1, "threshold": 0.1},
        {"patience": 0, "threshold": 0.3, "threshold_mode": "abs", "min_lr": 1e-3},
        {"mode": "max", "patience": 0, "threshold_mode": "abs", "factor": 0.9, "eps": 5e-3},
    ],
)
def test_reduce_on_plateau_is_pytorchs(engine, torch, options):
    mine, theirs = both_optimizers(engine, torch)
    schedule = engine.optim.ReduceLROnPlateau(mine, **options)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    rng = random.Random(9)
    for epoch in range(STEPS):
        metric = math.nan if epoch == 5 else 1 + rng.random() / (1 + epoch % 9)
        schedule.step(engine.Value(metric) if epoch % 2 else metric)
        expected.step(metric)
        assert rates(mine) == pytest.approx(rates(theirs), rel=1e-12)
    assert rates(mine)[0] < 0.1


@pytest.mark.parametrize(("name", "options"), [*SCHEDULES, ("ReduceLROnPlateau", {"patience": 1})])
def test_a_schedule_resumes(engine, name, options):
    def make():
        optimizer = engine.optim.SGD([{"params": engine.Value(0.0)}, {"params": engine.Value(1.0)}], lr=0.1)
        return optimizer, getattr(engine.optim, name)(optimizer, **options)

    metric = (1.0,) if name == "ReduceLROnPlateau" else ()
    (optimizer, schedule), (other, resumed) = make(), make()
    for _ in range(8):
        schedule.step(*metric)
    state = json.loads(json.dumps([optimizer.state_dict(), schedule.state_dict()]))
    other.load_state_dict(state[0])
    resumed.load_state_dict(state[1])
    for _ in range(15):
        assert rates(other) == rates(optimizer)
        schedule.step(*metric)
        resumed.step(*metric)
    assert rates(other) == rates(optimizer) != [0.1, 0.1]


def test_wrong_schedules(engine):
    optim = engine.optim
    optimizer = optim.SGD([engine.Value(0.0)], lr=0.1)
    for make in (
        lambda: optim.StepLR(optimizer, 0),
        lambda: optim.CosineAnnealingLR(optimizer, 0),
        lambda: optim.LambdaLR(optimizer, [lambda epoch: 1.0] * 2),
        lambda: optim.ReduceLROnPlateau(optimizer, factor=1.0),
        lambda: optim.ReduceLROnPlateau(optimizer, factor=math.nan),
        lambda: optim.ReduceLROnPlateau(optimizer, mode="most"),
        lambda: optim.ReduceLROnPlateau(optimizer, threshold_mode="relative"),
        lambda: optim.StepLR(optimizer, 1).load_state_dict(optim.ExponentialLR(optimizer, 0.5).state_dict()),
    ):
        with pytest.raises(ValueError):
            make()
    for make in (
        lambda: optim.StepLR([engine.Value(0.0)], 3),
        lambda: optim.StepLR(None, 3),
        lambda: optim.StepLR(optimizer, "3"),
        lambda: optim.ReduceLROnPlateau("optimizer"),
        lambda: optim.ReduceLROnPlateau(optimizer).step(None),
        lambda: optim.ExponentialLR(optimizer, "0.9").step(),
    ):
        with pytest.raises(TypeError):
            make()


# ---- clipping ----


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.0, 0.5, 4.0, 100.0])
@pytest.mark.parametrize("grads", [[3.0, -4.0, 0.1], [0.0, 0.0, 0.0], [1.0, math.nan, 2.0], [1e-8, 1e8, 1.0]])
def test_clip_grad_norm_is_pytorchs(engine, torch, norm_type, max_norm, grads):
    ws = [engine.Value(1.0) for _ in grads]
    tensors = [torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in grads]
    for w, t, g in zip(ws, tensors, grads, strict=True):
        w.grad, t.grad = g, torch.tensor(g, dtype=torch.float64)
    norm = engine.optim.clip_grad_norm_([ws[:1], ws[1:]], max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(tensors, max_norm, norm_type)
    assert norm == pytest.approx(expected.item(), rel=1e-12, nan_ok=True)
    assert [w.grad for w in ws] == pytest.approx([t.grad.item() for t in tensors], rel=1e-12, abs=0.0, nan_ok=True)
    if math.isnan(norm):
        with pytest.raises(RuntimeError, match="nan"):
            engine.optim.clip_grad_norm_(ws, max_norm, norm_type, error_if_nonfinite=True)


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0])
def test_the_norm_of_huge_gradients_does_not_overflow(engine, norm_type):
    ws = [engine.Value(0.0), engine.Value(0.0)]
    for w in ws:
        w.grad = 1e300
    assert engine.optim.clip_grad_norm_(ws, 1.0, norm_type) == pytest.approx(1e300 * 2 ** (1 / norm_type))
    assert [w.grad for w in ws] == pytest.approx([2 ** (-1 / norm_type)] * 2)


def test_clip_grad_value(engine, torch):
    for grads in ([3.0, -4.0, 0.1], [math.inf, -math.inf, math.nan], [0, -1, 2]):
        ws = [engine.Value(1.0) for _ in grads]
        for w, g in zip(ws, grads, strict=True):
            w.grad = g
        engine.optim.clip_grad_value_(iter(ws), 0.5)
        expected = torch.tensor(grads, dtype=torch.float64).clamp(-0.5, 0.5).tolist()
        assert [w.grad for w in ws] == pytest.approx(expected, abs=0.0, nan_ok=True)


def test_wrong_clips(engine):
    x = engine.Value(1.0)
    x.grad = 2.0
    optim = engine.optim
    for clip in (
        lambda: optim.clip_grad_norm_([x], -1.0),
        lambda: optim.clip_grad_norm_([x], math.nan),
        lambda: optim.clip_grad_norm_([x], 1.0, 0),
        lambda: optim.clip_grad_norm_([x], 1.0, -math.inf),
        lambda: optim.clip_grad_value_([x], -1.0),
        lambda: optim.clip_grad_value_([x], math.nan),
    ):
        with pytest.raises(ValueError):
            clip()
    for clip in (
        lambda: optim.clip_grad_norm_([x, 1.0], 1.0),
        lambda: optim.clip_grad_norm_([x], "1"),
        lambda: optim.clip_grad_value_([None], 1.0),
        lambda: optim.clip_grad_value_(3.0, 1.0),
    ):
        with pytest.raises(TypeError):
            clip()
    assert x.grad == 2.0
    assert optim.clip_grad_norm_([], 1.0) == 0.0
    assert optim.clip_grad_norm_(x, 1.0) == 2.0 and x.grad == pytest.approx(1.0, rel=1e-6)


def test_a_network_learns(engine):
    """The exclusive or, by every optimiser."""
    nn, L = engine.nn, engine.losses
    inputs, classes = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
    for name, lr in (("SGD", 0.5), ("Adagrad", 0.2), ("RMSprop", 0.02), ("Adam", 0.05), ("AdamW", 0.05)):
        model = nn.Sequential(nn.Linear(2, 6, seed=1), nn.Tanh(), nn.Linear(6, 2, seed=2))
        optimizer = getattr(engine.optim, name)(model.parameters(), lr=lr)
        for _ in range(150):
            optimizer.zero_grad()
            loss = L.cross_entropy(model(inputs), classes)
            loss.backward()
            optimizer.step()
        assert loss.data < 0.1, name


def test_every_public_name_is_there():
    for module in (tapegrad.optim, tapegrad.losses, tapegrad.nn):
        assert [name for name in module.__all__ if not callable(getattr(module, name))] == []
