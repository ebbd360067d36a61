"""Build the compiled part of the model, `model/libkernel.so`, from `model/kernel.c` and others.

All else of the distribution is told in pyproject.toml. The library is plain C and opened by
ctypes, so that Python's headers are not needed. A compiler is: the one that $CC names, else `cc`,
else the one that comes in the package ziglang, which is then asked for as a build requirement.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

ZIG = ["-m", "ziglang", "cc", "-mcpu=baseline"]  # not for this machine's processor alone

# No contraction of a product and a sum into one rounding, and nothing of the machine at hand:
# the same text must get the same bytes wherever the library is built.
FLAGS = ("-std=c99", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-fPIC", "-shared")


def compiler() -> list[str] | None:
    """The command of the system's compiler; None if there is none."""
    command = shlex.split(os.environ.get("CC", "cc"))
    return command if command and shutil.which(command[0]) else None


class BuildKernel(build_ext):
    """Calls the compiler by itself: flags that Python was built with have no part in this."""

    def get_ext_filename(self, fullname: str) -> str:
        """One for every version of Python, as the library knows none."""
        return f"{Path(*fullname.split('.'))}.so"

    def build_extension(self, ext: Extension) -> None:
        """Compile the one file."""
        command = compiler() or [sys.executable, *ZIG]
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        more = shlex.split(os.environ.get("CFLAGS", ""))
        try:
            subprocess.run([*command, *FLAGS, *more, "-o", target, *ext.sources, "-lm"], check=True)
        except (OSError, subprocess.CalledProcessError) as problem:
            raise CompileError(
                f"{shlex.join(command)} could not compile {ext.sources[0]}; name another compiler"
                " in CC, or after pip install ziglang: CC='python -m ziglang cc'"
            ) from problem


if __name__ == "__main__":
    setup(
        ext_modules=[
            Extension(
                "model.libkernel",
                ["model/kernel.c", "model/glance.c", "training/slopes.c"],
                depends=["setup.py"],
            )
        ],
        cmdclass={"build_ext": BuildKernel},
        # Only builds in isolation bring what stands here; `make install` sees to it by itself.
        setup_requires=[] if compiler() else ["ziglang"],
    )
