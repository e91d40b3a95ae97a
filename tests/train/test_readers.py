"""Readers: which features of which levels a box is read from."""

import torch
from detectron2.structures import Boxes
from torch import nn

from p2s.maths.geometry import half_diagonal, size_ranges
from p2s.train.readers import LocationReader, RegionReader, normalised_layers, plain_layers

STRIDES = [4, 8, 16, 32, 64]
EDGE = 192
ZOOM = 0.24


def features(channels=8):
    """Maps of two images, of which every cell is different."""
    torch.manual_seed(0)
    return [torch.randn(2, channels, EDGE // s, EDGE // s) for s in STRIDES]


def boxes(count=40):
    torch.manual_seed(1)
    corner, side = torch.rand(2, count, 2) * 0.9 * EDGE, torch.rand(2, count, 2) ** 2 * EDGE + 2
    return [
        Boxes(torch.cat([c, (c + s).clamp(max=EDGE)], 1)) for c, s in zip(corner, side, strict=True)
    ]


def test_a_location_reader_reads_the_cell_of_the_centre_on_every_level_of_the_size():
    reader = LocationReader(STRIDES, 8, ZOOM)
    reader.tower = nn.Identity()
    maps, given = features(), boxes()
    seen, which = reader(maps, given)
    low, high = size_ranges(torch.tensor(STRIDES[1:]) * ZOOM).unbind(-1)
    wanted = {}
    for number, box in enumerate(torch.cat([b.tensor for b in given])):
        image, size = number // len(given[0]), half_diagonal(box)
        for level in range(4):
            if low[level] <= size <= high[level]:
                stride = STRIDES[level + 1]
                x, y = (int((box[i] + box[i + 2]) / 2 / stride) for i in (0, 1))
                wanted[number, level] = maps[level + 1][image, :, y, x]
    found = sorted(zip(which.tolist(), seen.tolist(), strict=True))
    assert found == sorted((number, value.tolist()) for (number, _), value in wanted.items())
    assert {level for _, level in wanted} == {0, 1, 2, 3}
    assert set(which.tolist()) == set(range(80))  # none is left out


def test_a_centre_on_the_border_is_read_from_the_last_cell():
    reader = LocationReader(STRIDES, 8, ZOOM)
    reader.tower = nn.Identity()
    maps = features()
    outside = Boxes(torch.tensor([[EDGE - 2.0, EDGE - 2, EDGE + 8, EDGE + 8]]))
    seen, _ = reader(maps, [outside, Boxes(torch.zeros(0, 4))])
    assert torch.equal(seen, maps[1][:1, :, -1, -1])


def test_a_region_reader_reads_every_box_once():
    for layers in (plain_layers, normalised_layers):
        reader = RegionReader(STRIDES[:4], ZOOM, layers(8, 16)).train()
        seen, which = reader(features()[:4], boxes())
        assert seen.shape == (80, 16) and torch.equal(which, torch.arange(80))


def test_more_locations_of_a_box_lie_in_its_middle():
    reader = LocationReader(STRIDES, 2, ZOOM, more=3)
    reader.tower = nn.Identity()
    x = [torch.arange(EDGE // s).expand(2, 1, EDGE // s, -1) for s in STRIDES]
    cells = [torch.cat([level, level.transpose(2, 3)], 1) for level in x]  # each tells where it is
    given = boxes()
    torch.manual_seed(2)
    seen, which = reader(cells, given)
    alone = LocationReader(STRIDES, 2, ZOOM)
    alone.tower = nn.Identity()
    centres, of = alone(cells, given)
    assert len(seen) == 4 * len(centres)
    every, away = torch.cat([b.tensor for b in given]), []
    for number, box in enumerate(every):
        for place in centres[of == number]:
            assert (seen[which == number] == place).all(1).any()
        centre, side = box.view(2, 2).mean(0), box[2:] - box[:2]
        low, high = centre - side / 4, centre + side / 4
        read = seen[which == number]
        middle = (read[:, None] == centres[of == number]).all(-1).any(1)
        away.append(not middle.all())
        fits = [
            ((read >= (low / s).floor()) & (read <= (high / s).floor())).all(1) for s in STRIDES
        ]
        assert torch.stack(fits).any(0).all()
    assert any(away)
