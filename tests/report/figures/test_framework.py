from p2s.report.figures import framework
from p2s.study import structures
from tests.support import fakes


def test_nothing_is_drawn_without_records(tmp_path):
    assert framework.pictures(fakes.project(tmp_path)) == {}


def test_figure_2_is_drawn_from_its_record_alone(tmp_path):
    project = fakes.project(tmp_path)
    fakes.copy_structures(project)
    assert framework.products(project).keys() == {"figures/figure2.svg"}
    record = structures.recorded(project)
    path = project.views / "structures.json"
    path.write_text(path.read_text().replace("ResNet-50", "ResNet-18"))  # a damaged record is none
    assert record is not None and structures.recorded(project) is None
    assert framework.pictures(project) == {}
