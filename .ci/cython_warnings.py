"""Compile our Cython sources to C with all of Cython's warnings, and fail on any."""

import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as out:
    for name in ("tape", "value", "copies", "graph", "program"):
        command = [sys.executable, "-m", "cython", "-3", "--warning-errors", "--warning-extra", "-I", "csrc"]
        subprocess.run([*command, f"csrc/tapegrad/{name}.pyx", "-o", f"{out}/{name}.c"], check=True)
