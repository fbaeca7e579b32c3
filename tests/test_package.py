"""The package around the core: imports, missing extension, docstrings, version, the pure mode."""

import doctest
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tapegrad
from tapegrad.bench.imports import import_times

ROOT = Path(__file__).parents[1]
MODULES = [
    "._arrays",
    ".batch",
    ".check",
    ".checkpoints",
    ".classify.training",
    ".drawing",
    ".drawing.layout",
    ".engine",
    ".explanation",
    ".fitting",
    ".functions",
    ".latex",
    ".losses",
    ".nn",
    ".nodes",
    ".optim",
    ".plots",
    ".recording",
    ".reference",
    ".rules",
    ".tape",
    ".trainer",
    ".transforms",
    ".value",
    ".wording",
]


def run(code, **env):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **env})


def test_the_compiled_core_is_the_one_in_use():
    assert tapegrad.Value.__module__ == "tapegrad.value"
    assert not tapegrad.value.__file__.endswith(".py")
    assert tapegrad.engine.Value is tapegrad.Value is tapegrad.value.Value


@pytest.mark.parametrize("name", ["", *MODULES])
def test_docstring_examples(name):
    if name == ".plots":
        pytest.importorskip("matplotlib")
    module = importlib.import_module("tapegrad" + name)
    runner, parser = doctest.DocTestRunner(), doctest.DocTestParser()
    documented = {}
    for owner in (
        module,
        *(x for x in vars(module).values() if inspect.isclass(x)),
    ):  # doctest's own finder passes over
        documented |= {id(x): x for x in (owner, *vars(owner).values()) if ">>>" in (x.__doc__ or "")}  # compiled ones
    for documented_object in documented.values():
        if inspect.ismodule(documented_object) and documented_object is not module:
            continue  # a module of the package has a case of its own
        if getattr(documented_object, "__module__", module.__name__) == module.__name__:
            text, label = documented_object.__doc__, getattr(documented_object, "__name__", repr(documented_object))
            runner.run(parser.get_doctest(text, dict(vars(module)), label, None, 0))
    assert runner.failures == 0
    assert runner.tries > 0 or name == ".engine"


def test_importing_touches_only_the_standard_library():
    modules = "tapegrad, tapegrad.nn, tapegrad.losses, tapegrad.optim, tapegrad.plots"
    out = run(f"import sys; import {modules}; print('numpy' in sys.modules, 'typing' in sys.modules)")
    assert out.stdout.split()[0] == "False"
    code = "import sys; sys.modules['numpy'] = None; import tapegrad; print(tapegrad.exp(tapegrad.Value(0.0)))"
    assert run(code).stdout == "Value(data=1.0, grad=0)\n"


def imported(module):
    """The modules that `import module` brings into a fresh process, but for those of Cython itself."""
    code = f"import sys; before = set(sys.modules); import {module}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return {name for name in done.stdout.split() if not name.startswith(("_cython", "cython"))}


CORE = {"tapegrad", "tapegrad.engine", "tapegrad.functions", "tapegrad.recording", "tapegrad.tape", "tapegrad.value"}
LITTLE = {"__future__", "math"}


@pytest.mark.parametrize(
    "module, more",
    [
        ("tapegrad", set()),
        ("tapegrad.engine", set()),
        ("tapegrad.losses", {"tapegrad._arrays"}),
        ("tapegrad.nn", {"tapegrad._arrays", "random", "operator", "itertools", "bisect", "warnings"}),
        (
            "tapegrad.optim",
            {
                "tapegrad._arrays",
                "tapegrad.states",
                "tapegrad.wording",
                "copy",
                "copyreg",
                "itertools",
                "numbers",
                "types",
                "weakref",
            },
        ),
    ],
)
def test_importing_brings_in_these_modules_and_no_others(module, more):
    """What it takes is measured by `python -m tapegrad.bench.imports`; it is little because this is little."""
    public = {name for name in imported(module) if not re.match(r"_(?!_)", name)}
    assert public - (CORE | LITTLE | more | {module}) <= {"hashlib"}
    assert CORE <= public
    heavy = {"argparse", "ast", "collections", "dataclasses", "inspect", "json", "numpy", "pathlib", "re", "typing"}
    assert not heavy & public


COMMANDS = ["--version", "--help", "bench --list", "bench --help", "classify --help", "run --help", "run {script}"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs_with_warnings_as_errors(command, tmp_path):
    script = tmp_path / "program.py"
    script.write_text("from micrograd.engine import Value\n(Value(2.0) * 3).backward()\n")
    words = command.format(script=script).split()
    flags = ["-W", "error", "-X", "dev", "-b"]
    done = subprocess.run([sys.executable, *flags, "-m", "tapegrad", *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_module_is_imported_with_warnings_as_errors():
    code = """
import pkgutil, importlib, sys, tapegrad
for name in tapegrad.__all__:
    getattr(tapegrad, name)
for module in pkgutil.walk_packages(tapegrad.__path__, "tapegrad."):
    if not module.name.endswith("__main__") and ".peers." not in module.name:  # adapters import what they adapt to
        importlib.import_module(module.name)
graph = tapegrad.draw(tapegrad.Value(1.0) + 2)
graph.svg()
print(len(sys.modules) > 50)
"""
    flags = ["-W", "error", "-X", "dev", "-b"]
    done = subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_import_times_are_measured():
    times = import_times(processes=1)
    assert times.seconds > 0 and times.other_seconds > 0
    assert times.ratio == times.seconds / times.other_seconds
    assert str(times).startswith("import tapegrad: ") and str(times).endswith(" times as long as import json")


def test_nn_losses_optim_and_plots_are_imported_when_they_are_asked_for():
    code = "import sys, tapegrad; before = set(sys.modules); tapegrad.{}; print(*set(sys.modules) - before)"
    for name in ("nn", "losses", "optim"):
        assert {f"tapegrad.{name}", "tapegrad._arrays"} <= set(run(code.format(name)).stdout.split())
    imported = set(run(code.format("plots")).stdout.split())
    assert "tapegrad.plots" in imported and not {"numpy", "matplotlib"} & imported


def test_pure_mode():
    code = "import tapegrad, tapegrad.nn; print(tapegrad.Value.__module__, tapegrad.nn.Value.__module__)"
    assert run(code, TAPEGRAD_PURE="1").stdout == "tapegrad.reference tapegrad.reference\n"
    assert run(code, TAPEGRAD_PURE="0").stdout == "tapegrad.value tapegrad.value\n"


def test_a_missing_extension_says_how_to_build(tmp_path):
    package = tmp_path / "tapegrad"
    package.mkdir()
    for source in Path(tapegrad.__file__).parent.glob("*.py"):
        (package / source.name).write_bytes(source.read_bytes())
    hide = "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]"
    code = f"import sys; {hide}; sys.path.insert(0, {str(tmp_path)!r}); import tapegrad"
    out = run(code)
    assert out.returncode == 1 and "ImportError: tapegrad's compiled core is missing. Build it with" in out.stderr
    assert run(code + "; print(tapegrad.Value(1.0))", TAPEGRAD_PURE="1").stdout == "Value(data=1.0, grad=0)\n"


def test_version_is_in_one_place():
    assert tapegrad.__version__ == importlib.metadata.version("tapegrad")
    with pytest.raises(AttributeError):
        tapegrad.nonsense  # noqa: B018


def test_public_names():
    assert [name for name in tapegrad.__all__ if not hasattr(tapegrad, name)] == []
    assert len(set(tapegrad.__all__)) == len(tapegrad.__all__)


def test_signatures_can_be_read():
    assert str(inspect.signature(tapegrad.Value)).startswith("(data, _children=()")
    assert list(inspect.signature(tapegrad.Value.leaky_relu).parameters) == ["self", "negative_slope"]
    assert list(inspect.signature(tapegrad.dot).parameters) == ["xs", "ys", "start"]


PAGES = ["README.md", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/**/*.md")))]


@pytest.mark.parametrize("page", PAGES)
def test_python_in_the_documents_prints_what_they_say(page):
    """Elsewhere each block is a program; in a chapter of the guide all blocks together are one."""
    blocks = re.findall(
        r"```python\n(.*?)```\n(?:\n?```\n(.*?)```)?", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL
    )
    if any("import plots" in code for code, _ in blocks):
        pytest.importorskip("matplotlib")
    if "guide" in Path(page).parts:
        done = run("\nprint(end='\\x1e')\n".join(code for code, _ in blocks), MPLBACKEND="agg")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split("\x1e") == [output for _, output in blocks or [("", "")]]
        return
    for code, output in blocks:
        done = run(code)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == output


def test_the_guides_contents_are_its_chapters():
    pages = sorted(path.name for path in ROOT.glob("docs/guide/[0-9]*.md"))
    contents = re.findall(
        r"^\| (\d+) \| \[(.*)\]\((.*)\) \|", (ROOT / "docs/guide/index.md").read_text(encoding="utf-8"), flags=re.M
    )
    assert [page for _, _, page in contents] == pages
    for number, title, page in contents:
        assert (ROOT / "docs/guide" / page).read_text(encoding="utf-8").startswith(f"# {number}. {title}\n")


def test_the_readme_has_its_two_commands():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert "tapegrad bench" in commands[0]
    assert "python -m pytest" in commands[1]
