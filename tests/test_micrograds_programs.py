"""Programs written for micrograd print the same characters under `tapegrad run` as under micrograd itself."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.stem)
def test_same_characters(program):
    pytest.importorskip("micrograd")
    if program.stem == "demo":
        pytest.importorskip("sklearn")
    command = [sys.executable, "-m", "tapegrad", "run", "--compare", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "stdout: identical" in done.stderr
