"""Detectors by OpenVINO: parts of one, in int8 too, and whole ones from files."""

import sys

# To import openvino or nncf is enough for them to tell Intel of it, by Google, and to write into
# the home folder. Without this package, which does so, they tell nobody.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
