import pytest
import torch
from torchvision.ops import deform_conv2d

from p2s.model.first.deform import deform_conv3x3


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("reach", [0.0, 1.5, 30.0])  # cells: of 30, most points are outside
def test_values_and_gradients_are_torchvisions(groups, reach):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 8, 5, 7), torch.randn(4, 8, 3, 3)
    offsets, bias = reach * torch.randn(2, 18 * groups, 5, 7), torch.randn(4)
    found = []
    for convolve in (deform_conv3x3, lambda *all: deform_conv2d(*all, padding=1)):
        inputs = [each.clone().requires_grad_() for each in (x, offsets, weight, bias)]
        y = convolve(*inputs)
        y.square().sum().backward()
        # at whole offsets the slope of bilinear sampling is one-sided
        grads = [each.grad for each in (inputs if reach else [inputs[0], *inputs[2:]])]
        found.append([y, *grads])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)
