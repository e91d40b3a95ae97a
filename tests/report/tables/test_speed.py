"""What is said of invented measurements of speed: tables by hand, verdicts, pictures, a page."""

import nbformat
import numpy as np
import pytest

from p2s.bench.ways import of_rows
from p2s.report import site
from p2s.report.figures import speed as figures
from p2s.report.products import Products
from p2s.report.tables import speed as tables
from p2s.report.tables.benches import latest
from p2s.report.tables.runtimes import TIMELESS, first_and_total, of_row, total
from p2s.spec import NAMED
from p2s.study import benches, records
from p2s.study.benches import Bench
from p2s.study.experiments import load_experiment, load_scales
from p2s.study.project import Project
from p2s.study.runner import run_notebook
from tests.support import fakes

FULL = {"size": [800, 1088], "threads": 2}
AUTHORS = "authors' centernet2"
NET = "fasterrcnn_resnet50_fpn"
WAYS = {  # runtime, means, precision, seconds: fp32 is twice as fast as the authors', bf16 3 times
    AUTHORS: ("authors", "none", "fp32", 6.0),
    "ours, as trained": ("ours", "none", "fp32", 5.0),
    "ours, optimised, eager": ("ours", "eager", "fp32", 4.0),
    "ours, optimised, fp32": ("ours", "compiled", "fp32", 3.0),
    "ours, optimised, bf16": ("ours", "compiled", "bf16", 2.0),
    "ours, onnxruntime": ("onnxruntime", "none", "fp32", 4.5),
    "ours, onnxruntime, int8": ("onnxruntime", "none", "int8", 1.5),
    f"torchvision {NET}": ("torchvision", "none", "fp32", 4.0),
    f"torchvision {NET}, our means": ("torchvision", "compiled", "fp32", 3.2),
    "torchvision retinanet_resnet50_fpn": ("torchvision", "none", "fp32", 3.5),
}
OURS = {"runtime": "ours", "means": "compiled"}
COLUMNS = dict.fromkeys(benches.Row.__annotations__)


def row(way, seconds, detector="CenterNet2", precision="fp32", **columns):
    """A row of times: half of the time in the first stage."""
    fixed = COLUMNS | {"way": way, "detector": detector, "precision": precision, "total": seconds}
    fixed |= OURS | columns
    parts = {"pre": 0.0, "first": seconds / 2, "second": seconds / 2, "post": 0.0}
    return fixed | parts | {"seconds": [0.9 * seconds, seconds, 1.2 * seconds]}


def bench(kind, rows, settings=FULL, created="2026-01-01", **facts):
    machine = {"cpu": "a processor", "cores": 2, "threads": 2, "isa": "AVX2"}
    name = benches.bench_id(kind, settings, created)
    fields = {"settings": settings, "machine": machine, "created": created}
    rows = [COLUMNS | row for row in rows]
    return Bench(id=name, bench=kind, rows=rows, facts=facts, **fields)


def infer(**changes):
    """CenterNet2's ways; `changes` are seconds by precision."""
    rows = []
    for way, (runtime, means, precision, seconds) in WAYS.items():
        detector = way.split()[1].strip(",") if runtime == "torchvision" else "CenterNet2"
        timed = row(way, seconds, detector, precision, runtime=runtime, means=means)
        timed |= {"ratio": 6.0 / seconds, "operations": 3e11, "share": 0.8, "detections": 100}
        if runtime in ("torchvision", "onnxruntime"):
            del timed["first"], timed["share"]
        rows.append(timed)
    rows += [row(f"ours, optimised, {name}", s, precision=name) for name, s in changes.items()]
    return bench("infer", rows, FULL | {"detector": "CenterNet2"})


def all_detectors():
    seconds = {"CenterNet2": 2.0, "FasterRCNN-RPN": 3.0, "CascadeRCNN-RPN (P3-P7)": 4.0}
    return bench("detectors", [row(name, s, name) for name, s in seconds.items()])


def counted(what, seconds):
    """Time by detector and number of classes or proposals."""
    rows = [row(f"{name}, {n} {what}", s, name, count=n) for (name, n), s in seconds.items()]
    return bench(what, rows)


def classes():
    seconds = {80: 2.0, 365: 2.04, 1203: 2.2}
    both = {("CenterNet2", n): s for n, s in seconds.items()}
    return counted("classes", both | {("CenterNet*", n): s**2 for n, s in seconds.items()})


def others():
    train = [
        {"way": "stock", "runtime": "detectron2", "total": 8.0, "loss": [1.0]},
        {"way": "ours", "runtime": "ours", "total": 2.0, "loss": [1.0]},
    ]
    memory = [
        {"way": AUTHORS, "runtime": "authors", "memory": 900.0},
        {"way": "ours, optimised, fp32", **OURS, "precision": "fp32", "memory": 600.0},
    ]
    ap = {"fp32": 42.0, "bf16": 42.1, "int8": 41.4}
    precision = [
        {"way": f"ours, optimised, {name}", **OURS, "precision": name, "AP": value}
        for name, value in ap.items()
    ]
    evaluation = [{"way": "pycocotools", "total": 9.0}, {"way": "hotcoco", "total": 1.0}]
    shares = {"step": 1.0, "assignment and losses": 0.03, "decoding": 0.02}
    return [
        bench("step", [{"way": way, "share": share} for way, share in shares.items()]),
        bench("desk", [{"way": "run", "total": 300.0}], {}),
        bench("train", train, loss_difference=2e-3),
        bench("memory", memory, FULL | {"detector": "CenterNet2"}),
        bench("precision", precision),
        bench("eval", evaluation, {"images": 2000}),
        counted("proposals", {("CenterNet2", n): 1 + n / 1000 for n in (64, 256)}),
    ]


@pytest.fixture
def project(tmp_path):
    """A project without any record."""
    return fakes.project(tmp_path)


@pytest.fixture
def measured(project):
    """A project with a record of every kind."""
    return keep(project, infer(int8=1.0), all_detectors(), classes(), *others())


def keep(project, *benches):
    for one in benches:
        records.write(one, project.benches)
    return project


def test_nothing_measured_makes_no_table_and_every_target_unmeasured(project):
    assert tables.frames(project) == {} and figures.products(project) == Products()
    assert set(tables.targets(project)["verdict"]) == {"not measured"}


def test_ratios_and_gains_are_those_of_the_seconds(measured):
    frame = tables.frames(measured)["infer"].set_index("way")
    assert frame.loc["ours, optimised, fp32", "ratio"] == 2
    assert frame.loc["ours, optimised, fp32", "gain"] == pytest.approx(4 / 3)  # eager takes 4 s
    assert np.isnan(frame.loc[AUTHORS, "gain"]) and np.isnan(
        frame.loc[f"torchvision {NET}", "share"]
    )
    assert frame.loc["ours, optimised, bf16", "at ceiling, ms"] == pytest.approx(0.8 * 2000)
    gains = frame["gain"]
    assert gains["ours, onnxruntime, int8"] == 3 and np.isnan(gains["ours, onnxruntime"])
    assert gains[f"torchvision {NET}, our means"] == 1.25


def test_detectors_stand_beside_the_papers_ratios(measured):
    frame = tables.frames(measured)["detectors"].set_index("detector")
    assert frame.loc["FasterRCNN-RPN", "Ttot"] == 1.5 and frame.loc["CenterNet2", "Tfirst"] == 1
    paper = first_and_total("FasterRCNN-RPN") / first_and_total("CenterNet2")
    assert frame.loc["FasterRCNN-RPN", ["Tfirst, paper", "Ttot, paper"]].tolist() == list(paper)


@pytest.mark.parametrize("name", [name for name in NAMED if name not in TIMELESS])
def test_the_paper_prints_a_total_of_every_named_detector(name):
    first, whole = first_and_total(name)
    assert whole >= (18 if "DLA" in name else 30) and not first > whole
    assert np.isnan(total(name, 81, "classes"))


def test_rows_of_an_experiment_stand_beside_the_papers_ratios(project):
    levels = [row("(1) P2-P6, 1000 proposals", 2.0), row("(2) P3-P7", 1.0)]
    counts = [row("CascadeRCNN, 1000", 2.0), row("CenterNet2, 64", 1.0), row("new", 4.0)]
    kept = keep(project, bench("rows_table4", levels), bench("rows_table6", counts))
    frames = {
        name: frame.set_index("row")
        for name, frame in tables.frames(kept).items()
        if "rows" in name
    }
    columns = ["Tfirst", "Tfirst, paper", "Ttot", "Ttot, paper"]
    found = frames["rows_table4"].loc["(2) P3-P7", columns]
    assert found.tolist() == [0.5, 38 / 46, 0.5, 45 / 55]
    found = frames["rows_table6"]
    assert found["Ttot, paper"].tolist() == pytest.approx([1, 52 / 66, np.nan], nan_ok=True)
    assert found["Tfirst, paper"].isna().all() and list(found["Ttot"]) == [1, 0.5, 2]


def test_a_table_without_times_has_none_of_the_paper():
    rows = {n: load_experiment(Project.at(fakes.ROOT), f"table{n}").rows for n in (5, 7, 8, 9)}
    found = {n: [of_row(row.paper) for row in of_table] for n, of_table in rows.items()}
    assert np.isnan(found[5]).all() and np.isnan(found[9]).all()
    assert [[whole for _, whole in found[n]] for n in (7, 8)] == [
        [69, 69, 100, 60, 60],
        [56, 55, 67, 56],
    ]


def ways_of(table):
    project = Project.at(fakes.ROOT)
    return of_rows(load_experiment(project, table), load_scales(project)["paper"])


@pytest.mark.parametrize(
    "table, classes",
    [("table1", 80), ("table7", 1203), ("table8", 365), ("table9", 1203), ("federated", 1203)],
)
def test_rows_have_the_classes_of_the_papers_data_and_300_detections_of_many(table, classes):
    specs = [way.spec for way in ways_of(table).values()]
    assert {spec.num_classes for spec in specs} == {classes}
    assert {spec.test.detections for spec in specs} == {300 if classes > 80 else 100}
    assert {spec.test.score_threshold for spec in specs} == {0.05}  # also where AP is of all scores


def test_a_row_is_measured_as_its_first_variant_tests_it():
    ways = ways_of("table4")
    assert len(ways) == 10 and all(way.spec.test.nms == 0.5 for way in ways.values())
    few = ways["(6) P3-P7 + 256p. + 4 l."].spec
    assert (few.first_stage.layers, few.test.proposals) == (4, 256)


@pytest.mark.parametrize("name", ["bounds", "posterior"])
def test_an_experiment_of_scenes_alone_has_no_row_to_measure(name):
    with pytest.raises(ValueError, match=f"experiment {name}: no row has a full size"):
        ways_of(name)


def test_what_is_missing_is_a_dash(measured):
    text = tables.readable(tables.frames(measured)["detectors"])
    assert text.loc["CascadeRCNN-RPN (P3-P7)"].tolist() == ["2.00", "–", "2.00", "1.16"]
    infer = figures.products(measured).tables["infer"].splitlines()
    assert infer[1].startswith("authors' centernet2,fp32,0,3000,3000,0,6000,1,–,300,4800,0.8")


def test_costs_are_relative_to_the_first_number_of_each_detector(measured):
    frame = tables.frames(measured)["classes"].set_index(["detector", "classes"])
    assert frame.loc[("CenterNet2", 1203), "ratio"] == pytest.approx(1.1)
    assert frame.loc[("CenterNet*", 365), "ratio"] == pytest.approx(1.02**2)
    assert frame.loc[("CenterNet*", 1203), "ratio, paper"] == pytest.approx(69 / 51)


def test_every_target_is_judged_from_the_records(measured):
    lines = tables.targets(measured).set_index("target")
    unmeasured = lines[lines["measured"].isna()]
    assert unmeasured.index.tolist() == [
        "int8 by OpenVINO: times as fast as the authors'",
        "int8 by onnxruntime: AP from that of fp32",
        "int8 by OpenVINO: AP from that of fp32",
    ]
    assert set(unmeasured["verdict"]) == {"not measured"}
    expected = {
        "fp32: times as fast as the authors'": (2, "reached"),
        "bf16: times as fast as the authors'": (3, "missed"),
        "int8: times as fast as the authors'": (6, "reached"),
        "int8 by onnxruntime: times as fast as the authors'": (4, "missed"),
        "training: times as fast as the stock way": (4, "reached"),
        "training: largest difference of losses": (2e-3, "missed"),
        "time with 1203 classes over that with 80": (1.1, "missed"),
        "bf16: AP from that of fp32": (0.1, "reached"),
        "a whole desk run on one thread, minutes": (5, "reached"),
        "full size: assignment, losses and decoding, share of a step": (0.05, "reached"),
        "int8: AP from that of fp32": (0.6, "missed"),
    }
    for target, (value, verdict) in expected.items():
        assert lines.loc[target, "measured"] == pytest.approx(value), target
        assert lines.loc[target, "verdict"] == verdict, target


def test_a_trial_or_an_older_record_does_not_count(measured):
    trial = bench("infer", [row(AUTHORS, 1.0)], {"size": [64, 64]}, created="2027-01-01")
    other = bench("infer", [row("detectron2's way", 1.0)], FULL | {"detector": "CenterNet*"})
    keep(measured, trial, other, bench("eval", [], {"images": 3}, created="2025-01-01"))
    found = latest(measured)
    assert len(found["infer"].rows) == len(WAYS) + 1 and len(found["eval"].rows) == 2


def test_pictures_name_what_they_show(measured):
    drawn = {kind: one.content().decode() for kind, one in figures.pictures(measured).items()}
    assert drawn.keys() == {"infer", "detectors", "classes", "proposals"}
    assert all(way in drawn["infer"] for way in ("ours, optimised, fp32", "onnxruntime"))
    assert "FasterRCNN-RPN" in drawn["detectors"] and "CenterNet*" in drawn["classes"]
    again = figures.pictures(measured)["infer"].content().decode()
    assert again == drawn["infer"]


def test_the_report_keeps_tables_and_figures_and_finds_their_drift(measured):
    names = {path.name for path in site.regenerate(measured)}
    assert {"performance_infer.csv", "performance_targets.md", "performance_infer.svg"} <= names
    assert site.drift(measured) == []
    keep(measured, counted("proposals", {("CenterNet2", 64): 9.0}))
    assert "tables/performance_proposals.csv" in site.drift(measured)


@pytest.mark.parametrize("kept", [[], [infer()], others()])
def test_the_notebook_runs_with_any_part_of_the_records(project, kept):
    keep(project, *kept)
    notebook = nbformat.read(fakes.ROOT / "notebooks" / "performance.ipynb", as_version=4)
    path = project.root / "notebooks" / "performance.ipynb"
    nbformat.write(notebook, path)
    problem = run_notebook(project, path, project.cache / "out.ipynb")
    assert problem is None or problem == "", problem
    page = (project.cache / "out.ipynb").read_text()
    assert ("not measured" in page) and (("authors' centernet2" in page) == bool(kept))
