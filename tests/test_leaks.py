"""What is called again and again takes no memory: every public function, rightly called and wrongly.

Counted are the interpreter's blocks, the bytes that the C library's malloc has given out (programs and graphs are
arrays of C), the nodes on the tape and, on a debug build of CPython, references. What grows in every round by at least
half a block, node or reference a call is a leak; what grows in some rounds only is a cache that fills.
"""

import contextlib
import copy
import ctypes
import gc
import io
import pickle
import sys

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import losses, nn, optim
from tapegrad.program import Job, Lanes, from_bytes
from tapegrad.tape import tape

ROUNDS = (50, 100, 50, 100, 100, 1000, 1000)  # calls; the later ones only where those before grew, as free lists do
OF_OBJECT = set(dir(object))


SIZES = ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"]


class Mallinfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [(name, ctypes.c_size_t) for name in SIZES]


def nothing():
    return 0


def bytes_of_malloc():
    """How glibc's mallinfo2 tells them; elsewhere 0."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return nothing
    mallinfo2.restype = Mallinfo

    def count():
        info = mallinfo2()
        return info.uordblks + info.hblkhd

    return count


in_malloc = bytes_of_malloc()
references = getattr(sys, "gettotalrefcount", nothing)


@pytest.fixture(scope="module", autouse=True)
def little_to_collect():
    """What was there before is no garbage, and need not be looked at 2,000 times."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def counts():
    gc.collect()
    nodes = tape.compact()
    return nodes, sys.getallocatedblocks(), references(), in_malloc() / 32  # no block of malloc's is smaller


def growth(call):
    """What stays of a call: nodes, blocks, references and blocks of malloc's; the least of several rounds."""
    least = [float("inf")] * 4
    for _ in range(3):
        call()
    for k, times in enumerate(ROUNDS):
        if k >= 2 and max(least) < 0.5:
            break
        before = counts()
        for _ in range(times):
            call()
        least = [min(x, (now - then) / times) for x, now, then in zip(least, counts(), before, strict=True)]
    return least


def check(call, numpy=False):
    """numpy is no debug build and counts no references that it takes or lets go of; with it they mean nothing."""
    found = growth(call)
    if numpy:
        found[2] = 0.0
    assert max(found) < 0.5, dict(zip(("nodes", "blocks", "references", "blocks of malloc's"), found, strict=True))


def failing(error, call):
    with pytest.raises(error):
        call()


def check_refused(*calls, numpy=False):
    """Each fails, or not; none leaves anything."""

    def call():
        for bad in calls:
            with contextlib.suppress(Exception):
                bad()

    check(call, numpy)


def test_a_leak_is_found():
    kept = []
    found = growth(lambda: kept.append(object()))
    assert found[1] >= 0.9 or sys.getallocatedblocks() == 0  # a sanitizer wants everything from malloc
    assert found[2] >= 0.9 or references is nothing
    assert growth(lambda: kept.append(tg.Value(1.0)))[0] == 1
    assert max(growth(lambda: None)) < 0.5
    if in_malloc is not nothing and in_malloc() > 0:  # a sanitizer's malloc has none to tell of
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        assert growth(lambda: libc.malloc(ctypes.c_size_t(400)))[3] >= 10


# ---- Value ----

OTHER = [
    "__add__", "__eq__", "__ge__", "__gt__", "__le__", "__lt__", "__mul__", "__ne__", "__pow__", "__radd__", "__rmul__",
    "__rpow__", "__rsub__", "__rtruediv__", "__sub__", "__truediv__", "arctan2", "atan2", "hypot", "logaddexp",
    "maximum", "minimum",
]  # fmt: skip
ARGUMENTS = {
    "__class__": (1.5,),
    "__delattr__": ("note",),
    "__format__": (".2f",),
    "__getattribute__": ("data",),
    "__init__": (1.5,),
    "__reduce_ex__": (2,),
    "__round__": (1,),
    "__setattr__": ("note", "x"),
    "__setstate__": ({"note": 1},),
    "__subclasshook__": (int,),
    "elu": (0.5,),
    "leaky_relu": (0.1,),
    "rint": (1,),
}  # fmt: skip
REFUSED = [("reference", "__float__"), ("compiled", "__float__"), ("compiled", "__reduce__")]
SETTABLE = ["_backward", "_children", "_local_grads", "_op", "_prev", "data", "grad", "label"]
NAMES = sorted({*dir(tg.Value), *SETTABLE})


def has(engine, name):
    return hasattr(engine.Value(0.5), name)


@pytest.mark.parametrize("name", NAMES)
def test_value(engine, name):
    V = engine.Value
    if not has(engine, name):
        pytest.skip("the compiled core's alone")

    def call():
        v = V(0.5)
        y = v * v
        y.note = []
        if callable(getattr(V, name, None)):
            arguments = ARGUMENTS.get(name, ())
            if name == "__new__":
                arguments = (V,)
            elif name == "__deepcopy__":
                arguments = ({},)
            with pytest.raises(TypeError) if (engine.name, name) in REFUSED else contextlib.nullcontext():
                result = getattr(y, name)(*((V(2.0),) if name in OTHER else arguments))
                if isinstance(result, V):
                    result.backward()
        else:
            found = getattr(y, name)
            if name in SETTABLE:
                setattr(y, name, found)

    check(call)


@pytest.mark.parametrize("name", NAMES)
def test_value_with_bad_arguments(engine, name):
    V = engine.Value
    if not has(engine, name):
        pytest.skip("the compiled core's alone")
    if callable(getattr(V, name, None)):
        check_refused(
            lambda: getattr(V(0.5), name)("no", object(), None, 7),
            lambda: getattr(V(0.5), name)(object()),
            lambda: getattr(V(0.5), name)(nonsense=1),
            lambda: getattr(V(0.5), name)(),
        )
    else:
        check_refused(
            lambda: setattr(V(0.5), name, object()),
            lambda: setattr(V(0.5), name, [V(1.0), object()]),
            lambda: delattr(V(0.5), name),
        )


LIFE = {
    "a graph and its gradients": lambda V: (lambda x: (x * x + x.exp() * 2.0).backward())(V(0.5)),
    "a copy": lambda V: copy.copy(V(0.5) * V(2.0)),
    "a deep copy": lambda V: copy.deepcopy(V(0.5) * V(2.0)),
    "a pickle": lambda V: pickle.dumps(V(0.5)),
    "a closure": lambda V: closure(V),
    "a cycle": lambda V: cycle(V),
    "a subclass": lambda V: type("Sub", (V,), {})(2.0) * 3.0,
    "a child that is none": lambda V: failing(TypeError, lambda: V(1.0, [V(1.0), 5])),
    "a backward that raises": lambda V: raising(V),
    "an operator of another type": lambda V: failing(TypeError, lambda: V(1.0) + "x"),
}


def closure(V):
    x = V(0.5)
    y = V(1.0, (x,), "own")

    def backward():
        x.grad += y.grad

    y._backward = backward
    y.backward()


def cycle(V):
    x = V(0.5)
    x.me = x
    x.y = x * 2.0


def raising(V):
    y = V(1.0, (V(2.0),), "own")
    y._backward = lambda: 1 / 0
    with contextlib.suppress(ZeroDivisionError):
        (y * 2.0).backward()


@pytest.mark.parametrize("what", LIFE)
def test_lives_of_values(engine, what):
    check(lambda: LIFE[what](engine.Value))


# ---- functions of the package, on both cores ----

FUNCTIONS = {
    **dict.fromkeys(["atan2", "hypot", "logaddexp", "maximum", "minimum", "pow"], lambda f, V: f(V(0.5), V(2.0))),
    **dict.fromkeys(["log_softmax", "softmax"], lambda f, V: f([V(0.5), V(1.5), 2.0])[0]),
    **dict.fromkeys(["logsumexp", "prod", "sum"], lambda f, V: f([V(0.5), V(1.5), 2.0])),
    "clip": lambda f, V: f(V(0.5), 0.0, 1.0),
    "dot": lambda f, V: f([V(0.5), V(1.5)], [V(2.0), 3.0]),
    "to_int": lambda f, V: f(tg.Value(2.0)),  # it takes the compiled core's alone
    "where": lambda f, V: f(V(0.5) > 0.0, V(1.0), V(2.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", tg.functions.__all__)
def test_functions(engine, name):
    function, V = getattr(engine.functions, name), engine.Value

    def call():
        y = FUNCTIONS[name](function, V) if name in FUNCTIONS else function(V(0.5))
        if isinstance(y, V):
            y.backward()

    check(call)


@pytest.mark.parametrize("name", tg.functions.__all__)
def test_functions_with_bad_arguments(engine, name):
    function, V = getattr(engine.functions, name), engine.Value
    check_refused(
        lambda: function(),
        lambda: function("no"),
        lambda: function([V(0.5), object()]),
        lambda: function(V(0.5), object()),
        lambda: function([V(0.5), V(1.0)], [V(0.5), "no"]),
        lambda: function(V(0.5), V(1.0), V(2.0), V(3.0)),
    )


# ---- models ----

NN = {
    "Module": lambda e: e.nn.Module().parameters(),
    "Neuron": lambda e: e.nn.Neuron(2)([e.Value(1.0), 2.0]).backward(),
    "Layer": lambda e: e.nn.Layer(2, 2)([1.0, 2.0]),
    "MLP": lambda e: e.nn.MLP(2, [2, 1])([1.0, 2.0]).backward(),
    "Linear": lambda e: e.nn.Linear(2, 2)([[1.0, 2.0], [3.0, 4.0]]),
    "Maxout": lambda e: e.nn.Maxout(2, 2)([1.0, 2.0]),
    "ReLU": lambda e: e.nn.ReLU()([e.Value(1.0)]),
    "LeakyReLU": lambda e: e.nn.LeakyReLU()([e.Value(1.0)]),
    "Sigmoid": lambda e: e.nn.Sigmoid()([e.Value(1.0)]),
    "Tanh": lambda e: e.nn.Tanh()([e.Value(1.0)]),
    "Softmax": lambda e: e.nn.Softmax()([e.Value(1.0), 2.0]),
    "Sequential": lambda e: state_of(e.nn.Sequential(e.nn.Linear(2, 1), e.nn.Tanh())),
    "calculate_gain": lambda e: e.nn.calculate_gain("relu"),
}


def state_of(model):
    model.load_state_dict(model.state_dict())
    model([1.0, 2.0])[0].backward()
    model.zero_grad()
    return repr(model), list(model.named_parameters()), list(model), len(model), model[0]


def scores(e):
    return [[e.Value(0.5), e.Value(-1.0)], [e.Value(0.1), e.Value(2.0)]]


LOSSES = {
    **dict.fromkeys(
        ["binary_cross_entropy", "binary_cross_entropy_with_logits", "hinge_loss", "l1_loss", "mse_loss"],
        lambda f, e: f([e.Value(0.5)], [1.0]),
    ),
    **dict.fromkeys(["cross_entropy", "multi_margin_loss"], lambda f, e: f(scores(e), [0, 1])),
    **dict.fromkeys(["l1_penalty", "l2_penalty"], lambda f, e: f([e.Value(0.5), e.Value(2.0)])),
    "one_hot": lambda f, e: f([0, 1], 3),
}  # fmt: skip


def stepped(e, cls, **options):
    x = e.Value(1.0)
    optimizer = cls([x], lr=0.1, **options)
    for _ in range(2):
        (x * x).backward()
        optimizer.step()
        optimizer.zero_grad()
    optimizer.add_param_group({"params": [e.Value(0.0)]})
    optimizer.load_state_dict(optimizer.state_dict())
    return repr(optimizer)


def scheduled(e, cls, *arguments):
    schedule = cls(e.optim.SGD([e.Value(1.0)], lr=0.1), *arguments)
    schedule.step(*((1.0,) if cls is e.optim.ReduceLROnPlateau else ()))
    schedule.load_state_dict(schedule.state_dict())
    return schedule.get_last_lr()


OPTIM = {
    **dict.fromkeys(["SGD", "Adagrad", "Adam", "AdamW", "RMSprop"], stepped),
    "CosineAnnealingLR": lambda e, cls: scheduled(e, cls, 10),
    "ExponentialLR": lambda e, cls: scheduled(e, cls, 0.5),
    "LambdaLR": lambda e, cls: scheduled(e, cls, lambda epoch: 0.5),
    "LRScheduler": lambda e, cls: failing(NotImplementedError, lambda: scheduled(e, cls)),
    "Optimizer": lambda e, cls: cls([e.Value(1.0)], lr=0.1).zero_grad(),
    "ReduceLROnPlateau": scheduled,
    "StepLR": lambda e, cls: scheduled(e, cls, 2),
    "clip_grad_norm_": lambda e, f: f([e.Value(1.0)], 1.0),
    "clip_grad_value_": lambda e, f: f([e.Value(1.0)], 1.0),
}


@pytest.mark.parametrize("name", nn.__all__)
def test_nn(engine, name):
    check(lambda: NN[name](engine))


@pytest.mark.parametrize("name", losses.__all__)
def test_losses(engine, name):
    def call():
        loss = LOSSES[name](getattr(engine.losses, name), engine)
        if isinstance(loss, engine.Value):
            loss.backward()

    check(call)


@pytest.mark.parametrize("name", optim.__all__)
def test_optim(engine, name):
    check(lambda: OPTIM[name](engine, getattr(engine.optim, name)))


@pytest.mark.parametrize("module, name", [(m, n) for m in ("nn", "losses", "optim") for n in getattr(tg, m).__all__])
def test_models_with_bad_arguments(engine, module, name):
    function, V = getattr(getattr(engine, module), name), engine.Value
    check_refused(
        lambda: function(object()),
        lambda: function([V(0.5)], object()),
        lambda: function([V(0.5), object()], [1.0, "no"]),
        lambda: function(2, ["no"]),
        lambda: function([V(0.5)], nonsense=1),
        lambda: function(2, 2)([V(1.0), object()]),
        lambda: function()([object()]),
    )


# ---- recorded functions ----


def f(x, y):
    return tg.exp(-x) * tg.maximum(y, 0.5) + x * y


def branchy(x, y):
    return x * y if x > 0 else x - y


def g(x):
    return x[0] ** 2 * x[1]


def broken(x, y):
    raise LookupError


NOTHING = object()
X = np.linspace(-1.0, 1.0, 9)
POINT = np.array([2.0, 3.0])
KEPT = {
    "record": tg.record(f),
    "grad": tg.grad(branchy),
    "vmap": tg.vmap(f),
    "shared": tg.vmap(f, (None, 0)),
    "vmapped": tg.vmap(tg.grad(branchy)),
}
PROGRAM = tg.value_and_grad(f, (0, 1)).program(0.5, 2.0)
BYTES = PROGRAM.to_bytes()


def fitted():
    model = nn.Linear(1, 1)
    return tg.fit(model, [[1.0], [2.0]], [[1.0], [2.0]], loss=losses.mse_loss, epochs=2, progress=False)


def saved(tmp_path):
    PROGRAM.save(tmp_path / "p")
    return tg.load(tmp_path / "p")


def shown():
    with contextlib.redirect_stdout(io.StringIO()):
        tg.show_config()


def drawn():
    drawing = tg.draw((tg.Value(2.0, label="x") * 3.0).tanh())
    return drawing.svg(), drawing.html(), drawing.dot(), str(drawing)


def explained():
    x = tg.Value(2.0)
    explanation = tg.explain(x * x + x, x)
    return str(explanation), explanation.latex(), list(explanation.all_paths())


def dotted():
    pytest.importorskip("graphviz")
    return tg.draw_dot(tg.Value(2.0) * 3.0)


def pulled():
    _, back = tg.vjp(f, 0.5, 2.0)
    return back(1.0)


def registered():
    tg.register_container(Both, lambda both: ((both.one, both.other), None), lambda _, parts: Both(*parts))
    return tg.grad(lambda both: both.one * both.other)(Both(1.0, 2.0))


class Both:
    def __init__(self, one, other):
        self.one, self.other = one, other


PACKAGE = {
    "Program": lambda tmp: tg.Program(PROGRAM.graph, PROGRAM.outputs_at, PROGRAM.guards),
    "Value": lambda tmp: tg.Value(1.0),
    "check_grad": lambda tmp: tg.check_grad(f, 0.5, 2.0),
    "draw": lambda tmp: drawn(),
    "draw_dot": lambda tmp: dotted(),
    "explain": lambda tmp: explained(),
    "fit": lambda tmp: fitted(),
    "grad": lambda tmp: (tg.grad(f, (0, 1))(0.5, 2.0), tg.grad(f)(tg.Value(0.5), 2.0)),
    "hessian": lambda tmp: tg.hessian(g)(POINT),
    "hvp": lambda tmp: tg.hvp(g)(POINT, POINT),
    "install": lambda tmp: tg.install(),
    "jacobian": lambda tmp: (tg.jacobian(g)(POINT), tg.jacobian(g, mode="forward")([2.0, 3.0])),
    "jvp": lambda tmp: tg.jvp(f, (0.5, 2.0), (1.0, 1.0)),
    "load": saved,
    "record": lambda tmp: (tg.record(branchy)(0.5, 2.0), tg.record(f)(tg.Value(0.5), 2.0).backward()),
    "register_container": lambda tmp: registered(),
    "show_config": lambda tmp: shown(),
    "value_and_grad": lambda tmp: tg.value_and_grad(f)(0.5, 2.0),
    "vjp": lambda tmp: pulled(),
    "vmap": lambda tmp: (tg.vmap(f)(X, X), tg.vmap(branchy, reduce="sum")(X, X)),
}


@pytest.fixture
def importable():
    """What `install` has changed is as before."""
    path, modules = list(sys.meta_path), {k: m for k, m in sys.modules.items() if k.startswith("micrograd")}
    yield
    sys.meta_path[:] = path
    for name in [name for name in sys.modules if name.startswith("micrograd")]:
        del sys.modules[name]
    sys.modules.update(modules)


PUBLIC = [name for name in tg.__all__ if name not in tg.functions.__all__]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_package(name, tmp_path, importable):
    check(lambda: PACKAGE[name](tmp_path), numpy=True)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in ("install", "show_config")])
def test_the_package_with_bad_arguments(name):
    function = getattr(tg, name)
    check_refused(
        lambda: function(),
        lambda: function(object()),
        lambda: function(f, NOTHING),  # one and the same: programs are kept for each setting, so far as max_programs
        lambda: function(f, nonsense=1),
        lambda: function(f)("no", NOTHING),
        lambda: function(f, (0, 7))(0.5, 2.0),
        lambda: function(broken)(0.5, 2.0),
        lambda: function(broken, (0.5, 2.0), (1.0, 1.0)),
        lambda: function(broken, [[1.0]], [[1.0]], loss=broken),
        lambda: function(f, 0.5, 2.0, raises=7),
        lambda: function(f)(X, X[:2]),
        lambda: function(PROGRAM.graph, [10**9]),
        lambda: function(PROGRAM.graph, [0], [(1, 2)]),
        lambda: function("/no/such/file"),
        numpy=True,
    )


OF_PROGRAM = {  # `save` is in the row "load" of the package
    "__call__": (POINT,),
    "graph": None,
    "guards": None,
    "inputs": None,
    "listing": (),
    "operations": None,
    "outputs": None,
    "outputs_at": None,
    "recorded": None,
    "run": (POINT, np.empty(PROGRAM.outputs)),
    "to_bytes": (),
}


def test_the_table_of_programs_is_complete():
    assert set(OF_PROGRAM) | {"save"} == set(dir(tg.Program)) - OF_OBJECT - {"__module__", "__pyx_vtable__"}


@pytest.mark.parametrize("name", OF_PROGRAM)
def test_programs(name):
    arguments = OF_PROGRAM[name]
    check(lambda: getattr(PROGRAM, name) if arguments is None else getattr(PROGRAM, name)(*arguments), numpy=True)
    check_refused(
        lambda: setattr(PROGRAM, name, object()),
        lambda: getattr(PROGRAM, name)(object()),
        lambda: getattr(PROGRAM, name)([1.0]),
        lambda: getattr(PROGRAM, name)(POINT, np.empty(0)),
        lambda: getattr(PROGRAM, name)("/no/such/directory/x"),
        lambda: getattr(PROGRAM, name)(1, 2, 3),
        numpy=True,
    )


REPLAYED = {
    "calls": lambda: (KEPT["record"](0.5, 2.0), KEPT["grad"](0.5, 2.0), KEPT["grad"](-0.5, 2.0)),
    "on Values": lambda: KEPT["record"](tg.Value(0.5), tg.Value(2.0)).backward(),
    "batches": lambda: (KEPT["vmap"](X, X), KEPT["vmapped"](X, X)),
    "batches of Values": lambda: tg.sum(KEPT["shared"](tg.Value(0.5), X)).backward(),
    "programs": lambda: (KEPT["grad"].programs, KEPT["grad"].program(0.5, 2.0), repr(KEPT["grad"])),
    "clear": lambda: (KEPT["grad"].clear(), KEPT["grad"](0.5, 2.0)),
    "pickles": lambda: pickle.loads(pickle.dumps(KEPT["grad"]))(0.5, 2.0),
    "pickles of programs": lambda: pickle.loads(pickle.dumps(PROGRAM))(POINT),
    "bytes": lambda: from_bytes(BYTES).to_bytes(),
    "lanes": lambda: in_lanes(),
}


def in_lanes():
    lanes = Lanes(PROGRAM, bytes([1, 1]))
    Job(lanes, [X, X], POINT, len(X), None, [None] * lanes.outputs).run(0, np.empty(lanes.outputs))


@pytest.mark.parametrize("what", REPLAYED)
def test_replayed(what):
    check(REPLAYED[what], numpy=True)


def test_damaged_bytes():
    check_refused(*[lambda k=k: from_bytes(BYTES[:k]) for k in range(0, len(BYTES), 16)], numpy=True)


# ---- the tables ----


@pytest.mark.parametrize(
    "table, names",
    [(NN, nn.__all__), (LOSSES, losses.__all__), (OPTIM, optim.__all__), (PACKAGE, PUBLIC)],
    ids=["nn", "losses", "optim", "package"],
)
def test_the_tables_are_complete(table, names):
    """Of Value and of functions every name is tried; a missing row fails, as the call without arguments does."""
    assert set(table) == set(names)
