"""SECURITY.md and docs/stability.md: the tests that they name exist, what is public is documented, and what no other
test proves."""

import ast
import importlib
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import tapegrad
from tapegrad import draw
from tapegrad.program import Program, from_bytes

ROOT = Path(__file__).parents[1]
SOURCES = Path(tapegrad.__file__).parent
DOCUMENTS = ["SECURITY.md", "docs/stability.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_tests_that_it_names_exist(document):
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (ROOT / document).read_text(encoding="utf-8"))
    defined = {
        (path.name, node.name)
        for path in (ROOT / "tests").glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    assert [test for test in named if test not in defined] == []
    assert len(named) >= 8


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_promise_is_without_a_test(document):
    """Each row of a table with a column of proofs has one."""
    text = (ROOT / document).read_text(encoding="utf-8")
    (table,) = re.findall(r"^\|[^\n]*proof \|\n\|[-|]+\|\n((?:\|[^\n]*\n)+)", text, flags=re.M)
    rows = table.splitlines()
    assert [row for row in rows if "::test_" not in row.rstrip("| ").rpartition("|")[2]] == []
    assert len(rows) >= 6


def test_the_environment_variables_are_those_that_are_documented():
    read = set()
    for path in [*SOURCES.rglob("*.py"), *ROOT.glob("csrc/**/*.pyx"), ROOT / "setup.py"]:
        if path.exists():
            read |= set(re.findall(r"environ(?:\.get\(|\[)\"(TAPEGRAD_\w+)\"", path.read_text(encoding="utf-8")))
    documented = set(re.findall(r"`(TAPEGRAD_\w+)", (ROOT / "docs/stability.md").read_text(encoding="utf-8")))
    assert "TAPEGRAD_PURE" in read and read <= documented


def test_every_public_name_is_in_the_reference():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/reference/*.md"))
    shown = []
    for path in re.findall(r"^::: (tapegrad[\w.]*)$", pages, flags=re.M):
        module, _, name = path.rpartition(".")
        try:
            whole = importlib.import_module(path)
        except ModuleNotFoundError:
            shown.append(getattr(importlib.import_module(module), name))
        else:
            shown += [getattr(whole, public) for public in whole.__all__]
    for module in ("tapegrad", "engine", "nn", "losses", "optim", "fitting", "plots"):
        if module == "plots":
            pytest.importorskip("matplotlib")
        public = importlib.import_module(module if module == "tapegrad" else f"tapegrad.{module}")
        missing = [name for name in public.__all__ if not any(getattr(public, name) is x for x in shown)]
        assert missing == [], module


def test_every_public_name_has_a_docstring():
    assert [name for name in tapegrad.__all__ if not (getattr(tapegrad, name).__doc__ or "").strip()] == []


def test_only_tapegrad_run_executes_code():
    """`run`, `exchange` and `alias` run the program's files, `sourcefile` compiles them or, by the C API, has the
    interpreter say why not, `trial` and `extras` try the class that it is to replace; nothing unpickles."""
    found = {}
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in ("eval", "exec", "compile", "__import__", "os.system") or name.startswith(
                    ("pickle.", "marshal.", "shelve.", "numpy.load", "np.load")
                ):
                    found.setdefault(path.name, set()).add(name)
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                if modules <= {"pickle", "PicklingError", "UnpicklingError"}:
                    continue  # what is raised where a Value cannot be pickled
                assert not modules & {"pickle", "marshal", "shelve", "dill", "yaml"}, path
            assert not (isinstance(node, ast.keyword) and node.arg in ("shell", "allow_pickle")), path
    runs = {"run.py": {"exec"}, "exchange.py": {"exec", "compile"}, "alias.py": {"compile"}}
    assert found == runs | {
        "sourcefile.py": {"compile"},
        "trial.py": {"exec", "eval", "compile"},
        "extras.py": {"eval"},
    }


def test_labels_stay_within_their_quotes_in_dot(Value):
    """Nothing of a label ends its text, or a field of its node."""
    hostile = 'a"];evil[label="x\\\\"|}{<b>\n'
    x = Value(1.0, label=hostile)
    text = draw(Value(2.0, (x,), hostile)).dot()
    lines = [line for line in text.splitlines() if "label=" in line]
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(r'  \w+ \[label="(?:[^"\\]|\\.)*"(?:, \w+="\w+")?\]', line), line
        assert line.count("{") == line.count("}") <= 1


@pytest.mark.parametrize(
    "use",
    [
        lambda x: tapegrad.losses.mse_loss(x, x),
        lambda x: tapegrad.nn.ReLU()(x),
        lambda x: tapegrad.record(lambda y: y)(x),
        lambda x: tapegrad.vmap(lambda y: y)(x),
    ],
)
def test_arguments_nested_too_deep_are_a_recursion_error(use):
    x = [1.0]
    for _ in range(100_000):
        x = [x]
    with pytest.raises(RecursionError):
        use(x)


class Loud(float):
    """A number that writes itself."""

    def __format__(self, spec):
        return '0"]\n  evil [label="<script>$$'

    __str__ = __repr__ = lambda self: format(self, "")


class Foreign:
    """What draw and explain take for a Value."""

    def __init__(self, data, grad, prev=(), op="", label=""):
        self.data, self.grad, self._prev, self._op, self.label = data, grad, prev, op, label
        self._local_grads = (Loud(3.0),) * len(prev)


@pytest.mark.parametrize("number", ['1"]; x [label="y', "<script>$$\\input", Loud(3.0), "\x1b[2J\u202e", 10**400])
def test_numbers_of_foreign_values_stay_text_in_every_picture(number):
    x = Foreign(number, number, label="x")
    y = Foreign(number, number, (x,), "+", "<b>$$\u202e")
    drawing = draw(y, names={})
    for line in drawing.dot().splitlines():
        if "label=" in line:
            assert re.fullmatch(r'  \w+ \[label="(?:[^"\\]|\\.)*"(?:, \w+="\w+")?\]', line), line
        assert "evil" not in line or "&#34;" in line
    ElementTree.fromstring(drawing.svg())
    for text in (drawing.svg(), drawing.html().partition('id="data">')[2].partition("</script>")[0]):
        assert "<script" not in text
    explanation = tapegrad.explain(y, x, names={})
    for text in (explanation.latex(), str(explanation)):
        assert "evil" not in text and text.replace("\n", "").isprintable()
    assert "<" not in explanation.latex() and "$" not in explanation.latex().replace(r"\$", "")


def test_names_in_a_saved_program_are_text_when_it_is_shown():
    hostile = "\x1b]0;title\x07\x1b[2J\u202ef.py\r\x9b"
    program = tapegrad.record(lambda x: x * 2.0 if x > 1.0 else x).program(2.0)
    made = Program(program.graph, program.outputs_at, [(*guard[:2], (hostile, 7)) for guard in program.guards])
    loaded = from_bytes(made.to_bytes())
    assert loaded.guards[0][2] == (hostile, 7)  # what it is saved with stays
    with pytest.raises(ValueError) as caught:
        loaded([0.0])
    for text in (str(loaded), "\n".join(loaded.listing()), repr(loaded), str(caught.value), repr(loaded.guards)):
        assert (text.replace("\n", "").isprintable() and "f.py" in text) or text == repr(loaded)
