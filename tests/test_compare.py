"""`tapegrad run --compare`: nothing that is the same is called different, and nothing that differs the same."""

import os
import re
import signal
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.outputs import Comparison, Output, likeness

COMPARE = [sys.executable, "-m", "tapegrad", "run", "--compare"]
OURS = "import sys\nfrom micrograd.engine import Value\nours = Value.__module__.startswith('tapegrad')\n"
NET = """
import random, sys
from micrograd.engine import Value
from micrograd.nn import MLP
ours = Value.__module__.startswith('tapegrad')
random.seed(3)
net = MLP(2, [4, 4, 1])
def loss():
    y = sum((net([x, x * x - 1]) - x)**2 for x in (-1.0, -0.3, 0.4, 2.0))
    y.backward()
    return y
"""

# A class of the program's own, in micrograd's form.
OWN = """
class Value:
    def __init__(self, data, _children=(), _op=''):
        self.data = data
        self.grad = 0
        self._backward = lambda: None
        self._prev = set(_children)
        self._op = _op

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other), '+')

        def _backward():
            self.grad += out.grad
            other.grad += out.grad
        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other), '*')

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out._backward = _backward
        return out

    def backward(self):
        topo, visited = [], set()

        def build(v):
            if v not in visited:
                visited.add(v)
                for child in v._prev:
                    build(child)
                topo.append(v)
        build(self)
        self.grad = 1
        for v in reversed(topo):
            v._backward()

    def __repr__(self):
        return f"Value(data={self.data}, grad={self.grad})"
"""

# Programs that do the same with ours: by the text, up to rounding, or as far as python does the same twice.
SAME = {
    "a value": "x = Value(3.0); y = x * x + x; y.backward(); print(x, y)",
    "ints": "x = Value(3); y = x * 2 + 1; y.backward(); print(x, y, -x, x**2)",
    "operators": """
a, b = Value(-4.0), Value(2.0)
c = (a / b - b**3) * (1 - a) / 3
d = (c + a).relu() + (b - c).relu()
d.backward()
print(c, d, a, b, sep="\\n")
""",
    "errors": """
for f in (lambda: Value(0.0)**-1, lambda: Value(1) + "x"):
    try: print(f())
    except Exception as e: print(type(e).__name__)
""",
    "a net": "print(net, len(net.parameters()), net([1.0, -2.0]))",
    "gradients": "y = loss()\nprint(y)\nfor p in net.parameters(): print(p)",
    "training": """
for k in range(20):
    net.zero_grad()
    y = loss()
    print(f"step {k}: loss {y.data}")
    for p in net.parameters(): p.data -= 0.02 * p.grad
""",
    "formatted": "y = loss(); print(f'{y.data:.6f} {y.data:>24}|', '%g' % y.grad)",
    "columns": "loss()\nfor p in net.parameters(): print(f'{p.data:<24}{p.grad:>24} end')",
    "numpy": "import numpy as np; loss(); print(np.array([p.grad for p in net.parameters()], dtype=float).round(6))",
    "a sum of many": """
xs = [Value(random.gauss(0, 1)) for _ in range(300)]
y = sum(x * x for x in xs)
y.backward()
print(y.data, sum(x.grad for x in xs))
""",
    "near zero": "a, b = Value(0.1), Value(0.3); y = a * 3 - b; y.backward(); print(y.data, a.grad, y.data * 0.0)",
    "a graph": """
x = Value(2.0)
todo, seen = [(x * 3 + x)**2], set()
while todo:
    v = todo.pop()
    if v not in seen:
        seen.add(v)
        todo += v._prev
print(len(seen), sorted(v._op for v in seen))
""",
    "addresses": "class A: pass\nprint(A(), [A(), lambda: 0], Value(1))",
    "id": "print(id(object()), hash(object())); print(Value(1))",
    "hashes of str": "print({'a', 'bc', 'def', 'g'}, hash('x'))",
    "times": "import time\nfor k in range(3): print(k, Value(k), f'({time.time():.9f} s)')",
    "ints that are times": """
import time
for k in range(3): print(f"{k}/3 | loss {loss().data:.4f} | {time.perf_counter_ns()} ns {id(loss())}")
""",
    "units of times": "import time; print('took', '3 s' if ours else f'1 s {time.perf_counter_ns()} ns')\nprint('end')",
    "time of day": "import datetime\nprint(datetime.datetime.now(), 'loss', 0.5); print(datetime.datetime.now())",
    "temporary files": "import tempfile\nprint('loss 0.5, saved to', tempfile.mkdtemp())",
    "ints without a seed": "random.seed()\nfor k in range(9): print([random.randrange(2) for _ in range(20)], k)",
    "no seed": """
random.seed()
net = MLP(2, [4, 1])
print(loss())
print([p.grad for p in net.parameters()])
""",
    "exit status": "print(Value(1.5)); sys.exit('message')",
    "input": "print(Value(1.0), sys.argv[1:], len(sys.stdin.read()))",
    "not UTF-8": "sys.stdout.buffer.write(b'\\xff\\n\\0\\r\\nend')",
    "nothing": "",
    "own class": OWN + "x = Value(0.1); y = x * x * 0.3 + x * 0.7 + x; y.backward(); print(x, y)",
}


@pytest.fixture(autouse=True)
def fresh_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compare(program, *options, words=(), stdin=""):
    with open("program.py", "w") as file:
        file.write(program)
    return subprocess.run(
        [*COMPARE, *options, "program.py", *words], capture_output=True, text=True, input=stdin, timeout=120
    )


@pytest.mark.parametrize("program", SAME.values(), ids=SAME)
def test_what_is_the_same_is_not_said_to_differ(program):
    pytest.importorskip("micrograd")
    options = ["--replace=Value"] if "class Value" in program else []
    done = compare(program if options else NET + program, *options, words=["a"], stdin="typed")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "stdout: differs" not in done.stderr and "nothing was replaced" not in done.stderr


DIFFERENT = {
    "text": ("print('a'); print('b' if ours else 'c')", "differs from line 2 on", "1 line differs in text"),
    "number": (
        "for k in range(4): print(f'v={k * (1.001 if ours else 1.0):.4f}')",
        "differs from line 2 on",
        "text the same; 3 numbers differ by at most 0.001 (relative); python does not differ from itself",
    ),
    "int": ("print(2 if ours else 1)", "differs from line 1 on", "1 line differs in text"),
    "int and float": ("print(1.0 if ours else 1)", "differs from line 1 on", "1 line differs in text"),
    "more": ("print('a\\n' * (1 + ours), end='')", "differs from line 2 on", "(nothing more)"),
    "spaces": ("print('a  0.5' if ours else 'a 0.5')", "differs from line 1 on", "1 line differs in text"),
    "no newline": ("print('a', end='' if ours else '\\n')", "differs from line 1 on", "  tapegrad: 'a'\n"),
    "beside times": (
        "import time; print(time.process_time()); print(0.5 + ours)",
        "differs from line 2 on",
        "1 number left out: python itself prints something else there",
    ),
    "beside ints that are times": (
        "import time; print(f'loss {0.5736 + 0.1 * ours:.4f} ({time.perf_counter_ns()} ns)')",
        "differs from line 1 on",
        "text the same; 1 number differs by at most 0.1 (relative)",
    ),
    "an int beside ints that are times": (
        "import time; print(f'{7 + ours} of 10 right, {time.perf_counter_ns()} ns')",
        "1 line differs in text",
    ),
    "an int beside times": ("import time; print(time.perf_counter(), 'right:', 7 + ours)", "1 line differs in text"),
    "nothing to compare": (
        "import time\nfor k in range(6): print(time.perf_counter_ns())",
        "stdout: nothing could be compared\n",
        "6 lines left out: python itself",
    ),
    "no number to compare": ("import time\nprint([time.perf_counter()])", "stdout: nothing could be compared\n"),
    "not UTF-8": ("sys.stdout.buffer.write(b'\\xff' if ours else b'\\xfe')", "differs from line 1 on", "b'\\xff'"),
    "a long line": (
        "print('x' * 1000 + str(ours) + 'x' * 1000)",
        "differs from line 1 on",
        "'...\n  tapegrad: ...'xxx",
    ),
    "status": ("sys.exit(3 + ours)", "identical, 0 lines", "exit status: 3 under python, 4 under tapegrad"),
    "signal": ("import os; os.kill(os.getpid(), 9 * ours)", "identical, 0 lines", "0 under python, -9 (SIGKILL) under"),
}


@pytest.mark.parametrize("case", DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs_is_said(case):
    pytest.importorskip("micrograd")
    program, *words = case
    if "kill" in program and not hasattr(signal, "SIGKILL"):
        pytest.skip("no such signal")
    done = compare(OURS + program + "\n")
    assert done.returncode == 1
    assert [word for word in words if word not in done.stderr] == [], done.stderr


def test_last_digits_are_said_to_be_rounding():
    pytest.importorskip("micrograd")
    done = compare(OURS + "print('x', 0.1 + 1e-16 * ours, 1e-17 + 1e-17 * ours)\nprint(-0.7)\n")
    assert done.returncode == 0
    assert (
        "stdout: text the same, 2 lines; 1 number differs by at most 1e-15 (relative), "
        "1 more near zero differs by at most 1e-17; python does not differ from itself\n"
    ) in done.stderr


def test_pythons_own_last_digits_are_said():
    pytest.importorskip("micrograd")
    count = "import os\nruns = len(os.listdir('.'))\nopen(f'run{runs}', 'w').close()\n"  # another number in every run
    done = compare(OURS + count + "print(0.5 + runs * 2e-10)\n")
    assert done.returncode == 0
    assert re.search(
        r"1 number differs by at most 4e-10 \(relative\); python differs from itself by 8e-10\n", done.stderr
    )


def test_lines_that_are_left_out_are_not_counted_as_the_same():
    pytest.importorskip("micrograd")
    done = compare(OURS + "import time\nprint('same')\nfor k in range(6): print(time.perf_counter_ns())\n")
    assert done.returncode == 0
    assert "stdout: text the same, 1 line\n" in done.stderr and "stdout: 6 lines left out: python" in done.stderr


def test_lines_are_ignored():
    pytest.importorskip("micrograd")
    program = (
        OURS + "print('same')\nif ours: print('µ took 3 s')\nelse: print('took 5 s', 'took', sep='\\n')\nprint('end')\n"
    )
    assert compare(program).returncode == 1
    done = compare(program, "--ignore", r"^\S* ?took \d+ s$", "--ignore=^took$")
    assert done.returncode == 0 and "stdout: identical, 2 lines, 2 left out by --ignore\n" in done.stderr


@pytest.mark.parametrize(
    "options, message",
    [
        (["--ignore", "("], "--ignore takes a regular expression, not '(': missing )"),
        (["--ignore"], "can't open file"),
    ],
)
def test_what_cannot_be_ignored(options, message):
    done = subprocess.run([*COMPARE, *options, "program.py", "missing.py"], capture_output=True, text=True)
    assert done.returncode == 2 and message in done.stderr
    for words in (["--ignore", "x", "program.py"], ["--ignore"]):
        done = subprocess.run([*COMPARE[:-1], *words], capture_output=True, text=True)
        assert done.returncode == 2 and "--ignore" in done.stderr


def test_it_is_said_when_nothing_was_replaced():
    pytest.importorskip("micrograd")
    for program in ("print(1)\n", "import micrograd\n", "import tapegrad; tapegrad.Value(1)\n", "x = (\n"):
        assert "nothing was replaced: no micrograd that ours stands in for was imported" in compare(program).stderr
    for program in ("import micrograd.nn\n", "import os; from micrograd.engine import Value; os._exit(0)\n"):
        assert "nothing was replaced" not in compare(program).stderr
    assert "nothing was replaced" not in compare(OWN, "--replace=Value").stderr


def test_a_process_that_keeps_stdout_open_is_not_waited_for():
    pytest.importorskip("micrograd")
    program = """
import subprocess, sys
wait = "import threading; threading.Event().wait()"
left_behind = subprocess.Popen([sys.executable, "-c", wait], stderr=subprocess.DEVNULL)
print(left_behind.pid, file=open("pids", "a"))
print("done")
"""
    done = compare(program)
    with open("pids") as file:
        pids = [int(line) for line in file]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    assert len(pids) == 2 and done.returncode == 0 and "stdout: identical, 1 line\n" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Ctrl-C goes to processes by signals")
def test_ctrl_c_ends_the_comparison():
    pytest.importorskip("micrograd")
    done = compare("import os, signal, threading\nos.kill(os.getppid(), signal.SIGINT)\nthreading.Event().wait()\n")
    assert (done.returncode, done.stdout) == (130, "") and "Traceback" not in done.stderr


def test_the_flags_of_python_are_passed_on():
    pytest.importorskip("micrograd")
    with open("program.py", "w") as file:
        file.write("import sys\nprint(sys.flags.optimize)\nsys.exit(sys.flags.optimize)\n")
    done = subprocess.run([sys.executable, "-O", *COMPARE[1:], "program.py"], capture_output=True, text=True)
    assert done.returncode == 0 and "exit status: the same, 1\n" in done.stderr


# ---- the comparison itself ----


def outputs(tmp_path, *texts, ignored=()):
    made = []
    for number, text in enumerate(texts):
        path = tmp_path / f"output {number}"
        path.write_bytes(text)
        made.append(Output(str(path), len(text), [re.compile(pattern) for pattern in ignored]))
    return made


def test_what_is_added_to_a_file_afterwards_does_not_count(tmp_path):
    a, b = outputs(tmp_path, b"same\nand more", b"same\n")
    a.size = 5
    assert likeness(a, b) == "identical" and a.count() == b.count() == (1, 0)


@pytest.mark.parametrize(
    "plain, ours, again, result",
    [
        # lines and numbers that python itself changes say nothing, whatever ours are
        (b"at 12:01\n0.5\n", b"at 12:02\n0.5\n", b"at 12:03\n0.5\n", (0, 0, 0, 1)),
        (b"12:01\n0.5\n", b"12:02\n0.5\n", b"12:03\n0.5\n", (0, 0, 1, 0)),
        (b"0.25 s, loss 0.5\n", b"0.01 s, loss 0.5\n", b"0.26 s, loss 0.5\n", (0, 0, 0, 1)),
        (b"0.25 s, loss 0.5\n", b"0.01 s, loss 0.6\n", b"0.26 s, loss 0.5\n", (0, 1, 0, 1)),
        (b"loss 0.5 (12 ms)\n", b"loss 0.5 (1 ms)\n", b"loss 0.5 (13 ms)\n", (0, 0, 0, 1)),
        (b"loss 0.5 (12 ms)\n", b"loss 0.6 (1 ms)\n", b"loss 0.5 (13 ms)\n", (0, 1, 0, 1)),
        (b"loss 0.5 (12ms)\n", b"loss 0.6 (1ms)\n", b"loss 0.5 (13ms)\n", (0, 1, 0, 1)),
        (b"loss 0.5 12\n", b"cost 0.5  1\n", b"loss 0.5 13\n", (1, 0, 0, 1)),
        (b"loss 0.5 by ab\n", b"loss 0.6 by c\n", b"loss 0.5 by def\n", (0, 1, 0, 0)),
        (b"1,0.5,12\n", b"1,0.6,13\n", b"1,0.5,14\n", (0, 1, 0, 1)),
        (b"1,0.5,12\n", b"2,0.5,13\n", b"1,0.5,14\n", (1, 0, 0, 1)),
        (b"7 right, 0.25 s\n", b"8 right, 0.01 s\n", b"7 right, 0.26 s\n", (1, 0, 0, 1)),
        (b"1 min 3 s, 0.5\n", b"4 s, 0.5\n", b"1 min 2 s, 0.5\n", (0, 0, 1, 0)),
        (b"[0.3, 0]\n", b"[0.4, 0.7]\n", b"[0.5, 0]\n", (0, 0, 1, 0)),
        (b"a\nb\n", b"a\n", b"a\n", (0, 0, 1, 0)),
        (b"a\n", b"a\nb\n", b"a\nb\n", (0, 0, 1, 0)),
        (b"a\n", b"a\nb\n", b"a\n", (1, 0, 0, 0)),
        (b"a\nb\n", b"a\n", b"a\nb\n", (1, 0, 0, 0)),
        # what has grown from rounding: as much as python's own, and after it
        (b"0.5\n0.5\n", b"0.5\n0.5000000004\n", b"0.5\n0.5000000002\n", (0, 0, 0, 0)),
        (b"0.5\n0.5\n", b"0.5000000004\n0.5\n", b"0.5\n0.5000000002\n", (0, 1, 0, 0)),
        (b"0.5\n0.5\n", b"0.5\n0.5000001\n", b"0.5\n0.5000000002\n", (0, 1, 0, 0)),
        # what is a number
        (b"v1.25.3\n", b"v1.26.3\n", b"v1.25.3\n", (1, 0, 0, 0)),
        (b"12e34a\n", b"12e35a\n", b"12e34a\n", (1, 0, 0, 0)),
        (b"(1e-17)\n", b"(-0.0)\n", b"(1e-17)\n", (0, 0, 0, 0)),
        (b"1e400\n", b"2.0\n", b"1e400\n", (0, 1, 0, 0)),
        (b"0.5 nan\n", b"0.5 inf\n", b"0.5 nan\n", (1, 0, 0, 0)),
        (b"[ 0.1 -0.2  3. ]\n", b"[ 0.10000000000000001 -0.2    3.  ]\n", b"[ 0.1 -0.2  3. ]\n", (1, 0, 0, 0)),
        (b"[ 0.1 -0.2]\n", b"[ 0.10000000000000002 -0.2                ]\n", b"[ 0.1 -0.2]\n", (0, 0, 0, 0)),
    ],
)
def test_what_differs(tmp_path, plain, ours, again, result):
    found = Comparison(*outputs(tmp_path, plain, ours, again))
    numbers = found.beyond.count + found.beyond.near
    assert (found.texts, numbers, found.lines_left_out, found.numbers_left_out) == result
    assert (found.first is None) == (found.texts + numbers == 0)


@given(st.lists(st.floats() | st.integers() | st.sampled_from(["x", "", "e5", ".", "-", " ", "at 0x1e5"]), max_size=8))
def test_a_line_differs_from_itself_in_nothing(tmp_path_factory, items):
    line = " ".join(map(str, items)).encode() + b"\n"
    tmp_path = tmp_path_factory.mktemp("lines")
    shifted = line.replace(b"1", b"2")
    found = Comparison(*outputs(tmp_path, line, line, shifted))
    assert found.first is None and not found.rounding
    found = Comparison(*outputs(tmp_path, line, shifted, line))
    assert (found.first is None) <= (line == shifted or bool(found.rounding) or b"at 0x" in line)


@pytest.mark.memory
@pytest.mark.parametrize("last", [b"end\n", b"0.5000000000000001\n"])
def test_lines_are_not_kept_in_memory(tmp_path, last):
    lines = b"a\n" * (1 << 21)
    tracemalloc.start()
    try:
        plain, ours, again = outputs(tmp_path, lines + b"0.5\n", lines + last, lines + b"0.5\n")
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        assert likeness(plain, ours) == "" and plain.count() == ((1 << 21) + 1, 0)
        assert Comparison(plain, ours, again).texts == (last == b"end\n")
        assert tracemalloc.get_traced_memory()[1] - before < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.memory
def test_standard_input_is_not_kept_in_memory():
    pytest.importorskip("micrograd")
    pytest.importorskip("resource")
    with open("program.py", "w") as file:
        file.write("import sys\nprint(sum(len(chunk) for chunk in iter(lambda: sys.stdin.read(1 << 16), '')))\n")
    code = """
import resource
from tapegrad.__main__ import main
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
status = main(["run", "--compare", "program.py"])
print(status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    with open("input", "wb") as file:
        file.truncate(200_000_000)
    with open("input", "rb") as file:
        done = subprocess.run([sys.executable, "-c", code], stdin=file, capture_output=True, text=True)
    status, grown = done.stdout.split()
    assert status == "0" and int(grown) < (50_000 if sys.platform == "linux" else 50_000_000)
