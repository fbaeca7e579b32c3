"""The programs in examples/: the compiled core and the reference print the same characters, and they make sense."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
pytestmark = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="examples/ are in the repository, not in a wheel")

SMALL = {
    "adamw": ("--steps", "20"),
    "digits": ("--epochs", "30"),
    "draw_graph": ("--inputs", "3"),
    "gpt": ("--steps", "6", "--samples", "3"),
    "gpt_own_value": ("--steps", "6", "--samples", "3"),
    "implied_volatility": ("--strikes", "5"),
    "pendulum": ("--steps", "480", "--iterations", "12"),
    "recall": ("--steps", "60"),
    "recorded_digits": ("--epochs", "5"),
    "recorded_moons": ("--steps", "40", "--points", "60"),
    "tornado": (),
    "two_moons": ("--points", "40", "--steps", "31"),
}
RECORDED = {"digits", "recorded_digits", "recorded_moons"}  # these need the compiled core


@functools.cache
def run(name: str, pure: bool = False) -> tuple[str, str]:
    """What the example prints to stdout and to stderr."""
    if name == "digits":
        pytest.importorskip("sklearn")
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *SMALL[name]]
    environment = {**os.environ, "TAPEGRAD_PURE": "1" if pure else ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def printed(name: str) -> str:
    out, err = run(name)
    assert err == ""
    return out


def numbers(pattern: str, text: str) -> list[float]:
    """The numbers that follow the pattern."""
    return [float(x) for x in re.findall(pattern + r" (-?[\d.]+(?:e-?\d+)?)", text)]


def test_every_example_is_tested_and_in_the_list():
    names = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    assert names == sorted(SMALL)
    readme = (EXAMPLES / "README.md").read_text()
    assert [name for name in names if f"python examples/{name}.py" not in readme] == []


@pytest.mark.parametrize("name", [name for name in SMALL if name not in {"gpt_own_value", *RECORDED}])
def test_the_reference_prints_the_same_characters(name):
    assert run(name) == run(name, pure=True)


@pytest.mark.parametrize("name", SMALL)
def test_docstring_says_how_to_run_it(name):
    assert f"    python examples/{name}.py" in (EXAMPLES / f"{name}.py").read_text().split('"""')[1]


# ---- what they print ----


def test_gpt_prints_what_its_twin_with_a_plain_class_prints():
    assert printed("gpt") == printed("gpt_own_value")


def test_gpt_with_its_plain_class_replaced_prints_the_same():
    script = str(EXAMPLES / "gpt_own_value.py")
    command = [sys.executable, "-m", "tapegrad", "run", "--replace", "Value", script, *SMALL["gpt_own_value"]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, printed("gpt")), done.stderr


def test_the_two_gpts_differ_in_their_class_only():
    ours = (EXAMPLES / "gpt.py").read_text()
    own = (EXAMPLES / "gpt_own_value.py").read_text()
    own_class = re.search(r"\n\nclass Value:\n.*?\n\n\n(?=\S)", own, flags=re.DOTALL)
    assert own_class is not None and "tapegrad" not in own_class[0]
    assert own.replace(own_class[0], "\nfrom tapegrad import Value\n\n") == ours


def test_gpt_learns():
    losses = numbers(r"step \d+ loss", printed("gpt"))
    [blind] = numbers("blind guess:", printed("gpt"))
    assert len(losses) == 6 and all(0 < loss < 2 * blind for loss in losses)
    assert losses[-1] < losses[0]
    assert len(re.findall(r"^sample \d [a-z]*$", printed("gpt"), flags=re.MULTILINE)) == 3


def test_names_are_plain_and_different():
    names = (EXAMPLES / "names.txt").read_text().split()
    assert len(set(names)) == len(names) >= 200
    assert all(re.fullmatch("[a-z]{2,12}", name) for name in names)


def test_recall_learns_to_remember():
    losses = numbers(r"step \d+ loss", printed("recall"))
    assert losses[-1] < 0.1 < losses[0]
    assert "right on 32 of all 64" in printed("recall")
    assert numbers("right", printed("recall"))[-1] >= 60


def test_draw_graph_draws_every_node_and_calls_the_patched_method():
    out, err = run("draw_graph")
    assert out.startswith("digraph {") and out.endswith("}\n")
    nodes, operations, arrows = (out.count(part) for part in ("shape=record", "shape=circle", " -> "))
    assert (out.count("| data"), nodes, operations) == (14, 1, 7)  # 3 x, 3 w, bias; 3 products, 3 sums, tanh
    assert arrows == 7 + 13
    assert err == "14 nodes, 13 edges; called: tanh, derivative; largest error of a grad: 0.0\n"


def test_adamw_learns():
    losses = numbers(r"step \d+ loss", printed("adamw"))
    assert losses[-1] < losses[0] / 2
    assert numbers("held-out accuracy", printed("adamw"))[-1] > 85


def test_pendulum_finds_its_start():
    out = printed("pendulum")
    assert numbers("largest relative error", out)[0] < 1e-7
    misfits = numbers("misfit", out)
    assert misfits == sorted(misfits, reverse=True) and misfits[-1] < misfits[0] / 1000
    assert numbers("off by", out)[0] < 0.01


def test_implied_volatility_agrees_with_the_implicit_function_theorem():
    out = printed("implied_volatility")
    assert numbers("error of a volatility:", out)[0] < 1e-12
    assert numbers("error of a derivative:", out)[0] < 1e-11
    steps = {line.split()[3] for line in out.splitlines()[1:6]}
    assert len(steps) > 1, "how many turns the loop takes depends on the data"


def test_tornado_ranks_inputs_by_slopes_that_are_right():
    out = printed("tornado")
    bars = [line.count("#") for line in out.splitlines()[2:10]]
    assert bars == sorted(bars, reverse=True) and bars[0] == 30
    assert numbers("relative error", out)[0] < 1e-7
    assert numbers("off by", out)[0] < 5


def test_recorded_moons_train_as_the_eager_ones():
    out = printed("recorded_moons")
    assert "the losses agree to 1e-9" in out
    assert numbers("recorded", out)[-1] < 0.5 * numbers("recorded", out)[0]


def test_recorded_digits_are_learnt():
    pytest.importorskip("sklearn")
    out = printed("recorded_digits")
    assert numbers("right on", out)[0] > 300


def test_two_moons_are_told_apart():
    losses = numbers(r"step \d+ loss", printed("two_moons"))
    assert losses[-1] < losses[0] / 3
    assert numbers("right", printed("two_moons").replace("/40", ""))[-1] >= 36


def test_two_moons_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "moons.svg"
    command = [sys.executable, str(EXAMPLES / "two_moons.py"), *SMALL["two_moons"], "--plot", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "agg"})
    assert (done.returncode, done.stdout, done.stderr) == (0, printed("two_moons"), "")
    assert "<svg" in picture.read_text()


def test_digits_are_told_apart():
    out = printed("digits")
    rights = [float(x) for x in re.findall(r"right on ([\d.]+)%", out)]
    assert len(rights) == 2 and min(rights) >= 97
    assert re.findall(r"(\w+): (?:steady|epochs) after", out) == ["cross_entropy", "multi_margin_loss"]
