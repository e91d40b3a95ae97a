"""EfficientNet-Lite0: a small trunk without squeeze and excitation, by timm (Tan and Le, 2019)."""

import importlib.util

from detectron2.modeling.backbone import Backbone as Maps
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from p2s.spec import Backbone

NAME = "tf_efficientnet_lite0"  # timm's; "tf": padding as TensorFlow's, for which its weights are
MISSING = "trunk lite0 needs timm: pip install timm"
STAGES = {  # timm's layers, of which the last gives the map; the stem has stride 2
    "stem": ("conv_stem", "bn1", "blocks.0"),
    "res2": ("blocks.1",),
    "res3": ("blocks.2",),
    "res4": ("blocks.3", "blocks.4"),
    "res5": ("blocks.5", "blocks.6"),
}


class Lite0(Maps):
    """The trunk of a spec's backbone; ImportError with what to install where timm is missing."""

    def __init__(self, backbone: Backbone, out_features: list[str]):
        super().__init__()
        if importlib.util.find_spec("timm") is None:
            raise ImportError(MISSING)
        import timm  # takes long, and is an extra

        self.net = timm.create_model(NAME, features_only=True, out_indices=(1, 2, 3, 4))
        names, info = [*STAGES][1:], self.net.feature_info
        self._out_features = out_features
        self._out_feature_strides = dict(zip(names, info.reduction(), strict=True))
        self._out_feature_channels = dict(zip(names, info.channels(), strict=True))
        self._freeze(backbone.frozen_stages, backbone.norm == "FrozenBN")

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, H, W) -> maps by stage."""
        maps = dict(zip([*STAGES][1:], self.net(x), strict=True))
        return {name: maps[name] for name in self._out_features}

    def fold(self) -> None:
        """Put every batch normalisation into the convolution before it; its activation stays."""
        for part in [*self.net.modules()]:
            conv = None
            for name, layer in [*part.named_children()]:
                if isinstance(layer, nn.Conv2d):
                    conv = layer
                elif conv is not None and hasattr(layer, "running_var"):
                    fixed = (layer.running_mean, layer.running_var, layer.eps)
                    scales = (conv.weight, conv.bias, *fixed, layer.weight, layer.bias)
                    conv.weight, conv.bias = fuse_conv_bn_weights(*scales)
                    setattr(part, name, layer.act)

    def _freeze(self, stages, every_norm):
        for number, layers in enumerate(STAGES.values()):
            for name in layers:
                if every_norm or number < stages:
                    self.net.set_submodule(name, still(self.net.get_submodule(name)))
                if number < stages:
                    self.net.get_submodule(name).requires_grad_(False)


def still(part: nn.Module) -> nn.Module:
    """A part of it, or what takes its place, with statistics that stay as they are.

    timm's conversion: a norm of its own holds an activation too, which detectron2's would drop.
    """
    from timm.layers import freeze_batch_norm_2d

    return freeze_batch_norm_2d(part)
