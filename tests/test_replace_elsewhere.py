"""`tapegrad run --replace` of classes in other files, in functions, in tests, and in scripts made of notebooks."""

import os
import textwrap
import zipfile

import pytest
from test_own_micrograd import project
from test_run import LECTURE, MICROGPT, MICROGRAD, PYTHON, TAPEGRAD, WHOSE, call

__all__ = ["project"]  # the fixture

LEAKY = MICROGRAD.replace("0 if self.data < 0", "0.1 * self.data if self.data < 0")
SUM = """
a, b = Value(2.5), Value(-3.0)
y = (a * b + a).relu() + (a * a + b).relu() + 1
y.backward()
print(y.data, a.grad, b.grad)
print('tapegrad' if hasattr(y, 'local_gradients') else 'python')
"""
FIGURES = "4.25 5.0 1.0\n"


def replaced(*words, where):
    """What was said; the program printed what it does under python, but for the last line, whose its Value is."""
    name = next(word for word in words if word.endswith(".py") or word == "-m")
    python, ours = call(PYTHON, *words[words.index(name) :]), call(TAPEGRAD, *words)
    assert (python.returncode, ours.returncode) == (0, 0), ours.stderr
    assert ours.stdout == python.stdout.replace("python\n", "tapegrad\n")
    assert ours.stdout.endswith("tapegrad\n")
    assert f"{where} replaced by tapegrad's Value\n" in ours.stderr
    return ours.stderr


def refused(*words, reasons):
    done = call(TAPEGRAD, *words)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert [reason for reason in reasons if reason not in done.stderr] == [], done.stderr
    assert done.stderr.startswith("tapegrad run: ") and done.stderr.endswith("nothing was run\n")


@pytest.mark.parametrize(
    "name", ["Value", "value.Value", "value:Value", "value.py:Value", "./lib/../value.py:Value", "__main__:Value"]
)
def test_every_way_to_name_a_class_in_another_file(project, name):
    project({"value.py": MICROGRAD, "main.py": "from value import Value\n" + SUM, "lib/empty.py": ""})
    replaced(
        "--replace",
        name,
        "main.py",
        where="value.py:1: class Value" + " (module value)" * (not name.endswith(".py:Value")),
    )
    assert not os.path.exists("ran") and call(PYTHON, "main.py").stdout.endswith("python\n")


@pytest.mark.parametrize("name", ["pkg.engine.Value", "pkg.engine:Value", "pkg.Value", "pkg:Value", "Value"])
def test_a_class_in_a_package(project, name):
    project({"pkg/__init__.py": "from .engine import Value as Value\n", "pkg/engine.py": "print('once')\n" + LECTURE})
    project({"main.py": "from pkg import Value\n" + SUM, "pkg/__main__.py": "from . import Value\n" + SUM})
    where = "pkg/engine.py:3: class Value (module pkg.engine)"
    replaced("--replace", name, "main.py", where=where)
    replaced("--replace", name, "-m", "pkg", where=where)


@pytest.mark.parametrize(
    "text",
    [
        "import value\na, b = value.Value(2.5), value.Value(-3.0)",
        "import value as v\nValue = v.Value",
        "from value import Value as Number\nValue = Number",
        "from value import *",
        "def f():\n    from value import Value\n    return Value\nValue = f()",
        "from model import Model\nValue = Model.kind",
        "import sys; sys.path.append('elsewhere')\nfrom model import Model\nValue = Model.kind",
    ],
)
def test_a_class_that_the_program_imports_is_found_by_its_name_alone(project, text):
    project({"value.py": MICROGRAD, "model.py": "from value import Value\nclass Model: kind = Value\n"})
    project({"main.py": text.replace("a, b = ", "Value = value.Value; a, b = ") + "\n" + SUM})
    name = "Number" if "Number" in text else "Value"
    if name == "Number":
        refused("--replace=Scalar", "main.py", reasons=["no class Scalar", "classes found: none"])
    replaced(
        "--replace",
        "Value" if name == "Value" else "value.Value",
        "main.py",
        where="value.py:1: class Value (module value)",
    )


def test_the_name_that_the_program_gives_it_will_do(project):
    project({"value.py": MICROGRAD, "main.py": "from value import Value as Number\n" + SUM.replace("Value", "Number")})
    replaced("--replace", "Number", "main.py", where="value.py:1: class Value (module value)")


def test_a_class_that_is_imported_in_a_way_of_the_programs_own_is_pointed_out(project):
    project({"lib/value.py": MICROGRAD, "main.py": "import importlib\nimportlib.import_module('lib.value')\n"})
    refused("--replace", "Value", "main.py", reasons=["in another file: --replace lib/value.py:Value\n"])
    assert call(TAPEGRAD, "--replace", "lib/value.py:Value", "main.py").stderr.count("tapegrad run:") == 1


def test_several_classes_of_one_name_are_listed(project):
    project({"one.py": "from value import Value\n", "value.py": MICROGRAD, "two.py": MICROGRAD})
    project({"main.py": "import one, two\nprint(one.Value is two.Value)\n"})
    places = ["there are several classes Value; say which:", "value.py:1: --replace value:Value", "--replace two:Value"]
    refused("--replace", "Value", "main.py", reasons=places)
    assert call(TAPEGRAD, "--replace", "two:Value,one:Value", "main.py").stdout == "True\n"


def test_a_module_that_the_program_finds_by_a_path_of_its_own(project):
    project(
        {"lib/value.py": MICROGRAD, "main.py": "import sys\nsys.path.insert(0, 'lib')\nfrom value import Value\n" + SUM}
    )
    for name in ("value.Value", "value:Value", "lib/value.py:Value"):
        replaced("--replace", name, "main.py", where="lib/value.py:1: class Value")
    replaced("--replace", "lib.value:Value", "main.py", where="lib/value.py:1: class Value (module lib.value)")


def test_refusals_name_the_file_the_module_and_what_ours_takes(project):
    project(
        {
            "pkg/__init__.py": "open('ran', 'w')",
            "pkg/engine.py": LEAKY,
            "main.py": "import pkg.engine\nopen('ran', 'w')",
        }
    )
    refused(
        "--replace=pkg.engine.Value",
        "main.py",
        reasons=["pkg/engine.py:1: class Value (module pkg.engine)", "a.relu()"],
    )
    project({"pkg/engine.py": MICROGRAD.replace("_op=''", "_op='', **more")})
    takes = "ours takes (data, _children, _op, label) and (data, children, local_grads)"
    refused("--replace=pkg.engine.Value", "main.py", reasons=["(module pkg.engine) cannot be", ": more;", takes])
    refused(
        "--replace=pkg.engine.Scalar",
        "main.py",
        reasons=["engine.py: no class Scalar (module pkg.engine); classes found: Value (line 1)"],
    )
    refused("--replace=pkg.missing.Value", "main.py", reasons=["no module pkg.missing", "path/to/file.py:Value"])
    refused("--replace=missing.py:Value", "main.py", reasons=["missing.py cannot be read"])
    refused("--replace=math:Value", "main.py", reasons=["no module math with a source"])
    refused("--replace=pkg.engine.Scalar,Value", "main.py", reasons=["no class Scalar", ": more;"])
    assert not os.path.exists("ran")
    project({"two.py": "from missing import Value\n", "three.py": "from micrograd.nothing import Value\n"})
    refused(
        "--replace=Value", "two.py", reasons=["two.py: no class Value", "it imports it from missing, of which there"]
    )
    means = "a micrograd that is not installed means tapegrad's without --replace"
    refused("--replace=Value", "three.py", reasons=[means])
    refused("--replace=micrograd.nothing:Value", "three.py", reasons=[means])


def test_a_file_that_the_program_does_not_import_is_said(project):
    project({"value.py": MICROGRAD, "main.py": "print('ran')\nraise SystemExit(3)"})
    done = call(TAPEGRAD, "--replace", "value.Value", "main.py")
    assert (done.stdout, done.returncode) == ("ran\n", 3)
    assert done.stderr.endswith(
        "tapegrad run: the program did not import " + os.path.realpath("value.py") + ": nothing was replaced there\n"
    )


def test_nothing_changed_is_cached(project):
    project({"value.py": MICROGRAD, "main.py": "from value import Value\n" + SUM})
    for command in (PYTHON, [*TAPEGRAD, "--replace", "Value"], PYTHON, [*TAPEGRAD, "--replace", "Value"]):
        expected = "python\n" if command is PYTHON else "tapegrad\n"
        assert call(command, "main.py").stdout == FIGURES + expected


PICKLE = """
import os, pickle, sys
if os.path.exists("saved"):
    with open("saved", "rb") as file:
        saved = pickle.load(file)
    print(saved, saved.data, saved.grad, isinstance(saved, Value))
else:
    v = Value(2.5)
    v.grad = 0.5
    with open("saved", "wb") as file:
        pickle.dump(v, file)
    print(Value, Value.__module__, Value.__qualname__, v)
"""


@pytest.mark.parametrize("module", ["value", "net.value", "micrograd.engine"])
def test_it_is_the_modules_class_by_name_in_print_and_in_pickles(project, module):
    source = MICROGPT + "\n    def __repr__(self):\n        return f'<{self.data}>'\n"
    file = module.replace(".", "/") + ".py"
    project({file: source, "main.py": f"from {module} import Value\n{PICKLE}"})
    if "." in module:
        project({os.path.dirname(file) + "/__init__.py": ""})
    ours = [*TAPEGRAD, *([] if "micrograd" in module else ["--replace", "Value"])]
    shown = []
    for commands in ([PYTHON, PYTHON], [ours, PYTHON], [PYTHON, ours], [ours, ours]):
        done = [call(command, "main.py") for command in commands]
        shown.append([one.stdout for one in done])
        said = [one.stderr.count("replaced by tapegrad's Value") for one in done]
        assert said == [command is ours for command in commands], done
        os.remove("saved")
    assert shown == [shown[0]] * 4
    assert shown[0] == [f"<class '{module}.Value'> {module} Value <2.5>\n", "<2.5> 2.5 0.5 True\n"]


def test_tracebacks_through_the_module_are_those_of_the_file(project):
    project({"value.py": MICROGRAD + "\n\ndef fail():\n    return 1 / 0\n", "main.py": "import value\nvalue.fail()\n"})
    python, ours = call(PYTHON, "main.py"), call(TAPEGRAD, "--replace", "value.Value", "main.py")
    assert ours.stderr.endswith("\n" + python.stderr) and "value.py" in python.stderr


def test_a_program_that_is_imported_as_a_module_too(project):
    project(
        {"main.py": MICROGRAD + "if __name__ == '__main__':\n    import helper\n    print(helper.Value is Value)\n"}
    )
    project({"helper.py": "from main import Value\n" + WHOSE})
    for name in ("Value", "main.Value", "main:Value", "__main__.Value"):
        assert call(TAPEGRAD, "--replace", name, "main.py").stdout == "tapegrad\nTrue\n"


def test_what_other_files_do_with_the_class_counts(project):
    project({"value.py": MICROGRAD + "\n    def _order(self):\n        return self._hidden\n"})
    project({"main.py": "from value import Value as V\nfrom helper import f\nprint(f(V(1.0)))\n"})
    project({"helper.py": "import value as v\ndef f(x):\n    return x._order()\n"})
    refused(
        "--replace=value:Value", "main.py", reasons=["value.py:1: class Value (module value)", "method _order (line"]
    )
    project({"helper.py": "import value as v\ndef f(x):\n    return v.Value(2.0, name='x')\n"})
    refused("--replace=value:Value", "main.py", reasons=["helper.py:3 calls it with name=, a name that ours"])
    project({"helper.py": "def f(x):\n    def Value(name): return name\n    return Value(name='x')\n"})
    assert call(TAPEGRAD, "--replace=value:Value", "main.py").stdout == "x\n"
    elsewhere = "from fractions import Fraction as Value\ndef f(x): return Value(numerator=1)\n"
    project({"helper.py": elsewhere})
    assert call(TAPEGRAD, "--replace=value:Value", "main.py").stdout == "1\n"
    project({"main.py": "from value import Value as V\nprint(V(data=1.0, name='x'))\n"})
    refused("--replace=V", "main.py", reasons=["main.py:2 calls it with name="])


def test_programs_that_parse_but_do_not_compile(project):
    project({"value.py": MICROGRAD + "\nreturn\n", "main.py": "from value import Value\n"})
    assert call(TAPEGRAD, "--replace", "Value", "value.py").stderr == call(PYTHON, "value.py").stderr
    refused("--replace=value.Value", "main.py", reasons=["value.py is not a program that compiles"])
    refused("--replace=Value", "main.py", reasons=["it imports it from value, which does not compile"])


def test_warnings_of_the_compiler_are_given_once(project):
    odd = "\nx = '\\d'\nif x is 'a': pass\n"
    project({"value.py": MICROGRAD + odd, "helper.py": odd, "main.py": f"import value, helper\n{odd}"})
    python = call([*PYTHON, "-B", "-W", "always"], "main.py")
    ours = call([*PYTHON, "-B", "-W", "always", *TAPEGRAD[1:]], "--replace", "value.Value", "main.py")
    assert python.stderr.count("Warning") == 6 and ours.stderr.endswith("\n" + python.stderr)
    project({"value.py": MICROGRAD + odd + SUM})
    python = call([*PYTHON, "-B", "-W", "always"], "value.py")
    ours = call([*PYTHON, "-B", "-W", "always", *TAPEGRAD[1:]], "--replace", "Value", "value.py")
    assert python.stderr.count("Warning") == 2 and ours.stderr.endswith("\n" + python.stderr)
    project({"value.py": "class Value(:\n"})
    refused("--replace=value:Value", "main.py", reasons=["value.py is not a program that compiles"])
    refused("--replace=value.py:Value", "main.py", reasons=["value.py is not a program that compiles"])


def in_function(source, name="train"):
    return f"def {name}():\n" + textwrap.indent(source + SUM, "    ") + f"\n{name}()\n"


@pytest.mark.parametrize("name", ["Value", "train.Value", ":train.Value", "main:train.Value", "train.<locals>.Value"])
def test_a_class_in_a_function(project, name):
    project({"main.py": "import math\n" + in_function(MICROGPT.replace("import math\n", ""))})
    replaced("--replace", name, "main.py", where="main.py:4: class train.Value")


NO_REPR = LECTURE.replace("__repr__", "_shown")


def test_classes_in_other_blocks(project):
    tried = "try:\n    from micrograd_of_old import Value\nexcept ImportError:\n" + textwrap.indent(MICROGRAD, "    ")
    outer = "class Models:\n" + textwrap.indent(MICROGRAD.replace("Value(", "Models.Value("), "    ")
    project({"main.py": tried + SUM, "value.py": f"if True:\n{textwrap.indent(MICROGRAD, '    ')}"})
    replaced("--replace", "Value", "main.py", where="main.py:4: class Value")
    project({"two.py": in_function(MICROGRAD, "one") + in_function(NO_REPR, "two") + outer})
    done = call(TAPEGRAD, "--replace", "Value", "two.py")
    assert done.stdout == (FIGURES + "tapegrad\n") * 2 and done.stderr.count("replaced by") == 2
    project({"two.py": in_function(MICROGRAD, "one") + MICROGRAD + SUM})
    done = call(TAPEGRAD, "--replace", "Value", "two.py")
    assert done.stdout == f"{FIGURES}python\n{FIGURES}tapegrad\n"
    assert "two.py:2: class one.Value stays as it is, to replace it too: --replace one.Value\n" in done.stderr
    done = call(TAPEGRAD, "--replace", "Value,one.Value", "two.py")
    assert done.stdout == f"{FIGURES}tapegrad\n" * 2
    done = call(TAPEGRAD, "--replace", "value:Value", "-m", "value")
    assert "value.py:2: class Value replaced" in done.stderr


NOTEBOOK = f"""\
# %%
get_ipython = globals().get("get_ipython")
if get_ipython:
    get_ipython().run_line_magic("matplotlib", "inline")

# %%
class Value:
    def __init__(self, data):
        self.data = data

    def __repr__(self):
        return f"Value(data={{self.data}})"

print(Value(2.0))

# %%
{MICROGRAD}
# %%
{LECTURE}
# %%
{SUM}
"""


def test_a_notebook_that_defines_the_class_step_by_step(project):
    project({"notebook.py": NOTEBOOK})
    second, third = [i for i, line in enumerate(NOTEBOOK.splitlines(), 1) if line == "class Value:"][1:]
    said = replaced("--replace", "Value", "notebook.py", where=f"notebook.py:{second}: class Value")
    assert f"notebook.py:7: class Value stays as it is until line {second} defines it anew; it cannot be" in said
    assert f"notebook.py:{third}: class Value replaced" in said
    assert said.count("replaced by tapegrad's Value\n") == 2
    project({"notebook.py": NOTEBOOK.replace("0 if self.data < 0", "0.1 * self.data if self.data < 0")})
    refused("--replace=Value", "notebook.py", reasons=["class Value cannot be replaced", "a.relu()"])
    one, other = (textwrap.indent(source, "    ") for source in (LEAKY, MICROGRAD))
    either = f"import sys\nif len(sys.argv) > 5:\n{one}\nelse:\n{other}"
    project({"notebook.py": either})
    refused("--replace=Value", "notebook.py", reasons=["notebook.py:3: class Value cannot be replaced"])


TEST = """
def test_sum():
    a = Value(2.0)
    y = a * a + a
    y.backward()
    assert (y.data, a.grad) == (6.0, 5.0)
    print("Value of", "tapegrad" if hasattr(y, "local_gradients") else "python")
    if __name__ != "__main__":
        assert y.data == a.data
"""
PYTEST = ["-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-c", "pytest.ini"]


@pytest.mark.parametrize("name, mode", [("pkg.engine:Value", "prepend"), ("Value", "importlib")])
def test_pytest_on_a_package(project, name, mode):
    project({"pkg/__init__.py": "", "pkg/engine.py": MICROGRAD, "pytest.ini": "[pytest]\n"})
    project({"tests/test_it.py": "from pkg.engine import Value\n" + TEST})
    done = call(TAPEGRAD, "--replace", name, *PYTEST, f"--import-mode={mode}", "tests")
    assert "Value of tapegrad" in done.stdout and done.returncode == 1
    assert "assert 6.0 == 2.0" in done.stdout  # with pytest's rewriting, as ever
    assert "pkg/engine.py:1: class Value" in done.stderr and done.stderr.count("tapegrad run:") == 1


@pytest.mark.parametrize(
    "name, mode",
    [
        ("Value", "prepend"),
        ("test_it.Value", "importlib"),
        ("tests/test_it.py:Value", "prepend"),
        ("tests.test_it:Value", "importlib"),
    ],
)
def test_pytest_on_a_class_in_the_tests(project, name, mode):
    project({"tests/test_it.py": MICROGRAD + TEST, "pytest.ini": "[pytest]\n"})
    done = call(TAPEGRAD, "--replace", name, *PYTEST, f"--import-mode={mode}", "tests")
    assert "Value of tapegrad" in done.stdout and done.returncode == 1
    assert "assert 6.0 == 2.0" in done.stdout
    assert "tests/test_it.py:1: class Value" in done.stderr and done.stderr.count("tapegrad run:") == 1
    if name == "Value":
        assert "Value of python" in call(PYTHON, *PYTEST, "tests").stdout  # pytest has cached nothing of ours


def test_pytest_refuses_before_it_runs(project):
    project({"tests/test_it.py": LEAKY + TEST, "pytest.ini": "[pytest]\n"})
    refused("--replace", "Value", *PYTEST, reasons=["tests/test_it.py:1: class Value cannot be", "a.relu()"])


def test_unittest(project):
    case = "import unittest\nclass Case(unittest.TestCase):\n    def test_it(self):\n        test_sum()\n"
    text = (MICROGRAD + TEST + case).replace('__name__ != "__main__"', "False")
    project({"tests/__init__.py": "", "tests/test_it.py": text})
    for words in (["tests.test_it"], ["discover", "tests"], []):
        done = call(TAPEGRAD, "--replace", "tests.test_it:Value", "-m", "unittest", *words)
        assert "Value of tapegrad" in done.stdout and done.returncode == 0, done.stderr
    assert call(TAPEGRAD, "--replace=Value", "-m", "unittest").stdout == "Value of tapegrad\n"


def test_an_archive(project):
    with zipfile.ZipFile("app.zip", "w") as archive:
        archive.writestr("__main__.py", "from value import Value\n" + SUM)
        archive.writestr("value.py", MICROGRAD)
    for name in ("Value", "value.Value"):
        done = call(TAPEGRAD, "--replace", name, "app.zip")
        assert done.stdout == FIGURES + "tapegrad\n" and "app.zip/value.py:1: class Value (module" in done.stderr


def test_directories_and_compare(project):
    project(
        {
            "app/__main__.py": "from value import Value\n" + SUM.replace("print('tapegrad", "('tapegrad"),
            "app/value.py": MICROGRAD,
        }
    )
    done = call(TAPEGRAD, "--replace", "Value", "app")
    assert done.stdout == FIGURES and "app/value.py:1: class Value (module value) replaced" in done.stderr
    done = call(TAPEGRAD, "--compare", "--replace", "value.Value", "app")
    assert done.returncode == 0 and "identical, 1 line\n" in done.stderr
