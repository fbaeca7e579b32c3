"""Recorded functions that many threads call, that change, and in a process that forks."""

import contextlib
import gc
import os
import random
import subprocess
import sys
import threading
import warnings

import pytest

from tapegrad import programs, record, value_and_grad, vmap


def zigzag(x, y):
    for _ in range(4):
        if x > y:
            x = x * 0.5 + 0.25
        else:
            y = y * 0.5 - 0.125
    return x * y


def in_threads(work, count=6):
    errors = []

    def guarded(k):
        try:
            work(k)
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=guarded, args=(k,)) for k in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


@pytest.mark.filterwarnings("ignore:.* (has been recorded more than|is recorded anew)")
def test_many_threads_and_room_for_few_programs():
    functions = [record(zigzag, max_programs=1), value_and_grad(zigzag, (0, 1), max_programs=1)]
    functions += [record(zigzag, max_programs=3), vmap(zigzag, max_programs=2)]

    def work(k):
        draw = random.Random(k)
        for _ in range(150):
            x, y = draw.uniform(-2, 2), draw.uniform(-2, 2)
            function = draw.choice(functions)
            if draw.random() < 0.1:
                function.clear()
            if isinstance(function, type(functions[3])):
                assert function([x, y], [y, x]).tolist() == [zigzag(x, y), zigzag(y, x)]
            else:
                result = function(x, y)
                assert (result[0] if isinstance(result, tuple) else result) == zigzag(x, y)
            assert len(function.programs) <= 4

    in_threads(work)
    for function in functions[:3]:
        for family in function.families.values():
            assert len(family.entries) <= function.max_programs


@pytest.mark.filterwarnings("ignore:.* (has been recorded more than|is recorded anew)")
def test_programs_that_were_dropped_leave_nothing_behind():
    f = record(zigzag, max_programs=5)
    draw = random.Random(3)
    for _ in range(300):
        x, y = draw.uniform(-2, 2), draw.uniform(-2, 2)
        assert f(x, y) == zigzag(x, y)
    (family,) = f.families.values()
    prefixes, todo = [], [family.root]
    while todo:
        prefixes.append(todo.pop())
        todo += prefixes[-1].longer.values()
    kept = set(family.entries.values())
    assert {prefix.entry for prefix in prefixes} == kept and len(kept) == 5
    assert set(prefixes) == {prefix for entry in kept for prefix in entry.path}


def test_deep_guards_take_room_for_each_and_not_for_each_prefix():
    def f(x):
        for _ in range(3000):
            x = x + 1.0 if x < 1e9 else x
        return x

    g = record(f)
    assert g(0.0) == 3000.0
    (family,) = g.families.values()
    (entry,) = family.entries.values()
    assert len(entry.path) == len(entry.outcomes) + 1 == 3001
    assert not [x for x in gc.get_referrers(entry) if type(x) is tuple]


def test_a_setting_that_changes_between_calls_is_an_error_and_no_endless_loop():
    scale = [1.0]

    def f(x):
        return x * 2.0 if x * scale[0] > 3.0 else x - 1.0

    for make in (record, vmap):
        scale[0] = 1.0
        g = make(f)

        def at(x, g=g, make=make):
            return g(x) if make is record else g([x])[0]

        assert at(5.0) == 10.0
        scale[0] = -1.0
        assert at(-1.0) == -2.0
        with pytest.raises(RuntimeError, match="does something else when called again at the same point"):
            at(-5.0)


@pytest.mark.filterwarnings("ignore:.* (has been recorded more than|is recorded anew)")
@pytest.mark.parametrize("seed", range(4))
def test_functions_that_do_something_else_each_time_end(seed):
    """In an answer or an error."""
    draw = random.Random(seed)
    calls = 0

    def at_random(x):
        for _ in range(3):
            x = x * 0.5 if x > draw.uniform(-1, 1) else x + 0.25
        return x

    def longer_each_time(x):
        nonlocal calls
        calls += 1
        for _ in range(calls % 40):
            x = x * 0.5 if x > 0.01 * calls else x - 1.0
        return x

    for f in (at_random, longer_each_time):
        g, h = record(f, max_programs=20), vmap(f, max_programs=20)
        for _ in range(40):
            x = [draw.uniform(-1, 1) for _ in range(6)]
            for call in (lambda g=g, x=x: g(x[0]), lambda h=h, x=x: h(x)):
                with contextlib.suppress(RuntimeError):
                    call()


def test_a_program_that_never_does_where_it_was_recorded_is_an_error(monkeypatch):
    """As with Values that another thread changes all the time: a few recordings, and then no more."""
    f = record(lambda x: x * 2.0 if x > 0.0 else -x)
    f(1.0)
    (family,) = f.families.values()
    recorded = []

    class Program:
        outputs = 1

        def run(self, x, out):
            return 0, 1.0  # as it was recorded, and it does not hold all the same

    monkeypatch.setattr(type(family), "following", lambda self, *_: (recorded.append(1), (self.last, True))[1])
    with pytest.raises(RuntimeError, match="does something else"):
        family.at([1.0], lambda entry: Program())
    assert len(recorded) == programs.TRIES


def test_a_finalizer_that_calls_the_function_while_its_programs_change():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        f = record(zigzag, max_programs=2)

        class Finalizer:
            def __init__(self):
                self.me = self

            def __del__(self):
                f(0.75, -0.25)

        kept = gc.get_threshold()
        gc.set_threshold(1, 1, 1)
        try:
            draw = random.Random(1)
            for _ in range(60):
                Finalizer()
                x, y = draw.uniform(-2, 2), draw.uniform(-2, 2)
                assert f(x, y) == zigzag(x, y)
        finally:
            gc.set_threshold(*kept)
    assert len(f.programs) <= 2


FORKS = """if True:
    import os, sys, threading, warnings, random
    from tapegrad import record
    warnings.simplefilter("ignore")
    sys.path.insert(0, {tests!r})
    from test_recorded_threads import zigzag
    f = record(zigzag, max_programs=1)
    stop = False

    def work(k):
        draw = random.Random(k)
        while not stop:
            f(draw.uniform(-2, 2), draw.uniform(-2, 2))

    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(3)]
    for thread in threads:
        thread.start()
    for k in range(40):
        child = os.fork()
        if not child:
            draw = random.Random(k)
            for _ in range(10):
                x, y = draw.uniform(-2, 2), draw.uniform(-2, 2)
                if f(x, y) != zigzag(x, y) or len(f.programs) > 1:
                    os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit("a child has failed")
    stop = True
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_in_the_middle_of_other_threads_calls():
    script = FORKS.format(tests=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
