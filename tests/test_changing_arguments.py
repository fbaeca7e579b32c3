"""Lists, buffers and graphs that are changed while the core reads them: it has taken what it needs before."""

import gc
import random
import signal
import struct
import subprocess
import sys
import threading
import zlib
from time import perf_counter

import numpy as np
import pytest

import tapegrad as tg
from tapegrad.format import HEADER, MAGIC, from_bytes
from tapegrad.graph import Graph, from_tape
from tapegrad.program import Job, Lanes, Program
from tapegrad.tape import tape


def graph_of(count=3):
    """x, y, x + y, and sums of the last two from there on."""
    codes = np.full(count, 2, dtype=np.uint8)
    codes[:2] = 1
    a, b = np.arange(-1, count - 1, dtype=np.int32), np.arange(-2, count - 2, dtype=np.int32)
    a[:2], b[:2] = (0, 1), 0
    return Graph.from_arrays(codes, a, b, np.zeros(count, dtype=np.int32), np.zeros(count))


class Finalizer:
    """In a cycle, so that the collector finds it in the middle of something."""

    def __init__(self, act):
        self.me, self.act = self, act

    def __del__(self):
        self.act()


@pytest.fixture
def collecting():
    """The collector runs at every chance."""
    kept = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    yield
    gc.set_threshold(*kept)


def tried(call, act):
    gc.disable()
    Finalizer(act)
    gc.enable()
    try:
        return call()
    except (IndexError, ValueError, TypeError):
        return None


@pytest.mark.parametrize("change", ["another node", "no node", "empty", "longer", "a larger graph"])
def test_a_finalizer_that_changes_a_list_of_nodes(collecting, change):
    for _ in range(60):
        g = graph_of()
        one = g.new_number(1.0)
        nodes = [2]

        def act(nodes=nodes, g=g):
            if change == "empty":
                nodes.clear()
            elif change == "longer":
                nodes.extend([10_000_000] * 1000)
            elif change == "a larger graph":
                nodes[:] = [[g.new_number(2.0) for _ in range(1000)][-1]]
            else:
                nodes[:] = [10_000_000 if change == "another node" else None]

        for call in (
            lambda g=g, nodes=nodes, one=one: g.reverse(nodes, [one], [0, 1]),
            lambda g=g, nodes=nodes, one=one: g.reverse([2], nodes, [0, 1]),
            lambda g=g, nodes=nodes, one=one: g.forward([0], [one], nodes),
            lambda g=g, nodes=nodes, one=one: g.forward(nodes, [one], [2]),
            lambda g=g, nodes=nodes: g.optimised(nodes)[0].size,
            lambda g=g, nodes=nodes: g.fused(nodes)[0].size,
            lambda g=g, nodes=nodes: g.used(nodes),
            lambda g=g: g.input_nodes(),
            lambda g=g: g.evaluate(np.ones(g.inputs)),
            lambda g=g, nodes=nodes: Program(g, nodes)(np.ones(2)),
        ):
            nodes[:] = [2]
            tried(call, act)
        assert g.evaluate(np.ones(2))[:3] == [1.0, 1.0, 2.0]


def test_origins_are_a_copy():
    """Nothing that the core goes by can be changed from outside."""
    x = tg.Value(1.0)
    _y = x * 2.0
    last = len(tape)
    g, nodes, _ = from_tape([last - 2], [last], last - 2, True)
    g.origins.clear()
    assert len(g.origins) == g.size
    assert len(g.reverse(nodes, [g.new_number(1.0)], [0])) == 1


def test_methods_of_graphs_that_a_program_replaces():
    """Programs are laid out by what the core itself makes of a graph."""

    class Evil(Graph):
        def optimised(self, outputs):
            return Graph(), [10_000_000] * len(outputs)

        fused = optimised

    g = Evil()
    x = g.new_input()
    program = Program(g, g.forward([x], [g.new_number(3.0)], [x]))
    assert program([5.0]) == 3.0


# ---- buffers ----


def laid_out():
    return Lanes(tg.record(lambda x, y: (x * y, x + y)).program(1.0, 2.0), b"\1\1")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes of Python have buffers from CPython 3.12 on")
@pytest.mark.parametrize("where", ["columns", "outs"])
@pytest.mark.parametrize("change", ["longer", "empty", "something else"])
def test_a_buffer_that_changes_the_lists_of_columns_and_outputs(where, change):
    lanes = laid_out()
    for position in range(2):
        columns, outs = [np.ones(5), np.ones(5)], [np.empty(5), np.empty(5)]

        class Evil:
            def __buffer__(self, flags, columns=columns, outs=outs):
                for numbers in (columns, outs):
                    if change == "longer":
                        numbers.extend([np.empty(5)] * 5000)
                    elif change == "empty":
                        numbers.clear()
                    else:
                        numbers[:] = ["something", None]
                return memoryview(np.ones(5))

        {"columns": columns, "outs": outs}[where][position] = Evil()
        try:
            job = Job(lanes, columns, np.zeros(2), 5, None, outs)
            job.run(0, np.empty(job.sums))
        except (ValueError, IndexError, TypeError, BufferError):
            continue


def test_a_batch_of_more_samples_than_there_can_be_chunks():
    """A column of one number, which is repeated by a stride of 0."""
    lanes = laid_out()
    n = 2**60 - 1
    column = np.broadcast_to(np.ones(1), (n,))
    job = Job(lanes, [column, column], np.zeros(2), n, None, [None, None])
    assert job.chunks == -(-n // lanes.chunk)
    sums = np.empty(2)
    job.run(job.chunks - 1, sums)
    assert sums[0] == n - (job.chunks - 1) * lanes.chunk
    with pytest.raises(IndexError):
        job.run(2**63 - 1, sums)


def test_arrays_that_are_written_to_while_a_graph_is_made_of_them():
    """Each number is read once, and checked as it was read."""
    count = 400_000
    arrays = [np.full(count, 2, dtype=np.uint8), *[np.zeros(count, dtype=np.int32) for _ in range(3)], np.zeros(count)]
    arrays[0][0] = 1
    stop = threading.Event()

    def write():
        while not stop.is_set():
            arrays[0][1000:] = 255
            arrays[1][1000:] = 10**9
            arrays[0][1000:] = 2
            arrays[1][1000:] = 0

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(20):
            try:
                g = Graph.from_arrays(*arrays)
            except ValueError:
                continue
            assert g.evaluate(np.ones(1))[0] == 1.0
    finally:
        stop.set()
        thread.join()


# ---- long loops ----


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_signals_and_other_threads_come_through_while_a_program_is_loaded():
    seen, running = {"signals": 0, "threads": 0}, True

    def count(what):
        seen[what] += 1

    def loop():
        while running:
            count("threads")

    kept = signal.signal(signal.SIGALRM, lambda *_: count("signals"))
    thread = threading.Thread(target=loop)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        g = graph_of(1_500_000)
        arrays = [np.frombuffer(x, dtype=kind) for x, kind in zip(g.arrays(), "Biiid", strict=True)]
        outputs = [g.size - 1]
        signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
        for call in (
            lambda: Graph.from_arrays(*arrays),
            lambda: g.optimised(outputs),
            lambda: g.fused(outputs),
            lambda: Program(g, outputs),
        ):
            before = dict(seen)
            call()
            assert all(seen[what] > before[what] + 2 for what in seen), (before, seen)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)
        sys.setswitchinterval(interval)
        running = False
        thread.join()


WORD = (1 << 64) - 1


def unshifted(x, by):
    y = x
    for _ in range(64 // by + 1):
        y = x ^ (y >> by)
    return y


def unmixed(x):
    """The word that splitmix64's finaliser makes x of."""
    x = unshifted(x, 31) * pow(0x94D049BB133111EB, -1, 1 << 64) & WORD
    x = unshifted(x, 27) * pow(0xBF58476D1CE4E5B9, -1, 1 << 64) & WORD
    return unshifted(x, 30)


def file_of(constants):
    n = len(constants)
    data = HEADER.pack(MAGIC, 1, n, 0, n, 0, 0, 0) + bytes(16 * n) + constants.tobytes()
    data += np.arange(n, dtype="<i4").tobytes()
    return data + struct.pack("<I", zlib.crc32(data))


def test_constants_that_are_chosen_to_collide_load_as_fast_as_others():
    """Under a hash without a key these take some hundred times as long."""
    n = 40_000
    chosen = np.array([unmixed(k << 34 & WORD) for k in range(n)], dtype="<u8")
    others = np.array([random.Random(1).getrandbits(64) ^ k << 12 for k in range(n)], dtype="<u8")
    times = []
    for constants in (chosen, others):
        data, start = file_of(constants), perf_counter()
        assert from_bytes(data).outputs == n
        times.append(perf_counter() - start)
    assert times[0] < 20 * times[1]


def test_programs_are_the_same_bytes_in_every_process():
    """Whatever the key of the hash."""
    code = """if True:
        import sys, tapegrad as tg
        f = lambda x, y: sum(((x * k).sin() + y / (k + 1) for k in range(50)), 0.0) * tg.exp(x * y)
        f = tg.value_and_grad(f, (0, 1))
        sys.stdout.write(f.program(0.5, 0.25).to_bytes().hex())"""
    made = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(3)}
    assert len(made) == 1


@pytest.mark.parametrize(
    "data", [10**10, 3, -1, True, None, "x", 1.5, [1, 2], object(), type("B", (), {"__bytes__": 3})()]
)
def test_what_is_no_bytes_is_a_type_error(data):
    with pytest.raises(TypeError):
        from_bytes(data)


def test_programs_of_many_guards_and_files_are_saved():
    """As many names of files as there are guards."""
    codes, n = [1], 3000
    a, b = [0], [0]
    for k in range(n):
        codes += [0, tg.program.OPERATIONS.index("<")]
        a += [0, 0]
        b += [0, 2 * k + 1]
    values = np.zeros(2 * n + 1)
    values[1::2] = np.arange(n)
    arrays = (
        np.array(codes, np.uint8),
        np.array(a, np.int32),
        np.array(b, np.int32),
        np.zeros(2 * n + 1, np.int32),
        values,
    )
    g = Graph.from_arrays(*arrays)
    program = Program(g, [0], [(2 * k + 2, 1.0, (f"file{k}", k)) for k in range(n)])
    again = from_bytes(bytearray(program.to_bytes()))
    assert again.guards == program.guards and len(again.guards) == n


def test_half_made_programs_are_out_of_sight(collecting):
    """Whoever asks the collector for all objects gets none that is not whole."""
    found = []

    def look():
        for x in gc.get_objects():
            if type(x) is Program:
                found.append(x.run(np.ones(x.inputs), np.empty(x.outputs)))
            elif type(x) is Lanes:
                found.append(Job(x, [np.ones(3)] * len(x.wide), np.ones(x.inputs), 3, None, [None] * x.outputs).size)
            elif isinstance(x, Graph):
                found.append(x.evaluate(np.ones(x.inputs)))

    for _ in range(5):
        g = graph_of(10)
        for call in (lambda g=g: Lanes(Program(g, [9]), b"\1\1"), lambda g=g: g.optimised([9]), lambda: graph_of(4)):
            tried(call, look)
    assert found
