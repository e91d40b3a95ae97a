import pytest
import torch
from safetensors.torch import save_file

from p2s.model.zoo import build
from p2s.report.figures import factors
from p2s.report.figures import framework as figures
from p2s.study import framework, records, structures, views
from p2s.study.project import Project
from p2s.study.study import Study
from tests.support import fakes
from tests.support.commands import p2s


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project whose cache holds a model of scale smoke, with its weights as they were drawn."""
    project = fakes.project(tmp_path_factory.mktemp("trained"))
    run = views.run(project, "smoke")
    folder = project.weights(run)
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    weights = {name: one.contiguous() for name, one in build(run.spec).state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "spec.json").write_text(run.spec.model_dump_json())
    (folder / "classes.json").write_text(str(list("0123456789")).replace("'", '"'))
    return project


def test_the_command_records_what_figures_1_and_2_show_and_the_records_stay_small(
    trained, monkeypatch
):
    assert views.latest(trained) is structures.recorded(trained) is None
    monkeypatch.setattr(Project, "at", lambda: trained)
    done = p2s("study", "framework", "--scale", "smoke")
    paths = [trained.views / "structures.json", trained.views / f"{views.latest(trained).id}.json"]
    assert done.output == "".join(f"{path}\n" for path in paths)
    assert all(path.stat().st_size < 60_000 for path in paths)
    made = figures.pictures(Study.load(trained, "desk"))
    assert made.keys() == {"figure1", "figure2"}
    assert made["figure1"].content() == factors.of_view(views.latest(trained)).content()


def test_structures_are_recorded_without_weights_and_the_missing_weights_are_named(
    tmp_path, monkeypatch
):
    project = fakes.project(tmp_path)
    monkeypatch.setattr(Project, "at", lambda: project)
    done = p2s("study", "framework")
    assert done.exit_code == 2 and views.run(project, "desk").training_id in done.output
    assert [one.detector for one in structures.recorded(project).structures] == [
        *structures.DETECTORS
    ]


def test_each_kind_of_record_is_read_beside_the_other(trained, tmp_path):
    project = fakes.project(tmp_path)
    view, built = framework.seen(trained, "smoke", 0), framework.built(trained)
    for record in (view, built):
        records.write(record, project.views)
    assert views.latest(project) == view and structures.recorded(project) == built
    assert view.training_id in views.origin(view) and "claims nothing" in views.origin(view)
    assert "claims" not in views.origin(view.model_copy(update={"scale": "desk"}))
    assert "p2s study framework" in views.origin(None)


def test_a_view_of_another_training_than_the_projects_is_none(trained, tmp_path):
    own, other = framework.seen(trained, "smoke", 0), fakes.project(tmp_path)
    records.write(
        own.model_copy(update={"id": "of-another-0", "training_id": "of-another"}), other.views
    )
    assert views.latest(other) is None
    records.write(own, other.views)
    assert views.latest(other).seen == own.seen
