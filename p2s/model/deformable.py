"""Modulated deformable convolution (Zhu et al., 2019b), by torchvision's operator.

N images, C channels.
"""

from detectron2.layers import Conv2d
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

POINTS = 9  # of a 3x3 kernel


class DeformConv(Conv2d):
    """A 3x3 convolution whose points move and count as a convolution of its own says.

    Of its 27 channels 18 are offsets in cells, y before x, and 9 the logits of weights. It computes
    in float32, for there is no operator in bfloat16.
    """

    def __init__(self, plain: Conv2d, offset_bias: bool = True):
        """Like a plain 3x3 convolution, with its norm."""
        super().__init__(
            plain.in_channels,
            plain.out_channels,
            plain.kernel_size,
            plain.stride,
            plain.padding,
            groups=plain.groups,
            bias=plain.bias is not None,
            norm=getattr(plain, "norm", None),
        )
        self.load_state_dict(plain.state_dict())
        self.offset = nn.Conv2d(
            plain.in_channels, 3 * POINTS, 3, plain.stride, plain.padding, bias=offset_bias
        )
        for parameter in self.offset.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) -> (N, C', H / stride, W / stride)."""
        moved = self.offset(x).float()
        offset, mask = moved.split([2 * POINTS, POINTS], 1)
        weight, steps = self.weight.float(), (self.stride, self.padding)
        bias = weight.new_zeros(len(weight)) if self.bias is None else self.bias.float()
        out = deform_conv2d(x.float(), offset, weight, bias, *steps, mask=mask.sigmoid())
        out = out.to(x.dtype)
        return out if self.norm is None else self.norm(out)
