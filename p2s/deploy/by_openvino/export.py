"""Any detector with an ONNX form as OpenVINO's pair of files (.xml and .bin), and its answers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from p2s.deploy import onnx_export
from p2s.deploy.by_openvino.parts import openvino, ready
from p2s.deploy.exported import Exported
from p2s.model.detector import OneStageDetector, TwoStageDetector
from p2s.scratch import scratch


def export(
    model: OneStageDetector | TwoStageDetector, path: str | Path, size: tuple[int, int]
) -> None:
    """Write a detector as `path` (.xml) with its weights beside it (.bin), in fp32.

    As p2s.deploy.onnx_export.export: for RGB images (3, H, W) in 0..255 of one size.
    """
    with scratch() as folder:
        onnx = folder / "model.onnx"
        onnx_export.export(model, onnx, size)
        graph = openvino.convert_model(onnx)
    openvino.save_model(graph, path, compress_to_fp16=False)


class OpenVinoDetector(Exported):
    """An exported pair of files as a detector, by OpenVINO on a CPU in a precision.

    `threads` None lets OpenVINO use all cores. ValueError for a file of something else.
    """

    def __init__(self, path: str | Path, threads: int | None = None, precision: str = "fp32"):
        try:
            graph = openvino.Core().read_model(path)
        except RuntimeError as error:
            first, *_ = str(error).strip().splitlines()
            raise ValueError(f"{path} is no file of OpenVINO: {first}") from None
        names = [output.get_any_name() for output in graph.outputs]
        super().__init__(path, names, tuple(graph.inputs[0].get_shape())[1:])
        self.graph = ready(graph, precision, threads)

    def answers(self, image: np.ndarray) -> Sequence[np.ndarray]:
        """The values of OUTPUTS, in their order."""
        return [*self.graph([image]).values()]
