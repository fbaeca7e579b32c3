"""Random programs whose closures, iterators, weak references and finalizers act in the middle of what the core does.

As a script: python tests/reentrancy.py --count 1000000 --seed 1
It runs programs of about forty steps until there were so many steps. Half of the programs run on the reference too, and
what they see must be the same; the others do what no reference can follow, and nothing may crash, get lost or be left.
Processes of their own run them, many programs each. On a finding it prints the seed of the program, its steps without
those that the finding does not need, and what the process said, and exits with status 1. What the steps mean stands in
reentrant_steps.py.
"""

import argparse
import bisect
import contextlib
import copy
import faulthandler
import gc
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time

from reentrant_steps import PATCHED, World, bits, everything

import tapegrad as tg
from tapegrad import value
from tapegrad.tape import tape

BLOCK = 1000  # programs a process
SECONDS = 60  # after which a program hangs
UNARY = ["exp", "tanh", "sin", "relu", "softplus", "__abs__", "__neg__", "floor", "sqrt", "log"]
BINARY = ["__add__", "__sub__", "__mul__", "__truediv__", "__pow__", "__radd__", "__rsub__", "__rmul__",
          "__rtruediv__", "maximum", "hypot"]  # fmt: skip
NUMBERS = [0, 1, -1, 2, True, 0.5, -0.5, 1.25, -2.0, 0.0, 3.0]
NAMES = ["label", "m", "note"]
THINGS = ["number", "text", "list", "itself", "other", "tuple", "ends", "ends", "finally", "copied"]
RECORDED = ["init", "init of another", "local", "pairs", "set", "data", "outer", "tanh"]


# ---- programs ----


class Draw:
    """Draws the steps of a program. Where they stand is "compared", "in a number", "hidden" or "wild".

    What a number does when it is converted comes at the same point on both cores, but not always before the core has
    looked at its operators: no step there patches them.
    """

    def __init__(self, rng, compared):
        self.rng, self.compared = rng, compared
        self.marks = 0

    def k(self):
        k = int(self.rng.random() * 4000)  # as if randrange, which takes longer
        return -1 if k < 2000 else -2 if k < 3000 else k - 3000

    def ks(self, most=3):
        return tuple([self.k() for _ in range(self.small(most + 1))])

    def x(self):
        return NUMBERS[self.small(len(NUMBERS))]

    def small(self, n=4):
        return int(self.rng.random() * n)

    def coin(self):
        return self.rng.random() < 0.5

    def mark(self):
        self.marks += 1
        return self.marks

    def some(self, where, depth, most=3):
        """Steps of a trigger, fewer and in the end none where they are deep."""
        if depth >= 3:
            return ()
        return tuple(self.step(where, depth + 1) for _ in range(1 + self.small(most)))

    def of_number(self, where, depth):
        return self.some(N if where == C else where, depth)

    def end(self, depth, most=4):
        return self.some("hidden" if self.compared else "wild", depth, most)

    def maybe(self, where, depth):
        return self.some(where, depth) if self.coin() else ()

    def patch(self, where):
        """Which method to patch, more often than not an operator that others are made of."""
        if self.coin():
            return self.rng.choice(("__add__", "__mul__"))
        return self.rng.choice(PATCHED if where == W else PATCHED[:6])

    def cycle(self, where, depth):
        """The arguments of a cycle; half of them are chains with a closure, whose end looks at the dying ones."""
        times = 1 + self.small(2)
        if self.coin() or depth > 1:
            return self.end(max(depth, 1), 5), self.small(64), self.end(depth), times
        build = (("leaf", self.x()), ("closure", (-1,), (), 1, self.coin(), ()), ("binary", "__mul__", -1, None, 3.0))
        look = tuple(
            ("weakref", 2 * self.small(4) + 1, (("upgrade", self.k()), *self.end(depth + 1, 3)), 1) for _ in range(2)
        )
        return (*build, *self.end(depth + 1, 2)), self.small(64), (*look, *self.end(depth + 1, 2)), times

    def thread(self, where, depth):
        """Steps of a thread; half of the threads stop in the middle of a sweep."""
        if self.coin():
            return self.some(where, max(depth, 1), 4)
        inside = (("hand_over",), *self.some(where, max(depth, 1)))
        return ("closure", (-1,), inside, 1, self.coin(), ()), ("backward", -1), *self.some(where, depth + 1)

    def after_garbage(self, where, depth):
        """Its arguments: any step, or one that makes an attribute while the garbage sets one on the same Value."""
        if self.coin() or depth > 1:
            build, end, step = self.end(max(depth, 1), 3), self.end(depth), self.step(where, depth + 1)
            return self.small(16), build, self.small(64), end, step
        k = self.rng.choice((-1, -2))
        step = self.rng.choice((
            ("look_into_dict", k),
            ("set_attribute", k, "note", "list", k, ()),
            ("set_attribute", k, "note", "number", k, ()),
            ("copy", k),
            ("wrap_backward", k, ()),
        ))  # fmt: skip
        return self.small(10), (), 0, (("surely", k, self.mark()), *self.end(depth + 1, 1)), step

    def step(self, where, depth):
        names, weights = TABLE[where, depth > 0]
        name = names[bisect.bisect(weights, self.rng.random() * weights[-1])]
        return (name, *MAKERS[name][2](self, where, depth))


C, N, H, W = "compared", "in a number", "hidden", "wild"
ALL = (C, N, H, W)
LATE = (H, W)  # not where the reference would have to do the same

# name: weight, where it may stand, what draws its arguments
MAKERS = {
    "leaf": (3, ALL, lambda d, w, n: (d.x(),)),
    "sub": (2, ALL, lambda d, w, n: (d.x(),)),
    "dies": (3, ALL, lambda d, w, n: (d.x(), d.end(n), d.small(3))),
    "unary": (5, ALL, lambda d, w, n: (d.rng.choice(UNARY), d.k())),
    "binary": (9, ALL, lambda d, w, n: (d.rng.choice(BINARY), d.k(), d.rng.choice([None, d.k()]), d.x())),
    "binary_by_number": (2, ALL, lambda d, w, n: (d.rng.choice(BINARY), d.k(), d.x(), d.of_number(w, n))),
    "binary_by_foreign": (2, ALL, lambda d, w, n: (
        d.rng.choice("+*-/"), d.k(), d.rng.choice([None, None, 2.0, "answer"]), d.some(w, n))),
    "reduce": (5, ALL, lambda d, w, n: (
        d.rng.choice(["sum", "prod", "dot"]), d.ks(4), d.some(w, n), d.small(), d.x())),
    "dot_of_lists": (1, ALL, lambda d, w, n: (d.ks(4), d.x(), d.of_number(w, n))),
    "round": (1, ALL, lambda d, w, n: (d.k(), d.small(), d.of_number(w, n))),
    "closure": (6, ALL, lambda d, w, n: (
        d.ks(), d.maybe(w, n), d.small(3), d.coin(), d.end(n) if d.small() == 0 else ())),
    "local_grads": (2, ALL, lambda d, w, n: (d.ks(), (d.x(), d.x(), d.x()))),
    "children_by_iterator": (2, ALL, lambda d, w, n: (d.ks(), d.some(w, n), d.small())),
    "wrap_backward": (2, ALL, lambda d, w, n: (d.k(), d.maybe(w, n))),
    "set_prev": (2, ALL, lambda d, w, n: (d.k(), d.ks(), d.some(w, n), d.small())),
    "set_children": (1, ALL, lambda d, w, n: (d.k(), d.ks())),
    "set_local_grads": (1, ALL, lambda d, w, n: (d.k(), (d.x(), d.x()), d.of_number(w, n))),
    "set_op": (1, ALL, lambda d, w, n: (d.k(), d.rng.choice(["", "mine"]))),
    "set_data": (2, ALL, lambda d, w, n: (d.k(), d.x(), d.of_number(w, n) if d.coin() else ())),
    "set_grad": (1, ALL, lambda d, w, n: (d.k(), d.x(), d.of_number(w, n) if d.coin() else ())),
    "again": (1, ALL, lambda d, w, n: (d.k(), d.x(), d.rng.choice([None, d.ks()]))),
    "set_attribute": (7, ALL, lambda d, w, n: (d.k(), d.rng.choice(NAMES), d.rng.choice(THINGS), d.k(), d.end(n))),
    "set_inner_attribute": (2, ALL, lambda d, w, n: (d.k(), d.rng.choice(NAMES), d.rng.choice(THINGS[:9]), d.end(n))),
    "set_named": (1, LATE, lambda d, w, n: (d.k(), d.rng.choice(THINGS[:6]), d.k(), d.some(w, n))),
    "del_named": (0.5, LATE, lambda d, w, n: (d.k(), d.some(w, n))),
    "del_attribute": (1, ALL, lambda d, w, n: (d.k(), d.rng.choice(NAMES))),
    "set_in_dict": (1, ALL, lambda d, w, n: (d.k(), d.rng.choice(NAMES), d.rng.choice(THINGS), d.k(), d.end(n))),
    "keep_dict": (0.5, (W,), lambda d, w, n: (d.k(),)),
    "change_dict": (0.5, (W,), lambda d, w, n: (d.k(), d.rng.choice(NAMES), d.rng.choice(THINGS), d.k(), d.end(n))),
    "clear_dict": (0.2, (W,), lambda d, w, n: (d.k(),)),
    "surely": (1, LATE, lambda d, w, n: (d.k(), d.mark())),
    "look_into_dict": (1, ALL, lambda d, w, n: (d.k(),)),
    "look": (2, ALL, lambda d, w, n: (d.k(),)),
    "look_deep": (2, ALL, lambda d, w, n: (d.k(),)),
    "walk_into": (3, ALL, lambda d, w, n: (d.k(),)),
    "compare": (1, ALL, lambda d, w, n: (d.k(), d.x(), d.of_number(w, n) if d.coin() else ())),
    "backward": (6, ALL, lambda d, w, n: (d.k(),)),
    "backward_by_hand": (1, ALL, lambda d, w, n: (d.k(),)),
    "drop": (6, ALL, lambda d, w, n: (d.k(),)),
    "drop_all": (0.7, ALL, lambda d, w, n: ()),
    "weakref": (4, ALL, lambda d, w, n: (d.k(), d.end(n), 1 + d.small(2))),
    "finalize": (2, ALL, lambda d, w, n: (d.k(), d.end(n))),
    "weak_containers": (1, ALL, lambda d, w, n: (d.k(),)),
    "look_at_weak_containers": (1, ALL, lambda d, w, n: ()),
    "upgrade": (2, LATE, lambda d, w, n: (d.k(),)),
    "resurrect": (1, LATE, lambda d, w, n: ()),
    "cycle": (4, ALL, lambda d, w, n: d.cycle(w, n)),
    "after_garbage": (4, ALL, lambda d, w, n: d.after_garbage(w, n)),
    "collect": (2, ALL, lambda d, w, n: (d.small(3),)),
    "threshold": (0.5, ALL, lambda d, w, n: (d.rng.choice([1, 1, 2, 5, 700]),)),
    "compact": (2, ALL, lambda d, w, n: ()),
    "rows": (0.2, ALL, lambda d, w, n: ()),
    "brim": (0.5, ALL, lambda d, w, n: (d.small(8),)),
    "copy": (1, ALL, lambda d, w, n: (d.k(),)),
    "deepcopy": (1, ALL, lambda d, w, n: (d.ks(),)),
    "pickle": (0.7, ALL, lambda d, w, n: (d.ks(),)),
    "patch": (1.5, (C, W), lambda d, w, n: (
        d.patch(w), d.rng.choice(["acts", "acts", "first", "text"]), d.some(w, n))),
    "patch_in_sum": (1, (C, W), lambda d, w, n: (
        d.rng.choice(["sum", "prod", "dot"]), d.ks(4) + d.ks(), d.small(), d.patch(w),
        d.rng.choice(["acts", "first", "text", "text"]), d.some(w, n))),
    "unpatch": (1, (C, W), lambda d, w, n: ()),
    "set_class": (1, LATE, lambda d, w, n: (d.k(), d.coin())),
    "raw": (1, LATE, lambda d, w, n: (d.coin(),)),
    "short": (1, LATE, lambda d, w, n: (d.small(5), d.some(w, n, 4))),
    "record": (0.2, LATE, lambda d, w, n: (d.some(w, n), d.x())),
    "leak": (0.2, LATE, lambda d, w, n: ((), 2.0)),
    "look_at_leaked": (0.3, LATE, lambda d, w, n: ()),
    "recorded_numbers": (0.15, (W,), lambda d, w, n: (tuple(d.rng.choices(RECORDED, k=2)), 1.5)),
    "churn": (0.3, (C, W), lambda d, w, n: ()),
    "fork": (0.02, (W,), lambda d, w, n: ()),
    "thread": (0.3, (C, N, W), lambda d, w, n: (d.thread(w, n),)),
    "resume": (1, (C, N, W), lambda d, w, n: (d.k(),)),
    "hand_over": (3, (C, N, W), lambda d, w, n: ()),
    "stop": (0.5, ALL, lambda d, w, n: ()),
}  # fmt: skip
INSIDE_ONLY = ("hand_over", "stop", "resurrect")
OUTSIDE_ONLY = ("churn",)


def table(where, inside):
    others = OUTSIDE_ONLY if inside else INSIDE_ONLY
    names = [name for name, maker in MAKERS.items() if where in maker[1] and name not in others]
    total, weights = 0.0, []
    for name in names:
        total += MAKERS[name][0]
        weights.append(total)
    return names, weights


TABLE = {(where, inside): table(where, inside) for where in ALL for inside in (False, True)}


def is_compared(seed):
    return seed % 2 == 0 and not is_raw(seed)


def revives(seed):
    """Whether a program revives what is about to go."""
    return seed // 2 % 2 == 0


def is_raw(seed):
    """Whether Value.__new__ is replaced in a program's process, for good: CPython does not take that back."""
    return seed // BLOCK % 8 == 7


def draw_steps(seed):
    rng = random.Random(seed)
    draw = Draw(rng, is_compared(seed))
    where = C if draw.compared else W
    return [draw.step(where, 0) for _ in range(rng.randrange(10, 70))]


# ---- running one ----


def make_raw():
    def new(cls, *args, **kwargs):
        return object.__new__(cls)

    value.Value.__new__ = new


def problem(steps, seed):
    """What is wrong after these steps, or None; a crash is for whoever runs the process. The seed tells their kind."""
    compared = is_compared(seed)
    gc.collect()
    before = tape.compact()
    worlds = [World("compiled", compared, revives(seed))]
    if compared:
        worlds.append(World("reference", compared, revives(seed)))
    found = []
    for n, step in enumerate(steps):
        outcomes = [world.main.outcome(step) for world in worlds]
        if compared:
            seen = [everything(world.main) for world in worlds] if n % 8 == 7 or n == len(steps) - 1 else [0, 0]
            if outcomes[0] != outcomes[1] or seen[0] != seen[1]:
                pairs = [] if seen[0] == 0 else [p for p in zip(*seen, strict=False) if p[0] != p[1]][:3]
                found.append(f"after step {n}, {step[0]}, compiled and reference: {outcomes} {pairs}")
                break
    for world in worlds:
        world.finish()
    found += inconsistencies(worlds[0])
    for world in worlds:
        world.clear()
    gc.collect()
    for world in worlds:
        world.end()
        found += world.wrong
    del worlds, world
    gc.collect()
    left = tape.compact() - before
    if left:
        found.append(f"{left} nodes are left: {tape.rows(before + 1)[:5]}")
    return "\n".join(found) or None


def inconsistencies(world):
    """What the tape and the Values that a program holds say differently."""
    found = []
    for v, name, mark in world.sure:
        if vars(v).get(name) != mark:
            found.append(f"the attribute {name} is lost")
    for v in [w for w in world.leaked if isinstance(w, world.V)]:  # an assigned operator may give anything
        try:
            v.backward()
        except TypeError:
            continue
        found.append("a Value that a recorded function stored outside has been differentiated")
    fresh = [world.V(float(n)) + 0.5 for n in range(5)]
    if len({id(v) for v in fresh}) < 5 or [v.data for v in fresh] != [n + 0.5 for n in range(5)]:
        found.append(f"two live Values are one: {fresh}")
    values = [*world.main.values, *world.hidden.values, *fresh]
    held = {id(v): v for v in values if type(v) is not value.Outlived}
    gc.disable()
    rows = tape.rows()
    places = [value._index_of(v) for v in held.values()]
    if len(set(places) - {0}) < len(places) - places.count(0):
        found.append("two Values stand for one node")
    for v, place in zip(held.values(), places, strict=True):
        row = rows[place - 1] if 0 < place <= len(rows) else None
        if place and (row is None or not row[6] or bits(row[4] * 1.0) != bits(v.data * 1.0)):
            found.append(f"a live Value's row is {row}, not {v!r}")
    for n, (place, _, a, b, *_) in enumerate(rows):
        if place != n + 1 or not 0 <= a <= place or not 0 <= b <= place:
            found.append(f"row {n + 1} is {rows[n]}")
    gc.enable()
    return found


def fresh_process():
    """Make this process one that runs programs: nothing else is looked through by the collector."""
    sys.unraisablehook = lambda unraisable: None
    tg.record(lambda x: tg.where(x > 0.0, x, 2.0) * x)(1.0)  # which imports what is imported late
    pickle.loads(pickle.dumps(copy.deepcopy(value.Value(1.0) + 2.0)))
    gc.collect()
    gc.freeze()


def work(first, last, steps_wanted):
    """Run the programs of these seeds, and print each before it runs; how many steps there were."""
    fresh_process()
    if is_raw(first):
        make_raw()
    steps_done = 0
    for seed in range(first, last):
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        os.write(1, b"%d\n" % seed)
        steps = draw_steps(seed)
        found = problem(steps, seed)
        if found:
            print(f"wrong: {found}", flush=True)
            return 1
        steps_done += len(steps)
        if steps_done >= steps_wanted:
            break
    faulthandler.cancel_dump_traceback_later()
    os.write(1, b"steps %d\n" % steps_done)
    return 0


# ---- processes ----


def process(arguments, stdin=""):
    """How a process of this script ends: its status and what it wrote; no child of its own outlives it."""
    command = [sys.executable, "-X", "faulthandler", __file__, *arguments]
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+", errors="replace") as out:
        given.write(stdin)
        given.seek(0)
        run = subprocess.Popen(command, stdin=given, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        status = run.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        out.seek(0)
        return subprocess.CompletedProcess(command, status, out.read())


def run_steps(steps, seed):
    """How a process ends that runs these steps only."""
    return process(["--steps", str(seed)], repr(steps))


def run_given_steps(seed):
    import ast

    fresh_process()
    if is_raw(seed):
        make_raw()
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    found = problem(ast.literal_eval(sys.stdin.read()), seed)
    if found:
        print(f"wrong: {found}")
    return 1 if found else 0


def kind_of(run):
    """What a finding is like, so that shorter steps show the same one."""
    text = run.stdout
    for kind in ("AddressSanitizer: heap-use-after-free", "AddressSanitizer", "runtime error", "Fatal Python error",
                 "nodes are left", "compiled and reference", "wrong:"):  # fmt: skip
        if kind in text:
            return kind
    return run.returncode


def shorter(steps):
    """Versions of steps with a few left out, at any depth."""
    size = len(steps)
    n = size // 2
    while n >= 1:
        for k in range(0, size, n):
            yield steps[:k] + steps[k + n :]
        n //= 2
    for k, step in enumerate(steps):
        for j, argument in enumerate(step):
            if isinstance(argument, tuple) and argument and isinstance(argument[0], tuple):
                for inner in shorter(argument):
                    yield steps[:k] + type(steps)([(*step[:j], inner, *step[j + 1 :])]) + steps[k + 1 :]


def shrunk(steps, seed, seconds=60):
    """The steps without those that the finding does not need, as far as the time goes, and how that process ends."""
    run = run_steps(steps, seed)
    if run.returncode == 0:
        return steps, None
    kind, end = kind_of(run), time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for candidate in shorter(steps):
            if time.monotonic() > end:
                break
            other = run_steps(candidate, seed)
            if other.returncode and kind_of(other) == kind:
                steps, run, progress = candidate, other, True
                break
    return steps, run


def finding(first, last, steps_wanted=10**12, shrink=True):
    """Run these programs in a process: how many steps there were, and None or what was found, as a text."""
    run = process(["--work", str(first), str(last), str(steps_wanted)])
    lines = run.stdout.splitlines()
    if run.returncode == 0 and lines and lines[-1].startswith("steps "):
        return int(lines[-1].split()[1]), None
    seed = max((int(line) for line in lines if line.isdigit()), default=first)
    told = [line for line in lines if not line.isdigit()][:70]
    text = [f"seed {seed}, status {run.returncode}"]
    if shrink:
        steps, alone = shrunk(draw_steps(seed), seed)
        if alone is None:
            text.append(f"only after others: python {__file__} --work {first} {seed + 1} {steps_wanted}")
        else:
            text += map(repr, steps)
            told = alone.stdout.splitlines()[:70]
    return 0, "\n".join(text + told)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="steps")
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--keep-going", action="store_true", help="past findings, without shrinking")
    parser.add_argument("--work", nargs=3, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        return work(*options.work)
    if options.steps is not None:
        return run_given_steps(options.steps)
    done, seed, findings = 0, options.seed, 0
    start = time.monotonic()
    while done < options.count:
        last = (seed // BLOCK + 1) * BLOCK
        steps, found = finding(seed, last, options.count - done, not options.keep_going)
        if found:
            print(found, flush=True)
            findings += 1
            if not options.keep_going:
                return 1
            last = int(found.split()[1].rstrip(",")) + 1
        done += steps
        seed = last
    rate = done / (time.monotonic() - start)
    print(f"{done:,} steps from seed {options.seed}: {findings or 'no'} findings; {rate:,.0f} steps a second")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
