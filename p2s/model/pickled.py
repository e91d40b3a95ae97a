"""Pickles of arrays, read without running what else they may hold.

A pickle is a program: it names functions and calls them. Here each name stands for a function
below, or the file is refused. Even numpy's own would be too much: `numpy.ndarray` and `dtype`, as a
pickle may call them, make arrays of pointers out of its bytes.
"""

import pickle
from collections import OrderedDict
from typing import BinaryIO

import numpy as np
from numpy._core.multiarray import scalar
from numpy._core.numeric import _frombuffer

from p2s.model.opcodes import Opcodes

NUMBERS = "biufc"  # kinds of dtype: bool, integers, floats, complex


def load_arrays(file: BinaryIO) -> object:
    """What a pickle holds, of dicts, lists, texts, numbers and arrays of numbers.

    Python 2's is read as well. UnpicklingError names what a pickle of anything else would run.
    """
    start = file.tell()
    Opcodes(file)
    file.seek(start)
    return _Arrays(file, encoding="latin1").load()


def refusal(name: str) -> pickle.UnpicklingError:
    """The error that a file which would run `name` is refused with."""
    return pickle.UnpicklingError(f"it would run {name} (valid: dicts and arrays of numbers)")


class _Arrays(pickle.Unpickler):
    def find_class(self, module, name):
        asked = f"{module.replace('numpy.core', 'numpy._core')}.{name}"  # numpy 1 has no _core
        if asked not in STAND_INS:
            raise refusal(f"{module}.{name}")
        return STAND_INS[asked]


class _Number:
    """A dtype: `BUILD` of a real one may overlay it with fields that reach outside of it."""

    def __init__(self, name, *_flags):
        self.dtype = np.dtype(name)
        if self.dtype.kind not in NUMBERS:
            raise pickle.UnpicklingError(f"it holds an array of {name} (valid: of numbers)")

    def __setstate__(self, state):
        _version, order, *_ = state
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array whose dtype is a `_Number` until its content comes."""

    def __setstate__(self, state):
        version, shape, number, by_columns, content = state
        super().__setstate__((version, shape, _dtype(number), by_columns, content))


def _dtype(number):
    """The dtype of a `_Number`, and of nothing else that has an attribute of that name."""
    if not isinstance(number, _Number):
        raise pickle.UnpicklingError(f"it holds an array of {type(number).__name__}, no dtype")
    return number.dtype


def _empty(*_what):
    return _Array(0)


def _buffered(content, number, *layout):
    return _frombuffer(content, _dtype(number), *layout)


def _scalar(number, content):
    return scalar(_dtype(number), content)


def _bytes(text, _codec):
    """Python 3 writes bytes for Python 2 as latin1; no other codec is asked for."""
    return text.encode("latin1")


def _no_bytes():
    """What Python 3 calls `bytes` for: the content of an empty array."""
    return b""


STAND_INS = {
    "numpy.dtype": _Number,
    "numpy.ndarray": "ndarray",  # only named, as what is to be made
    "numpy._core.multiarray._reconstruct": _empty,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": _buffered,
    "_codecs.encode": _bytes,
    "__builtin__.bytes": _no_bytes,
    "collections.OrderedDict": OrderedDict,
}
