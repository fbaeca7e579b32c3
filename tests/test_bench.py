"""`tapegrad bench` at small sizes: what it checks, prints, writes and refuses. How fast anything is, is not tested."""

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tapegrad import __main__ as command
from tapegrad.bench import (
    backends,
    changes,
    charts,
    digits,
    gpt,
    main,
    memory,
    modes,
    moons,
    points,
    report,
    timing,
    workloads,
)

TINY = workloads.Sizes(
    points=10,
    steps=2,
    epochs=1,
    made=50,
    memory=5000,
    growth=(1000, 2000),
    inputs=(1, 3, 50, 60),
    pace=timing.Pace(enough=2, few=1, budget=0.0),
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "QUICK", TINY)
    monkeypatch.setattr(workloads.Plan, "sizes_of", lambda _plan, problem: (min(problem.sizes),))
    monkeypatch.setattr(timing, "LOOP", 1e-5)
    monkeypatch.setattr(timing, "glance", lambda: 1.0)  # such short loops drift


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Make these imports fail as if the packages were not installed."""
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def bench(tmp_path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    path = tmp_path / "bench.json"
    status = main(["--quick", "--json", str(path), *options])
    return status, json.loads(path.read_text())


def results(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    [workload] = [w for w in data["workloads"] if w["name"] == name]
    return [row for row in workload["results"] if "times_floor" not in row]


def test_json_has_facts_and_every_sample(tmp_path: Path) -> None:
    status, data = bench(tmp_path, "--only", "wide")
    assert status == 0
    assert data["level"] == "quick" and data["mismatches"] == []
    assert {"cpu", "cores", "python", "compiler", "tapegrad", "commit"} <= set(data["machine"])
    assert len(data["control"]) == 2 and "control_drift" in data
    assert [w["name"] for w in data["workloads"]] == ["eager/wide"]
    rows = results(data, "eager/wide")
    assert [row["row"] for row in rows] == ["build", "backward", points.ALL]
    assert [row["whole"] for row in rows] == [False, False, True]
    for row in rows:
        assert row["baseline"] == "reference" and row["unit"] == "ns/op"
        assert {backends.BASE_ON, backends.BASE_OFF, backends.OURS} <= set(row["times"])
        for times in row["times"].values():
            assert times["min_s"] == min(times["samples_s"]) > 0
            assert times["median_s"] >= times["min_s"]
        on, off, ours = (row["times"][k]["min_s"] for k in (backends.BASE_ON, backends.BASE_OFF, backends.OURS))
        assert row["ratios"]["faster_than_gc_on"] == on / ours
        assert row["ratios"]["faster_than_gc_off"] == off / ours
    assert rows[1]["ratios"]["times_floats"] is None, "floats have no backward"


def test_every_row_of_a_problem_has_a_floor(tmp_path: Path) -> None:
    _, data = bench(tmp_path, "--only", "speelpenning", "--only", "costs/floors")
    [problem, limits] = data["workloads"]
    floors = [row for row in problem["results"] if "times_floor" in row]
    assert [row["row"] for row in floors] == [row["row"] for row in results(data, "problems/speelpenning")]
    assert all(row["floor"] > 0 and row["ours"] > 0 for row in floors)
    assert len(limits["results"]) > 5 and all(row["one"] > 0 for row in limits["results"])


def test_printed_table_names_machine_and_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--only", "eager/chain", "--only", "dot"]) == 0
    out, err = capsys.readouterr()
    assert "tapegrad " in out and "cores" in out and "control, before" in out and "control, after" in out
    assert "build + backward + free" in out and "eager: geometric mean over 2 rows: " in out
    assert "\neager/chain: " in out and "\neager/dot: " in out and "\neager/wide: " not in out
    assert err.splitlines() == [f"measuring {name}" for name in ("control", "eager/chain", "eager/dot", "control")]


def test_progress_rewrites_one_line_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with report.Progress(terminal=True) as progress:
        progress.enter("wide")
        progress.tick()
    err = capsys.readouterr().err
    assert "\n" not in err and "measuring wide" in err and err.endswith("\r\x1b[K")


def test_moons_with_our_own_data_and_without_micrograd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, "sklearn", "sklearn.datasets", "micrograd", "micrograd.engine")
    status, data = bench(tmp_path, "--only", "moons")
    assert status == 0
    assert [row["row"] for row in results(data, "eager/moons")] == ["step, neurons in Python", "step, tapegrad.nn"]
    assert any("pip install micrograd" in why for why in data["skipped"])
    out = capsys.readouterr().out
    assert "scikit-learn is not installed" in out and "skipped: micrograd" in out


def test_moons_against_micrograd(tmp_path: Path) -> None:
    pytest.importorskip("micrograd")
    status, data = bench(tmp_path, "--only", "moons")
    assert status == 0
    assert [row["baseline"] for row in results(data, "eager/moons")] == ["reference"] * 2 + ["micrograd"] * 2


def test_our_moons_are_always_the_same() -> None:
    xs, ys = moons.our_moons(20)
    assert (xs, ys) == moons.our_moons(20)
    assert sorted(ys) == [-1] * 10 + [1] * 10 and all(len(x) == 2 for x in xs)
    assert len(moons.our_moons(1)[0]) == 1


def test_digits_learn_on_real_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(workloads, "QUICK", replace(TINY, epochs=3))
    status, data = bench(tmp_path, "--only", "digits")
    assert status == 0
    step, *epochs = results(data, "eager/digits")
    assert len(step["times"][backends.OURS]["samples_s"]) == TINY.steps
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert epochs[-1]["loss"] < epochs[0]["loss"]
    assert epochs[-1]["held_out_accuracy"] > 0.6


def test_digits_without_scikit_learn_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, "sklearn", "sklearn.datasets")
    status, data = bench(tmp_path, "--only", "digits")
    assert status == 0
    assert data["skipped"] == ["digits needs scikit-learn: pip install tapegrad[data]"]
    assert "skipped: digits needs scikit-learn: pip install tapegrad[data]" in capsys.readouterr().out


@pytest.fixture
def in_a_checkout() -> None:
    try:
        gpt.examples()
    except backends.Skip as skip:
        pytest.skip(str(skip))


@pytest.mark.usefixtures("in_a_checkout")
def test_gpt_against_the_class_in_its_own_file(tmp_path: Path) -> None:
    status, data = bench(tmp_path, "--only", "gpt")
    assert status == 0
    phases = ["training step: loss", "training step: backward", "training step: Adam", "training step"]
    assert [(row["row"], row["baseline"]) for row in results(data, "eager/gpt")] == [
        (phase, baseline) for baseline in ("reference", "own class") for phase in phases
    ]


@pytest.mark.usefixtures("in_a_checkout")
def test_gpt_compares_losses_and_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = gpt.checked
    off_by_one_bit = iter([lambda x: x, lambda x: x, lambda x: [*x[:-1], x[-1] * (1 + 2**-52)]])
    monkeypatch.setattr(gpt, "checked", lambda module: next(off_by_one_bit)(right(module)))
    status, data = bench(tmp_path, "--only", "gpt")
    assert status == 1 and "gpt, " in data["mismatches"][0] and results(data, "eager/gpt") == []


def test_gpt_without_the_examples_says_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpt, "CHECKOUTS", [tmp_path])
    status, data = bench(tmp_path, "--only", "gpt")
    assert status == 0
    assert "examples/gpt.py" in data["skipped"][0] and "checkout" in data["skipped"][0]


@pytest.mark.skipif(not memory.STATUS.exists(), reason="needs /proc/self/status")
def test_memory_is_measured(tmp_path: Path) -> None:
    status, data = bench(tmp_path, "--only", "memory")
    assert status == 0
    assert len(results(data, "costs/memory")) == 4
    assert all(row["reference"] > 100 for row in results(data, "costs/memory"))


def test_memory_is_skipped_where_it_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    status, data = bench(tmp_path, "--only", "memory")
    assert status == 0 and "/proc/self/status" in data["skipped"][0]


# ---- forward against reverse ----


def test_modes_have_times_ratios_and_growth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, data = bench(tmp_path, "--modes")
    assert status == 0 and [w["name"] for w in data["workloads"]] == ["costs/modes"]
    rows = [row for row in results(data, "costs/modes") if "inputs" in row]
    assert [row["inputs"] for row in rows] == [1, 3, 50, 60]
    for row in rows:
        assert min(row["reverse"], row["forward"], row["differences"]) > 0
        assert row["error_reverse"] < 1e-13 and row["error_forward"] < 1e-13 and row["error_differences"] < 1e-6
    fits = [row for row in results(data, "costs/modes") if "exponent" in row]
    assert len(fits) == 5 and all((row["first"], row["last"]) == (50, 60) for row in fits)
    out = capsys.readouterr().out
    assert out.count("reverse   n forward   2n values") == 1 and "forward / reverse                  grows as n^" in out
    assert "cycle collector" not in out, "its legend is about other workloads"


@pytest.mark.parametrize("n", [1, 2, 3, 17])
def test_modes_are_right_about_the_gradient(n: int) -> None:
    x, by = modes.ways(n)
    assert all(error < 1e-13 for key, error in modes.errors(x, by).items() if key != modes.DIFFERENCES)
    assert [len(gradient()) for gradient in by.values()] == [n] * 3
    assert list(x) == pytest.approx([0.5 + k / max(n - 1, 1) for k in range(n)])


def test_modes_fit_a_power() -> None:
    fit = modes.fitted("it", [1, 10, 100], [3.0, 300.0, 30_000.0])
    assert (fit.factor, fit.exponent) == pytest.approx((3.0, 2.0))
    assert "it " in str(fit) and "grows as n^2.00   (n = 1 to 100)" in str(fit)
    row = modes.ModesRow(1, 1.0, 2.0, 4.0, 0.0, 0.0, 0.0)
    assert list(modes.growths([row])) == []
    assert [fit.exponent for fit in modes.growths([row, modes.ModesRow(10, 1.0, 20.0, 40.0, 0.0, 0.0, 0.0)])] == (
        pytest.approx([1.0, 1.0, 0.0, 1.0, 1.0])
    )


@pytest.mark.parametrize("key", [modes.REVERSE, modes.FORWARD, modes.DIFFERENCES])
@pytest.mark.parametrize("by", [1e-5, float("nan")])
def test_a_wrong_derivative_is_a_mismatch_and_no_times(
    key: str, by: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = modes.ways

    def off(n: int) -> Any:
        x, ways = right(n)
        return x, {**ways, key: lambda: ways[key]() + by}

    monkeypatch.setattr(modes, "ways", off)
    plots = tmp_path / "plots"
    plot = ["--plot", str(plots)] if find_spec("matplotlib") else []
    status, data = bench(tmp_path, "--modes", *plot)
    assert status == 1 and key in data["mismatches"][0] and results(data, "costs/modes") == []
    assert not plot or list(plots.iterdir()) == []


def test_modes_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    status, data = bench(tmp_path, "--modes", "--plot", str(tmp_path / "plots"))
    assert status == 0
    assert (tmp_path / "plots" / "costs-modes.svg").read_text().startswith("<?xml")
    assert (tmp_path / "plots" / "costs-modes.png").read_bytes().startswith(b"\x89PNG")
    rows = [row for row in results(data, "costs/modes") if "inputs" in row]
    times, ratios = modes.picture(results(data, "costs/modes")).axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in times.lines}
    assert drawn[modes.REVERSE] == [[row["inputs"], row["reverse"] * 1e3] for row in rows]
    assert drawn[modes.FORWARD] == [[row["inputs"], row["forward"] * 1e3] for row in rows]
    points, line = ratios.lines[:2]
    assert points.get_ydata().tolist() == [row["forward"] / row["reverse"] for row in rows]
    assert line.get_xdata().tolist() == [50, 60]
    assert [axes.get_xscale() for axes in (times, ratios)] == ["log", "log"]


# ---- charts of the others ----


def test_workloads_are_drawn_as_bars_and_ladders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(workloads.Plan, "sizes_of", lambda _plan, problem: problem.sizes[:2])
    plots = tmp_path / "new" / "plots"
    status, data = bench(tmp_path, "--only", "speelpenning", "--plot", str(plots))
    assert status == 0
    stems = ["problems-speelpenning", "problems-speelpenning-sizes"]
    assert {path.name for path in plots.iterdir()} == {f"{stem}.{x}" for stem in stems for x in ("png", "svg")}
    [workload] = data["workloads"]
    recorded = [row for row in workload["results"] if row.get("whole")]
    [axes] = charts.ladder(workload).axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    ours = [[row["size"], row["times"][backends.OURS]["min_s"]] for row in recorded]
    assert drawn["tapegrad recorded"] == ours
    assert set(drawn) == {
        "tapegrad recorded", "reference, collector on", "reference, collector off", "floats, no derivative",
    }  # fmt: skip
    [axes] = charts.bars(workload).axes
    widths = {label.get_text().strip(): bar.get_width() for label, bar in zip(axes.get_yticklabels(), axes.patches)}  # noqa: B905
    assert widths["tapegrad recorded"] == pytest.approx(ours[-1][1] * recorded[-1]["unit_per_second"])


def test_rivals_are_drawn_as_bars() -> None:
    pytest.importorskip("matplotlib")
    row = {
        "contender": "Rival", "way": "LLVM", "threads": 2, "size": 10, "steady": True, "samples_s": [2.0, 1.0],
        "scale": 1e3, "unit": "ms",
    }  # fmt: skip
    [axes] = charts.bars({"name": "batch/it", "results": [row, {**row, "steady": False, "samples_s": [9.0]}]}).axes
    assert [bar.get_width() for bar in axes.patches] == [1000.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Rival LLVM, 2 threads "]
    assert charts.bars({"name": "batch/it", "results": []}) is None


def test_a_plot_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")
    assert main(["--quick", "--plot", str(tmp_path / "file"), "--modes"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "--plot" in err
    without(monkeypatch, "matplotlib")
    assert main(["--quick", "--modes", "--plot", str(tmp_path / "plots")]) == 2
    assert "pip install 'tapegrad[plots]'" in capsys.readouterr().err
    assert not (tmp_path / "plots").exists()


# ---- comparing with an earlier run ----


def test_a_run_is_compared_with_an_earlier_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "old.json"
    _, data = bench(tmp_path, "--only", "speelpenning")

    def against(factor: float) -> tuple[int, str]:
        old = json.loads(json.dumps(data))
        for row in results(old, "problems/speelpenning"):
            row["times"][backends.OURS]["min_s"] /= factor
        path.write_text(json.dumps(old))
        capsys.readouterr()
        status = main(["--quick", "--only", "speelpenning", "--compare", str(path)])
        return status, capsys.readouterr().out

    status, out = against(1e6)
    assert status == 3 and "SLOWER" in out and "geometric mean over 2 rows" in out
    status, out = against(1e-6)
    assert status == 0 and "SLOWER" not in out


def test_a_comparison_is_of_times_over_the_control() -> None:
    def data(control: float, **times: float) -> dict[str, Any]:
        rows = [
            {"row": row, "baseline": "reference", "steady": True, "size": None, "times": {backends.OURS: {"min_s": s}}}
            for row, s in times.items()
        ]
        return {
            "format": report.FORMAT, "level": "quick", "machine": {"cpu": "a"},
            "control": [{"ns_per_operation": control}], "workloads": [{"name": "w", "results": rows}],
        }  # fmt: skip

    same = changes.compare(data(1.0, a=1.0, b=2.0), data(3.0, a=3.0, b=6.0))
    assert list(same.ratios.values()) == pytest.approx([1.0, 1.0]) and not same.slower and same.notes == []
    mean = changes.compare(data(1.0, a=1.0, b=1.0), data(1.0, a=1.44, b=0.9))
    assert mean.mean == pytest.approx(1.1384, abs=1e-4) and mean.slower, "11 % in the mean is too much"
    one = changes.compare(data(1.0, a=1.0, b=1.0, c=1.0), data(1.0, a=1.6, b=0.5, c=1.0))
    assert one.mean < 1 and one.slower, "one workload is much slower"
    other = {**data(1.0, c=1.0), "level": "full", "machine": {"cpu": "b"}}
    parted = changes.compare(data(1.0, a=1.0), other)
    assert parted.ratios == {} and not parted.slower
    said = str(parted)
    assert "only in the old run: w, a" in said and "only in the new run: w, c" in said
    assert "differ in cpu: a, now b" in said and "differ in size" in said


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": 2}', '{"format": 2, "control": [], "workloads": []}']
)
def test_a_file_that_is_no_earlier_run_is_a_usage_error(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.json"
    path.write_text(text)
    for name in (path, tmp_path / "none.json"):
        assert main(["--quick", "--only", "chain", "--compare", str(name)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and f"--compare {name}" in err


def test_what_drifts_has_no_ratios(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    glances = iter(range(1, 1000))
    monkeypatch.setattr(timing, "glance", lambda: float(2 ** next(glances)))
    status, data = bench(tmp_path, "--only", "speelpenning")
    assert status == 0
    rows = results(data, "problems/speelpenning")
    assert all(row["ratios"] is None and not row["steady"] for row in rows)
    assert data["geometric_means"] == {}
    lines = [line for line in capsys.readouterr().out.splitlines() if "reference  " in line]
    assert len(lines) == 2 and all(line.count("drift") == 3 and "x " not in line[60:] for line in lines)


def test_what_drifts_once_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    glances = iter([1.0, 2.0, 2.0, 2.1])
    monkeypatch.setattr(timing, "glance", lambda: next(glances))
    runs = iter([5.0, 3.0])
    pace = timing.Pace(enough=1)
    measured = timing.measure([timing.Contender("it", lambda: {"": next(runs)})], lambda: None, pace)
    assert measured.steady and measured.phases[""]["it"].samples == [3.0]


def wrong() -> backends.Backend:
    """A backend that is off by one bit."""

    right = backends.reference()

    class Off(right.value):  # type: ignore[misc,name-defined]
        def __init__(self, data: float) -> None:
            super().__init__(data * (1 + 2**-52))

    return backends.Backend("off by one bit", Off, right.sum, right.dot)


def test_digits_compare_losses_and_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(digits, "compiled", wrong)
    status, data = bench(tmp_path, "--only", "digits")
    assert status == 1 and "losses" in data["mismatches"][0] and results(data, "eager/digits") == []


def test_a_wrong_bit_is_a_mismatch_and_no_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(points, "compiled", wrong)
    status, data = bench(tmp_path, "--only", "eager/chain", "--only", "dot")
    assert status == 1
    assert len(data["mismatches"]) == 2 and results(data, "eager/chain") == results(data, "eager/dot") == []
    out = capsys.readouterr().out
    assert "MISMATCH: eager/chain" in out and "FAILED: 2" in out and "reference  " not in out


@pytest.mark.parametrize(
    ("ours", "base"), [([1.0], [1]), ([0.0], [-0.0]), ([1.0], [1.0 + 2**-52]), ([1.0], [1.0, 2.0]), ([True], [1])]
)
def test_equal_is_to_the_bit(ours: list[float], base: list[float]) -> None:
    with pytest.raises(backends.Mismatch):
        backends.check_equal("it", ours, base)
    backends.check_equal("it", base, list(base))


def test_rounding_is_close_but_only_after_the_result() -> None:
    backends.check_close("it", [1.0, 1.0], [1.0, 1.0 + 2**-52])
    with pytest.raises(backends.Mismatch):
        backends.check_close("it", [1.0 + 2**-52, 1.0], [1.0, 1.0])
    with pytest.raises(backends.Mismatch):
        backends.check_close("it", [1.0, 1.0], [1.0, 1.001])


def test_drift_of_the_control_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    facts: dict[str, str | int | None] = dict.fromkeys(("tapegrad", "commit", "cpu", "cores", "system", "python"), "x")
    printed = report.Report({**facts, "compiler": "x"}, "default")
    printed.control(timing.Timing([1.25]), timing.Timing([1.0]))
    assert "WARNING" not in capsys.readouterr().out
    printed.control(timing.Timing([1.26]), timing.Timing([1.0]))
    assert "drifted by +26%" in capsys.readouterr().out
    printed.control(timing.Timing([0.7]), timing.Timing([1.0]))
    assert "drifted by -30%" in capsys.readouterr().out


@pytest.mark.parametrize("was_on", [True, False])
def test_collector_and_random_numbers_are_put_back(was_on: bool, tmp_path: Path) -> None:
    state = random.getstate()
    frozen = gc.get_freeze_count()
    (gc.enable if was_on else gc.disable)()
    try:
        assert bench(tmp_path, "--only", "moons")[0] == 0
        assert gc.isenabled() is was_on
        with pytest.raises(RuntimeError), timing.hidden(), timing.collector(not was_on):
            raise RuntimeError
        assert gc.isenabled() is was_on
    finally:
        gc.enable()
    assert gc.get_freeze_count() == frozen
    assert random.getstate() == state


def test_unknown_pattern_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    for pattern in ("nothing", ""):
        assert main(["--only", pattern]) == 2
        out, err = capsys.readouterr()
        assert out == "" and "no workload is named like that" in err and "digits" in err


def test_unwritable_json_is_a_usage_error_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (tmp_path / "no" / "such.json", tmp_path):
        assert main(["--quick", "--only", "chain", "--json", str(path)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and str(path) in err


def test_a_run_that_is_refused_leaves_no_json_and_spoils_none(tmp_path: Path) -> None:
    from tapegrad.bench import writable

    path = tmp_path / "bench.json"
    writable(str(path))
    assert not path.exists()
    path.write_text("kept")
    writable(str(path))
    assert path.read_text() == "kept"


def test_list_names_every_workload(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    out, _, rivals = capsys.readouterr().out.partition("\n\n")
    names = [line.split()[0] for line in out.splitlines()]
    assert names == ["control", *[workload.name for workload in workloads.WORKLOADS]]
    assert {"eager/wide", "eager/gpt", "replay/mlp", "batch/heston", "problems/gmm", "costs/growth"} <= set(names)
    assert "micrograd" in rivals and "tapegrad" not in rivals


def test_patterns_are_parts_of_names_or_globs() -> None:
    assert workloads.choose([]) == workloads.choose(["*"])
    assert workloads.choose(["mo"]) == ["eager/moons", "costs/memory", "costs/modes"]
    assert workloads.choose(["eager/d*"]) == ["eager/deep", "eager/dot", "eager/digits"]
    assert workloads.choose(["control"]) == ["control"]


def test_interruption_is_an_exit_status(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(timing, "control", interrupt)
    assert main(["--quick", "--only", "chain"]) == 130
    assert "interrupted" in capsys.readouterr().err


# ---- the command ----


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, **environment}
    )


def test_command_passes_its_options_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["bench", "--list"]) == 0
    assert "digits" in capsys.readouterr().out
    assert command.main(["bench", "--only", "nothing"]) == 2


def test_command_alone_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        command.main([])
    assert exit.value.code == 2 and "COMMAND" in capsys.readouterr().err


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    with pytest.raises(SystemExit) as exit:
        command.main(["--version"])
    assert exit.value.code == 0 and capsys.readouterr().out == f"tapegrad {version('tapegrad')}\n"


def test_help_imports_neither_bench_nor_numpy() -> None:
    code = (
        "import sys, tapegrad.__main__ as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "bad = [name for name in ('tapegrad.bench', 'numpy', 'sklearn') if name in sys.modules]\n"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    assert "bench" in done.stdout


def test_pure_python_has_nothing_to_measure() -> None:
    done = run("-m", "tapegrad", "bench", "--quick", "--only", "chain", TAPEGRAD_PURE="1")
    assert done.returncode == 2
    assert done.stdout == "" and "TAPEGRAD_PURE" in done.stderr and "Traceback" not in done.stderr
