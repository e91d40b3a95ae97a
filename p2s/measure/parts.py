"""Parts: AP above a threshold on the score, and AP of small, middle and large objects.

They say where the difference of two detectors lies, see p2s.report.examined.
"""

import numpy as np
from detectron2.structures import Instances
from hotcoco import COCOeval
from numpy.typing import NDArray

from p2s.data.coco import CocoSet
from p2s.files import finite_or_none
from p2s.measure.coco import percent, scorer_of, truth_of
from p2s.measure.rows import Rows

ABOVE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)  # scores
THIRDS = 3  # parts of the objects, whatever their pixels: in small scenes none is large by COCO's
ALL = (0.0, 1e10)  # square pixels


def parts(data: CocoSet, detections: list[Instances]) -> dict[str, dict[str, list]]:
    """AP in percent by "threshold" and by "size", as JSON values below 1 kB.

    "threshold" has "AP" of detections with a score "above" each of ABOVE, of those that the test
    settings have left. "size" has it of the thirds of the objects by area, the smallest first, and
    "from" which side each begins, the square root of an area in pixels. None where nothing is.
    """
    rows = Rows.of_detections(detections)
    cut = [_ap(scorer_of(data, rows.where(rows.scores > score)), [ALL])[0] for score in ABOVE]
    ends = _ends(data)
    areas = list(zip(ends[:-1], ends[1:], strict=True))
    return {
        "threshold": {"above": list(ABOVE), "AP": cut},
        "size": {
            "from": np.sqrt(ends[:-1]).round(1).tolist(),
            "AP": _ap(scorer_of(data, rows), areas),
        },
    }


def _ends(data) -> NDArray:
    """Where the thirds begin and end, (THIRDS + 1,), in square pixels."""
    objects = [one for one in truth_of(data)["annotations"] if not one["iscrowd"]]
    areas = [one["area"] for one in objects] or [0.0]
    inner = np.quantile(areas, np.arange(1, THIRDS) / THIRDS)
    return np.array([ALL[0], *inner, ALL[1]])


def _ap(scorer: COCOeval, areas) -> list[float | None]:
    """AP of the objects of each range of areas."""
    scorer.params.area_rng = [list(ends) for ends in areas]
    scorer.params.area_rng_lbl = [f"{low:g}" for low, _ in areas]
    scorer.evaluate()
    scorer.accumulate()
    precision = scorer.eval["precision"][..., -1]  # (IoU, recall, K, areas): the most found
    values = [finite_or_none(percent(precision[..., k])) for k in range(len(areas))]
    return [None if value is None else round(value, 2) for value in values]
