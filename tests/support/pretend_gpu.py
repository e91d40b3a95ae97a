"""A GPU that is not there: tensors that say `cuda`, compute on the CPU and refuse to be mixed.

Within `PretendGpu()` a tensor brought to "cuda" or made there is an `OnGpu`. An operation of such
tensors and others is an error, as on a GPU, unless the others are numbers (no dimension).
"""

from contextlib import ExitStack
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

MAY_MIX = (  # by CPU indices, or within torch, where a composite operation may lose the wrapper
    *("copy_", "__deepcopy__", "__getitem__", "__setitem__", "index_put_"),
    *("_has_compatible_shallow_copy_type", "_fused_sgd_", "_fused_adamw_"),
)

GPU = torch.device("cuda:0")


class OnGpu(Tensor):
    """A tensor that says `cuda`; its numbers are in a CPU tensor."""

    @staticmethod
    def __new__(cls, numbers):
        layout = {"strides": numbers.stride(), "storage_offset": numbers.storage_offset()}
        like = {"dtype": numbers.dtype, "requires_grad": numbers.requires_grad}
        return Tensor._make_wrapper_subclass(cls, numbers.size(), **layout, **like)

    def __init__(self, numbers):
        self.numbers = numbers

    def __repr__(self):
        return f"OnGpu({self.numbers})"

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in SAID:  # in Python; torch itself uses the CPU's kernels and gradients
            return SAID[function](*args, **kwargs)
        refuse_mixture(function, args, kwargs)
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


class Constructors(TorchFunctionMode):
    """torch.tensor and torch.as_tensor, which would copy to a GPU unseen."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function not in (torch.tensor, torch.as_tensor):
            return function(*args, **kwargs)
        if isinstance(args[0], Tensor):
            return args[0].to(kwargs.get("device") or args[0].device, kwargs.get("dtype"))
        device = kwargs.pop("device", None)
        made = function(*args, **kwargs)
        return made if device is None else made.to(device)


class PretendGpu(TorchDispatchMode):
    """While active, "cuda" is a device of this machine."""

    def __enter__(self):
        torch._C._ensureCUDADeviceGuardSet()  # one that asks no driver, if there is none
        self.changes = ExitStack()
        self.changes.enter_context(mock.patch.object(torch.cuda, "_lazy_init"))
        self.changes.enter_context(Constructors())
        # A parameter on the CPU cannot become one on the GPU in place.
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        self.changes.callback(torch.__future__.set_overwrite_module_params_on_conversion, False)
        return super().__enter__()

    def __exit__(self, *error):
        self.changes.close()
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


def to(value, *args, **kwargs):
    """Tensor.to, which sees no need to go where it already is."""
    device, dtype, rushed, memory = torch._C._nn._parse_to(*args, **kwargs)
    if args and isinstance(args[0], Tensor):
        device = args[0].device
    where = {"device": device or value.device, "dtype": dtype or value.dtype}
    same = where == {"device": value.device, "dtype": value.dtype} and memory is None
    how = {"non_blocking": rushed, "memory_format": memory}
    return value if same else torch.ops.aten._to_copy(value, **where, **how)


def new_tensor(value, data):
    """Tensor.new_tensor, also of numbers that are tensors."""
    return torch.tensor(tree_map_only(OnGpu, Tensor.tolist, data), dtype=value.dtype).to(GPU)


def no_numpy(value, *args, **kwargs):
    raise TypeError("can't convert a tensor on the GPU to numpy: copy it to the CPU first")


SAID = {
    Tensor.device.__get__: lambda value: GPU,
    Tensor.is_cpu.__get__: lambda value: False,
    Tensor.is_cuda.__get__: lambda value: True,
    Tensor.to: to,
    Tensor.cpu: lambda value: to(value, "cpu"),
    Tensor.cuda: lambda value: value,
    Tensor.new_tensor: new_tensor,
    Tensor.unsqueeze_: Tensor.unsqueeze,  # a wrapper cannot change its own shape
    Tensor.tolist: lambda value: to(value, "cpu").tolist(),
    Tensor.numpy: no_numpy,
    Tensor.__array__: no_numpy,
}


def refuse_mixture(function, args, kwargs):
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    strangers = [value for value in tensors if not isinstance(value, OnGpu) and value.dim()]
    name = getattr(function, "__name__", str(function))
    if strangers and len(strangers) < len(tensors) and name not in MAY_MIX:
        raise RuntimeError(f"{name}: tensors on the GPU and on the CPU")


def run(function, args, kwargs):
    """An operation on the CPU; its tensors are on the GPU if that is asked for, or one was."""
    kwargs, device = dict(kwargs), kwargs.get("device")
    leaves = tree_leaves((args, kwargs))
    on_gpu = [isinstance(value, OnGpu) for value in leaves if isinstance(value, Tensor)]
    to_gpu = any(on_gpu) if device is None else device.type == "cuda"
    if device is not None:
        kwargs["device"] = torch.device("cpu")
    args, kwargs = tree_map_only(OnGpu, lambda value: value.numbers, (args, kwargs))
    answer = function(*args, **kwargs)
    return tree_map_only(Tensor, OnGpu, answer) if to_gpu else answer
