"""Figures 1 to 3 of the paper."""

from p2s.report.figures.factors import of_view
from p2s.report.figures.proposals import first_proposals, proposals
from p2s.report.figures.structures import structures
from p2s.report.style import Picture
from p2s.study import views
from p2s.study.structures import recorded
from p2s.study.study import Study


def pictures(study: Study) -> dict[str, Picture]:
    """The Pictures of Figures 1 to 3 by name; what has no record is left out."""
    drawn: dict[str, Picture] = {}
    if view := views.latest(study.project):
        drawn["figure1"] = of_view(view)
    if built := recorded(study.project):
        drawn["figure2"] = structures(built)
    if records := first_proposals(study):
        drawn["figure3"] = proposals(records)
    return drawn
