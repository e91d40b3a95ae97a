"""A measurement of speed is a record, checked as it is read."""

import json

import pytest

from p2s.study import benches, records
from p2s.study.project import Project


def test_a_measurement_leaves_a_record_that_reads_back_as_a_table(tmp_path):
    project = Project(tmp_path, tmp_path / "cache")
    rows = [{"way": "a", "total": 0.5, "ratio": 1.0}, {"way": "b", "total": 0.25}]
    path = benches.write(project, "infer", {"threads": 1}, {"rows": rows, "ceiling": {"fp32": 1e9}})
    kept = records.read(path, benches.Bench)
    of_each = dict.fromkeys(("detector", "count", "runtime", "means", "precision"))
    assert kept.rows == [of_each | row for row in rows] and kept.facts == {"ceiling": {"fp32": 1e9}}
    text = benches.table(kept)
    assert "500.0" in text and "250.0" in text and "–" in text
    path.write_text(path.read_text().replace("0.25", "0.2"))
    with pytest.raises(ValueError, match="edited by hand"):
        records.read(path, benches.Bench)


@pytest.mark.parametrize(
    "row, said",
    [
        ({"way": "a"}, "rows.0.detector: Field required"),
        ({"way": "a", "runtime": "our"}, "rows.0.runtime"),
        ({"way": "a", "count": "80"}, "rows.0.count"),
    ],
)
def test_a_row_without_its_columns_or_with_unknown_words_is_no_record(tmp_path, row, said):
    columns = {} if len(row) == 1 else dict.fromkeys(benches.Row.__annotations__)
    fields = {"id": "x", "bench": "infer", "settings": {}, "rows": [columns | row]}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=f"x.json: {said}"):
        records.read(path, benches.Bench)
