from base64 import b64decode

from p2s.report.figures import scenes as figures
from p2s.report.style import SHOWN_ABOVE
from tests.support import fakes


def first(results, count):
    """The same Results of its first runs alone, all of which have a record."""
    return fakes.holding(results, [fakes.record(run) for run in results.runs[:count]])


def test_photographs_are_left_out_of_scenes(results):
    [record] = first(results, 1).chosen
    photo = record.model_copy(update={"spec": record.spec | {"data": {"kind": "coco"}}})
    assert first(results, 1).examples == [record]
    assert fakes.holding(results, [photo]).examples == []


def test_scenes_show_what_is_likely_and_only_that(results):
    [record] = first(results, 1).chosen
    proposals, detections = figures.scenes([record]).axes[:2]
    shown = record.scenes[0]
    above = [row for row in shown["proposals"] if row[4] > SHOWN_ABOVE]
    assert len(proposals.patches) == len(above)
    assert len(detections.texts) == sum(row[4] > SHOWN_ABOVE for row in shown["detections"])


def test_the_words_count_what_is_shown(results):
    [record] = first(results, 1).chosen
    axes = figures.scenes([record]).axes
    proposals, detections = (sum(len(panel.patches) for panel in axes[k::2]) for k in (0, 1))
    said = figures.scenes([record]).alt
    assert f"{record.detector}: {proposals} proposals, {detections} detections" in said


def test_scenes_of_no_record_are_an_empty_picture():
    assert figures.scenes([]).content().startswith(b"\x89PNG")
    assert "no record" in figures.scenes([]).alt


def test_notebooks_show_scenes_as_they_are_saved(results):
    picture = figures.scenes(first(results, 1).chosen)
    data, about = picture._repr_mimebundle_()
    assert b64decode(data["image/png"]) == picture.content() and len(data) == 1
    assert about == {"image/png": {"alt": picture.alt}}
