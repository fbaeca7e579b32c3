"""Programs: what is in them, that they are the same everywhere, and that nothing handed to them crashes."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import random
import shutil
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib

import numpy as np
import pytest

import tapegrad
from tapegrad import Program, Value, format, grad, load, record, value_and_grad, vmap, where
from tapegrad import graph as graphs
from tapegrad import program as programs

Graph, from_tape, to_tape = graphs.Graph, graphs.from_tape, graphs.to_tape
Job, Lanes, from_bytes = programs.Job, programs.Lanes, programs.from_bytes


def program_of(f, *args):
    return record(f).program(*args)


def branchy(x, y):
    z = x * y + x.sin() * 2.0
    if z > 0.5:
        return z.exp() - where(x > y, x, y) ** 3
    return (z * z + 1.0).log() / (1.0 + y * y)


@pytest.fixture
def program():
    return value_and_grad(branchy, (0, 1)).program(0.7, 1.3)


# ---- what is in them ----


def test_the_listing():
    assert str(program_of(lambda x, y: x * y + x.sin(), 0.0, 1.0)) == (
        "<Program: 2 inputs, 1 outputs, 2 operations (recorded: 3)>\n  t2 = sin(x0)\n  t3 = t2 + x0 * x1\n  return t3"
    )
    text = str(program_of(branchy, 0.7, 1.3))
    first = branchy.__code__.co_firstlineno
    for part in ("sin(x0)", "exp(", "select(", "** 3.0", f"is 1   # {__file__}:{first + 2}", "return t"):
        assert part in text
    long = program_of(lambda x: [x.sin() * k for k in range(2, 500)], 1.0)
    assert "more lines; listing() has them all" in str(long) and len(str(long).splitlines()) < 210
    assert len(long.listing()) == long.operations + 1


def test_every_operation_can_be_listed():
    for name in tapegrad.functions.__all__:
        for arguments in ((0.5,), (0.5, 0.25)):
            try:
                made = program_of(lambda *x, name=name: getattr(tapegrad, name)(*x), *arguments)
            except TypeError:
                continue
            assert "return" in str(made)


@pytest.mark.parametrize(
    ("f", "recorded", "operations"),
    [
        (lambda x, y: (x * y, x.exp(), x)[2], 0, 0),  # dead code is not even taken off the tape
        (lambda x, y: (x.exp() + y.sin()) * 0.0 + x * 2.0, 6, 5),  # 0 * inf is nan: it stays
        (lambda x, y: x * (Value(2.0) * Value(3.0) + 1.0), 3, 1),  # constants
        (lambda x, y: x * y + x * y, 3, 2),  # twice the same
        (lambda x, y: x * y + y * x, 3, 2),  # in either order
        (lambda x, y: x.sin() * x.sin() + x.sin(), 5, 2),  # and the product goes into the sum
        (lambda x, y: x * y + 1.0, 2, 1),
        (lambda x, y: x - x * y, 3, 1),
        (lambda x, y: x * 1.0, 1, 0),
        (lambda x, y: x * -1.0 * -1.0, 2, 0),
        (lambda x, y: x**1 + x**0, 3, 1),
        (lambda x, y: where(x > 0, y, y), 2, 0),
    ],
)
def test_counts(f, recorded, operations):
    made = program_of(f, 0.5, 0.25)
    assert (made.inputs, made.outputs, made.operations) == (2, 1, operations), str(made)
    assert made.recorded >= operations
    assert made([0.5, 0.25])[0] == f(Value(0.5), Value(0.25)).data


def test_counts_of_a_long_chain():
    def chain(s, a, b, x):
        for _ in range(500):
            s = (s * a + b).sin() + x
        return s

    made = program_of(chain, 0.1, 0.9, 0.2, 0.3)
    assert made.operations == 500 * 3, "multiply-add, sine, add"
    assert made([0.1, 0.9, 0.2, 0.3])[0] == chain(*map(Value, (0.1, 0.9, 0.2, 0.3))).data


def test_optimising_twice_changes_nothing(program):
    again = Program(program.graph, program.outputs_at, program.guards, program.recorded)
    assert again.to_bytes() == program.to_bytes() and str(again) == str(program)


def test_random_programs_keep_their_bits_when_optimised():
    draw = random.Random(12)
    for _ in range(400):
        plan = [(draw.randrange(9), draw.random(), draw.random(), draw.choice([0.0, -0.0, 1.0, -1.0, 2.5, 3.0]))
                for _ in range(draw.randrange(1, 40))]  # fmt: skip

        def f(x, y, plan=plan):
            found = [x, y, x * 0.0]
            for kind, i, j, k in plan:
                a, b = found[int(i * len(found))], found[int(j * len(found))]
                found.append([lambda a=a, b=b: a + b, lambda a=a, b=b: a - b, lambda a=a, b=b: a * b, lambda a=a: -a,
                              lambda a=a, k=k: a * k, lambda a=a, k=k: k - a, lambda a=a, b=b: a.maximum(b),
                              lambda a=a: a.tanh(), lambda a=a, b=b: tapegrad.atan2(a, b)][kind]())  # fmt: skip
            return tapegrad.sum(found[-4:])

        replay = value_and_grad(f, (0, 1))
        for point in ((0.5, -1.5), (0.0, -0.0), (1.0, -1.0), (-1.0, -1.0)):
            x, y = map(Value, point)
            z = f(x, y)
            z.backward()
            value, gradient = replay(*point)
            assert repr(value) == repr(float(z.data)).replace("-nan", "nan")
            assert np.array_equal(gradient, (x.grad, y.grad), equal_nan=True)


def test_programs_are_immutable(program):
    before = program.to_bytes()
    for name in ("graph", "outputs_at", "guards", "recorded", "operations", "inputs", "outputs", "nonsense"):
        with pytest.raises(AttributeError):
            setattr(program, name, 1)
    graph = program.graph
    for change in (graph.new_input, lambda: graph.new_number(1.0),
                   lambda: graph.reverse([program.outputs_at[0]], [0], [0]),
                   lambda: graph.forward([0], [1], [program.outputs_at[0]])):  # fmt: skip
        with pytest.raises(TypeError, match="cannot be changed"):
            change()
    assert program.to_bytes() == before
    x = np.array([0.7, 1.3])
    program(x)
    assert x.tolist() == [0.7, 1.3]


# ---- replays ----


def test_calls_take_any_sequence_of_numbers(program):
    expected = program([0.7, 1.3])
    assert expected.dtype == np.float64 and expected.shape == (3,)
    for x in ((0.7, 1.3), np.array([[0.7], [1.3]]), np.array([0.7, 9.0, 1.3])[::2], np.array([0.7, 1.3], dtype=">f8")):
        assert np.array_equal(program(x), expected)
    with pytest.raises(ValueError, match="2 inputs"):
        program([1.0])
    with pytest.raises(ValueError, match="goes another way"):
        program([-1.0, 0.1])


def test_no_memory_is_allocated_in_the_steady_state(program):
    x, out = np.array([0.7, 1.3]), np.empty(3)
    for _ in range(10):
        program.run(x, out)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        program.run(x, out)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(1000):
            assert program.run(x, out) is None
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert after - before < 200 and peak - before < 2000, "memoryviews that come and go, and nothing else"


def test_the_gil_is_released_while_a_program_runs():
    """Python never asks the first thread for the GIL here, and yet the second one gets its turn."""

    def chain(x):
        for _ in range(30_000):
            x = x.sin() + 0.5
        return x

    made = program_of(chain, 0.3)
    x, out = np.array([0.3]), np.empty(1)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    ran, go = [], threading.Event()

    def other():
        go.set()
        while not ran or ran[-1] != "stop":
            ran.append("turn")
            if len(ran) > 10:
                return
            made.run(np.array([0.3]), np.empty(1))

    try:
        thread = threading.Thread(target=other)
        thread.start()
        go.wait()
        for _ in range(200):
            made.run(x, out)
            if ran:
                break
        ran.append("stop")
        thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert "turn" in ran


def test_many_threads_replay_one_program(program):
    draw = np.random.default_rng(3)
    points = draw.uniform(0.6, 1.4, (400, 2))
    expected = [program(p).tolist() for p in points]
    errors = []

    def work(order):
        try:
            for k in order:
                assert program(points[k]).tolist() == expected[k]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(draw.permutation(400),)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors


# ---- travelling ----


def test_pickle_save_and_load(program, tmp_path):
    path = tmp_path / "program.tg"
    program.save(path)
    for again in (pickle.loads(pickle.dumps(program)), load(path), load(str(path)), from_bytes(program.to_bytes())):
        assert str(again) == str(program) and again.guards == program.guards
        assert again.to_bytes() == program.to_bytes() == path.read_bytes()
        assert np.array_equal(again([0.7, 1.3]), program([0.7, 1.3]))
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_functions_are_pickled_by_name():
    again = pickle.loads(pickle.dumps(value_and_grad(branchy, (0, 1), max_programs=7)))
    assert again(0.7, 1.3) == value_and_grad(branchy, (0, 1))(0.7, 1.3) and again.max_programs == 7
    batch = pickle.loads(pickle.dumps(vmap(branchy, (None, 0), threads=1)))
    assert np.array_equal(batch(0.7, np.arange(3.0)), vmap(branchy, (None, 0))(0.7, np.arange(3.0)))


def test_odd_file_names_survive(tmp_path):
    scope = {}
    exec(compile("def f(x):\n    if x > 0: return x\n    return -x\n", "a\nb\udcff\u00e9.py", "exec"), scope)
    made = program_of(scope["f"], 1.0)
    again = from_bytes(made.to_bytes())
    assert again.guards == tuple((n, o, (file.replace("\n", " "), line)) for n, o, (file, line) in made.guards)


TRAVELLER = """
import sys, numpy as np, tapegrad
p = tapegrad.load(sys.argv[1])
print(sys.version_info[:2], *[float(v).hex() for v in p(np.array([0.7, 1.3]))])
p.save(sys.argv[1] + ".back")
"""


@pytest.mark.parametrize("python", [sys.executable, "python3.11", "python3.12", "python3.13", "python3.14"])
def test_programs_replay_in_another_python(program, python, tmp_path):
    executable = shutil.which(python)
    if executable is None:
        pytest.skip(f"no {python} here")
    path = tmp_path / "program.tg"
    program.save(path)
    out = subprocess.run([executable, "-c", TRAVELLER, path], capture_output=True, text=True, cwd=tmp_path)
    if "No module named" in out.stderr or out.returncode == 127 or "not installed" in out.stderr:
        pytest.skip(f"no tapegrad for {python} here")
    assert out.returncode == 0, out.stderr
    assert out.stdout.split(") ")[1].split() == [float(v).hex() for v in program([0.7, 1.3])]
    assert (tmp_path / "program.tg.back").read_bytes() == path.read_bytes()


# ---- hostile bytes ----


def repaired(data):
    """The bytes with the right checksum."""
    return bytes(data[:-4]) + struct.pack("<I", zlib.crc32(bytes(data[:-4])))


def survives(data):
    """Only a ValueError, or a program that runs, can be listed and saved."""
    try:
        made = from_bytes(data)
    except ValueError:
        return False
    made(np.zeros(made.inputs)) if not made.guards else made.run(np.zeros(made.inputs), np.empty(made.outputs))
    str(made)
    again = from_bytes(made.to_bytes())
    assert (again.inputs, again.outputs) == (made.inputs, made.outputs)
    if made.inputs:
        columns = [np.ones(5) for _ in range(made.inputs)]
        for guards in (False, True):
            lanes = Lanes(made, b"\1" * made.inputs, guards)
            job = Job(lanes, [columns[k] for k in lanes.wide], np.ones(made.inputs), 5, None, [None] * lanes.outputs)
            for chunk in range(job.chunks):
                job.run(chunk, np.empty(job.sums), np.empty(5, dtype=np.int32), np.empty(5))
    return True


def test_truncated_at_every_length(program):
    data = program.to_bytes()
    for k in range(len(data)):
        for cut in (data[:k], repaired(data[:k]) if k >= 4 else data[:k]):
            with pytest.raises(ValueError, match="saved program"):
                from_bytes(cut)
    for more in (b"\0", b"\0\0\0\0"):
        with pytest.raises(ValueError, match="saved program"):
            from_bytes(data + more)


def test_damaged_bytes_are_noticed(program):
    data = program.to_bytes()
    draw = random.Random(3)
    for _ in range(2000):
        broken = bytearray(data)
        broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
        with pytest.raises(ValueError, match="saved"):
            from_bytes(broken)


def test_another_version_or_something_else(program):
    data = bytearray(program.to_bytes())
    data[8:12] = struct.pack("<I", 2)
    with pytest.raises(ValueError, match=r"version 2.*reads version 1"):
        from_bytes(repaired(data))
    for other in (b"", b"TAPEGRAD", b"\x80\x04." * 30, os.urandom(500), bytes(500)):
        with pytest.raises(ValueError, match="saved program"):
            from_bytes(other)
    for other in (None, "text", 1.5):
        with pytest.raises(TypeError):
            from_bytes(other)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_with_repaired_checksums(seed):
    draw = random.Random(seed)
    sources = [
        value_and_grad(branchy, (0, 1)).program(0.7, 1.3).to_bytes(),
        program_of(lambda x, n: [x[0].sin() * x[1] + n, where(x[0] > 0, x[1], 2.0)], [1.0, 2.0], 3.0).to_bytes(),
        program_of(lambda: 3.0).to_bytes(),
    ]
    ran = 0
    for _ in range(1500):
        data = bytearray(draw.choice(sources))
        for _ in range(draw.choice([1, 1, 1, 2, 4])):
            at = draw.randrange(8, len(data) - 4)
            kind = draw.randrange(4)
            if kind == 0:
                data[at] = draw.randrange(256)
            elif kind == 1:
                data[at] ^= 1 << draw.randrange(8)
            elif kind == 2:
                word = draw.choice([0, 1, 2, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data)])
                at -= at % 4
                data[at : at + 4] = struct.pack("<I", word)
            else:
                other = draw.randrange(8, len(data) - 4)
                data[at : at + 4], data[other : other + 4] = data[other : other + 4], data[at : at + 4]
        ran += survives(repaired(data))
    assert ran > 20, "some are programs still"


def written(codes, outputs, guards=(), inputs=None, recorded=0, text=b""):
    """A file of these (label, a, b, c, value)."""
    sums = [code if isinstance(code, int) else zlib.crc32(code.encode()) for code, *_ in codes]
    counted = sum(code == 1 for code in sums) if inputs is None else inputs
    n = len(codes)
    data = format.HEADER.pack(b"TAPEGRAD", 1, n, counted, len(outputs), len(guards), recorded, len(text))
    data += struct.pack(f"<{n}I", *sums)
    for k in range(1, 4):
        data += struct.pack(f"<{n}i", *[row[k] for row in codes])
    data += struct.pack(f"<{n}d", *[row[4] for row in codes]) + struct.pack(f"<{len(outputs)}i", *outputs)
    data += b"".join(format.GUARD.pack(*guard) for guard in guards) + text
    return data + struct.pack("<I", zlib.crc32(data))


X0, X1, TWO = (1, 0, 0, 0, 0.0), (1, 1, 0, 0, 0.0), (0, 0, 0, 0, 2.0)


def test_a_guard_that_always_holds_leaves_nothing_in_a_saved_program():
    """A program was saved with the number of such a guard, and once loaded without."""
    graph = Graph()
    x = graph.new_input()
    held = graph.new_number(2.0)
    made = Program(graph, [x], [(held, 2.0, ("f.py", 1))])
    assert made.guards == () and made.graph.size == 1
    assert from_bytes(made.to_bytes()).to_bytes() == made.to_bytes()
    assert made([3.0]).tolist() == [3.0]


def test_files_written_by_hand():
    assert from_bytes(written([X0, TWO, ("*", 0, 1, 0, 0.0)], [2]))([3.0]).tolist() == [6.0]
    assert from_bytes(written([X0], [0, 0]))([3.0]).tolist() == [3.0, 3.0]
    assert from_bytes(written([], []))([]).tolist() == []
    for wrong in (
        written([X0, ("*", 0, 2, 0, 0.0), TWO], [1]), written([X0, ("*", -1, 0, 0, 0.0)], [1]),
        written([X0, ("*", 0, 1, 0, 0.0)], [1]), written([X0, X0], [0]), written([X1], [0]),
        written([X0, (1, -1, 0, 0, 0.0)], [0]), written([X0], [1]), written([X0], [-1]), written([X0], [0], inputs=2),
        written([X0, ("nonsense", 0, 0, 0, 0.0)], [0]), written([X0], [0], [(1, 1.0, 1, 0)]),
        written([X0], [0], [(0, 1.0, 1, 1)]), written([X0], [0], recorded=2**31), written([X0], [0], text=b"\xff"),
        written([X0, ("select", 0, 0, 5, 0.0)], [1]), written([X0, (2, 0, 0, 0, 0.0)], [1]),
    ):  # fmt: skip
        if wrong == written([X0], [0], text=b"\xff"):
            assert survives(wrong), "bytes that are no text are a file name nevertheless"
        else:
            with pytest.raises(ValueError):
                from_bytes(wrong)


@pytest.mark.parametrize("label", ["not", "neg", "copy", "sin", "abs", "stop_gradient"])
def test_deep_files_do_not_overflow_the_stack(label):
    code = [X0] + [(label, k, 0, 0, 0.0) for k in range(200_000)]
    n = len(code)
    code += [("select", n - 1, 0, n - 2, 0.0), ("*", n, n - 1, 0, 0.0), ("-", n - 1, n + 1, 0, 0.0)]
    assert survives(written(code, [len(code) - 1]))


def test_every_operation_with_odd_operands_from_a_file():
    labels = [label for label in programs.OPERATIONS if label]
    numbers = [0.0, -0.0, 1.0, -1.0, 2.0, float("inf"), float("-inf"), float("nan"), 1e308, 5e-324]
    draw = random.Random(7)
    for _ in range(3000):
        code = [X0, X1] + [(0, 0, 0, 0, x) for x in draw.sample(numbers, 3)]
        for _ in range(draw.randrange(1, 12)):
            n = len(code)
            code.append((draw.choice(labels), draw.randrange(n), draw.randrange(n), draw.randrange(n), 0.0))
        n = len(code)
        made = from_bytes(written(code, [n - 1, draw.randrange(n)], [(draw.randrange(n), 1.0, 1, 0)]))
        x, out = np.array([0.5, -1.0]), np.empty(2)
        assert survives(made.to_bytes())
        failed = made.run(x, out)
        assert failed is None or failed[0] == 0
        graph = Graph.from_arrays(
            *[
                np.frombuffer(v, dtype=t)
                for v, t in zip(made.graph.arrays(), ["u1", "i4", "i4", "i4", "f8"], strict=True)
            ]
        )
        values = np.array(graph.evaluate(x))
        assert np.array_equal(values[list(made.outputs_at)], out, equal_nan=True)


# ---- hostile arguments ----


class Two:
    """An int to some, another one to others."""

    def __index__(self):
        return 0

    def __int__(self):
        return 300_000_000


class Raises:
    def __index__(self):
        raise RuntimeError("index")

    __int__ = __float__ = __len__ = __iter__ = __bool__ = __eq__ = __index__
    __hash__ = None


ODD = [None, -1, 2**31, 2**63, -(2**63), 2**100, 1.5, "text", b"bytes", [], [None], [-1], [10**6], [2**40], [Two()],
       [Raises()], Two(), Raises(), (), (1, 2), {}, np.zeros(0), np.zeros(3), np.zeros((2, 2)), np.arange(3),
       np.zeros(3)[::2], np.array([10**9] * 3), np.zeros(3, dtype=np.int32), memoryview(b"abc"), True, float("nan"),
       Value(1.0), object, [[0]], [0, 0], [0], 0, 1]  # fmt: skip


ANY = (TypeError, ValueError, IndexError, OverflowError, RuntimeError, BufferError, KeyError, MemoryError)


def everything_raises_or_works(call, arity, draw, times):
    for _ in range(times):
        arguments = [draw.choice(ODD) for _ in range(arity)]
        with contextlib.suppress(*ANY):
            call(*arguments)


def graph_of():
    graph = Graph()
    a, b = graph.new_input(), graph.new_number(2.0)
    return graph, a, b


@pytest.mark.parametrize("seed", range(3))
def test_hostile_arguments_of_graphs(seed):
    draw = random.Random(seed)
    for name, arity in (("reverse", 3), ("forward", 3), ("optimised", 1), ("fused", 1), ("used", 1), ("evaluate", 1),
                        ("operation", 1), ("is_number", 1), ("new_number", 1), ("new_input", 1)):  # fmt: skip
        graph, *_ = graph_of()
        everything_raises_or_works(getattr(graph, name), arity, draw, 400)
    everything_raises_or_works(Graph.from_arrays, 5, draw, 2000)
    graph, *_ = graph_of()
    everything_raises_or_works(lambda *x: from_tape(*x), 4, draw, 2000)
    everything_raises_or_works(lambda *x: to_tape(graph, *x), 3, draw, 2000)
    everything_raises_or_works(Graph, 1, draw, 50)
    assert grad(lambda x: x * x)(3.0) == 6.0


@pytest.mark.parametrize("seed", range(3))
def test_hostile_arguments_of_programs(program, seed):
    draw = random.Random(seed)
    graph, *_ = graph_of()
    everything_raises_or_works(lambda *x: Program(graph, *x), 3, draw, 2000)
    everything_raises_or_works(lambda *x: Program(*x), 2, draw, 200)
    everything_raises_or_works(lambda *x: Program.__new__(Program, *x), 1, draw, 50)
    for call, arity in ((program, 1), (program.run, 2), (from_bytes, 1)):
        everything_raises_or_works(call, arity, draw, 400)
    for guards in ([1], [(1, 2)], [(0, 1.0, "f")], [(0, "x", ("f", 1))], [(5, 1.0, ("f", 1))], [(0, 1.0, ("f", "l"))]):
        with pytest.raises((TypeError, ValueError)):
            Program(graph, [0], guards)
    with pytest.raises(ValueError, match="recorded"):
        Program(graph, [0], (), -1)
    for x, out in ((np.zeros(2), np.zeros(2)), (np.zeros(3), np.zeros(3)), (np.zeros(0), np.zeros(3))):
        with pytest.raises(ValueError, match="2 inputs"):
            program.run(x, out)
    readonly = np.zeros(3)
    readonly.setflags(write=False)
    with pytest.raises(ValueError):
        program.run(np.zeros(2), readonly)
    assert program([0.7, 1.3]) is not None


@pytest.mark.parametrize("seed", range(3))
def test_hostile_arguments_of_lanes_and_jobs(program, seed):
    draw = random.Random(seed)
    everything_raises_or_works(lambda *x: Lanes(program, *x), 3, draw, 1000)
    everything_raises_or_works(lambda *x: Lanes(*x), 2, draw, 100)
    for guards in (False, True):
        lanes = Lanes(program, b"\1\1", guards)
        columns, outs = [np.ones(5), np.ones(5)], [None] * lanes.outputs

        def job(k, x, lanes=lanes, columns=columns, outs=outs):
            arguments = [lanes, list(columns), np.ones(2), 5, None, list(outs)]
            arguments[k] = x
            if draw.random() < 0.5:
                arguments[draw.randrange(6)] = draw.choice(ODD)
            made = Job(*arguments)
            made.run(0, np.empty(made.sums), np.empty(5, dtype=np.int32), np.empty(5))

        for k in range(6):
            everything_raises_or_works(lambda x, k=k, job=job: job(k, x), 1, draw, 400)
        made = Job(lanes, columns, np.ones(2), 5, None, outs)
        everything_raises_or_works(made.run, 4, draw, 3000)
        everything_raises_or_works(made.run, 2, draw, 1000)
        for sums in (None, np.empty(0), np.empty(lanes.outputs + 1)):
            with pytest.raises(ValueError, match="sums must have"):
                made.run(0, sums, np.empty(5, dtype=np.int32), np.empty(5))
        for chunk in (-1, 1, 2**62, -(2**62)):
            with pytest.raises(IndexError):
                made.run(chunk, np.empty(made.sums), np.empty(5, dtype=np.int32), np.empty(5))
        for second in (
            np.ones(4),
            np.ones((5, 1)),
            np.ones(5, dtype=complex),
            None,
            b"abcd",
            memoryview(b"abcd"),
            "abcde",
        ):
            with pytest.raises((ValueError, TypeError)):
                Job(lanes, [np.ones(5), second], np.ones(2), 5, None, outs)
    for indices in (np.array([5]), np.array([-1]), np.array([2**62])):
        with pytest.raises(IndexError):
            Job(lanes, columns, np.ones(2), 5, indices, outs)


def test_a_job_keeps_its_own_indices():
    made = program_of(lambda x: x * 2, 1.0)
    lanes, indices, out = Lanes(made, b"\1"), np.array([3, 1]), np.zeros(4)
    job = Job(lanes, [np.arange(4.0)], np.zeros(1), 4, indices, [out])
    indices[:] = 10**12
    job.run(0, np.empty(0))
    assert out.tolist() == [0.0, 2.0, 0.0, 6.0]


def test_an_unrecorded_or_foreign_tape_is_refused():
    _ = [Value(1.0) * Value(2.0) for _ in range(10)]
    draw = random.Random(5)
    for _ in range(5000):
        numbers = [[draw.randrange(-3, 60) for _ in range(draw.randrange(4))] for _ in range(2)]
        try:
            made, roots, _ = from_tape(*numbers, draw.randrange(-3, 60))
        except (ValueError, TypeError, KeyError):
            continue
        assert len(roots) == len(numbers[1]) and all(0 <= k < made.size for k in roots)
    with pytest.raises(RuntimeError, match="not under way"):
        tapegrad.tape.Recording().__exit__(None, None, None)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 17])
def test_chains_side_by_side_replay_to_the_same_bits(width):
    """Levels of one to many operations of each code: as short runs, loops and vectors do them."""

    def chains(x):
        y = [x[0] * (k + 1.0) for k in range(width)]
        for step in range(6):
            y = [(a * x[1] + a.sin()) if step % 2 else (a - x[1]).tanh() for a in y]
        total = y[0]
        for a in y[1:]:
            total = total + a
        return total

    point = [0.7, -0.3]
    xs = [Value(xi) for xi in point]
    total = chains(xs)
    total.backward()
    value, gradient = value_and_grad(chains)(point)
    assert [value, *gradient] == [total.data, *[x.grad for x in xs]]
