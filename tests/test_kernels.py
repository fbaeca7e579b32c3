"""Which loops a build has, and which of them are used: what is said is compared with what the machine says."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tapegrad import program


def config(**settings):
    env = {name: value for name, value in os.environ.items() if not name.startswith("TAPEGRAD_")}
    code = "import tapegrad; tapegrad.show_config()"
    done = subprocess.run([sys.executable, "-c", code], env={**env, **settings}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def has_libmvec():
    try:
        return ctypes.CDLL("libmvec.so.1") is not None
    except OSError:
        return False


def test_show_config_says_avx2_kernels_where_the_build_and_the_processor_have_them():
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("what the processor has is read from /proc/cpuinfo")
    flags = [line.split() for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("flags")]
    usable = "avx2" in program.BUILT_KERNELS and flags != [] and "avx2" in flags[0]
    assert config()[0].startswith(f"lanes: {'avx2' if usable else 'plain'} kernels, ")


def test_show_config_says_libmvec_where_the_build_uses_it_and_the_machine_has_it():
    usable = program.BUILT_WITH_VECTOR_MATH and has_libmvec()
    assert config()[0].endswith(", libmvec" if usable else ", the scalar math library")


def test_show_config_says_what_was_switched_off():
    lanes, build = config(TAPEGRAD_AVX2="0", TAPEGRAD_VECTOR_MATH="0")
    assert lanes == "lanes: plain kernels, the scalar math library"
    assert build == config()[1]
    assert config(TAPEGRAD_AVX2="0")[0].startswith("lanes: plain kernels, ")
    assert config(TAPEGRAD_VECTOR_MATH="0")[0].endswith(", the scalar math library")


def test_show_config_says_scalar_kernels_only_of_a_build_that_has_no_others():
    """What it says is in the module's file: the library's name is there or not, and so is the loading of it."""
    build = config()[1]
    binary = Path(program.__file__).read_bytes()
    assert (b"libmvec.so.1" in binary) == (b"dlopen" in binary) == build.endswith(", libmvec where there is one")
    if program.BUILT_KERNELS == ("plain",) and not program.BUILT_WITH_VECTOR_MATH:
        assert config() == [
            "lanes: plain kernels, the scalar math library",
            "this build has: plain kernels, no vector math library",
        ]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or platform.machine() != "x86_64", reason="Linux on x86-64")
def test_a_build_on_this_platform_has_all_kernels_unless_it_was_asked_for_none():
    assert program.BUILT_KERNELS == (("plain", "avx2") if program.BUILT_WITH_VECTOR_MATH else ("plain",))
