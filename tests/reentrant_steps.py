"""What a random program of reentrancy.py can do, step by step: the actors on the reference and on the compiled core.

Many steps make a trigger: a list of further steps that something else sets off in the middle of its own work. What sets
it off may be the next item of an iterator, a number that is converted, a closure that the sweep calls or a patched
operator: these come at the same point on both cores. Or it is the end of an object, by a weak reference, a finalizer
or a `__del__`: when that comes is the core's and the cycle collector's business. In programs that are compared, such a
trigger works on Values of its own, which are not compared; in wild programs on all of them.
"""

import contextlib
import copy
import gc
import math
import numbers
import os
import pickle
import signal
import threading
import time
import warnings
import weakref

import tapegrad as tg
from tapegrad import reference, value
from tapegrad.tape import tape

# a NameError comes from closures that the collector has cleared
EXPECTED = (ArithmeticError, ValueError, TypeError, AttributeError, RuntimeError, LookupError, MemoryError,
            ReferenceError, NameError, pickle.PicklingError)  # fmt: skip
MOST_VALUES = 10  # that an actor keeps
MOST_ACTS = 400  # steps of triggers in a program
DEEPEST = 6  # triggers within triggers
PATCHED = ("__add__", "__mul__", "__neg__", "__pow__", "__truediv__", "backward", "__radd__", "__rmul__", "__init__",
           "__setattr__", "__eq__", "__hash__", "__del__", "__repr__")  # fmt: skip


def holds_still():
    """Whether nodes are held still at the moment: by this thread itself, unless something is wrong."""
    most, tape.max_nodes = tape.max_nodes, 2**31 - 3
    at_first = tape.compact()
    below = value._leaves([1.0] * 5000)
    above = value._leaves([2.0])
    below.clear()
    left = tape.compact()
    del above
    tape.max_nodes = max(most, len(tape))
    return left > at_first + 1 + 100


class StopError(RuntimeError):
    """What triggers raise, to end whatever set them off."""


# ---- what sets off steps ----


class Trigger:
    """Steps to be done when this is called: so many times, and no more when it is nested too deep."""

    __slots__ = ("__weakref__", "actor", "at_an_end", "left", "sees_mine", "steps")

    def __init__(self, actor, steps, times=1, at_an_end=False, sees_mine=True):
        self.actor, self.steps, self.left = actor, steps, times
        self.at_an_end, self.sees_mine = at_an_end, sees_mine

    def __call__(self, *args, mine=()):
        world = self.actor.world
        if self.left <= 0 or world.over:
            return
        if self.at_an_end:
            if world.is_reference or world.ends >= DEEPEST:
                return
            self.left -= 1
            world.ends += 1
            try:
                self.actor.run(self.steps, mine if self.sees_mine and world.revives else ())
            except StopError:
                if not world.compared:
                    raise
            finally:
                world.ends -= 1
        elif not world.compared or self.actor.hidden or not world.ends:
            if world.depth >= DEEPEST:
                return
            self.left -= 1
            world.depth += 1
            try:
                self.actor.run(self.steps)
            finally:
                world.depth -= 1

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return str, ()


class Ends:
    """An object that does its steps when it goes."""

    __slots__ = ("__weakref__", "trigger")

    def __init__(self, trigger):
        self.trigger = trigger

    def __del__(self):
        self.trigger()

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return str, ()

    def __repr__(self):
        return "Ends"


class Holder(Ends):
    """The same with Values that refer to it: garbage that only the cycle collector finds."""

    __slots__ = ("held", "me")

    def __init__(self, trigger, held):
        self.trigger, self.held, self.me = trigger, held, self

    def __del__(self):
        self.trigger(mine=self.held)


class Copied:
    """An attribute that does its steps when it is copied or pickled."""

    def __init__(self, trigger):
        self.trigger = trigger

    def __deepcopy__(self, memo):
        self.trigger()
        return self

    def __reduce__(self):
        self.trigger()
        return str, ()

    def __repr__(self):
        return "Copied"


class Name(str):
    """A name of an attribute that does its steps when it is looked up."""

    __slots__ = ("trigger",)

    def __hash__(self):
        if hasattr(self, "trigger"):
            self.trigger()
        return str.__hash__(self)

    def __eq__(self, other):
        if hasattr(self, "trigger"):
            self.trigger()
        return str.__eq__(self, other)


class Number:
    """A real number that does its steps when it is converted."""

    def __init__(self, x, trigger):
        self.x, self.trigger = x, trigger

    def __float__(self):
        self.trigger()
        return float(self.x)


numbers.Real.register(Number)


class Foreign:
    """No number: what it does to operators of Values is its own affair."""

    def __init__(self, answer, trigger):
        self.answer, self.trigger = answer, trigger

    def reflected(self, other):
        self.trigger()
        return self.answer

    __radd__ = __rmul__ = __rsub__ = __rtruediv__ = __rpow__ = reflected
    __add__ = __mul__ = __sub__ = __truediv__ = __pow__ = reflected


class Finally:
    """Makes generators: one whose `finally` does the steps."""

    def __init__(self, trigger):
        self.trigger = trigger

    def begun(self):
        def generate():
            try:
                yield
            finally:
                self.trigger()

        generator = generate()
        next(generator)
        return generator


# ---- subclasses ----


class ReferenceSub(reference.Value):
    pass


class CompiledSub(value.Value):
    pass


class ReferenceDies(reference.Value):
    trigger = None

    def __del__(self):
        if self.trigger is not None:
            self.trigger(mine=[self])


class CompiledDies(value.Value):
    __slots__ = ("trigger",)

    def __del__(self):
        if hasattr(self, "trigger"):
            self.trigger(mine=[self])


# ---- threads that take turns ----


class Turn:
    """A thread that runs only while whoever resumed it waits."""

    def __init__(self, actor, steps):
        self.actor, self.steps = actor, steps
        self.go, self.back = threading.Lock(), threading.Lock()
        self.go.acquire()
        self.back.acquire()
        self.waiting = True
        self.ended = False
        self.thread = threading.Thread(target=self.body, daemon=True)
        self.thread.start()

    def body(self):
        self.go.acquire()
        try:
            for step in self.steps:
                self.actor.outcome(step)
        finally:
            self.ended = True
            self.back.release()

    def resume(self):
        self.waiting = False
        self.actor.world.running.append(self)
        self.go.release()
        self.back.acquire()
        self.actor.world.running.pop()
        if self.ended:
            self.thread.join()

    def hand_over(self):
        self.waiting = True
        self.back.release()
        self.go.acquire()


# ---- what a sweep calls ----


class Pull:
    """A function of a node's own, as an object.

    In programs that revive what the collector is at, functions will not do: to call one that has been cleared is a
    segmentation fault of CPython's own (3.11 to 3.13 at least), with no Value about.
    """

    def __init__(self, *captured):
        self.captured = captured

    def __call__(self):
        children, seen, trigger, ends = self.captured
        for c in children:
            c.grad += 0.5 * seen.grad
        trigger()
        return ends

    def __reduce__(self):
        raise TypeError("as of a function")


class Wrapped(Pull):
    def __call__(self):
        trigger, before = self.captured
        trigger()
        before()


def pull_function(children, seen, trigger, ends):
    def backward():
        for c in children:
            c.grad += 0.5 * seen.grad
        trigger()
        return ends

    return backward


def wrapped_function(trigger, before):
    def wrapped():
        trigger()
        before()

    return wrapped


# ---- actors ----

CORES = {
    "reference": (reference, ReferenceSub, ReferenceDies),
    "compiled": (value, CompiledSub, CompiledDies),
}
ORIGINALS = {
    (core.Value, name): vars(core.Value).get(name) for core in (reference, value) for name in (*PATCHED, "note")
}


class World:
    """One core with a program that runs on it.

    compared  whether what the program sees is the same on both cores
    revives   whether it revives what is about to go
    """

    def __init__(self, core_name, compared, revives):
        self.core, self.Sub, self.Dies = CORES[core_name]
        self.V = self.core.Value
        self.is_reference = core_name == "reference"
        self.compared, self.revives = compared, revives
        self.log, self.wrong = [], []
        self.acts = self.ends = self.depth = 0
        self.over = self.draining = False
        self.patching = True
        self.turns, self.running = [], []
        self.revived = False  # whether some Values may be such that the collector is clearing
        # To the end: CPython 3.11 crashes where the collector, which runs while weak references to an object are told
        # of its end, lets go of one of them.
        self.references = []
        self.names = []
        self.dicts, self.sure, self.leaked = [], [], []
        self.main = Actor(self, [self.V(1.5), self.V(2)])
        self.hidden = Actor(self, [], hidden=True) if compared else self.main

    def fault(self, text):
        self.wrong.append(text)

    def restore(self):
        """Take back what concerns more than this program."""
        self.patching = False  # nor do triggers that this sets off
        self.unpatch()
        gc.set_threshold(700, 10, 10)
        tape.max_nodes = 2**31 - 3

    def unpatch(self):
        for (cls, name), original in ORIGINALS.items():
            now = vars(cls).get(name)  # kept until it is out of CPython's cache of methods
            if cls is self.V and now is not original:
                if original is None:
                    delattr(cls, name)
                else:
                    type.__setattr__(cls, name, original)

    def finish(self):
        """End the threads, and what the program did to its class."""
        self.end_threads()
        self.restore()

    def end_threads(self):
        self.draining = True
        for turn in self.turns:
            while not turn.ended:
                turn.resume()

    def end(self):
        """No trigger does anything from now on, and nothing of this program stays."""
        self.over = True
        self.end_threads()
        for name in self.names:
            del name.trigger
        self.names.clear()
        self.restore()
        gc.disable()
        self.clear()
        self.references.clear()
        gc.enable()

    def clear(self):
        self.main.clear()
        self.hidden.clear()
        self.dicts.clear()
        self.sure.clear()
        self.leaked.clear()
        while self.turns:
            self.end_threads()
            self.turns = []


class Actor:
    """Values, and all that can be done to them. Steps are data: numbers, names and further steps."""

    def __init__(self, world, values, hidden=False, parent=None):
        self.world, self.values, self.hidden = world, values, hidden
        self.mine = ()
        self.weak = [] if parent is None else parent.weak
        self.weak_set = weakref.WeakSet() if parent is None else parent.weak_set
        self.weak_values = weakref.WeakValueDictionary() if parent is None else parent.weak_values

    def clear(self):
        self.mine = ()
        self.values.clear()
        self.weak.clear()
        self.weak_set.clear()
        self.weak_values.clear()

    def at(self, k):
        if self.mine and k & 1:
            self.world.revived = True
            return self.mine[(k >> 1) % len(self.mine)]
        if not self.values:
            self.values.append(self.world.V(1.25))
        return self.values[k % len(self.values)]

    def all_at(self, ks):
        return [self.at(k) for k in ks]

    def keep(self, v):
        if not isinstance(v, self.world.V):
            return
        self.values.append(v)
        if len(self.values) > MOST_VALUES:
            del self.values[0]

    def answer(self, y):
        """Look at what an operator has answered."""
        if y is NotImplemented:
            raise TypeError
        self.note(kind_of_object(y))
        self.keep(y)

    def child(self):
        """An actor with no Values yet."""
        return Actor(self.world, [], self.hidden, self)

    def at_ends(self, steps, times=1):
        hidden = self.world.hidden
        return Trigger(hidden, steps, times, at_an_end=True, sees_mine=self.hidden == hidden.hidden)

    def run(self, steps, mine=()):
        world = self.world
        before, self.mine = self.mine, mine
        try:
            for step in steps:
                world.acts += 1
                if world.acts > MOST_ACTS:
                    return
                try:
                    getattr(self, step[0])(*step[1:])
                except StopError:
                    raise
                except EXPECTED as error:
                    self.note(name_of(error, step))
                except Exception as error:
                    world.fault(f"{step[0]}: {error!r}")
        finally:
            self.mine = before

    def outcome(self, step):
        """The name of the error that a step of the program itself ends in, or None."""
        try:
            getattr(self, step[0])(*step[1:])
        except EXPECTED as error:
            return name_of(error, step)
        except Exception as error:
            self.world.fault(f"{step[0]}: {error!r}")
        return None

    def note(self, text):
        if self.world.compared and not self.hidden and len(self.world.log) < 1000:
            self.world.log.append(text)

    # ---- new Values ----

    def leaf(self, x):
        self.keep(self.world.V(x))

    def sub(self, x):
        self.keep(self.world.Sub(x))

    def dies(self, x, steps, times):
        v = self.world.Dies(x)
        v.trigger = self.at_ends(steps, times)
        self.keep(v)

    def unary(self, name, k):
        self.keep(getattr(self.at(k), name)())

    def binary(self, name, k, other, x):
        self.answer(getattr(self.at(k), name)(x if other is None or name.startswith("__r") else self.at(other)))

    def binary_by_number(self, name, k, x, steps):
        self.answer(getattr(self.at(k), name)(Number(x, Trigger(self, steps))))

    def binary_by_foreign(self, name, k, answer, steps):
        foreign = Foreign(self.at(k) if answer is None else answer, Trigger(self, steps))
        v = self.at(k)
        y = v + foreign if name == "+" else v * foreign if name == "*" else v - foreign if name == "-" else v / foreign
        self.answer(y)

    def items(self, ks, steps, where, x):
        """An iterator that does its steps before item `where`."""
        trigger = Trigger(self, steps)
        for n, k in enumerate(ks):
            if n == where:
                trigger()
            yield self.at(k) if k % 5 else x
        if where >= len(ks):
            trigger()

    def reduce(self, name, ks, steps, where, x):
        core = self.world.core
        if name == "dot":
            y = core.dot(self.items(ks, steps, where, x), self.all_at(ks[::-1]))
        else:
            y = getattr(core, name)(self.items(ks, steps, where, x), self.at(where) if where % 2 else 1)
        self.answer(y)

    def dot_of_lists(self, ks, x, steps):
        xs = [*self.all_at(ks), Number(x, Trigger(self, steps)), self.world.V(0.5)]
        self.answer(self.world.core.dot(xs, [*self.all_at(ks), 2.0, 3.0]))

    def round(self, k, digits, steps):
        trigger = Trigger(self, steps)

        class Index:
            def __index__(self):
                trigger()
                return digits

        self.keep(round(self.at(k), Index()))

    # ---- custom nodes ----

    def closure(self, ks, steps, times, itself, end_steps):
        children = tuple(self.all_at(ks))
        trigger = Trigger(self, steps, times)
        ends = Ends(self.at_ends(end_steps)) if end_steps else None
        out = self.world.V(0.25 + sum(c.data for c in children if abs(c.data) < 1e3), children, "own")
        seen = out if itself else self.world.V(0.5)
        pull = Pull if self.world.revives else pull_function
        out._backward = pull(children, seen, trigger, ends)
        self.keep(out)

    def local_grads(self, ks, xs):
        self.keep(self.world.V(1.0, tuple(self.all_at(ks)), tuple(xs[: len(ks)])))

    def children_by_iterator(self, ks, steps, where):
        self.keep(self.world.V(1.0, self.items([k * 5 + 1 for k in ks], steps, where, 0.0), "it"))

    def wrap_backward(self, k, steps):
        v, trigger = self.at(k), Trigger(self, steps, 2)
        wrapped = Wrapped if self.world.revives else wrapped_function
        v._backward = wrapped(trigger, v._backward)

    def set_prev(self, k, ks, steps, where):
        self.at(k)._prev = self.items([j * 5 + 1 for j in ks], steps, where, 0.0)

    def set_children(self, k, ks):
        self.at(k)._children = tuple(self.all_at(ks))

    def set_local_grads(self, k, xs, steps):
        v = self.at(k)
        n = len(v._children)
        v._local_grads = [Number(x, Trigger(self, steps)) if n == 0 else x for n, x in enumerate((xs * 3)[:n])]

    def set_op(self, k, op):
        self.at(k)._op = op

    # ---- numbers and attributes ----

    def set_data(self, k, x, steps):
        self.at(k).data = Number(x, Trigger(self, steps)) if steps else x

    def set_grad(self, k, x, steps):
        self.at(k).grad = Number(x, Trigger(self, steps)) if steps else x

    def again(self, k, x, ks):
        if ks is None:
            self.at(k).__init__(x)
        else:
            self.at(k).__init__(x, tuple(self.all_at(ks)), "again")

    def thing(self, kind, k, j, steps):
        """Something to be an attribute."""
        if kind == "ends":
            return Ends(self.at_ends(steps))
        if kind == "finally":
            return Finally(self.at_ends(steps)).begun()
        if kind == "copied":
            return Copied(self.at_ends(steps))
        return {
            "number": 0.5, "text": "text", "list": [1, 2], "itself": self.at(k), "other": self.at(j),
            "tuple": (self.at(j), [self.at(k)]),
        }[kind]  # fmt: skip

    def set_attribute(self, k, name, kind, j, steps):
        setattr(self.at(k), name, self.thing(kind, k, j, steps))

    def set_inner_attribute(self, k, name, kind, steps):
        for child in self.at(k)._children:
            setattr(child, name, self.thing(kind, k, k, steps))

    def name(self, steps):
        """A name that acts; as a key it may be in a cycle that the collector cannot see, and which `finish` breaks."""
        name = Name("note")
        name.trigger = Trigger(self, steps, 3)
        self.world.names.append(name)
        return name

    def set_named(self, k, kind, j, steps):
        name = self.name(steps)
        setattr(self.at(k), name, self.thing(kind, k, j, ()))

    def del_named(self, k, steps):
        name = self.name(steps)
        delattr(self.at(k), name)

    def del_attribute(self, k, name):
        delattr(self.at(k), name)

    def set_in_dict(self, k, name, kind, j, steps):
        vars(self.at(k))[name] = self.thing(kind, k, j, steps)

    def keep_dict(self, k):
        self.world.dicts.append(vars(self.at(k)))
        del self.world.dicts[:-3]

    def change_dict(self, k, name, kind, j, steps):
        if self.world.dicts:
            self.world.dicts[k % len(self.world.dicts)][name] = self.thing(kind, k, j, steps)

    def clear_dict(self, k):
        if self.world.dicts:
            self.world.dicts[k % len(self.world.dicts)].clear()
            self.world.sure.clear()

    def surely(self, k, mark):
        """An attribute that must be there to the end."""
        v, name = self.at(k), f"sure{mark}"
        setattr(v, name, mark)
        # unless the program's own __setattr__ has done something else, or the collector is at what has been revived
        if getattr(v, name, None) == mark and not self.world.revived:
            self.world.sure.append((v, name, mark))

    def look_into_dict(self, k):
        vars(self.at(k))

    # ---- looking ----

    def look(self, k):
        v = self.at(k)
        self.note((v._op, len(v._prev), tuple(bits(d) for d in v._local_grads), f"{v:.3f}", bits(v.data)))

    def look_deep(self, k):
        todo = [self.at(k)]
        for _ in range(20):
            if todo:
                v = todo.pop()
                todo += v._prev
                repr((v.data, v.grad, v._op, v._children, v.local_gradients(), v._backward))

    def walk_into(self, k):
        children = self.at(k)._children
        if children:
            self.keep(children[-1])

    def compare(self, k, x, steps):
        self.note(self.at(k) < (Number(x, Trigger(self, steps)) if steps else x))

    # ---- sweeps ----

    def backward(self, k):
        self.at(k).backward()

    def backward_by_hand(self, k):
        self.at(k)._backward()

    # ---- ends ----

    def drop(self, k):
        if self.values:
            del self.values[k % len(self.values)]

    def drop_all(self):
        self.values.clear()

    def weakref(self, k, steps, times):
        self.weak.append(weakref.ref(self.at(k), self.at_ends(steps, times)))
        self.world.references.append(self.weak[-1])
        del self.weak[:-6]

    def finalize(self, k, steps):
        weakref.finalize(self.at(k), self.at_ends(steps)).atexit = False

    def weak_containers(self, k):
        self.weak_set.add(self.at(k))
        self.weak_values[self.world.acts, len(self.weak_values)] = self.at(k)

    def look_at_weak_containers(self):
        repr(list(self.weak_set))
        repr(list(self.weak_values.values()))

    def upgrade(self, k):
        """Keep what a weak reference still gives."""
        if self.weak and self.world.revives:
            self.world.revived = True
            self.keep(self.weak[k % len(self.weak)]())

    def resurrect(self):
        for v in self.mine:
            self.world.revived = True
            self.keep(v)

    def cycle(self, build_steps, attributes, end_steps, times):
        """Garbage for the cycle collector: Values of their own that refer to an object, which refers to them."""
        world = self.world
        if world.is_reference:
            return
        nursery = world.hidden.child()
        world.ends += 1
        try:
            nursery.run(build_steps)
            # made after the Values, and in both orders: so the collector clears it after them, in one or the other
            held = nursery.values[:: -1 if attributes & 32 else 1]
            holder = Holder(nursery.at_ends(end_steps, times), held)
            for n, v in enumerate(held):
                if attributes >> n % 5 & 1:
                    v.note = holder
        except EXPECTED:
            return
        finally:
            world.ends -= 1

    def after_garbage(self, allocations, build_steps, attributes, end_steps, step):
        """A step in which the collector runs after so many allocations, with garbage that has something to do."""
        gc.disable()
        try:
            self.cycle(build_steps, attributes, end_steps, 1)
            kept = [{} for _ in range(100)]  # those that CPython has for reuse: to take them is no allocation
            gc.set_threshold(gc.get_count()[0] + allocations)
        finally:
            gc.enable()
        try:
            self.run((step,), self.mine)
        finally:
            gc.set_threshold(700)
            kept.clear()

    def collect(self, generation):
        gc.collect(generation)

    def threshold(self, n):
        gc.set_threshold(n)

    def compact(self):
        if not self.world.is_reference:
            tape.compact()

    def rows(self):
        tape.rows()

    def brim(self, left):
        """Garbage under a Value, so that the tape is squeezed after so many nodes more."""
        below = None
        if not self.world.is_reference:
            below = value._leaves([1.0] * max(1022 - len(tape) - left, 0))
        self.keep(self.world.V(2.0))
        del below

    # ---- copies ----

    def copy(self, k):
        self.keep(copy.copy(self.at(k)))

    def deepcopy(self, ks):
        for v in copy.deepcopy(self.all_at(ks)):
            self.keep(v)

    def pickle(self, ks):
        # Where attributes refer to each other pickle recurses, until there is a RecursionError. CPython 3.11 ends the
        # process for it in a finalizer that runs while another exception is made.
        if self.world.ends:
            return
        for v in pickle.loads(pickle.dumps(self.all_at(ks))):
            self.keep(v)

    # ---- the class ----

    def patch(self, name, kind, steps):
        cls = self.world.V
        if not self.world.patching:
            return
        before = getattr(cls, name, None)
        trigger = Trigger(self, steps, 3)
        text = "x" * len(self.values) * 8

        def patched(*args):
            trigger()
            if kind == "text" and name not in ("__init__", "__setattr__", "__hash__", "__del__"):
                return text
            if kind == "first" and name not in ("__init__", "__hash__", "__del__"):
                return args[0]
            return before(*args) if before is not None else None

        setattr(cls, name, patched)
        if name == "__add__":  # what the reference's method does
            cls.__radd__ = lambda self, other: self + other
        elif name == "__mul__":
            cls.__rmul__ = lambda self, other: self * other

    def patch_in_sum(self, reduction, ks, where, name, kind, steps):
        """A sum whose iterator patches an operator on the way."""

        def items():
            for n, k in enumerate(ks):
                if n == where:
                    self.patch(name, kind, steps)
                yield self.at(k)

        core = self.world.core
        self.answer(core.dot(items(), self.all_at(ks)) if reduction == "dot" else getattr(core, reduction)(items()))

    def unpatch(self):
        self.world.unpatch()

    def set_class(self, k, sub):
        self.at(k).__class__ = self.world.Sub if sub else self.world.V

    def raw(self, sub):
        cls = self.world.Sub if sub else self.world.V
        self.keep(cls.__new__(cls))

    # ---- what only the compiled core has ----

    def short(self, left, steps):
        """Steps without room for more than so many nodes."""
        tape.max_nodes = len(tape) + left
        try:
            self.run(steps, self.mine)
        finally:
            tape.max_nodes = 2**31 - 3

    def record(self, steps, x):
        def f(v):
            actor = self.child()
            actor.keep(v)
            actor.keep(v * 2.0)
            actor.run(steps)
            return actor.values[-1]

        recorded = tg.record(f)
        recorded(x)
        self.keep(recorded(self.at(0)))

    def leak(self, steps, x):
        """Let a recorded function store a Value outside, which must not be differentiated after that."""
        found = []

        def f(v):
            inner = tg.where(v > 0.0, v * 2.0, v)
            inner.label = "inner"
            found.append(inner * 3.0)
            return v * 1.0

        tg.record(f)(x)
        self.world.leaked += [v for v in found if isinstance(v, self.world.V)]  # or operators are patched

    def look_at_leaked(self):
        for v in self.world.leaked:
            with contextlib.suppress(TypeError):  # which it is
                v._prev  # noqa: B018

    def recorded_numbers(self, kinds, x):
        """A function whose numbers may not all be seen by the recorder: refused, or right at another point too."""
        outer = self.world.V(3.0)

        def f(v):
            y = v * v + 1.0
            for kind in kinds:
                if kind == "init":
                    v.__init__(7.0)
                elif kind == "init of another":
                    outer.__init__(5.0)
                elif kind == "local":
                    y = v * y._local_grads[0]
                elif kind == "pairs":
                    pairs = y.local_gradients()
                    y = v * (pairs[0][1] if pairs else 1.0)
                elif kind == "set":
                    v.data = 4.0
                elif kind == "data":
                    y = y * v.data
                elif kind == "outer":
                    y = y * outer
                else:
                    y = y.tanh() + v
            return y * v

        recorded = tg.record(f)
        for point in (x, x + 1.0):
            outer.__init__(3.0)
            right = f(self.world.V(point)).data
            outer.__init__(3.0)
            try:
                got = recorded(point)
            except (TypeError, RuntimeError):
                return
            if not math.isclose(right, got, rel_tol=1e-9):
                self.world.fault(f"recorded {kinds} at {point}: {got}, not {right}")

    def churn(self):
        """Make garbage: whatever the program's threads are in the middle of, it goes."""
        if self.world.is_reference or value._recorder() is not None:
            return
        at_first = tape.compact()
        below = value._leaves([1.0] * 3000)
        above = value._leaves([2.0])
        below.clear()
        left = tape.compact() - len(above)
        if left > at_first + 1000:
            self.world.fault(f"{left - at_first} nodes of garbage stay on the tape")

    def fork(self):
        """A child that must be able to reclaim its nodes."""
        if value._recorder() is not None or holds_still():  # which the child needs too: it goes on there
            return
        for _ in range(3):  # an allocator may hang, if a thread was ending at that moment; under the sanitizers it does
            status = self.forked()
            if status is not None:
                break
        if status != 0:
            self.world.fault(f"after a fork the tape reclaims nothing: status {status}")

    def forked(self):
        """How a child ends that makes garbage; None where it hangs."""
        before, self.world.over = self.world.over, True  # in the child, which has none of the other threads
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:
            try:
                tape.max_nodes = 2**31 - 3
                os._exit(holds_still())
            except BaseException:
                os._exit(2)
        self.world.over = before
        end = time.monotonic() + 10
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None

    # ---- threads and errors ----

    def thread(self, steps):
        if len(self.world.turns) < 3:
            self.world.turns.append(Turn(self, steps))
            self.world.turns[-1].resume()

    def resume(self, k):
        waiting = [turn for turn in self.world.turns if turn.waiting and not turn.ended]
        if waiting:
            waiting[k % len(waiting)].resume()

    def hand_over(self):
        world = self.world
        if world.running and not world.draining:
            world.running[-1].hand_over()

    def stop(self):
        raise StopError


# ---- what can be seen ----


def name_of(error, step):
    return "cannot pickle" if step[0] == "pickle" else type(error).__name__


def bits(x):
    return "nan" if isinstance(x, float) and math.isnan(x) else repr(x)


def kind_of_object(x):
    return type(x).__name__.removeprefix("Reference").removeprefix("Compiled")


def attribute(x, place):
    if isinstance(x, (reference.Value, value.Value)):
        return ("a Value", place.get(id(x)))
    if isinstance(x, (tuple, list)):
        return [attribute(y, place) for y in x]
    return type(x).__name__ if hasattr(x, "send") else repr(x)


def everything(actor):
    """All that an actor's program can see of its Values."""
    place, todo, order = {}, list(actor.values), []
    while todo:
        v = todo.pop()
        if id(v) not in place:
            place[id(v)] = len(place)
            order.append(v)
            todo += v._children
    return [
        (bits(v.data), bits(v.grad), v._op, tuple(place[id(c)] for c in v._children), kind_of_object(v),
         [(n, attribute(getattr(v, n, None), place)) for n in ("label", "m", "note")])
        for v in order
    ] + [list(actor.world.log)]  # fmt: skip
