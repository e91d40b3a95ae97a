"""int8 by onnxruntime: static quantisation of an exported detector's convolutions and products."""

from collections.abc import Iterable
from pathlib import Path

import torch

try:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
except ImportError as error:
    raise ImportError(f"{error}: run `pip install onnx onnxruntime`") from None

HEAVY = ("Conv", "Gemm", "MatMul")  # operators; box arithmetic stays in fp32


def to_int8(path: str | Path, output: str | Path, images: Iterable[dict]) -> None:
    """Write an int8 copy of the ONNX file at `path`, with scales that images set.

    `images` are detectron2's inputs of the file's size; a few dozen of training do.
    """
    quantize_static(
        path,
        output,
        _Images(images),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=HEAVY,
        per_channel=True,
    )


class _Images(CalibrationDataReader):
    def __init__(self, images):
        self.images = iter(images)

    def get_next(self):
        inputs = next(self.images, None)
        if inputs is None:
            return None
        return {"image": torch.as_tensor(inputs["image"]).float().numpy()}
