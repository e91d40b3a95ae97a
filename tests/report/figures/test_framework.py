from p2s.report.figures import framework
from p2s.study import structures
from p2s.study.study import Study
from tests.support import fakes


def test_nothing_is_drawn_without_records(tmp_path):
    assert framework.pictures(Study.load(fakes.project(tmp_path), "desk")) == {}


def test_figure_2_is_drawn_from_its_record_alone(tmp_path):
    project = fakes.project(tmp_path)
    fakes.copy_structures(project)
    assert framework.pictures(Study.load(project, "desk")).keys() == {"figure2"}
    record = structures.recorded(project)
    path = project.views / "structures.json"
    path.write_text(path.read_text().replace("ResNet-50", "ResNet-18"))  # a damaged record is none
    assert record is not None and structures.recorded(project) is None
    assert framework.pictures(Study.load(project, "desk")) == {}
