"""`tapegrad run` on programs with a package `micrograd` of their own: it is never put aside in silence."""

import importlib.util
import os
import pathlib
import sys
import textwrap

import pytest
from test_run import MICROGRAD, PYTHON, TAPEGRAD, call

TANH = """
    def tanh(self):
        t = math.tanh(self.data)
        out = Value(t, (self,), 'tanh')

        def _backward():
            self.grad += (1 - t * t) * out.grad
        out._backward = _backward
        return out
"""
FORK = "import math\n\n\n" + MICROGRAD + TANH
LEAKY = MICROGRAD.replace("0 if self.data < 0", "0.1 * self.data if self.data < 0")
NEURON = """
    from micrograd.engine import Value

    class Neuron:
        def __init__(self, nin):
            self.w = [Value(0.25) for _ in range(nin)]

        def __call__(self, x):
            total = Value(0.0)
            for wi, xi in zip(self.w, x):
                total = total + wi * xi
            return total.relu()

        def __repr__(self):
            return "a neuron of its own"
"""
USE = """
    from micrograd.engine import Value
    a, b = Value(2.5), Value(-3.0)
    y = (a * b + a).relu() + (a * a + b).relu() + 1
    y.backward()
    print(y.data, a.grad, b.grad)
"""
OF = "'tapegrad' if hasattr(Value, 'local_gradients') else 'python'"
WHOSE = f"from micrograd.engine import Value; print('Value of', {OF})\n"
ALONE = """import os, sys  # without an installed micrograd
sys.path[1:] = [p for p in sys.path[1:] if not os.path.exists(p + '/micrograd/nn.py')]
"""
OURS, OWN = "Value of tapegrad\n", "Value of python\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write the files of a program, by their names, into the working directory, which is a fresh one."""
    monkeypatch.chdir(tmp_path)

    def project(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())

    return project


def karpathys(name, change=lambda text: text):
    spec = importlib.util.find_spec("micrograd")
    if spec is None:
        pytest.skip("micrograd is not installed")
    return change(pathlib.Path(spec.origin).with_name(f"{name}.py").read_text())


def both(*words, whose, env=None):
    """What tapegrad said on the way, having done what python did; a last line says whose Value it was."""
    python, ours = call(PYTHON, *words), call(TAPEGRAD, *words)
    assert ours.returncode == python.returncode, ours.stderr
    assert ours.stdout == python.stdout.replace(OWN, whose)
    assert ours.stdout.endswith(whose)
    assert python.stderr == ""
    return ours.stderr


def test_its_value_is_exchanged_and_the_rest_is_its_own(project):
    adam = "from micrograd.engine import Value\nclass Adam:\n    def __repr__(self): return Value.__module__[:4]\n"
    project({
        "micrograd/__init__.py": "", "micrograd/engine.py": FORK, "micrograd/nn.py": NEURON, "micrograd/optim.py": adam,
        "main.py": "from micrograd.nn import Neuron\nfrom micrograd.optim import Adam\n"
        "n = Neuron(2)\nprint(n([1.0, 1.0]).tanh().data, n, Adam.__name__)\n" + WHOSE,
    })  # fmt: skip
    said = both("main.py", whose=OURS)
    line = FORK[: FORK.index("class Value")].count("\n") + 1
    assert said.startswith("tapegrad run: a micrograd of the program's own: ")
    assert f"micrograd/engine.py:{line}: class Value (module micrograd.engine) replaced by tapegrad's Value" in said
    assert "methods relu backward tanh" in said and said.count("tapegrad run:") == 1
    assert call(PYTHON, "main.py").stdout.endswith(OWN)  # what was cached is the program's own


def test_its_value_stays_where_it_computes_something_else(project):
    project({"micrograd/__init__.py": "", "micrograd/engine.py": LEAKY, "micrograd/nn.py": karpathys("nn")})
    project({"main.py": textwrap.dedent(USE) + "import micrograd.nn\n" + WHOSE + "raise SystemExit(3)"})
    said = both("main.py", whose=OWN)
    assert "engine.py:1: class Value (module micrograd.engine) cannot be replaced by tapegrad's Value" in said
    assert "a.relu()" in said and said.endswith("it stays as it is\n") and said.count("tapegrad run:") == 1
    project({"who.py": "import micrograd.nn as nn; print(nn.Neuron(1).b.__class__.__module__, nn.MLP.__module__)"})
    assert call(TAPEGRAD, "who.py").stdout == "micrograd.engine micrograd.nn\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: "# a copy\n" + text.replace("\n", "\r\n"),
        lambda text: text.replace("    ", "\t"),
        lambda text: text.replace('    """ stores a single scalar value and its gradient """', '    """Anything."""'),
    ],
    ids=["as it is", "line ends and a comment", "tabs", "docstring"],
)
def test_a_copy_of_micrograd_is_replaced_in_silence(project, change):
    project({
        "micrograd/__init__.py": "", "micrograd/engine.py": karpathys("engine", change).encode(),
        "micrograd/nn.py": karpathys("nn", change).encode(), "micrograd/optim.py": "class Adam: pass\n",
        "main.py": "import random; random.seed(1)\nfrom micrograd.nn import MLP\nimport micrograd.optim\n"
        "y = MLP(2, [3, 1])([1.0, -2.0])\ny.backward()\nprint(y, micrograd.optim.Adam.__name__)\n" + WHOSE,
    })  # fmt: skip
    assert both("main.py", whose=OURS) == ""
    project({"who.py": "import micrograd.nn as nn; print(nn.Neuron(1).b.__class__.__module__, nn.MLP.__module__)"})
    assert call(TAPEGRAD, "who.py").stdout == "tapegrad.value tapegrad.nn\n"


def test_each_module_goes_by_its_own_text(project):
    project({"micrograd/__init__.py": "", "micrograd/engine.py": karpathys("engine"), "micrograd/nn.py": NEURON})
    project({"main.py": "from micrograd.nn import Neuron\nprint(Neuron(2)([1.0, 3.0]), Neuron(1))\n" + WHOSE})
    said = both("main.py", whose=OURS)
    assert "engine.py, the text of micrograd 0.1.0, replaced by tapegrad's; " in said
    assert "nn.py is the program's own" in said
    project({"micrograd/engine.py": FORK, "micrograd/nn.py": karpathys("nn")})
    project({"main.py": "from micrograd.nn import Neuron\nprint(Neuron(2), Neuron.__module__[-2:])\n" + WHOSE})
    assert "replaced by tapegrad's Value" in both("main.py", whose=OURS)


SHAPES = {
    "a namespace": {"micrograd/engine.py": FORK},
    "re-exported": {
        "micrograd/__init__.py": "from .engine import Value\nfrom . import nn",
        "micrograd/engine.py": FORK, "micrograd/nn.py": NEURON.replace("micrograd.engine", ".engine"),
    },
    "imported from": {
        "micrograd/__init__.py": "from micrograd.core.scalar import *",
        "micrograd/engine.py": "from .core import Value",
        "micrograd/core/__init__.py": "from .scalar import Value as Value", "micrograd/core/scalar.py": FORK,
    },
    "engine is a package": {
        "micrograd/__init__.py": "", "micrograd/engine/__init__.py": "from .value import Value",
        "micrograd/engine/value.py": FORK,
    },
    "by another name": {"micrograd/__init__.py": "", "micrograd/engine.py":
                        "from ._impl import V as Value", "micrograd/_impl.py": FORK.replace("Value", "V")},
}  # fmt: skip


@pytest.mark.parametrize("files", SHAPES.values(), ids=SHAPES.keys())
def test_however_it_is_laid_out(project, files):
    project({**files, "main.py": ALONE + textwrap.dedent(USE) + f"print('Value of', {OF})\n"})
    python, ours = call(PYTHON, "main.py"), call(TAPEGRAD, "main.py")
    assert (python.returncode, ours.returncode) == (0, 0), ours.stderr
    assert ours.stdout.splitlines()[0] == python.stdout.splitlines()[0]
    assert ours.stdout.endswith(OURS) and ours.stderr.count("replaced by tapegrad's Value") == 1


def test_a_single_file(project):
    project({"micrograd.py": FORK, "main.py": USE.replace("micrograd.engine", "micrograd")})
    python, ours = call(PYTHON, "main.py"), call(TAPEGRAD, "main.py")
    assert ours.stdout == python.stdout and python.returncode == 0
    assert "micrograd.py:4: class Value (module micrograd) replaced by tapegrad's Value" in ours.stderr


def test_one_without_a_value(project):
    project({"micrograd/__init__.py": "", "micrograd/engine.py": "class Tensor: pass\n"})
    project({"main.py": "from micrograd.engine import Tensor\nprint(Tensor.__module__)\n"})
    ours = call(TAPEGRAD, "main.py")
    assert ours.stdout == "micrograd.engine\n"
    assert "a micrograd of the program's own, and stays: no class Value in its engine" in ours.stderr
    assert "engine.py: Tensor (line 1)\n" in ours.stderr
    os.remove("micrograd/engine.py")
    project({"micrograd/tensor.py": "x = 1", "main.py": "import micrograd.tensor\nfrom micrograd import engine\n"})
    python, ours = call(PYTHON, "main.py"), call(TAPEGRAD, "main.py")
    assert "ImportError: cannot import name 'engine'" in python.stderr
    assert ours.stderr.endswith(python.stderr) and ours.returncode == 1 and "and stays" in ours.stderr


def test_nothing_is_said_where_its_engine_is_not_imported(project):
    project({"micrograd/__init__.py": "", "micrograd/engine.py": LEAKY, "micrograd/optim.py": "class Adam: pass\n"})
    project({"main.py": "from micrograd.optim import Adam\nprint(Adam.__name__)\n"})
    ours = call(TAPEGRAD, "main.py")
    assert (ours.stdout, ours.stderr) == ("Adam\n", "")


def test_a_directory_of_that_name_hides_nothing(project):
    project({"micrograd/README": "a clone", "main.py": textwrap.dedent(USE) + WHOSE})
    ours = call(TAPEGRAD, "main.py")
    assert ours.stderr == "" and ours.stdout.endswith(OURS)


def test_it_is_found_as_python_finds_it(project, monkeypatch):
    project({"lib/micrograd/__init__.py": "", "lib/micrograd/engine.py": FORK, "lib/micrograd/__main__.py": WHOSE})
    project({"inserts.py": "import sys; sys.path.insert(0, 'lib')\n" + textwrap.dedent(USE) + WHOSE})
    assert "lib/micrograd/engine.py:4: class Value" in both("inserts.py", whose=OURS)
    monkeypatch.setenv("PYTHONPATH", "lib")
    project({"main.py": textwrap.dedent(USE) + WHOSE})
    assert "lib/micrograd/engine.py:4: class Value" in both("main.py", whose=OURS)
    assert "lib/micrograd/engine.py:4: class Value" in both("-m", "micrograd", whose=OURS)


def test_its_modules_as_programs(project):
    engine = FORK + f"\n\nif __name__ == '__main__':\n    print(Value(2) + 1, {OF})\n"
    project({"micrograd/__init__.py": "", "micrograd/engine.py": engine, "micrograd/nn.py": karpathys("nn")})
    done = call(TAPEGRAD, "-m", "micrograd.engine")
    assert done.stdout == "Value(data=3, grad=0) tapegrad\n" and "engine.py:4: class Value" in done.stderr
    done = call(TAPEGRAD, "-m", "micrograd.nn")
    assert (done.stdout, done.returncode) == ("", 0)


def test_both_ways_side_by_side(project):
    project({"micrograd/__init__.py": "", "micrograd/engine.py": FORK, "main.py": USE})
    done = call(TAPEGRAD, "--compare", "main.py")
    assert done.returncode == 0 and "class Value (module micrograd.engine) replaced by" in done.stderr


def test_replace_of_it_by_name_is_strict(project):
    project({"micrograd/__init__.py": "", "micrograd/engine.py": FORK, "main.py": textwrap.dedent(USE) + WHOSE})
    ours = call(TAPEGRAD, "--replace", "micrograd.engine.Value", "main.py")
    assert ours.stdout.endswith(OURS) and ours.stderr.count("replaced by") == 1
    project({"micrograd/engine.py": LEAKY})
    ours = call(TAPEGRAD, "--replace", "micrograd.engine.Value", "main.py")
    assert (ours.returncode, ours.stdout) == (2, "") and ours.stderr.endswith("nothing was run\n")


def test_install_goes_by_the_same_rule(project):
    project({"micrograd/__init__.py": "", "micrograd/engine.py": FORK})
    project({"main.py": "import tapegrad; tapegrad.install()\n" + textwrap.dedent(USE) + WHOSE})
    done = call(PYTHON, "main.py")
    assert done.stdout.endswith(OURS) and done.stderr.startswith("tapegrad: a micrograd of the program's own: ")
    project({"micrograd/engine.py": LEAKY})
    done = call(PYTHON, "main.py")
    assert done.stdout.endswith(OWN) and "it stays as it is\n" in done.stderr


def test_a_broken_engine_ends_the_program_as_under_python(project):
    project({"micrograd/__init__.py": "", "micrograd/engine.py": "class Value(:\n", "main.py": USE})
    python, ours = call(PYTHON, "main.py"), call(TAPEGRAD, "main.py")
    assert ours.stderr.endswith(python.stderr) and ours.returncode == python.returncode == 1


def test_tracebacks_through_it_are_those_of_the_file(project):
    project({"micrograd/__init__.py": "", "micrograd/engine.py": FORK + "\n\ndef fail():\n    return 1 / 0\n"})
    project({"main.py": "from micrograd.engine import fail\nfail()\n"})
    python, ours = call(PYTHON, "main.py"), call(TAPEGRAD, "main.py")
    assert ours.stderr.endswith(python.stderr) and "engine.py" in python.stderr


def test_the_fingerprint_is_of_what_is_said(project):
    import ast

    from tapegrad.alias import fingerprint

    def of(text):
        return fingerprint(ast.parse(text))

    assert of("x = 'a'  # why\n") == of('"""Doc."""\nx = (\n  "a"\n)\n') != of("x = 'b'\n")
    assert of("def f():\n    'doc'\n    return -1.5\n") == of("def f(): return - 1.5") != of("def f(): return 1.5")
    assert of("def f(a, b=0): pass") != of("def f(a, b=None): pass") != of("def f(a, b=False): pass")
    assert sys.version_info >= (3, 11)
