"""All that the report keeps of Figures 1 to 3 of the paper."""

from p2s.report.figures.factors import of_view
from p2s.report.figures.proposals import first_proposals, proposals
from p2s.report.figures.structures import structures
from p2s.report.style import Picture
from p2s.study import views
from p2s.study.project import Project
from p2s.study.structures import recorded


def pictures(project: Project, scale: str = views.SCALES[0]) -> dict[str, Picture]:
    """The Pictures of Figures 1 to 3 by name; what has no record is left out."""
    drawn: dict[str, Picture] = {}
    if view := views.latest(project):
        drawn["figure1"] = of_view(view)
    if built := recorded(project):
        drawn["figure2"] = structures(built)
    if records := first_proposals(project, scale):
        drawn["figure3"] = proposals(records)
    return drawn


def products(project: Project) -> dict[str, bytes]:
    """The bytes of Figures 1 to 3 by place."""
    drawn = pictures(project).items()
    return {f"figures/{name}.{picture.kind}": picture.content() for name, picture in drawn}
