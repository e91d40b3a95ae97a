"""detectron2's region pooler on the CPU-fast RoIAlign."""

from collections.abc import Sequence

from detectron2.modeling.poolers import (
    ROIPooler,
    assign_boxes_to_levels,
    convert_boxes_to_pooler_format,
)
from detectron2.structures import Boxes
from torch import Tensor, nn

from p2s.model.second.roi_align import RoIAlign, bags_are_faster, by_bags, lay_bins, to_regions

CANONICAL_SIZE = 224  # pixels, on the level of stride 16; Lin et al. (2017), Sec. 4.2


class FastROIPooler(ROIPooler):
    """Pools every region from the map of its size (Lin et al., 2017, Eq. 1) by our RoIAlign.

    All maps are pooled at once where that is faster than one after the other.
    """

    def __init__(
        self,
        output_size: int | tuple[int, int],
        scales: Sequence[float],
        sampling_ratio: int = 0,
        canonical_box_size: float = CANONICAL_SIZE,
        canonical_level: int = 4,
    ):
        sizes = {"canonical_box_size": canonical_box_size, "canonical_level": canonical_level}
        super().__init__(output_size, scales, sampling_ratio, "ROIAlignV2", **sizes)
        self.scales, self.sampling_ratio = tuple(scales), sampling_ratio
        self.level_poolers = nn.ModuleList(
            RoIAlign(self.output_size, scale, sampling_ratio) for scale in scales
        )

    def forward(self, x: list[Tensor], box_lists: list[Boxes]) -> Tensor:
        """Maps (N, C, H, W) finest first and N `Boxes` with R boxes in all -> (R, C, P, Q)."""
        if x[0].is_cpu and sum(map(len, box_lists)):
            bins = lay_bins(x, self._regions(x, box_lists), self.output_size, self.sampling_ratio)
            if bags_are_faster(x, bins):
                return by_bags(x, bins)
        return super().forward(x, box_lists)

    def levels(self, box_lists: list[Boxes]) -> Tensor:
        """The index of the map that each of R boxes in all is pooled from, (R,)."""
        canonical = (self.canonical_box_size, self.canonical_level)
        return assign_boxes_to_levels(box_lists, self.min_level, self.max_level, *canonical)

    def _regions(self, x, box_lists):
        level = self.levels(box_lists)
        rois = convert_boxes_to_pooler_format(box_lists).detach().to(x[0].dtype)
        return to_regions(rois, level, rois.new_tensor(self.scales)[level, None])
