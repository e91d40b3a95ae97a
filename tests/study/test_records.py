import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from p2s import files
from p2s.spec import Spec, identity
from p2s.study import records
from p2s.study.project import Project
from tests.support import ROOT

SPEC = Spec.named("CenterNet2")


def example(**fields):
    given = {"id": "a1", "training_id": "t1", "detector": "CenterNet2", "scale": "smoke", "seed": 0}
    data = {"spec": {}, "train_fingerprint": "d", "val_fingerprint": "e", "metrics": {"AP": 40.25}}
    return records.Record(**given | data | fields)


def test_a_record_reads_back_as_it_was_written(tmp_path):
    record = example(curve={"iteration": [1, 2], "loss": [0.5, 0.25]}, git={"sha": None})
    path = records.write(record, tmp_path / "new")
    assert path.name == "a1.json" and records.read(path) == record
    assert [each.name for each in path.parent.iterdir()] == ["a1.json"]  # and no partial file


@pytest.mark.parametrize("old, new", [("40.25", "42.9"), ('"seed": 0', '"seed": 1')])
def test_an_edit_by_hand_is_found(tmp_path, old, new):
    path = records.write(example(), tmp_path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=r"a1\.json: digest: the record was edited by hand"):
        records.read(path)


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_a_value_that_is_no_json_names_its_file(tmp_path, value):
    path = records.write(example(findings={"a": 40.5}), tmp_path)
    path.write_text(path.read_text().replace("40.5", value))
    with pytest.raises(ValueError, match=r"a1\.json: not a JSON record: Out of range float"):
        records.read(path)


def test_every_depth_of_a_record_is_told_with_its_file(tmp_path):
    path = records.write(example(findings={"a": 40.5}), tmp_path)
    text = path.read_text()
    for depth in range(700, 1000, 3):
        path.write_text(text.replace("40.5", depth * "[" + depth * "]"))
        with pytest.raises(ValueError, match=r"a1\.json: "):
            records.read(path)


def test_formatting_is_not_an_edit(tmp_path):
    path = records.write(example(), tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))
    assert records.read(path) == example(created=records.read(path).created)


@pytest.mark.parametrize(
    "content, told",
    [
        ("{", "not a JSON record"),
        ("[]", "not a JSON record"),
        (b"\xff", "not a JSON record"),
        ('{"id": "a1", "colour": 1}', "unknown colour; valid: .*training_id"),
        ('{"id": 1}', "id: Input should be a valid string"),
        ('{"id": "a1"}', "training_id: Field required"),
    ],
)
def test_a_damaged_record_names_its_file_and_field(tmp_path, content, told):
    path = tmp_path / "a1.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=rf"a1\.json: {told}"):
        records.read(path)


def test_a_record_under_another_name_is_refused(tmp_path):
    path = records.write(example(), tmp_path).rename(tmp_path / "b2.json")
    with pytest.raises(ValueError, match=r"b2\.json: id: a1"):
        records.read(path)


def test_a_record_above_200_kb_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="the limit is 200000"):
        records.write(example(scenes=[{"proposals": "x" * 200_000}]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a.json"
    files.write_atomic(path, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_writers_of_one_file_at_once_never_mix(tmp_path):
    path, contents = tmp_path / "a.bin", [bytes([k]) * 500_000 for k in range(8)]
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda content: files.write_atomic(path, content), contents))
    assert path.read_bytes() in contents and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_number_that_is_none_is_written_as_null(tmp_path, value):
    path = records.write(example(metrics={"APs": value}, curve={"loss": [value]}), tmp_path)
    assert json.loads(path.read_text())["metrics"] == {"APs": None}
    assert records.read(path).curve == {"loss": [None]}


def test_survey_parts_good_from_bad(tmp_path):
    records.write(example(), tmp_path)
    (tmp_path / "b2.json").write_text("{}")
    found, problems = records.survey(tmp_path)
    assert set(found) == {"a1"} and set(problems) == {"b2"}
    assert "b2" in problems["b2"]
    assert records.survey(tmp_path / "none") == ({}, {})


def test_what_changes_only_at_test_shares_a_training():
    other = SPEC.changed({"test": {"fusion": "class", "score_threshold": 0.0}})
    assert identity.training_id(SPEC, "d", 0) == identity.training_id(other, "d", 0)
    assert identity.evaluation_id("t", SPEC, "e") != identity.evaluation_id("t", other, "e")


def test_settings_data_seed_and_numerics_make_another_training(monkeypatch):
    other = SPEC.changed({"recipe": {"rate": 0.03}})
    asked = [(SPEC, "d", 0), (other, "d", 0), (SPEC, "e", 0), (SPEC, "d", 1)]
    trainings = {identity.training_id(*each) for each in asked}
    monkeypatch.setattr(identity, "NUMERICS_VERSION", identity.NUMERICS_VERSION + 1)
    trainings.add(identity.training_id(SPEC, "d", 0))
    evaluations = {identity.evaluation_id(t, SPEC, val) for t in trainings for val in "de"}
    assert (len(trainings), len(evaluations)) == (5, 10)


def test_pretrained_weights_count_by_content_wherever_they_lie(tmp_path):
    contents = {"a.pth": b"1", "copy/b.pth": b"1", "c.pth": b"2"}
    for name, content in contents.items():
        files.write_atomic(tmp_path / name, content)
    specs = [SPEC.changed({"backbone": {"weights": name}}) for name in (*contents, "none.pth")]
    ids = [identity.training_id(spec, "d", 0, tmp_path) for spec in specs]
    assert ids[0] == ids[1] and len({*ids, identity.training_id(SPEC, "d", 0)}) == 4
    files.write_atomic(tmp_path / "a.pth", b"three")
    assert identity.training_id(specs[0], "d", 0, tmp_path) not in ids


def told(folder):
    """What a full read says of each record, but for the file's size and time."""
    found, problems = records.survey(folder)
    said = {
        stem: (
            *("", records.asked(record), records.kind(record.detector, record.spec)),
            *(record.spec.get("recipe", {}).get("iterations", 0), record.source_hash),
            *(record.timings.get("train_s"), record.timings.get("evaluate_s")),
            *(
                record.training_id,
                record.machine.get("memory_mb"),
                record.machine.get("weights_mb"),
            ),
        )
        for stem, record in found.items()
    }
    nothing = ("", "", 0, "", None, None, "", None, None)
    return said | {stem: (problem, *nothing) for stem, problem in problems.items()}


def outlined(folder, kept):
    return {stem: outline[2:] for stem, outline in records.outlines(folder, kept).items()}


@pytest.fixture
def kept(tmp_path):
    """A folder of three records, one of them damaged, and where their outlines are kept."""
    spec = {"num_classes": 7, "recipe": {"iterations": 90}}
    fields = {"spec": spec, "source_hash": "5", "timings": {"train_s": 9.5}}
    fields["machine"] = {"memory_mb": 700, "weights_mb": 3}
    records.write(example(**fields), tmp_path / "runs")
    both = {"train_s": 1.0, "evaluate_s": None}
    other = example(id="b2", detector="GA RPN", spec={"num_classes": 2}, timings=both)
    records.write(other, tmp_path / "runs")
    (tmp_path / "runs" / "c3.json").write_text("{")
    return tmp_path / "runs", tmp_path / "kept" / "outlines.json"


@pytest.fixture
def read(monkeypatch):
    """The names of the records that are read from here on."""
    names, original = [], records.read

    def noted(path, kind=records.Record):
        names.append(path.stem)
        return original(path, kind)

    monkeypatch.setattr(records, "read", noted)
    return names


def test_outlines_say_what_a_full_read_says_and_are_read_once(kept, read):
    first = records.outlines(*kept)
    assert sorted(read) == ["a1", "b2", "c3"]
    again = records.outlines(*kept)
    assert again == first and len(read) == 3
    assert repr(again) == repr(first)  # tables show 700 and not 700.0
    assert {stem: outline[2:] for stem, outline in first.items()} == told(kept[0])
    assert [first[stem].problem != "" for stem in sorted(first)] == [False, False, True]


def test_a_pipe_in_the_place_of_outlines_is_replaced(kept):
    kept[1].parent.mkdir()
    os.mkfifo(kept[1])
    assert len(records.outlines(*kept)) == 3 and kept[1].is_file()


def test_outlines_kept_by_older_code_are_read_again(kept, read):
    folder, file = kept
    first = records.outlines(folder, file)
    older = {stem: outline[:4] + outline[5:] for stem, outline in first.items()}
    file.write_text(json.dumps(older))
    assert records.outlines(folder, file) == first and len(read) == 6


def test_outlines_of_committed_records_are_those_of_a_full_read(tmp_path):
    folder = Project.at(ROOT).records("photographs")
    for _ in range(2):
        found = outlined(folder, tmp_path / "outlines.json")
        assert found == told(folder) and len(found) > 0


def edited(path):
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))  # of the same length


def cut(path):
    path.write_bytes(path.read_bytes()[:40])


def made_anew(path):
    fields = {"timings": {"train_s": 2.0, "evaluate_s": 1.0}, "spec": {"num_classes": 9}}
    records.write(example(**fields), path.parent)


@pytest.mark.parametrize("change", [edited, cut, made_anew, os.unlink])
def test_a_changed_damaged_or_deleted_record_is_noticed_and_no_other_is_read(kept, read, change):
    before = outlined(*kept)
    read.clear()
    change(kept[0] / "a1.json")
    after = outlined(*kept)
    assert read == ["a1"] * (change is not os.unlink)
    assert after == told(kept[0]) != before
    assert {stem: after[stem] for stem in ("b2", "c3")} == {s: before[s] for s in ("b2", "c3")}


def test_a_mended_and_a_new_record_are_noticed(kept):
    assert outlined(*kept)["c3"][0]
    for name in ("c3", "d4"):
        records.write(example(id=name, spec={"num_classes": 3}), kept[0])
    assert outlined(*kept) == told(kept[0]) and outlined(*kept).keys() == {"a1", "b2", "c3", "d4"}


WRONG = json.dumps({"a1": [1, 2, "", "", ["a"], "90", "5", {}, None, "t", "big", None]}).encode()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b"null", b'{"a1": 3}', b'{"a1": [1]}', b'{"a1": {}}', WRONG],
)
def test_a_damaged_file_of_outlines_costs_a_full_read_and_no_more(kept, read, content):
    first = records.outlines(*kept)
    kept[1].write_bytes(content)
    read.clear()
    assert records.outlines(*kept) == first and sorted(read) == ["a1", "b2", "c3"]
    assert records.outlines(*kept) == first and len(read) == 3  # it is whole again


def test_a_record_that_tells_of_no_classes_or_times_has_an_outline(tmp_path):
    records.write(example(), tmp_path / "runs")
    found = records.outlines(tmp_path / "runs", tmp_path / "kept.json")["a1"]
    assert (found.problem, found.iterations, found.train_s) == ("", 0, None)
    assert records.outlines(tmp_path / "none", tmp_path / "other.json") == {}
