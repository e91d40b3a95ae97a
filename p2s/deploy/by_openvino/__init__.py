"""Detectors by OpenVINO: parts of one, in int8 too, and whole ones from files."""
