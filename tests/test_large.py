"""Large graphs: no recursion anywhere, at the default recursion limit, in a thread with a small stack."""

import subprocess
import sys
import threading

import pytest

import tapegrad

pytestmark = pytest.mark.slow


def chain(V, n):
    x = V(1.0)
    y = x
    for _ in range(n):
        y = y + 1.0
    y.backward()
    return x.grad, y.data


def long_sum(V, n):
    x = V(1.0)
    y = sum([x] * n)
    y.backward()
    return x.grad, y.data


def in_small_thread(f):
    result = []
    size = threading.stack_size(512 * 1024)
    try:
        t = threading.Thread(target=lambda: result.append(f()))
        t.start()
        t.join()
    finally:
        threading.stack_size(size)
    return result[0]


@pytest.mark.parametrize("run", [lambda f: f(), in_small_thread], ids=["main", "small stack"])
@pytest.mark.parametrize("build", [chain, long_sum])
def test_a_million(engine, build, run):
    n = 1_000_000
    if engine.name == "reference":  # how deep plain objects may be freed is CPython's business
        n = 2_000 if run is in_small_thread else 20_000
    grad, data = run(lambda: build(engine.Value, n))
    assert data == n + (build is chain) and grad == (1 if build is chain else n)


def test_a_million_in_one_call():
    x = tapegrad.Value(1.0)
    y = tapegrad.sum([x] * 1_000_000)
    z = tapegrad.dot([x] * 1_000_000, [2.0] * 1_000_000)
    (y + z).backward()
    assert x.grad == 3_000_000.0


HUGE = """
from tapegrad import Value, dot
from tapegrad.tape import tape
x, w = Value(1.0), Value(0.5)
xs, ws = [x] * 1000, [w] * 1000
total = Value(0.0)
for _ in range(10_000):
    total = dot(xs, ws, total)
assert len(tape) > 20_000_000, len(tape)
total.backward()
assert (x.grad, w.grad, total.data) == (5e6, 1e7, 5e6)
del total
assert len(tape) == 2
"""


def test_twenty_million_nodes():
    out = subprocess.run([sys.executable, "-c", HUGE], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr


BYTES = """
import os
from tapegrad import Value
def rss():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
HANDLES = {handles}
n = 4_000_000
a, b = Value(0.999), Value(0.001)
start = rss()
if HANDLES:
    kept = [None] * n
    start = rss()
    for k in range(n):
        kept[k] = a * b
else:
    y = a
    for _ in range(n // 2):
        y = y * a + b
print((rss() - start) / n)
"""


@pytest.mark.memory
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("handles", "limit"), [(False, 64), (True, 128)])
def test_row_31_bytes_per_node(handles, limit):
    out = subprocess.run([sys.executable, "-c", BYTES.format(handles=handles)], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert 20 < float(out.stdout) <= limit
