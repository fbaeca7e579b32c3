"""`tapegrad run` against `python` itself, and what happens to a class of the program's own."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import zipfile

import pytest

from tapegrad.__main__ import main

PYTHON = [sys.executable]
TAPEGRAD = [sys.executable, "-c", "import sys; from tapegrad.__main__ import main; sys.exit(main())", "run"]

# The three forms of a scalar Value that programs define for themselves.
MICROGRAD = """\
class Value:
    def __init__(self, data, _children=(), _op=''):
        self.data = data
        self.grad = 0
        self._backward = lambda: None
        self._prev = set(_children)
        self._op = _op

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other), '+')

        def _backward():
            self.grad += out.grad
            other.grad += out.grad
        out._backward = _backward
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other), '*')

        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out._backward = _backward
        return out

    def relu(self):
        out = Value(0 if self.data < 0 else self.data, (self,), 'ReLU')

        def _backward():
            self.grad += (out.data > 0) * out.grad
        out._backward = _backward
        return out

    def backward(self):
        topo, visited = [], set()

        def build(v):
            if v not in visited:
                visited.add(v)
                for child in v._prev:
                    build(child)
                topo.append(v)
        build(self)
        self.grad = 1
        for v in reversed(topo):
            v._backward()

    def __radd__(self, other):
        return self + other

    def __repr__(self):
        return f"Value(data={self.data}, grad={self.grad})"
"""

LECTURE = (
    "import math\n"
    + MICROGRAD.replace("_op=''", "_op='', label=''")
    .replace("self._op = _op", "self._op = _op\n        self.label = label")
    .replace(", grad={self.grad}", "")
    .replace("self.grad = 0\n", "self.grad = 0.0\n")
    + """
    def tanh(self):
        t = (math.exp(2 * self.data) - 1) / (math.exp(2 * self.data) + 1)
        out = Value(t, (self,), 'tanh')

        def _backward():
            self.grad += (1 - t**2) * out.grad
        out._backward = _backward
        return out
"""
)

MICROGPT = """\
import math

class Value:
    __slots__ = ('data', 'grad', '_children', '_local_grads')

    def __init__(self, data, children=(), local_grads=()):
        self.data = data
        self.grad = 0
        self._children = children
        self._local_grads = local_grads

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, other): return Value(self.data**other, (self,), (other * self.data**(other-1),))
    def log(self): return Value(math.log(self.data), (self,), (1/self.data,))
    def exp(self): return Value(math.exp(self.data), (self,), (math.exp(self.data),))
    def relu(self): return Value(max(0, self.data), (self,), (float(self.data > 0),))
    def __neg__(self): return self * -1
    def __radd__(self, other): return self + other
    def __truediv__(self, other): return self * other**-1

    def backward(self):
        topo, visited = [], set()
        def build(v):
            if v not in visited:
                visited.add(v)
                for child in v._children:
                    build(child)
                topo.append(v)
        build(self)
        self.grad = 1
        for v in reversed(topo):
            for child, local_grad in zip(v._children, v._local_grads):
                child.grad += local_grad * v.grad
"""
WHOSE = "\nprint('tapegrad' if hasattr(Value, 'local_gradients') else 'python')\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a program into the working directory, which is a fresh one; gives its name."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="program.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return name

    return write


def call(command, *words, stdin=""):
    return subprocess.run([*command, *words], capture_output=True, text=True, input=stdin, timeout=120)


def same(*words, stdin=""):
    """Run both ways; what python did, having checked that tapegrad did the same to the last character."""
    python, ours = call(PYTHON, *words, stdin=stdin), call(TAPEGRAD, *words, stdin=stdin)
    assert (ours.stdout, ours.stderr, ours.returncode) == (python.stdout, python.stderr, python.returncode)
    return python


# ---- micrograd means ours, there and nowhere else ----


def test_micrograd_means_ours_by_every_way_to_import_it(write):
    script = write("""
        import micrograd, micrograd.engine, micrograd.nn as a
        from micrograd import nn as b, engine
        from micrograd.engine import Value
        from micrograd.nn import MLP
        import tapegrad, tapegrad.nn
        print(micrograd.nn is a is b, micrograd.engine is engine)
        print(Value is tapegrad.Value is engine.Value, MLP is tapegrad.nn.MLP is a.MLP)
    """)
    out = call(TAPEGRAD, script)
    assert (out.stdout, out.stderr, out.returncode) == ("True True\nTrue True\n", "", 0)


def test_a_star_import_gives_the_names_that_micrograds_does(write):
    show = "print(sorted(n for n in globals() if n[0] != '_'), sum([1, 2]))"
    same(write(f"from micrograd.engine import *\n{show}", "engine_names.py"))
    same(write(f"from micrograd.nn import *\n{show}", "nn_names.py"))


def test_what_is_assigned_in_the_alias_the_package_sees(write):
    same(
        write("""
        import micrograd.nn as nn
        class Mine(nn.Neuron):
            def __repr__(self): return "mine"
        nn.Neuron = Mine
        print(nn.MLP(2, [1]))
    """)
    )


def test_the_real_micrograd_is_what_it_was(write):
    pytest.importorskip("micrograd")
    script = write("import micrograd.engine; print(micrograd.engine.Value.__module__)")
    assert call(TAPEGRAD, script).stdout == "tapegrad.value\n"
    assert call(PYTHON, script).stdout == "micrograd.engine\n"
    code = "import tapegrad, tapegrad.nn, micrograd.engine as e; print(e.Value.__module__)"
    assert call(PYTHON, "-c", code).stdout == "micrograd.engine\n"


def test_other_modules_of_micrograd_are_not_there(write):
    out = call(TAPEGRAD, write("import micrograd.tensor"))
    assert out.stderr.endswith("ModuleNotFoundError: No module named 'micrograd.tensor'\n")


def test_install_from_inside_a_program():
    code = """if True:
        import sys, tapegrad
        assert "install" in tapegrad.__all__
        assert tapegrad.install() is None and tapegrad.install() is None
        import micrograd.engine
        first = micrograd.engine
        tapegrad.install()
        import micrograd.engine
        print(first is micrograd.engine, micrograd.engine.Value is tapegrad.Value, len(sys.meta_path))
    """
    count = call(PYTHON, "-c", "import sys, tapegrad; print(len(sys.meta_path))").stdout
    assert call(PYTHON, "-c", code).stdout == f"True True {int(count) + 1}\n"


def test_install_after_the_real_one_was_imported():
    pytest.importorskip("micrograd")
    code = "import micrograd.nn, tapegrad; tapegrad.install(); import micrograd.nn as n; print(n.MLP.__module__)"
    assert call(PYTHON, "-c", code).stdout == "tapegrad.nn\n"


# ---- as python runs it ----

FACTS = """
    import os, sys
    for name, value in list(globals().items()):
        if name not in ("name", "value", "os", "sys"):
            print(name, type(value) if name in ("__builtins__", "__loader__", "__spec__") else value)
    print(sys.argv, sys.path, os.getcwd(), sys.modules["__main__"].__dict__ is globals(), sys.excepthook, sys.flags)
    print(__spec__ and (__spec__.name, __spec__.origin), sys.stdin.read())
    if __name__ == "__main__":
        print("is main")
"""


@pytest.mark.parametrize("path", ["program.py", "./program.py", "sub/../program.py", "sub/program.py"])
def test_a_script_sees_what_it_sees_under_python(write, path):
    write("", "sub/empty.py")
    write(FACTS)
    write(FACTS, "sub/program.py")
    assert "is main" in same(path, "a", "-m", "--compare", "--", "-h", "", stdin="typed\n").stdout
    same(os.path.abspath(path))


def test_a_link_to_a_script(write, tmp_path):
    write(FACTS, "sub/program.py")
    (tmp_path / "link.py").symlink_to("sub/program.py")
    same("link.py")


@pytest.mark.parametrize(
    "words", [["-m", "program", "a", "--replace"], ["-mprogram"], ["-m", "package"], ["-m", "package.inner"]]
)
def test_a_module_sees_what_it_sees_under_python(write, words):
    write(FACTS)
    write("print('package')", "package/__init__.py")
    write(FACTS, "package/__main__.py")
    write(FACTS, "package/inner.py")
    assert "is main" in same(*words, stdin="typed\n").stdout


def test_directories_and_archives(write, tmp_path):
    write(FACTS, "directory/__main__.py")
    same("directory", "a")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", textwrap.dedent(FACTS))
    same("./archive.zip", "a")
    (tmp_path / "empty").mkdir()
    assert "can't find '__main__' module" in same("empty").stderr


def test_pickle_dataclasses_and_multiprocessing_find_main(write):
    same(
        write("""
        import dataclasses, multiprocessing, pickle
        @dataclasses.dataclass
        class Point:
            x: "int"
        def double(p): return Point(2 * p.x)
        if __name__ == "__main__":
            print(pickle.loads(pickle.dumps(Point(3))), pickle.dumps(Point(3)))
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(double, [Point(1), Point(2)]))
    """)
    )


@pytest.mark.parametrize(
    "last",
    [
        "sys.exit()",
        "sys.exit(7)",
        "sys.exit('a message')",
        "raise SystemExit(300)",
        "f(0)",
        "raise KeyError('x') from ValueError('y')",
        "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
        "raise KeyboardInterrupt",
        "os.kill(os.getpid(), signal.SIGINT); f(0)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "atexit.register(lambda: print('the end', sys.excepthook)); f(0)",
        "atexit.register(lambda: print('the end', sys.excepthook)); sys.exit(3)",
        "sys.excepthook = lambda *args: print('mine', args[:2]); f(0)",
        "sys.excepthook = lambda *args: print(*traceback.format_exception(*args)); f(0)",
        "sys.excepthook = lambda kind, value, tb: f(value.nothing); f(0)",
        "threading.Thread(target=f, args=(0,)).start()",
        "threading.Thread(target=print, args=('joined',)).start(); sys.exit(4)",
        "from missing import nothing",
        "from broken import nothing",
        "warnings.warn('look here', stacklevel=1)",
        "warnings.warn('old', DeprecationWarning)",
    ],
)
def test_the_end_of_a_program_is_as_under_python(write, last):
    write("x = (", "broken.py")
    text = f"""
        import atexit, os, signal, sys, threading, traceback, warnings
        def f(x):
            return 1 / x
        {last}
    """
    done = same(write(text))
    assert done.returncode != 0 or "Thread" in last or "warn" in last or last == "sys.exit()" or "mine" in last
    same("-m", "program")


@pytest.mark.parametrize("text", ["x = (\n", "def f():\nreturn 1\n", "return\n", "a\\b", "x = '\\d'\nprint(x)\n", ""])
def test_programs_that_do_not_compile(write, text):
    same(write(text))
    same("-m", "program")


def test_tracebacks_have_no_frames_of_ours_under_replace_either(write):
    script = write(MICROGRAD + "\n\ndef f(v):\n    raise ValueError(v.data)\n\n\nf(Value(1) + 2)\n")
    python, ours = call(PYTHON, script), call(TAPEGRAD, "--replace", "Value", script)
    assert ours.stderr.endswith("\n" + python.stderr) and ours.returncode == python.returncode == 1
    notice = ours.stderr.removesuffix(python.stderr)
    assert all(line.startswith(("tapegrad run: ", "  seen: ", "  note: ")) for line in notice.splitlines())


def test_little_is_imported_for_a_program(write):
    heavy = ("argparse", "ast", "inspect", "numpy", "random", "re", "runpy", "subprocess", "typing")
    same(write(f"import sys; print([name for name in {heavy} if name in sys.modules])"))


@pytest.mark.parametrize(
    "command", [["-m", "tapegrad"], [shutil.which("tapegrad", path=sysconfig.get_path("scripts"))]]
)
def test_the_command_by_its_other_names(write, command):
    script = write(FACTS + "\n    1 / 0\n", "sub/program.py")
    python, ours = call(PYTHON, script, "a"), call(PYTHON, *command, "run", script, "a")
    assert (ours.stdout, ours.stderr, ours.returncode) == (python.stdout, python.stderr, 1)


# ---- what cannot be run ----


def test_a_missing_file(write, tmp_path):
    python, ours = call(PYTHON, "missing.py"), call(TAPEGRAD, "missing.py")
    assert ours.returncode == python.returncode == 2
    assert ours.stderr == "tapegrad run: " + python.stderr[python.stderr.index("can't open") :]
    same("-m", "missing_module")


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "which program?"),
        (["--nonsense", "program.py"], "unknown option --nonsense"),
        (["--replace"], "--replace takes the name of a class"),
        (["--replace", "3", "program.py"], "--replace takes the name of a class"),
        (["-m"], "-m takes the name of a module"),
        (["-"], "standard input is not supported"),
        (["program.pyc"], "compiled files are not supported"),
        (["--replace", "Value", "."], "can't find '__main__' module in '.'"),
        (["--replace", "a.b c", "program.py"], "--replace takes the name of a class"),
        (["--replace", "a b:C", "program.py"], "--replace takes the name of a class"),
        (["--replace", "Value", "-m", "missing_module"], "No module named missing_module"),
        (["--compare", "missing.py"], "can't open file"),
    ],
)
def test_usage_errors(write, capsys, words, message):
    write("", "program.pyc")
    path, hooks = [*sys.path], [*sys.meta_path]
    try:
        assert main(["run", *words]) == 2
    finally:
        sys.path[:], sys.meta_path[:] = path, hooks
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.startswith("tapegrad run: ") and captured.out == ""


def test_help(capsys):
    assert main(["run", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("--replace", "--compare", "-m MODULE", "exit status"))
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "run" in capsys.readouterr().out


# ---- a class of the program's own ----

SUM = """
a, b = Value(2.5), Value(-3.0)
y = (a * b + a).relu() + (a * a + b).relu() + 1
y.backward()
print(y.data, a.grad, b.grad)
"""


@pytest.mark.parametrize(
    "source, seen",
    [
        (MICROGRAD, ["(data, _children, _op);", "operators + *;", "methods relu backward"]),
        (LECTURE, ["(data, _children, _op, label);", "label", "methods relu backward tanh", "kept __repr__", "tanh()"]),
        (MICROGPT, ["(data, children, local_grads);", "_local_grads", "+ * / ** -x", "log exp relu backward"]),
    ],
    ids=["micrograd", "lecture", "microgpt"],
)
def test_the_three_forms_are_replaced(write, source, seen):
    script = write(source + SUM + WHOSE)
    python, ours = call(PYTHON, script), call(TAPEGRAD, "--replace", "Value", script)
    assert (python.returncode, ours.returncode) == (0, 0)
    assert ours.stdout == python.stdout.replace("python", "tapegrad")
    line = source[: source.index("class Value")].count("\n") + 1
    assert f"program.py:{line}: class Value replaced by tapegrad's Value" in ours.stderr
    assert [word for word in seen if word not in ours.stderr] == []
    assert call(TAPEGRAD, "--replace", "Value", "-m", "program").stdout == ours.stdout


def test_what_differs_in_print_is_said(write):
    ours = call(TAPEGRAD, "--replace", "Value", write(LECTURE))
    assert "the last digits may differ: a.tanh()" in ours.stderr
    assert "grad begins as 0, was 0.0" in ours.stderr
    assert "note" not in call(TAPEGRAD, "--replace", "Value", write(MICROGRAD)).stderr


def test_several_classes_and_several_definitions(write):
    scalar = MICROGRAD.replace("Value", "Scalar").replace("Scalar(data=", "Value(data=")
    script = write(MICROGRAD + scalar + MICROGRAD + "\nprint(Value is Scalar)\n" + WHOSE)
    expected = "True\ntapegrad\n"
    for words in (["--replace", "Value", "--replace", "Scalar"], ["--replace=Value,Scalar"]):
        out = call(TAPEGRAD, *words, script)
        assert out.stdout == expected and out.stderr.count("replaced by") == 3


def test_replacing_on_the_way_of_a_package(write):
    write("import micrograd.engine; print(micrograd.engine.Value.__module__)", "package/__init__.py")
    write(MICROGRAD + SUM + WHOSE, "package/__main__.py")
    out = call(TAPEGRAD, "--replace", "Value", "-m", "package")
    assert (out.stdout.splitlines()[0], out.stdout.splitlines()[-1]) == ("tapegrad.value", "tapegrad")


def test_private_helpers_that_nothing_else_uses_may_go(write):
    source = MICROGRAD + "\n    def _order(self):\n        return self._hidden\n"
    assert call(TAPEGRAD, "--replace", "Value", write(source)).returncode == 0
    refused(write(source + "\nValue(1)._order()\n"), "method _order (line", "it uses ._hidden")


def refused(script, *reasons, names="Value"):
    done = call(TAPEGRAD, f"--replace={names}", script)
    assert (done.returncode, done.stdout) == (2, "")
    assert [reason for reason in reasons if reason not in done.stderr] == [], done.stderr
    assert done.stderr.startswith("tapegrad run: ") and done.stderr.endswith("nothing was run\n")


def changed(old, new, source=MICROGRAD):
    assert old in source
    return "print('it ran')\n" + source.replace(old, new)


CHANGES = {
    "no __mul__": (changed("def __mul__", "def times"), ["it has no __mul__"]),
    "no backward": (changed("def backward", "def back"), ["it has no backward"]),
    "softmax": (MICROGRAD + "\n    def softmax(self, of):\n        return self / of['x']\ngetattr(Value(1), str())\n",
        ["method softmax (line 57): tapegrad's Value has none of this name", "cannot be tried: a.softmax(b) and a."]),
    "base class": (changed("class Value:", "class Value(dict):"), ["it has a base class or metaclass, dict"]),
    "metaclass": (changed("class Value:", "class Value(metaclass=type):"), ["metaclass, type"]),
    "decorator": (changed("class Value:", "import functools\n@functools.cache\nclass Value:"), ["it has a decorator"]),
    "argument": (changed("_op=''", "_op='', requires_grad=True") + "\nValue(1, requires_grad=False)\n",
        ["calls it with requires_grad="]),
    "keywords": (changed("_op=''", "_op='', **kw"), ["that ours does not take there", ": kw;"]),
    "order": (changed("_children=(), _op=''", "_op='', _children=()") + "\nValue(1, '')\n",
        ["that ours does not take there"]),
    "default": (changed("_op=''", "_op='leaf'"), ["the default 'leaf', ours ''"]),
    "no default": (changed("_children=(), _op=''", "_children, _op"), ["need defaults"]),
    "first": (changed("self, data,", "self, x,").replace("= data", "= -x"), ["something else: a at a, b"]),
    "attribute": (changed("self.grad = 0", "self.grad = 0; self.name = 'x'") + "\nValue(1).name\n",
        ["its attribute name (line 5)"]),
    "attribute by name": (changed("self.grad = 0", "self.grad = 0; self.name = 'x'") + "\ngetattr(Value(1), f'name')\n",
        ["its attribute name (line 5)"]),
    "attribute in a dictionary": (changed("self.grad = 0", "self.grad = 0; self.name = 'x'") + "\nvars(Value(1))\n",
        ["its attribute name (line 5)"]),
    "attribute that is shown": (changed("self.grad = 0", "self.grad = 0; self.name = 'x'", MICROGRAD.replace(
        "Value(data={", "{self.name}({")), ["its attribute name (line 5)"]),
    "no grad": (changed("grad", "slope"), ["it never sets the attribute grad", "its attribute slope"]),
    "counter": (changed("    def __init__", "    count = 0\n    def __init__"), ["line 3 of its body", "count = 0"]),
    "print": (changed("self.grad = 1\n", "self.grad = 1; print(1)\n"), ["method backward", "uses print"]),
    "helper": (changed("self.grad = 1\n", "self.grad = one()\n"), ["method backward", "uses one"]),
    "global": (changed("self.grad = 1\n", "global n; n = 1; self.grad = 1\n"), ["sets the global n"]),
    "numpy": ("import numpy as np\n" + changed("0 if self.data < 0 else self.data", "np.maximum(0, self.data)"),
        ["method relu", "uses np: numpy: its data may be arrays"]),
    "equality": (MICROGRAD + "\n    def __eq__(self, x):\n        return self.data == x.data\n", ["by identity"]),
    "conversion": (MICROGRAD + "\n    def __float__(self):\n        return self.data\n", ["method __float__"]),
    "setattr": (MICROGRAD + "\n    def __setattr__(self, n, v):\n        pass\n", ["method __setattr__"]),
    "class method": (MICROGRAD + "\n    @classmethod\n    def T(cls):\n        return cls(1)\nValue.T()\n",
        ["method T", "@classmethod"]),
    "arguments": (changed("def backward(self)", "def backward(self, seed=1)") + "\nValue(1).backward(2)\n",
        ["takes other arguments", "seed=1"]),
    "slope": (MICROGRAD + "\n    def elu(self, alpha=2.0):\n        return self\n", ["elu", "alpha=2.0"]),
    "keyword": (changed("_children", "children") + "\nValue(1, children=())\n", ["calls it with children="]),
    # these look right, and compute something else
    "leaky": (changed("0 if self.data < 0 else", "-0.1 if self.data < 0 else"), ["something else: a.relu()"]),
    "overwrites": (changed("self.grad += out.grad", "self.grad = out.grad"), ["it computes something else"]),
    "seed": (changed("self.grad = 1\n", "self.grad = 2\n"), ["it computes something else: a at a, b"]),
    "zeroes": (changed("self.grad = 1\n", "for v in topo: v.grad = 0\n        self.grad = 1\n"), ["twice(a * b + a)"]),
    "broken": (changed("self.data + other.data", "self.data + other.value"), ["a + b at a, b", "gave AttributeError"]),
}  # fmt: skip


@pytest.mark.parametrize("source, reasons", CHANGES.values(), ids=CHANGES.keys())
def test_a_class_that_is_not_like_ours_is_refused(write, source, reasons):
    refused(write(source), *reasons)


def test_all_reasons_are_given_at_once(write):
    source = MICROGRAD.replace("_op=''", "_op='', **name") + "\n    def softmax(self):\n        print(self)\n"
    refused(write(source), "name", "softmax")


def test_a_class_that_is_not_there(write):
    source = "class A:\n    class B: pass\ndef f():\n    class Scalar: pass\n"
    refused(write(source), "no class Value; classes found: A (line 1), A.B (line 2), f.Scalar (line 4)\n")
    refused(write("x = 1\n"), "classes found: none")
    refused(write(MICROGRAD), "no class Scalar", "classes found: Value (line 1)", names="Value,Scalar")


# ---- both ways ----


def test_compare_says_identical(write):
    script = write(MICROGPT + SUM + "import sys; print(sys.argv, sys.stdin.read())\nsys.exit(3)\n")
    done = call(TAPEGRAD, "--compare", "--replace", "Value", script, "a", stdin="typed")
    assert (done.returncode, done.stdout) == (0, "")
    assert "stdout: identical, 2 lines" in done.stderr and "exit status: the same, 3" in done.stderr
    assert re.search(r"wall time: python \d+\.\d\d s, tapegrad \d+\.\d\d s, ratio \d+\.\d\d\n", done.stderr)
    assert call(TAPEGRAD, "--compare", "--replace", "Value", "-m", "program", "a").returncode == 0


def test_compare_says_what_differs(write):
    done = call(TAPEGRAD, "--compare", "--replace=Value", write(MICROGRAD + "print('same')" + WHOSE))
    assert (done.returncode, done.stdout) == (1, "")
    assert "stdout: differs from line 2 on\n  python:   'python\\n'\n  tapegrad: 'tapegrad\\n'" in done.stderr
    done = call(
        TAPEGRAD,
        "--compare",
        "--replace=Value",
        write(MICROGRAD + "\nexit(14 if hasattr(Value, 'local_gradients') else 8)\n"),
    )
    assert done.returncode == 1
    assert "stdout: identical, 0 lines" in done.stderr
    assert "exit status: 8 under python, 14 under tapegrad" in done.stderr


def test_compare_with_the_real_micrograd(write):
    pytest.importorskip("micrograd")
    script = write("""
        import random
        from micrograd.nn import MLP
        random.seed(1337)
        y = MLP(2, [3, 1])([1.0, -2.0])
        y.backward()
        print(y)
    """)
    done = call(TAPEGRAD, "--compare", script)
    assert done.returncode == 0 and "stdout: identical, 1 line\n" in done.stderr
    write("from micrograd.engine import Value; print(Value.__module__)")
    assert "  python:   'micrograd.engine\\n'" in call(TAPEGRAD, "--compare", script).stderr


def test_compare_without_micrograd(write):
    hide = "import sys; sys.path[:] = [p for p in sys.path if not __import__('os').path.isdir(p + '/micrograd')]\n"
    found = "from pathlib import Path; import tapegrad; package = str(Path(tapegrad.__file__).parents[1])\n"
    again = "import sys; from tapegrad.__main__ import main; sys.exit(main())"
    code = f"{found}{hide}sys.path.append('')\n{again}"
    done = call([*PYTHON, "-c", code, "run"], "--compare", write("print(1)"))
    assert done.returncode == 2 and "micrograd is not installed" in done.stderr


def test_compare_refuses_before_anything_runs(write):
    done = call(TAPEGRAD, "--compare", "--replace=Value", write("print('ran')\nopen('ran', 'w')\n"))
    assert (done.returncode, done.stdout) == (2, "") and not os.path.exists("ran")
