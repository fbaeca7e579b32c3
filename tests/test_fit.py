"""`tapegrad.fit`: what it learns, when it stops, and that a run which was killed goes on to the same bits."""

import copy
import hashlib
import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import states

import tapegrad
from tapegrad import Value, batch, checkpoints, fit
from tapegrad.fitting import outputs
from tapegrad.losses import cross_entropy, mse_loss, multi_margin_loss
from tapegrad.nn import MLP, Linear, ReLU, Sequential, Tanh
from tapegrad.optim import SGD, Adam, CosineAnnealingLR, ReduceLROnPlateau
from tapegrad.trainer import order

rng = np.random.default_rng(3)
CENTRES = np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
Y = rng.integers(0, 3, 150)
X = CENTRES[Y] + rng.normal(size=(150, 2))
LINE = np.linspace(-1, 1, 20)


def network(seed=1):
    return Sequential(Linear(2, 6, init="he_normal", seed=seed), ReLU(), Linear(6, 3, seed=seed + 1))


def run(model=None, **options):
    """Parameters and history of a training; and the model."""
    model = model or network()
    options = {"loss": cross_entropy, "optimizer": Adam(model.parameters(), lr=0.02), "epochs": 8, **options}
    history = fit(model, X, Y, batch_size=options.pop("batch_size", 16), **options)
    return [p.data for p in model.parameters()], history, model


# ---- training ----


@pytest.mark.parametrize("loss", [cross_entropy, multi_margin_loss])
def test_it_learns(loss):
    _, history, model = run(loss=loss, epochs=30, validation=0.2)
    assert len(history) == 30 and history.stopped == "epochs"
    assert history.losses[-1] < 0.4 * history.losses[0]
    assert min(history.accuracies[-1], history.validation_accuracies[-1]) > 0.85
    assert np.mean(outputs(model, X).argmax(axis=1) == Y) > 0.85


def test_the_steps_are_those_of_the_loop_that_one_would_write():
    model = network()
    optimizer = Adam(model.parameters(), lr=0.02)
    for epoch in (1, 2):
        samples = order(5, epoch, len(X))
        for k in range(0, len(X), 16):
            some = samples[k : k + 16]
            optimizer.zero_grad()
            cross_entropy(model(X[some].tolist()), Y[some].tolist()).backward()
            optimizer.step()
    parameters, history, _ = run(epochs=2, seed=5)
    assert np.allclose(parameters, [p.data for p in model.parameters()], rtol=1e-10, atol=1e-13)
    assert np.isclose(history.losses[-1], cross_entropy(model(X.tolist()), Y.tolist()).data, rtol=1e-10)


def test_micrograds_network_and_one_number_as_target():
    model = MLP(1, [1])
    history = fit(model, LINE[:, None], 3 * LINE + 1, loss=mse_loss, optimizer=SGD(model.parameters(), 0.3), epochs=60)
    assert [round(p.data, 3) for p in model.parameters()] == [3.0, 1.0]
    assert history.accuracies == [None] * 60


def test_any_function_that_reads_values_is_a_model():
    slope, offset = Value(0.0), Value(0.0)
    optimizer = SGD([slope, offset], lr=0.3)
    accuracy = lambda results, y: float(np.abs(results - y).max())  # noqa: E731
    history = fit(
        lambda x: slope * x if x < 0 else slope * x + offset,
        LINE,
        np.where(LINE < 0, 2 * LINE, 2 * LINE + 0.5),
        loss=mse_loss,
        optimizer=optimizer,
        epochs=100,
        accuracy=accuracy,
    )
    assert (round(slope.data, 3), round(offset.data, 3)) == (2.0, 0.5)
    assert history.accuracies[0] > 0.1 > 0.001 > history.accuracies[-1]


def test_adam_is_the_optimizer_if_none_is_given():
    with_default, by_name = network(), network()
    fit(with_default, X, Y, loss=cross_entropy, epochs=1)
    fit(by_name, X, Y, loss=cross_entropy, optimizer=Adam(by_name.parameters()), epochs=1)
    assert with_default.state_dict() == by_name.state_dict()


def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(batch, "WORTH_A_THREAD", 0)
    started = []
    thread = batch.threading.Thread
    monkeypatch.setattr(batch.threading, "Thread", lambda **options: started.append(1) or thread(**options))
    many = rng.normal(size=(40_000, 2))
    runs = []
    for threads in (1, 2, 5):
        model = network()
        history = fit(
            model, many, Y.repeat(300)[:40_000], loss=cross_entropy, epochs=2, batch_size=40_000, threads=threads
        )
        runs.append((model.state_dict(), history))
        assert bool(started) == (threads > 1)
    assert runs[0] == runs[1] == runs[2]


def test_the_seed_alone_says_in_which_order_samples_come():
    assert run(seed=1)[0] == run(seed=1)[0] != run(seed=2)[0]
    orders = [order(0, epoch, 50) for epoch in range(4)]
    assert all(sorted(samples) == list(range(50)) for samples in orders)
    assert len({tuple(samples) for samples in orders}) == 4


def test_the_validation_holds_out_or_is_given():
    _, history, _ = run(validation=0.2)
    assert len(history.validation_losses) == len(history.validation_accuracies) == 8
    _, given, _ = run(validation=(X[:10], Y[:10]))
    assert given.losses == run()[1].losses
    assert given.watched == given.validation_losses != given.losses
    assert history.losses != given.losses


# ---- stopping ----


def test_training_stops_when_the_loss_is_steady():
    _, history, _ = run(epochs=500, patience=4, tolerance=0.01)
    assert history.stopped == "steady"
    assert len(history) - history.best == 4
    lowest = history.losses[history.best - 1]
    assert all(loss >= lowest - 0.01 for loss in history.losses[history.best :])


def test_a_loss_that_falls_by_less_than_the_tolerance_is_steady_at_once():
    _, history, _ = run(epochs=500, patience=3, tolerance=1e9)
    assert (len(history), history.best, history.stopped) == (4, 1, "steady")
    assert history.losses[3] < history.losses[0]


def test_the_parameters_of_the_best_epoch_come_back():
    seen = []
    model = network()
    remember = lambda history: seen.append([p.data for p in model.parameters()])  # noqa: E731
    options = {"lr": 0.5}
    parameters, history, _ = run(
        model, optimizer=Adam(model.parameters(), **options), patience=5, epochs=50, keep_best=True, callback=remember,
        validation=0.3,
    )  # fmt: skip
    assert history.stopped == "steady" and len(seen) == len(history)
    assert parameters == seen[history.best - 1] != seen[-1]


def test_a_callback_may_end_it():
    _, history, _ = run(callback=lambda history: len(history) == 3)
    assert (len(history), history.stopped) == (3, "callback")
    assert len(run(callback=lambda history: "no bool")[1]) == 8


def test_a_loss_that_is_no_number_any_more_ends_it():
    model = network()
    with pytest.raises(FloatingPointError, match=r"epoch \d+: loss (nan|inf).*lower learning rate"):
        run(model, optimizer=SGD(model.parameters(), lr=1e200), epochs=50)


# ---- checkpoints ----

SCRIPT = """
import json, os, signal, sys
sys.path.insert(0, {tests!r})
from test_fit import run
from tapegrad import checkpoints
from tapegrad.optim import Adam

function, count = {kill!r}
if function == "step":
    owner, name = Adam, "step"
else:
    owner, name = os, "fsync"
original, calls = getattr(owner, name), 0

def killing(*args):
    global calls
    calls += 1
    if calls == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args)

setattr(owner, name, killing)
run(checkpoint={path!r}, checkpoint_every=3, validation=0.2, keep_best=True)
"""


def killed(path, function, count):
    """Train in a process of its own, which ends itself by SIGKILL in that call of the function."""
    script = SCRIPT.format(tests=os.path.dirname(__file__), kill=(function, count), path=str(path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


needs_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")


@needs_kill
@pytest.mark.parametrize("step", [2, 5, 20, 36])  # an epoch has 8 batches, a checkpoint comes after 3, 6 and 8 of them
def test_after_kill_9_in_the_middle_of_an_epoch_the_run_goes_on_to_the_same_bits(tmp_path, step):
    path = tmp_path / "run.checkpoint"
    killed(path, "step", step)
    assert path.exists() == (step > 3)
    if path.exists():
        assert checkpoints.load(path)["batches_done"] in (3, 6)
    options = {"checkpoint_every": 3, "validation": 0.2, "keep_best": True}
    parameters, history, _ = run(checkpoint=path, **options)
    assert (parameters, history) == run(**options)[:2]


@needs_kill
def test_a_kill_in_the_middle_of_writing_leaves_the_checkpoint_before(tmp_path):
    path = tmp_path / "run.checkpoint"
    killed(path, "fsync", 5)  # two a checkpoint: the third is written, but it is not yet in place
    assert sorted(os.listdir(tmp_path)) == ["run.checkpoint", "run.checkpoint.part"]
    state, newer = checkpoints.load(path), checkpoints.load(tmp_path / "run.checkpoint.part")
    assert (state["batches_done"], newer["batches_done"]) == (6, 0)
    options = {"checkpoint_every": 3, "validation": 0.2, "keep_best": True}
    assert run(checkpoint=path, **options)[:2] == run(**options)[:2]
    assert os.listdir(tmp_path) == ["run.checkpoint"]


@pytest.mark.parametrize(
    "schedule", [lambda o: CosineAnnealingLR(o, T_max=8), lambda o: ReduceLROnPlateau(o, patience=0)]
)
def test_schedules_go_on_too(tmp_path, schedule):
    def part(epochs, **options):
        model = network()
        optimizer = Adam(model.parameters(), lr=0.3)
        done = run(model, optimizer=optimizer, schedule=schedule(optimizer), epochs=epochs, **options)[:2]
        return *done, optimizer.param_groups[0]["lr"]

    path = tmp_path / "run.checkpoint"
    part(3, checkpoint=path)
    whole = part(8)
    assert part(8, checkpoint=path) == whole
    assert whole[2] < 0.3


def test_a_run_that_is_over_is_not_trained_again(tmp_path):
    path = tmp_path / "run.checkpoint"
    options = {"checkpoint": path, "patience": 2, "tolerance": 0.05, "keep_best": True}
    first = run(epochs=50, **options)
    kept = path.read_bytes()
    again = run(epochs=50, **options)
    assert first[:2] == again[:2]
    assert again[1].stopped == "steady" and path.read_bytes() == kept


def test_a_torn_checkpoint_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "run.checkpoint"
    run(checkpoint=path, epochs=1)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-20] ^= 1
    for torn in (b"", whole[:10], whole[:100], whole[:-1], whole + b"x", bytes(flipped), b"something else\n{}"):
        path.write_bytes(torn)
        model = network()
        before = model.state_dict()
        with pytest.raises(ValueError, match=r"run\.checkpoint is (damaged|no tapegrad checkpoint).*left as it was"):
            run(model, checkpoint=path)
        assert path.read_bytes() == torn
        assert model.state_dict() == before
    path.write_bytes(whole)
    assert run(checkpoint=path, epochs=2)[:2] == run(epochs=2)[:2]


def without(path, *keys):
    """The state in a checkpoint, with what is at the end of `keys` taken away."""
    state = checkpoints.load(path)
    *way, last = keys
    part = state
    for key in way:
        part = part[key]
    del part[last]
    return state


def test_a_checkpoint_made_up_by_somebody_is_refused(tmp_path):
    """The digest is no secret: what it stands over may be anything."""
    path = tmp_path / "run.checkpoint"
    run(checkpoint=path, epochs=1)
    state = checkpoints.load(path)
    made_up = [None, 7, [], {}, {"run": 3}, {**state, "batches_done": "x"}, {**state, "batches_done": -1},
               {**state, "batches_done": 10**9}, {**state, "parameters": None}, {**state, "parameters": [1.0]},
               {**state, "parameters": ["x"] * 39}, {**state, "optimizer": 7}, {**state, "history": []},
               {**state, "history": {**state["history"], "losses": 3}}, {**state, "history": {"__class__": 3}},
               *[without(path, key) for key in state], without(path, "optimizer", "param_groups", 0, "params"),
               without(path, "optimizer", "state", 0)]  # fmt: skip
    for wrong in made_up:
        checkpoints.save(path, wrong)
        with pytest.raises(ValueError, match=r"run\.checkpoint|groups of parameters|so long in the state_dict"):
            run(checkpoint=path, epochs=2)


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        (
            ("parameters", 0),
            10**400,
            r"parameters\[0\] must be .* the range of floats, not an int of 1329",
        ),
        (("parameters", 0), math.nan, r"parameters\[0\] must be a finite number, not nan"),
        (("best",), "xy", "best must be a list, not a str"),
        (("history", "losses", 0), [], r"history.losses\[0\] must be a number, not a list of 0"),
        (("history", "best"), 10**30, "history.best must be an int from 0 to"),
        (("history", "best"), 2, "history.best is 2, and there are 1 epochs"),
        (("history", "validation_losses"), [1.0], "history.validation_losses has 1 epochs, and should have 0"),
        (("history", "stopped"), "\x1b[2J", "history.stopped must be one of"),
        (("batches_done",), 1.0, "batches_done must be an int"),
        (("optimizer", "param_groups", 0, "lr"), [], r"param_groups\[0\]: lr must be a number, not list"),
        (("optimizer", "param_groups", 0, "lr"), -1, r"param_groups\[0\]: lr must be at least 0, not -1"),
        (("optimizer", "param_groups", 0, "eps"), 0, r"param_groups\[0\].eps is 0 and would be divided by"),
        (("optimizer", "param_groups", 0, "betas"), 0.5, r"param_groups\[0\]: betas must be two numbers, not float"),
        (("optimizer", "state", 0, "step"), -1, r"state\[0\].step must be an int from 0"),
        (("optimizer", "state", 0, "exp_avg"), 3, r"state\[0\].exp_avg must be a list"),
        (("optimizer", "state", 0, "exp_avg_sq", 1), -1.0, r"state\[0\].exp_avg_sq\[1\] is of squares"),
        (("optimizer", "state", 0, "x"), 1, r"state\[0\].x: Adam remembers no such thing"),
        (("schedule", "last_epoch"), {}, "last_epoch must be an int"),
        (("schedule", "T_max"), 0, "T_max must be at least 1, not 0"),
        (("schedule", "base_lrs"), [0.1, 0.1], "base_lrs has 2 rates for 1 groups"),
        (("run", "loss"), "\x1b[2J", r"is of another run: loss was \ufffd\[2J and is cross_entropy"),
    ],
)
def test_a_made_up_part_of_a_checkpoint_is_named_and_nothing_has_changed(tmp_path, place, value, text):
    path = tmp_path / "run.checkpoint"

    def parts():
        model = network()
        optimizer = Adam(model.parameters(), lr=0.3)
        return model, optimizer, CosineAnnealingLR(optimizer, T_max=8)

    model, optimizer, schedule = parts()
    run(model, optimizer=optimizer, schedule=schedule, checkpoint=path, epochs=1)
    state = checkpoints.load(path)
    part = state
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    checkpoints.save(path, state)
    model, optimizer, schedule = parts()
    before = [x.state_dict() for x in (model, optimizer, schedule)]
    with pytest.raises(ValueError, match=rf"run\.checkpoint .*{text}"):
        run(model, optimizer=optimizer, schedule=schedule, checkpoint=path, epochs=2)
    assert [x.state_dict() for x in (model, optimizer, schedule)] == before


def test_random_changes_of_checkpoints_are_refused_or_trained_on(tmp_path):
    """More of them: python tests/states.py."""
    originals = states.originals(tmp_path)
    found = [states.problem(seed, originals, str(tmp_path / "made up")) for seed in range(400)]
    found += [states.problem_of_loading(seed, originals) or "refused" for seed in range(400)]
    assert set(found) <= {"refused", "trained on", "diverged"}, [x for x in found if x.startswith("seed")]


def test_a_state_with_infinite_squares_goes_on():
    """What a gradient of 1e200 leaves: the parameter stands still, and the rest trains on."""
    optimizer = Adam([Value(1.0), Value(2.0)])
    optimizer.param_groups[0]["params"][0].grad = 1e200
    optimizer.step()
    state = json.loads(json.dumps(optimizer.state_dict()))
    assert state["state"][0]["exp_avg_sq"][0] == math.inf
    optimizer.load_state_dict(state)
    optimizer.step()


def test_a_checkpoint_nested_too_deep_is_refused(tmp_path):
    path = tmp_path / "run.checkpoint"
    content = b"[" * 200_000 + b"]" * 200_000
    path.write_bytes(f"{checkpoints.KIND} {hashlib.sha256(content).hexdigest()}\n".encode() + content)
    with pytest.raises(ValueError, match=r"run\.checkpoint is nested too deep"):
        run(checkpoint=path)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.checkpoint"
    run(checkpoint=path, epochs=1)
    kept = path.read_bytes()
    model = Sequential(Linear(2, 3))
    for options, text in (
        ({"batch_size": 8}, "batch_size was 16 and is 8"),
        ({"seed": 4}, "seed was 0 and is 4"),
        ({"validation": 0.5}, r"number of samples was \[150\] and is \[75, 75\]; digest of the data was"),
        ({"loss": multi_margin_loss}, "loss was cross_entropy and is multi_margin_loss"),
        ({"model": model, "optimizer": Adam(model.parameters(), lr=0.02)}, "number of parameters was 39 and is 9"),
        ({"optimizer": None}, "optimizer was Adam.lr=0.02.* and is Adam.lr=0.001"),
    ):
        with pytest.raises(ValueError, match=f"is of another run: {text}.*Give another file"):
            run(checkpoint=path, **options)
        assert path.read_bytes() == kept


def test_checkpoints_keep_every_bit(tmp_path):
    path = tmp_path / "state"
    numbers = [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3, 2]
    checkpoints.save(path, {"numbers": numbers, "none": None})
    assert repr(checkpoints.load(path)) == repr({"numbers": numbers, "none": None})


def test_a_checkpoint_that_cannot_be_written_says_where(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere"):
        run(checkpoint=tmp_path / "nowhere" / "run.checkpoint", epochs=1)


# ---- progress ----


def test_progress_is_shown_where_it_is_asked_for(capsys):
    pytest.importorskip("tqdm")
    run(epochs=2, progress=True)
    assert "20/20" in capsys.readouterr().err
    run(epochs=2)  # stderr is no terminal here
    run(epochs=2, progress=False)
    assert capsys.readouterr().err == ""


def test_without_tqdm_there_is_no_bar(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert len(run(epochs=2, progress=True)[1]) == 2
    assert capsys.readouterr().err == ""


# ---- what is refused ----


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"epochs": -1}, ValueError, "epochs must be at least 0, not -1"),
        ({"epochs": 1.5}, TypeError, "epochs must be an int, not 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, not 0"),
        ({"batch_size": True}, TypeError, "batch_size must be an int, not True"),
        ({"patience": 0}, ValueError, "patience must be at least 1, not 0"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every must be at least 1, not 0"),
        ({"tolerance": -1.0}, ValueError, "tolerance must be at least 0, not -1.0"),
        ({"tolerance": float("nan")}, ValueError, "tolerance must be at least 0, not nan"),
        ({"validation": 0.0}, ValueError, "validation must be a share between 0 and 1"),
        ({"validation": 1}, ValueError, "validation must be a share between 0 and 1"),
        ({"validation": 0.001}, ValueError, "holds out some of the 150 samples"),
        ({"validation": (X, Y, Y)}, ValueError, r"a pair \(X, y\), not 3 things"),
        ({"validation": (X[:3], Y[:2])}, ValueError, "validation: 3 samples and 2 targets"),
        ({"validation": (X[:, :1], Y)}, ValueError, r"the samples have shape \(1,\), those to train on \(2,\)"),
        ({"validation": (X, Y + 1)}, ValueError, "the validation has class 3, but the model gives 3 scores"),
        ({"optimizer": "adam"}, TypeError, "optimizer must be one of tapegrad.optim, made for the parameters"),
        ({"optimizer": Adam([Value(1.0)])}, ValueError, "depends on no parameter of the optimizer"),
        ({"schedule": CosineAnnealingLR(Adam([Value(1.0)]), 3)}, ValueError, "a schedule of the optimizer"),
        ({"loss": lambda scores, y: scores}, TypeError, "the loss of a sample must be one number, not a list"),
        ({"threads": 0}, ValueError, "threads must be a positive int"),
        ({"seed": 1.5}, TypeError, "float"),
    ],
)  # fmt: skip
def test_options_out_of_range(options, error, text):
    model = network()
    before = model.state_dict()
    with pytest.raises(error, match=text):
        run(model, **options)
    assert model.state_dict() == before


@pytest.mark.parametrize(
    ("X", "y", "error", "text"),
    [
        (X, Y[:-1], ValueError, "150 samples and 149 targets"),
        ([], [], ValueError, "must have one sample at least"),
        (1.0, 2.0, ValueError, "must have one sample at least"),
        ([["a", "b"]], [0], TypeError, "must be an array of real numbers, not of <U1"),
        (X[:2], ["cat", "dog"], TypeError, "names become classes by numpy.unique"),
        ([[np.nan, 1.0]], [0], ValueError, "the samples has numbers that are nan or infinite"),
        (X, Y + 1, ValueError, "y has class 3, but the model gives 3 scores: classes are 0 to 2"),
        (X, Y - 1, ValueError, "y has class -1, but"),
        (X[:, :1], Y, ValueError, "takes rows of 2, not of 1"),
    ],
)
def test_data_that_do_not_fit(X, y, error, text):
    with pytest.raises(error, match=text):
        fit(network(), X, y, loss=cross_entropy)


def test_a_model_without_parameters_needs_an_optimizer():
    with pytest.raises(TypeError, match="fit needs an optimizer"):
        fit(lambda x: x, X, Y, loss=cross_entropy)


def test_what_was_computed_before_is_refused():
    w = Value(2.0)
    half = w / 2
    with pytest.raises(ValueError, match="the model reads the result of an operation"):
        fit(lambda x: half * x, LINE, LINE, loss=mse_loss, optimizer=SGD([w]))


def test_the_reference_says_that_it_cannot():
    code = "from tapegrad import fit, nn; fit(nn.Linear(1, 1), [[1.0]], [[1.0]], loss=lambda x, t: x[0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env={**os.environ, "TAPEGRAD_PURE": "1"})  # fmt: skip
    assert "ImportError: functions are recorded by tapegrad's compiled core, and TAPEGRAD_PURE asks" in done.stderr


def test_outputs_are_arrays_of_numbers():
    model = network()
    expected = np.array([[v.data for v in row] for row in model(X.tolist())])
    assert np.allclose(outputs(model, X), expected, rtol=1e-12)
    assert outputs(Tanh(), [0.0, 1.0]).tolist() == [0.0, np.tanh(1.0)]
    with pytest.raises(ValueError, match="X must have one sample at least"):
        outputs(model, [])


def test_histories_say_what_happened():
    history = run(epochs=1, validation=0.2)[1]
    assert str(history).startswith("epoch 1: loss ") and ", validation loss " in str(history)
    assert str(copy.copy(type(history)())) == "no epoch"
    assert json.loads(json.dumps(vars(history)))["stopped"] == "epochs"
    assert tapegrad.fit is fit
