"""Every allocation fails once; out_of_memory.py by itself says what that means."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("_testcapi")
if sys.version_info[:2] != (3, 11):
    # the core is the same; the interpreters are not: 3.13 waits for a lock of its own import for ever
    pytest.skip("allocations fail on CPython 3.11 alone", allow_module_level=True)
from out_of_memory import SCENARIOS

SCRIPT = os.path.join(os.path.dirname(__file__), "out_of_memory.py")
SOURCES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "csrc", "tapegrad")


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_allocation_fails_once(name):
    out = subprocess.run([sys.executable, SCRIPT, name], capture_output=True, text=True, timeout=600)
    assert out.returncode == 0, out.stdout + out.stderr
    assert int(out.stdout.split(": ")[1].split()[0]) > 0, "nothing has failed"


@pytest.mark.slow
@pytest.mark.memory
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the first derivative of a process is taken in children")
@pytest.mark.skipif(not os.path.isdir(SOURCES), reason="the places are looked for in the sources of the core")
def test_every_place_that_asks_for_memory_has_failed():
    """All in one run, which says at which places of the core no allocation has failed."""
    out = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=1800)
    assert out.returncode == 0, out.stdout + out.stderr
    assert "the_tape_grows: " in out.stdout and "the_first_derivative: " in out.stdout


@pytest.mark.slow
@pytest.mark.memory
@pytest.mark.skipif(not os.path.isdir(SOURCES), reason="the lines of the core are looked up in its sources")
def test_no_memory_is_lost_where_an_allocation_fails():
    out = subprocess.run([sys.executable, SCRIPT, "--leaks"], capture_output=True, text=True, timeout=1800)
    assert out.returncode == 0, out.stdout + out.stderr
    assert len(out.stdout.splitlines()) == len(SCENARIOS)
