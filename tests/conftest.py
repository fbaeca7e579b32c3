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


def module_on(name: str, core: types.ModuleType) -> types.ModuleType:
    """A copy of a module of ours that was imported with `core` as the engine."""
    engine = types.ModuleType("tapegrad.engine")
    for public in ("Value", "sum", "dot", "prod"):
        setattr(engine, public, getattr(core, public))
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    kept = sys.modules["tapegrad.engine"]
    sys.modules["tapegrad.engine"] = engine
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules["tapegrad.engine"] = kept
    return module


class Engine:
    """One of the two cores: `Value`, `sum`, `dot`, `prod`, and `functions` and `nn` on top of it."""

    def __init__(self, name: str, core: types.ModuleType) -> None:
        self.name = name
        self.Value, self.sum, self.dot, self.prod = core.Value, core.sum, core.dot, core.prod
        self.functions = module_on("tapegrad.functions", core)
        self.nn = module_on("tapegrad.nn", core)

    def __repr__(self) -> str:
        return self.name


ENGINES = {name: Engine(name, core) for name, core in BACKENDS.items()}


@pytest.fixture(params=list(ENGINES))
def engine(request) -> Engine:
    return ENGINES[request.param]


@pytest.fixture
def Value(engine):
    return engine.Value


@pytest.fixture
def nodes():
    """How many nodes there are on the tape more than at the beginning, after garbage has gone."""
    from tapegrad.tape import tape

    gc.collect()
    before = tape.compact()

    def count() -> int:
        return tape.compact() - before

    return count
