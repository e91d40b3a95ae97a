import math

import pytest
import torch
from torch import nn

from p2s.maths.geometry import locations
from p2s.model.first import heads
from p2s.model.first.designs import NINE, OF_DETECTOR, OF_FIRST_STAGE
from p2s.model.zoo import first_stage
from p2s.spec import Spec
from tests.support.tiny_dense import GRID, head

STRIDES = {"p3": 8, "p4": 16}
SIZES = [(4, 6), (2, 3)]
COUNT, CHANNELS, CLASSES, LAYERS = 30, 8, 3, 2
EXTRA = {"atss": 1, "fcos": 1, "gfl": 4 * heads.BINS}  # numbers beside scores and boxes
ROLES = {"none": OF_DETECTOR, "cascade": OF_FIRST_STAGE}  # by the second stage
roles = pytest.mark.parametrize(
    ("second", "name"), [(second, name) for second, of in ROLES.items() for name in of]
)


def bare(kind, channels=CHANNELS, num_classes=CLASSES, **settings):
    """A head without towers, whose outputs are their biases: 0 until set."""
    towers = [nn.Identity()] * 3
    head = kind(towers, channels, num_classes, len(SIZES), **settings)
    for each in head.parameters():
        nn.init.constant_(each, float(each is head.scales))
    return head


def maps(images=2, value=None, channels=CHANNELS):
    torch.manual_seed(1)
    shapes = [(images, channels, *size) for size in SIZES]
    return [torch.randn(s) if value is None else torch.full(s, value) for s in shapes]


def stage_of(second, name):
    torch.manual_seed(0)
    settings = {"num_classes": CLASSES, "first_stage": {"layers": LAYERS}}
    spec = Spec(first=name, second=second, **settings)
    return first_stage(spec, STRIDES, CHANNELS)


@roles
def test_every_design_predicts_each_location_of_its_grid(second, name):
    stage = stage_of(second, name)
    grid, (logit, box, extra) = stage.predict(dict(zip(STRIDES, maps(), strict=True)))
    anchors = len(NINE) if name == "retinanet" else 1
    width = EXTRA.get(name) if (second, name) != ("cascade", "gfl") else None
    assert len(grid.points) == COUNT * anchors
    assert logit.shape == (2, COUNT * anchors, CLASSES if second == "none" else 1)
    assert box.shape == (2, COUNT * anchors, 4)
    assert (extra is None) if width is None else extra.shape == (2, COUNT, width)


@roles
def test_a_first_stage_has_one_shared_tower_and_a_detector_two(second, name):
    head = stage_of(second, name).head
    towers = head.shared_tower, head.score_tower, head.box_tower
    depths = [sum(isinstance(m, nn.Conv2d) for m in each.modules()) for each in towers]
    assert depths == ([0, LAYERS, LAYERS] if second == "none" else [LAYERS, 0, 0])
    assert not set(head.score_tower.parameters()) & set(head.box_tower.parameters())


def test_centerness_comes_from_the_features_of_the_box():
    head = heads.CenternessHead(heads.separate_towers(CHANNELS, 1), CHANNELS, CLASSES, len(SIZES))
    _, _, extra = head(maps())
    wanted = {id(p) for p in (*head.box_tower.parameters(), *head.centerness.parameters())}
    names = [n for n, p in head.named_parameters() if id(p) in wanted]
    extra.sum().backward()
    assert [n for n, p in head.named_parameters() if p.grad is not None] == names


def test_centerness_of_a_location_is_in_its_row():
    head = bare(heads.CenternessHead, channels=2)
    with torch.no_grad():
        head.centerness.weight[0, :, 1, 1] = torch.tensor([1.0, 1000])
    points = locations(SIZES, list(STRIDES.values())).points
    of_levels = [p.T.view(1, 2, *s) for p, s in zip(points.split([24, 6]), SIZES, strict=True)]
    assert torch.equal(head(of_levels).extra[0, :, 0], points @ torch.tensor([1.0, 1000]))


def test_the_length_of_a_side_is_the_mean_of_its_bins():
    torch.manual_seed(0)
    head = heads.IntegralHead(heads.shared_tower(CHANNELS, 1), CHANNELS, CLASSES, len(SIZES))
    nn.init.normal_(head.ltrb.weight)
    _, box, extra = head(maps(1))
    assert box.std() > 1
    for sides, bins in zip(box[0].tolist(), extra[0].view(COUNT, 4, -1).tolist(), strict=True):
        for side, row in zip(sides, bins, strict=True):
            odds = [math.exp(each) for each in row]
            mean = sum(k * each for k, each in enumerate(odds)) / sum(odds)
            assert side == pytest.approx(mean, rel=1e-4)


@pytest.mark.parametrize("length", [0, 5, 16])
def test_a_certain_bin_is_its_length_and_untrained_bins_the_first_side(length):
    head = bare(heads.IntegralHead)
    assert torch.equal(head(maps(1)).box, torch.full((1, COUNT, 4), heads.FIRST_SIDE))
    with torch.no_grad():
        head.ltrb.bias.view(4, heads.BINS)[2, length] = 100  # of the right
    sides = torch.tensor([8.0, 8, length, 8]).expand(1, COUNT, 4)
    torch.testing.assert_close(head(maps(1)).box, sides)


@pytest.mark.parametrize("anchor", range(len(NINE)))
def test_an_output_for_one_anchor_at_one_cell_is_in_that_anchors_row(anchor):
    head = bare(heads.AnchorHead, channels=1, anchors=len(NINE))
    grid = locations(SIZES, list(STRIDES.values()), shapes=NINE, offset=0.0)
    with torch.no_grad():
        head.score.weight.view(len(NINE), CLASSES, 3, 3)[anchor, 2, 1, 1] = 1
        head.ltrb.weight.view(len(NINE), 4, 3, 3)[anchor, 3, 1, 1] = 1
    features = maps(1, 0.0, channels=1)
    features[1][0, 0, 1, 2] = 1  # the cell at x 32, y 16 of stride 16
    logit, deltas, _ = head(features)
    (row,) = logit.any(-1).nonzero()[:, 1].tolist()
    side = torch.tensor(NINE[anchor]) * 16 / 2
    point = torch.tensor([32.0, 16])
    torch.testing.assert_close(grid.anchors[row], torch.cat((point - side, point + side)))
    assert logit[0, row].tolist() == [0, 0, 1] and logit.sum() == 1
    assert deltas[0, row].tolist() == [0, 0, 0, 1] and deltas.sum() == 1


@pytest.mark.parametrize("channels", [16, 64, 256])
def test_a_convolution_that_keeps_its_gain_passes_on_as_much_at_any_width(channels):
    torch.manual_seed(0)
    conv = heads.plain_tower(channels, 1)[0]
    with torch.no_grad():
        power = conv(torch.randn(16, channels, 12, 12))[..., 1:-1, 1:-1].square().mean().item()
    assert power == pytest.approx(9 * 256 * 0.01**2, rel=0.15)


def test_at_detectron2s_width_keeping_the_gain_changes_nothing():
    conv = nn.Conv2d(256, 4, 1)
    before = conv.weight.clone()
    heads.keep_gain([conv])
    assert torch.equal(conv.weight, before)


@pytest.mark.parametrize("make", [heads.tower, heads.plain_tower])
def test_towers_keep_the_map_and_end_in_relu(make):
    y = make(CHANNELS, 3)(torch.randn(2, CHANNELS, 5, 7))
    assert y.shape == (2, CHANNELS, 5, 7) and y.min() == 0 and y.max() > 0


@pytest.mark.parametrize("towers", [heads.shared_tower, heads.separate_towers])
def test_an_untrained_head_says_one_percent_and_eight_strides(towers):
    logit, ltrb, _ = head(towers)(maps(value=0.0))
    assert logit.shape == (2, COUNT, 2) and ltrb.shape == (2, COUNT, 4)
    torch.testing.assert_close(logit.sigmoid(), torch.full_like(logit, 0.01), atol=1e-2, rtol=0)
    torch.testing.assert_close(ltrb, torch.full_like(ltrb, 8.0), atol=0.5, rtol=0)


def test_rows_of_the_head_follow_the_locations():
    net = head(lambda *_: [torch.nn.Identity()] * 3, channels=2)
    with torch.no_grad():
        for conv in (net.score, net.ltrb):
            conv.weight.zero_(), conv.bias.zero_()
        net.ltrb.weight[:2, :, 1, 1] = torch.eye(2)  # left and top copy channels 0 and 1
    parts = zip(GRID.points.split([24, 6]), SIZES, strict=True)
    rows = [part.reshape(1, *size, 2) for part, size in parts]
    _, ltrb, _ = net([each.permute(0, 3, 1, 2) for each in rows])
    assert torch.equal(ltrb[0, :, :2], GRID.points)


def test_each_level_has_its_own_scale():
    net = head()
    _, before, _ = net(maps())
    with torch.no_grad():
        net.scales[1] *= 2
    _, after, _ = net(maps())
    torch.testing.assert_close(after, before * torch.where(GRID.level == 1, 2, 1)[:, None])


def test_separate_towers_have_twice_the_tower():
    counts = [
        sum(p.numel() for p in head(towers).parameters())
        for towers in (heads.shared_tower, heads.separate_towers)
    ]
    tower = sum(p.numel() for p in heads.tower(8, 2).parameters())
    assert counts[1] - counts[0] == tower


@pytest.mark.parametrize("channels", [24, 7, 64])
def test_towers_of_any_width_normalise(channels):
    assert heads.tower(channels, 1)(torch.randn(1, channels, 4, 4)).shape == (1, channels, 4, 4)
