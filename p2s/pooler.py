"""detectron2's region pooler on the CPU-fast RoIAlign."""

from detectron2.modeling.poolers import ROIPooler
from torch import nn

from p2s.roi_align import RoIAlign


class FastROIPooler(ROIPooler):
    """Pools every region from the level of its size (Lin et al., 2017, Eq. 1) by our RoIAlign."""

    def __init__(
        self,
        output_size,
        scales,
        sampling_ratio=0,
        canonical_box_size=224,
        canonical_level=4,
    ):
        super().__init__(
            output_size,
            scales,
            sampling_ratio,
            pooler_type="ROIAlignV2",
            canonical_box_size=canonical_box_size,
            canonical_level=canonical_level,
        )
        self.level_poolers = nn.ModuleList(
            RoIAlign(self.output_size, scale, sampling_ratio) for scale in scales
        )
