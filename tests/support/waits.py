"""What a device would be waited for: operations of the pretended GPU that end with an answer."""

from collections import Counter

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.support.pretend_gpu import OnGpu

READ = {"_local_scalar_dense", "equal"}  # item(), bool(), float(), torch.equal
SHAPED = {  # by what is in a tensor
    *("nonzero", "masked_select", "unique_dim", "_unique2", "unique_consecutive"),
    *("nms", "repeat_interleave", "bincount"),
}


class Waits(TorchDispatchMode):
    """While active, `count` of each kind of wait.

    "read": a number goes to the CPU; "shape": the size of an answer depends on numbers; "sent":
    numbers of the CPU go to the device, which it is waited for unless they need not be there yet.
    """

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if kind := wait(function._schema.name.split("::")[1], args, kwargs):
            self.count[kind] += 1
        return function(*args, **kwargs)


def wait(name, args, kwargs):
    """The kind of wait of an operation, or None."""
    if name in ("_to_copy", "copy_"):
        return copied(name, args, kwargs)
    if not any(isinstance(value, OnGpu) for value in tree_leaves((args, kwargs))):
        return None
    if name in READ:
        return "read"
    return "shape" if name in SHAPED or masked(name, args) else None


def copied(name, args, kwargs):
    if torch._C._current_graph_task_id() >= 0:  # gradients within torch may lose the wrapper
        return None
    if name == "copy_":
        to_gpu, of_gpu = (isinstance(value, OnGpu) for value in args[:2])
    else:
        of_gpu, device = isinstance(args[0], OnGpu), kwargs.get("device")
        to_gpu = of_gpu if device is None else device.type == "cuda"
    if of_gpu == to_gpu or (to_gpu and kwargs.get("non_blocking")):
        return None
    return "sent" if to_gpu else "read"


def masked(name, args):
    """Whether an operation indexes by a mask; to fill with one number needs no size."""
    if name not in ("index", "index_put", "index_put_"):
        return False
    masks = [index for index in args[1] if isinstance(index, Tensor) and index.dtype == torch.bool]
    return bool(masks) and (name == "index" or args[2].numel() != 1)
