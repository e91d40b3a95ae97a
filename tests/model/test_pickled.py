"""Pickles: numpy's own arrays come back equal, and nothing else is called."""

import io
import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest
from numpy._core.multiarray import _reconstruct, scalar
from numpy._core.numeric import _frombuffer

from p2s.model.pickled import load_arrays

RNG = np.random.default_rng(0)
CONTENT = {
    "model": OrderedDict(
        weight=RNG.normal(size=(3, 2, 5)).astype(np.float32),
        by_columns=np.asfortranarray(RNG.normal(size=(4, 3))),
        channels_last=RNG.normal(size=(2, 3, 4)).transpose(0, 2, 1),
        strided=np.arange(20)[::3],
        other_end=np.arange(3, dtype=">f4"),
        mask=np.array([True, False]),
        empty=np.zeros((0, 4), np.float16),
        point=np.array(7.5),
        scalar=np.float32(2.5),
    ),
    "matching_heuristics": True,
    "__author__": "torchvision",
    "list": [1, 2.5, None, ("é", b"\xff")],
}


def loaded(content):
    return load_arrays(io.BytesIO(content))


def assert_equal(found, wanted):
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for name, value in wanted.items():
            assert_equal(found[name], value)
    elif isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        assert np.array_equal(found, wanted)
    else:
        assert found == wanted


class Python2(pickle._Pickler):
    """Writes bytes as Python 2 wrote its `str`."""

    def save_string(self, content):
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(content)

    dispatch = {**pickle._Pickler.dispatch, bytes: save_string}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_in_dicts_come_back_as_from_pickle_itself(protocol):
    content = pickle.dumps(CONTENT, protocol)
    assert_equal(loaded(content), pickle.loads(content))  # the peer swaps bytes in old protocols


def test_a_pickle_of_python_2_and_numpy_1_is_read():
    model, file = (
        {"conv1_w": np.arange(256.0, dtype=np.float32), "lr": np.float64(0.5)},
        io.BytesIO(),
    )
    Python2(file, protocol=2).dump({"model": model, "__author__": b"MSRA"})
    content = file.getvalue().replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core.multiarray\n_reconstruct" in content and b"_codecs" not in content
    assert_equal(loaded(content), {"model": model, "__author__": "MSRA"})


class Call:
    """An object whose pickle is the call of a function."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments, state)

    def __reduce__(self):
        return self.reduced


CODE = {
    "system": lambda trace: Call(os.system, f"touch {trace}"),
    "eval": lambda trace: Call(eval, f"open({trace!r}, 'w')"),
    "exec": lambda trace: Call(exec, f"open({trace!r}, 'w')"),
    "open": lambda trace: Call(open, trace, "w"),
    "getattr": lambda trace: Call(getattr, np.ndarray, "tofile"),
    "load": lambda trace: Call(np.load, trace, None, True),
    "savetxt": lambda trace: Call(np.savetxt, trace, np.zeros(3)),
}


@pytest.mark.parametrize("name", CODE)
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_whatever_else_is_named_is_refused_before_it_runs(tmp_path, name, protocol):
    content = pickle.dumps({"a": CODE[name](str(tmp_path / "trace"))}, protocol)
    with pytest.raises(pickle.UnpicklingError, match=rf"it would run \S+\.{name} \(valid: dicts"):
        loaded(content)
    assert not list(tmp_path.iterdir())


def test_a_method_of_what_is_allowed_is_refused(tmp_path):
    trace = str(tmp_path / "trace").encode()
    dotted = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93"  # STACK_GLOBAL of an attribute
    with pytest.raises(pickle.UnpicklingError, match="it would run numpy.ndarray.tofile "):
        loaded(dotted + b"N\x8c" + bytes([len(trace)]) + trace + b"\x86R.")


def forged(dtype, state, content):
    """The pickle of an array with a dtype and a content that numpy would not write."""
    kind = Call(np.dtype, dtype, False, True, state=state)
    return pickle.dumps(
        Call(
            np.zeros(0).__reduce__()[0],
            np.ndarray,
            (0,),
            b"b",
            state=(1, (len(content) // 8,), kind, False, content),
        )
    )


@pytest.mark.parametrize("dtype", ["O8", "V8", "S8", "M8[s]"])
def test_only_arrays_of_numbers_are_made(dtype):
    pointer = struct.pack("Q", 0x41414141)  # numpy itself takes it for that of an object
    content = forged(dtype, (3, "|", None, None, None, -1, -1, 0), pointer)
    with pytest.raises(pickle.UnpicklingError, match=f"an array of {dtype[0]}"):
        loaded(content)


def dressed():
    """A dict with the attribute of a dtype, as `BUILD` can make one."""
    words = OrderedDict()
    words.dtype = "S8"
    return words


@pytest.mark.parametrize(
    "array",
    [
        Call(_frombuffer, bytes(8), dressed(), (1,), "C"),
        Call(scalar, dressed(), bytes(8)),
        Call(_reconstruct, np.ndarray, (0,), b"b", state=(1, (1,), dressed(), False, bytes(8))),
    ],
    ids=["buffer", "scalar", "array"],
)
def test_what_only_has_the_attribute_of_a_dtype_is_none(array):
    with pytest.raises(pickle.UnpicklingError, match="an array of OrderedDict, no dtype"):
        loaded(pickle.dumps(array))


def test_a_dtype_is_not_overlaid_with_fields_outside_of_it():
    state = (3, "<", None, ("far",), {"far": (np.dtype("f8"), 10**6)}, 8, 8, 0)
    found = loaded(forged("f8", state, bytes(16)))
    assert found.dtype == np.dtype("f8") and found.dtype.fields is None


def test_an_array_is_not_called_with_a_buffer_of_pointers():
    with pytest.raises(TypeError, match="not callable"):
        loaded(pickle.dumps(Call(np.ndarray, (1,), "O", struct.pack("Q", 0x41414141))))
