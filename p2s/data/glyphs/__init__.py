"""Glyphs: synthetic scenes of characters, drawn from a seed; what other rooms need of them."""

from p2s.data.glyphs.scenes import (
    SPLITS,
    dealt,
    fingerprint,
    full_truth,
    load,
    names,
    part,
    plan,
    prepare,
    scene,
)

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
