"""The compiled part of the model, found and opened. Knows its file, and not what it does."""

import ctypes
from pathlib import Path

LIBRARY = Path(__file__).with_name("libkernel.so")


def opened(library: Path = LIBRARY, *, alone: bool = False) -> ctypes.CDLL:
    """The library; calls that run `alone` are short, and other threads of Python wait for them.

    Raises ImportError where it was not built, saying how to.
    """
    if not library.exists():
        raise ImportError(
            f"{library.name} is not built; build it with: make install"
            " (or, where the dependencies are installed: python setup.py build_ext --inplace)"
        )
    return ctypes.PyDLL(str(library)) if alone else ctypes.CDLL(str(library))
