"""The optimum of a record's losses for a character, by its Spec and by what it sampled.

`finding` is of `posterior_numbers`.
"""

from typing import Any

import numpy as np
from scipy.optimize import brentq

from p2s.maths import optimum
from p2s.spec import Spec

UNSURE = 1e-4  # how likely a location answers for its object at least


def best(spec: Spec, finding: dict[str, Any], q: float, r: float) -> optimum.Learnt:
    """The population optimum of a Spec's losses for a character, with what they depend on.

    It is that of a location that is sure to answer for its object.
    """
    objective = spec.second_stage.objective
    if objective != "sampled":
        return optimum.OBJECTIVES[objective](q, r)
    second = optimum.sampled(q, r, finding["regions"])
    return second._replace(p_object=_best_object(spec, finding, q))


def best_to_control(
    spec: Spec, finding: dict[str, Any], q: float, r: float, sure: float
) -> optimum.Learnt:
    """The same of a location that answers with a probability `sure`, over the control's there."""
    objective = spec.second_stage.objective
    if objective == "sampled":  # its second stage sees regions, and the control's are foreground
        p_object = _best_object(spec, finding, q * sure) / _best_object(spec, finding, sure)
        return best(spec, finding, q, r)._replace(p_object=p_object)
    here, always = (optimum.OBJECTIVES[objective](chance, r) for chance in (q * sure, sure))
    foreground = 1 - always.p_background
    background = 1 - (1 - here.p_background) / foreground
    return optimum.Learnt(here.p_object / always.p_object, here.p_class / foreground, background)


def sureness(spec: Spec, finding: dict[str, Any]) -> float:
    """How likely a location answers for its object, if the control is at its loss's optimum.

    It is known by P(O) where stages have labels of their own, else the product of both stages.
    """
    objective = spec.second_stage.objective

    def above(sure):
        if objective == "sampled":
            return _best_object(spec, finding, sure) - control(finding, "p_object")
        learnt = optimum.OBJECTIVES[objective](sure, 1.0)
        return learnt.product - control(finding, "p_any")

    return brentq(above, UNSURE, 1.0) if above(UNSURE) < 0 < above(1.0) else 1.0


def control(finding: dict[str, Any], name: str) -> float:
    """A number before NMS of what is always annotated; NaN without such a character."""
    sure = [character["before"][name] for character in finding["characters"] if character["q"] == 1]
    return float(np.mean(sure)) if sure and None not in sure else np.nan


def _best_object(spec, finding, q):
    if spec.first == "rpn":
        return optimum.sampling(q, finding["negatives"])
    plain = spec.first_stage.design.weighting == "none"
    if spec.first == "gfl":
        ious = finding["ious"]
        return q * float(np.mean(ious)) if plain else optimum.quality(q, ious)
    score = optimum.likelihood(q) if plain else optimum.focal(q)
    return optimum.centered(score, finding["centerness"]) if spec.first == "atss" else score
