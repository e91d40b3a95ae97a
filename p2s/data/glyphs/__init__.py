"""Glyphs: synthetic scenes of characters, drawn from a seed; what other rooms need of them."""

from p2s.data.glyphs.scenes import SPLITS, dealt, fingerprint, names, plan, scene
from p2s.data.glyphs.stored import full_truth, load, part, prepare

__all__ = [
    "SPLITS",
    "dealt",
    "fingerprint",
    "full_truth",
    "load",
    "names",
    "part",
    "plan",
    "prepare",
    "scene",
]
