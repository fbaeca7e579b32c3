"""Every allocation fails once; out_of_memory.py by itself says what that means."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("_testcapi")
from out_of_memory import SCENARIOS

SCRIPT = os.path.join(os.path.dirname(__file__), "out_of_memory.py")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_allocation_fails_once(name):
    out = subprocess.run([sys.executable, SCRIPT, name], capture_output=True, text=True)
    assert out.returncode == 0, out.stdout + out.stderr
    assert int(out.stdout.split(": ")[1].split()[0]) > 0, "nothing has failed"
