"""Programs of users' pass type checkers in strict mode, and what is wrong in them is reported."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tapegrad

PROGRAMS = sorted((Path(__file__).parent / "typing").glob("*.py"))
CHECKERS = {
    "mypy": ["mypy", "--strict", "--no-incremental", "--cache-dir", "/dev/null", "--config-file", ""],
    "basedpyright": ["basedpyright"],
}


def check(checker, *paths, cwd):
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    command = [sys.executable, "-m", *CHECKERS[checker], *map(str, paths)]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(checkout())}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def checkout():
    """Where the package is if it is not installed but in a checkout, which checkers do not follow an import hook to."""
    source = Path(tapegrad.__file__).parents[1]
    return [str(source)] if source.name == "src" else []


@pytest.fixture
def project(tmp_path):
    """A user's directory: what is checked sees tapegrad as it is installed."""
    strict = {"typeCheckingMode": "strict", "pythonPlatform": "All", "include": ["."], "extraPaths": checkout()}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(strict))
    return tmp_path


@pytest.mark.parametrize("checker", CHECKERS)
def test_programs_of_users_are_clean_and_what_is_wrong_is_reported(checker, project):
    for program in PROGRAMS:
        (project / program.name).write_text(program.read_text(encoding="utf-8"), encoding="utf-8")
    done = check(checker, ".", cwd=project)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("checker", CHECKERS)
def test_every_wrong_line_is_reported(checker, project):
    """Without the ignores: if a checker saw no types at all, the programs would pass too."""
    text = (Path(__file__).parent / "typing" / "wrong.py").read_text(encoding="utf-8")
    wrong = {k for k, line in enumerate(text.splitlines(), 1) if "# type: ignore" in line}
    (project / "wrong.py").write_text(re.sub(r"  # type: ignore.*", "", text), encoding="utf-8")
    done = check(checker, ".", cwd=project)
    assert {int(k) for k in re.findall(r"wrong\.py:(\d+)(?::\d+)?(?: -|:) error", done.stdout)} == wrong, done.stdout
    assert len(wrong) >= 30


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_the_programs_run(program):
    done = subprocess.run([sys.executable, "-W", "error", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
