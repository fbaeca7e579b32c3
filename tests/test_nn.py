"""Layers beyond micrograd's: numbers and gradients as PyTorch's, initialisation, state, hostile input."""

import copy
import json
import math
import pickle
import random
from fractions import Fraction

import numpy as np
import pytest
from conftest import ENGINES

import tapegrad.nn
from tapegrad import reference

INPUT = [[0.5, -1.5, 2.0], [1e-3, 0.25, -4.0]]


def leaves(x):
    return [z for y in x for z in leaves(y)] if isinstance(x, list) else [x]


def values(V, x):
    return [values(V, y) for y in x] if isinstance(x, list) else V(x)


ACTIVATIONS = {
    "ReLU": ((), "ReLU()"),
    "LeakyReLU": ((0.2,), "LeakyReLU(negative_slope=0.2)"),
    "Sigmoid": ((), "Sigmoid()"),
    "Tanh": ((), "Tanh()"),
    "Softmax": ((), "Softmax()"),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("x", [INPUT, INPUT[0], [[[1e4, -1e4], [0.5, 3.0]]]])
def test_activations_are_pytorchs(engine, torch, name, x):
    arguments, text = ACTIVATIONS[name]
    module = getattr(engine.nn, name)(*arguments)
    assert repr(module) == text and module.parameters() == [] and module.state_dict() == {}
    vs = values(engine.Value, x)
    ys = module(vs)
    seeds = [1.0 + k for k in range(len(leaves(ys)))]
    engine.dot(seeds, leaves(ys)).backward()

    tx = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    expected = getattr(torch.nn, name)(*arguments, **({"dim": -1} if name == "Softmax" else {}))(tx)
    (expected.flatten() * torch.tensor(seeds)).sum().backward()
    assert np.shape(ys) == tuple(expected.shape)
    assert [y.data for y in leaves(ys)] == pytest.approx(expected.flatten().tolist(), rel=1e-12, abs=1e-300)
    assert [v.grad for v in leaves(vs)] == pytest.approx(tx.grad.flatten().tolist(), rel=1e-12, abs=1e-15)
    for other in (tuple(x), np.array(vs, dtype=object), np.array(x)):
        assert [getattr(y, "data", y) for y in leaves(module(other))] == [y.data for y in leaves(ys)]


def test_default_slope_of_leaky_relu(engine):
    assert engine.nn.LeakyReLU()(engine.Value(-2.0)).data == -0.02


def networks(nn, torch):
    ours = nn.Sequential(
        nn.Linear(3, 4, seed=1),
        nn.Tanh(),
        nn.Sequential(nn.Linear(4, 4, bias=False, seed=2), nn.ReLU()),
        nn.Linear(4, 2),
    )
    t = torch.nn
    theirs = t.Sequential(
        t.Linear(3, 4), t.Tanh(), t.Sequential(t.Linear(4, 4, bias=False), t.ReLU()), t.Linear(4, 2)
    ).double()
    return ours, theirs


def test_a_network_is_pytorchs_from_its_own_state(engine, torch):
    torch.manual_seed(3)
    ours, theirs = networks(engine.nn, torch)
    ours.load_state_dict(theirs.state_dict())
    assert ours.state_dict() == {name: t.tolist() for name, t in theirs.state_dict().items()}
    assert list(ours.state_dict()) == ["0.weight", "0.bias", "2.0.weight", "3.weight", "3.bias"]
    x = values(engine.Value, INPUT)
    loss = engine.losses.cross_entropy(ours(x), [1, 0])
    loss.backward()
    tx = torch.tensor(INPUT, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(theirs(tx), torch.tensor([1, 0]))
    expected.backward()
    assert loss.data == pytest.approx(expected.item(), rel=1e-12)
    grads = [g for t in theirs.parameters() for g in t.grad.flatten().tolist()]
    assert [p.grad for p in ours.parameters()] == pytest.approx(grads, rel=1e-12, abs=1e-15)
    assert [v.grad for v in leaves(x)] == pytest.approx(tx.grad.flatten().tolist(), rel=1e-12, abs=1e-15)
    ours.zero_grad()
    assert not any(p.grad for p in ours.parameters())


def test_linear_takes_a_row_a_batch_and_numbers(engine):
    layer = engine.nn.Linear(3, 2, seed=0)
    one = [y.data for y in layer(INPUT[0])]
    assert len(one) == 2
    for x in (values(engine.Value, INPUT), INPUT, tuple(map(tuple, INPUT)), np.array(INPUT), [INPUT][0]):
        ys = layer(x)
        assert [y.data for y in ys[0]] == one and np.shape(ys) == (2, 2)
    assert np.shape(layer([INPUT, INPUT])) == (2, 2, 2)


def test_maxout_is_the_largest_of_its_pieces(engine, torch):
    layer = engine.nn.Maxout(3, 2, pieces=4, seed=5)
    assert repr(layer) == "Maxout(in_features=3, out_features=2, bias=True, pieces=4)"
    x = values(engine.Value, INPUT)
    ys = layer(x)
    engine.dot([1.0, 2.0, 3.0, 4.0], leaves(ys)).backward()
    w, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in layer.state_dict().values())
    tx = torch.tensor(INPUT, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.linear(tx, w, b).view(2, 2, 4).amax(-1)
    (expected.flatten() * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert [y.data for y in leaves(ys)] == pytest.approx(expected.flatten().tolist(), rel=1e-12)
    for mine, theirs in ((x, tx), (layer.weight, w), (layer.bias, b)):
        assert [v.grad for v in leaves(mine)] == pytest.approx(theirs.grad.flatten().tolist(), rel=1e-12, abs=1e-15)


# ---- initialisation ----

FAN_IN, FAN_OUT = 60, 90
DEVIATIONS = {
    "xavier_uniform": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "xavier_normal": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "kaiming_uniform": math.sqrt(2 / FAN_IN),
    "kaiming_normal": math.sqrt(2 / FAN_IN),
    "default": math.sqrt(1 / 3 / FAN_IN),
}


@pytest.mark.parametrize("init", DEVIATIONS)
def test_initial_weights_have_the_distribution_of_pytorchs(torch, init):
    layer = tapegrad.nn.Linear(FAN_IN, FAN_OUT, init=init, seed=7)
    ws = [w.data for w in leaves(layer.weight)]
    theirs = torch.nn.Linear(FAN_IN, FAN_OUT)
    if init != "default":
        generator = torch.Generator().manual_seed(7)
        options = {"nonlinearity": "relu"} if init.startswith("kaiming") else {}
        getattr(torch.nn.init, init + "_")(theirs.weight, **options, generator=generator)
    deviation = math.sqrt(sum(w * w for w in ws) / len(ws))
    assert deviation == pytest.approx(DEVIATIONS[init], rel=0.03)
    assert deviation == pytest.approx(theirs.weight.std().item(), rel=0.05)
    assert abs(sum(ws) / len(ws)) < 0.05 * deviation
    largest = max(map(abs, ws)) / DEVIATIONS[init]
    if init.endswith("normal"):
        assert largest > 3.0
        assert sum(abs(w) < deviation for w in ws) / len(ws) == pytest.approx(0.6827, abs=0.03)
    else:
        assert math.sqrt(3.0) * 0.995 < largest <= math.sqrt(3.0)
        assert sum(abs(w) < deviation for w in ws) / len(ws) == pytest.approx(1 / math.sqrt(3.0), abs=0.03)
    bias = [b.data for b in layer.bias]
    if init == "default":
        assert 0.9 < max(map(abs, bias)) * math.sqrt(FAN_IN) <= 1.0 and theirs.bias.abs().max() <= 1 / math.sqrt(FAN_IN)
    else:
        assert bias == [0.0] * FAN_OUT


def test_gain_multiplies_and_other_names_are_the_same(engine):
    def weights(**options):
        return [w.data for w in leaves(engine.nn.Linear(3, 2, seed=1, **options).weight)]

    for name, other in (("xavier", "glorot"), ("kaiming", "he")):
        for distribution in ("uniform", "normal"):
            init = f"{name}_{distribution}"
            assert weights(init=init) == weights(init=f"{other}_{distribution}")
            usual = math.sqrt(2.0) if name == "kaiming" else 1.0
            assert weights(init=init, gain=3.0 * usual) == pytest.approx([3.0 * w for w in weights(init=init)])


def test_gains_are_pytorchs(engine, torch):
    gain = engine.nn.calculate_gain
    for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert gain(name) == torch.nn.init.calculate_gain(name)
    assert gain("leaky_relu", 0.5) == torch.nn.init.calculate_gain("leaky_relu", 0.5)
    with pytest.raises(ValueError, match="one of leaky_relu, linear, relu, selu, sigmoid, tanh, not 'gelu'"):
        gain("gelu")


def test_seeds(engine):
    def weights(seed):
        return engine.nn.Linear(2, 3, seed=seed).state_dict()

    assert weights(1) == weights(1) != weights(2)
    random.seed(4)
    first, second = weights(None), weights(None)
    random.seed(4)
    assert first == weights(None) != second
    shared = random.Random(4)
    assert [weights(shared), weights(shared)] == [first, second]
    random.seed(4)
    expected = random.random()
    random.seed(4)
    weights(1)
    assert random.random() == expected  # a seeded layer leaves Python's own generator alone


def test_both_cores_draw_and_compute_the_same_bits():
    results = []
    for engine in ENGINES.values():
        nn = engine.nn
        model = nn.Sequential(nn.Maxout(3, 4, pieces=3, seed=1), nn.LeakyReLU(), nn.Linear(4, 3, seed=2), nn.Softmax())
        ys = model(INPUT)
        engine.dot(range(1, 7), leaves(ys)).backward()
        results.append(repr((ys, model.parameters())))
    assert results[0] == results[1]


# ---- modules and their state ----


def test_parameters_are_found_in_attributes(engine):
    nn, V = engine.nn, engine.Value

    class Net(nn.Module):
        def __init__(self):
            self.scale = V(2.0)
            self.hidden = nn.Linear(2, 2, seed=0)
            self.heads = {"a": nn.Linear(2, 1, bias=False, seed=1), "b": [nn.Tanh(), V(1.0)]}
            self.ragged = [[V(1.0)], [V(2.0), V(3.0)]]
            self.same = self.hidden
            self.other = ("text", 3, None, [], {}, [1.0, 2.0], np.zeros(2))

    net = Net()
    names = ["scale", "hidden.weight", "hidden.bias", "heads.a.weight", "heads.b.1", "ragged.0", "ragged.1"]
    assert [name for name, _ in net.named_parameters()] == [*names, "same.weight", "same.bias"]
    assert len(net.parameters()) == 1 + 6 + 2 + 1 + 3
    assert dict(net.named_parameters())["hidden.weight"] is net.hidden.weight
    net.hidden.bias[0].grad = 3.0
    net.zero_grad()
    assert net.hidden.bias[0].grad == 0
    state = net.state_dict()
    for p in net.parameters():
        p.data = 0.5
    net.load_state_dict(state)
    assert net.state_dict() == state and state["scale"] == 2.0 and state["ragged.1"] == [2.0, 3.0]


def test_state_of_micrograds_networks(engine):
    random.seed(1)
    model = engine.nn.MLP(2, [2, 1])
    state = json.loads(json.dumps(model.state_dict()))
    assert list(state)[:2] == ["layers.0.neurons.0.w", "layers.0.neurons.0.b"]
    other = engine.nn.MLP(2, [2, 1])
    assert repr(other.parameters()) != repr(model.parameters())
    other.load_state_dict(state)
    assert repr(other.parameters()) == repr(model.parameters())  # ints are ints again


def test_a_state_is_plain_numbers_and_comes_back_to_the_bit(engine):
    model = engine.nn.Sequential(engine.nn.Linear(2, 3, seed=1), engine.nn.Maxout(3, 1, pieces=2, seed=2))
    model.parameters()[0].data = 0.1 + 0.2
    state = model.state_dict()
    text = json.dumps(state)
    for p in model.parameters():
        p.data = 7.0
    assert json.dumps(state) == text  # it is a copy
    model.load_state_dict(json.loads(text))
    assert model.state_dict() == state
    model.load_state_dict({name: np.array(x) for name, x in state.items()})
    assert model.state_dict() == state
    if engine.name == "compiled":
        net = tapegrad.nn.Linear(2, 1, seed=1)
        assert pickle.loads(pickle.dumps(net)).state_dict() == copy.deepcopy(net).state_dict() == net.state_dict()


def test_a_state_that_does_not_fit_changes_nothing(engine):
    model = engine.nn.Sequential(engine.nn.Linear(2, 2, seed=1), engine.nn.Tanh(), engine.nn.Linear(2, 1, seed=2))
    before = model.state_dict()
    good = {
        name: [[9.0 for _ in row] for row in x] if "weight" in name else [9.0 for _ in x] for name, x in before.items()
    }
    with pytest.raises(ValueError) as error:
        model.load_state_dict({"0.weight": [[1.0], [2.0]], "0.bias": [9.0, 9.0], "3.bias": [1.0], "a": 1})
    assert str(error.value).splitlines() == [
        "cannot load the state_dict into Sequential:",
        "    Missing key(s) in state_dict: '2.bias', '2.weight'",
        "    Unexpected key(s) in state_dict: '3.bias', 'a'",
        "    size mismatch for '0.weight': (2, 1) in state_dict, (2, 2) in the model",
    ]
    for wrong, error in (
        ("a", TypeError),
        (None, TypeError),
        (engine.Value(1.0), TypeError),
        (1j, TypeError),
        (10**400, OverflowError),
    ):
        with pytest.raises(error):
            model.load_state_dict({**good, "2.bias": [wrong]})
    for wrong in ([1.0, 2.0], 1.0, [[1.0]], []):
        with pytest.raises(ValueError, match=r"size mismatch for '2.bias'"):
            model.load_state_dict({**good, "2.bias": wrong})
    with pytest.raises(ValueError, match="one shape"):
        model.load_state_dict({**good, "0.weight": [[1.0], [1.0, 2.0]]})
    with pytest.raises(TypeError, match="not list"):
        model.load_state_dict([1.0])
    with pytest.raises(ValueError, match="size mismatch"):
        model.load_state_dict({"0.bias": [9.0], "2.bias": [9.0]}, strict=False)
    assert model.state_dict() == before
    model.load_state_dict({"0.bias": [9.0, Fraction(1, 2)], "more": "x"}, strict=False)
    assert model.state_dict() == {**before, "0.bias": [9.0, 0.5]}
    model.load_state_dict({**good, "2.bias": [math.nan]})
    assert math.isnan(model[2].bias[0].data)


def test_parameters_that_no_name_leads_to_are_not_lost_silently(engine):
    class Hidden(engine.nn.Module):
        def __init__(self):
            self.box = {engine.Value(1.0)}

        def parameters(self):
            return list(self.box)

    with pytest.raises(ValueError, match="1 parameters have no name: no attribute of Hidden leads to them"):
        Hidden().state_dict()


def test_sequential(engine):
    nn = engine.nn
    layers = [nn.Linear(2, 2), nn.ReLU()]
    model = nn.Sequential(*layers)
    assert len(model) == 2 and list(model) == layers and model[1] is layers[1] and model[-1] is layers[1]
    assert repr(nn.Sequential(model)).splitlines()[1:3] == [
        "  (0): Sequential(",
        "    (0): Linear(in_features=2, out_features=2, bias=True)",
    ]
    assert repr(nn.Sequential()) == "Sequential()" and nn.Sequential()([1.0]) == [1.0]
    shared = nn.Sequential(layers[0], layers[0])
    assert len(shared.parameters()) == 6 and len(shared.state_dict()) == 4
    micrograds = nn.Sequential(nn.Layer(2, 3), nn.Layer(3, 1))
    assert type(micrograds([1.0, 2.0])) is engine.Value and len(micrograds.state_dict()) == 8
    for wrong in (3, None, engine.Value(1.0), math.tanh, [nn.ReLU()]):
        with pytest.raises(TypeError, match="made of Modules"):
            nn.Sequential(wrong)


def test_layers_refuse_what_does_not_fit(engine):
    nn, V = engine.nn, engine.Value
    layer = nn.Linear(2, 1)
    for wrong in ([], [1.0], [1.0, 2.0, 3.0], [[1.0, 2.0], [1.0]], np.zeros((2, 3))):
        with pytest.raises(ValueError, match=r"takes rows of 2, not of \d"):
            layer(wrong)
    for wrong in (1.0, V(1.0), None, "ab", {1.0, 2.0}, {1: 1.0, 2: 2.0}, iter([1.0, 2.0])):
        with pytest.raises(TypeError, match="takes lists, tuples or arrays"):
            layer(wrong)
    with pytest.raises(TypeError):
        layer(["a", "b"])
    assert math.isnan(layer([math.nan, 1.0])[0].data)
    for sizes in ((0, 1), (1, 0), (-1, 2)):
        with pytest.raises(ValueError, match="at least one input"):
            nn.Linear(*sizes)
    for sizes in ((1.0, 2), ("1", 2), (2, None), (V(1), 2)):
        with pytest.raises(TypeError):
            nn.Linear(*sizes)
    with pytest.raises(ValueError, match="pieces must be at least 1"):
        nn.Maxout(2, 2, pieces=0)
    for init in ("", "xavier", "uniform", "he_", "kaiming_uniform_", "Xavier_uniform", "default_uniform"):
        with pytest.raises(ValueError, match="init must be 'default', 'xavier_uniform'"):
            nn.Linear(2, 2, init=init)


class Unknown:
    def __bool__(self):
        raise AssertionError("the truth of a comparison of Values was asked for")


def test_no_layer_looks_at_a_number(monkeypatch):
    """Inside a recorded function data may not be read, nor a comparison decided."""

    def data(self):
        raise AssertionError("the data of a Value was read")

    nn, V = ENGINES["reference"].nn, reference.Value
    layers = [nn.Linear(3, 4, seed=1), nn.ReLU(), nn.Maxout(4, 4, seed=2), nn.LeakyReLU(), nn.Linear(4, 3, seed=3)]
    model = nn.Sequential(*layers, nn.Tanh(), nn.Sigmoid(), nn.Softmax())
    x = values(V, INPUT)
    monkeypatch.setattr(V, "data", property(data))
    for comparison in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__"):
        monkeypatch.setattr(V, comparison, lambda self, other: Unknown())
    model(x)[0][0].backward()
    monkeypatch.undo()
    assert all(v.grad != 0 for v in x[0])
