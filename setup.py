"""How the compiled core is built; what the package is stands in pyproject.toml."""

import gzip
import os
import sys
import tarfile

from setuptools import Extension, setup
from setuptools.command.sdist import sdist

# The bits are those of the pure-Python reference: no contraction into fused multiply-adds.
COMPILE = (
    ["/O2", "/fp:precise", "/std:c11"]
    if sys.platform == "win32"
    else ["-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
)
LINK: list[str] = []
MACROS = [
    ("CYTHON_USE_TYPE_SPECS", "1"),  # a heap type: programs may assign methods to Value
    ("CYTHON_VECTORCALL_TPNEW", "0"),  # Value has a tp_new of its own
]

# Named, although the interpreter has them loaded as a rule: what is not named is not found where it has not, gets the
# oldest version of a function, and is not seen by auditwheel. dlopen is in libc from glibc 2.34 on.
LIBRARIES = ["m", "dl"] if sys.platform == "linux" else []

# Build modes for developers: TAPEGRAD_BUILD=sanitize, strict (warnings are errors), scalar (without AVX2 and a vector
# math library, as where there are none) or coverage (see .ci/coverage).
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
elif MODE == "scalar":
    MACROS.append(("TAPEGRAD_SCALAR", "1"))
elif MODE == "coverage":
    COMPILE = ["-O0", "-ffp-contract=off", "--coverage"]  # optimised code cannot be told line by line
    LINK = ["--coverage"]
elif MODE:
    sys.exit(f"TAPEGRAD_BUILD is {MODE!r}; it can be 'sanitize', 'strict', 'scalar', 'coverage' or unset")


DEPENDS = ["ops.h", "ops.pxd", "tape.pxd", "value.pxd", "graph.pxd", "lanes.h", "kernels.h"]


def module(name: str) -> Extension:
    extension = Extension(
        f"tapegrad.{name}",
        sources=[f"csrc/tapegrad/{name}.pyx"],
        include_dirs=["csrc/tapegrad"],
        define_macros=MACROS,
        extra_compile_args=COMPILE,
        extra_link_args=LINK,
        libraries=LIBRARIES,
        depends=[f"csrc/tapegrad/{file}" for file in DEPENDS],
    )
    extension.cython_include_dirs = ["csrc"]
    extension.cython_c_in_temp = MODE != "coverage"  # reports read the C file, beside the Cython file
    extension.cython_directives = {"linetrace": MODE == "coverage"}  # the C then says where each statement begins
    return extension


class ReproducibleSdist(sdist):
    """The same bytes from the same files, whenever, wherever and by whomever they are packed."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):
        if format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, owner, group)
        date = int(os.environ.get("SOURCE_DATE_EPOCH", 315532800))  # 1980, where the dates of zip files begin

        def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
            member.mtime = date
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            return member

        os.makedirs(self.dist_dir, exist_ok=True)
        path = f"{base_name}.tar.gz"
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=date) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            archive.add(base_dir, filter=plain)  # by name, in every directory
        return path


# Each mode has a directory of its own, or setuptools would take what another mode has built for up to date.
OPTIONS = {"build": {"build_base": f"build/{MODE}"}} if MODE else {}
if MODE == "coverage":
    OPTIONS["build_ext"] = {"build_temp": "build/coverage"}  # an editable install would throw gcc's notes away

setup(
    options=OPTIONS,
    cmdclass={"sdist": ReproducibleSdist},
    ext_modules=[module(name) for name in ("tape", "value", "copies", "graph", "program")],
)
