"""A reproducible study of "Probabilistic two-stage detection" (Zhou et al., arXiv 2103.07461)."""

import importlib
import importlib.util
import warnings

__version__ = "0.1.0"
__all__ = ["Spec", "build"]
NO_DETECTRON2 = "detectron2 is missing: run `make setup` (installs detectron2.txt, no compiler)"

# detectron2 scripts a few functions when it is imported; torch 2.14 warns about each.
warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)
warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)


def __getattr__(name):
    """Spec and build, imported when first used, so that `import p2s` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'p2s' has no attribute {name!r}; it has {', '.join(__all__)}")
    if name == "build" and importlib.util.find_spec("detectron2") is None:
        raise ImportError(NO_DETECTRON2)
    return getattr(importlib.import_module({"Spec": "p2s.spec", "build": "p2s.zoo"}[name]), name)
