"""Rivals of `tapegrad bench --peers`: that adapters answer rightly, and that whatever a library does is survived.

How fast anything is, is not tested. What is not installed is skipped, except ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tapegrad.bench import report, rival, rivals, worker
from tapegrad.bench.problem import TOLERANCE, Problem, error
from tapegrad.bench.problems import PROBLEMS

SPEELPENNING = next(p for p in PROBLEMS if p.name == "problems/speelpenning")
SIZE = 10

# What every adapter of these tests begins with, and what one does that is right.
HEAD = """
NAME = "{name}"
PACKAGE = "tapegrad"
WAYS = {{"": False}}
"""
RIGHT = """
import math
def point(case, how):
    def run():
        {first}
        y = math.prod(case.x)
        return y, [y / x for x in case.x]
    return run
"""
FAKES = {
    "ours": HEAD.format(name="tapegrad").replace('""', '"eager"') + RIGHT.format(first="pass"),
    "right": HEAD.format(name="right") + RIGHT.format(first="pass"),
    "talker": HEAD.format(name="talker")
    + "import os\nprint('printed in Python')\nos.write(1, b'printed in C')\nos.write(2, b'printed in C')\n"
    + RIGHT.format(first="print('printed in a run')"),
    "crash": HEAD.format(name="crash")
    + "import os, signal\ndef point(case, how): os.kill(os.getpid(), signal.SIGABRT)\n",
    "late": HEAD.format(name="late")
    + "import os\ncalls = []\ndef live():\n    calls.append(0)\n    if len(calls) > 2: os._exit(7)\n"
    + RIGHT.format(first="live()"),
    "hang": HEAD.format(name="hang") + "import time\ndef point(case, how): time.sleep(60)\n",
    "wrong": HEAD.format(name="wrong") + RIGHT.format(first="case.x[0] += 1e-3"),
    "missing": HEAD.format(name="missing").replace('PACKAGE = "tapegrad"', 'PACKAGE = "no-such-distribution"'),
    "broken": HEAD.format(name="broken") + "import no_such_module\ndef point(case, how): pass\n",
    "raises": HEAD.format(name="raises")
    + "def point(case, how):\n    def dive(): dive()\n    return dive\n",
    "unable": HEAD.format(name="unable")
    + "from tapegrad.bench.rival import Cannot\ndef point(case, how): raise Cannot('it has no product')\n",
    "elsewhere": HEAD.format(name="elsewhere") + "def black_scholes(case, how): pass\n",
    "slow": HEAD.format(name="slow") + "import time\n" + RIGHT.format(first="time.sleep(0.05)"),
    "_helper": "raise ValueError('not an adapter')\n",
}  # fmt: skip


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapters of these tests in place of benchmarks/peers."""
    package = tmp_path / "fake_peers"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in FAKES.items():
        (package / f"{name}.py").write_text("def point(case, how): pass\n" * (name == "missing") + text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(rivals, "PEERS", "fake_peers")
    monkeypatch.setattr(rivals, "SECONDS", 0.01)
    monkeypatch.setattr(rivals, "LIMIT", 20.0)


def compared(*names: str, threads: tuple[int, ...] = (1,)) -> tuple[dict[str, rivals.RivalRow], list[str]]:
    """The rows of these contenders by name, and what is said besides."""
    chosen = rivals.choose(",".join(names))
    said = list(rivals.compare(SPEELPENNING, SIZE, chosen, threads, report.Progress(terminal=False)))
    rows = {line.contender: line for line in said if isinstance(line, rivals.RivalRow)}
    return rows, [line for line in said if isinstance(line, str)]


# ---- what a library may do ----


@pytest.mark.usefixtures("fakes")
def test_a_right_rival_is_timed_in_rounds_against_ours() -> None:
    rows, _ = compared("right")
    assert list(rows) == ["tapegrad", "right"]
    row = rows["right"]
    assert len(row.samples_s) == rivals.ROUNDS and min(row.samples_s) > 0
    assert row.times_eager == min(row.samples_s) / min(rows["tapegrad"].samples_s)
    assert row.times_recorded is None
    assert row.facts["error"] <= 1e-14 and row.facts["prepared_s"] > 0 and row.facts["version"] == version("tapegrad")


@pytest.mark.usefixtures("fakes")
@pytest.mark.skipif(worker.megabytes() is None, reason="the system keeps no account of memory")
def test_memory_is_that_of_the_rivals_own_process() -> None:
    ballast = bytearray(300 * 2**20)
    rows, _ = compared("right")
    del ballast
    facts = rows["right"].facts
    assert 0 < facts["megabytes_before"] <= facts["peak_megabytes"] < 300


@pytest.mark.usefixtures("fakes")
def test_what_a_rival_prints_is_not_seen(capfd: pytest.CaptureFixture[str]) -> None:
    rows, _ = compared("talker")
    assert rows["talker"].samples_s
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("fakes")
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_crash_is_told_with_the_name_of_the_signal_and_the_others_go_on() -> None:
    rows, _ = compared("crash", "right")
    assert rows["crash"].facts["failed"] == "died: SIGABRT"
    assert "died: SIGABRT" in str(rows["crash"])
    assert rows["crash"].samples_s == [] and rows["right"].samples_s


@pytest.mark.usefixtures("fakes")
def test_a_rival_that_dies_while_it_is_timed_is_told_as_dead() -> None:
    rows, _ = compared("late", "right")
    assert rows["late"].facts["failed"] == "died: exit status 7"
    assert rows["late"].times_eager is None and rows["right"].samples_s


@pytest.mark.usefixtures("fakes")
def test_a_rival_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "LIMIT", 3.0)
    [hanging] = [c for c in rivals.contenders() if c.name == "hang"]
    process = rivals.Process(hanging, SPEELPENNING, SIZE, 1)
    rivals.prepare([process], report.Progress(terminal=False))
    assert process.facts["failed"] == "not done in 3 s"
    assert not process.process.is_alive()


@pytest.mark.usefixtures("fakes")
def test_a_wrong_gradient_is_told_and_never_timed() -> None:
    rows, _ = compared("wrong")
    assert rows["wrong"].facts["failed"].startswith("WRONG: off by ")
    assert rows["wrong"].samples_s == [] and rows["wrong"].times_eager is None
    assert "WRONG" in str(rows["wrong"])


@pytest.mark.usefixtures("fakes")
def test_an_error_of_a_rival_is_told_by_its_name() -> None:
    rows, _ = compared("raises")
    assert rows["raises"].facts["failed"].startswith("RecursionError: ")


@pytest.mark.usefixtures("fakes")
def test_what_is_not_there_or_cannot_is_named_below_the_table() -> None:
    rows, said = compared("missing", "broken", "unable", "elsewhere")
    assert list(rows) == ["tapegrad"]
    assert "not installed: missing" in said
    assert "not installed (No module named 'no_such_module'): broken" in said
    assert "it has no product: unable" in said
    assert "no program of this workload: elsewhere" in said


@pytest.mark.usefixtures("fakes")
def test_what_is_slow_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "PATIENCE", 0.01)
    rows, _ = compared("slow", "right")
    assert len(rows["slow"].samples_s) == 1 and len(rows["right"].samples_s) == rivals.ROUNDS


@pytest.mark.usefixtures("fakes")
def test_rows_of_two_threads_are_compared_with_ours_of_two() -> None:
    chosen = rivals.choose("right")
    rows = [row for row in rivals.compare(SPEELPENNING, SIZE, chosen, (1, 2), report.Progress(terminal=False))
            if isinstance(row, rivals.RivalRow)]  # fmt: skip
    assert [(row.contender, row.threads) for row in rows] == [
        ("tapegrad", 1), ("right", 1), ("tapegrad", 2), ("right", 2),
    ]  # fmt: skip
    assert rows[3].times_eager == min(rows[3].samples_s) / min(rows[2].samples_s)


@pytest.mark.usefixtures("fakes")
def test_contenders_are_known_by_the_texts_of_adapters_alone() -> None:
    known = rivals.contenders()
    assert known[0].name == "tapegrad"
    assert {c.name for c in known} == {name.replace("ours", "tapegrad") for name in FAKES if name != "_helper"}


# ---- the adapters of benchmarks/peers ----


def test_adapters_say_who_they_are_and_how_they_are_used() -> None:
    known = rivals.contenders()
    assert [c.label for c in known[:2]] == ["tapegrad eager", "tapegrad recorded"]
    assert {"micrograd", "XAD", "CasADi", "ddx", "autograd", "PyTorch", "jax", "Dr.Jit", "numba", "numpy"} <= {
        c.name for c in known
    }
    kinds = {"point", "batch", "scalars"}
    named = {p.name.partition("/")[2].replace("-", "_") for p in PROBLEMS} | {
        p.name.replace("/", "_").replace("-", "_") for p in PROBLEMS
    }
    for contender in known:
        assert contender.name and contender.package
        assert contender.offers & (kinds | named), contender


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
@pytest.mark.parametrize("way", ["eager", "recorded"])
def test_ours_is_right(problem: Problem, way: str) -> None:
    from tapegrad.bench.peers import ours

    if (problem.group, way) == ("eager", "recorded"):
        with pytest.raises(rival.Cannot):
            rival.task(ours, problem, min(problem.sizes), rival.How(way))
        return
    todo = rival.task(ours, problem, min(problem.sizes), rival.How(way))
    got = todo.start()()
    assert error(got, todo.answer()) <= TOLERANCE


def installed() -> list[rivals.Contender]:
    def there(package: str) -> bool:
        try:
            return bool(version(package))
        except PackageNotFoundError:
            return False

    return [c for c in rivals.contenders() if c.module != rivals.OURS and there(c.package)]


# micrograd is installed with the tests; others are for whoever has them. simplegrad computes in single precision.
QUICK = [
    pytest.param(c, id=c.label, marks=[] if c.module == "micrograd" else pytest.mark.slow)
    for c in installed()
    if c.module != "simplegrad"
]

# How far off a contender is on every problem that it does, in a process of its own: some cannot share one.
EVERY = """
import json, sys
from tapegrad.bench import rival, rivals, worker
from tapegrad.bench.problems import PROBLEMS
module, way = sys.argv[1:]
off = {}
for problem in PROBLEMS:
    try:
        _, facts = worker.prepared(f"{rivals.PEERS}.{module}", problem.name, min(problem.sizes), rival.How(way))
        off[problem.name] = facts["error"]
    except rival.Cannot:
        pass
print(json.dumps(off))
"""


@pytest.mark.parametrize("contender", QUICK)
def test_a_rival_is_right_on_every_problem_that_it_does(contender: rivals.Contender) -> None:
    command = [sys.executable, "-c", EVERY, contender.module, contender.way]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    off = json.loads(done.stdout.splitlines()[-1])
    assert len(off) >= 4
    assert {name: error for name, error in off.items() if not error <= TOLERANCE} == {}


def test_a_library_that_makes_graphs_of_numbers_has_one_thread() -> None:
    from tapegrad.bench.peers import ours

    [batch] = [p for p in PROBLEMS if p.name == "batch/black-scholes"]
    with pytest.raises(rival.Cannot, match="one thread"):
        rival.task(ours, batch, 10, rival.How("eager", 2))


def test_a_function_that_a_library_has_not_is_named() -> None:
    m = rival.Functions("mini", exp=float)
    assert m.sum([1.0, 2.0]) == 3.0
    with pytest.raises(rival.Cannot, match="mini has no tanh"):
        _ = m.tanh


def test_the_cores_of_a_contender_are_as_many_as_its_threads() -> None:
    for threads in (1, 2, 1000):
        groups = rivals.groups(threads)
        assert groups and all(len(group) <= threads for group in groups)
