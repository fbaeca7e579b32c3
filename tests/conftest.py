"""Every behaviour test runs on the pure-Python reference and on the compiled core: ask for the fixture `engine`."""

import gc
import importlib
import importlib.util
import sys
import types

import pytest

import tapegrad.reference
import tapegrad.value

BACKENDS = {"reference": tapegrad.reference, "compiled": tapegrad.value}


MODULES = ["functions", "_arrays", "nn", "losses", "optim", "plots"]  # each after those that it imports


def modules_on(core: types.ModuleType) -> dict[str, types.ModuleType]:
    """Copies of the modules of ours that work on Values, imported with `core` as the engine."""
    engine = types.ModuleType("tapegrad.engine")
    for public in ("Value", "sum", "dot", "prod"):
        setattr(engine, public, getattr(core, public))
    modules = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "tapegrad.engine", engine)
        for name in MODULES:
            spec = importlib.util.find_spec(f"tapegrad.{name}")
            modules[name] = importlib.util.module_from_spec(spec)
            patch.setitem(sys.modules, f"tapegrad.{name}", modules[name])
            spec.loader.exec_module(modules[name])
    return modules


class Engine:
    """One of the two cores: `Value`, `sum`, `dot`, `prod`, and the modules `functions`, `nn`, ... on top of it."""

    def __init__(self, name: str, core: types.ModuleType) -> None:
        self.name = name
        self.Value, self.sum, self.dot, self.prod = core.Value, core.sum, core.dot, core.prod
        vars(self).update(modules_on(core))

    def __repr__(self) -> str:
        return self.name


ENGINES = {name: Engine(name, core) for name, core in BACKENDS.items()}


def with_divisions() -> types.ModuleType:
    """The reference, in which a / b is one node, a division, as it is in recorded functions."""
    spec = importlib.util.find_spec("tapegrad.reference")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rule = module.Rule("/", lambda a, b: a / b, lambda a, b, y: (module._div(1.0, b), module._div(-float(y), b)))
    module.RULES["/"] = rule

    def divide(left, right):
        right = right if isinstance(right, module.Value) else module._leaf(right)
        return NotImplemented if right is None else module._apply(rule, (left, right))

    module.Value.__truediv__ = divide
    module.Value.__rtruediv__ = lambda self, other: module.Value(other) / self
    return module


DIVIDING = Engine("the reference, with divisions", with_divisions())


@pytest.fixture(params=list(ENGINES))
def engine(request) -> Engine:
    return ENGINES[request.param]


@pytest.fixture
def Value(engine):
    return engine.Value


@pytest.fixture
def torch():
    return pytest.importorskip("torch", exc_type=ImportError)


@pytest.fixture
def nodes():
    """How many nodes there are on the tape more than at the beginning, after garbage has gone."""
    from tapegrad.tape import tape

    gc.collect()
    before = tape.compact()

    def count() -> int:
        return tape.compact() - before

    return count
