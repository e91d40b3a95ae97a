"""A reproducible study of "Probabilistic two-stage detection" (Zhou et al., arXiv 2103.07461)."""

import importlib
import importlib.util
import logging
import warnings

__version__ = "0.1.0"  # pyproject.toml reads it
PLACES = {
    "Spec": "p2s.spec",
    "build": "p2s.model.zoo",
    "load": "p2s.deploy.predict",
    "optimize": "p2s.deploy.fast",
}
MODULES = {"onnx_export": "p2s.deploy.onnx_export"}
__all__ = [*PLACES, *MODULES]
NO_DETECTRON2 = "detectron2 is missing: run `p2s setup-detectron2` (no compiler is needed)"

# detectron2 scripts a few functions when it is imported; torch 2.14 warns about each.
warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)
warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
# Its anchors call torch.meshgrid in the old way, and its pooler asks torch whether it is traced:
# both are right as they are, and not ours to change.
warnings.filterwarnings("ignore", message="torch.meshgrid: in an upcoming", category=UserWarning)
logging.getLogger("torch.fx._symbolic_trace").addFilter(
    lambda record: not record.getMessage().startswith("is_fx_tracing will return true")
)


def __dir__():
    return [*__all__, "__version__"]


def __getattr__(name):
    """What PLACES names, imported when first used, so that `import p2s` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'p2s' has no attribute {name!r}; it has {', '.join(__all__)}")
    if name != "Spec" and importlib.util.find_spec("detectron2") is None:
        raise ImportError(NO_DETECTRON2)
    if name in MODULES:
        return importlib.import_module(MODULES[name])
    return getattr(importlib.import_module(PLACES[name]), name)
