"""The tape itself: sizes, exhaustion, memory errors, interrupts."""

import signal
import subprocess
import sys
import threading

import pytest

from tapegrad import Value
from tapegrad.tape import tape


@pytest.fixture
def few_nodes():
    kept = tape.max_nodes
    yield
    tape.max_nodes = kept


def test_index_exhaustion_leaves_everything_intact(few_nodes, nodes):
    x = Value(2.0)
    y = x * 3.0
    tape.max_nodes = len(tape) + 2
    z = y + 1.0  # exactly fills it
    for operate in (lambda: Value(1.0), lambda: z + 1.0, lambda: z - z, lambda: z / z, lambda: z**2, lambda: 2 - z,
                    lambda: z.exp(), lambda: round(z), lambda: z.maximum(0.0)):  # fmt: skip
        with pytest.raises(MemoryError, match="tape is full"):
            operate()
    z.backward()
    assert (z.data, x.grad, nodes()) == (7.0, 3.0, 5)
    del z
    z = y * 2.0
    assert z.data == 12.0
    tape.max_nodes += 100
    assert (z + 1).data == 13.0


def test_garbage_is_squeezed_out_before_the_tape_is_called_full(few_nodes, nodes):
    garbage = [Value(float(i)) * 2.0 for i in range(50)]
    pin = Value(1.0)
    del garbage
    tape.max_nodes = len(tape)
    assert (pin * 2.0).data == 2.0
    assert nodes() == 1


def test_max_nodes_below_what_is_there(few_nodes):
    v = Value(1.0)
    with pytest.raises(ValueError, match="at least"):
        tape.max_nodes = len(tape) - 1
    assert v.data == 1.0


OUT_OF_MEMORY = """
import _testcapi, gc
from tapegrad import Value, dot
from tapegrad.tape import tape
gc.disable()
x = Value(2.0)
def build(n):
    y = x
    for i in range(n):
        y = y * 1.0 + 0.0
    y.backward()
    return y
build(3)
failures = 0
for start in range(1, 10_000):
    x.grad = 0
    before = len(tape)
    _testcapi.set_nomemory(start, start + 1)  # that one allocation fails
    try:
        y = build(700)
    except MemoryError:
        failures += 1
    else:
        _testcapi.remove_mem_hooks()
        break
    finally:
        _testcapi.remove_mem_hooks()
    assert len(tape) == before, (start, len(tape), before)
    z = x * 3.0
    x.grad = 0
    z.backward()
    assert x.grad == 3.0
    del z
else:
    raise SystemExit("never succeeded")
assert y.data == 2.0 and failures > 5, failures
print("ok", failures)
"""


def test_every_failing_allocation_is_a_memory_error_and_nothing_is_lost():
    pytest.importorskip("_testcapi")
    out = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert out.stdout.startswith("ok")


INTERRUPTED = """
import signal, threading, time, os
from tapegrad import Value
signal.signal(signal.SIGINT, signal.default_int_handler)  # off in background jobs of a shell
x = Value(1.0)
y = x
for _ in range(3_000_000):
    y = y * 1.0
def interrupt():
    time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)
interrupts = 0
for _ in range(50):
    t = threading.Thread(target=interrupt)
    try:
        t.start()
        for _ in range(20):
            y.backward()
    except KeyboardInterrupt:
        interrupts += 1
        t.join()
        break
x.grad = 0
z = x * 5.0
z.backward()
assert interrupts == 1 and x.grad == 5.0, (interrupts, x.grad)
x.grad = 0
y.backward()
print("ok", x.grad > 0)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGINT") or sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_during_a_long_sweep():
    out = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert (out.returncode, out.stdout) == (0, "ok True\n"), out.stderr


def test_graphs_of_several_threads_do_not_interfere(nodes):
    shared = Value(3.0)
    errors = []

    def work(k):
        for i in range(300):
            x = Value(float(k))
            y = x
            for _ in range(20):
                y = y * 1.5 + shared * 0.0
            y.backward()
            if x.grad != 1.5**20:
                errors.append((k, i, x.grad))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    sys.setswitchinterval(interval)
    assert not errors
    assert nodes() == 1


# ---- looking at the arrays ----


def test_rows_are_the_arrays():
    first = tape.compact() + 1
    a, b = Value(3), Value(-2.0)
    y = (a * b).relu() + a**2
    y.backward()
    rows = tape.rows(first)
    assert [row[0] - first for row in rows] == list(range(7))
    assert [(op, i - first, j - first) for _, op, i, j, *_ in rows] == [
        ("", 0, 0),
        ("", 1, 1),
        ("*", 0, 1),
        ("ReLU", 2, 2),
        ("", 4, 4),
        ("**n", 0, 4),
        ("+", 3, 5),
    ]
    assert [row[4] for row in rows] == [3, -2.0, -6.0, 0, 2, 9, 9]
    assert [row[5] for row in rows] == [a.grad, b.grad, 0, 1, 0, 1, 1]
    assert [row[6] for row in rows] == [True, True, False, False, False, False, True]
    assert type(rows[0][4]) is int and type(rows[1][4]) is float and type(rows[0][5]) is type(a.grad)


def test_rows_are_a_copy_and_know_what_is_only_parked():
    first = tape.compact() + 1
    x = Value(1.0)
    labelled = x + 1.0
    labelled.label = "kept by the tape"
    y = labelled * 2.0
    del labelled
    rows = tape.rows(first)
    assert [row[6] for row in rows] == [True, False, False, False, True]
    del y, x
    assert len(rows) == 5 and tape.rows(len(tape) + 1) == tape.rows(len(tape) + 100) == []
    for wrong in (0, -1):
        with pytest.raises(IndexError, match="first node has the number 1"):
            tape.rows(wrong)
