"""Deploy: the same detector fast, in fewer bits, as an ONNX file, and on pictures."""
