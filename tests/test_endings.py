"""Programs that do not compile, or end in odd ways, end under the installed command as they do under `python`."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

TAPEGRAD = [shutil.which("tapegrad", path=sysconfig.get_path("scripts")), "run"]

SOURCES = {
    "syntax": b"def f(:\n  pass\n",
    "never closed": b"x = (",
    "no string end": b"x = '''abc\n",
    "coding": b"# coding: nope\nprint(1)\n",
    "coding in the second line": b"\n# -*- coding: nope -*-\nprint(1)\n",
    "coding that is no text": b"# coding: rot13\nx = 1\n",
    "coding beside a byte order mark": b"\xef\xbb\xbf# coding: latin-1\nx = 1\n",
    "not in its coding": b"# coding: ascii\nx = '\xc3\xa9'\n",
    "latin-1, undeclared": b"print(1)\nx = '\xe9'\n",
    "latin-1, far down": b"x = 1\n" * 3000 + b"y = '\xe9'\n",
    "latin-1, declared": b"# coding: latin-1\nx = '\xe9' = (\n",
    "latin-1, declared, compiles": b"# coding: latin-1\nprint(ascii('\xe9'))\n",
    "surrogates": b"x = '\xed\xa0\x80'\n",
    "null byte": b"print(1)\0\n",
    "null byte in a comment": b"print(1)\n# a\0b\nprint(2)\n",
    "null byte in a string": b'"""doc\0"""\nprint(1)\n',
    "null byte only": b"\0",
    "unknown future": b"from __future__ import nope\n",
    "late future": b"x = 1\nfrom __future__ import division\n",
    "no indentation": b"def f():\nreturn 1\n",
    "no indentation at the end": b"class A:",
    "inconsistent indentation": b"if 1:\n\tx=1\n        y=2\n",
    "wrong unindentation": b"if 1:\n    x\n  y\n",
    "return": b"return 1\n",
    "await": b"await x\n",
    "nonlocal": b"nonlocal x\n",
    "f-string": b"f'{'\n",
    "carriage returns": b"x = 1\rprint(x\r",
    "warnings": b"1 is 1\nassert (1, 2)\nx = '\\d'\nprint(x)\n",
    "warnings before an error": b"x = '\\d'\n1 is 1\nx = (\n",
    "warnings before what cannot be decoded": b"x = '\\d'\nx = \xff\n",
    "a long line": b"x = '" + b"a" * 2000 + b"' = (\n",
    "empty": b"",
}


@pytest.fixture(autouse=True)
def fresh_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ending(command, *words, keep=False, **options):
    """How it ends; unless it is to `keep` them, without the .pyc files of a run before, which hide warnings."""
    for folder in [] if keep else list(Path().rglob("__pycache__")):
        shutil.rmtree(folder)
    done = subprocess.run([*command, *words], capture_output=True, stdin=subprocess.DEVNULL, timeout=120, **options)
    return done.returncode, done.stdout, done.stderr


def same(*words):
    expected = ending([sys.executable], *words)
    assert ending(TAPEGRAD, *words) == expected
    return expected


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_file_that_does_not_compile_ends_as_under_python(fresh_directory, source):
    (fresh_directory / "program.py").write_bytes(source)
    status, _, errors = same("program.py")
    assert status == (1 if b"Error" in errors else 0)
    assert ending(TAPEGRAD, "-m", "program") == ending([sys.executable], "-m", "program")
    if b"Error" in errors:
        assert ending(TAPEGRAD, "--replace", "Value", "program.py") == (status, b"", errors)


def test_a_module_that_was_compiled_before_warns_no_more(fresh_directory):
    (fresh_directory / "program.py").write_bytes(SOURCES["warnings"])
    caching = {name: x for name, x in os.environ.items() if not name.startswith("PYTHON")}
    endings = []
    for command in ([sys.executable], TAPEGRAD):
        first = ending(command, "-m", "program", env=caching)
        endings.append([first, ending(command, "-m", "program", keep=True, env=caching)])
    assert endings[0] == endings[1]
    assert b"SyntaxWarning" in endings[0][0][2] and endings[0][1][2] == b""


def test_a_module_that_does_not_compile_is_shown_where_it_is_imported(fresh_directory):
    (fresh_directory / "broken.py").write_text("x = (")
    (fresh_directory / "null.py").write_bytes(b"x = 1\0")
    (fresh_directory / "program.py").write_text("try:\n    import null\nexcept Exception:\n    import broken\n")
    assert same("program.py")[0] == same("-m", "program")[0] == 1
    (fresh_directory / "package").mkdir()
    (fresh_directory / "package" / "__init__.py").write_text("import broken")
    assert same("-m", "package")[0] == same("-m", "package.module")[0] == 1
    (fresh_directory / "package" / "__main__.py").write_text("x = (")
    assert same("package")[0] == 1


def test_a_program_from_a_pipe_that_does_not_compile(fresh_directory):
    if not shutil.which("sh"):
        pytest.skip("no shell")
    for source in ("x = (", "# coding: nope"):
        piped = ["sh", "-c", 'echo "$0" | "$@" /dev/stdin', source]
        expected = ending(piped, sys.executable)
        assert ending(piped, *TAPEGRAD) == expected
        assert expected[0] == 1


F = "def f(x):\n    return 1 / x\n"
ENDINGS = [
    "import sys; del sys.excepthook; f(0)",
    "import sys; sys.excepthook = None; f(0)",
    "import sys; del sys.modules['__main__']; f(0)",
    "import sys; sys.modules['__main__'] = sys; exec('x = (')",
    "import sys; sys.modules.clear(); f(0)",
    "import sys\nfor name in list(sys.modules):\n    if name.startswith('tapegrad'): del sys.modules[name]\nf(0)",
    "globals().clear(); 1 / 0",
    "exec('x = (')",
    "import ast; ast.parse('x = (')",
    "raise SyntaxError('made up', ('file', 1, 2, 'text', 1, 3))",
    "raise SyntaxError",
    "class E(Exception): __traceback__ = 5\nraise E",
    "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
    "raise SystemExit",
    "raise SystemExit(2**70)",
    "raise SystemExit(-1)",
    "raise SystemExit((1, 2))",
    "class E(SystemExit):\n    @property\n    def code(self): raise ValueError\nraise E(3)",
    "class S:\n    def __str__(self): raise ValueError('no text')\nraise SystemExit(S())",
    "raise KeyboardInterrupt('words')",
    "class K(KeyboardInterrupt): pass\nraise K",
    "import os; os._exit(9)",
    "import os; os.abort()",
    "import atexit; atexit._clear(); f(0)",
    "import atexit, sys; atexit.register(sys.exit, 6)",
    "import threading; t = threading.Thread(target=exec, args=('x = (',)); t.start(); t.join(); f(0)",
    "import sys, threading; threading.Thread(target=threading.Event().wait, daemon=True).start(); sys.exit(4)",
    "import sys; sys.stderr = None; f(0)",
    "import sys; sys.stdout.close(); print(1)",
    "import os; os.close(2); f(0)",
    "import sys; sys.tracebacklimit = 1; f(0)",
    "import warnings; warnings.simplefilter('error'); exec('1 is 1')",
    "class X:\n    def __del__(self): print('del', __name__)\nx = X(); f(0)",
    "import sys; sys.excepthook = lambda *a: sys.exit('bye'); f(0)",
    "import sys; sys.excepthook = lambda *a: print(sys.last_traceback is a[2], sys.last_value is a[1]); f(0)",
]


@pytest.mark.parametrize("last", ENDINGS)
def test_odd_endings_are_as_under_python(fresh_directory, last):
    (fresh_directory / "program.py").write_text(F + last)
    same("program.py")
    same("-m", "program")


def test_warnings_that_are_errors_under_replace(fresh_directory):
    (fresh_directory / "program.py").write_text("1 is 1\n")
    command = [sys.executable, "-W", "error", "-m", "tapegrad", "run", "--replace", "Value"]
    assert ending(command, "program.py") == ending([sys.executable, "-W", "error"], "program.py")
