"""How the compiled core is built; what the package is stands in pyproject.toml."""

import os
import sys

from setuptools import Extension, setup

# The bits are those of the pure-Python reference: no contraction into fused multiply-adds.
COMPILE = (
    ["/O2", "/fp:precise"]
    if sys.platform == "win32"
    else ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
)
LINK: list[str] = []
MACROS = [
    ("CYTHON_USE_TYPE_SPECS", "1"),  # a heap type: programs may assign methods to Value
    ("CYTHON_VECTORCALL_TPNEW", "0"),  # Value has a tp_new of its own
]

# Build modes for developers: TAPEGRAD_BUILD=sanitize, strict (warnings are errors) or coverage (see .ci/coverage).
MODE = os.environ.get("TAPEGRAD_BUILD", "")
if MODE == "sanitize":
    COMPILE = [
        "-O1",
        "-g",
        "-ffp-contract=off",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=undefined",
    ]
    LINK = ["-fsanitize=address,undefined"]
    MACROS.append(("TAPEGRAD_NO_FREELIST", "1"))
elif MODE == "strict":
    COMPILE += [
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-parameter",
        "-Wno-missing-field-initializers",
        "-Wno-cast-function-type",
    ]
elif MODE == "coverage":
    COMPILE = ["-O0", "-ffp-contract=off", "--coverage"]  # optimised code cannot be told line by line
    LINK = ["--coverage"]
elif MODE:
    sys.exit(f"TAPEGRAD_BUILD is {MODE!r}; it can be 'sanitize', 'strict', 'coverage' or unset")


DEPENDS = ["ops.h", "ops.pxd", "tape.pxd", "value.pxd", "graph.pxd", "lanes.h", "kernels.h"]


def module(name: str) -> Extension:
    extension = Extension(
        f"tapegrad.{name}",
        sources=[f"csrc/tapegrad/{name}.pyx"],
        include_dirs=["csrc/tapegrad"],
        define_macros=MACROS,
        extra_compile_args=COMPILE,
        extra_link_args=LINK,
        depends=[f"csrc/tapegrad/{file}" for file in DEPENDS],
    )
    extension.cython_include_dirs = ["csrc"]
    extension.cython_c_in_temp = MODE != "coverage"  # reports read the C file, beside the Cython file
    extension.cython_directives = {"linetrace": MODE == "coverage"}  # the C then says where each statement begins
    return extension


# Each mode has a directory of its own, or setuptools would take what another mode has built for up to date.
OPTIONS = {"build": {"build_base": f"build/{MODE}"}} if MODE else {}
if MODE == "coverage":
    OPTIONS["build_ext"] = {"build_temp": "build/coverage"}  # an editable install would throw gcc's notes away

setup(options=OPTIONS, ext_modules=[module(name) for name in ("tape", "value", "graph", "program")])
