"""OpenVINO: backbone and heads of a detector as graphs that Intel's runtime executes on a CPU.

A graph is made when its part is first called, and takes maps of any size from then on. Proposals,
pooling, scores and boxes stay torch's, in fp32.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from p2s.model.detector import first_head, region_heads

try:
    import openvino
except ImportError as error:
    raise ImportError(f"{error}: engine openvino needs `pip install openvino`") from None

HINTS = {"fp32": "f32", "bf16": "bf16"}  # OpenVINO's own choice is bf16 wherever a chip has units


def serve(model: nn.Module, precision: str, calibration: Sequence[dict] = ()) -> nn.Module:
    """Let OpenVINO execute backbone and heads of a folded model, in place; returns the model.

    `precision` is fp32 or bf16. "int8" rounds backbone and dense head by scales of the calibration
    images, detectron2's inputs; region heads stay in fp32.
    """
    parts = [model.backbone, first_head(model), *region_heads(model)]
    for part in parts:
        part.forward = Graph(part, precision)
    if precision == "int8":
        from p2s.deploy.by_openvino.int8 import quantize

        quantize(model, parts[:2], calibration)
    return model


@dataclass(eq=False)
class Graph:
    """The forward of a module, by OpenVINO."""

    module: nn.Module
    precision: str
    compiled: Any = None
    answer: list = field(default_factory=list)  # its leaves, Tensor for each tensor
    structure: TreeSpec | None = None

    def __call__(self, *inputs: Any) -> Any:
        """As the module's own, without gradient."""
        tensors, _ = tree_flatten(inputs)
        if not all(map(Tensor.numel, tensors)):  # no region to classify
            return self.plain(*inputs)
        if self.compiled is None:
            self.compile(self.graph(*inputs))
        found = iter(self.compiled([tensor.contiguous().numpy() for tensor in tensors]).values())
        leaves = [torch.from_numpy(next(found)) if leaf is Tensor else leaf for leaf in self.answer]
        return tree_unflatten(leaves, self.structure)

    def plain(self, *inputs: Any) -> Any:
        """What torch answers."""
        return type(self.module).forward(self.module, *inputs)

    @torch.no_grad()
    def graph(self, *inputs: Any) -> "openvino.Model":
        """The module as OpenVINO's graph for inputs of these ranks and channels."""
        leaves, self.structure = tree_flatten(self.plain(*inputs))
        self.answer = [Tensor if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        tensors, structure = tree_flatten(inputs)
        return openvino.convert_model(_Flat(self, structure), example_input=tuple(tensors))

    def compile(self, graph: "openvino.Model") -> None:
        """Make a graph what this one executes."""
        self.compiled = ready(graph, self.precision, torch.get_num_threads())


def ready(graph: "openvino.Model", precision: str, threads: int | None) -> "openvino.CompiledModel":
    """A graph ready for a CPU; in int8 is only what the graph itself says, the rest in fp32."""
    settings = {"INFERENCE_PRECISION_HINT": HINTS.get(precision, "f32")}
    settings |= {"PERFORMANCE_HINT": "LATENCY"}
    settings |= {"INFERENCE_NUM_THREADS": str(threads)} if threads else {}
    return openvino.compile_model(graph, "CPU", settings)


class _Flat(nn.Module):
    """A module whose arguments and answers are tensors, without lists of them."""

    def __init__(self, graph: Graph, structure: TreeSpec):
        super().__init__()
        self.module, self.graph, self.structure = graph.module, graph, structure

    def forward(self, *tensors):
        answer = self.graph.plain(*tree_unflatten(tensors, self.structure))
        return tuple(leaf for leaf in tree_flatten(answer)[0] if isinstance(leaf, Tensor))
